"""The calibration of a finished model, and its calibration set: outputs for images that it was not fitted on.

Where the validation split is large, the model's own outputs for it are the calibration set. Where it is small and
another fit is cheap (a head on a frozen backbone, a classic model), the train and validation splits are divided into
folds, and each image is scored by a model that was fitted on the other folds with the chosen settings: cross-conformal
prediction (Vovk 2015; Barber et al., Predictive inference with the jackknife+, 2021) with one threshold for the final
model. There are no more folds than leave each model with at most as many images as the final one has, so the final
model's probabilities are rather a little higher.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from distingo.datasets.cache.store import Cache
from distingo.datasets.splits.files import read_split_file
from distingo.datasets.splits.grouping import Links, group_images
from distingo.datasets.targets import encode_labels
from distingo.machine.device import choose_device, choose_precision
from distingo.metrics.logits import fit_calibration
from distingo.metrics.thresholds import apply_thresholds
from distingo.models.calibration_set import Calibration, gather_evidence
from distingo.models.description import ModelDescription
from distingo.models.descriptors import DescriptorClassifier, refit_descriptors
from distingo.models.feature_bank import FeatureBank, build_bank
from distingo.models.saved import SavedModel
from distingo.prediction.classifier import (
    Outputs,
    classic_logits,
    predict_model_logits,
    predict_outputs,
    to_probabilities,
)
from distingo.prediction.embedding import descriptors_product, gather, input_product
from distingo.records import LabeledImage
from distingo.runs.near_duplicates import read_counts
from distingo.training.heads import axes_of_all, refit_head
from distingo.training.held_out import assign_folds
from distingo.training.pretrained import balances_classes, feature_products
from distingo.training.request import PreparedRun, TrainRequest

ENOUGH = 1_000
"""From so many validation images on they are the calibration set: with them, sets for 90 % cover 88.4 to 91.5 % in 9
of 10 trainings, and the guarantee needs no likeness of models."""

MOST_FOLDS = 10


@dataclass(frozen=True, slots=True)
class CrossFitted:
    """Logits of images by models that were not fitted on them.

    Attributes:
        images: Of training and validation; a class's only image is not among them.
        logits: float64 (n, classes), before calibration.
        folds: How many models were fitted.
    """

    images: tuple[LabeledImage, ...]
    logits: npt.NDArray[np.float64]
    folds: int


def cross_fit(model: SavedModel, prepared: PreparedRun, request: TrainRequest) -> CrossFitted | None:
    """Fit a recipe's model once for each fold of training and validation.

    Args:
        model: Fitted on training, with the settings that were chosen.
        prepared: Its images' inputs are in the cache.
        request: Says where the cache is, and which images a split file keeps together.

    Returns:
        None where validation is the calibration set: it is large enough or over half of the images, there is none, or
        the model is a network that is trained by epochs.
    """
    images = (*prepared.split.train, *prepared.split.validation)
    validation = len(prepared.split.validation)
    folds = count_folds(len(images), validation)
    if not folds or not _is_cheap(model):
        return None
    targets = prepared.encode(images)
    assigned = deal_folds(targets, _groups(images, prepared, request), folds=folds, seed=prepared.recipe.seed)
    folds = int(assigned.max()) + 1
    if folds < 2:
        return None
    give = _head_logits if model.network is not None else _descriptor_logits
    logits = give(model, prepared, request, images, targets, assigned)
    scored = np.flatnonzero(assigned >= 0)
    return CrossFitted(tuple(images[at] for at in scored.tolist()), logits[scored], folds)


def count_folds(images: int, validation: int) -> int:
    """How many folds to divide training and validation into; 0 for none.

    Args:
        images: Of both together.
        validation: Of these.
    """
    if not 0 < validation < ENOUGH:
        return 0
    folds = min(MOST_FOLDS, images // validation)
    return folds if folds > 1 else 0


def deal_folds(
    targets: npt.NDArray[Any], groups: npt.NDArray[np.int64] | None, *, folds: int, seed: int
) -> npt.NDArray[np.int64]:
    """Deal images out to folds, each class evenly, groups whole.

    Args:
        targets: int64 (n,), or truth values (n, classes).
        groups: Each image's group, int64 (n,), from 0; None holds none together.
        folds: How many.
        seed: Of the order within a class.

    Returns:
        Fold numbers int64 (n,), from 0; -1 for images that are never held out, as their class would have no other.
    """
    if groups is None:
        return assign_folds(targets, folds=folds, seed=seed)
    _, first, numbers = np.unique(groups, return_index=True, return_inverse=True)
    assigned = assign_folds(targets[first], folds=folds, seed=seed)[numbers]
    if targets.ndim == 1:
        for number in np.unique(targets).tolist():
            members = targets == number
            if len(np.unique(assigned[members])) == 1:
                assigned[members] = -1
    return assigned


def _is_cheap(model: SavedModel) -> bool:
    if model.network is not None:
        return model.description.mode == "frozen"
    classic = model.classic
    return isinstance(classic, DescriptorClassifier) and classic.can_refit()


def _groups(
    images: Sequence[LabeledImage], prepared: PreparedRun, request: TrainRequest
) -> npt.NDArray[np.int64] | None:
    """The groups of near-duplicates and those that a split file holds together; None where there are none."""
    together: list[Sequence[str]] = []
    if (counts := read_counts(prepared.folder.near_duplicates)) is not None:
        together += counts.files
    if request.split is not None:
        groups: dict[str, list[str]] = {}
        for line in read_split_file(request.split.file).lines:
            if line.group:
                groups.setdefault(line.group, []).append(line.file)
        together += groups.values()
    places = {image.source.file: at for at, image in enumerate(images)}
    pairs = [pair for files in together for pair in pairwise(places[file] for file in files if file in places)]
    return group_images(len(images), [Links("near-duplicate", pairs)]).numbers if pairs else None


def _head_logits(
    model: SavedModel,
    prepared: PreparedRun,
    request: TrainRequest,
    images: tuple[LabeledImage, ...],
    targets: npt.NDArray[Any],
    assigned: npt.NDArray[np.int64],
) -> npt.NDArray[np.float64]:
    recipe, backbone = prepared.recipe, prepared.backbone
    assert backbone is not None
    products = feature_products(backbone, recipe, request.reading.cache, choose_device(recipe.device))
    views = [gather(product, [image.row_key for image in images]) for product in products]
    return cross_fit_head(model.description, views, targets, assigned, balanced=balances_classes(recipe))


def cross_fit_head(
    description: ModelDescription,
    views: Sequence[npt.NDArray[np.float32]],
    targets: npt.NDArray[Any],
    assigned: npt.NDArray[np.int64],
    *,
    balanced: bool = False,
) -> npt.NDArray[np.float64]:
    """Solve a frozen backbone's head once for each fold.

    Args:
        description: Of the model: the head's kind and its settings as they were chosen.
        views: Embeddings float32 (n, features), one array for each view; the first is what held-out images show.
        targets: int64 (n,), or truth values (n, classes).
        assigned: Fold numbers int64 (n,), as from `deal_folds`.
        balanced: Whether classes weigh the same.

    Returns:
        Logits float64 (n, classes) of each image by the head that was not fitted on it; 0 where it has no fold.
    """
    classes = len(description.classes)
    logits = np.zeros((len(targets), classes))
    axes = axes_of_all(description.head, np.concatenate(views), classes=classes, task=description.task)
    for fold in range(int(assigned.max()) + 1):
        kept, held = assigned != fold, assigned == fold
        head = refit_head(
            description.head,
            (np.concatenate([view[kept] for view in views]), np.concatenate([targets[kept]] * len(views))),
            description.settings,
            classes=classes,
            balanced=balanced,
            axes=axes,
        )
        with torch.inference_mode():
            logits[held] = head(torch.from_numpy(views[0][held])).numpy()
    return logits


def _descriptor_logits(
    model: SavedModel,
    prepared: PreparedRun,
    request: TrainRequest,
    images: tuple[LabeledImage, ...],
    targets: npt.NDArray[Any],
    assigned: npt.NDArray[np.int64],
) -> npt.NDArray[np.float64]:
    classifier, description = model.classic, model.description
    assert isinstance(classifier, DescriptorClassifier)
    features = gather(descriptors_product(request.reading.cache), [image.row_key for image in images])
    logits = np.zeros((len(images), len(description.classes)))
    for fold in range(int(assigned.max()) + 1):
        kept, held = assigned != fold, assigned == fold
        again = refit_descriptors(classifier, features[kept], targets[kept], logits.shape[1], seed=prepared.recipe.seed)
        logits[held] = classic_logits(again, features[held], description.task)
    return logits


FREQUENCIES = frozenset({"majority", "prevalence"})
"""Models that give the frequency of classes, whatever the image: there is nothing to calibrate."""


def with_calibration(
    model: SavedModel,
    validation: Sequence[LabeledImage],
    *,
    cache: Cache,
    device: torch.device,
    cross_fitted: CrossFitted | None = None,
) -> SavedModel:
    """Fit a model's calibration (`distingo.metrics.logits.fit_calibration`).

    What a fit did to become comparable on held-out images (margins of a support vector machine to logits) is part of
    the model and stays; this comes on top for every kind alike, and is near nothing where little was left to do.

    Args:
        model: Trained, without thresholds yet: they are chosen on calibrated probabilities.
        validation: Images whose inputs are in the cache; with none the model is given back as it is.
        cache: As the images were read into.
        device: Where a network computes.
        cross_fitted: Logits to fit it on instead, of more images.

    Returns:
        The model whose description holds the calibration.
    """
    description = model.description
    if not validation or description.name in FREQUENCIES:
        return model
    if cross_fitted is not None:
        images, logits = cross_fitted.images, cross_fitted.logits
    else:
        images = tuple(validation)
        rows = input_product(model, cache, device).store.rows([image.row_key for image in images])
        logits = predict_model_logits(model, rows, device=device, precision=choose_precision(device)[0])
    slope, offsets = fit_calibration(logits, encode_labels(images, description.classes, description.task))
    fitted = Calibration(slope, tuple(offsets.tolist()))
    return replace(model, description=replace(description, calibration=fitted))


LARGEST_BANK = 8_000_000
"""Bytes that a bank's rows take at most."""

