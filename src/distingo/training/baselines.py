"""Models that are fitted at once, without epochs, and the decision thresholds of multi-label models.

They are models of their own, and the baselines next to every network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from distingo.datasets.cache.store import Cache
from distingo.datasets.targets import encode_labels
from distingo.errors import UsageError, option
from distingo.machine.device import choose_device, choose_precision
from distingo.metrics.thresholds import choose_thresholds
from distingo.models.description import ModelDescription
from distingo.models.descriptors import fit_descriptors
from distingo.models.frequencies import fit_majority, fit_prevalence
from distingo.models.saved import ClassicClassifier, SavedModel, save_model
from distingo.prediction.classifier import predict_probabilities
from distingo.prediction.embedding import descriptors_product, gather, input_product
from distingo.records import LabeledImage, Task
from distingo.training.calibration import CrossFitted, with_calibration
from distingo.training.recipe import Recipe
from distingo.training.request import PreparedRun, TrainRequest


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
    model: SavedModel, validation: Sequence[LabeledImage], recipe: Recipe, *, cache: Cache, device: torch.device
) -> SavedModel:
    """Choose a model's thresholds on the validation split.

    Args:
        model: Trained; one for single labels is given back as it is.
        validation: Images whose inputs are in the cache.
        recipe: Says what the thresholds are for.
        cache: As the images were read into.
        device: Where a network computes.

    Returns:
        The model whose description holds one threshold per label.
    """
    description = model.description
    if description.task == "single-label":
        return model
    rows = input_product(model, cache, device).store.rows([image.row_key for image in validation])
    thresholds = choose_thresholds(
        encode_labels(validation, description.classes, description.task),
        # in the precision that evaluation and prediction compute in, so that equal images give equal probabilities
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
"""Fitted next to every network, so that no score stands alone."""


def save_baselines(prepared: PreparedRun, request: TrainRequest) -> None:
    """Fit those of a run's baselines that are not there yet, and save them in its folder."""
    for name in BASELINES[prepared.dataset.task]:
        place = prepared.folder.baseline(name)
        if name == prepared.description.name or (place / "model.json").is_file():
            continue
        save_model(place, fit_baseline(name, prepared, request))


def fit_baseline(name: str, prepared: PreparedRun, request: TrainRequest) -> SavedModel:
    """Fit one of `BASELINES` on a prepared run's train split, calibrated and with its thresholds."""
    description = replace(prepared.description, name=name, kind="classic", rendition=None, normalise="none")
    description = replace(description, backbone=None, head="", mode="scratch", dropout=None)
    return calibrated(_fit(prepared, request, description), prepared, request)


def fit_classic_model(prepared: PreparedRun, request: TrainRequest) -> SavedModel:
    """Fit the model that a run of a classic model is about, on its train split."""
    return _fit(prepared, request, prepared.description)


def calibrated(
    model: SavedModel, prepared: PreparedRun, request: TrainRequest, cross_fitted: CrossFitted | None = None
) -> SavedModel:
    """A model with its calibration and then, on calibrated probabilities, its thresholds.

    Args:
        model: Fitted.
        prepared: Its validation split is what both are fitted on.
        request: Says where the cache is.
        cross_fitted: What the calibration is fitted on instead.
    """
    cache, device = request.reading.cache, choose_device(prepared.recipe.device)
    model = with_calibration(model, prepared.split.validation, cache=cache, device=device, cross_fitted=cross_fitted)
    return with_thresholds(model, prepared.split.validation, prepared.recipe, cache=cache, device=device)


def _fit(prepared: PreparedRun, request: TrainRequest, description: ModelDescription) -> SavedModel:
    product = descriptors_product(request.reading.cache)
    prepared.fill([product], request)
    train, validation = (
        (gather(product, [image.row_key for image in images]), prepared.encode(images))
        for images in (prepared.split.train, prepared.split.validation)
    )
    return fit_classic(description, train, validation, seed=prepared.recipe.seed)
