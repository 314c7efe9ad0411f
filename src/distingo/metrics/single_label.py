"""Intervals of precision, recall and F1, averaged over classes, computed from a confusion matrix.

To first order, each image changes such a score by its influence function (Hampel 1974; the infinitesimal jackknife of
Efron, The jackknife, the bootstrap and other resampling plans, 1982, chapter 6). An image of class a that is classified
as b contributes ``truth[a] + predicted[b] + (right[a] if a == b)``, so the variance follows from the matrix itself,
without resampling. There are two corrections. The variance is underestimated for classes with few images: it would be 0
for a class with six correct images. Therefore each class's row is averaged with one image of the mean class (shrinkage
as in Agresti and Coull 1998). F1 is concave in the number of correct images and thus too low on average with few
images; the second-order term is added to the center of the interval. A score is marked as too few if a single
additional mistake, in a class with few images, would move it out of its interval.

Scores of single-label classifiers: accuracy, precision, recall, F1 and log loss.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from distingo.metrics.intervals import Interval, mean_score, proportion, share_interval
from distingo.scores import ClassScores, Score

Floats = npt.NDArray[np.float64]

Integers = npt.NDArray[np.int64]

MIN_PER_CLASS = 6
"""Minimum number of images of a class for a meaningful recall."""

MAX_SMALL_SHARE = 0.2
"""Share of classes that may have fewer images."""

MIN_FOR_ONE_CLASS = 12
"""Minimum number of images for the interval of a single class; with fewer, the intervals cover too often."""


@dataclass(frozen=True, slots=True)
class _Influence:
    """Influence function of a score: by true class, by predicted class, and where they agree; (classes,) each."""

    value: float
    truth: Floats
    predicted: Floats
    right: Floats

    def one_mistake(self, n: int) -> float:
        """The largest change of the score if one of the `n` images were classified wrong instead of right."""
        return float(self.right.max()) / n

    def variance(self, table: Floats) -> tuple[float, float]:
        """Variance of the score on a random sample like `table`, and its degrees of freedom.

        The degrees of freedom are Satterthwaite's (1946): where one small class, or one rarely predicted class,
        contributes most of the variance, there are only as many as it has images.
        """
        of_truth, of_predicted, diagonal = table.sum(axis=1), table.sum(axis=0), table.diagonal()
        n = of_truth.sum()
        mean = (of_truth @ self.truth + of_predicted @ self.predicted + diagonal @ self.right) / n
        by_class = of_truth * self.truth**2 + table @ self.predicted**2 + 2 * self.truth * (table @ self.predicted)
        by_predicted = (
            of_predicted * self.predicted**2 + self.truth**2 @ table + 2 * self.predicted * (self.truth @ table)
        )
        both = diagonal * self.right * (self.right + 2 * (self.truth + self.predicted))
        total = float((by_class + both).sum())
        uncertain = max(
            float(((moved + both) ** 2 / np.maximum(count, 1)).sum())
            for moved, count in ((by_class, of_truth), (by_predicted, of_predicted))
        )
        return max(0.0, total / n - mean**2) / n, total**2 / uncertain if uncertain else float(n)


def confusion_intervals(confusion: Integers, scores: dict[str, float]) -> dict[str, Interval]:
    """Compute the interval of each averaged precision, recall and F1.

    Args:
        confusion: Counts of shape (classes, classes), rows are the truth.
        scores: Scores by name, averaged over the classes that occur in the truth or in the predictions.

    Returns:
        Intervals by the same names.
    """
    table = _shrunken(confusion.astype(np.float64))
    influences = dict(_influences(table, confusion))
    counts = confusion.sum(axis=1)
    small_classes = has_small_classes(counts, confusion.sum(axis=0))
    intervals = {}
    for name, value in scores.items():
        influence = influences[name]
        spread = influence.value * (1 - influence.value)
        variance, freedom = influence.variance(table)
        effective = spread / variance if variance > 0 and spread > 0 else float(counts.sum())
        interval = share_interval(value + _correction(name, confusion, table), effective, freedom)
        too_few = (
            interval.too_few
            or small_classes
            or influence.one_mistake(int(counts.sum())) > (interval.high - interval.low) / 2
        )
        intervals[name] = Interval(interval.low, interval.high, too_few=too_few)
    return intervals


def class_intervals(confusion: Integers, classes: Sequence[str]) -> dict[str, dict[str, Score]]:
    """Precision, recall and F1 of each class with Wilson's intervals.

    F1 is 2 J / (1 + J), where J is the share of correct images among all images that are of the class or classified as
    it. As F1 rises with J, its interval follows from that of a proportion.

    Args:
        confusion: Counts of shape (classes, classes), rows are the truth.
        classes: Class names.

    Returns:
        ``precision``, ``recall`` and ``f1`` by class, each with its number of images; scores without images are absent.
    """
    by_class = {}
    for at, name in enumerate(classes):
        right, true, predicted = int(confusion[at, at]), int(confusion[at].sum()), int(confusion[:, at].sum())
        numbers = {"precision": predicted, "recall": true, "f1": true + predicted - right}
        scores = {score: _of_one_class(right, n) for score, n in numbers.items() if n}
        if overlap := scores.get("f1"):
            value, low, high = (2 * share / (1 + share) for share in (overlap.value, overlap.low, overlap.high))
            scores["f1"] = Score(value, low, high, overlap.n, too_few=overlap.too_few)
        by_class[name] = scores
    return by_class


def _of_one_class(right: int, n: int) -> Score:
    share = proportion(right, n)
    return replace(share, too_few=share.too_few or n < MIN_FOR_ONE_CLASS)


def has_small_classes(true: npt.NDArray[Any], predicted: npt.NDArray[Any]) -> bool:
    """Whether too many of the occurring classes have too few images; counts of shape (classes,) each."""
    return bool((true[true + predicted > 0] < MIN_PER_CLASS).mean() > MAX_SMALL_SHARE)


def _shrunken(counts: Floats) -> Floats:
    """Average each class's row with one image of the mean class; the row sums stay the same."""
    of_truth, of_predicted = counts.sum(axis=1), counts.sum(axis=0)
    n, classes = of_truth.sum(), len(counts)
    right = (counts.trace() + 1) / (n + 2)
    confused_with = np.tile((of_predicted + of_truth + 1.0) * (of_predicted + of_truth > 0), (classes, 1))
    np.fill_diagonal(confused_with, 0.0)
    sums = confused_with.sum(axis=1, keepdims=True)
    prior = np.divide((1 - right) * confused_with, sums, out=np.zeros_like(confused_with), where=sums > 0)
    np.fill_diagonal(prior, right)
    shrunken: Floats = of_truth[:, None] * (counts + prior) / (of_truth[:, None] + 1)
    return shrunken


