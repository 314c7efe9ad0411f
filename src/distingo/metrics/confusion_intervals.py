"""Intervals of the scores that a confusion matrix gives: precision, recall and F1, averaged over classes.

To first order such a score moves by its influence function with each image that is drawn (Hampel 1974; the
infinitesimal jackknife of Efron, The jackknife, the bootstrap and other resampling plans, 1982, chapter 6). An image of
class a that is taken for b moves it by ``truth[a] + predicted[b] + (right[a] if a == b)``, so its variance is counted
from the matrix itself, without resampling. Two things are put right. Few images of a class look more alike than they
are: where none of six is mistaken, the variance would be 0. So each class's row is averaged with one image of the mean
class (shrinkage as in Agresti and Coull 1998). And F1 is concave in the right ones, thus too low on average with few
images; the second-order term is added to the interval's middle. An interval so short that a single other mistake, in
a class with few images, would lead out of it is no interval at all: there are too few images for one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from distingo.metrics.intervals import Interval, proportion, share_interval
from distingo.records import Score

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

FEWEST_OF_CLASS = 6
"""Images that a class has at least for its recall to mean something."""

MOST_SMALL = 0.2
"""Share of classes that may have fewer."""


FEWEST_FOR_ONE_CLASS = 12
"""Images that a score of one class rests on at least: with fewer, one that shows an interval covers too often."""


@dataclass(frozen=True, slots=True)
class _Influence:
    """What moves a score: by an image's class, by the predicted class, and where both are one; (classes,) each."""

    value: float
    truth: Floats
    predicted: Floats
    right: Floats

    def one_mistake(self, n: int) -> float:
        """By how much one of the `n` images moves the score at most, were it mistaken in place of right."""
        return float(self.right.max()) / n

    def variance(self, table: Floats) -> tuple[float, float]:
        """Of the score on as many images as `table` sums to, drawn like it, and its degrees of freedom.

        The latter are Satterthwaite's (1946): where one small class makes up most of the variance, as few as its
        images. So where one class that is seldom predicted does.
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
    """The interval of each averaged precision, recall and F1.

    Args:
        confusion: Counts of shape (classes, classes), rows are the truth.
        scores: The scores by name; their intervals are those of the classes that an image shows or is taken for.

    Returns:
        By the same names.
    """
    table = _shrunken(confusion.astype(np.float64))
    influences = dict(_influences(table, confusion))
    counts = confusion.sum(axis=1)
    few = has_small_classes(counts, confusion.sum(axis=0))
    found = {}
    for name, value in scores.items():
        own = influences[name]
        spread = own.value * (1 - own.value)
        variance, freedom = own.variance(table)
        effective = spread / variance if variance > 0 and spread > 0 else float(counts.sum())
        interval = share_interval(value + _correction(name, confusion, table), effective, freedom)
        too_few = interval.too_few or few or own.one_mistake(int(counts.sum())) > (interval.high - interval.low) / 2
        found[name] = Interval(interval.low, interval.high, too_few=too_few)
    return found


def class_intervals(confusion: Integers, classes: Sequence[str]) -> dict[str, dict[str, Score]]:
    """Precision, recall and F1 of each class with Wilson's intervals.

    F1 is 2 J / (1 + J), which rises with J: the share of right ones of all images that are of the class or taken for
    it. So its interval is that of a proportion.

    Args:
        confusion: Counts of shape (classes, classes), rows are the truth.
        classes: Their names.

    Returns:
        By class ``precision``, ``recall`` and ``f1``, each with the number of images that it rests on; without those
        that rest on none.
    """
    found = {}
    for at, name in enumerate(classes):
        right, true, said = int(confusion[at, at]), int(confusion[at].sum()), int(confusion[:, at].sum())
        numbers = {"precision": said, "recall": true, "f1": true + said - right}
        scores = {score: _of_one_class(right, n) for score, n in numbers.items() if n}
        if overlap := scores.get("f1"):
            value, low, high = (2 * share / (1 + share) for share in (overlap.value, overlap.low, overlap.high))
            scores["f1"] = Score(value, low, high, overlap.n, too_few=overlap.too_few)
        found[name] = scores
    return found


def _of_one_class(right: int, n: int) -> Score:
    share = proportion(right, n)
    return replace(share, too_few=share.too_few or n < FEWEST_FOR_ONE_CLASS)


def has_small_classes(true: npt.NDArray[Any], predicted: npt.NDArray[Any]) -> bool:
    """Whether too many of the classes that are shown or predicted, so many times (classes,), have too few images."""
    return bool((true[true + predicted > 0] < FEWEST_OF_CLASS).mean() > MOST_SMALL)


def _shrunken(counts: Floats) -> Floats:
    """The matrix with each class's row averaged with one image of the mean class; rows keep their sums."""
    of_truth, of_predicted = counts.sum(axis=1), counts.sum(axis=0)
    n, classes = of_truth.sum(), len(counts)
    right = (counts.trace() + 1) / (n + 2)
    taken_for = np.tile((of_predicted + of_truth + 1.0) * (of_predicted + of_truth > 0), (classes, 1))
    np.fill_diagonal(taken_for, 0.0)
    sums = taken_for.sum(axis=1, keepdims=True)
    prior = np.divide((1 - right) * taken_for, sums, out=np.zeros_like(taken_for), where=sums > 0)
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
    """What the score is too low by on average, to the second order in the number of images.

    F1 is 2 J / (1 + J) with J right ones of the U images that a class is shown in or said of, which is concave.
    Precision weighted by the true classes weighs a class more where it is right by chance more often.
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


def _divide(numerator: npt.NDArray[np.float64], denominator: npt.NDArray[np.float64]) -> Floats:
    quotients: Floats = np.zeros(np.shape(numerator), dtype=np.float64)
    np.divide(numerator, denominator, out=quotients, where=denominator != 0)
    return quotients
