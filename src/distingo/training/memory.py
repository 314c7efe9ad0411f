"""Memory checks before the first training step: exhausting CPU memory kills a process without an exception.

``--batch-size auto`` chooses the largest power of two that fits into memory and suits the number of images.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from distingo.errors import ResourceError, option
from distingo.machine.device import choose_device
from distingo.machine.memory import free_memory, is_out_of_memory, total_memory
from distingo.machine.process import without_fresh_weights
from distingo.messages.notes import Note, note
from distingo.models.catalog import build_network, find_model
from distingo.models.saved import join_backbone
from distingo.records import Dataset, Task
from distingo.training.defaults import describe_unused
from distingo.training.pretrained import LoadedBackbone
from distingo.training.recipe import Recipe, is_auto
from distingo.training.step import resolve_precision
from distingo.training.step_memory import StepMemory, measure_step

_MAX_COPIES = 3.0
"""Upper bound of an image's memory, per byte of the outputs of all modules including containers."""

_MIN_WEIGHT_COPIES = 1.0
"""Copies of the weights that every optimizer needs at least: the gradients."""

_MAX_WEIGHT_COPIES = 12.0
"""Copies at most: gradients, two moments, a moving average, and all of these plus the weights for a checkpoint."""

_OF_TOTAL = 0.7

_OF_FREE = 0.85
"""Fractions of total and free memory that ``--batch-size auto`` may use. While other processes hold less than a
sixth, the total decides, so that the same machine always finds the same size."""


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """Everything besides the network that a training's memory depends on.

    Attributes:
        recipe: Recipe with image size, batch size, optimizer, augmentation and moving average.
        classes: How many there are.
        task: Single-label or multi-label.
        device: Device to train on.
        precision: ``float32`` or ``bfloat16``.
    """

    recipe: Recipe
    classes: int
    task: Task
    device: torch.device
    precision: str

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of an image."""
        return self.recipe.channels, self.recipe.height, self.recipe.width

    def measure(self, network: nn.Module) -> StepMemory:
        """See `distingo.training.step_memory.measure_step`; the network is left as it was."""
        return measure_step(
            copy.deepcopy(network),
            self.recipe,
            classes=self.classes,
            task=self.task,
            device=self.device,
            precision=self.precision,
        )


def require_memory(network: nn.Module, plan: TrainingPlan) -> None:
    """Raise an error if a batch does not fit into memory; steps are measured only if an estimate can't decide.

    Args:
        network: Network to train, on its device.
        plan: Training plan.

    Raises:
        ResourceError: Memory is too small; the message gives the needed and free memory and a batch size that fits.
    """
    free = free_memory(plan.device)
    if free is None:
        return
    batch_size = plan.recipe.batch_size
    weights = sum(tensor.nbytes for tensor in network.parameters())
    if _MIN_WEIGHT_COPIES * weights > free:
        raise ResourceError(
            _advice(batch_size, _MIN_WEIGHT_COPIES * weights, free, 0), code="out_of_memory", parameter="batch_size"
        )
    at_most = _MAX_COPIES * batch_size * activation_bytes(network, plan.shape, plan.device)
    if _MAX_WEIGHT_COPIES * weights + at_most <= free / 2:
        return
    memory = _measured(network, plan, free)
    needed = memory.needed(batch_size)
    if needed > free:
        raise ResourceError(
            _advice(batch_size, needed, free, largest_batch(memory, 0.9 * free, batch_size)),
            code="out_of_memory",
            parameter="batch_size",
        )


def _measured(network: nn.Module, plan: TrainingPlan, free: int) -> StepMemory:
    try:
        return plan.measure(network)
    except Exception as error:
        if is_out_of_memory(error):
            raise ResourceError(
                f"not even a few images a step fit into the {free / 2**30:.1f} GiB that are free; a smaller "
                f"{option('image_size')} or another {option('model')} helps",
                code="out_of_memory",
            ) from error
        raise


def memory_budget(device: torch.device) -> int | None:
    """Return the bytes that ``--batch-size auto`` may use, or None if the memory's size is unknown."""
    free, total = free_memory(device), total_memory(device)
    if free is None or total is None:
        return None
    return int(min(_OF_TOTAL * total, _OF_FREE * free))


