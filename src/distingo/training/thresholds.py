"""With several labels per picture: the thresholds that a finished model gives its labels from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from distingo.datasets.store import Cache
from distingo.datasets.targets import encode_labels
from distingo.metrics.thresholds import choose_thresholds
from distingo.models.machine import choose_precision
from distingo.models.saved import SavedModel
from distingo.prediction.classifier import predict_probabilities
from distingo.prediction.inputs import input_product
from distingo.records import Picture
from distingo.training.recipe import Recipe


def with_thresholds(
    model: SavedModel, validation: Sequence[Picture], recipe: Recipe, *, cache: Cache, device: torch.device
) -> SavedModel:
    """Choose a model's thresholds on the validation side.

    Args:
        model: Trained; one for single labels is given back as it is.
        validation: Pictures whose inputs lie in the cache.
        recipe: Says what the thresholds are for.
        cache: As the pictures were read into.
        device: Where a network computes.

    Returns:
        The model whose description holds one threshold per label.
    """
    description = model.description
    if description.task == "single-label":
        return model
    rows = input_product(model, cache, device).store.rows([picture.row_key for picture in validation])
    thresholds = choose_thresholds(
        encode_labels(validation, description.classes, description.task),
        # in the precision that evaluation and prediction compute in, so that equal pictures give equal probabilities
        predict_probabilities(model, rows, device=device, precision=choose_precision(device)[0]),
        aim=recipe.threshold_aim,
        wanted=recipe.threshold_wanted,
        labels=description.classes,
    )
    return replace(model, description=replace(description, thresholds=thresholds))
