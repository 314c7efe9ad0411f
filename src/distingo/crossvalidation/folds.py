"""Division of a data set into folds, and training and prediction for one fold."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from distingo.crossvalidation.folder import FoldResult, write_fold
from distingo.datasets.cache.store import Cache
from distingo.datasets.splits.dividing import divide_groups
from distingo.datasets.splits.files import SplitFile, match_folds
from distingo.datasets.splits.group_splitting import Division, divide_folds
from distingo.datasets.splits.grouping import Grouping
from distingo.datasets.splits.splitting import order_split
from distingo.datasets.targets import encode_labels
from distingo.errors import DataError, name_some
from distingo.evaluation.scores import MODEL
from distingo.machine.device import choose_device, choose_precision
from distingo.messages.notes import Note
from distingo.models.saved import SavedModel
from distingo.prediction.classifier import predict_probabilities
from distingo.prediction.embedding import input_product
from distingo.records import Dataset, LabeledImage, Split, SplitName
from distingo.runs.folder import RunFolder
from distingo.training.baselines import BASELINES, fit_baseline
from distingo.training.preparing import ChosenRun
from distingo.training.request import TrainRequest
from distingo.training.run import train_model


@dataclass(frozen=True, slots=True)
class Folds:
    """A division into folds.

    Attributes:
        dataset: A data set with exactly the images of the folds.
        numbers: Fold number of each image, counted from 1, int64 (n,).
        grouping: Which images belong together.
        notes: Notes for the user.
    """

    dataset: Dataset
    numbers: np.ndarray
    grouping: Grouping
    notes: tuple[Note, ...] = ()

    @property
    def count(self) -> int:
        """Number of folds."""
        return int(self.numbers.max())

    @property
    def each(self) -> range:
        """The numbers of all folds."""
        return range(1, self.count + 1)

    def split(self, fold: int, *, validation: float, seed: int) -> Split:
        """Split with one fold as the test split, and a stratified validation split of whole groups from the others.

        Args:
            fold: Number of the fold.
            validation: Share of the other folds' images in the validation split.
            seed: Seed of the validation split.
        """
        images = self.dataset.images
        rest = np.flatnonzero(self.numbers != fold)
        splits: dict[SplitName, list[LabeledImage]] = {"train": [], "validation": [], "test": []}
        splits["test"] = [images[at] for at in np.flatnonzero(self.numbers == fold)]
        for at, part in zip(rest, cut_groups(self, rest, [1 - validation, validation], seed), strict=True):
            splits["validation" if part else "train"].append(images[at])
        return order_split(splits, ())

    def division(self) -> Division:
        """Convert to the input of `distingo.datasets.splits.files.write_split_file`."""
        parts = tuple(str(number) for number in range(1, self.count + 1))
        return Division(parts, folds=True, numbers=self.numbers - 1, grouping=self.grouping, shares=())


def cut_groups(folds: Folds, chosen: np.ndarray, shares: Sequence[float], seed: int) -> np.ndarray:
    """Divide images into stratified parts of whole groups; the first part contains every class.

    Args:
        folds: Folds with the groups of the images.
        chosen: Indices of the images to divide.
        shares: Shares of the parts, which sum to 1.
        seed: Seed of the division.

    Returns:
        The part of each image, int64 of the shape of `chosen`.
    """
    dataset = folds.dataset
    table = encode_labels([dataset.images[at] for at in chosen], dataset.classes, "multi-label")
    return divide_groups(table, folds.grouping.numbers[chosen], shares, seed=seed, needed=0)


def divide(dataset: Dataset, grouping: Grouping, *, folds: int, seed: int, resplit: bool) -> Folds:
    """Divide all images of a data set into folds.

    Raises:
        DataError: There are too few groups, or all images of a class are in one fold.
        UsageError: The number or the seed is out of range, or the data already has splits.
    """
    division = divide_folds(dataset, grouping, folds=folds, seed=seed, resplit=resplit)
    result = Folds(dataset, division.numbers + 1, grouping, division.notes)
    require_learnable(result)
    return result


def from_split_file(split_file: SplitFile, dataset: Dataset) -> Folds:
    """Create the folds of a split file.

    Raises:
        DataError: An image's content differs from the file, a fold is empty, or all images of a class are in one fold.
        UsageError: The file has no folds.
    """
    images, numbers, groups, notes = match_folds(split_file, dataset)
    grouping = Grouping(groups, ((),) * (int(groups.max()) + 1 if len(groups) else 0))
    folds = Folds(replace(dataset, images=images), numbers, grouping, notes)
    if empty := [number for number in range(1, split_file.folds + 1) if not (numbers == number).any()]:
        raise DataError(
            f"{split_file.path}: no picture of {dataset.root} is on fold {empty[0]}; make a new split",
            code="split_incomplete",
        )
    require_learnable(folds)
    return folds


def require_learnable(folds: Folds) -> None:
    """Check that no fold contains all images of a class, as it could not be learned from the other folds.

    Multi-label folds may contain all images of a label; a note reports it.
    """
    dataset = folds.dataset
    if dataset.task == "multi-label":
        return
    targets = encode_labels(dataset.images, dataset.classes, dataset.task)
    occurs = np.zeros((len(dataset.classes), folds.count), bool)
    occurs[targets, folds.numbers - 1] = True
    if single := [name for name, where in zip(dataset.classes, occurs, strict=True) if where.sum() == 1]:
        raise DataError(
            f"{dataset.root}: all pictures of class {name_some(single, 3)} lie on one fold, as they are too few or "
            "belong together, so no other fold can teach it; add pictures or move the class away",
            code="split_incomplete",
        )


_ONE_FOREST = threading.Lock()
"""Forest lock: each uses all processors, and scikit-learn's warning filters fail for concurrent forests."""


