"""``--batch-size auto``: the largest power of two that fits into memory and suits the number of images."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from distingo.errors import ResourceError
from distingo.models.catalogue import build_network, find_model
from distingo.models.compiler_on_demand import without_fresh_weights
from distingo.models.saved import join_backbone
from distingo.prediction.device import choose_device
from distingo.records import Dataset, Task
from distingo.training.memory import TrainingPlan, largest_batch, memory_budget
from distingo.training.pretrained import LoadedBackbone
from distingo.training.recipe import Recipe
from distingo.training.run_config import is_auto, resolve_precision

LARGEST = 1024
"""Larger batches save no time on one device, and cost accuracy."""

STEPS = 16
"""An epoch keeps at least so many steps where the batch is larger than usual."""


@dataclass(frozen=True, slots=True)
class FoundBatchSize:
    """A recipe with the size that was found.

    Attributes:
        recipe: With it, and with a learning rate to suit where the person gave none.
        choices: A sentence for each.
    """

    recipe: Recipe
    choices: tuple[str, ...]


def without_auto(options: dict[str, Any]) -> dict[str, Any]:
    """The options without a batch size that is still to be found."""
    return {name: value for name, value in options.items() if name != "batch_size"} if is_auto(options) else options


def find_batch_size(
    recipe: Recipe, dataset: Dataset, backbone: LoadedBackbone | None, *, given_lr: bool
) -> FoundBatchSize:
    """Find the batch size of a recipe by measuring steps of its network.

    Twice as many images a step go with 1.41 times the learning rate of Adam and AdamW (Malladi et al., "On the SDEs and
    Scaling Rules for Adaptive Gradient Algorithms", 2022) and with twice that of SGD (Goyal et al., 2017).

    Args:
        recipe: All other choices; its batch size is the usual one.
        dataset: Its classes, and how many images there are to learn from.
        backbone: With its weights, where the model is a pretrained one.
        given_lr: Whether the person gave the learning rate; it stays then.

    Raises:
        ResourceError: Not even two images fit.
    """
    if recipe.mode == "frozen" or find_model(recipe.model).kind == "classic":
        model = "a frozen backbone" if recipe.mode == "frozen" else recipe.model
        return FoundBatchSize(recipe, (f"not used: --batch-size, because {model} is not trained by steps",))
    device = choose_device(recipe.device)
    most = most_images(training_images(dataset, recipe), usual=recipe.batch_size)
    size, reason = _largest_that_fits(recipe, len(dataset.classes), dataset.task, backbone, device, most)
    choices = [f"batch size: {size}, because --batch-size auto was given and {reason}"]
    found = replace(recipe, batch_size=size)
    if not given_lr and size != recipe.batch_size:
        found = replace(found, lr=scaled_lr(recipe, size))
        choices.append(
            f"learning rate: {found.lr:g} instead of {recipe.lr:g}, because a batch has {size} images instead of "
            f"{recipe.batch_size}"
        )
    return FoundBatchSize(found, tuple(choices))


def training_images(dataset: Dataset, recipe: Recipe) -> int:
    """About how many images there are to learn from; the exact number is known only after the split."""
    sides = [picture.given_side for picture in dataset.pictures]
    count = float(sum(side not in {"validation", "test"} for side in sides))
    if "test" not in sides:
        count *= 1 - recipe.test
    if "validation" not in sides:
        count *= 1 - recipe.validation
    return int(count)


def most_images(count: int, *, usual: int) -> int:
    """The largest power of two that so many training images allow: at most `LARGEST`, at least the usual size.

    Args:
        count: How many training images there are.
        usual: The batch size that the recipe has by default, 2 or more.
    """
    return min(LARGEST, 1 << (max(usual, count // STEPS).bit_length() - 1))


def scaled_lr(recipe: Recipe, batch_size: int) -> float:
    """The learning rate that does with another batch size what the recipe's does with its own, to three digits."""
    ratio = batch_size / recipe.batch_size
    return float(f"{recipe.lr * (ratio if recipe.optimizer == 'sgd' else ratio**0.5):.3g}")


def _largest_that_fits(
    recipe: Recipe, classes: int, task: Task, backbone: LoadedBackbone | None, device: torch.device, most: int
) -> tuple[int, str]:
    enough = f"more would leave an epoch fewer than {STEPS} steps" if most < LARGEST else "more is of no use"
    budget = memory_budget(device)
    if budget is None:
        return min(most, recipe.batch_size), f"{device.type} does not say how much memory it has"
    plan = TrainingPlan(recipe, classes, task, device, resolve_precision(recipe, device)[0])
    memory = plan.measure(_network(recipe, classes, backbone).to(device, memory_format=torch.channels_last))  # type: ignore[call-overload]
    size = largest_batch(memory, budget, most)
    gib = 2**30
    if not size:
        raise ResourceError(
            f"--batch-size auto: 2 images need about {memory.needed(2) / gib:.1f} GiB, {budget / gib:.1f} GiB can be "
            "counted on; choose a smaller --image-size or another --model"
        )
    return size, enough if size == most else f"twice as many would not fit into {budget / gib:.1f} GiB with certainty"


def _network(recipe: Recipe, classes: int, backbone: LoadedBackbone | None) -> nn.Module:
    """Of the right shapes; what its weights are does not matter."""
    with without_fresh_weights():
        if backbone is not None:
            head = nn.Linear(backbone.description.features, classes)
            return join_backbone(backbone.description, copy.deepcopy(backbone.module), head)
        return build_network(
            recipe.model,
            classes=classes,
            height=recipe.height,
            width=recipe.width,
            channels=recipe.channels,
            dropout=recipe.dropout,
        )
