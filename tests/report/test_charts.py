"""Geometry of the curves."""

from __future__ import annotations

import re
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from distingo.evaluation.reading import Epoch
from distingo.report.charts.curves import BOTTOM, LEFT, RIGHT, TOP, best_epoch, draw_curves, nice_ticks


def _epoch(number: int, accuracy: float | None, loss: float | None = 1.0) -> Epoch:
    return Epoch(number, loss, accuracy, loss, accuracy, 0.1, 100.0, 1.0)


def test_the_best_epoch_is_the_earliest_of_equals() -> None:
    history = [_epoch(1, 0.5), _epoch(2, 0.8), _epoch(3, 0.8), _epoch(4, None)]
    assert best_epoch(history) == history[1]


def test_the_best_loss_is_the_lowest() -> None:
    history = [_epoch(1, 0.5, 0.9), _epoch(2, 0.8, 0.3), _epoch(3, 0.9, 0.4)]
    assert best_epoch(history, "validation_loss") == history[1]


def test_nothing_measured() -> None:
    assert best_epoch([_epoch(1, None)]) is None
    assert draw_curves([_epoch(1, None)], "accuracy", best=None) is None
    assert draw_curves([], "loss", best=None) is None


def test_curves_lie_inside_the_plot_and_rise_upwards() -> None:
    history = [_epoch(number, 0.1 * number) for number in range(1, 10)]
    chart = draw_curves(history, "accuracy", best=history[-1])
    assert chart is not None
    points = [tuple(map(float, point.split(","))) for point in re.split("[ML]", chart.lines[0].path)[1:]]
    assert len(points) == 9
    assert all(LEFT <= x <= RIGHT and TOP <= y <= BOTTOM for x, y in points)
    assert [y for _, y in points] == sorted((y for _, y in points), reverse=True)
    assert chart.best is not None
    assert chart.best.epoch == 9
    assert chart.best.values[0][1] == "90.0\u00a0%"


def test_a_loss_that_was_no_number_leaves_a_gap() -> None:
    chart = draw_curves([_epoch(1, 0.1, 2.0), _epoch(2, 0.2, None), _epoch(3, 0.3, 1.0)], "loss", best=None)
    assert chart is not None
    assert len(re.split("[ML]", chart.lines[0].path)[1:]) == 2
    assert chart.readouts[1].values == ()


def test_one_epoch_is_drawn_in_the_middle() -> None:
    chart = draw_curves([_epoch(1, 0.5)], "accuracy", best=None)
    assert chart is not None
    assert chart.readouts[0].x == (LEFT + RIGHT) / 2


@given(st.floats(0, 1e6), st.floats(0, 1e6), st.integers(2, 9))
def test_ticks_span_the_values(first: float, second: float, most: int) -> None:
    low, high = sorted((first, second))
    ticks = nice_ticks(low, high, most)
    slack = 1e-6 * max(1.0, high)
    assert 2 <= len(ticks) <= most + 3
    assert ticks[0] <= low + slack
    assert ticks[-1] >= high - slack
    assert ticks == sorted(ticks)


def test_mean_average_precision_stands_in_for_accuracy() -> None:
    history = [replace(_epoch(1, None), validation_mean_average_precision=value) for value in (0.2, 0.3)]
    assert best_epoch(history, "validation_accuracy") == history[1]
    chart = draw_curves(history, "mean_average_precision", best=None)
    assert chart is not None
    assert chart.name == "Mean average precision"
    assert [readout.values[0][1] for readout in chart.readouts] == ["20.0\u00a0%", "30.0\u00a0%"]
