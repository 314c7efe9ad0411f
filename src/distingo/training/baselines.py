"""Models without epochs on a prepared run: its own, or the baselines beside it.

Models without epochs: fitted at once, as models of their own and as the baselines beside every network.

With several labels per picture: the thresholds that a finished model gives its labels from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from distingo.datasets.cache.store import Cache
from distingo.datasets.gathering import Product, read_dataset
from distingo.datasets.targets import encode_labels
from distingo.errors import UsageError, option
from distingo.machine.device import choose_device, choose_precision
from distingo.metrics.thresholds import choose_thresholds
from distingo.models.descriptors import fit_descriptors
from distingo.models.majority import fit_majority
from distingo.models.prevalence import fit_prevalence
from distingo.models.saved import ClassicClassifier, ModelDescription, SavedModel, save_model
from distingo.prediction.classifier import predict_probabilities
from distingo.prediction.embedding import descriptors_product, input_product
from distingo.records import Picture, Task
from distingo.training.cross_fitting import CrossFitted
from distingo.training.evidence import with_calibration
from distingo.training.preparing import PreparedRun, TrainRequest, decoding_is_dear
from distingo.training.recipe import Recipe


def fit_classic(
    description: ModelDescription,
    train: tuple[np.ndarray, np.ndarray],
    validation: tuple[np.ndarray, np.ndarray],
    *,
    seed: int,
) -> SavedModel:
    """Fit ``descriptors``, ``majority`` or ``prevalence``.

    Args:
        description: Its name says which.
        train: Descriptors float32 (n, 52) and targets: int64 (n,), or bool (n, classes) for several labels.
        validation: The same, to choose the classifier by.
        seed: Of classifiers with chance in them.

    Returns:
        The fitted model with its settings filled in.

    Raises:
        UsageError: ``majority`` for several labels, or ``prevalence`` for one.
    """
    classes = len(description.classes)
    several = train[1].ndim == 2
    if description.name in {"majority", "prevalence"} and several != (description.name == "prevalence"):
        other, words = ("prevalence", "several labels") if several else ("majority", "one label")
        raise UsageError(
            f"{option('model')} {description.name}: not for {words} per picture; choose {other}",
            code="option_not_applicable",
            parameter="model",
        )
    if description.name == "majority":
        classifier: ClassicClassifier = fit_majority(train[1], classes)
    elif description.name == "prevalence":
        classifier = fit_prevalence(train[1])
    else:
        classifier = fit_descriptors(*train, *validation, classes, seed=seed)
    return SavedModel(
        description=replace(description, settings=classifier.settings()),
        classic=classifier,
    )


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
        requested=recipe.threshold_wanted,
        labels=description.classes,
    )
    return replace(model, description=replace(description, thresholds=thresholds))


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