MOST_ROWS = 5_000
"""Rows that a bank has at most, so that a wide train split is not run through the network again for it."""


def with_evidence(
    model: SavedModel,
    train: Sequence[LabeledImage],
    validation: Sequence[LabeledImage],
    cross_fitted: CrossFitted | None = None,
    *,
    seed: int,
    cache: Cache,
    device: torch.device,
) -> SavedModel:
    """Keep a bank of training features with the model, and its calibration set.

    Args:
        model: With its calibration and thresholds.
        train: Images whose inputs are in the cache; a bank too large takes a part of them, classes in turn.
        validation: Likewise; with none the model is given back as it is.
        cross_fitted: The calibration set where it is more than validation (`distingo.training.calibration`).
        seed: Of the choice of that part.
        cache: As the images were read into.
        device: Where a network computes.
    """
    if not validation or model.description.name in FREQUENCIES:
        return model
    outputs = _outputs(model, validation, cache, device)
    bank = _build(model, train, outputs.features.shape[1], seed=seed, cache=cache, device=device)
    images, logits, folds = validation, outputs.logits, 0
    if cross_fitted is not None:
        images, logits, folds = cross_fitted.images, cross_fitted.logits, cross_fitted.folds
    probabilities = to_probabilities(model, logits)
    targets = encode_labels(images, model.description.classes, model.description.task)
    distances = bank.distances(outputs.features)
    calibration_set = gather_evidence(probabilities, targets, _given(model, probabilities), distances, folds=folds)
    return replace(model, bank=bank, calibration_set=calibration_set)


