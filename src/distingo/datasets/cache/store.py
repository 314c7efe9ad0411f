"""The cache on disk: arrays of one shape, keyed by the content of their images; and bytes."""

from __future__ import annotations

import contextlib
import os
import re
import threading
import time
import uuid
import weakref
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO

import numpy as np

from distingo.datasets.cache import segments
from distingo.datasets.cache.segments import Segment, StoredRows
from distingo.errors import ResourceError, UsageError
from distingo.files import atomic_writer, content_hash

__all__ = ["ArrayStore", "Cache", "RowWriter", "StoredRows", "load_bytes", "store_bytes"]

_SEGMENT_BYTES = 256 * 2**20
_WRITE_BYTES = 4 * 2**20
_SEGMENT_SECONDS = 20.0
"""Maximum time for computing the rows of a segment before it is sealed, which limits what a killed process loses."""

_ABANDONED_SECONDS = 24 * 3600

_DEFAULT_LIMIT = 50 * 10**9
_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


class ArrayStore:
    """Rows with the same shape and dtype on disk, keyed by content hash; created by `Cache.store`.

    Rows are appended in segments that are written atomically. Every row's checksum is verified when a segment is
    opened; a damaged segment is removed, and its rows count as missing.
    """

    def __init__(self, cache: Cache, folder: Path, shape: tuple[int, ...], dtype: str) -> None:
        self.shape = shape
        self.dtype = np.dtype(dtype)
        self._cache = cache
        self._folder = folder
        self._row_bytes = int(np.prod(shape, dtype=np.int64)) * self.dtype.itemsize
        self._segments: list[Segment] = []
        self._locations: dict[str, tuple[int, int]] = {}
        self._open_lock = threading.Lock()

    def missing(self, keys: Iterable[str]) -> list[str]:
        """List the keys that have no row yet.

        Args:
            keys: Content hashes (`distingo.files.content_hash`).

        Returns:
            The keys without a row, without duplicates, in order.

        Raises:
            ResourceError: The cache can't be read.
        """
        candidates = dict.fromkeys(key for key in keys if key not in self._locations)
        if candidates:
            with self._open_lock:
                self._open_segments({key for key in candidates if key not in self._locations})
        return [key for key in candidates if key not in self._locations]

    def writer(self) -> RowWriter:
        """Open the store for adding rows; use it in a ``with`` statement."""
        return RowWriter(self)

    def rows(self, keys: Sequence[str]) -> StoredRows:
        """Open the rows for these keys, in this order.

        Args:
            keys: Content hashes, possibly with repetitions.

        Returns:
            The rows; no value is read until `StoredRows.take`.

        Raises:
            ResourceError: A key has no row.
        """
        if missing := self.missing(keys):
            raise ResourceError(
                f"{self._folder}: {len(missing)} of {len(keys)} pictures are no longer in the cache; "
                "run the same command again",
                code="changed_meanwhile",
            )
        locations = np.array([self._locations[key] for key in keys], np.int64).reshape(-1, 2)
        used, parts = np.unique(locations[:, 0], return_inverse=True)
        arrays = [self._typed(self._segments[number]) for number in used]
        if not arrays:
            arrays = [np.empty((0, *self.shape), self.dtype)]
        return StoredRows(arrays, parts.reshape(-1), locations[:, 1], self.shape, self.dtype.str)

    def _typed(self, segment: Segment) -> np.ndarray:
        return segment.values.view(self.dtype).reshape(-1, *self.shape)

    def _open_segments(self, keys: set[str]) -> None:
        opened = {segment.path for segment in self._segments}
        for path in self._cache.list_segments(self._folder):
            if not keys:
                return
            if path in opened:
                continue
            try:
                segment = segments.open_segment(path, self._row_bytes)
            except FileNotFoundError:  # evicted by another process in the meantime
                continue
            except OSError as error:
                raise _unreadable(path, error) from error
            if segment is not None and keys.isdisjoint(segment.keys):
                continue
            if segment is None or not segment.is_intact():
                with contextlib.suppress(OSError):
                    path.unlink(missing_ok=True)
                continue
            self._adopt(segment)
            keys.difference_update(segment.keys)

    def _adopt(self, segment: Segment) -> None:
        number = len(self._segments)
        self._segments.append(segment)
        for row, key in enumerate(segment.keys):
            self._locations.setdefault(key, (number, row))
        with contextlib.suppress(OSError):
            os.utime(segment.path)  # the time of last use, which determines eviction


