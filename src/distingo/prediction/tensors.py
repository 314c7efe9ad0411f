"""Stored rows of pixels to the tensors that networks take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor


class Rows(Protocol):
    """Rows of one shape and dtype from which batches are gathered."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, *row)."""

    def __len__(self) -> int:
        """How many rows."""

    def take(self, indices: np.ndarray) -> np.ndarray:
        """Gather a batch (n, *shape)."""


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
        taken: np.ndarray = self.array[indices]
        return taken


def to_tensor(batch: np.ndarray, device: torch.device | str = "cpu") -> Tensor:
    """Pixels as networks want them.

    Args:
        batch: uint8 (n, height, width, channels).
        device: Where the tensor shall live.

    Returns:
        float32 (n, channels, height, width) in [0, 1], channels last in memory.
    """
    pixels = torch.from_numpy(batch).to(device, non_blocking=True)
    return pixels.permute(0, 3, 1, 2).to(torch.float32).div_(255.0)
