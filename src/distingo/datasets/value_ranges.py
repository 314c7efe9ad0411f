"""Which stored values of a deep image (more than 8 bits, signed or float) are shown as black and as white."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class ValueRange:
    """The stored values shown as black (0) and as white (255); values outside are clipped.

    Attributes:
        black: In the file's own units.
        white: In the file's own units, above `black`.
    """

    black: float
    white: float


@dataclass(frozen=True, slots=True)
class ValueSummary:
    """The stored values of one deep image, from which the range of a whole data set is decided.

    Attributes:
        dtype: NumPy name of the stored type, for example ``uint16``, ``int16`` or ``float32``.
        bits: Significant bits per sample where the file states them (PNG's sBIT, TIFF's BitsPerSample), else those
            of the type.
        low: Smallest finite value that is not marked as no-data.
        high: Largest finite value that is not marked as no-data.
        low_percentile: The 0.1th percentile of these values.
        high_percentile: The 99.9th percentile of these values.
    """

    dtype: str
    bits: int
    low: float
    high: float
    low_percentile: float
    high_percentile: float


def summarize_values(values: np.ndarray, *, bits: int | None = None, valid: np.ndarray | None = None) -> ValueSummary:
    """Summarize the stored values of a deep image.

    Args:
        values: Of any shape, integer or float.
        bits: As for `ValueSummary.bits`; None takes those of the type.
        valid: Boolean, of the same shape or one that broadcasts to it: False for no-data. None counts all.

    Returns:
        Their summary; all zeros where no value is finite and valid.
    """
    counted = np.isfinite(values) if values.dtype.kind == "f" else np.ones(values.shape, np.bool_)
    if valid is not None:
        counted = counted & valid
    kept = values[counted]
    bits = bits or values.dtype.itemsize * 8
    if not kept.size:
        return ValueSummary(values.dtype.name, bits, 0.0, 0.0, 0.0, 0.0)
    low, high = np.percentile(kept, (0.1, 99.9), method="nearest")
    return ValueSummary(values.dtype.name, bits, float(kept.min()), float(kept.max()), float(low), float(high))


def to_eight_bits(values: np.ndarray, value_range: ValueRange) -> np.ndarray:
    """Scale stored values to 0..255, rounded to nearest; what is not finite becomes 0.

    Args:
        values: Of any shape, integer or float.
        value_range: What becomes 0 and what becomes 255.

    Returns:
        uint8 of the same shape.
    """
    numbers = np.nan_to_num(
        values.astype(np.float64), nan=value_range.black, posinf=value_range.black, neginf=value_range.black
    )
    scaled = (numbers - value_range.black) * (255.0 / (value_range.white - value_range.black))
    return np.rint(np.clip(scaled, 0.0, 255.0)).astype(np.uint8)


def range_of_one(summary: ValueSummary) -> ValueRange:
    """The range of an image that is read alone, by a model that knows of none.

    16-bit unsigned integers go by their whole range; the wider types and floats, which carry no agreed white, by the
    smallest customary range that holds them (255, 65535; 1.0, 255), else by the image's own.
    """
    if summary.dtype == "uint16":
        return ValueRange(0.0, float(2**summary.bits - 1))
    whites = (1.0, 255.0) if summary.dtype.startswith("float") else (255.0, 65535.0)
    white = next((white for white in whites if summary.low >= 0.0 and summary.high <= white), None)
    if white is not None:
        return ValueRange(0.0, white)
    return ValueRange(summary.low, summary.high if summary.high > summary.low else summary.low + 1.0)
