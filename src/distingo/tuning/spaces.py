"""What is searched: for each kind of training a frozen space, narrowed to the recipe, the pictures and the wishes."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import cast

from distingo.models.catalogue import find_model
from distingo.records import Task
from distingo.training.recipe import Mode, Recipe
from distingo.tuning.records import Dimension, LogRange, Options, StageName, Value

_LR_FACTOR = 10.0
"""The learning rate is searched this far below and above the default."""

_SMALLEST_PHOTO = 65
"""Sides from which on other image sizes are tried: smaller pictures are seen as they are."""

_BATCHES = 4
"""An epoch has at least so many steps."""


@dataclass(frozen=True, slots=True)
class SearchSpace:
    """What one kind of training is searched over.

    Attributes:
        stage: Which trials it is for.
        dimensions: In the order in which the page lists them.
    """

    stage: StageName
    dimensions: tuple[Dimension, ...]


HEAD_SPACE = SearchSpace(
    "head",
    (
        Options("views", ("none", "flip", "crops")),
        Options("head", ("linear", "linear-svm", "prototype", "knn")),
        Options("class_weights", ("none", "balanced")),
        Options("positive_weights", ("none", "balanced")),
    ),
)
"""A solved head: 24 combinations, tried one after another; its regularisation or neighbours are chosen within each."""

FINETUNE_SPACE = SearchSpace(
    "training",
    (
        LogRange("lr", 1e-4, 1e-2),
        Options("weight_decay", (0.0, 0.01, 0.05, 0.2)),
        Options("layer_decay", (0.65, 0.75, 0.85, 0.95, 1.0)),
        Options("augment", ("none", "light", "standard", "overhead")),
        Options("label_smoothing", (0.0, 0.05, 0.1, 0.2)),
        Options("schedule", ("constant", "cosine", "one-cycle")),
        Options("ema_decay", (0.0, 0.9, 0.99, 0.998)),
        Options("batch_size", (16, 32, 64)),
        Options("batch_norm", ("frozen", "updated")),
    ),
)
"""Fine-tuning goes on from the best head; its head, views and class weights are that one's."""

SCRATCH_SPACE = SearchSpace(
    "training",
    (
        LogRange("lr", 1e-4, 1e-2),
        Options("weight_decay", (0.0, 0.005, 0.05, 0.2)),
        Options("augment", ("none", "light", "standard", "overhead")),
        Options("image_size", (96, 128, 160)),
        Options("dropout", (None, 0.2, 0.4, 0.6)),
        Options("label_smoothing", (0.0, 0.05, 0.1, 0.2)),
        Options("schedule", ("constant", "cosine", "one-cycle")),
        Options("ema_decay", (0.0, 0.9, 0.99, 0.998)),
        Options("batch_size", (16, 32, 64, 128)),
        Options("normalise", ("none", "dataset", "sample")),
        Options("class_weights", ("none", "balanced")),
        Options("positive_weights", ("none", "balanced")),
    ),
)
"""Networks from scratch. Epochs, optimiser and loss are the recipe's: trials stay comparable epoch by epoch."""

SPACES: dict[Mode, SearchSpace] = {"frozen": HEAD_SPACE, "finetune": FINETUNE_SPACE, "scratch": SCRATCH_SPACE}

_FINE_TUNED_HEADS = ("linear", "linear-svm")


def narrow(
    space: SearchSpace, recipe: Recipe, *, wished: Collection[str], task: Task, train: int, for_finetune: bool = False
) -> SearchSpace:
    """A space for one search: without what is wished for or means nothing here, and with the default inside.

    Args:
        space: One of `SPACES`.
        recipe: The default of that mode.
        wished: Fields that the person set; they stay as they are.
        task: One label per picture, or several.
        train: How many training pictures there are.
        for_finetune: Whether fine-tuning must be able to go on from every head.
    """
    left_out = {*wished, *_meaningless(recipe, task)}
    if "height" in wished or recipe.height != recipe.width:
        left_out.add("image_size")
    kept = [dimension for dimension in space.dimensions if dimension.name not in left_out]
    around = [_around(dimension, recipe, train, for_finetune=for_finetune) for dimension in kept]
    return SearchSpace(space.stage, tuple(entry for entry in around if isinstance(entry, LogRange) or entry.values[1:]))


def default_values(space: SearchSpace, recipe: Recipe) -> dict[str, Value]:
    """The point of a space that a recipe is."""
    return {dimension.name: default_value(dimension.name, recipe) for dimension in space.dimensions}


def default_value(name: str, recipe: Recipe) -> Value:
    """What a recipe says of a searched field; ``image_size`` is the side of its square pictures."""
    return recipe.height if name == "image_size" else cast(Value, getattr(recipe, name))


def _meaningless(recipe: Recipe, task: Task) -> set[str]:
    found = {"class_weights", "label_smoothing"} if task == "multi-label" else {"positive_weights"}
    entry = find_model(recipe.model)
    if entry.kind == "pretrained":
        found |= {"image_size", "normalise"}
    if entry.image_size is not None or recipe.height < _SMALLEST_PHOTO:
        found.add("image_size")
    return found


def _around(dimension: Dimension, recipe: Recipe, train: int, *, for_finetune: bool) -> Dimension:
    default = default_value(dimension.name, recipe)
    if isinstance(dimension, LogRange):
        assert isinstance(default, float | int)
        return LogRange(dimension.name, default / _LR_FACTOR, default * _LR_FACTOR)
    values = dimension.values
    if dimension.name == "batch_size":
        values = tuple(value for value in values if isinstance(value, int) and value * _BATCHES <= train)
    if dimension.name == "head" and for_finetune:
        values = _FINE_TUNED_HEADS
    if default not in values:
        values = (*values, default)
    return Options(dimension.name, values)
