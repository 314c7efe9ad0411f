"""Curves, reliability diagrams and the risk-coverage curve as geometry."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from run_folders import build_run
from sample_confidence import made_up

from distingo.report.charts.curves import (
    BOTTOM,
    LEFT,
    RIGHT,
    TOP,
    best_epoch,
    draw_curves,
    nice_ticks,
    strange_files,
    view_confidence,
)
from distingo.report.pages.run import write_report
from distingo.runs.evaluation import AbstentionResult, CoverageResult, write_confidence
from distingo.runs.history import EpochRecord
from distingo.scores import Score


def _epoch(number: int, accuracy: float | None, loss: float | None = 1.0) -> EpochRecord:
    return EpochRecord(number, loss, accuracy, loss, accuracy, 0.1, 100.0, 1.0)


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


def plain_spaces(text: str) -> str:
    return text.replace("\u202f", " ").replace("\xa0", " ")


def test_bins_lie_where_their_numbers_say() -> None:
    before, after = view_confidence(made_up()).reliability
    assert (before.name, after.name) == ("Before calibration", "After calibration")
    low, high = after.dots
    assert high.y == TOP
    assert low.x < high.x
    assert low.radius > high.radius
    assert low.low > low.y > low.high
    assert "40: mean probability 0.0" in low.text
    (only,) = view_confidence(made_up(before=False)).reliability
    assert only.name == "Probabilities"


def test_the_curve_starts_where_the_surest_are_answered() -> None:
    curve = view_confidence(made_up()).curve
    assert curve is not None
    first, last = curve.dots
    assert (first.y, last.y) == (BOTTOM, TOP)
    assert first.left + first.width == last.left
    assert "answers 100.0" in last.text


def test_the_page_shows_which_levels_are_held_and_which_cannot_be(tmp_path: Path) -> None:
    run = build_run(tmp_path)
    write_confidence(run, made_up())
    page = write_report(run).read_text(encoding="utf-8")
    section = page[page.index('<section id="certainty">') :]
    section = plain_spaces(section[: section.index("</section>")])
    assert section.count("can’t hold this") == 2
    assert "The calibration set is 40 validation pictures" in section
    assert "needs 149<" in section
    assert "needs 299 answers even if none is wrong" in section
    assert "83.0 % to 96.0 %" in section
    assert section.count("and than chance explains") == 0
    assert "class 0/" in section
    assert "<img" in section
    assert strange_files(view_confidence(made_up())) == ["class 0/picture 3.png"]
    assert strange_files(None) == []


def test_what_falls_short_is_said_next_to_the_figure(tmp_path: Path) -> None:
    run, plain = build_run(tmp_path), made_up()
    sets = CoverageResult(0.9, 0.3, Score(0.6, 0.45, 0.75, 50), 0.8, 0.2, low=0.83, high=0.96, short=True, takes=14)
    answers = AbstentionResult(0.05, 0.6, 0.9, Score(0.3, 0.2, 0.4, 45), short=True, takes=59)
    write_confidence(run, replace(plain, sets=(sets,), answers=(answers,), folds=5, validation=200))
    page = plain_spaces(write_report(run).read_text(encoding="utf-8"))
    assert "<b>less than requested, and than chance explains</b>" in page
    assert "<b>more than requested, and than chance explains</b>" in page
    assert "The calibration set is 200 pictures of training and validation, each scored by one of 5 models" in page


def test_the_section_of_an_older_run_is_shown_without_what_it_lacks(tmp_path: Path) -> None:
    run, plain = build_run(tmp_path), made_up()
    write_confidence(run, replace(plain, sets=(CoverageResult(0.9, 0.3, Score(0.91, 0.8, 1.0, 50), 1.2, 0.0),)))
    content = json.loads((run / "confidence.json").read_text("utf-8"))
    for entry in (*content["sets"], *content["answers"]):
        for name in ("low", "high", "short", "takes"):
            entry.pop(name, None)
    del content["folds"]
    (run / "confidence.json").write_text(json.dumps(content), "utf-8")
    page = write_report(run).read_text(encoding="utf-8")
    assert "can’t hold this</td>" in page
    assert "One training may be lucky" not in page
