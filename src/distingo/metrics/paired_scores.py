"""Paired comparison of two classifiers by macro F1 and mean average precision, overall and per class.

Single-label classifiers are compared by macro F1, multi-label classifiers by mean average precision and macro F1.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from distingo.metrics.intervals import Interval, chunks, freedom_of_variance, moments, skewed_interval
from distingo.metrics.label_intervals import (
    Estimate,
    EvaluatedLabels,
    mean_precision,
    precision_estimates,
    threshold_estimates,
)
from distingo.metrics.paired import SWAPS, PairedScore, holm, paired_difference, randomization_p_value
from distingo.metrics.single_label import MIN_PER_CLASS, has_small_classes
from distingo.scores import Score

Integers = npt.NDArray[np.int64]

Floats = npt.NDArray[np.float64]

MIN_DIFFERENT = 11
"""Minimum number of images with different answers for a reliable interval of the difference in macro F1."""


@dataclass(frozen=True, slots=True)
class ClassDifference:
    """How two classifiers differ on one class or label.

    Attributes:
        name: Name of the class.
        support: Number of images of the class.
        paired: Single-label: recall with McNemar's exact p-value. Multi-label: average precision.
        adjusted_p_value: P-value after Holm's correction for the number of classes; None if the class was not tested.
        f1: F1 without a test; None for multi-label classifiers.
    """

    name: str
    support: int
    paired: PairedScore
    adjusted_p_value: float | None
    f1: PairedScore | None = None


@dataclass(frozen=True, slots=True)
class PairedClasses:
    """Comparison of two single-label classifiers: macro F1, and each class that occurs in the truth."""

    f1_macro: PairedScore
    classes: tuple[ClassDifference, ...]


def compare_classes(
    truth: npt.ArrayLike, first: npt.ArrayLike, second: npt.ArrayLike, classes: tuple[str, ...], *, seed: int = 0
) -> PairedClasses:
    """Compare two single-label classifiers.

    Args:
        truth: True class numbers, integers (n,).
        first: Class numbers predicted by the first classifier.
        second: Class numbers predicted by the second classifier.
        classes: The class names.
        seed: Seed of the random swaps.

    Returns:
        Macro F1 (scikit-learn's with ``zero_division=0``) and the classes that occur, in the order of `classes`.

    Raises:
        ValueError: The arrays differ in shape, are empty or contain invalid class numbers.
    """
    triple = np.stack([_class_numbers(numbers, len(classes)) for numbers in (truth, first, second)])
    n = triple.shape[1]
    cells, times = np.unique(triple, axis=1, return_counts=True)
    tables = _Tables.of(cells, len(classes))
    points = tables.f1(times[None].astype(np.float64))
    macro = [_macro(each).item() for each in points]
    difference = macro_f1_difference(triple[0], triple[1], triple[2], len(classes))
    p_value = _swap(triple, len(classes), np.random.default_rng([seed, 1]))
    f1_macro = PairedScore(
        macro[0], macro[1], difference.value, difference.low, difference.high, p_value, n, difference.too_few
    )
    return PairedClasses(f1_macro, _each(triple, classes, points))


def macro_f1_difference(truth: Integers, first: Integers, second: Integers, classes: int) -> Score:
    """Macro F1 of the first minus that of the second, with its interval; class numbers of shape (n,) each."""
    (one, without_one), (other, without_other) = (
        _f1_without_each(truth, predicted, classes) for predicted in (first, second)
    )
    n, without = len(truth), without_one - without_other
    center = one - other - (n - 1) * float(without.mean())
    interval = _interval(center, -(n - 1) * (without - without.mean()))
    too_few = interval.too_few or int(np.count_nonzero(first != second)) < MIN_DIFFERENT
    too_few |= has_small_classes(*(np.bincount(numbers, minlength=classes) for numbers in (truth, first)))
    return replace(interval, too_few=too_few).score(one - other, n)


def _f1_without_each(truth: Integers, predicted: Integers, classes: int) -> tuple[float, Floats]:
    """Macro F1, and its change (n,) when each image is left out (the jackknife), over the same classes."""
    right, *counts = (
        np.bincount(numbers, minlength=classes).astype(np.float64)
        for numbers in (truth[truth == predicted], truth, predicted)
    )
    total = counts[0] + counts[1]
    f1 = np.divide(2 * right, total, out=np.zeros(classes), where=total > 0)
    without_hit = np.divide(2 * (right - 1), total - 2, out=f1.copy(), where=total > 2) - f1
    without_miss = np.divide(2 * right, total - 1, out=f1.copy(), where=total > 1) - f1
    shown = int(np.count_nonzero(total))
    changes = np.where(truth == predicted, without_hit[truth], without_miss[truth] + without_miss[predicted]) / shown
    return float(f1.sum() / shown), changes


def _interval(difference: float, moved: Floats) -> Interval:
    """Interval of a difference from the influence of each image, (n,).

    There are few degrees of freedom where few images contribute most of the variance.
    """
    statistics = moments(moved)
    freedom = min(statistics.freedom, freedom_of_variance(moved))
    ends = skewed_interval(replace(statistics, center=difference, freedom=freedom))
    return Interval(max(-1.0, ends.low), min(1.0, ends.high), too_few=ends.too_few)


def _each(triple: Integers, classes: tuple[str, ...], points: tuple[Floats, ...]) -> tuple[ClassDifference, ...]:
    truth, first, second = triple
    entries = []
    for at, name in enumerate(classes):
        shown = truth == at
        if not shown.any():
            continue
        recalls = (first[shown] == at, second[shown] == at)
        recall = paired_difference(*recalls)
        paired = PairedScore(
            recalls[0].mean().item(),
            recalls[1].mean().item(),
            recall.difference,
            recall.low,
            recall.high,
            recall.p_value,
            recall.n,
            recall.too_few,
        )
        f1 = (np.nan_to_num(points[0][0, at]).item(), np.nan_to_num(points[1][0, at]).item())
        influence = _f1_of_class(shown, first == at, f1[0]) - _f1_of_class(shown, second == at, f1[1])
        interval = _interval(f1[0] - f1[1], influence)
        interval = replace(interval, too_few=interval.too_few or int(shown.sum()) < MIN_PER_CLASS)
        entries.append((name, int(shown.sum()), paired, PairedScore.of(f1, interval, None, len(truth))))
    adjusted = holm([paired.p_value or 0.0 for _, _, paired, _ in entries])
    return tuple(
        ClassDifference(*entry[:3], p_value, entry[3]) for entry, p_value in zip(entries, adjusted, strict=True)
    )


def _f1_of_class(shown: npt.NDArray[np.bool_], predicted: npt.NDArray[np.bool_], f1: float) -> Floats:
    """Influence of each image on a class's F1, (n,)."""
    total = int(shown.sum()) + int(predicted.sum())
    moved: Floats = (2.0 * (shown & predicted) - f1 * shown - f1 * predicted) * (len(shown) / total)
    return moved


@dataclass(frozen=True, slots=True)
class _Tables:
    """Sparse one-hot tables (cells, classes) of the true, correct and predicted classes."""

    true: Any
    right: tuple[Any, Any]
    predicted: tuple[Any, Any]

    @classmethod
    def of(cls, cells: Integers, classes: int) -> _Tables:
        truth, *answers = cells
        return cls(
            true=_one_hot(truth, np.ones(truth.size), classes),
            right=tuple(_one_hot(truth, answer == truth, classes) for answer in answers),
            predicted=tuple(_one_hot(answer, np.ones(truth.size), classes) for answer in answers),
        )

    def f1(self, counts: Floats) -> tuple[Floats, Floats]:
        """Both classifiers' F1 per class, (resamples, classes); NaN for a class that is neither true nor predicted."""
        true = counts @ self.true
        first, second = (
            _f1(counts @ right, true, counts @ predicted)
            for right, predicted in zip(self.right, self.predicted, strict=True)
        )
        return first, second


def _f1(right: Floats, true: Floats, predicted: Floats) -> Floats:
    f1: Floats = np.full(np.shape(right), np.nan)
    np.divide(2 * right, true + predicted, out=f1, where=(true + predicted) > 0)
    return f1


def _macro(f1: Floats) -> Floats:
    defined = ~np.isnan(f1)
    means: Floats = np.where(defined, f1, 0).sum(axis=1) / defined.sum(axis=1)
    return means


def _one_hot(columns: Integers, values: npt.NDArray[Any], classes: int) -> Any:
    from scipy.sparse import csr_array

    rows = np.arange(columns.size)
    return csr_array((values.astype(np.float64), (rows, columns)), shape=(columns.size, classes))


def _swap(triple: Integers, classes: int, generator: np.random.Generator) -> float:
    """Randomization test of macro F1; swapping matters only for images with different answers."""
    truth, first, second = triple
    tables = _Tables.of(triple, classes)
    ones = np.ones((1, truth.size))
    true, right, predicted = (
        ones @ tables.true,
        [ones @ part for part in tables.right],
        [ones @ part for part in tables.predicted],
    )
    observed = _macro(_f1(right[0], true, predicted[0])) - _macro(_f1(right[1], true, predicted[1]))
    differing = np.flatnonzero(first != second)
    if not differing.size:
        return 1.0
    more_right = (tables.right[1] - tables.right[0])[differing]
    more_predicted = (tables.predicted[1] - tables.predicted[0])[differing]
    swapped = []
    for size in chunks(SWAPS, max(differing.size, classes)):
        swap = generator.integers(0, 2, size=(size, differing.size)).astype(np.float64)
        moved_right, moved_predicted = swap @ more_right, swap @ more_predicted
        one = _macro(_f1(right[0] + moved_right, true, predicted[0] + moved_predicted))
        other = _macro(_f1(right[1] - moved_right, true, predicted[1] - moved_predicted))
        swapped.append(one - other)
    return randomization_p_value(float(observed[0]), np.concatenate(swapped))


def _class_numbers(numbers: npt.ArrayLike, classes: int) -> Integers:
    array = np.asarray(numbers)
    if array.ndim != 1 or not array.size or not np.issubdtype(array.dtype, np.integer):
        raise ValueError(f"class numbers of shape {array.shape} and type {array.dtype}; give integers of shape (n,)")
    if array.min() < 0 or array.max() >= classes:
        raise ValueError(
            f"class numbers {array.min()} .. {array.max()}; with {classes} classes give 0 .. {classes - 1}"
        )
    return array.astype(np.int64)


Booleans = npt.NDArray[np.bool_]

_MAX_SWAPPED = 100_000_000
"""Maximum number of images times labels that all swaps together may rank; larger data get fewer swaps."""

_MIN_SWAPS = 999

SCORES = ("mean_average_precision_macro", "f1_macro")


@dataclass(frozen=True, slots=True)
class LabelPredictions:
    """A classifier's output for n images: probabilities, float (n, labels), and predicted labels, bool (n, labels)."""

    probabilities: npt.NDArray[np.float32]
    predicted: Booleans


@dataclass(frozen=True, slots=True)
class PairedLabels:
    """Comparison of two multi-label classifiers: `SCORES` by name, and each label that an image has."""

    scores: dict[str, PairedScore]
    labels: tuple[ClassDifference, ...]


def compare_labels(
    truth: Booleans, first: LabelPredictions, second: LabelPredictions, labels: tuple[str, ...], *, seed: int = 0
) -> PairedLabels:
    """Compare two multi-label classifiers.

    Average precision depends only on ranks, so its test swaps an image's ranks in the two orders. That keeps
    classifiers with differently distributed probabilities comparable (Bandos, Rockette and Gur, A permutation test
    sensitive to differences in areas for comparing ROC curves from a paired design, Statistics in Medicine 24, 2005).
    Labels with fewer images than `distingo.metrics.label_intervals.MIN_POSITIVES` are left out of macro scores and not
    tested.

    Args:
        truth: Bool (n, labels).
        first: Output of the first classifier.
        second: Output of the second classifier, for the same images in the same order.
        labels: Column names.
        seed: Seed of the random swaps.

    Raises:
        ValueError: The arrays differ in shape, or are empty.
    """
    shapes = {
        output.shape for output in (truth, first.probabilities, first.predicted, second.probabilities, second.predicted)
    }
    if shapes != {(len(truth), len(labels))} or not truth.size:
        raise ValueError(f"tables of shapes {sorted(shapes)}; give ({len(truth)}, {len(labels)}) of each")
    evaluated = [EvaluatedLabels.of(truth, output.probabilities, output.predicted) for output in (first, second)]
    precisions = [precision_estimates(output) for output in evaluated]
    tested = evaluated[0].in_macro
    p_values, p_each = _swap_labels(truth, first, second, np.random.default_rng([seed, 1]))
    threshold = [threshold_estimates(output).get("f1_macro") for output in evaluated]
    scores = (
        {
            SCORES[0]: _paired(
                mean_precision(precisions[0], tested), mean_precision(precisions[1], tested), p_values[SCORES[0]]
            ),
            SCORES[1]: _paired(threshold[0], threshold[1], p_values[SCORES[1]]),
        }
        if tested.any()
        else {}
    )
    adjusted = dict(zip(np.flatnonzero(tested).tolist(), holm(p_each[tested].tolist()), strict=True))
    differences = []
    for at in np.flatnonzero(truth.any(axis=0)).tolist():
        paired = _paired(precisions[0][at], precisions[1][at], float(p_each[at]) if tested[at] else None)
        differences.append(ClassDifference(labels[at], int(truth[:, at].sum()), paired, adjusted.get(at)))
    return PairedLabels(scores, tuple(differences))


def _paired(first: Estimate | None, second: Estimate | None, p_value: float | None) -> PairedScore:
    if first is None or second is None:
        raise ValueError("no picture has the label")
    return PairedScore.of((first.value, second.value), first.above(second), p_value, len(first.moved))


def _swap_labels(
    truth: Booleans, first: LabelPredictions, second: LabelPredictions, generator: np.random.Generator
) -> tuple[dict[str, float], Floats]:
    """P-values of `SCORES` by name, and of each label's average precision; NaN for labels without images."""
    shuffled = generator.permutation(len(truth))  # so that equal probabilities are ranked at random
    orders = [
        shuffled[np.argsort(-output.probabilities[shuffled], axis=0, kind="stable")].T for output in (first, second)
    ]
    tested = np.flatnonzero(EvaluatedLabels.of(truth, first.probabilities, first.predicted).in_macro)
    swaps = int(np.clip(_MAX_SWAPPED // truth.size, _MIN_SWAPS, SWAPS))
    precisions: list[Floats] = []
    f1: list[Floats] = []
    for size in chunks(swaps, truth.size):
        swap = generator.random((size, len(truth))) < 0.5
        if not precisions:
            swap[0] = False  # the observed answers
        precisions.append(_precision_differences(truth, orders, swap))
        f1.append(_f1_differences(truth, (first.predicted, second.predicted), swap, tested))
    differences = np.concatenate(precisions)
    swapped = {
        SCORES[0]: differences[:, tested].mean(axis=1) if tested.size else differences[:, 0],
        SCORES[1]: np.concatenate(f1),
    }
    p_values = {name: randomization_p_value(float(values[0]), values[1:]) for name, values in swapped.items()}
    return p_values, np.array([randomization_p_value(float(column[0]), column[1:]) for column in differences.T])


def _precision_differences(truth: Booleans, orders: list[npt.NDArray[np.int64]], swap: Booleans) -> Floats:
    """Average precision of the first order minus the second's after each swap, (swaps, labels).

    Each rank holds one image of each order. After a swap it holds the images of the first order that stayed and those
    of the second that were swapped in. Images of equal rank form a group.
    """
    differences = np.full((len(swap), truth.shape[1]), np.nan)
    for label in np.flatnonzero(truth.any(axis=0)):
        rankings = orders[0][label], orders[1][label]
        moved = [swap[:, ranking] for ranking in rankings]
        positive = [truth[ranking, label] for ranking in rankings]
        both = [
            _average_precision((~moved[0], moved[1]), (positive[0], positive[1])),
            _average_precision((moved[0], ~moved[1]), (positive[0], positive[1])),
        ]
        differences[:, label] = both[0] - both[1]
    return differences


def _average_precision(present: tuple[Booleans, Booleans], positive: tuple[Booleans, Booleans]) -> Floats:
    entries = present[0].astype(np.int32) + present[1]
    right = (present[0] & positive[0]).astype(np.int32) + (present[1] & positive[1])
    reached = entries.cumsum(axis=1, dtype=np.float64)
    positives_so_far = right.cumsum(axis=1, dtype=np.float64)
    precision = np.divide(positives_so_far, reached, out=np.zeros_like(positives_so_far), where=reached > 0)
    averages: Floats = (right * precision).sum(axis=1) / positives_so_far[:, -1]
    return averages


def _f1_differences(
    truth: Booleans, predictions: tuple[Booleans, Booleans], swap: Booleans, included: npt.NDArray[np.intp]
) -> Floats:
    """Macro F1 of the first minus the second's after each swap, (swaps,)."""
    if not included.size:
        return np.full(len(swap), np.nan)
    moved, true = swap.astype(np.float64), truth[:, included].sum(axis=0)
    predicted = [table[:, included].astype(np.float64) for table in predictions]
    right = [table * truth[:, included] for table in predicted]
    more_predicted, more_right = moved @ (predicted[1] - predicted[0]), moved @ (right[1] - right[0])
    first = 2 * (right[0].sum(axis=0) + more_right) / (true + predicted[0].sum(axis=0) + more_predicted)
    second = 2 * (right[1].sum(axis=0) - more_right) / (true + predicted[1].sum(axis=0) - more_predicted)
    differences: Floats = first.mean(axis=1) - second.mean(axis=1)
    return differences
