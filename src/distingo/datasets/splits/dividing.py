"""Divide groups of images over splits in given shares for every class, without breaking a group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from distingo.progress import progress_bar

_PASSES = 20

_STEP = 500  # groups between two updates of the progress bar

_MIN_EXPECTED = 0.25
"""Divisor used instead of zero if a split should have no images of a label."""

_MISSING = 1e6
"""Cost above any imbalance, for a class that is missing in a split although it has enough groups."""


def divide_groups(
    labels: np.ndarray, groups: np.ndarray, shares: Sequence[float], *, seed: int, needed: int | None = None
) -> np.ndarray:
    """Divide images by whole groups, in the same shares for every label.

    Greedy like scikit-learn's ``StratifiedGroupKFold``, with the largest groups first (among equals, the one with the
    rarest label), but for any shares and for multi-label data: each group is assigned so as to minimize Pearson's
    chi-square between the actual and the expected images of each label (and in total) in each split. Then single groups
    are moved and pairs of groups are swapped between splits as long as that decreases it further. A label with at least
    as many groups as there are splits is present in every split, at any cost in proportions, unless its groups are tied
    to others.

    Args:
        labels: bool of shape (images, labels); an image may have none.
        groups: int of shape (images,): the group of each image.
        shares: Share of the images for each split, above 0; they add up to 1.
        seed: Not negative; determines the order of equal groups.
        needed: Index of the split in which no label should be missing, even if it is missing in others; None for no
            such split.

    Returns:
        The split of every image: int64 of shape (images,).

    Raises:
        ValueError: The shares are invalid.
    """
    proportions = np.asarray(shares, np.float64)
    if not len(proportions) or (proportions <= 0).any() or abs(proportions.sum() - 1) > 1e-9:
        raise ValueError(f"shares {tuple(shares)} are not all above 0 or do not add up to 1")
    group_numbers, members = np.unique(groups, return_inverse=True)
    if not len(group_numbers):
        return np.empty(0, np.int64)
    counts = _count_labels(np.asarray(labels, bool), members, len(group_numbers))
    expected = np.outer(proportions, _totals(counts))
    columns = np.bincount(np.concatenate([group.columns for group in counts]))
    missing = np.repeat(np.where(columns >= len(proportions), _MISSING, 0.0)[None], len(proportions), axis=0)
    if needed is not None:
        missing[needed] = 10 * _MISSING
    division = _Division(counts, expected, missing)
    division.fill(_order(counts, np.random.default_rng(seed)))
    division.improve()
    return division.splits[members]


def rejoin_groups(
    labels: np.ndarray, groups: np.ndarray, splits: np.ndarray, *, seed: int, importance: np.ndarray
) -> np.ndarray:
    """Move every group into one split of an existing division that ignored groups, with few other changes.

    A group moves to the split of one of its images, drawn at random, so that the probability of each split is the share
    of its images there; a group larger than its split goes to the largest split. Then single images and groups are
    moved and swapped as in `divide_groups`, until every split has the same number of images of each label as before, or
    as close to it as whole groups allow.

    Args:
        labels: bool of shape (images, labels).
        groups: int of shape (images,): the group of each image.
        splits: int of shape (images,): the current split of each image, from 0; no split is empty.
        seed: Not negative.
        importance: float of shape (splits,): how important it is for a label to be present in each split, if not all
            can have it.

    Returns:
        The split of every image: int64 of shape (images,), unchanged if no group was in several splits.
    """
    group_numbers, members = np.unique(groups, return_inverse=True)
    shuffled = np.random.default_rng(seed).permutation(len(splits))
    _, first = np.unique(members[shuffled], return_index=True)
    group_splits = np.asarray(splits, np.int64)[shuffled[first]]
    if (group_splits[members] == splits).all():
        return group_splits[members]
    counts = _count_labels(np.asarray(labels, bool), members, len(group_numbers))
    expected = _count_on_splits(labels, splits)
    division = _Division(counts, expected, np.where(expected > 0, _MISSING, 0.0) * importance[:, None])
    division.start(group_splits)
    division.improve()
    return division.splits[members]


def _count_on_splits(labels: np.ndarray, splits: np.ndarray) -> np.ndarray:
    """Count the images of each label, and in the last column all images, by split: float64 (splits, labels + 1)."""
    table = np.column_stack([labels, np.ones(len(labels), bool)])
    return np.stack([table[splits == split].sum(axis=0) for split in range(int(splits.max()) + 1)]).astype(np.float64)


def _count_labels(labels: np.ndarray, members: np.ndarray, groups: int) -> list[_Counts]:
    """Count the images of each label in every group; the last column counts all of its images."""
    rows, columns = np.nonzero(labels)
    width = labels.shape[1] + 1
    keys = np.concatenate([members[rows] * width + columns, members * width + width - 1])
    cells, numbers = np.unique(keys, return_counts=True)
    edges = np.searchsorted(cells, np.arange(groups + 1) * width)
    return [_Counts(cells[start:end] % width, numbers[start:end].astype(np.float64)) for start, end in pairwise(edges)]


@dataclass(frozen=True, slots=True, eq=False)
class _Counts:
    """A group's nonzero columns (labels, and the total last), and the number of images for each."""

    columns: np.ndarray
    numbers: np.ndarray


