"""Which stored values of deep images (more than 8 bits, signed or float) are shown as black and as white."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from distingo.datasets.undecodable import UndecodableError
from distingo.errors import RunError, UsageError
from distingo.records import ValueRange, ValueRanges

__all__ = [
    "ValueRange",
    "ValueRanges",
    "ValueSummary",
    "choose_range",
    "decide_ranges",
    "describe_ranges",
    "range_of_one",
    "settle_value_range",
    "summarize_values",
    "to_eight_bits",
    "value_ranges_from_config",
    "warn_of_ranges",
]

KINDS = ("unsigned", "signed", "floating")
"""The kinds of stored types, named like the attributes of `ValueRanges`."""

_WHITES_OF_BITS = (255.0, 1023.0, 4095.0, 16383.0, 65535.0)
_WHITES_OF_FLOATS = (1.0, 255.0)
_NO_DATA = (-9999.0, -99999.0, -32768.0, -32767.0, -2147483648.0)
"""Customary marks of no data; numbers of a magnitude from `_NO_DATA_MAGNITUDE` on are too."""

_NO_DATA_MAGNITUDE = 1e18
_FAR = 3.0
"""A lone extreme value is no data where it is so many times the spread of the others away from them."""

_FEWEST_OTHERS = 100
_OVERSHOOT = 0.05
"""Share of white by which a few values may leave a customary range of floats, which clips them."""

_LEAST_USED = 0.25
"""A customary range of floats is taken where the values fill this share of it; bits leave no more unused either."""

_MOST_LOOKED_AT = 2**20
_BLOCK = 2**20


@dataclass(frozen=True, slots=True)
class ValueSummary:
    """The stored values of one deep image, from which the range of a whole data set is decided.

    Attributes:
        dtype: NumPy name of the stored type, for example ``uint16``, ``int16`` or ``float32``.
        bits: Bits of a sample where the file packs so many (a TIFF of 12-bit samples), else those of the type.
        low: Smallest finite value that is no no-data value.
        high: Largest finite value that is no no-data value.
        low_percentile: The 0.1th percentile of these values.
        high_percentile: The 99.9th percentile of these values.
        no_data: Values that were left out because they mark no data: a customary mark (-9999, the lowest number of
            the type) or another lone extreme far outside the rest.
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
    """Summarize the stored values of a deep image.

    Percentiles are those of at most about a million values, evenly spaced in the image.

    Args:
        values: Integer or float, of shape (height, width) or (height, width, channels).
        bits: As for `ValueSummary.bits`; None takes those of the type.
        valid: Boolean, of the same shape or one that broadcasts to it: False for no-data. None counts all.

    Returns:
        Their summary; all zeros where no value is finite and valid.
    """
    kept = values.reshape(-1)
    counted = np.isfinite(values) if values.dtype.kind == "f" else None
    if valid is not None:
        counted = np.broadcast_to(valid, values.shape) if counted is None else counted & valid
    if counted is not None and not counted.all():
        kept = values[counted]
    bits = bits or values.dtype.itemsize * 8
    digest = _digest(values)
    if not kept.size:
        return ValueSummary(values.dtype.name, bits, 0.0, 0.0, 0.0, 0.0, (), digest)
    kept, no_data = _without_no_data(kept)
    low, high = np.percentile(_sample(kept), (0.1, 99.9), method="nearest")
    ends = (float(kept.min()), float(kept.max()), float(low), float(high))
    return ValueSummary(values.dtype.name, bits, *ends, no_data, digest)


def require_finite(values: np.ndarray, name: str) -> None:
    """Look whether there is anything to show.

    Args:
        values: Stored values of any shape.
        name: Their format.

    Raises:
        UndecodableError: They are floats, and none is a finite number.
    """
    if values.dtype.kind == "f" and not np.isfinite(values).any():
        raise UndecodableError("none of its values is a finite number", name)


