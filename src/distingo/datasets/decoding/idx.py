"""Read IDX files, the format of the MNIST family (described at yann.lecun.com/exdb/mnist)."""

from __future__ import annotations

import functools
import gzip
import struct
import zlib
from pathlib import Path

import numpy as np

from distingo.errors import DataError

_UNSIGNED_BYTE = 8


def load_images(path: Path) -> np.ndarray:
    """Read all images of an IDX file, gzip-compressed or not; the last few files are kept in memory.

    Args:
        path: The file.

    Returns:
        uint8 of shape (n, height, width), not writable.

    Raises:
        DataError: It is not an IDX file of images, is damaged or can't be opened.
    """
    return _load(path, 3)


def load_labels(path: Path) -> np.ndarray:
    """Read all labels of an IDX file, gzip-compressed or not.

    Args:
        path: The file.

    Returns:
        uint8 of shape (n,), not writable.

    Raises:
        DataError: It is not an IDX file of labels, is damaged or can't be opened.
    """
    return _load(path, 1)


def read_shape(path: Path) -> tuple[int, ...]:
    """Read the shape in the header of an IDX file, without reading the rest.

    Raises:
        DataError: As for `load_images`.
    """
    try:
        with _opened(path) as file:
            return _shape(path, file.read(16))
    except (OSError, EOFError, zlib.error) as error:
        raise _damaged(path, error) from error


def _load(path: Path, dimensions: int) -> np.ndarray:
    try:
        status = path.stat()
    except OSError as error:
        raise _damaged(path, error) from error
    array = _load_version(path, status.st_mtime_ns, status.st_size)
    if array.ndim != dimensions:
        kind = "pictures (3 dimensions)" if dimensions == 3 else "labels (1 dimension)"
        raise DataError(
            f"{path}: holds {array.ndim} dimensions where {kind} belong; are two files mixed up?", code="wrong_format"
        )
    return array


@functools.lru_cache(maxsize=4)
def _load_version(path: Path, modified: int, size: int) -> np.ndarray:
    del modified, size  # only part of the cache key
    try:
        with _opened(path) as file:
            content = file.read()
    except (OSError, EOFError, zlib.error) as error:
        raise _damaged(path, error) from error
    shape = _shape(path, content)
    start = 4 + 4 * len(shape)
    expected = int(np.prod(shape, dtype=np.int64))
    if len(content) - start != expected:
        raise DataError(
            f"{path}: announces {expected:,} values and holds {len(content) - start:,}; fetch the file again",
            code="damaged_file",
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def _opened(path: Path) -> gzip.GzipFile:
    # gzip is detected by the first bytes, as file names may be wrong.
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    return gzip.open(path, "rb") if packed else path.open("rb")  # type: ignore[return-value]


def _shape(path: Path, head: bytes) -> tuple[int, ...]:
    if len(head) < 4 or head[:2] != b"\x00\x00" or head[2] != _UNSIGNED_BYTE or head[3] not in {1, 3}:
        raise DataError(f"{path}: not an IDX file of unsigned bytes; fetch the file again", code="wrong_format")
    count = head[3]
    if len(head) < 4 + 4 * count:
        raise DataError(f"{path}: breaks off in its header; fetch the file again", code="damaged_file")
    return struct.unpack(f">{count}I", head[4 : 4 + 4 * count])


def _damaged(path: Path, error: Exception) -> DataError:
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return DataError(f"{path}: can't be read ({reason}); fetch the file again", code="damaged_file")
