"""Folds of a cross-validation: division, training and prediction of each, and scores of all together.

Pooled scores are computed over all images, each evaluated once by the model of its fold. This is unbiased for scores
that count images (accuracy, recall, F1). Scores that rank images (average precision) suffer slightly if the
probabilities of the models are not comparable (Forman and Scholz, Apples-to-apples in cross-validation studies, 2010),
so the mean over folds is reported too.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

import numpy as np

from distingo.datasets.cache.store import Cache
from distingo.datasets.splits.dividing import divide_groups
from distingo.datasets.splits.files import SplitFile, match_folds
from distingo.datasets.splits.group_splitting import Division, divide_folds
from distingo.datasets.splits.grouping import Grouping
from distingo.datasets.splits.splitting import order_split
from distingo.errors import DataError, name_some
from distingo.evaluation.scores import MODEL, evaluate
from distingo.experiments.crossval_folder import MAIN_SCORES, FoldResult, FoldScores, bounds_of, write_fold
from distingo.machine.device import choose_device, choose_precision
from distingo.messages.notes import Note, note
from distingo.metrics.intervals import corrected_mean
from distingo.metrics.single_label import per_class_scores
from distingo.models.description import ModelDescription
from distingo.models.saved import SavedModel
from distingo.prediction.classifier import input_product, predict_probabilities
from distingo.records import Dataset, LabeledImage, Split, SplitName, encode_labels
from distingo.runs.folder import RunFolder
from distingo.scores import BinaryConfusion, Evaluation, LabelScores, Score, Thresholds
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


@dataclass(frozen=True, slots=True)
class OutOfFoldTable:
    """Predictions of models for images of their held-out folds.

    Attributes:
        probabilities: Float32 (n, classes).
        predicted: Predicted labels of a multi-label task, bool (n, classes); None for a single-label task.
    """

    probabilities: np.ndarray
    predicted: np.ndarray | None


def score_fold(fold: FinishedFold, dataset: Dataset) -> FoldScores:
    """Compute the scores of a single fold."""
    result = fold.result
    evaluated = evaluate(fold.split.test, _descriptions(dataset, fold), result.probabilities)
    return FoldScores(
        repeat=fold.repeat,
        fold=fold.number,
        train=result.train,
        validation=result.validation,
        test=len(fold.split.test),
        seconds=result.seconds,
        scores={name: score.value for name, score in evaluated.scores.items()},
        baselines={
            model: {name: score.value for name, score in scores.items()}
            for model, scores in evaluated.baselines.items()
        },
    )


def mean_scores(folds: Sequence[FoldScores], n: int) -> tuple[dict[str, Score], dict[str, dict[str, Score]]]:
    """Mean scores over folds with corrected intervals, of the model and of its baselines by name."""
    own = _means([fold.scores for fold in folds], folds, n)
    names = folds[0].baselines
    return own, {name: _means([fold.baselines[name] for fold in folds], folds, n) for name in names}


def mean_gains(folds: Sequence[FoldScores], dataset: Dataset) -> dict[str, Score]:
    """Mean improvement of the main score over each baseline, paired by fold."""
    key = MAIN_SCORES[dataset.task]
    scored_folds = [fold for fold in folds if key in fold.scores]
    return {
        name: _mean(
            [fold.scores[key] - fold.baselines[name][key] for fold in scored_folds],
            scored_folds,
            len(dataset.images),
            -1.0,
        )
        for name in folds[0].baselines
        if scored_folds and all(key in fold.baselines[name] for fold in scored_folds)
    }


def _means(fold_scores: Sequence[dict[str, float]], folds: Sequence[FoldScores], n: int) -> dict[str, Score]:
    means = {}
    for name in dict.fromkeys(name for scores in fold_scores for name in scores):
        having = [(scores[name], fold) for scores, fold in zip(fold_scores, folds, strict=True) if name in scores]
        low, high = bounds_of(name)
        means[name] = _mean([value for value, _ in having], [fold for _, fold in having], n, low, high)
    return means


def _mean(values: Sequence[float], folds: Sequence[FoldScores], n: int, low: float, high: float = 1.0) -> Score:
    tested, remaining = [fold.test for fold in folds], [fold.train + fold.validation for fold in folds]
    return corrected_mean(values, tested, remaining, n=n, bounds=(low, high))


def pool(
    repeats: Sequence[Sequence[FinishedFold]], dataset: Dataset, notes: tuple[Note, ...]
) -> tuple[Evaluation, OutOfFoldTable]:
    """Evaluate all folds' predictions together.

    With several divisions, scores and the ends of their intervals are means over divisions, so the intervals are
    slightly too wide. Counts are averaged per division, and the table contains mean probabilities.

    Args:
        repeats: The folds of each division.
        dataset: The data set with the images of all folds.
        notes: Notes for the reader of the scores.
    """
    evaluated, tables, margins = [], [], []
    for folds in repeats:
        probabilities, cuts = _gather(folds, dataset)
        descriptions = _descriptions(dataset, folds[0], cuts)
        evaluated.append(evaluate(dataset.images, descriptions, probabilities, notes, cuts=cuts or None))
        tables.append(probabilities[MODEL])
        margins.append(probabilities[MODEL] - cuts[MODEL] if cuts else probabilities[MODEL])
    multi_label = dataset.task == "multi-label"
    table = OutOfFoldTable(
        np.asarray(np.mean(tables, axis=0, dtype=np.float64), np.float32),
        np.asarray(np.mean(margins, axis=0) >= 0) if multi_label else None,
    )
    return (evaluated[0] if len(evaluated) == 1 else _mean_evaluation(evaluated)), table


def _gather(folds: Sequence[FinishedFold], dataset: Dataset) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Probabilities and, for multi-label tasks, thresholds of all images, by model name."""
    indices = {image.source.file: at for at, image in enumerate(dataset.images)}
    shape = (len(indices), len(dataset.classes))
    probabilities = {name: np.zeros(shape, np.float32) for name in folds[0].result.probabilities}
    cuts = {name: np.zeros(shape) for name in folds[0].result.thresholds}
    for fold in folds:
        at = [indices[image.source.file] for image in fold.split.test]
        for name, fold_probabilities in fold.result.probabilities.items():
            probabilities[name][at] = fold_probabilities
        for name, fold_thresholds in fold.result.thresholds.items():
            cuts[name][at] = fold_thresholds.values
    return probabilities, cuts