def to_eight_bits(values: np.ndarray, value_range: ValueRange) -> np.ndarray:
    """Scale stored values to 0..255, rounded to nearest; what is not finite becomes 0.

    Args:
        values: Of any shape, integer or float.
        value_range: What becomes 0 and what becomes 255.

    Returns:
        uint8 of the same shape.
    """
    numbers = values.astype(np.float64)
    if values.dtype.kind == "f":
        numbers[~np.isfinite(values)] = value_range.black
    numbers -= value_range.black
    numbers *= 255.0 / (value_range.white - value_range.black)
    return np.rint(np.clip(numbers, 0.0, 255.0, out=numbers), out=numbers).astype(np.uint8)


def choose_range(value_range: ValueRange | ValueRanges | None, summary: ValueSummary) -> ValueRange:
    """The range that an image is scaled by.

    Args:
        value_range: What is known: of the image, or of its data set or model; None where nothing is.
        summary: Of the image, which decides for itself where nothing is known of its kind.
    """
    if isinstance(value_range, ValueRanges):
        value_range = value_range.find(summary.dtype) or _range_of_integers_as_floats(value_range, summary)
    return value_range or range_of_one(summary)


def _range_of_integers_as_floats(ranges: ValueRanges, summary: ValueSummary) -> ValueRange | None:
    """The range of integers where floats are within it and no customary range of floats holds them.

    Programs that compute with an image make floats of its integers.
    """
    integers = ranges.unsigned or ranges.signed
    if integers is None or not summary.dtype.startswith("float") or summary.high <= max(_WHITES_OF_FLOATS):
        return None
    return integers if integers.black <= summary.low and summary.high <= integers.white else None


def range_of_one(summary: ValueSummary) -> ValueRange:
    """The range of an image that is read alone, by a model that knows of none.

    16-bit unsigned integers go by their whole range; the wider types and floats, which carry no agreed white, by the
    smallest customary range that holds them (255, 65535; 1.0, 255), else by the image's own.
    """
    if summary.dtype == "uint16":
        return ValueRange(0.0, float(2**summary.bits - 1))
    if summary.dtype.startswith("float"):
        return _range_of_floats(summary.low_percentile, summary.high_percentile)
    white = next((white for white in (255.0, 65535.0) if summary.low >= 0.0 and summary.high <= white), None)
    return ValueRange(0.0, white) if white is not None else _spanning(summary.low, summary.high)


def decide_ranges(summaries: Sequence[ValueSummary]) -> ValueRanges:
    """Decide by what all deep images of a data set are scaled, each kind of stored type for itself.

    Every image gives its 0.1th and 99.9th percentile without no-data values, so that a few pixels decide nothing; of
    those of all images the most extreme hundredth (from 20 images on at least one) is passed over at either end, so
    that a few files decide nothing either. Then:

    - unsigned integers, and signed ones without negative values, go from 0 to 2**k - 1 for the smallest k of 8, 10,
      12, 14 and 16 that holds them, or for the bits that all files declare; above 16 bits to their own white;
    - signed integers with negative values go from their own black to their own white;
    - floats go from 0 to 1 or 255 where they fill a quarter of that and leave it by no more than 5 %, else from
      their own black to their own white.

    Args:
        summaries: One for each deep image, in any order.

    Returns:
        A range for each kind that there is.
    """
    kinds: dict[str, list[ValueSummary]] = {kind: [] for kind in KINDS}
    for summary in summaries:
        kinds[_kind(summary.dtype)].append(summary)
    decided = {}
    for kind, members in kinds.items():
        if members:
            low, high = _pooled_ends(members)
            decided[kind] = (
                _range_of_floats(low, high) if kind == "floating" else _range_of_integers(low, high, members)
            )
    return ValueRanges(**decided)


