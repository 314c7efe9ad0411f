"""Batched computation of a network's logits and features, and ordered parallel processing of streams."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import islice
from typing import Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from distingo.models.heads import record_features


class Rows(Protocol):
    """Rows of one shape and dtype from which batches are gathered."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, *row)."""

    def __len__(self) -> int:
        """Number of rows."""

    def take(self, indices: np.ndarray) -> np.ndarray:
        """Gather a batch (n, *row)."""


@dataclass(frozen=True, slots=True)
class ArrayRows:
    """An array as rows.

    Attributes:
        array: (n, *row).
    """

    array: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, *row)."""
        return self.array.shape

    def __len__(self) -> int:
        return len(self.array)

    def take(self, indices: np.ndarray) -> np.ndarray:
        """Gather a batch (n, *row)."""
        batch: np.ndarray = self.array[indices]
        return batch


def to_tensor(batch: np.ndarray, device: torch.device | str = "cpu") -> Tensor:
    """Convert pixels to the input of a network.

    Args:
        batch: uint8 (n, height, width, channels).
        device: Device of the result.

    Returns:
        float32 (n, channels, height, width) in [0, 1], channels last in memory.
    """
    pixels = torch.from_numpy(batch).to(device, non_blocking=True)
    return pixels.permute(0, 3, 1, 2).to(torch.float32).div_(255.0)


_PIXELS_PER_BATCH = 1_600_000
"""Pixels (height x width x images) of a prediction batch, chosen so that activations mostly fit into caches."""


def autocast(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """The context in which a network computes in the requested precision.

    Args:
        device: Device of the network.
        precision: ``float32`` or ``bfloat16``.
    """
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bfloat16")


def prediction_batch_size(height: int, width: int) -> int:
    """Number of images per prediction batch for an image size, from 1 to 512."""
    return max(1, min(512, _PIXELS_PER_BATCH // (height * width)))


@torch.inference_mode()
def predict_logits(network: nn.Module, rows: Rows, *, device: torch.device, precision: str) -> np.ndarray:
    """Run a network in evaluation mode over all rows.

    Args:
        network: From float (n, channels, height, width) in [0, 1] to logits; its mode is restored afterwards.
        rows: uint8 images (height, width, channels).
        device: Device of the network.
        precision: ``float32`` or ``bfloat16``.

    Returns:
        float32 (n, classes).
    """
    return np.concatenate(list(_batches_of_logits(network, rows, device, precision)))


@torch.inference_mode()
def predict_logits_and_features(
    network: nn.Module, rows: Rows, *, device: torch.device, precision: str
) -> tuple[np.ndarray, np.ndarray]:
    """Same as `predict_logits`, but also returns the input features of the last layer.

    Returns:
        float32 (n, classes) and float32 (n, features).
    """
    logits, features = [], []
    with record_features(network) as recorded:
        for part in _batches_of_logits(network, rows, device, precision):
            logits.append(part)
            features.append(recorded.pop().float().cpu().numpy())
    return np.concatenate(logits), np.concatenate(features)


def _batches_of_logits(network: nn.Module, rows: Rows, device: torch.device, precision: str) -> Iterator[np.ndarray]:
    was_training = network.training
    network.eval()
    batch_size = prediction_batch_size(rows.shape[1], rows.shape[2])
    try:
        for start in range(0, len(rows), batch_size):
            indices = np.arange(start, min(start + batch_size, len(rows)))
            with autocast(device, precision):
                logits = network(to_tensor(rows.take(indices), device))
            yield logits.float().cpu().numpy()
    finally:
        network.train(was_training)


@torch.inference_mode()
def head_logits(network: nn.Module, rows: Rows) -> np.ndarray:
    """Apply the head of a pretrained model to features of its backbone.

    Args:
        network: The network of a pretrained model.
        rows: float32 features (features,).

    Returns:
        float32 (n, classes).
    """
    head = network.get_submodule("network.head")
    device = next(itertools.chain(head.parameters(), head.buffers())).device
    features = torch.from_numpy(rows.take(np.arange(len(rows)))).to(device)
    logits: np.ndarray = head(features).float().cpu().numpy()
    return logits


_Item = TypeVar("_Item")

_Result = TypeVar("_Result")


def chunked(items: Iterable[_Item], size: int) -> Iterator[list[_Item]]:
    """Split an iterable into lists of `size` items; the last one may be shorter."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


def map_in_order(
    work: Callable[[Sequence[_Item]], list[_Result]],
    items: Iterable[_Item],
    *,
    chunk: int,
    ahead: int,
    workers: int,
) -> Iterator[_Result]:
    """Apply a function to chunks of a stream in threads, and yield the results in order.

    Args:
        work: Function from a list of items to a list of as many results; called from several threads.
        items: The stream, which is consumed only as results are.
        chunk: Number of items per call of `work`.
        ahead: Highest number of items that are in progress or waiting before the first result is consumed.
        workers: Number of threads.
    """
    waiting: deque[Future[list[_Result]]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="decode") as pool:
        try:
            for part in chunked(items, chunk):
                waiting.append(pool.submit(work, part))
                if len(waiting) * chunk > ahead:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