class RowWriter:
    """Appends rows to a store; added rows are kept even if the block raises an error."""

    def __init__(self, store: ArrayStore) -> None:
        self._store = store
        self._keys: list[str] = []
        self._checksums: list[int] = []
        self._seen: set[str] = set()
        self._file: IO[bytes] | None = None
        self._pending = bytearray()
        self._stack = contextlib.ExitStack()
        self._path = Path()
        self._started = 0.0

    def __enter__(self) -> RowWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, OSError | ResourceError):
            self._abandon(error)
        else:
            self._seal()
        self._store._cache.evict()

    def add(self, key: str, row: np.ndarray) -> None:
        """Append a row; keys that were already added are ignored.

        Args:
            key: Content hash, 32 hexadecimal digits.
            row: Array of the store's shape and dtype.

        Raises:
            ResourceError: The disk is full or the cache can't be written.
            ValueError: The row has another shape or dtype.
        """
        if row.shape != self._store.shape or row.dtype != self._store.dtype:
            raise ValueError(
                f"a row of shape {row.shape} and {row.dtype}, "
                f"where the store holds {self._store.shape} and {self._store.dtype}"
            )
        if key in self._seen:
            return
        self._seen.add(key)
        content = np.ascontiguousarray(row).tobytes()
        self._open()
        self._pending += content
        self._keys.append(key)
        self._checksums.append(zlib.crc32(content))
        if len(self._pending) >= _WRITE_BYTES:
            self._flush()
        if len(self._keys) * len(content) >= _SEGMENT_BYTES or time.monotonic() - self._started > _SEGMENT_SECONDS:
            self._seal()

    def _open(self) -> None:
        if self._file is None:
            self._path = self._store._folder / f"{uuid.uuid4().hex}{segments.ENDING}"
            self._file = self._stack.enter_context(atomic_writer(self._path))
            self._started = time.monotonic()

    def _flush(self) -> None:
        """Write in large chunks: each write may switch threads, which costs milliseconds."""
        assert self._file is not None
        try:
            self._file.write(self._pending)
        except OSError as error:
            self._abandon(error)
        self._pending.clear()

    def _seal(self) -> None:
        if self._file is None:
            return
        self._flush()
        try:
            segments.write_footer(self._file, self._keys, self._checksums, self._store._row_bytes)
            segment = segments.map_unfinished(self._file, self._path, self._store._row_bytes)
        except OSError as error:
            self._abandon(error)
        self._reset()
        self._stack.close()
        self._store._adopt(segment)

    def _abandon(self, error: BaseException) -> None:
        self._reset()
        # The atomic writer removes the unfinished file and translates the error.
        self._stack.__exit__(type(error), error, error.__traceback__)
        raise error

    def _reset(self) -> None:
        self._file = None
        self._pending = bytearray()
        self._keys, self._checksums = [], []