def describe_ranges(ranges: ValueRanges, summaries: Sequence[ValueSummary], *, decided: bool) -> tuple[str, ...]:
    """A sentence on every kind of deep image: how many there are and what is shown as black and white.

    Args:
        ranges: What they are scaled by.
        summaries: One for each deep image.
        decided: Whether the ranges were decided by these images; else they were given, and may not fit.
    """
    sentences = []
    for kind in KINDS:
        members = [summary for summary in summaries if _kind(summary.dtype) == kind]
        if not members:
            continue
        types = ", ".join(sorted({member.dtype for member in members}))
        files = f"1 deep image ({types})" if len(members) == 1 else f"{len(members):,} deep images ({types})"
        value_range = ranges.find(members[0].dtype)
        if value_range is None:
            sentences.append(f"{files}: the value range is not known, so each image is scaled by itself")
            continue
        ends = f"{format_number(value_range.black)} to {format_number(value_range.white)}"
        why = "as found in the data" if decided else "as given"
        sentences.append(f"{files}: the value range {ends} is shown as black to white, {why}")
    return tuple(sentences)


def warn_of_ranges(ranges: ValueRanges, summaries: Sequence[ValueSummary]) -> tuple[str, ...]:
    """A sentence on every kind of deep image that has values further outside a given range than half its width.

    Args:
        ranges: What they are scaled by.
        summaries: One for each deep image.
    """
    sentences = []
    for kind in KINDS:
        members = [summary for summary in summaries if _kind(summary.dtype) == kind]
        value_range = ranges.find(members[0].dtype) if members else None
        if value_range is None or not (beyond := sum(_is_beyond(member, value_range) for member in members)):
            continue
        ends = f"{format_number(value_range.black)} to {format_number(value_range.white)}"
        sentences.append(
            f"of {len(members):,} deep images {beyond:,} have values far outside the value range {ends}, which are "
            "clipped: check that their units are those of the range"
        )
    return tuple(sentences)


def value_ranges_from_config(config: dict[str, Any], path: Path) -> ValueRanges | None:
    """Read the section ``value_ranges`` of a ``config.json``.

    Args:
        config: Its content.
        path: The file, for the error.

    Returns:
        The ranges; None where the run had no deep images, or is of version 0.1.

    Raises:
        RunError: The section is damaged.
    """
    if "value_ranges" not in config:
        return None
    try:
        return ValueRanges.from_json(config["value_ranges"])
    except (AttributeError, TypeError, ValueError) as error:
        raise RunError(f"{path}: damaged (value_ranges: {error})") from error


def format_number(value: float) -> str:
    """A value of a range in as few digits as say it: ``4095``, ``-1024``, ``0.25``."""
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else f"{value:.6g}"


def settle_value_range(value_range: str | Sequence[float] | ValueRanges | None) -> ValueRanges | None:
    """Read a value range as a person gives it.

    Args:
        value_range: ``auto`` or None; ``LOW,HIGH`` or a pair of numbers, which hold for every kind of deep image; or
            a range for each kind.

    Returns:
        The ranges; None where the data set is to decide.

    Raises:
        UsageError: It is none of these.
    """
    if value_range is None or isinstance(value_range, ValueRanges):
        return value_range
    if isinstance(value_range, str):
        if value_range.strip().lower() == "auto":
            return None
        value_range = value_range.split(",")  # type: ignore[assignment]
    try:
        black, white = map(float, value_range)
        if not -math.inf < black < white < math.inf:
            raise ValueError
    except (TypeError, ValueError):
        raise UsageError(
            f"value range {value_range!r}: give the values shown as black and as white, such as 0,4095 (the first "
            "below the second), or auto"
        ) from None
    pair = ValueRange(black, white)
    return ValueRanges(pair, pair, pair)


def _kind(dtype: str) -> str:
    return "floating" if dtype.startswith("float") else "unsigned" if dtype.startswith("uint") else "signed"


def _pooled_ends(members: Sequence[ValueSummary]) -> tuple[float, float]:
    """The lowest and highest value of all images, but for those of a few images and those that mark no data."""
    marks = _shared_marks(members)
    with_data = [member for member in members if not (member.low == member.high and member.low in marks)]
    lows = sorted(member.low_percentile for member in with_data if member.low_percentile not in marks)
    highs = sorted(member.high_percentile for member in with_data if member.high_percentile not in marks)
    if not lows or not highs:
        return 0.0, 1.0
    low, high = lows[_passed_over(len(lows))], highs[-1 - _passed_over(len(highs))]
    return low, max(low, high)