def largest_batch(memory: StepMemory, budget: float, limit: int) -> int:
    """Return the largest power of two up to ``most`` that fits into a budget in bytes, or 0 if 2 do not fit."""
    size = 1 << (limit.bit_length() - 1)
    while size >= 2 and memory.needed(size) > budget:
        size //= 2
    return size if size >= 2 else 0


def _advice(batch_size: int, needed: float, free: float, fitting: int) -> str:
    gib = 2**30
    need = f"a batch of {batch_size} images needs about {needed / gib:.1f} GiB"
    advice = f"{option('batch_size')} {fitting} would fit" if fitting else "no batch would fit"
    return (
        f"{need}, {free / gib:.1f} GiB are free; {advice}, a smaller {option('image_size')} or another "
        f"{option('model')} also helps"
    )


@contextmanager
def memory_errors_explained(recipe: Recipe, images: int) -> Iterator[None]:
    """Context manager that turns out-of-memory errors in training into a one-line error.

    Training is not continued with a smaller batch, as the result would then depend on when memory ran out.

    Args:
        recipe: Recipe, whose batch size can be reduced unless only a head is fitted.
        images: Number of training images, which limits the batch.

    Raises:
        ResourceError: Memory ran out.
    """
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        advice = f"a smaller {option('image_size')} or another {option('model')}"
        if recipe.mode == "frozen":
            raise ResourceError(
                f"memory ran out; try {option('device', 'cpu')}, {advice}", code="out_of_memory"
            ) from error
        size = min(recipe.batch_size, images)
        smaller = f"{option('batch_size')} {1 << ((size - 1).bit_length() - 1)}, " if size > 1 else ""
        raise ResourceError(
            f"memory ran out with {size} images a step; try {smaller}{advice}",
            code="out_of_memory",
            parameter="batch_size",
        ) from error


@torch.no_grad()
def activation_bytes(network: nn.Module, shape: tuple[int, int, int], device: torch.device) -> int:
    """Measure the bytes of all modules' outputs for one image; containers are counted as well as their layers.

    Args:
        network: Network to measure; its mode is restored afterwards.
        shape: (channels, height, width).
        device: Where it computes.
    """
    sizes: list[int] = []

    def record(_layer: nn.Module, _inputs: object, output: object) -> None:
        if isinstance(output, Tensor):
            sizes.append(output.numel() * output.element_size())

    hooks = [layer.register_forward_hook(record) for layer in network.modules()]
    was_training = network.training
    try:
        network.eval()(torch.zeros(1, *shape, device=device))
    finally:
        network.train(was_training)
        for hook in hooks:
            hook.remove()
    return sum(sizes)


LARGEST = 1024
"""Largest automatic batch size; larger batches save no time on one device and reduce accuracy."""

STEPS = 16
"""Smallest number of steps per epoch if the batch is larger than usual."""


@dataclass(frozen=True, slots=True)
class AutoBatchSize:
    """A recipe with its automatic batch size.

    Attributes:
        recipe: Recipe with this batch size, and a matching learning rate unless the user set one.
        choices: One note for each choice.
    """

    recipe: Recipe
    choices: tuple[Note, ...]


