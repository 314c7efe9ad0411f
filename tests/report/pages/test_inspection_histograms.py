from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from distingo.records import LabeledImage, Source
from distingo.report.pages.inspection import BOTTOM, LEFT, RIGHT, TOP, draw_aspects, draw_file_sizes, draw_small


def sized(width: int, height: int) -> LabeledImage:
    return LabeledImage(Source("a.png", Path("a.png")), ("a",), "c", "p", width, height)


def test_file_sizes_are_counted_on_a_logarithmic_axis() -> None:
    chart = draw_file_sizes([1000, 1000, 10_000, None, 100_000])
    assert chart is not None
    assert chart.summary.replace("\u00a0", " ") == "Median 5.5 kB, from 1.0 kB to 100 kB"
    assert len(chart.bars) == 3
    assert chart.most == 2
    assert (chart.bars[0].y, chart.bars[0].height) == (TOP, BOTTOM - TOP)
    assert chart.bars[1].height == pytest.approx((BOTTOM - TOP) / 2)
    assert chart.bars[1].x == pytest.approx((LEFT + RIGHT) / 2, abs=15)
    assert "2 pictures" in chart.bars[0].text.replace("\u00a0", " ")
    assert all(LEFT - 1 <= tick.position <= RIGHT + 1 for tick in chart.x_ticks)
    assert chart.x_ticks[0].text.replace("\u00a0", " ") == "1.0 kB"


def test_one_file_size_and_none() -> None:
    chart = draw_file_sizes([5000, 5000])
    assert chart is not None
    assert chart.summary.replace("\u00a0", " ") == "Median 5.0 kB"
    assert len(chart.bars) == 1
    assert draw_file_sizes([None, None]) is None
    assert draw_file_sizes([]) is None


def test_aspects() -> None:
    chart = draw_aspects([sized(300, 200), sized(600, 400), sized(100, 100), sized(100, 400)])
    assert chart is not None
    assert chart.summary == "2 wide, 1 tall, 1 square"
    assert sorted(bar.height for bar in chart.bars) == pytest.approx([74, 74, 148])
    assert {"1:4", "1:1", "3:2"} <= {tick.text for tick in chart.x_ticks}
    assert draw_aspects([sized(10, 10), sized(20, 20)]) is None


def test_a_small_one_is_a_path() -> None:
    assert draw_small(np.array([0, 2, 1, 0])) == "M0,26V26H25V0H50V13H75V26H100V26Z"
    assert draw_small(np.zeros(2, int)) == "M0,26V26H50V26H100V26Z"
