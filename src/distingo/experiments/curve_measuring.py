"""Measurements of a learning curve, and ``learning-curve.json``, their record.

For each size: the training and evaluation images, and the predictions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from distingo.datasets.splits.dividing import divide_groups
from distingo.errors import DataError
from distingo.files import write_json
from distingo.messages.notes import Note
from distingo.metrics.logits import as_probabilities
from distingo.progress import progress_bar
from distingo.records import Task
from distingo.runs.fields import Plain
from distingo.runs.folder import FORMAT
from distingo.scores import Score


@dataclass(frozen=True, slots=True)
class SizeScore:
    """A score with `size` training images."""

    size: int
    score: Score


@dataclass(frozen=True, slots=True)
class Forecast:
    """Expected score with more training images.

    Attributes:
        factor: Multiple of the current number of training images.
        size: The resulting number of training images.
        score: The expected score with its 95 % interval.
        gain: The expected improvement over the fitted score with the current images. Its interval is narrower than that
            of the score, as both are evaluated on the same images.
    """

    factor: float
    size: int
    score: Score
    gain: Score


@dataclass(frozen=True, slots=True)
class ScoreCurve:
    """One score over training sizes, measured and extrapolated.

    Attributes:
        name: Name of the class or label; empty for all images.
        support: Number of evaluated images: all, or those of the class.
        measured: Measured scores with bootstrap intervals over images and draws.
        forecasts: Forecasts for the requested factors.
        band: Expected scores at sizes between the largest measured and the largest requested size.
    """

    name: str
    support: int
    measured: tuple[SizeScore, ...]
    forecasts: tuple[Forecast, ...]
    band: tuple[SizeScore, ...]

    @property
    def now(self) -> Score:
        """The score with all training images."""
        return self.measured[-1].score


@dataclass(frozen=True, slots=True)
class LearningCurve:
    """Scores as a function of the number of training images.

    Attributes:
        data: Path that the images were read from.
        task: ``single-label`` or ``multi-label``.
        score: Name of the overall score: accuracy, or mean average precision.
        class_score: Name of the score of a class: recall, or average precision.
        model: Name of the model, without folders.
        n: Number of training images, including those held out for validation.
        evaluated: Number of evaluated images.
        draws: Number of random subsets per size.
        overall: Curve of the overall score.
        classes: Curves of the evaluated classes, the weakest first.
        notes: Notes for the user.
        recipe: All settings.
        seconds: Total duration.
    """

    data: Path
    task: Task
    score: str
    class_score: str
    model: str
    n: int
    evaluated: int
    draws: int
    overall: ScoreCurve
    classes: tuple[ScoreCurve, ...]
    notes: tuple[Note, ...]
    recipe: dict[str, Plain]
    seconds: float

    def __repr__(self) -> str:
        return (
            f"LearningCurve({self.model!r}, {self.score} at {len(self.overall.measured)} sizes up to {self.n:,} images)"
        )


def write_learning_curve(curve: LearningCurve, path: Path) -> None:
    """Write ``learning-curve.json``.

    Raises:
        ResourceError: It can't be written.
    """
    write_json(path, {"format": FORMAT, **asdict(curve), "data": str(curve.data)})


Integers = npt.NDArray[np.int64]

SMALLEST_SHARE = 1 / 24
"""Smallest training size, as a share of all training images."""

_PER_CLASS = 4
"""Minimum mean number of images per class at the smallest size."""

MIN_SIZES = 4
"""Minimum number of sizes of a curve."""


@dataclass(frozen=True, slots=True)
class Draw:
    """Nested training subsets, and the evaluated images.

    Attributes:
        test: Indices of the evaluated images.
        pool: Indices of all training images.
        entered: Index of the first size that contains each image of `pool`, int64 of the same shape.
        held_out: Which images of `pool` are held out for validation, bool of the same shape.
    """

    test: Integers
    pool: Integers
    entered: Integers
    held_out: npt.NDArray[np.bool_]

    def at(self, size: int) -> tuple[Integers, Integers]:
        """Indices of the training and of the validation images at the size with index `size`."""
        included = self.entered <= size
        return self.pool[included & ~self.held_out], self.pool[included & self.held_out]


def choose_sizes(pool: int, classes: int, count: int) -> tuple[int, ...]:
    """Choose training sizes with constant ratios, from few images to all.

    Args:
        pool: Number of training images.
        classes: Number of classes.
        count: Highest number of sizes.

    Raises:
        DataError: There are too few images.
    """
    smallest = max(round(pool * SMALLEST_SHARE), _PER_CLASS * classes)
    sizes = tuple(sorted({round(size) for size in np.geomspace(smallest, pool, count)})) if smallest < pool else ()
    if len(sizes) < MIN_SIZES or sizes[-1] < 2 * sizes[0]:
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
    """Draw nested, stratified subsets of the training images that keep groups together.

    Args:
        labels: Bool (n, classes), of all images.
        groups: Group number of each image, int64 (n,).
        splits: Indices of the training images and of the evaluated images.
        sizes: Sizes from `choose_sizes`; a pool of a different size is divided in the same proportions.
        validation: Share of each size that is held out for validation.
        seed: Seed of the random subsets.
    """
    pool, test = splits
    steps = np.diff([0, *sizes]) / sizes[-1]
    entered = divide_groups(labels[pool], groups[pool], steps.tolist(), seed=seed, needed=0)
    held_out = divide_groups(labels[pool], groups[pool], [1 - validation, validation], seed=seed + 1, needed=0) == 1
    # classes with only validation images at the smallest size are moved to training
    for column in labels[pool].T:
        first = entered == 0
        if not (column & first & ~held_out).any():
            held_out[column & first] = False
    return Draw(test, pool, entered, held_out)


Floats32 = npt.NDArray[np.float32]

SplitArrays = tuple[Floats32, npt.NDArray[Any]]

Learner = Callable[[SplitArrays, SplitArrays, Floats32], Floats32]
"""Function from train split, validation split (features and targets each) and test features to probabilities."""


@dataclass(frozen=True, slots=True)
class SubsetPredictions:
    """Predictions of the models of all draws and sizes.

    Attributes:
        sizes: Numbers of training images, including those held out for validation.
        images: Image index of each row, int64 (rows,); an image has a row for each draw that evaluates it.
        draws: Draw of each row, int64 (rows,).
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
) -> SubsetPredictions:
    """Train a model for each size of each draw, and predict the draw's evaluated images.

    Args:
        features: Float32 (n, features), of all images.
        targets: Class numbers int64 (n,), or bool (n, labels).
        draws: Draws from `draw_subsets`.
        sizes: Sizes from `choose_sizes`.
        learn: Function that trains and predicts.
        classes: Number of classes.
        workers: Number of threads; each trains one model at a time.
    """
    from threadpoolctl import threadpool_limits

    rows = np.concatenate([draw.test for draw in draws])
    ends = np.cumsum([0, *(len(draw.test) for draw in draws)])
    probabilities = np.zeros((len(sizes), len(rows), classes), np.float32)

    def fill(task: tuple[int, int]) -> None:
        at, size = task
        draw = draws[at]
        train, held_out = draw.at(size)
        splits = (features[train], targets[train]), (features[held_out], targets[held_out])
        probabilities[size, ends[at] : ends[at + 1]] = learn(*splits, features[draw.test])

    tasks = [(at, size) for size in reversed(range(len(sizes))) for at in range(len(draws))]
    limits = threadpool_limits(1, user_api="blas")
    with limits, progress_bar("training", len(tasks)) as advance, ThreadPoolExecutor(workers) as pool:
        for _ in pool.map(fill, tasks):
            advance(1)
    numbers = np.repeat(np.arange(len(draws)), np.diff(ends))
    return SubsetPredictions(tuple(sizes), rows, numbers, targets[rows], probabilities)


def head_learner(kind: str, *, classes: int, task: Task, balanced: bool, seed: int) -> Learner:
    """Create a learner that fits a head on a frozen backbone's features, as `train` does."""
    import torch

    from distingo.training.head_selection import fit_head

    def learn(train: SplitArrays, held_out: SplitArrays, evaluated: Floats32) -> Floats32:
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
    """Create a learner that fits the classifier of color-and-texture descriptors, as `train` does."""
    from distingo.models.baselines import fit_descriptors

    def learn(train: SplitArrays, held_out: SplitArrays, evaluated: Floats32) -> Floats32:
        fitted = fit_descriptors(*train, *held_out, classes, seed=seed)
        return np.asarray(fitted.predict_probabilities(evaluated), np.float32)

    return learn
