"""Computation of a learning curve: reading images, training on growing subsets, and extrapolating the scores."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from distingo.datasets.splits.grouping import Grouping, group_images
from distingo.errors import UsageError, option
from distingo.experiments.crossval_folds import divide
from distingo.experiments.curve_measuring import (
    Draw,
    Learner,
    LearningCurve,
    ScoreCurve,
    choose_sizes,
    descriptor_learner,
    draw_subsets,
    head_learner,
    measure,
)
from distingo.experiments.forecasting import forecast, resample_curves
from distingo.machine.device import choose_device
from distingo.machine.process import configure_process, prepare_process
from distingo.near_duplicates.keeping import Belonging
from distingo.prediction.classifier import descriptors_product, gather
from distingo.records import Dataset, encode_labels
from distingo.training.preparing import ChosenRun, choose
from distingo.training.pretrained import feature_products
from distingo.training.request import TrainRequest

log = logging.getLogger("distingo")

FACTORS = (2.0, 5.0)
"""Multiples of the number of training images for which forecasts are made."""

SIZES = 8

DRAWS = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class LearningCurveRequest:
    """The options of a learning curve.

    Attributes:
        training: Data, recipe and machine; nothing is written to its output.
        sizes: Highest number of training sizes.
        draws: Number of random subsets per size; also the number of folds if the data has no test split.
        belonging: Which images belong together.
    """

    training: TrainRequest
    sizes: int = SIZES
    draws: int = DRAWS
    belonging: Belonging = field(default_factory=Belonging)


def run_learning_curve(request: LearningCurveRequest) -> LearningCurve:
    """Train on growing subsets, and forecast the scores with twice and five times as many images.

    If the data has a test split, it is evaluated in every draw. Otherwise all images are divided into as many folds as
    there are draws; each draw trains on the other folds and evaluates its own, so that every image is evaluated.

    Raises:
        DistingoError: The specific subclass.
    """
    started = time.perf_counter()
    _check(request)
    configure_process()
    prepare_process()
    training = request.training
    products = [*request.belonging.products(training.reading.cache), descriptors_product(training.reading.cache)]
    chosen, training = choose(training, products)
    learner = _choose_learner(chosen)
    for sentence in chosen.choices:
        log.info(sentence)
    dataset, workers = chosen.dataset, training.reading.threads
    links = request.belonging.link(dataset, training.reading.cache, workers)
    grouping = group_images(len(dataset.images), links)
    sizes, draws = _draw(request, chosen, grouping)
    targets = encode_labels(dataset.images, dataset.classes, dataset.task)
    measured = measure(
        _features(chosen, training),
        targets,
        draws,
        sizes,
        learner,
        classes=len(dataset.classes),
        workers=workers if chosen.recipe.mode == "frozen" else 1,
    )
    curves = resample_curves(measured, dataset.task, seed=chosen.recipe.seed)
    numbers, factors = np.array(sizes, np.float64), np.array(FACTORS)
    evaluated = np.unique(measured.images)
    table = encode_labels([dataset.images[at] for at in evaluated], dataset.classes, "multi-label")
    classes = [
        forecast(name, support, curve, numbers, factors)
        for name, support, curve in zip(dataset.classes, table.sum(axis=0).tolist(), curves.classes, strict=True)
        if curve is not None
    ]
    multi_label = dataset.task == "multi-label"
    return LearningCurve(
        data=training.data.resolve(),
        task=dataset.task,
        score="mean_average_precision_macro" if multi_label else "accuracy",
        class_score="average_precision" if multi_label else "recall",
        model=Path(chosen.recipe.model.removeprefix("local-dir:")).name,
        n=sizes[-1],
        evaluated=len(evaluated),
        draws=len(draws),
        overall=forecast("", len(evaluated), curves.overall, numbers, factors),
        classes=tuple(sorted(classes, key=_weakness)),
        notes=chosen.choices,
        recipe=chosen.recipe.as_dict(),
        seconds=time.perf_counter() - started,
    )


def _weakness(curve: ScoreCurve) -> tuple[float, str]:
    return curve.now.value, curve.name


def _check(request: LearningCurveRequest) -> None:
    if request.draws < 2:
        raise UsageError(f"{option('draws')} {request.draws}: choose 2 or more", code="out_of_range", parameter="draws")
    if request.sizes < 4:
        raise UsageError(f"{option('sizes')} {request.sizes}: choose 4 or more", code="out_of_range", parameter="sizes")


def _choose_learner(chosen: ChosenRun) -> Learner:
    recipe, dataset = chosen.recipe, chosen.dataset
    classes = len(dataset.classes)
    if recipe.model == "descriptors":
        return descriptor_learner(classes=classes, seed=recipe.seed)
    if recipe.mode != "frozen" or chosen.backbone is None:
        raise UsageError(
            f"{option('model')} {recipe.model}: a learning curve trains many models, so it solves heads on a frozen "
            f"backbone, or takes descriptors; choose a backbone without {option('mode', 'finetune')}, or "
            f"{option('model', 'descriptors')}",
            code="option_not_applicable",
            parameter="model",
        )
    balanced = "balanced" in {recipe.class_weights, recipe.positive_weights}
    return head_learner(recipe.head, classes=classes, task=dataset.task, balanced=balanced, seed=recipe.seed)


def _features(chosen: ChosenRun, training: TrainRequest) -> np.ndarray:
    product = descriptors_product(training.reading.cache)
    if chosen.backbone is not None:
        recipe = chosen.recipe
        product = feature_products(chosen.backbone, recipe, training.reading.cache, choose_device(recipe.device))[0]
    return gather(product, [image.row_key for image in chosen.dataset.images])


def _draw(
    request: LearningCurveRequest, chosen: ChosenRun, grouping: Grouping
) -> tuple[tuple[int, ...], Sequence[Draw]]:
    dataset, seed = chosen.dataset, chosen.recipe.seed
    splits = _splits(dataset, grouping, request.draws, seed)
    smallest = min(len(train) for train, _ in splits)
    sizes = choose_sizes(smallest, len(dataset.classes), request.sizes)
    labels = encode_labels(dataset.images, dataset.classes, "multi-label")
    settings = {"validation": chosen.recipe.validation}
    draws = [
        draw_subsets(labels, grouping.numbers, split, sizes, seed=seed + 1000 * (at + 1), **settings)
        for at, split in enumerate(splits)
    ]
    return sizes, draws


def _splits(dataset: Dataset, grouping: Grouping, draws: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Indices of the training images and of the evaluated images, for every draw."""
    is_test = np.array([image.predefined_split == "test" for image in dataset.images])
    if is_test.any():
        return [(np.flatnonzero(~is_test), np.flatnonzero(is_test))] * draws
    folds = divide(dataset, grouping, folds=draws, seed=seed, resplit=True)
    return [(np.flatnonzero(folds.numbers != fold), np.flatnonzero(folds.numbers == fold)) for fold in folds.each]
