"""Scores of a ranking: average precision, also for many resamples at once, and the ranks of true labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Ranking:
    """Binary entries sorted by probability, which can be scored for any number of resamples.

    Average precision is the mean, over the positives, of the precision at their probabilities; entries of equal
    probability form a group. This is scikit-learn's definition (Manning, Raghavan and Schütze, Introduction to
    Information Retrieval, 2008, chapter 8, without interpolation). Only the groups with a positive matter, and the
    number of entries before each of them.

    Attributes:
        entries: Integers (m,): the image of each entry, most probable first, up to the last group with a positive.
        group_starts: Integers (groups,): index into `entries` of the first entry after the preceding group.
        positives: Integers (positives,): the images of the positive entries, in the same order.
        positive_starts: Integers (groups,): index into `positives` of the first positive of each group.
    """

    entries: Integers
    group_starts: Integers
    positives: Integers
    positive_starts: Integers

    @classmethod
    def of(cls, truth: npt.NDArray[Any], probabilities: npt.NDArray[Any], images: Integers | None = None) -> Self:
        """Sort entries by probability.

        Args:
            truth: Bool (m,).
            probabilities: Floats (m,).
            images: Integers (m,): the image that each entry belongs to; None if there is one entry per image.
        """
        order = np.argsort(-probabilities, kind="stable")
        sorted_probabilities, sorted_truth = probabilities[order], truth[order]
        positions = np.flatnonzero(sorted_truth)
        last_of_group = np.append(sorted_probabilities[1:] != sorted_probabilities[:-1], [True])[: order.size]
        ends = np.flatnonzero(last_of_group)
        group_of_positive = np.searchsorted(ends, positions)
        groups, positive_starts = np.unique(group_of_positive, return_index=True)
        group_ends = ends[groups] + 1
        sorted_images = order if images is None else images[order]
        return cls(
            entries=sorted_images[: group_ends[-1] if group_ends.size else 0],
            group_starts=np.concatenate([np.zeros(min(1, group_ends.size), np.int64), group_ends[:-1]]),
            positives=sorted_images[positions],
            positive_starts=positive_starts,
        )

    def average_precision(self, counts: npt.NDArray[Any]) -> Floats:
        """Compute average precision for each resample.

        Args:
            counts: Integers (resamples, images): how often each image occurs in each resample.

        Returns:
            Float64 (resamples,); NaN for a resample without positives.
        """
        if not self.positives.size:
            return np.full(len(counts), np.nan)
        reached = np.add.reduceat(np.take(counts, self.entries, axis=1), self.group_starts, axis=1).cumsum(axis=1)
        right = np.add.reduceat(np.take(counts, self.positives, axis=1), self.positive_starts, axis=1)
        precision = np.zeros(right.shape)
        np.divide(right.cumsum(axis=1), reached, out=precision, where=reached > 0)
        with np.errstate(invalid="ignore"):
            scores: Floats = (precision * right).sum(axis=1) / right.sum(axis=1)
        return scores

    def leave_one_out(self, n: int) -> tuple[float, Floats]:
        """Average precision, and its value without each of n images (the jackknife of Quenouille and Tukey).

        Requires one entry per image, as for a single label. Leaving out the only positive gives the score itself.
        """
        right, positives_so_far, reached = self._groups()
        total = positives_so_far[-1]
        precision = right * positives_so_far / reached
        score = float(precision.sum() / total)
        fewer = np.maximum(reached - 1, 1)
        below = _sums_from(
            right * positives_so_far / fewer - precision
        )  # removing a negative affects its own group and those below
        without = np.full(n, score)
        sizes = np.diff(np.append(self.group_starts, self.entries.size))
        without[self.entries] = score + np.repeat(below, sizes) / total
        if total > 1:
            above = np.concatenate([[0.0], precision.cumsum()[:-1]])
            own = (right - 1) * (positives_so_far - 1) / fewer
            later = np.append(_sums_from(right * (positives_so_far - 1) / fewer)[1:], 0.0)
            positives = np.diff(np.append(self.positive_starts, self.positives.size))
            without[self.positives] = np.repeat((above + own + later) / (total - 1), positives)
        else:
            without[self.positives] = score
        return score, without

    def influence(self, n: int) -> tuple[float, Floats]:
        """Average precision, and n times its derivative by the weight of each of n images."""
        right, positives_so_far, reached = self._groups()
        total = positives_so_far[-1]
        score = float((right * positives_so_far / reached).sum() / total)
        gains = positives_so_far / reached + _sums_from(right / reached) - score
        losses = _sums_from(right * positives_so_far / reached**2)
        sizes = np.diff(np.append(self.group_starts, self.entries.size))
        positives = np.diff(np.append(self.positive_starts, self.positives.size))
        moved = np.bincount(self.positives, np.repeat(gains, positives), n)
        moved -= np.bincount(self.entries, np.repeat(losses, sizes), n)
        return score, moved * n / total

    def _groups(self) -> tuple[Floats, Floats, Floats]:
        """Per group: its number of positives, the positives up to its end, and all entries up to its end."""
        right = np.diff(np.append(self.positive_starts, self.positives.size)).astype(np.float64)
        reached = np.append(self.group_starts[1:], self.entries.size).astype(np.float64)
        return right, right.cumsum(), reached


def _sums_from(values: Floats) -> Floats:
    """Reverse cumulative sums."""
    sums: Floats = values[::-1].cumsum()[::-1]
    return sums


def average_precision(truth: npt.NDArray[Any], probabilities: npt.NDArray[Any]) -> float:
    """Average precision of one label.

    Args:
        truth: Bool (n,).
        probabilities: Floats (n,); only their order matters.

    Returns:
        The same value as scikit-learn's; NaN where no image has the label.
    """
    return float(Ranking.of(truth, probabilities).average_precision(np.ones((1, truth.size), np.int64))[0])


def mean_average_precision(truth: npt.NDArray[Any], probabilities: npt.NDArray[Any]) -> float:
    """Mean average precision over the labels that at least one image has.

    Args:
        truth: Bool (n, labels).
        probabilities: Floats (n, labels).

    Returns:
        A number in 0 .. 1; NaN where no image has any label.
    """
    with_positives = np.flatnonzero(truth.any(axis=0))
    each = [average_precision(truth[:, label], probabilities[:, label]) for label in with_positives]
    return float(np.mean(each)) if each else float("nan")


def label_ranks(truth: npt.NDArray[Any], probabilities: npt.NDArray[Any]) -> tuple[Floats, Floats]:
    """Rank each image's true labels among all labels; equally probable labels share the lowest of their ranks.

    Args:
        truth: Bool (n, labels).
        probabilities: Floats (n, labels).

    Returns:
        Two float64 arrays (n,) whose means are scikit-learn's ``label_ranking_average_precision_score`` (an image
        without labels counts 1) and ``coverage_error`` (counts 0). Source: Tsoumakas, Katakis and Vlahavas, Mining
        Multi-label Data, 2010.
    """
    order = np.argsort(-probabilities, axis=1, kind="stable")
    ranked, right = (np.take_along_axis(array, order, axis=1) for array in (probabilities, truth))
    labels = truth.shape[1]
    positions = np.arange(labels)
    is_last = np.ones(truth.shape, dtype=bool)
    is_last[:, :-1] = ranked[:, 1:] != ranked[:, :-1]
    last = np.minimum.accumulate(np.where(is_last, positions, labels)[:, ::-1], axis=1)[:, ::-1]
    right_so_far = np.take_along_axis(right.cumsum(axis=1), last, axis=1)
    true_counts = truth.sum(axis=1)
    precision = np.ones(len(truth))
    np.divide((right * right_so_far / (last + 1)).sum(axis=1), true_counts, out=precision, where=true_counts > 0)
    coverage = np.where(right, last + 1, 0).max(axis=1, initial=0).astype(np.float64)
    return precision, coverage


def top_k_hits(truth: npt.NDArray[Any], probabilities: npt.NDArray[Any], k: int) -> npt.NDArray[np.bool_]:
    """Whether at least one of each image's k most probable labels is true.

    Args:
        truth: Bool (n, labels).
        probabilities: Floats (n, labels); of equally probable labels the first ranks first.
        k: At least 1.

    Returns:
        Bool (n,).
    """
    best = np.argsort(-probabilities, axis=1, kind="stable")[:, :k]
    return np.asarray(np.take_along_axis(truth, best, axis=1).any(axis=1), dtype=np.bool_)