def without_auto(options: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the options without a batch size of ``auto``."""
    return {name: value for name, value in options.items() if name != "batch_size"} if is_auto(options) else options


def find_batch_size(
    recipe: Recipe, dataset: Dataset, backbone: LoadedBackbone | None, *, keep_lr: bool
) -> AutoBatchSize:
    """Find the batch size of a recipe by measuring steps of its network.

    Twice the batch size goes with 1.41 times the learning rate for Adam and AdamW (Malladi et al., "On the SDEs and
    Scaling Rules for Adaptive Gradient Algorithms", 2022) and with twice the learning rate for SGD (Goyal et al.,
    2017).

    Args:
        recipe: Recipe with the default batch size.
        dataset: Data set, which determines the classes and the number of training images.
        backbone: Backbone with its weights, for a pretrained model.
        keep_lr: Whether the user set the learning rate, which is then kept.

    Raises:
        ResourceError: Not even two images fit.
    """
    if recipe.mode == "frozen" or find_model(recipe.model).kind == "classic":
        model = None if recipe.mode == "frozen" else recipe.model
        return AutoBatchSize(recipe, (describe_unused(["--batch-size"], model),))
    device = choose_device(recipe.device)
    limit = batch_size_limit(training_images(dataset, recipe), usual=recipe.batch_size)
    size, reason = _largest_that_fits(recipe, len(dataset.classes), dataset.task, backbone, device, limit)
    choices = [note("batch-size", size=size, said=reason)]
    scaled_recipe = replace(recipe, batch_size=size)
    if not keep_lr and size != recipe.batch_size:
        scaled_recipe = replace(scaled_recipe, lr=scaled_lr(recipe, size))
        sizes = {"size": size, "usual_size": recipe.batch_size}
        choices.append(note("learning-rate", found=scaled_recipe.lr, usual=recipe.lr, **sizes))
    return AutoBatchSize(scaled_recipe, tuple(choices))


def training_images(dataset: Dataset, recipe: Recipe) -> int:
    """Estimate the number of training images; the exact number is available only after the split."""
    splits = [image.predefined_split for image in dataset.images]
    count = float(sum(split not in {"validation", "test"} for split in splits))
    if "test" not in splits:
        count *= 1 - recipe.test
    if "validation" not in splits:
        count *= 1 - recipe.validation
    return int(count)


def batch_size_limit(count: int, *, usual: int) -> int:
    """Return the largest batch size for a number of training images: a power of two, at most `LARGEST`.

    Args:
        count: Number of training images.
        usual: The recipe's default batch size, 2 or more, which is the smallest result.
    """
    return min(LARGEST, 1 << (max(usual, count // STEPS).bit_length() - 1))


def scaled_lr(recipe: Recipe, batch_size: int) -> float:
    """Scale the recipe's learning rate to another batch size, rounded to three digits."""
    ratio = batch_size / recipe.batch_size
    return float(f"{recipe.lr * (ratio if recipe.optimizer == 'sgd' else ratio**0.5):.3g}")


def _largest_that_fits(
    recipe: Recipe, classes: int, task: Task, backbone: LoadedBackbone | None, device: torch.device, limit: int
) -> tuple[int, Note]:
    limit_reason = note("batch-size-steps", steps=STEPS) if limit < LARGEST else note("batch-size-largest")
    budget = memory_budget(device)
    if budget is None:
        return min(limit, recipe.batch_size), note("batch-size-unknown", device=device.type)
    plan = TrainingPlan(recipe, classes, task, device, resolve_precision(recipe, device)[0])
    memory = plan.measure(_network(recipe, classes, backbone).to(device, memory_format=torch.channels_last))  # type: ignore[call-overload]
    size = largest_batch(memory, budget, limit)
    gib = 2**30
    if not size:
        raise ResourceError(
            f"{option('batch_size')} auto: 2 images need about {memory.needed(2) / gib:.1f} GiB, {budget / gib:.1f} "
            f"GiB can be counted on; choose a smaller {option('image_size')} or another {option('model')}",
            code="out_of_memory",
            parameter="batch_size",
        )
    return size, limit_reason if size == limit else note("batch-size-memory", memory=f"{budget / gib:.1f}")


def _network(recipe: Recipe, classes: int, backbone: LoadedBackbone | None) -> nn.Module:
    """Build a network of the right shapes with arbitrary weights."""
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
