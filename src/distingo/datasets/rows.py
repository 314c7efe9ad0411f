"""Rows on disk, read as if they lay in memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


class StoredRows:
    """Chosen rows of a store in a chosen order, read through a memory map.

    Attributes:
        shape: (n, *shape of a row).
        dtype: Of the values.
    """

    def __init__(
        self,
        arrays: Sequence[np.ndarray],
        parts: np.ndarray,
        rows: np.ndarray,
        shape: tuple[int, ...],
        dtype: str,
    ) -> None:
        self._arrays = arrays
        self._parts = parts
        self._rows = rows
        self.shape = (len(rows), *shape)
        self.dtype = np.dtype(dtype)

    def __len__(self) -> int:
        return len(self._rows)

    def take(self, indices: np.ndarray | Sequence[int] | slice) -> np.ndarray:
        """Copy some rows into an array of their own.

        Args:
            indices: Positions in 0..n-1, in the wanted order; repetitions are fine.

        Returns:
            Of shape (len(indices), *shape of a row), writable.
        """
        rows = self._rows[indices]
        if len(self._arrays) == 1:
            return np.take(self._arrays[0], rows, axis=0)
        parts = self._parts[indices]
        out = np.empty((len(rows), *self.shape[1:]), self.dtype)
        for part in np.unique(parts):
            places = np.flatnonzero(parts == part)
            out[places] = self._arrays[part][rows[places]]
        return out