def _order(counts: Sequence[_Counts], rng: np.random.Generator) -> np.ndarray:
    totals = _totals(counts)
    size = np.array([-group.numbers[-1] for group in counts])
    rarest = np.array([totals[group.columns].min() for group in counts])
    return np.lexsort((rng.permutation(len(counts)), rarest, size))


def _totals(counts: Sequence[_Counts]) -> np.ndarray:
    columns = np.concatenate([group.columns for group in counts])
    return np.bincount(columns, np.concatenate([group.numbers for group in counts]))


class _Division:
    """An assignment of groups to splits, with the cost of further changes."""

    def __init__(self, counts: Sequence[_Counts], expected: np.ndarray, missing: np.ndarray) -> None:
        """Start with all groups unassigned.

        Args:
            counts: The counts of every group.
            expected: Expected number of images of each column in every split, float64 (splits, columns).
            missing: Cost if a split has no images of a column, of the same shape.
        """
        self.counts = counts
        self.splits = np.full(len(counts), -1, np.int64)
        self._goal = expected
        self._expected = np.where(expected > 0, expected, _MIN_EXPECTED)
        self._current = np.zeros_like(self._expected)
        self._missing = missing

    def fill(self, order: np.ndarray) -> None:
        """Assign every group to a split, in this order."""
        with progress_bar("Dividing", len(order)) as advance:
            for done, at in enumerate(order.tolist(), 1):
                columns, numbers = self.counts[at].columns, self.counts[at].numbers
                self._assign(at, int(self._costs(self._current[:, columns], columns, numbers).argmin()))
                if done % _STEP == 0:
                    advance(_STEP)

    def start(self, splits: np.ndarray) -> None:
        """Assign every group to its initial split, or to the largest split if it is too large for its own."""
        largest = int(self._expected[:, -1].argmax())
        for at, (group, split) in enumerate(zip(self.counts, splits.tolist(), strict=True)):
            fits = (group.numbers <= self._expected[split, group.columns]).all()
            self._assign(at, split if fits or group.numbers[-1] == 1 else largest)

    def improve(self) -> None:
        """Move single groups, then swap pairs, until nothing improves or the limit of passes is reached."""
        order = np.argsort([group.numbers[-1] for group in self.counts], kind="stable")
        for _ in range(_PASSES):
            if np.array_equal(self._current, self._goal):
                return
            if not sum([self._move(at) for at in order.tolist()]) and not self._swap_any():
                return

    def _assign(self, at: int, split: int) -> None:
        group = self.counts[at]
        if self.splits[at] >= 0:
            self._current[self.splits[at], group.columns] -= group.numbers
        self._current[split, group.columns] += group.numbers
        self.splits[at] = split

    def _costs(self, current: np.ndarray, columns: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        """Cost for each split with these counts to receive so many more (or, if negative, fewer): float64 (splits,)."""
        expected, new_counts = self._expected[:, columns], current + numbers
        chi_square = (numbers * (current + new_counts - 2 * expected) / expected).sum(axis=1)
        lacking = ((new_counts < 0.5).astype(np.float64) - (current < 0.5)) * self._missing[:, columns]
        costs: np.ndarray = chi_square + lacking.sum(axis=1)
        return costs

    def _move(self, at: int) -> bool:
        columns, numbers = self.counts[at].columns, self.counts[at].numbers
        split, current = self.splits[at], self._current[:, columns]
        change = self._costs(current, columns, numbers)
        change += self._costs(current, columns, -numbers)[split]
        change[split] = 0.0
        best = int(change.argmin())
        if change[best] >= -1e-9:
            return False
        self._assign(at, best)
        return True

    def _swap_any(self) -> bool:
        """Swap pairs of different groups between splits where it improves; returns whether any were swapped."""
        kinds: dict[tuple[int, bytes, bytes], int] = {}
        for at, group in enumerate(self.counts):
            kinds.setdefault((int(self.splits[at]), group.columns.tobytes(), group.numbers.tobytes()), at)
        if len(kinds) > 400:  # with so many different groups, single moves are sufficient
            return False
        swapped = False
        candidates = sorted(kinds.values())
        for index, one in enumerate(candidates):
            for other in candidates[index + 1 :]:
                swapped |= self._swap(one, other)
        return swapped

    def _swap(self, one: int, other: int) -> bool:
        a, b = int(self.splits[one]), int(self.splits[other])
        if a == b:
            return False
        old_cost = self._cost((a, b))
        self._assign(one, b)
        self._assign(other, a)
        if self._cost((a, b)) < old_cost - 1e-9:
            return True
        self._assign(one, a)
        self._assign(other, b)
        return False

    def _cost(self, splits: tuple[int, int]) -> float:
        rows = list(splits)
        current, expected = self._current[rows], self._expected[rows]
        chi_square = np.divide((current - expected) ** 2, expected, out=np.zeros_like(expected), where=expected > 0)
        return float(chi_square.sum() + (self._missing[rows] * ((current < 0.5) & (expected > 0))).sum())
