"""Whether a batch fits into memory, checked before the first step, as a full CPU memory kills without an exception.

``--batch-size auto`` takes the largest power of two that fits and suits the number of images.
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
from distingo.machine.compiler import without_fresh_weights
from distingo.machine.device import choose_device
from distingo.machine.memory import free_memory, is_out_of_memory, total_memory
from distingo.messages.notes import Note, note
from distingo.models.catalog import build_network, find_model
from distingo.models.saved import join_backbone
from distingo.records import Dataset, Task
from distingo.training.defaults import describe_unused
from distingo.training.pretrained import LoadedBackbone
from distingo.training.recipe import Recipe, is_auto
from distingo.training.step import resolve_precision
from distingo.training.step_memory import StepMemory, measure_step

_MOST_COPIES = 3.0
"""An upper bound of what an image takes for each byte of the outputs of all modules, containers and leaves alike."""

_LEAST_WEIGHT_COPIES = 1.0
"""Gradients: what every optimizer takes besides the weights."""

_MOST_WEIGHT_COPIES = 12.0
"""Gradients, two moments, a moving average, and all of them with the weights once more in a checkpoint to be."""

_OF_TOTAL = 0.7

_OF_FREE = 0.85
"""Shares of the memory that ``--batch-size auto`` counts on. While others hold less than a sixth, the first decides,
and the same machine finds the same size again."""


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """What the memory of a training depends on besides its network.

    Attributes:
        recipe: Size, batch size, optimizer, augmentation, moving average.
        classes: How many there are.
        task: Single-label or multi-label.
        device: Where it is to compute.
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
    """Refuse a batch that can't fit, naming one that can; steps are measured only where it is not plain that it fits.

    Args:
        network: To be trained, on its device.
        plan: How.

    Raises:
        ResourceError: Says what is needed, what is free and what helps.
    """
    free = free_memory(plan.device)
    if free is None:
        return
    batch_size = plan.recipe.batch_size
    weights = sum(tensor.nbytes for tensor in network.parameters())
    if _LEAST_WEIGHT_COPIES * weights > free:
        raise ResourceError(
            _advice(batch_size, _LEAST_WEIGHT_COPIES * weights, free, 0), code="out_of_memory", parameter="batch_size"
        )
    at_most = _MOST_COPIES * batch_size * activation_bytes(network, plan.shape, plan.device)
    if _MOST_WEIGHT_COPIES * weights + at_most <= free / 2:
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
    """Bytes that ``--batch-size auto`` counts on; None where nothing says how many there are."""
    free, total = free_memory(device), total_memory(device)
    if free is None or total is None:
        return None
    return int(min(_OF_TOTAL * total, _OF_FREE * free))


def largest_batch(memory: StepMemory, budget: float, most: int) -> int:
    """The largest power of two up to a limit that fits into so many bytes; 0 where not even two images do."""
    size = 1 << (most.bit_length() - 1)
    while size >= 2 and memory.needed(size) > budget:
        size //= 2
    return size if size >= 2 else 0


def _advice(batch_size: int, needed: float, free: float, fitting: int) -> str:
    gib = 2**30
    need = f"a batch of {batch_size} images needs about {needed / gib:.1f} GiB"
    helps = f"{option('batch_size')} {fitting} would fit" if fitting else "no batch would fit"
    return (
        f"{need}, {free / gib:.1f} GiB are free; {helps}, a smaller {option('image_size')} or another "
        f"{option('model')} also helps"
    )


@contextmanager
def memory_errors_explained(recipe: Recipe, images: int) -> Iterator[None]:
    """Within, memory that runs out while a recipe is trained becomes one line.

    The run is not taken up with a smaller batch: steps, and with them the result, would depend on when it happened.

    Args:
        recipe: Its batch size is what can be made smaller, unless only a head is solved.
        images: How many there are to learn from; a batch holds no more.

    Raises:
        ResourceError: Memory ran out.
    """
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        helps = f"a smaller {option('image_size')} or another {option('model')}"
        if recipe.mode == "frozen":
            raise ResourceError(
                f"memory ran out; try {option('device', 'cpu')}, {helps}", code="out_of_memory"
            ) from error
        size = min(recipe.batch_size, images)
        smaller = f"{option('batch_size')} {1 << ((size - 1).bit_length() - 1)}, " if size > 1 else ""
        raise ResourceError(
            f"memory ran out with {size} images a step; try {smaller}{helps}",
            code="out_of_memory",
            parameter="batch_size",
        ) from error


