"""Groups of pictures divided over sides so that every class is shared out as asked, and no group is broken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from distingo.progress import progress_bar

_PASSES = 20
_STEP = 500  # groups between two movements of the progress bar
_MISSING = 1e6
"""Weighs more than any imbalance: a class that could be on every side is missing on one."""


def divide_groups(
    labels: np.ndarray, groups: np.ndarray, shares: Sequence[float], *, seed: int, needed: int | None = None
) -> np.ndarray:
    """Divide pictures by whole groups, every label alike.

    Greedy as in scikit-learn's ``StratifiedGroupKFold``, largest groups first (of equals the one with the rarest
    label), but towards any shares and for several labels: each group goes where it lessens Pearson's chi-square
    between the pictures a side has of each label (and in all) and those it should have. Then single groups are moved
    and pairs of groups are swapped between sides as long as that lessens it further. A label that has at least as many
    groups as there are sides is on every side, whatever that costs in proportion, unless its groups are tied to others.

    Args:
        labels: bool of shape (pictures, labels); a picture may have none.
        groups: int (pictures,): the group of each.
        shares: Of the pictures, one per side, above 0; they add up to 1.
        seed: Not negative; of the order of groups that are equal.
        needed: The side on which no label should be missing, even if it is missing on others; None: no such side.

    Returns:
        The side of every picture: int64 (pictures,).

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
    division = _Division(counts, parts, needed)
    division.fill(_order(counts, np.random.default_rng(seed)))
    division.improve()
    return division.sides[members]


def _count_labels(labels: np.ndarray, members: np.ndarray, groups: int) -> list[_Counts]:
    """How many pictures of each label every group has; the last column counts all its pictures."""
    rows, columns = np.nonzero(labels)
    width = labels.shape[1] + 1
    keys = np.concatenate([members[rows] * width + columns, members * width + width - 1])
    found, numbers = np.unique(keys, return_counts=True)
    edges = np.searchsorted(found, np.arange(groups + 1) * width)
    return [_Counts(found[start:end] % width, numbers[start:end].astype(np.float64)) for start, end in pairwise(edges)]


@dataclass(frozen=True, slots=True, eq=False)
class _Counts:
    """One group's pictures: the columns (labels, at last all) that it has some of, and how many of each."""

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

    def __init__(self, counts: Sequence[_Counts], shares: np.ndarray, needed: int | None) -> None:
        self.counts = counts
        self.sides = np.full(len(counts), -1, np.int64)
        self._wanted = np.outer(shares, _totals(counts))
        self._have = np.zeros_like(self._wanted)
        groups = np.bincount(np.concatenate([group.columns for group in counts]))
        everywhere = np.where(groups >= len(shares), _MISSING, 0.0)
        self._missing = np.repeat(everywhere[None], len(shares), axis=0)
        if needed is not None:
            self._missing[needed] = 10 * _MISSING

    def fill(self, order: np.ndarray) -> None:
        """Give every group a side, in this order."""
        with progress_bar("Dividing", len(order)) as advance:
            for done, at in enumerate(order.tolist(), 1):
                columns, numbers = self.counts[at].columns, self.counts[at].numbers
                self._put(at, int(self._costs(self._have[:, columns], columns, numbers).argmin()))
                if done % _STEP == 0:
                    advance(_STEP)

    def improve(self) -> None:
        """Move single groups, then swap pairs, until nothing gets better or enough has been tried."""
        order = np.argsort([group.numbers[-1] for group in self.counts], kind="stable")
        for _ in range(_PASSES):
            if not sum([self._move(at) for at in order.tolist()]) and not self._swap_any():
                return

    def _put(self, at: int, side: int) -> None:
        group = self.counts[at]
        if self.sides[at] >= 0:
            self._have[self.sides[at], group.columns] -= group.numbers
        self._have[side, group.columns] += group.numbers
        self.sides[at] = side

    def _costs(self, have: np.ndarray, columns: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        """What it costs each side that has so many to get so many more (or, below 0, fewer): float64 (sides,)."""
        wanted, after = self._wanted[:, columns], have + numbers
        chi_square = (numbers * (have + after - 2 * wanted) / wanted).sum(axis=1)
        lacking = ((after < 0.5).astype(np.float64) - (have < 0.5)) * self._missing[:, columns]
        costs: np.ndarray = chi_square + lacking.sum(axis=1)
        return costs

    def _move(self, at: int) -> bool:
        columns, numbers = self.counts[at].columns, self.counts[at].numbers
        side, have = self.sides[at], self._have[:, columns]
        change = self._costs(have, columns, numbers)
        change += self._costs(have, columns, -numbers)[side]
        change[side] = 0.0
        best = int(change.argmin())
        if change[best] >= -1e-9:
            return False
        self._put(at, best)
        return True

    def _swap_any(self) -> bool:
        """Swap two groups of different content, the best pair for each pair of sides; whether any was swapped."""
        kinds: dict[tuple[int, bytes, bytes], int] = {}
        for at, group in enumerate(self.counts):
            kinds.setdefault((int(self.sides[at]), group.columns.tobytes(), group.numbers.tobytes()), at)
        if len(kinds) > 400:  # so many different groups leave nothing that single moves could not mend
            return False
        done = False
        places = sorted(kinds.values())
        for index, one in enumerate(places):
            for other in places[index + 1 :]:
                done |= self._swap(one, other)
        return done

    def _swap(self, one: int, other: int) -> bool:
        a, b = int(self.sides[one]), int(self.sides[other])
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

    def _cost(self, sides: tuple[int, int]) -> float:
        rows = list(sides)
        have, wanted = self._have[rows], self._wanted[rows]
        chi_square = np.divide((have - wanted) ** 2, wanted, out=np.zeros_like(wanted), where=wanted > 0)
        return float(chi_square.sum() + (self._missing[rows] * ((have < 0.5) & (wanted > 0))).sum())
