"""Groups of images divided over sides so that every class is shared out as asked, and no group is broken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from distingo.progress import progress_bar

_PASSES = 20

_STEP = 500  # groups between two movements of the progress bar

_FEWEST = 0.25
"""Stands for no images of a label where what there should be is divided by."""

_MISSING = 1e6
"""Weighs more than any imbalance: a class that could be on every side is missing on one."""


def divide_groups(
    labels: np.ndarray, groups: np.ndarray, shares: Sequence[float], *, seed: int, needed: int | None = None
) -> np.ndarray:
    """Divide images by whole groups, every label alike.

    Greedy as in scikit-learn's ``StratifiedGroupKFold``, largest groups first (of equals the one with the rarest
    label), but towards any shares and for several labels: each group goes where it lessens Pearson's chi-square
    between the images a side has of each label (and in all) and those it should have. Then single groups are moved
    and pairs of groups are swapped between sides as long as that lessens it further. A label that has at least as many
    groups as there are sides is on every side, whatever that costs in proportion, unless its groups are tied to others.

    Args:
        labels: bool of shape (images, labels); an image may have none.
        groups: int (images,): the group of each.
        shares: Of the images, one per side, above 0; they add up to 1.
        seed: Not negative; of the order of groups that are equal.
        needed: The side on which no label should be missing, even if it is missing on others; None: no such side.

    Returns:
        The side of every image: int64 (images,).

    Raises:
        ValueError: The shares are none.
    """
    parts = np.asarray(shares, np.float64)
    if not len(parts) or (parts <= 0).any() or abs(parts.sum() - 1) > 1e-9:
        raise ValueError(f"shares {tuple(shares)} are not all above 0 or do not add up to 1")
    numbers, members = np.unique(groups, return_inverse=True)
    if not len(numbers):
        return np.empty(0, np.int64)
    counts = _count_labels(np.asarray(labels, bool), members, len(numbers))
    wanted = np.outer(parts, _totals(counts))
    columns = np.bincount(np.concatenate([group.columns for group in counts]))
    missing = np.repeat(np.where(columns >= len(parts), _MISSING, 0.0)[None], len(parts), axis=0)
    if needed is not None:
        missing[needed] = 10 * _MISSING
    division = _Division(counts, wanted, missing)
    division.fill(_order(counts, np.random.default_rng(seed)))
    division.improve()
    return division.splits[members]


def rejoin_groups(
    labels: np.ndarray, groups: np.ndarray, splits: np.ndarray, *, seed: int, importance: np.ndarray
) -> np.ndarray:
    """Put every group on one side of a division that took no notice of groups, and change little else.

    A group goes to the side of one of its images, drawn by the seed, so that its chance of each side is the share of
    its images there; one that is larger than a side is to be goes to the largest side. Then single images and groups
    are moved and swapped as in `divide_groups`, until every side has as many of each label as it had before, or as near
    to that as whole groups allow.

    Args:
        labels: bool of shape (images, labels).
        groups: int (images,): the group of each.
        splits: int (images,): the side of each so far, from 0; every side has some.
        seed: Not negative.
        importance: float (sides,): where a label should rather have some, if it can't have some on every side.

    Returns:
        The side of every image: int64 (images,), the same as before if no group lay on several.
    """
    numbers, members = np.unique(groups, return_inverse=True)
    drawn = np.random.default_rng(seed).permutation(len(splits))
    _, first = np.unique(members[drawn], return_index=True)
    chosen = np.asarray(splits, np.int64)[drawn[first]]
    if (chosen[members] == splits).all():
        return chosen[members]
    counts = _count_labels(np.asarray(labels, bool), members, len(numbers))
    wanted = _count_on_splits(labels, splits)
    division = _Division(counts, wanted, np.where(wanted > 0, _MISSING, 0.0) * importance[:, None])
    division.start(chosen)
    division.improve()
    return division.splits[members]


def _count_on_splits(labels: np.ndarray, splits: np.ndarray) -> np.ndarray:
    """How many images of each label, at last of all, every side has: float64 (sides, labels + 1)."""
    table = np.column_stack([labels, np.ones(len(labels), bool)])
    return np.stack([table[splits == split].sum(axis=0) for split in range(int(splits.max()) + 1)]).astype(np.float64)


def _count_labels(labels: np.ndarray, members: np.ndarray, groups: int) -> list[_Counts]:
    """How many images of each label every group has; the last column counts all its images."""
    rows, columns = np.nonzero(labels)
    width = labels.shape[1] + 1
    keys = np.concatenate([members[rows] * width + columns, members * width + width - 1])
    found, numbers = np.unique(keys, return_counts=True)
    edges = np.searchsorted(found, np.arange(groups + 1) * width)
    return [_Counts(found[start:end] % width, numbers[start:end].astype(np.float64)) for start, end in pairwise(edges)]


@dataclass(frozen=True, slots=True, eq=False)
class _Counts:
    """One group's images: the columns (labels, at last all) that it has some of, and how many of each."""

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
    """Groups on sides, and what every further step would cost."""

    def __init__(self, counts: Sequence[_Counts], wanted: np.ndarray, missing: np.ndarray) -> None:
        """Nothing is on any side yet.

        Args:
            counts: Of every group.
            wanted: How many images of each column every side should have, float64 (sides, columns).
            missing: What it costs if a side has none of a column, of the same shape.
        """
        self.counts = counts
        self.splits = np.full(len(counts), -1, np.int64)
        self._goal = wanted
        self._wanted = np.where(wanted > 0, wanted, _FEWEST)
        self._have = np.zeros_like(self._wanted)
        self._missing = missing

    def fill(self, order: np.ndarray) -> None:
        """Give every group a side, in this order."""
        with progress_bar("Dividing", len(order)) as advance:
            for done, at in enumerate(order.tolist(), 1):
                columns, numbers = self.counts[at].columns, self.counts[at].numbers
                self._put(at, int(self._costs(self._have[:, columns], columns, numbers).argmin()))
                if done % _STEP == 0:
                    advance(_STEP)

    def start(self, splits: np.ndarray) -> None:
        """Give every group a side to begin with; the largest side where one is too large for its own."""
        largest = int(self._wanted[:, -1].argmax())
        for at, (group, split) in enumerate(zip(self.counts, splits.tolist(), strict=True)):
            fits = (group.numbers <= self._wanted[split, group.columns]).all()
            self._put(at, split if fits or group.numbers[-1] == 1 else largest)

    def improve(self) -> None:
        """Move single groups, then swap pairs, until nothing gets better or enough has been tried."""
        order = np.argsort([group.numbers[-1] for group in self.counts], kind="stable")
        for _ in range(_PASSES):
            if np.array_equal(self._have, self._goal):
                return
            if not sum([self._move(at) for at in order.tolist()]) and not self._swap_any():
                return

    def _put(self, at: int, split: int) -> None:
        group = self.counts[at]
        if self.splits[at] >= 0:
            self._have[self.splits[at], group.columns] -= group.numbers
        self._have[split, group.columns] += group.numbers
        self.splits[at] = split

    def _costs(self, have: np.ndarray, columns: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        """What it costs each side that has so many to get so many more (or, below 0, fewer): float64 (sides,)."""
        wanted, after = self._wanted[:, columns], have + numbers
        chi_square = (numbers * (have + after - 2 * wanted) / wanted).sum(axis=1)
        lacking = ((after < 0.5).astype(np.float64) - (have < 0.5)) * self._missing[:, columns]
        costs: np.ndarray = chi_square + lacking.sum(axis=1)
        return costs

    def _move(self, at: int) -> bool:
        columns, numbers = self.counts[at].columns, self.counts[at].numbers
        split, have = self.splits[at], self._have[:, columns]
        change = self._costs(have, columns, numbers)
        change += self._costs(have, columns, -numbers)[split]
        change[split] = 0.0
        best = int(change.argmin())
        if change[best] >= -1e-9:
            return False
        self._put(at, best)
        return True

    def _swap_any(self) -> bool:
        """Swap two groups of different content, the best pair for each pair of sides; whether any was swapped."""
        kinds: dict[tuple[int, bytes, bytes], int] = {}
        for at, group in enumerate(self.counts):
            kinds.setdefault((int(self.splits[at]), group.columns.tobytes(), group.numbers.tobytes()), at)
        if len(kinds) > 400:  # so many different groups leave nothing that single moves could not fix
            return False
        done = False
        places = sorted(kinds.values())
        for index, one in enumerate(places):
            for other in places[index + 1 :]:
                done |= self._swap(one, other)
        return done

    def _swap(self, one: int, other: int) -> bool:
        a, b = int(self.splits[one]), int(self.splits[other])
        if a == b:
            return False
        before = self._cost((a, b))
        self._put(one, b)
        self._put(other, a)
        if self._cost((a, b)) < before - 1e-9:
            return True
        self._put(one, a)
        self._put(other, b)
        return False

    def _cost(self, splits: tuple[int, int]) -> float:
        rows = list(splits)
        have, wanted = self._have[rows], self._wanted[rows]
        chi_square = np.divide((have - wanted) ** 2, wanted, out=np.zeros_like(wanted), where=wanted > 0)
        return float(chi_square.sum() + (self._missing[rows] * ((have < 0.5) & (wanted > 0))).sum())
