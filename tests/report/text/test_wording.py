"""Formatted numbers."""

from __future__ import annotations

import pytest

from distingo.report.text.wording import duration, file_size, p_value, points, points_difference, points_range


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (points(0.0824), "8.2 points"),
        (points(-0.01), "1.0 point"),
        (points(0.31), "31 points"),
        (points_difference(-0.0824), "−8.2"),
        (points_difference(-0.0001), "0.0"),
        (points_range(-0.11, 0.023), "−11.0 to +2.3"),
        (p_value(0.0004), "p < 0.001"),
        (p_value(0.0049), "p = 0.005"),
        (p_value(0.412), "p = 0.41"),
        (p_value(1.0), "p = 1.00"),
        (duration(3.84), "3.8 s"),
        (duration(9.97), "10 s"),
        (duration(59.6), "1 min 00 s"),
        (duration(125), "2 min 05 s"),
        (duration(3599.7), "1 h 00 min"),
        (duration(4800), "1 h 20 min"),
        (file_size(96), "96 B"),
        (file_size(999), "999 B"),
        (file_size(2_214_256), "2.2 MB"),
        (file_size(999_600), "1.0 MB"),
        (file_size(45_300_000_000), "45 GB"),
    ],
)
def test_numbers_as_text(found: str, expected: str) -> None:
    assert found.replace("\u00a0", " ") == expected
