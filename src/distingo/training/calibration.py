"""Calibration of a fitted model, and its calibration set: outputs for images that it was not fitted on.

If the validation split is large, the model's own outputs for it are the calibration set. If it is small and refitting
is cheap (a head on a frozen backbone, a classic model), the train and validation splits are divided into folds, and
each image is scored by a model that was fitted on the other folds with the chosen settings: cross-conformal prediction
(Vovk 2015; Barber et al., Predictive inference with the jackknife+, 2021) with one threshold for the final model. The
number of folds is limited so that no fold's model is fitted on more images than the final model; the final model's
probabilities therefore tend to be slightly higher.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from distingo.datasets.cache.store import Cache
from distingo.datasets.splits.files import read_split_file
from distingo.datasets.splits.grouping import Links, group_images
from distingo.machine.device import choose_device, choose_precision
from distingo.metrics.logits import assign_folds, fit_calibration
from distingo.metrics.thresholds import apply_thresholds
from distingo.models.baselines import DescriptorClassifier, refit_descriptors
from distingo.models.description import ModelDescription
from distingo.models.reference_data import Calibration, FeatureBank, build_bank, build_calibration_set
from distingo.models.saved import SavedModel
from distingo.prediction.classifier import (
    Outputs,
    classic_logits,
    descriptors_product,
    gather,
    input_product,
    predict_model_logits,
    predict_outputs,
    to_probabilities,
)
from distingo.records import LabeledImage, encode_labels
from distingo.runs.data import read_counts
from distingo.training.head_selection import axes_of_all, refit_head
from distingo.training.pretrained import balances_classes, feature_products

if TYPE_CHECKING:
    from distingo.training.request import PreparedRun, TrainRequest

ENOUGH = 1_000
"""Number of validation images from which they alone are the calibration set. With that many, 90 % prediction sets cover
88.4 to 91.5 % in 9 of 10 trainings, and the guarantee does not assume that the folds' models are alike."""

MAX_FOLDS = 10


@dataclass(frozen=True, slots=True)
class CrossFitted:
    """Logits of images by models that were not fitted on them.

    Attributes:
        images: Images of the train and validation splits, without those that are the only image of their class.
        logits: float64 (n, classes), before calibration.
        folds: Number of models that were fitted.
    """

    images: tuple[LabeledImage, ...]
    logits: npt.NDArray[np.float64]
    folds: int


def cross_fit(model: SavedModel, prepared: PreparedRun, request: TrainRequest) -> CrossFitted | None:
    """Fit a recipe's model once for each fold of the train and validation splits.

    Args:
        model: Model fitted on the train split with the chosen settings.
        prepared: Run whose image inputs are in the cache.
        request: Training request: names the cache and the split file, which may keep images together.

    Returns:
        None if the validation split is the calibration set (it is large enough, or more than half of the images), if
        there is no validation split, or if the model is a network that is trained by epochs.
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
    compute_logits = _head_logits if model.network is not None else _descriptor_logits
    logits = compute_logits(model, prepared, request, images, targets, assigned)
    scored = np.flatnonzero(assigned >= 0)
    return CrossFitted(tuple(images[positions] for positions in scored.tolist()), logits[scored], folds)


def count_folds(images: int, validation: int) -> int:
    """Return the number of folds for cross-fitting, or 0 if there should be none.

    Args:
        images: Number of images in the train and validation splits together.
        validation: Number of images in the validation split.
    """
    if not 0 < validation < ENOUGH:
        return 0
    folds = min(MAX_FOLDS, images // validation)
    return folds if folds > 1 else 0


def deal_folds(
    targets: npt.NDArray[Any], groups: npt.NDArray[np.int64] | None, *, folds: int, seed: int
) -> npt.NDArray[np.int64]:
    """Assign images to stratified folds without dividing a group.

    Args:
        targets: int64 (n,), or bool (n, classes).
        groups: Group of each image, int64 (n,), from 0; None if there are no groups.
        folds: Number of folds.
        seed: Random seed for the order within a class.

    Returns:
        Fold numbers, int64 (n,), from 0; -1 for images that are never held out because their class has no others.
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
    """Return the groups of near-duplicates and those that a split file keeps together, or None if there are none."""
    linked: list[Sequence[str]] = []
    if (counts := read_counts(prepared.folder.near_duplicates)) is not None:
        linked += counts.files
    if request.split is not None:
        groups: dict[str, list[str]] = {}
        for line in read_split_file(request.split.file).lines:
            if line.group:
                groups.setdefault(line.group, []).append(line.file)
        linked += groups.values()
    positions = {image.source.file: position for position, image in enumerate(images)}
    pairs = [pair for files in linked for pair in pairwise(positions[file] for file in files if file in positions)]
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
        description: Model description with the head's kind and its chosen settings.
        views: Embeddings, float32 (n, features), one array per view; held-out images are scored on the first view.
        targets: int64 (n,), or bool (n, classes).
        assigned: Fold numbers, int64 (n,), as returned by `deal_folds`.
        balanced: Whether all classes have the same total weight.

    Returns:
        Logits, float64 (n, classes), of each image from the head that was not fitted on it; 0 if it has no fold.
    """
    classes = len(description.classes)
    logits = np.zeros((len(targets), classes))
    axes = axes_of_all(description.head, np.concatenate(views), classes=classes, task=description.task)
    for fold in range(int(assigned.max()) + 1):
        fitted, held_out = assigned != fold, assigned == fold
        head = refit_head(
            description.head,
            (np.concatenate([view[fitted] for view in views]), np.concatenate([targets[fitted]] * len(views))),
            description.settings,
            classes=classes,
            balanced=balanced,
            axes=axes,
        )
        with torch.inference_mode():
            logits[held_out] = head(torch.from_numpy(views[0][held_out])).numpy()
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
        fitted, held_out = assigned != fold, assigned == fold
        refitted = refit_descriptors(
            classifier, features[fitted], targets[fitted], logits.shape[1], seed=prepared.recipe.seed
        )
        logits[held_out] = classic_logits(refitted, features[held_out], description.task)
    return logits


FREQUENCY_MODELS = frozenset({"majority", "prevalence"})
"""Models that predict class frequencies regardless of the image, so there is nothing to calibrate."""


def with_calibration(
    model: SavedModel,
    validation: Sequence[LabeledImage],
    *,
    cache: Cache,
    device: torch.device,
    cross_fitted: CrossFitted | None = None,
) -> SavedModel:
    """Fit a model's calibration (`distingo.metrics.logits.fit_calibration`).

    A fit may already have scaled its outputs on held-out images (a support vector machine turns margins into logits).
    That scaling is part of the model and stays; the calibration is applied after it for every kind of model, and is
    close to the identity if the outputs are already calibrated.

    Args:
        model: Trained model without thresholds, since those are chosen on calibrated probabilities.
        validation: Images whose inputs are in the cache; if empty, the model is returned unchanged.
        cache: Cache that holds the images' inputs.
        device: Device that a network runs on.
        cross_fitted: Cross-fitted logits of more images to fit the calibration on instead.

    Returns:
        The model with the calibration in its description.
    """
    description = model.description
    if not validation or description.name in FREQUENCY_MODELS:
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
"""Largest size of a bank's rows in bytes."""