@torch.no_grad()
def activation_bytes(network: nn.Module, shape: tuple[int, int, int], device: torch.device) -> int:
    """Bytes of the outputs of all modules for one image, those of a container and of its last layer both counted.

    Args:
        network: Its mode is restored afterwards.
        shape: (channels, height, width).
        device: Where it computes.
    """
    sizes: list[int] = []

    def note(_layer: nn.Module, _inputs: object, output: object) -> None:
        if isinstance(output, Tensor):
            sizes.append(output.numel() * output.element_size())

    hooks = [layer.register_forward_hook(note) for layer in network.modules()]
    was_training = network.training
    try:
        network.eval()(torch.zeros(1, *shape, device=device))
    finally:
        network.train(was_training)
        for hook in hooks:
            hook.remove()
    return sum(sizes)


LARGEST = 1024
"""Larger batches save no time on one device, and cost accuracy."""

STEPS = 16
"""An epoch keeps at least so many steps where the batch is larger than usual."""


@dataclass(frozen=True, slots=True)
class FoundBatchSize:
    """A recipe with the size that was found.

    Attributes:
        recipe: With it, and with a learning rate to suit where the user gave none.
        choices: A note for each.
    """

    recipe: Recipe
    choices: tuple[Note, ...]


def without_auto(options: Mapping[str, Any]) -> Mapping[str, Any]:
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
        given_lr: Whether the user gave the learning rate; it stays then.

    Raises:
        ResourceError: Not even two images fit.
    """
    if recipe.mode == "frozen" or find_model(recipe.model).kind == "classic":
        model = None if recipe.mode == "frozen" else recipe.model
        return FoundBatchSize(recipe, (describe_unused(["--batch-size"], model),))
    device = choose_device(recipe.device)
    most = most_images(training_images(dataset, recipe), usual=recipe.batch_size)
    size, reason = _largest_that_fits(recipe, len(dataset.classes), dataset.task, backbone, device, most)
    choices = [note("batch-size", size=size, said=reason)]
    found = replace(recipe, batch_size=size)
    if not given_lr and size != recipe.batch_size:
        found = replace(found, lr=scaled_lr(recipe, size))
        sizes = {"size": size, "usual_size": recipe.batch_size}
        choices.append(note("learning-rate", found=found.lr, usual=recipe.lr, **sizes))
    return FoundBatchSize(found, tuple(choices))


def training_images(dataset: Dataset, recipe: Recipe) -> int:
    """About how many images there are to learn from; the exact number is known only after the split."""
    splits = [image.given_split for image in dataset.images]
    count = float(sum(split not in {"validation", "test"} for split in splits))
    if "test" not in splits:
        count *= 1 - recipe.test
    if "validation" not in splits:
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
) -> tuple[int, Note]:
    enough = note("batch-size-steps", steps=STEPS) if most < LARGEST else note("batch-size-largest")
    budget = memory_budget(device)
    if budget is None:
        return min(most, recipe.batch_size), note("batch-size-unknown", device=device.type)
    plan = TrainingPlan(recipe, classes, task, device, resolve_precision(recipe, device)[0])
    memory = plan.measure(_network(recipe, classes, backbone).to(device, memory_format=torch.channels_last))  # type: ignore[call-overload]
    size = largest_batch(memory, budget, most)
    gib = 2**30
    if not size:
        raise ResourceError(
            f"{option('batch_size')} auto: 2 images need about {memory.needed(2) / gib:.1f} GiB, {budget / gib:.1f} "
            f"GiB can be counted on; choose a smaller {option('image_size')} or another {option('model')}",
            code="out_of_memory",
            parameter="batch_size",
        )
    return size, enough if size == most else note("batch-size-memory", memory=f"{budget / gib:.1f}")


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
