from __future__ import annotations

import numpy as np
import pytest

from distingo.datasets.decoding.value_ranges import (
    ValueRange,
    ValueRanges,
    choose_range,
    decide_ranges,
    describe_ranges,
    parse_value_range,
    range_of_one,
    to_eight_bits,
    warn_of_ranges,
)
from distingo.datasets.decoding.value_summaries import ValueSummary, summarize_values
from distingo.errors import UsageError
from distingo.records import row_key
from note_texts import texts
from raising import raises


def ramp(low: float, high: float, dtype: str, side: int = 64) -> np.ndarray:
    """Values from the lowest to the highest, of shape (side, side)."""
    return np.linspace(low, high, side * side).astype(dtype).reshape(side, side)


def summary(low: float, high: float, dtype: str = "uint16", bits: int = 16) -> ValueSummary:
    return ValueSummary(dtype, bits, low, high, low, high)


def decide(*arrays: np.ndarray) -> ValueRanges:
    return decide_ranges([summarize_values(values) for values in arrays])


def test_a_summary_has_the_ends_of_the_values_and_their_percentiles() -> None:
    found = summarize_values(np.arange(10_000, dtype=np.uint16).reshape(100, 100))
    assert (found.dtype, found.bits, found.low, found.high) == ("uint16", 16, 0.0, 9999.0)
    assert (found.low_percentile, found.high_percentile, found.no_data) == (10.0, 9989.0, ())


def test_what_is_not_finite_or_not_valid_is_not_counted() -> None:
    values = np.array([[np.nan, np.inf, 0.25], [-np.inf, 0.5, 7.0]], np.float32)
    assert summarize_values(values).high == 7.0
    found = summarize_values(values, valid=values != 7.0)
    assert (found.low, found.high) == (0.25, 0.5)
    assert summarize_values(np.full((2, 2), np.nan)).high == 0.0


@pytest.mark.parametrize("mark", [-9999.0, -3.4028234663852886e38, 1e20, -32768.0, -7777.0])
def test_a_lone_far_value_marks_no_data(mark: float) -> None:
    values = ramp(0.0, 2.5, "float32")
    values[:5] = mark
    found = summarize_values(values)
    assert found.no_data == (float(np.float32(mark)),)
    assert (found.low, found.high) == (pytest.approx(values[5, 0]), 2.5)
    assert decide(values) == ValueRanges(floating=ValueRange(found.low_percentile, found.high_percentile))


def test_elevations_keep_their_range_beside_a_customary_mark_that_is_not_far() -> None:
    values = ramp(120.0, 8000.0, "int16")
    values[:5] = -9999
    assert summarize_values(values).no_data == (-9999.0,)
    assert decide(values).signed == ValueRange(0.0, 16383.0)


def test_a_mask_of_two_values_has_no_mark() -> None:
    assert summarize_values(np.array([[0.0, 1.0], [1.0, 0.0]], np.float32)).no_data == ()
    assert decide(np.array([[0.0, 1.0], [1.0, 0.0]], np.float32)).floating == ValueRange(0.0, 1.0)


