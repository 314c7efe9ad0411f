"""Prediction of the memory that training needs for any batch size, from two steps with two and three images.

The bytes of all live tensors are counted after every torch operation, on any device and with their actual types.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from distingo.machine.process import bind_this_thread, compiler_on_demand
from distingo.prediction.networks import autocast, prediction_batch_size, to_tensor
from distingo.records import Task
from distingo.training.losses import build_loss
from distingo.training.recipe import Recipe
from distingo.training.step import (
    WeightAverage,
    build_optimizer,
    compute_loss,
    prepare_batch,
    set_training_mode,
    update_weights,
)


class LiveMemory(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Tracks, while active, the storages that operations of this thread allocate on one device.

    Memory that a kernel allocates and frees within one operation is not counted.

    Args:
        device: Device whose storages are counted.
        existing: Existing tensors, whose storages are not counted.
    """

    def __init__(self, device: torch.device, existing: Iterable[Tensor] = ()) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._device = device.type
        self._storages: dict[int, int] = {}
        self._points: list[int] | None = None
        self.live = 0
        """Bytes that are alive now."""
        for tensor in existing:
            self._storages[tensor.untyped_storage()._cdata] = 0

    def __torch_dispatch__(
        self, function: Callable[..., Any], types: Any, inputs: tuple[Any, ...] = (), options: Any = None
    ) -> Any:
        results = function(*inputs, **(options or {}))
        for result in tree_leaves(results):
            if isinstance(result, Tensor) and result.device.type == self._device:
                self._count(result.untyped_storage())
        if self._points is not None:
            self._points.append(self.live)
        return results

    @contextmanager
    def record(self) -> Iterator[list[int]]:
        """Context manager that appends `live` to a list after every operation."""
        points = [self.live]
        self._points = points
        try:
            yield points
        finally:
            self._points = None

    def _count(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key in self._storages:
            return
        self._storages[key] = storage.nbytes()
        self.live += self._storages[key]
        # torch keeps the Python object of a storage as long as its memory is allocated
        weakref.finalize(storage, self._forget, key).atexit = False

    def _forget(self, key: int) -> None:
        self.live -= self._storages.pop(key, 0)


_SIZES = (2, 3)
"""Batch normalization can't learn from a single image."""

_HOST_FACTOR = 1.35

_HOST_EXTRA = 64 * 2**20
"""Memory of a process on the CPU per byte of its tensors, and in addition: buffers of oneDNN kernels, which are
not tensors, and gaps between blocks (`benchmarks/memory.py` measures six networks in two precisions)."""

_ACCELERATOR_FACTOR = 1.1
"""Factor for gaps in the memory that torch's allocator reserves; kernel buffers are measured on such devices."""


@dataclass(frozen=True, slots=True)
class StepMemory:
    """Memory that training needs in addition to the network's weights.

    After each operation of a step, some live bytes are independent of the batch size and some are proportional to it.
    The
    operation with the largest sum may differ between small and large batches.

    Attributes:
        fixed: float64 (points,), bytes.
        per_image: float64 (points,), bytes.
        between: Peak bytes between training steps: in validation, with its own batch size, and saving a checkpoint.
        factor: Allocated bytes per byte of a tensor.
        extra: Bytes allocated in addition to tensors.
        extra_per_image: Bytes allocated in addition to tensors, per image.
    """

    fixed: np.ndarray
    per_image: np.ndarray
    between: float
    factor: float = 1.0
    extra: float = 0.0
    extra_per_image: float = 0.0

    def needed(self, batch_size: int) -> int:
        """Return the peak memory in bytes."""
        step = float(np.max(self.fixed + self.per_image * batch_size))
        return int(self.factor * max(step, self.between) + self.extra + self.extra_per_image * batch_size)


def measure_step(
    network: nn.Module, recipe: Recipe, *, classes: int, task: Task, device: torch.device, precision: str
) -> StepMemory:
    """Train a network for two steps on blank images and track live memory; torch's random state is preserved.

    Args:
        network: Network on the device; its weights are not usable afterwards.
        recipe: Recipe with image size, augmentation, optimizer and moving average.
        classes: How many there are.
        task: Single-label or multi-label.
        device: Device of the network.
        precision: ``float32`` or ``bfloat16``.
    """
    with _preserve_random_state(device), bind_this_thread(), compiler_on_demand():
        return _Trial(network, recipe, classes, task, device, precision).measure()


@contextmanager
def _preserve_random_state(device: torch.device) -> Iterator[None]:
    accelerators = [device] if device.type != "cpu" else []
    with torch.random.fork_rng(accelerators, device_type=device.type if accelerators else "cuda"):
        yield


@dataclass(frozen=True, slots=True)
class _Step:
    """A measured step.

    Attributes:
        phases: Live bytes after each operation of the preparation, forward and backward phases.
        beyond: Difference between the device's own peak and the tracked peak; None if the device reports no peak.
    """

    phases: tuple[list[int], list[int], list[int]]
    beyond: int | None


class _Trial:
    def __init__(
        self, network: nn.Module, recipe: Recipe, classes: int, task: Task, device: torch.device, precision: str
    ) -> None:
        self.network = network
        self.recipe = recipe
        self.classes = classes
        self.task: Task = task
        self.device = device
        self.precision = precision
        self.loss_of = build_loss(recipe.loss, task, label_smoothing=recipe.label_smoothing)
        self.before = _device_memory(device)
        self.memory = LiveMemory(device, itertools.chain(network.parameters(), network.buffers()))

    def measure(self) -> StepMemory:
        with self.memory:
            optimizer = build_optimizer(self.network, self.recipe)
            average = WeightAverage(self.network, self.recipe.ema_decay) if self.recipe.ema_decay else None
            # train all layers, as at the end of gradual unfreezing
            set_training_mode(self.network, optimizer, self.recipe, self.recipe.epochs)
            self._make_state(optimizer)
            small, large = (self._step(size, optimizer, average) for size in _SIZES)
            between = max(self._validate(averages=average is not None), self._save())
        lines = [_lines(*phases) for phases in zip(small.phases, large.phases, strict=True)]
        fixed, per_image = (np.concatenate(parts) for parts in zip(*lines, strict=True))
        if small.beyond is None or large.beyond is None:
            return StepMemory(fixed, per_image, between, _HOST_FACTOR, _HOST_EXTRA)
        slope = max(0.0, (large.beyond - small.beyond) / (_SIZES[1] - _SIZES[0]))
        extra = max(0.0, large.beyond - slope * _SIZES[1])
        return StepMemory(fixed, per_image, between, _ACCELERATOR_FACTOR, extra, slope)

    def _make_state(self, optimizer: torch.optim.Optimizer) -> None:
        """Run one step with zero gradients, so that the optimizer's state exists."""
        for parameter in self.network.parameters():
            parameter.grad = torch.zeros_like(parameter)
        optimizer.step()

    def _step(self, size: int, optimizer: torch.optim.Optimizer, average: WeightAverage | None) -> _Step:
        recipe = self.recipe
        _forget_device_peak(self.device)
        pixels = np.zeros((size, recipe.height, recipe.width, recipe.channels), np.uint8)
        shape: tuple[int, ...] = (size,) if self.task == "single-label" else (size, self.classes)
        targets: np.ndarray = np.zeros(shape, np.int64 if self.task == "single-label" else np.bool_)
        with self.memory.record() as preparing:
            batch = prepare_batch(
                pixels,
                targets,
                classes=self.classes,
                augmentation=recipe.augment,
                device=self.device,
                generator=torch.Generator().manual_seed(0),
            )
        with self.memory.record() as forward:
            logits, loss = compute_loss(self.network, batch, self.loss_of, device=self.device, precision=self.precision)
        with self.memory.record() as backward:
            update_weights(self.network, loss, optimizer, average, 0)
        del logits
        phases = (preparing, forward, backward)
        peak = _device_peak(self.device)
        if peak is None:
            return _Step(phases, None)
        return _Step(phases, peak - self.before - max(map(max, phases)))

    @torch.inference_mode()
    def _validate(self, *, averages: bool) -> float:
        height, width = self.recipe.height, self.recipe.width
        with self.memory.record() as copying:
            averaged_weights = [tensor.clone() for tensor in self.network.state_dict().values()] if averages else []
        peaks = [max(self._predict(size)) for size in (1, 2)]
        del averaged_weights
        per_image = max(0, peaks[1] - peaks[0])
        return max(*copying, peaks[0] + per_image * (prediction_batch_size(height, width) - 1))

    def _save(self) -> int:
        """Return the peak of saving a checkpoint, which copies one tensor at a time."""
        return self.memory.live + max(int(tensor.nbytes) for tensor in self.network.state_dict().values())

    def _predict(self, size: int) -> list[int]:
        recipe = self.recipe
        self.network.eval()
        pixels = np.zeros((size, recipe.height, recipe.width, recipe.channels), np.uint8)
        with self.memory.record() as points, autocast(self.device, self.precision):
            self.network(to_tensor(pixels, self.device))
        return points


def _lines(small: list[int], large: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Return fixed bytes and bytes per image for each point, or for the peak only if the points do not match."""
    if len(small) != len(large):
        small, large = [max(small)], [max(large)]
    low, high = np.array(small, np.float64), np.array(large, np.float64)
    per_image = np.maximum((high - low) / (_SIZES[1] - _SIZES[0]), 0)
    return low - per_image * _SIZES[0], per_image


def _device_memory(device: torch.device) -> int:
    backend = getattr(torch, device.type)
    return int(backend.memory_allocated(device)) if hasattr(backend, "memory_allocated") else 0


def _forget_device_peak(device: torch.device) -> None:
    backend = getattr(torch, device.type)
    if hasattr(backend, "reset_peak_memory_stats"):
        backend.reset_peak_memory_stats(device)


def _device_peak(device: torch.device) -> int | None:
    backend = getattr(torch, device.type)
    return int(backend.max_memory_allocated(device)) if hasattr(backend, "max_memory_allocated") else None
