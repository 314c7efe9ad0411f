"""Models without epochs on a prepared run: its own, or the baselines beside it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from distingo.datasets.gathering import Product, read_dataset
from distingo.datasets.targets import encode_labels
from distingo.models.saved import ModelDescription, SavedModel, save_model
from distingo.prediction.device import choose_device
from distingo.prediction.inputs import descriptors_product
from distingo.records import Task
from distingo.training.calibrating import with_calibration
from distingo.training.classic import fit_classic
from distingo.training.cross_fitting import CrossFitted
from distingo.training.preparing import PreparedRun, TrainRequest, decoding_is_dear
from distingo.training.thresholds import with_thresholds

BASELINES: dict[Task, tuple[str, ...]] = {
    "single-label": ("majority", "descriptors"),
    "multi-label": ("prevalence", "descriptors"),
}
"""Fitted beside every network, so that no score stands alone."""


def save_baselines(prepared: PreparedRun, request: TrainRequest) -> None:
    """Fit those of a run's baselines that are not there yet, and save them in its folder."""
    for name in BASELINES[prepared.dataset.task]:
        place = prepared.folder.baseline(name)
        if name == prepared.description.name or (place / "model.json").is_file():
            continue
        save_model(place, fit_baseline(name, prepared, request))


def fit_baseline(name: str, prepared: PreparedRun, request: TrainRequest) -> SavedModel:
    """Fit one of `BASELINES` on a prepared run's training side, calibrated and with its thresholds."""
    description = replace(prepared.description, name=name, kind="classic", rendition=None, normalise="none")
    description = replace(description, backbone=None, head="", mode="scratch", dropout=None)
    return calibrated(_fit(prepared, request, description), prepared, request)


def fit_classic_model(prepared: PreparedRun, request: TrainRequest) -> SavedModel:
    """Fit the model that a run of a classic model is about, on its training side."""
    return _fit(prepared, request, prepared.description)


def calibrated(
    model: SavedModel, prepared: PreparedRun, request: TrainRequest, cross_fitted: CrossFitted | None = None
) -> SavedModel:
    """A model with its calibration and then, on calibrated probabilities, its thresholds.

    Args:
        model: Fitted.
        prepared: Its validation side is what both are fitted on.
        request: Says where the cache is.
        cross_fitted: What the calibration is fitted on instead.
    """
    cache, device = request.cache, choose_device(prepared.recipe.device)
    model = with_calibration(model, prepared.split.validation, cache=cache, device=device, cross_fitted=cross_fitted)
    return with_thresholds(model, prepared.split.validation, prepared.recipe, cache=cache, device=device)


def _fit(prepared: PreparedRun, request: TrainRequest, description: ModelDescription) -> SavedModel:
    product = descriptors_product(request.cache)
    used = (*prepared.split.train, *prepared.split.validation)
    if not decoding_is_dear(prepared.dataset.root) and product.store.missing(picture.row_key for picture in used):
        _read_again(prepared, request, product)
    sides = []
    for pictures in (prepared.split.train, prepared.split.validation):
        features = product.store.rows([picture.row_key for picture in pictures])
        targets = encode_labels(pictures, prepared.dataset.classes, prepared.dataset.task)
        sides.append((features.take(np.arange(len(pictures))), targets))
    return fit_classic(description, sides[0], sides[1], seed=prepared.recipe.seed)


def _read_again(prepared: PreparedRun, request: TrainRequest, product: Product) -> None:
    """Fill a product that the first reading left out; what is filled already costs a hash per picture."""
    read_dataset(
        prepared.dataset.root,
        cache=request.cache,
        products=[product],
        max_pixels=request.max_pixels,
        workers=request.workers,
        corrections=request.corrections,
        value_ranges=prepared.dataset.value_ranges,
    )