def _influences(table: Floats, confusion: Integers) -> Iterator[tuple[str, _Influence]]:
    true, predicted, right = table.sum(axis=1), table.sum(axis=0), table.diagonal()
    n = true.sum()
    shown = confusion.sum(axis=1) > 0
    present = shown | (confusion.sum(axis=0) > 0)
    precision, recall = _divide(right, predicted), _divide(right, true)
    f1 = _divide(2 * right, true + predicted)
    zero = np.zeros_like(true)
    for name, classes in (("recall_macro", present), ("balanced_accuracy", shown)):
        weights = classes / classes.sum()
        one = _divide(weights * n, true)
        yield name, _Influence(float(weights @ recall), -one * recall, zero, one)
    weights = present / present.sum()
    one = _divide(weights * n, predicted)
    yield "precision_macro", _Influence(float(weights @ precision), zero, -one * precision, one)
    one = _divide(weights * n, true + predicted)
    yield "f1_macro", _Influence(float(weights @ f1), -one * f1, -one * f1, 2 * one)
    yield "recall_weighted", _Influence(float(right.sum() / n), zero, zero, np.ones_like(true))
    one = _divide(true, predicted)
    yield "precision_weighted", _Influence(float(true @ precision / n), precision, -one * precision, one)
    one = _divide(true, true + predicted)
    yield "f1_weighted", _Influence(float(true @ f1 / n), f1 - one * f1, -one * f1, 2 * one)