@pytest.mark.parametrize(
    ("high", "white"),
    [(200, 255.0), (255, 255.0), (256, 1023.0), (1023, 1023.0), (4095, 4095.0), (4096, 16383.0), (65535, 65535.0)],
)
def test_unsigned_integers_go_to_the_white_of_the_fewest_bits_that_hold_them(high: int, white: float) -> None:
    assert decide_ranges([summary(0, high), summary(3, high // 2)]).unsigned == ValueRange(0.0, white)


def test_integers_without_negative_values_go_by_bits_whatever_their_type() -> None:
    assert decide(ramp(0, 4000, "int32")).signed == ValueRange(0.0, 4095.0)
    assert decide(ramp(0, 2e6, "uint32")).unsigned == ValueRange(1953.0, 1998046.0)


def test_bits_that_all_files_declare_are_white() -> None:
    assert decide_ranges([summary(0, 300, bits=12)] * 3).unsigned == ValueRange(0.0, 4095.0)
    assert decide_ranges([summary(0, 300, bits=12), summary(0, 300)]).unsigned == ValueRange(0.0, 1023.0)


def test_a_few_pixels_decide_nothing() -> None:
    values = ramp(0, 4095, "uint16")
    values[0, :3] = 65535
    assert decide(values).unsigned == ValueRange(0.0, 4095.0)


def test_one_file_of_twenty_decides_nothing_and_one_of_nineteen_does() -> None:
    scans = [summary(0, 4000)] * 19
    assert decide_ranges([*scans, summary(0, 60000)]).unsigned == ValueRange(0.0, 4095.0)
    assert decide_ranges([*scans[1:], summary(0, 60000)]).unsigned == ValueRange(0.0, 65535.0)


def test_three_files_of_three_hundred_decide_nothing_and_four_do() -> None:
    assert decide_ranges([*[summary(0, 4000)] * 297, *[summary(0, 9000)] * 3]).unsigned == ValueRange(0.0, 4095.0)
    assert decide_ranges([*[summary(0, 4000)] * 296, *[summary(0, 9000)] * 4]).unsigned == ValueRange(0.0, 16383.0)


def test_hounsfield_units_go_from_their_lowest_to_their_highest() -> None:
    scans = [summary(-1024, 1800 + at, "int16") for at in range(10)]
    assert decide_ranges(scans).signed == ValueRange(-1024.0, 1809.0)
    outlier = [summary(-1024, 1800, "int16")] * 30 + [summary(-3000, 30000, "int16")]
    assert decide_ranges(outlier).signed == ValueRange(-1024.0, 1800.0)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.0, 1.0, (0.0, 1.0)),
        (-0.01, 1.04, (0.0, 1.0)),
        (0.1, 0.6, (0.0, 1.0)),
        (0.0, 1.3, (0.0, 1.3)),
        (0.0, 0.2, (0.0, 0.2)),
        (0.0, 255.0, (0.0, 255.0)),
        (-0.3, 0.9, (-0.3, 0.9)),
        (280.0, 310.0, (280.0, 310.0)),
        (0.0, 4095.0, (0.0, 4095.0)),
        (2.0, 2.0, (0.0, 255.0)),
        (700.0, 700.0, (700.0, 701.0)),
    ],
)
def test_floats_go_by_a_customary_range_or_by_their_own(low: float, high: float, expected: tuple[float, float]) -> None:
    assert decide_ranges([summary(low, high, "float32", 32)]).floating == ValueRange(*expected)


def test_an_image_without_any_data_decides_nothing() -> None:
    elevation = ramp(100.0, 900.0, "float32")
    elevation[:5] = -9999
    empty = np.full((64, 64), -9999, np.float32)
    assert decide(elevation, empty, empty) == decide(elevation)
    unusual = np.where(elevation == -9999, -7777, elevation).astype(np.float32)
    nothing = np.full((64, 64), -7777, np.float32)
    assert decide(unusual, unusual, unusual, nothing) == decide(unusual)


def test_each_kind_has_a_range_of_its_own() -> None:
    found = decide(ramp(0, 4095, "uint16"), ramp(0.0, 1.0, "float32"), ramp(-1000, 2000, "int16"))
    assert found.to_json() == {"unsigned": [0.0, 4095.0], "signed": [-997.0, 1997.0], "floating": [0.0, 1.0]}
    assert ValueRanges.from_json(found.to_json()) == found
    assert decide() == ValueRanges()


def test_a_kind_is_found_by_the_stored_type() -> None:
    unsigned, floating = ValueRange(0.0, 4095.0), ValueRange(0.0, 1.0)
    ranges = ValueRanges(unsigned=unsigned, floating=floating)
    assert [ranges.find(name) for name in ("uint16", "uint32", "int32")] == [unsigned] * 3
    assert [ranges.find(name) for name in ("float16", "float64")] == [floating] * 2
    assert ValueRanges(unsigned=unsigned).find("float32") is None


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"unsigned": [5, 5]}, "black must be below white"),
        ({"unsigned": [0, float("nan")]}, "black must be below white"),
        ({"unsigned": [0]}, "unpack"),
        ({"colour": [0, 1]}, "colour"),
    ],
)
def test_damaged_ranges_are_refused(content: dict[str, list[float]], said: str) -> None:
    with pytest.raises((TypeError, ValueError), match=said):
        ValueRanges.from_json(content)


