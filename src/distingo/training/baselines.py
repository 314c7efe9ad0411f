"""Models that are fitted at once, without epochs, and the decision thresholds of multi-label models.

They are models of their own, and the baselines next to every network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from distingo.datasets.cache.store import Cache
from distingo.errors import UsageError, option
from distingo.machine.device import choose_device, choose_precision
from distingo.metrics.thresholds import choose_thresholds
from distingo.models.baselines import fit_descriptors, fit_majority, fit_prevalence
from distingo.models.description import ModelDescription
from distingo.models.saved import ClassicClassifier, SavedModel, save_model
from distingo.prediction.classifier import descriptors_product, gather, input_product, predict_probabilities
from distingo.records import LabeledImage, Task, encode_labels
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
        description: Description of the model; its name selects the kind.
        train: Descriptors, float32 (n, 52), and targets: int64 (n,), or bool (n, classes) for multi-label.
        validation: Descriptors and targets for choosing the classifier, in the same form.
        seed: Random seed of the classifiers that use randomness.

    Returns:
        The fitted model with its settings filled in.

    Raises:
        UsageError: ``majority`` for a multi-label data set, or ``prevalence`` for a single-label one.
    """
    classes = len(description.classes)
    is_multi_label = train[1].ndim == 2
    if description.name in {"majority", "prevalence"} and is_multi_label != (description.name == "prevalence"):
        alternative, task = ("prevalence", "several labels") if is_multi_label else ("majority", "one label")
        raise UsageError(
            f"{option('model')} {description.name}: not for {task} per picture; choose {alternative}",
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
        model: A trained model; a single-label model is returned unchanged.
        validation: Validation images; their inputs must be in the cache.
        recipe: Specifies what the thresholds optimize.
        cache: Cache that holds the images' inputs.
        device: Device that a network runs on.

    Returns:
        The model with one threshold per label in its description.
    """
    description = model.description
    if description.task == "single-label":
        return model
    rows = input_product(model, cache, device).store.rows([image.row_key for image in validation])
    thresholds = choose_thresholds(
        encode_labels(validation, description.classes, description.task),
        # use the precision of evaluation and prediction, so that equal images get equal probabilities
        predict_probabilities(model, rows, device=device, precision=choose_precision(device)[0]),
        aim=recipe.threshold_aim,
        requested=recipe.threshold_target,
        labels=description.classes,
    )
    return replace(model, description=replace(description, thresholds=thresholds))


BASELINES: dict[Task, tuple[str, ...]] = {
    "single-label": ("majority", "descriptors"),
    "multi-label": ("prevalence", "descriptors"),
}
"""Baselines fitted for every network, so that its scores can be compared."""


def save_baselines(prepared: PreparedRun, request: TrainRequest) -> None:
    """Fit the baselines that a run does not have yet, and save them in its folder."""
    for name in BASELINES[prepared.dataset.task]:
        folder = prepared.folder.baseline(name)
        if name == prepared.description.name or (folder / "model.json").is_file():
            continue
        save_model(folder, fit_baseline(name, prepared, request))


def fit_baseline(name: str, prepared: PreparedRun, request: TrainRequest) -> SavedModel:
    """Fit one of `BASELINES` on a prepared run's train split, calibrated and with its thresholds."""
    description = replace(prepared.description, name=name, kind="classic", image_spec=None, normalize="none")
    description = replace(description, backbone=None, head="", mode="scratch", dropout=None)
    return calibrated(_fit(prepared, request, description), prepared, request)


def fit_classic_model(prepared: PreparedRun, request: TrainRequest) -> SavedModel:
    """Fit the classic model of a run on its train split."""
    return _fit(prepared, request, prepared.description)


def calibrated(
    model: SavedModel, prepared: PreparedRun, request: TrainRequest, cross_fitted: CrossFitted | None = None
) -> SavedModel:
    """Calibrate a model, then choose its thresholds on the calibrated probabilities.

    Args:
        model: A fitted model.
        prepared: Run whose validation split both are fitted on.
        request: Training request, which names the cache.
        cross_fitted: Cross-fitted logits to fit the calibration on instead of the validation split.
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