def _correction(name: str, confusion: Integers, table: Floats) -> float:
    """Bias correction of the score, to the second order in the number of images.

    F1 is 2 J / (1 + J), which is concave, with J the share of correct images among the U images of a class or predicted
    as it. Precision weighted by the true classes gives more weight to classes that happen to be right more often.
    """
    if name.startswith("precision_weighted"):
        share = _divide(table.diagonal(), table.sum(axis=0))
        return -float((share * (1 - share))[confusion.sum(axis=0) > 0].sum() / confusion.sum())
    if not name.startswith("f1"):
        return 0.0
    true, predicted = confusion.sum(axis=1), confusion.sum(axis=0)
    union = true + predicted - confusion.diagonal()
    share = _divide(table.diagonal(), table.sum(axis=1) + table.sum(axis=0) - table.diagonal())
    low = _divide(2 * share * (1 - share), union * (1 + share) ** 3)
    weights = true if name.endswith("weighted") else (union > 0)
    return float(weights @ low / weights.sum())


def _divide(numerator: npt.NDArray[Any], denominator: npt.NDArray[Any]) -> Floats:
    quotients: Floats = np.zeros(np.shape(numerator), dtype=np.float64)
    np.divide(numerator, denominator, out=quotients, where=denominator != 0)
    return quotients


TOP_K = (2, 3, 5)
"""The k of the top-k accuracies; only those below the number of classes are computed."""


def confusion_matrix(truth: npt.ArrayLike, predicted: npt.ArrayLike, classes: int) -> Integers:
    """Count how often each class was predicted for each true class.

    Args:
        truth: True class numbers, integers of shape (n,), each in 0 .. classes - 1.
        predicted: Predicted class numbers, in the same form.
        classes: Number of classes.

    Returns:
        Counts of shape (classes, classes): rows are the truth, columns the prediction.

    Raises:
        ValueError: The arrays differ in shape, or a number is outside 0 .. classes - 1.
    """
    truth = _class_numbers(truth, classes)
    predicted = _class_numbers(predicted, classes)
    if truth.shape != predicted.shape:
        raise ValueError(f"{truth.size} true and {predicted.size} predicted classes; give one of each per picture")
    cells = np.bincount(truth * classes + predicted, minlength=classes * classes)
    return cells.astype(np.int64).reshape(classes, classes)


def per_class_scores(confusion: npt.ArrayLike, classes: tuple[str, ...]) -> tuple[ClassScores, ...]:
    """Precision, recall, F1 and support of every class (scikit-learn's, with ``zero_division=0``).

    Args:
        confusion: Counts of shape (classes, classes) as from `confusion_matrix`.
        classes: The class names in that order.

    Returns:
        One record per class, in the same order.
    """
    counts = np.asarray(confusion, dtype=np.int64)
    if counts.shape != (len(classes), len(classes)):
        raise ValueError(f"a confusion matrix of shape {counts.shape} does not fit {len(classes)} classes")
    columns = _Counts(counts.diagonal(), counts.sum(axis=1), counts.sum(axis=0))
    return tuple(
        ClassScores(name, float(precision), float(recall), float(f1), int(support))
        for name, precision, recall, f1, support in zip(
            classes, columns.precision(), columns.recall(), columns.f1(), columns.true, strict=True
        )
    )


def classification_scores(
    truth: npt.ArrayLike,
    probabilities: npt.ArrayLike,
    classes: tuple[str, ...],
) -> dict[str, Score]:
    """Score the probabilities of exclusive classes.

    Accuracy, top-k accuracies (k = 2, 3, 5, where below the number of classes), precision, recall and F1
    (macro and weighted), balanced accuracy and log loss; scikit-learn's numbers with ``zero_division=0``. As
    there, a macro average leaves out a class that is neither true nor predicted for any image, and balanced
    accuracy a class that is never true. Of equally probable classes the first is predicted, and ranks first
    for top-k too (scikit-learn ranks it last there), so that a top-k accuracy is never below accuracy.

    Every score has a 95 % interval: Wilson's for proportions, a t interval corrected for skewness for log loss
    (`distingo.metrics.intervals`), and one from influence functions for averages over classes
    (`distingo.metrics.single_label`). Scores with too few images for a reliable interval are marked.

    Args:
        truth: Class numbers, integers of shape (n,).
        probabilities: Shape (n, classes), rows summing to 1.
        classes: The class names; the columns of `probabilities`.

    Returns:
        Scores by name, `accuracy` first.

    Raises:
        ValueError: The arrays don't match, are empty, or a probability is not in 0 .. 1.
    """
    truth = _class_numbers(truth, len(classes))
    probs = _checked_probabilities(probabilities, truth.size, len(classes))
    confusion = confusion_matrix(truth, probs.argmax(axis=1), len(classes))
    n = int(truth.size)

    scores = _confusion_scores(confusion)
    ranks = _ranks_of_truth(truth, probs)
    for k in TOP_K:
        if k < len(classes):
            right = int(np.count_nonzero(ranks < k))
            scores[f"top_{k}_accuracy"] = proportion(right, n)
    scores["log_loss"] = mean_score(_log_losses(truth, probs), mistakes=n - int(confusion.trace()))
    return scores