def test_values_are_scaled_rounded_and_clipped() -> None:
    twelve = ValueRange(0.0, 4095.0)
    values = np.array([0, 8, 9, 2048, 4095, 65535], np.uint16)
    assert to_eight_bits(values, twelve).tolist() == [0, 0, 1, 128, 255, 255]
    hounsfield = np.array([-3000, -1000, 0, 1000, 3000], np.int16)
    assert to_eight_bits(hounsfield, ValueRange(-1000.0, 1000.0)).tolist() == [0, 0, 128, 255, 255]
    floats = np.array([np.nan, np.inf, -np.inf, 0.5, 1.0], np.float32)
    assert to_eight_bits(floats, ValueRange(0.0, 1.0)).tolist() == [0, 0, 0, 128, 255]


def test_gray_levels_of_8_bits_survive_12_bits() -> None:
    gray = np.arange(256, dtype=np.uint8)
    assert to_eight_bits(np.rint(gray * (4095 / 255)).astype(np.uint16), ValueRange(0.0, 4095.0)).tolist() == list(gray)


def test_an_image_of_which_nothing_is_known_decides_alone() -> None:
    assert range_of_one(summary(0, 300)) == ValueRange(0.0, 65535.0)
    assert range_of_one(summary(0, 300, bits=12)) == ValueRange(0.0, 4095.0)
    assert choose_range(None, summary(0, 300)) == ValueRange(0.0, 65535.0)
    known = ValueRanges(unsigned=ValueRange(0.0, 1023.0))
    assert choose_range(known, summary(0, 300)) == ValueRange(0.0, 1023.0)
    assert choose_range(known, summary(0.0, 1.0, "float32", 32)) == ValueRange(0.0, 1.0)
    assert choose_range(ValueRange(1.0, 2.0), summary(0, 300)) == ValueRange(1.0, 2.0)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.0, 1.0, (0.0, 1.0)),
        (0.0, 0.01, (0.0, 1.0)),
        (0.4, 0.45, (0.0, 1.0)),
        (-0.05, 1.05, (0.0, 1.0)),
        (0.0, 1.3, (0.0, 1.3)),
        (0.0, 42.0, (0.0, 255.0)),
        (100.0, 125.0, (0.0, 255.0)),
        (-5.0, 260.0, (0.0, 255.0)),
        (2.0, 2.0, (0.0, 255.0)),
        (280.0, 310.0, (280.0, 310.0)),
        (20.0, 60000.0, (0.0, 65535.0)),
        (-1024.0, 3071.0, (-1024.0, 3071.0)),
        (-1.0, 1.0, (-1.0, 1.0)),
    ],
)
def test_one_image_of_floats_is_not_stretched(low: float, high: float, expected: tuple[float, float]) -> None:
    assert range_of_one(summary(low, high, "float32", 32)) == ValueRange(*expected)


@pytest.mark.parametrize(
    ("low", "high", "dtype", "bits", "expected"),
    [
        (0, 12, "int32", 32, (0.0, 255.0)),
        (100, 125, "int64", 64, (0.0, 255.0)),
        (-5, 260, "int32", 32, (0.0, 255.0)),
        (0, 300, "int32", 32, (0.0, 65535.0)),
        (0, 300, "uint32", 24, (0.0, 16777215.0)),
        (0, 300, "uint16", 10, (0.0, 1023.0)),
        (-10, 10, "int32", 32, (-10.0, 10.0)),
        (-1024, 3071, "int16", 16, (-1024.0, 3071.0)),
        (0, 2e6, "uint32", 32, (0.0, 2e6)),
    ],
)
def test_one_image_of_integers_is_not_stretched(
    low: float, high: float, dtype: str, bits: int, expected: tuple[float, float]
) -> None:
    assert range_of_one(summary(low, high, dtype, bits)) == ValueRange(*expected)


