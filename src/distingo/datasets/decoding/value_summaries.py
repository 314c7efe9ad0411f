"""Summarize the stored values of a deep image: their range, no-data values, and a hash.

Arrays are processed in blocks, as a copy of all values would need many times the image's memory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from distingo.datasets.decoding.failures import UndecodableError
from distingo.messages.notes import note

_BLOCK = 1 << 18
"""Number of values in a block."""


def blocks_of(values: np.ndarray) -> Iterator[tuple[slice, ...]]:
    """Yield the indices of an array's blocks: some rows, or a part of a row that is longer than a block.

    Args:
        values: Array of shape (height,), (height, width) or (height, width, channels).

    Yields:
        Slices to index it with, in the order of its values.
    """
    row_size = max(values[:1].size, 1)
    if row_size <= _BLOCK or values.ndim == 1:
        rows = _BLOCK // row_size
        yield from ((slice(at, at + rows),) for at in range(0, len(values), rows))
        return
    columns = max(_BLOCK // max(values[:1, :1].size, 1), 1)
    for row in range(len(values)):
        yield from ((slice(row, row + 1), slice(at, at + columns)) for at in range(0, values.shape[1], columns))


def by_block(convert: Callable[[np.ndarray], np.ndarray], values: np.ndarray) -> np.ndarray:
    """Convert values to uint8 block by block.

    Args:
        convert: Converts a block to uint8 of the same shape.
        values: As for `blocks_of`.

    Returns:
        uint8 of the same shape.
    """
    result = np.empty(values.shape, np.uint8)
    for block in blocks_of(values):
        result[block] = convert(values[block])
    return result


_NO_DATA = (-9999.0, -99999.0, -32768.0, -32767.0, -2147483648.0)
"""Customary no-data values; so are numbers with a magnitude of at least `_NO_DATA_MAGNITUDE`."""

_NO_DATA_MAGNITUDE = 1e18

_FAR = 3.0
"""A single extreme value is no-data if its distance to the others is this many times their spread."""

_MIN_OTHERS = 100

_MAX_SAMPLE = 2**20


@dataclass(frozen=True, slots=True)
class ValueSummary:
    """Summary of the stored values of a deep image, for computing the range of a data set.

    Attributes:
        dtype: NumPy name of the stored type, for example ``uint16``, ``int16`` or ``float32``.
        bits: Bits per sample if the file declares them (a TIFF of 12-bit samples), or if its alpha implies them; else
            those of the type.
        low: Smallest finite value that is not a no-data value.
        high: Largest finite value that is not a no-data value.
        low_percentile: The 0.1th percentile of these values.
        high_percentile: The 99.9th percentile of these values.
        no_data: Values that were ignored as no-data: a customary one (-9999, the lowest number of the type) or another
            single extreme far from the rest.
        digest: Hash of all stored values (hexadecimal), the same for every file format and every range.
    """

    dtype: str
    bits: int
    low: float
    high: float
    low_percentile: float
    high_percentile: float
    no_data: tuple[float, ...] = ()
    digest: str = ""


def summarize_values(values: np.ndarray, *, bits: int | None = None, valid: np.ndarray | None = None) -> ValueSummary:
    """Summarize the stored values of a deep image block by block.

    Percentiles are computed from at most about a million values, evenly spaced in the image.

    Args:
        values: Integer or float, of shape (height, width) or (height, width, channels).
        bits: As for `ValueSummary.bits`; None uses those of the type.
        valid: Boolean array of the same or a broadcastable shape: False for no-data. None uses all values.

    Returns:
        The summary; all zeros if no value is finite and valid.
    """
    bits = bits or values.dtype.itemsize * 8
    digest = _digest(values)
    counted = _Counted(values, valid)
    if not counted.size:
        return ValueSummary(values.dtype.name, bits, 0.0, 0.0, 0.0, 0.0, (), digest)
    counted, no_data = _without_no_data(counted)
    low, high = np.percentile(counted.sample(), (0.1, 99.9), method="nearest")
    ends = (float(counted.low), float(counted.high), float(low), float(high))
    return ValueSummary(values.dtype.name, bits, *ends, no_data, digest)


def require_finite(values: np.ndarray, name: str) -> None:
    """Check that at least one value can be displayed.

    Args:
        values: Stored values, as for `blocks_of`.
        name: The image's format.

    Raises:
        UndecodableError: They are floats, and none is finite.
    """
    if values.dtype.kind == "f" and not any(np.isfinite(values[block]).any() for block in blocks_of(values)):
        raise UndecodableError(note("no-finite-value"), name)


def is_customary_mark(value: float) -> bool:
    """Whether a value is customarily used for no data."""
    return value in _NO_DATA or abs(value) >= _NO_DATA_MAGNITUDE


class _Counted:
    """The values of an image that are finite, valid, and different from given no-data values.

    Attributes:
        size: Number of these values.
        low: The smallest one, in the image's type; 0 if there is none.
        high: The largest one, likewise.
    """

    def __init__(self, values: np.ndarray, valid: np.ndarray | None, marks: tuple[np.generic, ...] = ()) -> None:
        self._values = values
        self._valid = None if valid is None else np.broadcast_to(valid, values.shape)
        self._marks = marks
        self.size = 0
        self.low = self.high = values.dtype.type(0)
        for block in self._blocks():
            low, high = block.min(), block.max()
            self.low, self.high = (min(self.low, low), max(self.high, high)) if self.size else (low, high)
            self.size += block.size

    @property
    def is_unsigned(self) -> bool:
        """Whether its type is an unsigned integer."""
        return self._values.dtype.kind == "u"

    def sample(self) -> np.ndarray:
        """At most about a million of the values, evenly spaced, of shape (values,)."""
        step, at, parts = -(-self.size // _MAX_SAMPLE), 0, []
        for block in self._blocks():
            parts.append(block[-at % step :: step].copy())
            at += block.size
        return np.concatenate(parts)

    def without(self, mark: np.generic) -> _Counted:
        """The values without another no-data value."""
        return _Counted(self._values, self._valid, (*self._marks, mark))

    def _blocks(self) -> Iterator[np.ndarray]:
        """Yield the values of each block that contains any, of shape (values,)."""
        for block in blocks_of(self._values):
            values = self._values[block]
            is_counted = np.isfinite(values) if values.dtype.kind == "f" else None
            if self._valid is not None:
                is_counted = self._valid[block] if is_counted is None else is_counted & self._valid[block]
            for mark in self._marks:
                is_counted = values != mark if is_counted is None else is_counted & (values != mark)
            counted = values.reshape(-1) if is_counted is None else values[is_counted]
            if counted.size:
                yield counted


def _without_no_data(counted: _Counted) -> tuple[_Counted, tuple[float, ...]]:
    """Exclude a single lowest and a single highest value that mark no data, and return these.

    Unsigned integers are unchanged: their files declare no-data values, or it is 0, which is black.
    """
    marks: list[float] = []
    if counted.is_unsigned:
        return counted, ()
    for highest in (False, True):
        mark = counted.high if highest else counted.low
        sample = counted.sample()
        others = sample[sample != mark]
        if others.size and _marks_no_data(float(mark), others):
            counted = counted.without(mark)
            marks.append(float(mark))
    return counted, tuple(marks)


def _marks_no_data(mark: float, others: np.ndarray) -> bool:
    """Whether a value outside all others marks no data; with few others, only customary values count."""
    low, high = float(others.min()), float(others.max())
    gap, spread = (low - mark if mark < low else mark - high), high - low
    if is_customary_mark(mark):
        return gap > spread / 8
    return others.size >= _MIN_OTHERS and spread > 0.0 and gap > _FAR * spread


def _digest(values: np.ndarray) -> str:
    """Hash values in a common type, so that the hash does not depend on the stored type."""
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[..., 0]
    if values.ndim == 3 and values.shape[2] == 3 and _is_gray(values):
        values = values[..., 0]
    common = _common_type(values)
    digest = hashlib.sha256(f"{values.shape} {common}".encode())
    for block in blocks_of(values):
        digest.update(np.ascontiguousarray(values[block], common).data)
    return digest.hexdigest()[:32]


def _is_gray(values: np.ndarray) -> bool:
    return all(bool((values[block] == values[block][..., :1]).all()) for block in blocks_of(values))


def _common_type(values: np.ndarray) -> str:
    if values.dtype.kind == "f":
        return "<f4" if values.dtype.itemsize <= 4 else "<f8"
    if not values.size or (values.min() >= 0 and values.max() < 2**16):
        return "<u2"
    return "<i4" if values.min() >= -(2**31) and values.max() < 2**31 else "<f8"
