"""The measurements of a learning curve: which images are trained and evaluated on at each size, and the results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from distingo.datasets.splits.dividing import divide_groups
from distingo.errors import DataError
from distingo.metrics.logits import as_probabilities
from distingo.progress import progress_bar
from distingo.records import Task

Integers = npt.NDArray[np.int64]

SMALLEST_SHARE = 1 / 24
"""The smallest size, as a share of all training images."""

_PER_CLASS = 4
"""Images that a class should have at the smallest size, in the mean."""

FEWEST_SIZES = 4
"""A curve through fewer has no shape."""


@dataclass(frozen=True, slots=True)
class Draw:
    """One order in which training images are added, and the images that are evaluated.

    Attributes:
        test: Positions of the evaluated images.
        pool: Positions of all training images.
        entered: At which size, by its position, each of the pool is there: int64 of the shape of `pool`.
        held_out: Which of the pool are chosen by instead of learned from: bool of the same shape.
    """

    test: Integers
    pool: Integers
    entered: Integers
    held_out: npt.NDArray[np.bool_]

    def at(self, size: int) -> tuple[Integers, Integers]:
        """Positions of the images to learn from and to choose by, at a size given by its position."""
        there = self.entered <= size
        return self.pool[there & ~self.held_out], self.pool[there & self.held_out]


def choose_sizes(pool: int, classes: int, count: int) -> tuple[int, ...]:
    """Training sizes from few images to all, evenly spaced by ratio.

    Args:
        pool: How many training images there are.
        classes: How many classes.
        count: How many sizes at most.

    Raises:
        DataError: There are too few images.
    """
    smallest = max(round(pool * SMALLEST_SHARE), _PER_CLASS * classes)
    sizes = tuple(sorted({round(size) for size in np.geomspace(smallest, pool, count)})) if smallest < pool else ()
    if len(sizes) < FEWEST_SIZES or sizes[-1] < 2 * sizes[0]:
        raise DataError(
            f"{pool:,} training pictures of {classes:,} classes are too few for a learning curve; it needs at least "
            f"{2 * _PER_CLASS * classes:,}",
            code="too_few_images",
        )
    return sizes


def draw_subsets(
    labels: npt.NDArray[np.bool_],
    groups: Integers,
    splits: tuple[Integers, Integers],
    sizes: Sequence[int],
    *,
    validation: float,
    seed: int,
) -> Draw:
    """Order training images by whole groups so that every size has all classes alike, each holding the smaller ones.

    Args:
        labels: Bool (n, classes), of all images.
        groups: Of each image: int64 (n,).
        splits: Positions of the training images and of the evaluated ones.
        sizes: As from `choose_sizes`; of a pool that is a little larger or smaller the same shares.
        validation: Share of every size to choose by.
        seed: Of the order.
    """
    pool, test = splits
    steps = np.diff([0, *sizes]) / sizes[-1]
    entered = divide_groups(labels[pool], groups[pool], steps.tolist(), seed=seed, needed=0)
    held = divide_groups(labels[pool], groups[pool], [1 - validation, validation], seed=seed + 1, needed=0) == 1
    # what a small size would only choose by is learned from
    for column in labels[pool].T:
        first = entered == 0
        if not (column & first & ~held).any():
            held[column & first] = False
    return Draw(test, pool, entered, held)


Floats32 = npt.NDArray[np.float32]

SplitName = tuple[Floats32, npt.NDArray[Any]]

Learner = Callable[[SplitName, SplitName, Floats32], Floats32]
"""Training side, validation split (features and targets each) and evaluated features to probabilities (n, classes)."""


@dataclass(frozen=True, slots=True)
class Measured:
    """The outputs of every draw's models at every size.

    Attributes:
        sizes: How many training images, those chosen by among them.
        images: Which image each row is about; rows of the same image belong to several draws: int64 (rows,).
        draws: Which draw each row is of: int64 (rows,).
        truth: Class numbers int64 (rows,), or bool (rows, labels).
        probabilities: Float32 (sizes, rows, classes).
    """

    sizes: tuple[int, ...]
    images: npt.NDArray[np.int64]
    draws: npt.NDArray[np.int64]
    truth: npt.NDArray[Any]
    probabilities: Floats32


def measure(
    features: Floats32,
    targets: npt.NDArray[Any],
    draws: Sequence[Draw],
    sizes: Sequence[int],
    learn: Learner,
    *,
    classes: int,
    workers: int = 1,
) -> Measured:
    """Train on every size of every draw and predict the draw's evaluated images.

    Args:
        features: Float32 (n, features), of all images.
        targets: Class numbers int64 (n,), or bool (n, labels).
        draws: As from `draw_subsets`.
        sizes: Likewise.
        learn: Trains and predicts.
        classes: How many classes there are.
        workers: Threads; each trains one model at a time.
    """
    from threadpoolctl import threadpool_limits

    rows = np.concatenate([draw.test for draw in draws])
    ends = np.cumsum([0, *(len(draw.test) for draw in draws)])
    probabilities = np.zeros((len(sizes), len(rows), classes), np.float32)

    def fill(place: tuple[int, int]) -> None:
        at, size = place
        draw = draws[at]
        train, held_out = draw.at(size)
        splits = (features[train], targets[train]), (features[held_out], targets[held_out])
        probabilities[size, ends[at] : ends[at + 1]] = learn(*splits, features[draw.test])

    places = [(at, size) for size in reversed(range(len(sizes))) for at in range(len(draws))]
    limits = threadpool_limits(1, user_api="blas")
    with limits, progress_bar("training", len(places)) as advance, ThreadPoolExecutor(workers) as pool:
        for _ in pool.map(fill, places):
            advance(1)
    numbers = np.repeat(np.arange(len(draws)), np.diff(ends))
    return Measured(tuple(sizes), rows, numbers, targets[rows], probabilities)


def head_learner(kind: str, *, classes: int, task: Task, balanced: bool, seed: int) -> Learner:
    """Solve a head on a frozen backbone's features, as `train` does."""
    import torch

    from distingo.training.heads import fit_head

    def learn(train: SplitName, held_out: SplitName, evaluated: Floats32) -> Floats32:
        fitted = fit_head(
            kind,
            train,
            held_out,
            classes=classes,
            task=task,
            class_weights="balanced" if balanced else "none",
            seed=seed,
        )
        with torch.inference_mode():
            logits = fitted.head(torch.from_numpy(np.ascontiguousarray(evaluated))).numpy()
        return as_probabilities(logits, task)

    return learn


def descriptor_learner(*, classes: int, seed: int) -> Learner:
    """Fit the classifier of color-and-texture descriptors, as `train` does."""
    from distingo.models.descriptors import fit_descriptors

    def learn(train: SplitName, held_out: SplitName, evaluated: Floats32) -> Floats32:
        fitted = fit_descriptors(*train, *held_out, classes, seed=seed)
        return np.asarray(fitted.predict_probabilities(evaluated), np.float32)

    return learn
