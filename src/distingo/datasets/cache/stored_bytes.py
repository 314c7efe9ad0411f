"""Bytes in the cache, such as a converted network: written whole, checked when read, evicted like the rest."""

from __future__ import annotations

import contextlib
import os
import zlib

import numpy as np

from distingo.datasets.cache import segments
from distingo.datasets.cache.store import Cache
from distingo.errors import ResourceError
from distingo.files import atomic_writer


def keep_bytes(cache: Cache, kind: str, key: str, content: bytes) -> bool:
    """Keep bytes under a key; a cache that can't be written keeps nothing.

    Args:
        cache: Where to.
        kind: A folder's name, for example ``networks``.
        key: 32 hexadecimal digits.
        content: At least one byte.

    Returns:
        Whether they are kept.
    """
    path = cache.folder / kind / f"{key}{segments.ENDING}"
    try:
        with atomic_writer(path) as file:
            file.write(content)
            segments.write_footer(file, [key], [zlib.crc32(content)], len(content))
    except (OSError, ResourceError):
        return False
    with contextlib.suppress(OSError, ResourceError):
        cache.evict()
    return True


def recall_bytes(cache: Cache, kind: str, key: str) -> np.ndarray | None:
    """The bytes that `keep_bytes` wrote.

    Args:
        cache: As for `keep_bytes`.
        kind: As for `keep_bytes`.
        key: As for `keep_bytes`.

    Returns:
        uint8 (n,), mapped from the file, which stays while they are in use; None where there are none, or the file is
        damaged, which is then removed.
    """
    path = cache.folder / kind / f"{key}{segments.ENDING}"
    try:
        segment = segments.open_segment(path, segments.single_row_bytes(path))
        if segment is None or segment.keys != (key,) or not segment.is_intact():
            path.unlink(missing_ok=True)
            return None
        with contextlib.suppress(OSError):
            os.utime(path)  # the time of last use, which eviction goes by
    except OSError:
        return None
    row: np.ndarray = segment.values[0]
    return row
