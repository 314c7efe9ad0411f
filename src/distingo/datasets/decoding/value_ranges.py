"""Choose which stored values of deep images (more than 8 bits, signed or float) are mapped to black and white."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from distingo.datasets.decoding.value_summaries import ValueSummary, blocks_of, by_block, is_customary_mark
from distingo.errors import UsageError
from distingo.messages.notes import Note, note
from distingo.records import ValueRange, ValueRanges

__all__ = [
    "ValueRange",
    "ValueRanges",
    "choose_range",
    "decide_ranges",
    "describe_ranges",
    "parse_value_range",
    "range_of_one",
    "to_eight_bits",
    "warn_of_ranges",
]

KINDS = ("unsigned", "signed", "floating")
"""The kinds of stored types, named like the attributes of `ValueRanges`."""

_WHITES_OF_BITS = (255.0, 1023.0, 4095.0, 16383.0, 65535.0)

_WHITES_OF_FLOATS = (1.0, 255.0)

_OVERSHOOT = 0.05
"""Share of white by which values may exceed a customary range and are clipped, as interpolation overshoots."""

_LEAST_USED = 0.25
"""Minimum share of a customary range of floats that a data set's values must fill; for bits, the rest is never larger
either. It does not apply to a single image, which may be dark or pale."""


class _Customary(NamedTuple):
    """A customary range, and the condition for using it for a single image.

    Attributes:
        white: The value of white; black is 0.
        brightest: The minimum of the highest value, unless all values are equal.
    """

    white: float
    brightest: float = 0.0


_OF_ONE_FLOAT = (_Customary(1.0), _Customary(255.0, 4.0), _Customary(65535.0, 16384.0))
"""Floats between 1.05 and 4 are far more often light that exceeds 1 than very dark levels of 255; those above 255 are
16-bit integers if they need all 16 bits, and anything else otherwise."""

_OF_ONE_INTEGER = (_Customary(255.0), _Customary(65535.0))


def to_eight_bits(values: np.ndarray, value_range: ValueRange) -> np.ndarray:
    """Scale stored values to 0..255, rounded to nearest; non-finite values become 0.

    Args:
        values: As for `distingo.datasets.decoding.value_summaries.blocks_of`, integer or float.
        value_range: The values that become 0 and 255.

    Returns:
        uint8 of the same shape.
    """
    return by_block(lambda block: _block_to_eight_bits(block, value_range), values)


def _block_to_eight_bits(values: np.ndarray, value_range: ValueRange) -> np.ndarray:
    numbers = values.astype(np.float64)
    if values.dtype.kind == "f":
        numbers[~np.isfinite(values)] = value_range.black
    numbers -= value_range.black
    numbers *= 255.0 / (value_range.white - value_range.black)
    return np.rint(np.clip(numbers, 0.0, 255.0, out=numbers), out=numbers).astype(np.uint8)


def choose_range(value_range: ValueRange | ValueRanges | None, summary: ValueSummary) -> ValueRange:
    """The range that an image is scaled by.

    Args:
        value_range: The range of the image, or the ranges of its data set or model; None if there are none.
        summary: Summary of the image, which determines the range if there is none for its kind.
    """
    if isinstance(value_range, ValueRanges):
        value_range = value_range.find(summary.dtype) or _range_of_integers_as_floats(value_range, summary)
    return value_range or range_of_one(summary)


def _range_of_integers_as_floats(ranges: ValueRanges, summary: ValueSummary) -> ValueRange | None:
    """The range of integers, if floats are within it and no customary range of floats contains them.

    Programs that process an image may convert its integers to floats.
    """
    integers = ranges.unsigned or ranges.signed
    if integers is None or not summary.dtype.startswith("float") or summary.high <= max(_WHITES_OF_FLOATS):
        return None
    return integers if integers.black <= summary.low and summary.high <= integers.white else None


def range_of_one(summary: ValueSummary) -> ValueRange:
    """The range for a single image, without a data set or model.

    It is never stretched for dark or pale images, so that an image looks the same in any type. Unsigned integers use
    the bits that their file declares, 16-bit ones their entire range. Wider types and floats, which have no standard
    white, use the smallest customary range that contains them: 255 or 65535 for integers, 1, 255 or 65535 for floats,
    exceeded by no more than 5 %. Images in none of these (values further below zero, floats between 1.05 and 4 or
    between 267 and 16384, integers above 68811) use their own black and white.
    """
    if summary.dtype.startswith("float"):
        return _range_of_one(summary.low_percentile, summary.high_percentile, _OF_ONE_FLOAT)
    declared = summary.bits < np.dtype(summary.dtype).itemsize * 8
    if summary.dtype == "uint16" or (declared and summary.low >= 0.0):
        return ValueRange(0.0, float(2**summary.bits - 1))
    return _range_of_one(summary.low, summary.high, _OF_ONE_INTEGER)


def _range_of_one(low: float, high: float, customary: Sequence[_Customary]) -> ValueRange:
    """The first customary range that contains the values; else the range that they span."""
    for white, brightest in customary:
        holds = -_OVERSHOOT * max(high, 1.0) <= low and high <= (1 + _OVERSHOOT) * white
        if holds and (high >= brightest or high == low):
            return ValueRange(0.0, white)
    return _spanning(low, high)


def decide_ranges(summaries: Sequence[ValueSummary]) -> ValueRanges:
    """Compute the ranges of all deep images of a data set, separately for each kind of stored type.

    Each image contributes its 0.1th and 99.9th percentile without no-data values, so that a few pixels have no
    influence; the most extreme hundredth of the images (at least one of 20 images or more) is ignored at either end, so
    that a few files have no influence either. Then:

    - unsigned integers, and signed ones without negative values, go from 0 to 2**k - 1 for the smallest k of 8, 10,
      12, 14 and 16 that holds them, or for the bits that all files declare; above 16 bits to their own white;
    - signed integers with negative values use the range that they span;
    - floats go from 0 to 1 or 255 if they fill a quarter of that and exceed it by no more than 5 %, else they use the
    range that they span.

    Args:
        summaries: One for each deep image, in any order.

    Returns:
        A range for each kind that is present.
    """
    kinds: dict[str, list[ValueSummary]] = {kind: [] for kind in KINDS}
    for summary in summaries:
        kinds[_kind(summary.dtype)].append(summary)
    range_by_kind = {}
    for kind, members in kinds.items():
        if members:
            low, high = _pooled_ends(members)
            range_by_kind[kind] = (
                _range_of_floats(low, high) if kind == "floating" else _range_of_integers(low, high, members)
            )
    return ValueRanges(**range_by_kind)


def describe_ranges(ranges: ValueRanges, summaries: Sequence[ValueSummary], *, decided: bool) -> tuple[Note, ...]:
    """Write a note on every kind of deep image: their number, and the values of black and white.

    Args:
        ranges: The ranges that they are scaled by.
        summaries: One for each deep image.
        decided: Whether the ranges were computed from these images; else they were specified, and may not fit.
    """
    notes = []
    for kind in KINDS:
        members = [summary for summary in summaries if _kind(summary.dtype) == kind]
        if not members:
            continue
        types = tuple(sorted({member.dtype for member in members}))
        value_range = ranges.find(members[0].dtype)
        if value_range is None:
            notes.append(note("value-range-unknown", count=len(members), types=types))
            continue
        why = note("range-found" if decided else "range-given")
        notes.append(note("value-range", count=len(members), types=types, **_ends(value_range), said=why))
    return tuple(notes)


def _ends(value_range: ValueRange) -> dict[str, str]:
    return {"black": format_number(value_range.black), "white": format_number(value_range.white)}


def warn_of_ranges(ranges: ValueRanges, summaries: Sequence[ValueSummary]) -> tuple[Note, ...]:
    """Write a note on every kind of deep image with values outside a given range by more than half its width.

    Args:
        ranges: The ranges that they are scaled by.
        summaries: One for each deep image.
    """
    notes = []
    for kind in KINDS:
        members = [summary for summary in summaries if _kind(summary.dtype) == kind]
        value_range = ranges.find(members[0].dtype) if members else None
        if value_range is None or not (beyond := sum(_is_beyond(member, value_range) for member in members)):
            continue
        notes.append(note("value-range-exceeded", count=len(members), beyond=beyond, **_ends(value_range)))
    return tuple(notes)


def format_number(value: float) -> str:
    """Format a value of a range with as few digits as necessary: ``4095``, ``-1024``, ``0.25``."""
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else f"{value:.6g}"


def parse_value_range(value_range: str | Sequence[float] | ValueRanges | None) -> ValueRanges | None:
    """Parse a value range as specified by the user.

    Args:
        value_range: ``auto`` or None; ``LOW,HIGH`` or a pair of numbers, which apply to every kind of deep image; or a
            range for each kind.

    Returns:
        The ranges; None if they are computed from the data set.

    Raises:
        UsageError: The value has none of these forms.
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
            "below the second), or auto",
            code="invalid_value",
            parameter="value_range",
        ) from None
    pair = ValueRange(black, white)
    return ValueRanges(pair, pair, pair)


