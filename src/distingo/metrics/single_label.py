"""Scores of single-label classifiers: accuracy, precision, recall, F1 and log loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from distingo.metrics.confusion_intervals import confusion_intervals
from distingo.metrics.intervals import mean_score, proportion
from distingo.records import ClassScores, Score

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

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
    (`distingo.metrics.confusion_intervals`). Scores with too few images for a reliable interval are marked.

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


def _divide(numerator: npt.NDArray[Any], denominator: npt.NDArray[Any]) -> Floats:
    quotients: Floats = np.zeros(np.shape(numerator), dtype=np.float64)
    np.divide(numerator, denominator, out=quotients, where=denominator != 0)
    return quotients


def _confusion_scores(confusion: Integers) -> dict[str, Score]:
    n = int(confusion.sum())
    counts = _Counts(confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0))
    points = {name: float(value) for name, value in counts.averages().items()}
    accuracy = proportion(int(np.trace(confusion)), n)
    averages = {name: value for name, value in points.items() if name != "accuracy"}
    intervals = confusion_intervals(confusion, averages)
    scores = {name: intervals[name].score(value, n) for name, value in averages.items()}
    return {"accuracy": accuracy, **scores, "recall_weighted": accuracy}


def _ranks_of_truth(truth: Integers, chances: npt.NDArray[Any]) -> Integers:
    """Number of classes that rank before the true one: more probable ones, and earlier ones of equal probability."""
    of_truth = np.take_along_axis(chances, truth[:, None], axis=1)
    earlier = np.arange(chances.shape[1]) < truth[:, None]
    before = (chances > of_truth) | ((chances == of_truth) & earlier)
    ranks: Integers = before.sum(axis=1, dtype=np.int64)
    return ranks


def _log_losses(truth: Integers, chances: npt.NDArray[Any]) -> Floats:
    """Negative logarithm of the true class's probability, clipped by one epsilon as in scikit-learn."""
    of_truth = np.take_along_axis(chances, truth[:, None], axis=1)[:, 0]
    epsilon = np.finfo(chances.dtype).eps
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