@dataclass(frozen=True, slots=True)
class _Counts:
    """Per class, right predictions, true images and predicted images; shape (..., classes) each."""

    right: npt.NDArray[Any]
    true: npt.NDArray[Any]
    predicted: npt.NDArray[Any]

    def precision(self) -> Floats:
        return _divide(self.right, self.predicted)

    def recall(self) -> Floats:
        return _divide(self.right, self.true)

    def f1(self) -> Floats:
        return _divide(2 * self.right, self.true + self.predicted)

    def averages(self) -> dict[str, Floats]:
        """The scores over all classes by name, shape (...) each."""
        present = (self.true + self.predicted) > 0
        total = self.true.sum(axis=-1)
        averages = {"accuracy": self.right.sum(axis=-1) / total}
        by_class = {"precision": self.precision(), "recall": self.recall(), "f1": self.f1()}
        for name, values in by_class.items():
            averages[f"{name}_macro"] = values.sum(axis=-1) / present.sum(axis=-1)
        for name, values in by_class.items():
            averages[f"{name}_weighted"] = (values * self.true).sum(axis=-1) / total
        averages["balanced_accuracy"] = by_class["recall"].sum(axis=-1) / (self.true > 0).sum(axis=-1)
        return averages


def _confusion_scores(confusion: Integers) -> dict[str, Score]:
    n = int(confusion.sum())
    counts = _Counts(confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0))
    points = {name: float(value) for name, value in counts.averages().items()}
    accuracy = proportion(int(np.trace(confusion)), n)
    averages = {name: value for name, value in points.items() if name != "accuracy"}
    intervals = confusion_intervals(confusion, averages)
    scores = {name: intervals[name].score(value, n) for name, value in averages.items()}
    return {"accuracy": accuracy, **scores, "recall_weighted": accuracy}


def _ranks_of_truth(truth: Integers, probabilities: npt.NDArray[Any]) -> Integers:
    """Number of classes that rank before the true one: more probable ones, and earlier ones of equal probability."""
    of_truth = np.take_along_axis(probabilities, truth[:, None], axis=1)
    earlier = np.arange(probabilities.shape[1]) < truth[:, None]
    before = (probabilities > of_truth) | ((probabilities == of_truth) & earlier)
    ranks: Integers = before.sum(axis=1, dtype=np.int64)
    return ranks


def _log_losses(truth: Integers, probabilities: npt.NDArray[Any]) -> Floats:
    """Negative logarithm of the true class's probability, clipped by one epsilon as in scikit-learn."""
    of_truth = np.take_along_axis(probabilities, truth[:, None], axis=1)[:, 0]
    epsilon = np.finfo(probabilities.dtype).eps
    losses: Floats = -np.log(np.clip(of_truth, epsilon, 1 - epsilon).astype(np.float64))
    return losses


def _class_numbers(numbers: npt.ArrayLike, classes: int) -> Integers:
    array = np.asarray(numbers)
    if array.ndim != 1 or (array.size and not np.issubdtype(array.dtype, np.integer)):
        raise ValueError(f"class numbers of shape {array.shape} and type {array.dtype}; give integers of shape (n,)")
    if array.size and (array.min() < 0 or array.max() >= classes):
        raise ValueError(
            f"class numbers {array.min()} .. {array.max()}; with {classes} classes give 0 .. {classes - 1}"
        )
    return array.astype(np.int64)


def _checked_probabilities(probabilities: npt.ArrayLike, n: int, classes: int) -> npt.NDArray[Any]:
    probs = np.asarray(probabilities)
    if not np.issubdtype(probs.dtype, np.floating):
        probs = probs.astype(np.float64)
    if n == 0:
        raise ValueError("no pictures to score; give at least one")
    if probs.shape != (n, classes):
        raise ValueError(f"probabilities of shape {probs.shape}; give {(n, classes)} for {n} pictures")
    if not (probs.min() >= 0 and probs.max() <= 1 + 1e-3):  # also catches NaN
        raise ValueError("a probability is not a number in 0 .. 1")
    return probs