class Cache:
    """The folder for arrays computed from images, with a maximum size.

    Attributes:
        folder: Path of the folder.
        limit_bytes: Maximum size, above which the least recently used segments are removed, except those in use.
    """

    def __init__(self, folder: str | Path | None = None, limit_bytes: int | None = None) -> None:
        """Set up a cache, without writing anything yet.

        Args:
            folder: Default: the environment variable ``DISTINGO_CACHE``, else ``distingo`` in
                ``XDG_CACHE_HOME`` or ``~/.cache``.
            limit_bytes: Default: ``DISTINGO_CACHE_LIMIT`` (bytes, or for example ``20GB``), else 50 GB.

        Raises:
            UsageError: The limit in the environment is not a valid size.
        """
        self.folder = Path(folder) if folder is not None else _default_folder()
        self.limit_bytes = limit_bytes if limit_bytes is not None else _default_limit()
        # Weak references, so that an unused store releases its segments.
        self._stores: weakref.WeakValueDictionary[Path, ArrayStore] = weakref.WeakValueDictionary()

    def store(self, kind: str, shape: tuple[int, ...], dtype: str) -> ArrayStore:
        """Open the store of one kind of array; equal arguments return the same store.

        Args:
            kind: Identifies everything except the image that the values depend on, for example the resize method.
            shape: Shape of a row.
            dtype: NumPy name of the values' type.

        Returns:
            The store.
        """
        kind_slug = re.sub(r"[^A-Za-z0-9._-]+", "-", kind)[:80]
        if kind_slug != kind:
            kind_slug += f"-{content_hash(kind.encode())[:12]}"
        folder = self.folder / f"{kind_slug}-{'x'.join(map(str, shape))}-{np.dtype(dtype).name}"
        store = self._stores.get(folder)
        if store is None:
            store = self._stores[folder] = ArrayStore(self, folder, tuple(shape), dtype)
        return store

    def list_segments(self, folder: Path | None = None) -> list[Path]:
        """List the finished segments of one store or of all, in a fixed order.

        Raises:
            ResourceError: The cache can't be read.
        """
        pattern = f"*{segments.ENDING}" if folder is not None else f"*/*{segments.ENDING}"
        parent = folder or self.folder
        try:
            if not parent.is_dir():
                return []
            os.scandir(parent).close()  # glob ignores a folder that can't be read
            return sorted(path for path in parent.glob(pattern) if not path.name.startswith("."))
        except OSError as error:
            raise _unreadable(parent, error) from error

    def evict(self) -> None:
        """Remove the least recently used segments until the size is below the limit, except those in use."""
        self._remove_abandoned()
        entries = []
        for path in self.list_segments():
            with contextlib.suppress(OSError):
                status = path.stat()
                entries.append((status.st_mtime_ns, status.st_size, path))
        excess = sum(size for _, size, _ in entries) - self.limit_bytes
        for _, size, path in sorted(entries):
            if excess <= 0:
                return
            if segments.try_to_remove(path):
                excess -= size

    def _remove_abandoned(self) -> None:
        """Remove unfinished files of processes that were killed."""
        for path in self.folder.glob(f"*/.*{segments.ENDING}.*"):
            with contextlib.suppress(OSError):
                if time.time() - path.stat().st_mtime > _ABANDONED_SECONDS:
                    path.unlink(missing_ok=True)


def store_bytes(cache: Cache, kind: str, key: str, content: bytes) -> bool:
    """Store bytes, such as a converted network, under a key; write errors are ignored.

    Args:
        cache: The cache.
        kind: A folder's name, for example ``networks``.
        key: 32 hexadecimal digits.
        content: At least one byte.

    Returns:
        Whether they were stored.
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


def load_bytes(cache: Cache, kind: str, key: str) -> np.ndarray | None:
    """Read the bytes that `store_bytes` stored.

    Args:
        cache: The cache.
        kind: The folder's name.
        key: 32 hexadecimal digits.

    Returns:
        uint8 (n,), mapped from the file, which can't be evicted while in use; None if there is none, or if the file is
        damaged, in which case it is removed.
    """
    path = cache.folder / kind / f"{key}{segments.ENDING}"
    try:
        segment = segments.open_segment(path, segments.single_row_bytes(path))
        if segment is None or segment.keys != (key,) or not segment.is_intact():
            path.unlink(missing_ok=True)
            return None
        with contextlib.suppress(OSError):
            os.utime(path)  # the time of last use, which determines eviction
    except OSError:
        return None
    row: np.ndarray = segment.values[0]
    return row


def _unreadable(path: Path, error: OSError) -> ResourceError:
    reason = error.strerror or type(error).__name__
    return ResourceError(
        f"{path}: the cache can't be read ({reason}); name another folder in DISTINGO_CACHE", code="cannot_read"
    )


def _default_folder() -> Path:
    if configured := os.environ.get("DISTINGO_CACHE"):
        return Path(configured).expanduser()
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG specification requires relative paths to be ignored.
    if Path(base).is_absolute():
        return Path(base) / "distingo"
    try:
        return Path.home() / ".cache" / "distingo"
    except RuntimeError as error:
        raise ResourceError(
            "HOME names no folder for the cache; name one in DISTINGO_CACHE", code="missing_setting"
        ) from error


def _default_limit() -> int:
    text = os.environ.get("DISTINGO_CACHE_LIMIT", "").strip()
    if not text:
        return _DEFAULT_LIMIT
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGTIB]*)", text.upper())
    if match is None or match[2] not in _UNITS:
        raise UsageError(
            f"DISTINGO_CACHE_LIMIT={text}: not a size; write bytes or for example 20GB", code="invalid_value"
        )
    return int(float(match[1]) * _UNITS[match[2]])
