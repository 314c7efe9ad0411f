"""A segment file of the cache: rows of equal size, their keys and their checksums.

Layout: the rows; a key of 16 bytes per row; a CRC-32 of 4 bytes per row (both in row order); and a footer. The footer
    comes last so that rows can be written while they are computed, and an incomplete file has none.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows has no flock, but refuses to remove an open file
    fcntl = None  # type: ignore[assignment]

_FOOTER = struct.Struct("<8sQQI")

_MAGIC = b"distingo"

KEY_BYTES = 16

ENDING = ".segment"


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment mapped into memory, which can't be evicted while it is referenced.

    Attributes:
        path: The file.
        keys: The hexadecimal key of every row.
        checksums: CRC-32 of every row, uint32 of shape (n,).
        values: uint8 of shape (n, bytes per row), mapped, not writable.
    """

    path: Path
    keys: tuple[str, ...]
    checksums: np.ndarray
    values: np.ndarray

    def is_intact(self) -> bool:
        """Whether every row still matches its checksum."""
        width = self.values.shape[1]
        content = self.values.reshape(-1).data
        return all(
            zlib.crc32(content[row * width : (row + 1) * width]) == checksum
            for row, checksum in enumerate(self.checksums.tolist())
        )


def open_segment(path: Path, row_bytes: int) -> Segment | None:
    """Map a finished segment.

    Args:
        path: The file.
        row_bytes: The expected size of its rows.

    Returns:
        The segment with rows that are not verified yet; None if the file is damaged.

    Raises:
        OSError: It can't be opened.
    """
    with path.open("rb") as file:
        _share(file)
        return _map(file, path, row_bytes)


def single_row_bytes(path: Path) -> int:
    """The size of a segment's row if it has at most one.

    Raises:
        OSError: There is no such file.
    """
    return max(0, path.stat().st_size - KEY_BYTES - 4 - _FOOTER.size)


def write_footer(file: IO[bytes], keys: Sequence[str], checksums: Sequence[int], row_bytes: int) -> None:
    """Finish a segment after all rows have been written."""
    index = bytes.fromhex("".join(keys)) + np.array(checksums, "<u4").tobytes()
    file.write(index)
    file.write(_FOOTER.pack(_MAGIC, len(keys), row_bytes, zlib.crc32(index)))


def map_unfinished(file: IO[bytes], path: Path, row_bytes: int) -> Segment:
    """Map a segment while it is being finished, so that it can't be evicted before it is read."""
    file.flush()
    duplicate = os.fdopen(os.dup(file.fileno()), "rb")
    with duplicate:
        _share(duplicate)
        segment = _map(duplicate, path, row_bytes)
    assert segment is not None
    return segment


def try_to_remove(path: Path) -> bool:
    """Remove a segment unless a process is using it; returns whether it is gone."""
    try:
        with path.open("rb") as file:
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink(missing_ok=True)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _share(file: IO[bytes]) -> None:
    """Acquire a shared lock, which the memory map keeps after the file is closed."""
    if fcntl is not None:
        # Some network file systems do not support locks; mapped files survive their removal there anyway.
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)


def _map(file: IO[bytes], path: Path, row_bytes: int) -> Segment | None:
    size = os.fstat(file.fileno()).st_size
    if size < _FOOTER.size:
        return None
    mapped = mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ)
    magic, count, width, index_checksum = _FOOTER.unpack_from(mapped, size - _FOOTER.size)
    start = count * row_bytes
    keys_end = start + count * KEY_BYTES
    end = keys_end + count * 4
    if magic != _MAGIC or width != row_bytes or count == 0 or end + _FOOTER.size != size:
        return None
    if zlib.crc32(mapped[start:end]) != index_checksum:
        return None
    text = mapped[start:keys_end].hex()
    keys = tuple(text[at : at + 2 * KEY_BYTES] for at in range(0, len(text), 2 * KEY_BYTES))
    return Segment(
        path,
        keys,
        np.frombuffer(mapped, "<u4", count, keys_end),
        np.frombuffer(mapped, np.uint8, start).reshape(count, row_bytes),
    )


class StoredRows:
    """Selected rows of a store in a given order, read through a memory map.

    Attributes:
        shape: (n, *shape of a row).
        dtype: Data type of the values.
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
        """Copy rows into a new array.

        Args:
            indices: Indices from 0 to n-1, in any order and with repetitions.

        Returns:
            Array of shape (len(indices), *shape of a row), writable.
        """
        rows = self._rows[indices]
        if len(self._arrays) == 1:
            return np.take(self._arrays[0], rows, axis=0)
        parts = self._parts[indices]
        out = np.empty((len(rows), *self.shape[1:]), self.dtype)
        for part in np.unique(parts):
            positions = np.flatnonzero(parts == part)
            out[positions] = self._arrays[part][rows[positions]]
        return out