def _descriptions(
    dataset: Dataset, fold: FinishedFold, cuts: dict[str, np.ndarray] | None = None
) -> dict[str, ModelDescription]:
    """Model descriptions for the evaluation, with the fold's thresholds or the mean thresholds of all images."""
    plain = ModelDescription(name=MODEL, kind="classic", task=dataset.task, classes=dataset.classes)
    thresholds = dict(fold.result.thresholds)
    for name, table in (cuts or {}).items():
        thresholds[name] = Thresholds(tuple(table.mean(axis=0).tolist()), "f1", notes=(note("mean-thresholds"),))
    return {name: replace(plain, name=name, thresholds=thresholds.get(name)) for name in fold.result.probabilities}


def _mean_evaluation(evaluated: Sequence[Evaluation]) -> Evaluation:
    first, times = evaluated[0], len(evaluated)
    counts = np.sum([entry.confusion for entry in evaluated], axis=0)
    classes = per_class_scores(counts, first.classes) if first.confusion else ()
    return replace(
        first,
        scores=_mean_of([entry.scores for entry in evaluated]),
        per_class=tuple(replace(entry, support=entry.support // times) for entry in classes),
        confusion=tuple(tuple(round(count / times) for count in row) for row in counts) if first.confusion else (),
        baselines={name: _mean_of([entry.baselines[name] for entry in evaluated]) for name in first.baselines},
        per_label=tuple(map(_mean_label, zip(*(entry.per_label for entry in evaluated), strict=True))),
        accuracy_gains=_mean_of([entry.accuracy_gains for entry in evaluated]),
    )


def _mean_of(evaluations: Sequence[dict[str, Score]]) -> dict[str, Score]:
    return {name: _mean_score([scores[name] for scores in evaluations if name in scores]) for name in evaluations[0]}


def _mean_score(scores: Sequence[Score]) -> Score:
    ends = (fmean(score.value for score in scores), fmean(score.low for score in scores))
    too_few = any(score.too_few for score in scores)
    return Score(*ends, fmean(score.high for score in scores), scores[0].n, too_few)


def _mean_label(entries: Sequence[LabelScores]) -> LabelScores:
    scores = [entry.average_precision for entry in entries if entry.average_precision is not None]
    cells = [entry.two_by_two for entry in entries]
    return LabelScores(
        name=entries[0].name,
        average_precision=_mean_score(scores) if scores else None,
        precision=fmean(entry.precision for entry in entries),
        recall=fmean(entry.recall for entry in entries),
        f1=fmean(entry.f1 for entry in entries),
        support=entries[0].support,
        threshold=fmean(entry.threshold for entry in entries),
        two_by_two=BinaryConfusion(
            *(round(fmean(getattr(cell, name) for cell in cells)) for name in BinaryConfusion.__slots__)
        ),
    )