def _kind(dtype: str) -> str:
    return "floating" if dtype.startswith("float") else "unsigned" if dtype.startswith("uint") else "signed"


def _pooled_ends(members: Sequence[ValueSummary]) -> tuple[float, float]:
    """The lowest and highest value of all images, except those of a few images and no-data values."""
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
    """The no-data values of a data set: customary ones, and those that mark no data in most images they occur in."""
    marks = Counter(mark for member in members for mark in member.no_data)
    ends = Counter(end for member in members for end in {member.low, member.high})
    mostly_no_data = {mark for mark, count in marks.items() if count > ends[mark]}
    return mostly_no_data | {end for end in ends if is_customary_mark(end)}


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
    """Whether an image has values outside a range by more than half its width."""
    margin = (value_range.white - value_range.black) / 2
    return member.high_percentile > value_range.white + margin or member.low_percentile < value_range.black - margin


_BITS_OF_OPAQUE = {255: 8, 1023: 10, 4095: 12, 16383: 14, 65535: 16}

_OPAQUE_FLOATS = (1.0, 255.0, 65535.0)

_OPAQUE_OVERSHOOT = 1.05


def opaque_value(alpha: np.ndarray, colors: np.ndarray, bits: int | None) -> tuple[float, int | None]:
    """Determine which alpha value is opaque.

    If a file declares fewer bits than its type has, these apply. Otherwise, if the largest alpha is the white of 8, 10,
    12 or 14 bits, and no color exceeds it, it determines the number of significant bits. In other cases, the type's
    largest value is opaque for a file, and the smallest of 255 and 65535 that holds the alpha for an array, whose type
    is not conclusive. A floating-point alpha ranges up to 1, 255 or 65535, exceeded by no more than 5 %.

    Args:
        alpha: Integer or float, of shape (height, width).
        colors: Of the same type, of shape (height, width) or (height, width, channels).
        bits: Bits of a sample in a file; None for an array.

    Returns:
        The value, and the bits of the colors if the alpha determines them, else `bits`.
    """
    if alpha.dtype.kind == "f":
        return _opaque_float(alpha), bits
    type_bits = alpha.dtype.itemsize * 8
    if alpha.dtype == np.uint8 or (bits is not None and bits < type_bits):
        return float(2 ** (bits or 8) - 1), bits
    highest, largest = int(alpha.max()), int(np.iinfo(alpha.dtype).max)
    opaque = highest if highest in _BITS_OF_OPAQUE else largest
    if bits is None:
        opaque = next((white for white in (255, 65535) if highest <= white < opaque), opaque)
    if opaque == largest:
        return float(largest), bits
    fits = int(colors.min()) >= 0 and int(colors.max()) <= opaque
    if bits is None:
        return float(opaque), _BITS_OF_OPAQUE[opaque] if fits else None
    return (float(opaque), _BITS_OF_OPAQUE[opaque]) if fits else (float(largest), bits)


def _opaque_float(alpha: np.ndarray) -> float:
    highest = 0.0
    for block in blocks_of(alpha):
        part = alpha[block]
        finite = part[np.isfinite(part)]
        highest = max(highest, float(finite.max())) if finite.size else highest
    return next((white for white in _OPAQUE_FLOATS if highest <= _OPAQUE_OVERSHOOT * white), highest)
