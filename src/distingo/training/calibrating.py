"""The calibration of a finished model, whatever its kind, fitted on pictures that it was not fitted on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from distingo.datasets.store import Cache
from distingo.datasets.targets import encode_labels
from distingo.models.calibration import Calibration
from distingo.models.machine import choose_precision
from distingo.models.saved import SavedModel
from distingo.prediction.classifier import predict_model_logits
from distingo.prediction.inputs import input_product
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
