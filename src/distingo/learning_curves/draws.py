"""Which pictures are learned from at each size, and which they are judged on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from distingo.datasets.dividing import divide_groups
from distingo.errors import DataError

Integers = npt.NDArray[np.int64]

SMALLEST_SHARE = 1 / 24
"""The smallest size, as a share of all training pictures."""

_PER_CLASS = 4
"""Pictures that a class should have at the smallest size, in the mean."""

FEWEST_SIZES = 4
"""A curve through fewer has no shape."""


@dataclass(frozen=True, slots=True)
class Draw:
    """One order in which training pictures are added, and the pictures that are judged.

    Attributes:
        test: Positions of the judged pictures.
        pool: Positions of all training pictures.
        entered: At which size, by its position, each of the pool is there: int64 of the shape of `pool`.
        held_out: Which of the pool are chosen by instead of learned from: bool of the same shape.
    """

    test: Integers
    pool: Integers
    entered: Integers
    held_out: npt.NDArray[np.bool_]

    def at(self, size: int) -> tuple[Integers, Integers]:
        """Positions of the pictures to learn from and to choose by, at a size given by its position."""
        there = self.entered <= size
        return self.pool[there & ~self.held_out], self.pool[there & self.held_out]


def choose_sizes(pool: int, classes: int, count: int) -> tuple[int, ...]:
    """Training sizes from few pictures to all, evenly spaced by ratio.

    Args:
        pool: How many training pictures there are.
        classes: How many classes.
        count: How many sizes at most.

    Raises:
        DataError: There are too few pictures.
    """
    smallest = max(round(pool * SMALLEST_SHARE), _PER_CLASS * classes)
    sizes = tuple(sorted({round(size) for size in np.geomspace(smallest, pool, count)})) if smallest < pool else ()
    if len(sizes) < FEWEST_SIZES or sizes[-1] < 2 * sizes[0]:
        raise DataError(
            f"{pool:,} training pictures of {classes:,} classes are too few for a learning curve; it needs at least "
            f"{2 * _PER_CLASS * classes:,}"
        )
    return sizes


def draw_subsets(
    labels: npt.NDArray[np.bool_],
    groups: Integers,
    sides: tuple[Integers, Integers],
    sizes: Sequence[int],
    *,
    validation: float,
    seed: int,
) -> Draw:
    """Order training pictures by whole groups so that every size has all classes alike, each holding the smaller ones.

    Args:
        labels: Bool (n, classes), of all pictures.
        groups: Of each picture: int64 (n,).
        sides: Positions of the training pictures and of the judged ones.
        sizes: As from `choose_sizes`; of a pool that is a little larger or smaller the same shares.
        validation: Share of every size to choose by.
        seed: Of the order.
    """
    pool, test = sides
    steps = np.diff([0, *sizes]) / sizes[-1]
    entered = divide_groups(labels[pool], groups[pool], steps.tolist(), seed=seed, needed=0)
    held = divide_groups(labels[pool], groups[pool], [1 - validation, validation], seed=seed + 1, needed=0) == 1
    # what a small size would only choose by is learned from
    for column in labels[pool].T:
        first = entered == 0
        if not (column & first & ~held).any():
            held[column & first] = False
    return Draw(test, pool, entered, held)
