"""Scores of a ranking: average precision, also of many resamples at once, and the rank of right labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Ranking:
    """Yes/no entries in the order of their probabilities: sorted once, scored for any number of resamples.

    Average precision is the mean over the positives of the precision at each one's probability, entries of equal
    probability counted together: scikit-learn's definition (Manning, Raghavan and Schütze, Introduction to
    Information Retrieval, 2008, chapter 8, without interpolation). So only the groups of equal probability with a
    positive in them matter, and of the others how many lie before each such group.

    Attributes:
        entries: Integers (m,): the image of each entry, most probable first, up to the last group with a positive.
        group_starts: Integers (groups,): where among `entries` what ends with each group begins.
        positives: Integers (positives,): the images of the positive entries, in the same order.
        positive_starts: Integers (groups,): where among `positives` each group begins.
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
            images: Integers (m,): the image each entry belongs to; None where it is one entry per image.
        """
        order = np.argsort(-probabilities, kind="stable")
        sorted_probabilities, sorted_truth = probabilities[order], truth[order]
        positions = np.flatnonzero(sorted_truth)
        last_of_group = np.append(sorted_probabilities[1:] != sorted_probabilities[:-1], [True])[: order.size]
        ends = np.flatnonzero(last_of_group)
        group_of_positive = np.searchsorted(ends, positions)
        groups, positive_starts = np.unique(group_of_positive, return_index=True)
        after = ends[groups] + 1
        whose = order if images is None else images[order]
        return cls(
            entries=whose[: after[-1] if after.size else 0],
            group_starts=np.concatenate([np.zeros(min(1, after.size), np.int64), after[:-1]]),
            positives=whose[positions],
            positive_starts=positive_starts,
        )

    def average_precision(self, counts: npt.NDArray[Any]) -> Floats:
        """Average precision where each image counts so many times.

        Args:
            counts: Integers (resamples, images).

        Returns:
            Float64 (resamples,); NaN where no positive is drawn.
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
        """Average precision, and what it would be without each of n images (Quenouille's and Tukey's jackknife).

        Where every image is one entry, as for one label. Without the only positive it is the score itself.
        """
        right, found, reached = self._groups()
        total = found[-1]
        precision = right * found / reached
        score = float(precision.sum() / total)
        fewer = np.maximum(reached - 1, 1)
        below = _sums_from(right * found / fewer - precision)  # a negative is missed by its own group and those below
        without = np.full(n, score)
        sizes = np.diff(np.append(self.group_starts, self.entries.size))
        without[self.entries] = score + np.repeat(below, sizes) / total
        if total > 1:
            above = np.concatenate([[0.0], precision.cumsum()[:-1]])
            own = (right - 1) * (found - 1) / fewer
            later = np.append(_sums_from(right * (found - 1) / fewer)[1:], 0.0)
            positives = np.diff(np.append(self.positive_starts, self.positives.size))
            without[self.positives] = np.repeat((above + own + later) / (total - 1), positives)
        else:
            without[self.positives] = score
        return score, without

    def influence(self, n: int) -> tuple[float, Floats]:
        """Average precision, and its derivative by the weight of each of n images times n, whatever entries it has."""
        right, found, reached = self._groups()
        total = found[-1]
        score = float((right * found / reached).sum() / total)
        gains = found / reached + _sums_from(right / reached) - score
        losses = _sums_from(right * found / reached**2)
        sizes = np.diff(np.append(self.group_starts, self.entries.size))
        positives = np.diff(np.append(self.positive_starts, self.positives.size))
        moved = np.bincount(self.positives, np.repeat(gains, positives), n)
        moved -= np.bincount(self.entries, np.repeat(losses, sizes), n)
        return score, moved * n / total

    def _groups(self) -> tuple[Floats, Floats, Floats]:
        """Of each group of equal probability: its positives, those up to its end, all entries up to its end."""
        right = np.diff(np.append(self.positive_starts, self.positives.size)).astype(np.float64)
        reached = np.append(self.group_starts[1:], self.entries.size).astype(np.float64)
        return right, right.cumsum(), reached


def _sums_from(values: Floats) -> Floats:
    """The sum of each number and all after it."""
    sums: Floats = values[::-1].cumsum()[::-1]
    return sums


def average_precision(truth: npt.NDArray[Any], probabilities: npt.NDArray[Any]) -> float:
    """Average precision of one label.

    Args:
        truth: Bool (n,).
        probabilities: Floats (n,); only their order matters.

    Returns:
        scikit-learn's number; NaN where no image has the label.
    """
    return float(Ranking.of(truth, probabilities).average_precision(np.ones((1, truth.size), np.int64))[0])


def mean_average_precision(truth: npt.NDArray[Any], probabilities: npt.NDArray[Any]) -> float:
    """The mean over labels of their average precision, without labels that no image has.

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
    """How high each image's right labels rank among all labels, equal ones taking the lowest rank they share.

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
    places = np.arange(labels)
    is_last = np.ones(truth.shape, dtype=bool)
    is_last[:, :-1] = ranked[:, 1:] != ranked[:, :-1]
    last = np.minimum.accumulate(np.where(is_last, places, labels)[:, ::-1], axis=1)[:, ::-1]
    right_so_far = np.take_along_axis(right.cumsum(axis=1), last, axis=1)
    of_image = truth.sum(axis=1)
    precision = np.ones(len(truth))
    np.divide((right * right_so_far / (last + 1)).sum(axis=1), of_image, out=precision, where=of_image > 0)
    coverage = np.where(right, last + 1, 0).max(axis=1, initial=0).astype(np.float64)
    return precision, coverage


def top_k_hits(truth: npt.NDArray[Any], probabilities: npt.NDArray[Any], k: int) -> npt.NDArray[np.bool_]:
    """Whether at least one of each image's k most probable labels is right.

    Args:
        truth: Bool (n, labels).
        probabilities: Floats (n, labels); of equally probable labels the first ranks first.
        k: At least 1.

    Returns:
        Bool (n,).
    """
    best = np.argsort(-probabilities, axis=1, kind="stable")[:, :k]
    return np.asarray(np.take_along_axis(truth, best, axis=1).any(axis=1), dtype=np.bool_)