def choose_rows(images: Sequence[LabeledImage], most: int, *, seed: int) -> list[int]:
    """Positions of images for a bank: all, or one of every class in turn at random until there are enough.

    Args:
        images: Of the train split; of several labels the first alphabetically counts.
        most: How many at most.
        seed: Of the choice.
    """
    if len(images) <= most:
        return list(range(len(images)))
    turns: dict[str, int] = {}
    ranked: list[tuple[int, int, int]] = []
    for place, position in enumerate(np.random.default_rng(seed).permutation(len(images)).tolist()):
        first = min(images[position].labels, default="")
        turns[first] = turns.get(first, -1) + 1
        ranked.append((turns[first], place, position))
    return sorted(position for _, _, position in sorted(ranked)[:most])


def _build(
    model: SavedModel, train: Sequence[LabeledImage], width: int, *, seed: int, cache: Cache, device: torch.device
) -> FeatureBank:
    most = max(1, min(MOST_ROWS, LARGEST_BANK // (2 * width)))
    chosen = [train[position] for position in choose_rows(train, most, seed=seed)]
    features = _outputs(model, chosen, cache, device).features
    return build_bank(features, tuple(image.content for image in chosen), unit=model.network is not None)


def _outputs(model: SavedModel, images: Sequence[LabeledImage], cache: Cache, device: torch.device) -> Outputs:
    rows = input_product(model, cache, device).store.rows([image.row_key for image in images])
    return predict_outputs(model, rows, device=device, precision=choose_precision(device)[0])


def _given(model: SavedModel, probabilities: np.ndarray) -> np.ndarray:
    """The labels that the model gives, bool (n, classes)."""
    if model.description.task == "multi-label":
        return apply_thresholds(probabilities, model.description.require_thresholds())
    chosen: np.ndarray = np.arange(probabilities.shape[1]) == probabilities.argmax(axis=1)[:, None]
    return chosen
