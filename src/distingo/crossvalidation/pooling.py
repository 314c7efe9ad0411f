"""Scores of each fold and of all folds together.

Pooled scores are computed over all images, each evaluated once by the model of its fold. This is unbiased for scores
that count images (accuracy, recall, F1). Scores that rank images (average precision) suffer slightly if the
probabilities of the models are not comparable (Forman and Scholz, Apples-to-apples in cross-validation studies, 2010),
so the mean over folds is reported too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean

import numpy as np

from distingo.crossvalidation.folder import MAIN_SCORES, FoldScores, bounds_of
from distingo.crossvalidation.folds import FinishedFold
from distingo.evaluation.scores import MODEL, evaluate
from distingo.messages.notes import Note, note
from distingo.metrics.intervals import corrected_mean
from distingo.metrics.single_label import per_class_scores
from distingo.models.description import ModelDescription
from distingo.records import Dataset, Evaluation, LabelScores, Score, Thresholds, TwoByTwo


@dataclass(frozen=True, slots=True)
class OutOfFoldTable:
    """Predictions of models for images of their held-out folds.

    Attributes:
        probabilities: Float32 (n, classes).
        given: Predicted labels of a multi-label task, bool (n, classes); None for a single-label task.
    """

    probabilities: np.ndarray
    given: np.ndarray | None


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


def _means(found: Sequence[dict[str, float]], folds: Sequence[FoldScores], n: int) -> dict[str, Score]:
    means = {}
    for name in dict.fromkeys(name for scores in found for name in scores):
        having = [(scores[name], fold) for scores, fold in zip(found, folds, strict=True) if name in scores]
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
    evaluated, tables, given = [], [], []
    for folds in repeats:
        probabilities, cuts = _gather(folds, dataset)
        descriptions = _descriptions(dataset, folds[0], cuts)
        evaluated.append(evaluate(dataset.images, descriptions, probabilities, notes, cuts=cuts or None))
        tables.append(probabilities[MODEL])
        given.append(probabilities[MODEL] - cuts[MODEL] if cuts else probabilities[MODEL])
    multi_label = dataset.task == "multi-label"
    table = OutOfFoldTable(
        np.asarray(np.mean(tables, axis=0, dtype=np.float64), np.float32),
        np.asarray(np.mean(given, axis=0) >= 0) if multi_label else None,
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


def _mean_of(found: Sequence[dict[str, Score]]) -> dict[str, Score]:
    return {name: _mean_score([scores[name] for scores in found if name in scores]) for name in found[0]}


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
        two_by_two=TwoByTwo(*(round(fmean(getattr(cell, name) for cell in cells)) for name in TwoByTwo.__slots__)),
    )
