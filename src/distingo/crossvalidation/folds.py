"""Which fold each image is on, and which of the other folds' images are chosen by.

One fold: train on the others, predict the fold's images.
"""

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
from distingo.evaluation.judging import MODEL
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
        dataset: With exactly the images that are on a fold.
        numbers: Of each image's fold, from 1: int64 (n,).
        grouping: Which images belong together.
        notes: What a person should know.
    """

    dataset: Dataset
    numbers: np.ndarray
    grouping: Grouping
    notes: tuple[Note, ...] = ()

    @property
    def count(self) -> int:
        """How many folds there are."""
        return int(self.numbers.max())

    @property
    def each(self) -> range:
        """The numbers of all folds."""
        return range(1, self.count + 1)

    def split(self, fold: int, *, validation: float, seed: int) -> Split:
        """One fold as the test split; validation is cut from the others by whole groups, every class alike.

        Args:
            fold: Which one.
            validation: Share of the other folds' images.
            seed: Of the cut.
        """
        images = self.dataset.images
        rest = np.flatnonzero(self.numbers != fold)
        splits: dict[SplitName, list[LabeledImage]] = {"train": [], "validation": [], "test": []}
        splits["test"] = [images[at] for at in np.flatnonzero(self.numbers == fold)]
        for at, part in zip(rest, cut_groups(self, rest, [1 - validation, validation], seed), strict=True):
            splits["validation" if part else "train"].append(images[at])
        return order_split(splits, ())

    def division(self) -> Division:
        """As `distingo.datasets.splits.files.write_split_file` takes it."""
        parts = tuple(str(number) for number in range(1, self.count + 1))
        return Division(parts, folds=True, numbers=self.numbers - 1, grouping=self.grouping, shares=())


def cut_groups(folds: Folds, chosen: np.ndarray, shares: Sequence[float], seed: int) -> np.ndarray:
    """Divide some of the images by whole groups, every class alike; no class is missing on the first part.

    Args:
        folds: Knows the images' groups.
        chosen: Positions of the images to divide.
        shares: Of the parts; they add up to 1.
        seed: Of the division.

    Returns:
        The part of each, int64 of the shape of `chosen`.
    """
    dataset = folds.dataset
    table = encode_labels([dataset.images[at] for at in chosen], dataset.classes, "multi-label")
    return divide_groups(table, folds.grouping.numbers[chosen], shares, seed=seed, needed=0)


def divide(dataset: Dataset, grouping: Grouping, *, folds: int, seed: int, resplit: bool) -> Folds:
    """Divide all images of a data set into folds.

    Raises:
        DataError: There are too few groups, or a class lies on one fold only.
        UsageError: The number or the seed is out of range, or the author gave sides.
    """
    division = divide_folds(dataset, grouping, folds=folds, seed=seed, resplit=resplit)
    found = Folds(dataset, division.numbers + 1, grouping, division.notes)
    require_learnable(found)
    return found


def from_split_file(split_file: SplitFile, dataset: Dataset) -> Folds:
    """The folds that a split file names.

    Raises:
        DataError: An image's content is another than the file says, a fold is empty, or a class lies on one fold only.
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
    """Refuse folds of which one has all images of a class: the others could not teach it.

    With several labels per image that is allowed: such a label is one among many, and the notes say it.
    """
    dataset = folds.dataset
    if dataset.task == "multi-label":
        return
    targets = encode_labels(dataset.images, dataset.classes, dataset.task)
    on = np.zeros((len(dataset.classes), folds.count), bool)
    on[targets, folds.numbers - 1] = True
    if alone := [name for name, where in zip(dataset.classes, on, strict=True) if where.sum() == 1]:
        raise DataError(
            f"{dataset.root}: all pictures of class {name_some(alone, 3)} lie on one fold, as they are too few or "
            "belong together, so no other fold can teach it; add pictures or move the class away",
            code="split_incomplete",
        )


_ONE_FOREST = threading.Lock()
"""A forest takes all processors, and scikit-learn's threads lose the filters of warnings where two forests grow."""


@dataclass(frozen=True, slots=True)
class FinishedFold:
    """A fold with what became of it.

    Attributes:
        repeat: Which division, from 1.
        number: Which fold of it, from 1.
        split: The fold is the test split.
        result: Its predictions.
    """

    repeat: int
    number: int
    split: Split
    result: FoldResult


def run_fold(chosen: ChosenRun, request: TrainRequest, split: Split, folder: RunFolder) -> FoldResult:
    """Train a model and its baselines on one fold's training split and predict its test split.

    Args:
        chosen: Recipe and images.
        request: Says where the cache is.
        split: The fold is the test split.
        folder: A network's checkpoints are written there; one that is there already is gone on from.

    Returns:
        What the fold leaves behind; it is written down too.
    """
    begun = time.perf_counter()
    prepared = chosen.prepare(folder, split)
    request = replace(request, resume=True)
    models = {MODEL: train_model(prepared, request)}
    for name in BASELINES[chosen.dataset.task]:
        if name != chosen.recipe.model:
            with _ONE_FOREST:
                models[name] = fit_baseline(name, prepared, request)
    probabilities = _predict(models, split, request.reading.cache, chosen.recipe.device)
    several = chosen.dataset.task == "multi-label"
    thresholds = {name: model.description.require_thresholds() for name, model in models.items()} if several else {}
    seconds = time.perf_counter() - begun
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
