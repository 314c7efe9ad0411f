"""What a finished model keeps so that it can say how sure it is, and what it has never seen the like of.

The calibration of a finished model, whatever its kind, fitted on pictures that it was not fitted on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from distingo.datasets.cache.store import Cache
from distingo.datasets.targets import encode_labels
from distingo.machine.device import choose_precision
from distingo.metrics.thresholds import apply_thresholds
from distingo.models.evidence import Calibration, gather_evidence
from distingo.models.feature_bank import FeatureBank, build_bank
from distingo.models.saved import SavedModel
from distingo.prediction.classifier import Outputs, predict_model_logits, predict_outputs, to_probabilities
from distingo.prediction.embedding import input_product
from distingo.records import Picture
from distingo.training.cross_fitting import CrossFitted
from distingo.training.held_out import calibrate

FREQUENCIES = frozenset({"majority", "prevalence"})
"""Models that say how frequent classes are, whatever the picture: there is nothing to calibrate or to tell apart."""


def with_calibration(
    model: SavedModel,
    validation: Sequence[Picture],
    *,
    cache: Cache,
    device: torch.device,
    cross_fitted: CrossFitted | None = None,
) -> SavedModel:
    """Fit a model's temperature, with several labels slope and offsets (`distingo.training.held_out.calibrate`).

    What a fit did to become comparable on held-out pictures (margins of a support vector machine to logits) is part of
    the model and stays; this comes on top for every kind alike, and is near nothing where little was left to do.

    Args:
        model: Trained, without thresholds yet: they are chosen on calibrated probabilities.
        validation: Pictures whose inputs lie in the cache; with none the model is given back as it is.
        cache: As the pictures were read into.
        device: Where a network computes.
        cross_fitted: Logits to fit it on instead, of more pictures.

    Returns:
        The model whose description holds the calibration.
    """
    description = model.description
    if not validation or description.name in FREQUENCIES:
        return model
    if cross_fitted is not None:
        pictures, logits = cross_fitted.pictures, cross_fitted.logits
    else:
        pictures = tuple(validation)
        rows = input_product(model, cache, device).store.rows([picture.row_key for picture in pictures])
        logits = predict_model_logits(model, rows, device=device, precision=choose_precision(device)[0])
    slope, offsets = calibrate(logits, encode_labels(pictures, description.classes, description.task))
    fitted = Calibration(slope, tuple(offsets.tolist()))
    return replace(model, description=replace(description, calibration=fitted))


LARGEST_BANK = 8_000_000
"""Bytes that a bank's rows take at most."""

MOST_ROWS = 5_000
"""Rows that a bank has at most, so that a wide training side is not run through the network again for it."""


def with_evidence(
    model: SavedModel,
    train: Sequence[Picture],
    validation: Sequence[Picture],
    cross_fitted: CrossFitted | None = None,
    *,
    seed: int,
    cache: Cache,
    device: torch.device,
) -> SavedModel:
    """Keep a bank of training features with the model, and its calibration set.

    Args:
        model: With its calibration and thresholds.
        train: Pictures whose inputs lie in the cache; a bank too large takes a part of them, classes in turn.
        validation: Likewise; with none the model is given back as it is.
        cross_fitted: The calibration set where it is more than validation (`distingo.training.cross_fitting`).
        seed: Of the choice of that part.
        cache: As the pictures were read into.
        device: Where a network computes.
    """
    if not validation or model.description.name in FREQUENCIES:
        return model
    outputs = _outputs(model, validation, cache, device)
    bank = _build(model, train, outputs.features.shape[1], seed=seed, cache=cache, device=device)
    pictures, logits, folds = validation, outputs.logits, 0
    if cross_fitted is not None:
        pictures, logits, folds = cross_fitted.pictures, cross_fitted.logits, cross_fitted.folds
    probabilities = to_probabilities(model, logits)
    targets = encode_labels(pictures, model.description.classes, model.description.task)
    distances = bank.distances(outputs.features)
    evidence = gather_evidence(probabilities, targets, _given(model, probabilities), distances, folds=folds)
    return replace(model, bank=bank, evidence=evidence)


def choose_rows(pictures: Sequence[Picture], most: int, *, seed: int) -> list[int]:
    """Positions of pictures for a bank: all, or one of every class in turn at random until there are enough.

    Args:
        pictures: Of the training side; of several labels the first alphabetically counts.
        most: How many at most.
        seed: Of the choice.
    """
    if len(pictures) <= most:
        return list(range(len(pictures)))
    turns: dict[str, int] = {}
    ranked: list[tuple[int, int, int]] = []
    for place, position in enumerate(np.random.default_rng(seed).permutation(len(pictures)).tolist()):
        first = min(pictures[position].labels, default="")
        turns[first] = turns.get(first, -1) + 1
        ranked.append((turns[first], place, position))
    return sorted(position for _, _, position in sorted(ranked)[:most])


def _build(
    model: SavedModel, train: Sequence[Picture], width: int, *, seed: int, cache: Cache, device: torch.device
) -> FeatureBank:
    most = max(1, min(MOST_ROWS, LARGEST_BANK // (2 * width)))
    chosen = [train[position] for position in choose_rows(train, most, seed=seed)]
    features = _outputs(model, chosen, cache, device).features
    return build_bank(features, tuple(picture.content for picture in chosen), unit=model.network is not None)


def _outputs(model: SavedModel, pictures: Sequence[Picture], cache: Cache, device: torch.device) -> Outputs:
    rows = input_product(model, cache, device).store.rows([picture.row_key for picture in pictures])
    return predict_outputs(model, rows, device=device, precision=choose_precision(device)[0])


def _given(model: SavedModel, probabilities: np.ndarray) -> np.ndarray:
    """The labels that the model gives, bool (n, classes)."""
    if model.description.task == "multi-label":
        return apply_thresholds(probabilities, model.description.require_thresholds())
    chosen: np.ndarray = np.arange(probabilities.shape[1]) == probabilities.argmax(axis=1)[:, None]
    return chosen