MAX_ROWS = 5_000
"""Largest number of rows in a bank, so that not all of a large train split passes through the network again."""


def with_calibration_set(
    model: SavedModel,
    train: Sequence[LabeledImage],
    validation: Sequence[LabeledImage],
    cross_fitted: CrossFitted | None = None,
    *,
    seed: int,
    cache: Cache,
    device: torch.device,
) -> SavedModel:
    """Add a bank of training features and the calibration set to a model.

    Args:
        model: Model with its calibration and thresholds.
        train: Images whose inputs are in the cache; if they exceed the bank's limit, a stratified sample is used.
        validation: Images whose inputs are in the cache; if empty, the model is returned unchanged.
        cross_fitted: Calibration set to use instead of the validation split (see `cross_fit`).
        seed: Random seed for the sample.
        cache: Cache that holds the images' inputs.
        device: Device that a network runs on.
    """
    if not validation or model.description.name in FREQUENCY_MODELS:
        return model
    outputs = _outputs(model, validation, cache, device)
    bank = _build(model, train, outputs.features.shape[1], seed=seed, cache=cache, device=device)
    images, logits, folds = validation, outputs.logits, 0
    if cross_fitted is not None:
        images, logits, folds = cross_fitted.images, cross_fitted.logits, cross_fitted.folds
    probabilities = to_probabilities(model, logits)
    targets = encode_labels(images, model.description.classes, model.description.task)
    distances = bank.distances(outputs.features)
    calibration_set = build_calibration_set(
        probabilities, targets, _predicted_labels(model, probabilities), distances, folds=folds
    )
    return replace(model, bank=bank, calibration_set=calibration_set)


def choose_rows(images: Sequence[LabeledImage], limit: int, *, seed: int) -> list[int]:
    """Choose images for a bank: all of them, or a random sample that takes one of each class in turn.

    Args:
        images: Images of the train split; a multi-label image counts for its alphabetically first label.
        limit: Largest number of images.
        seed: Random seed for the sample.
    """
    if len(images) <= limit:
        return list(range(len(images)))
    turns: dict[str, int] = {}
    ranked: list[tuple[int, int, int]] = []
    for order, position in enumerate(np.random.default_rng(seed).permutation(len(images)).tolist()):
        first = min(images[position].labels, default="")
        turns[first] = turns.get(first, -1) + 1
        ranked.append((turns[first], order, position))
    return sorted(position for _, _, position in sorted(ranked)[:limit])


def _build(
    model: SavedModel, train: Sequence[LabeledImage], width: int, *, seed: int, cache: Cache, device: torch.device
) -> FeatureBank:
    limit = max(1, min(MAX_ROWS, LARGEST_BANK // (2 * width)))
    chosen = [train[position] for position in choose_rows(train, limit, seed=seed)]
    features = _outputs(model, chosen, cache, device).features
    return build_bank(features, tuple(image.content for image in chosen), unit=model.network is not None)


def _outputs(model: SavedModel, images: Sequence[LabeledImage], cache: Cache, device: torch.device) -> Outputs:
    rows = input_product(model, cache, device).store.rows([image.row_key for image in images])
    return predict_outputs(model, rows, device=device, precision=choose_precision(device)[0])


def _predicted_labels(model: SavedModel, probabilities: np.ndarray) -> np.ndarray:
    """Return the labels that the model predicts, bool (n, classes)."""
    if model.description.task == "multi-label":
        return apply_thresholds(probabilities, model.description.require_thresholds())
    chosen: np.ndarray = np.arange(probabilities.shape[1]) == probabilities.argmax(axis=1)[:, None]
    return chosen