@dataclass(frozen=True, slots=True)
class FinishedFold:
    """A fold and its result.

    Attributes:
        repeat: Number of the division, counted from 1.
        number: Number of the fold in the division, counted from 1.
        split: Split with the fold as the test split.
        result: Predictions for the fold.
    """

    repeat: int
    number: int
    split: Split
    result: FoldResult


def run_fold(chosen: ChosenRun, request: TrainRequest, split: Split, folder: RunFolder) -> FoldResult:
    """Train a model and its baselines on one fold's training split and predict its test split.

    Args:
        chosen: Recipe and images.
        request: Training request with the cache.
        split: Split with the fold as the test split.
        folder: Folder for the result and for checkpoints of a network; training resumes from an existing checkpoint.

    Returns:
        The result, which is also written to the folder.
    """
    started = time.perf_counter()
    prepared = chosen.prepare(folder, split)
    request = replace(request, resume=True)
    models = {MODEL: train_model(prepared, request)}
    for name in BASELINES[chosen.dataset.task]:
        if name != chosen.recipe.model:
            with _ONE_FOREST:
                models[name] = fit_baseline(name, prepared, request)
    probabilities = _predict(models, split, request.reading.cache, chosen.recipe.device)
    multi_label = chosen.dataset.task == "multi-label"
    thresholds = {name: model.description.require_thresholds() for name, model in models.items()} if multi_label else {}
    seconds = time.perf_counter() - started
    result = FoldResult(len(split.train), len(split.validation), seconds, probabilities, thresholds)
    write_fold(folder, result)
    return result


def _predict(models: Mapping[str, SavedModel], split: Split, cache: Cache, device_name: str) -> dict[str, np.ndarray]:
    device = choose_device(device_name)
    precision = choose_precision(device)[0]
    contents = [image.row_key for image in split.test]
    return {
        name: predict_probabilities(
            model, input_product(model, cache, device).store.rows(contents), device=device, precision=precision
        )
        for name, model in models.items()
    }