def _passed_over(images: int) -> int:
    return max(images // 100, 1) if images >= 20 else 0


def _shared_marks(members: Sequence[ValueSummary]) -> set[float]:
    """No-data values of a data set: customary ones, and those that mark no data in more images than not."""
    marks = Counter(mark for member in members for mark in member.no_data)
    ends = Counter(end for member in members for end in {member.low, member.high})
    found = {mark for mark, count in marks.items() if count > ends[mark]}
    return found | {end for end in ends if _is_customary_mark(end)}


def _range_of_integers(low: float, high: float, members: Sequence[ValueSummary]) -> ValueRange:
    if low < 0.0:
        return _spanning(low, high)
    declared = {member.bits for member in members}
    if all(member.bits < np.dtype(member.dtype).itemsize * 8 for member in members):
        return ValueRange(0.0, float(2 ** max(declared) - 1))
    white = next((white for white in _WHITES_OF_BITS if high <= white), None)
    return ValueRange(0.0, white) if white is not None else _spanning(low, high)


def _range_of_floats(low: float, high: float) -> ValueRange:
    for white in _WHITES_OF_FLOATS:
        beyond = _OVERSHOOT * white
        fills = high - low >= _LEAST_USED * white or high == low
        if -beyond <= low and high <= white + beyond and fills:
            return ValueRange(0.0, white)
    return _spanning(low, high)


def _spanning(low: float, high: float) -> ValueRange:
    return ValueRange(low, high if high > low else low + 1.0)


def _is_beyond(member: ValueSummary, value_range: ValueRange) -> bool:
    """Whether an image has values further outside a range than half its width."""
    margin = (value_range.white - value_range.black) / 2
    return member.high_percentile > value_range.white + margin or member.low_percentile < value_range.black - margin


def _without_no_data(values: np.ndarray) -> tuple[np.ndarray, tuple[float, ...]]:
    """Values without a lone lowest and a lone highest one that mark no data, and these.

    Unsigned integers are left as they are: their files declare what marks no data, or it is 0, which is black.
    """
    marks: list[float] = []
    if values.dtype.kind == "u":
        return values, ()
    for end in (np.min, np.max):
        mark = end(values)
        sample = _sample(values)
        others = sample[sample != mark]
        if others.size and _marks_no_data(float(mark), others):
            values = values[values != mark]
            marks.append(float(mark))
    return values, tuple(marks)


def _sample(values: np.ndarray) -> np.ndarray:
    return values[:: -(-values.size // _MOST_LOOKED_AT)]


def _marks_no_data(mark: float, others: np.ndarray) -> bool:
    """Whether a value outside all the others marks no data; of few others only a customary mark is told."""
    low, high = float(others.min()), float(others.max())
    gap, spread = (low - mark if mark < low else mark - high), high - low
    if _is_customary_mark(mark):
        return gap > spread / 8
    return others.size >= _FEWEST_OTHERS and spread > 0.0 and gap > _FAR * spread


def _is_customary_mark(value: float) -> bool:
    return value in _NO_DATA or abs(value) >= _NO_DATA_MAGNITUDE


def _digest(values: np.ndarray) -> str:
    """Hash values in a type that their own is a part of, so that it does not depend on what held them."""
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[..., 0]
    if values.ndim == 3 and values.shape[2] == 3 and (values == values[..., :1]).all():
        values = values[..., 0]
    common = _common_type(values)
    digest = hashlib.sha256(f"{values.shape} {common}".encode())
    flat = np.ascontiguousarray(values).reshape(-1)
    for at in range(0, flat.size, _BLOCK):
        digest.update(np.ascontiguousarray(flat[at : at + _BLOCK], common).data)
    return digest.hexdigest()[:32]


def _common_type(values: np.ndarray) -> str:
    if values.dtype.kind == "f":
        return "<f4" if values.dtype.itemsize <= 4 else "<f8"
    if not values.size or (values.min() >= 0 and values.max() < 2**16):
        return "<u2"
    return "<i4" if values.min() >= -(2**31) and values.max() < 2**31 else "<f8"
