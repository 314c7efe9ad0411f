"""Probabilities of judged pictures by models that were trained on more and more pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from distingo.learning_curves.draws import Draw
from distingo.progress import progress_bar
from distingo.records import Task

Floats32 = npt.NDArray[np.float32]
Side = tuple[Floats32, npt.NDArray[Any]]
Learner = Callable[[Side, Side, Floats32], Floats32]
"""Training side, validation side (features and targets each) and judged features to probabilities (n, classes)."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What every draw's models say at every size.

    Attributes:
        sizes: How many training pictures, those chosen by among them.
        pictures: Which picture each row is about; rows of the same picture belong to several draws: int64 (rows,).
        draws: Which draw each row is of: int64 (rows,).
        truth: Class numbers int64 (rows,), or bool (rows, labels).
        probabilities: Float32 (sizes, rows, classes).
    """

    sizes: tuple[int, ...]
    pictures: npt.NDArray[np.int64]
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
    """Train on every size of every draw and predict the draw's judged pictures.

    Args:
        features: Float32 (n, features), of all pictures.
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
        sides = (features[train], targets[train]), (features[held_out], targets[held_out])
        probabilities[size, ends[at] : ends[at + 1]] = learn(*sides, features[draw.test])

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

    from distingo.prediction.networks import sigmoid, softmax
    from distingo.training.heads import fit_head

    def learn(train: Side, held_out: Side, judged: Floats32) -> Floats32:
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
            logits = fitted.head(torch.from_numpy(np.ascontiguousarray(judged))).numpy()
        return np.asarray((softmax if task == "single-label" else sigmoid)(logits), np.float32)

    return learn


def descriptor_learner(*, classes: int, seed: int) -> Learner:
    """Fit the classifier of colour-and-texture descriptors, as `train` does."""
    from distingo.models.descriptors import fit_descriptors

    def learn(train: Side, held_out: Side, judged: Floats32) -> Floats32:
        fitted = fit_descriptors(*train, *held_out, classes, seed=seed)
        return np.asarray(fitted.predict_probabilities(judged), np.float32)

    return learn
