"""The calibration set: what a recipe's models give for pictures that they were not fitted on.

The model itself gives it for validation, and where that is large nothing more is needed. Where it is small, and another
fit is cheap (a head on a frozen backbone, a classic model), training and validation are divided into folds, and each
picture is scored by a model that was fitted on the other folds with the settings that were chosen: cross-conformal
prediction (Vovk 2015; Barber et al., Predictive inference with the jackknife+, 2021) with one threshold for the final
model. There are no more folds than leave each model with at most as many pictures as the final one, whose probabilities
are therefore rather a little higher.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from distingo.datasets.splits.files import read_split_file
from distingo.datasets.splits.grouping import Links, group_pictures
from distingo.datasets.targets import encode_labels
from distingo.machine.device import choose_device
from distingo.models.descriptors import DescriptorClassifier, refit_descriptors
from distingo.models.saved import ModelDescription, SavedModel
from distingo.near_duplicates.records import read_counts
from distingo.prediction.classifier import classic_logits
from distingo.prediction.embedding import descriptors_product, gather
from distingo.records import Picture
from distingo.training.heads import axes_of_all, refit_head
from distingo.training.held_out import assign_folds
from distingo.training.preparing import PreparedRun, TrainRequest
from distingo.training.pretrained import balances_classes, feature_products

ENOUGH = 1_000
"""From so many validation pictures on they are the calibration set: with them, sets for 90 % cover 88.4 to 91.5 % in 9
of 10 trainings, and the guarantee needs no likeness of models."""

MOST_FOLDS = 10


@dataclass(frozen=True, slots=True)
class CrossFitted:
    """Logits of pictures by models that were not fitted on them.

    Attributes:
        pictures: Of training and validation; a class's only picture is not among them.
        logits: float64 (n, classes), before calibration.
        folds: How many models were fitted.
    """

    pictures: tuple[Picture, ...]
    logits: npt.NDArray[np.float64]
    folds: int


def cross_fit(model: SavedModel, prepared: PreparedRun, request: TrainRequest) -> CrossFitted | None:
    """Fit a recipe's model once for each fold of training and validation.

    Args:
        model: Fitted on training, with the settings that were chosen.
        prepared: Its pictures' inputs lie in the cache.
        request: Says where the cache is, and which pictures a split file keeps together.

    Returns:
        None where validation is the calibration set: it is large enough or over half of the pictures, there is none, or
        the model is a network that is trained by epochs.
    """
    pictures = (*prepared.split.train, *prepared.split.validation)
    validation = len(prepared.split.validation)
    folds = count_folds(len(pictures), validation)
    if not folds or not _is_cheap(model):
        return None
    dataset = prepared.dataset
    targets = encode_labels(pictures, dataset.classes, dataset.task)
    assigned = deal_folds(targets, _groups(pictures, prepared, request), folds=folds, seed=prepared.recipe.seed)
    folds = int(assigned.max()) + 1
    if folds < 2:
        return None
    give = _head_logits if model.network is not None else _descriptor_logits
    logits = give(model, prepared, request, pictures, targets, assigned)
    scored = np.flatnonzero(assigned >= 0)
    return CrossFitted(tuple(pictures[at] for at in scored.tolist()), logits[scored], folds)


def count_folds(pictures: int, validation: int) -> int:
    """How many folds to divide training and validation into; 0 for none.

    Args:
        pictures: Of both together.
        validation: Of these.
    """
    if not 0 < validation < ENOUGH:
        return 0
    folds = min(MOST_FOLDS, pictures // validation)
    return folds if folds > 1 else 0


def deal_folds(
    targets: npt.NDArray[Any], groups: npt.NDArray[np.int64] | None, *, folds: int, seed: int
) -> npt.NDArray[np.int64]:
    """Deal pictures out to folds, each class evenly, groups whole.

    Args:
        targets: int64 (n,), or truth values (n, classes).
        groups: Each picture's group, int64 (n,), from 0; None holds none together.
        folds: How many.
        seed: Of the order within a class.

    Returns:
        Fold numbers int64 (n,), from 0; -1 for pictures that are never held out, as their class would have no other.
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


def _groups(pictures: Sequence[Picture], prepared: PreparedRun, request: TrainRequest) -> npt.NDArray[np.int64] | None:
    """The groups of near-duplicates and those that a split file holds together; None where there are none."""
    together: list[Sequence[str]] = []
    if (counts := read_counts(prepared.folder.near_duplicates)) is not None:
        together += counts.files
    if request.split is not None:
        groups: dict[str, list[str]] = {}
        for line in read_split_file(request.split.path).lines:
            if line.group:
                groups.setdefault(line.group, []).append(line.file)
        together += groups.values()
    places = {picture.source.file: at for at, picture in enumerate(pictures)}
    pairs = [pair for files in together for pair in pairwise(places[file] for file in files if file in places)]
    return group_pictures(len(pictures), [Links("near-duplicate", pairs)]).numbers if pairs else None


def _head_logits(
    model: SavedModel,
    prepared: PreparedRun,
    request: TrainRequest,
    pictures: tuple[Picture, ...],
    targets: npt.NDArray[Any],
    assigned: npt.NDArray[np.int64],
) -> npt.NDArray[np.float64]:
    recipe, backbone = prepared.recipe, prepared.backbone
    assert backbone is not None
    products = feature_products(backbone, recipe, request.reading.cache, choose_device(recipe.device))
    views = [gather(product, [picture.row_key for picture in pictures]) for product in products]
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
        views: Embeddings float32 (n, features), one array for each view; the first is what held-out pictures show.
        targets: int64 (n,), or truth values (n, classes).
        assigned: Fold numbers int64 (n,), as from `deal_folds`.
        balanced: Whether classes weigh the same.

    Returns:
        Logits float64 (n, classes) of each picture by the head that was not fitted on it; 0 where it has no fold.
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
    pictures: tuple[Picture, ...],
    targets: npt.NDArray[Any],
    assigned: npt.NDArray[np.int64],
) -> npt.NDArray[np.float64]:
    classifier, description = model.classic, model.description
    assert isinstance(classifier, DescriptorClassifier)
    features = gather(descriptors_product(request.reading.cache), [picture.row_key for picture in pictures])
    logits = np.zeros((len(pictures), len(description.classes)))
    for fold in range(int(assigned.max()) + 1):
        kept, held = assigned != fold, assigned == fold
        again = refit_descriptors(classifier, features[kept], targets[kept], logits.shape[1], seed=prepared.recipe.seed)
        logits[held] = classic_logits(again, features[held], description.task)
    return logits