def test_values_are_the_same_a_block_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(3).normal(0, 1, (37, 23, 3)).astype(np.float32)
    values[values > 2.5] = np.nan
    values[:2] = -9999.0
    valid = values[..., :1] < 2.0
    whole = summarize_values(values, valid=valid), to_eight_bits(values, ValueRange(-2.0, 2.0))
    for block in (1, 7, 64, 500):
        monkeypatch.setattr("distingo.datasets.decoding.value_summaries._BLOCK", block)
        assert summarize_values(values, valid=valid) == whole[0]
        assert np.array_equal(to_eight_bits(values, ValueRange(-2.0, 2.0)), whole[1])
    kept = values[np.isfinite(values) & valid & (values != -9999.0)]
    assert (whole[0].low, whole[0].high) == (kept.min(), kept.max())
    assert whole[0].low_percentile == np.percentile(kept, 0.1, method="nearest")


def test_the_digest_is_that_of_the_values_not_of_what_held_them() -> None:
    values = ramp(0, 4095, "uint16")
    same = (values.astype(np.int32), values.astype(">u2"), values[..., None], np.repeat(values[..., None], 3, 2))
    assert len({summarize_values(each).digest for each in (values, *same)}) == 1
    other = values.copy()
    other[3, 3] += 1
    others = (other, values.T, values.astype(np.float32), values.reshape(32, 128))
    assert len({summarize_values(each).digest for each in (values, *others)}) == 5


def test_rows_are_kept_by_content_and_range() -> None:
    content = "0123456789abcdef0123456789abcdef"
    keys = {row_key(content, each) for each in (None, ValueRange(0.0, 4095.0), ValueRange(0.0, 1023.0))}
    assert len(keys) == 3 and content in keys
    assert all(len(key) == 32 for key in keys)


def test_what_was_decided_is_said() -> None:
    scans = [summary(0, 4000)] * 240
    found = texts(describe_ranges(decide_ranges(scans), scans, decided=True))
    assert found == (
        "240 deep images (uint16): the value range 0 to 4095 is shown as black to white, as found in the data",
    )
    assert describe_ranges(ValueRanges(), [], decided=True) == ()


def test_a_range_that_does_not_fit_is_said() -> None:
    scans, narrow = [summary(0, 4000), summary(0, 300), summary(0, 4000)], ValueRanges(unsigned=ValueRange(0.0, 255.0))
    assert texts(describe_ranges(narrow, scans, decided=False)) == (
        "3 deep images (uint16): the value range 0 to 255 is shown as black to white, as given",
    )
    assert texts(warn_of_ranges(narrow, scans)) == (
        "of 3 deep images 2 have values far outside the value range 0 to 255, which are clipped: check that their "
        "units are those of the range",
    )
    assert warn_of_ranges(narrow, scans[1:2]) == warn_of_ranges(ValueRanges(), scans) == ()
    assert texts(describe_ranges(ValueRanges(), scans[:1], decided=False)) == (
        "1 deep image (uint16): the value range is not known, so each image is scaled by itself",
    )


def test_a_person_gives_a_range_for_all_kinds_or_leaves_it_to_the_data() -> None:
    wide = ValueRange(-1024.0, 3071.0)
    expected = ValueRanges(wide, wide, wide)
    assert parse_value_range("-1024,3071") == parse_value_range((-1024, 3071)) == expected
    assert parse_value_range("auto") is None and parse_value_range(None) is None
    assert parse_value_range(expected) is expected


@pytest.mark.parametrize("text", ["4095", "0,1,2", "5,5", "9,1", "a,b", "0,nan", "-inf,3", ""])
def test_no_range_is_refused(text: str) -> None:
    with raises(UsageError, code="invalid_value", parameter="value_range"):
        parse_value_range(text)
