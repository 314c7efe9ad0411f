"""Geometry of several runs' curves in one chart."""

from __future__ import annotations

from pathlib import Path

from distingo.evaluation.comparison_records import ComparedRun, Cost
from distingo.report.charts.curves import BOTTOM, LEFT, RIGHT, TOP
from distingo.report.pages.comparison import draw_run_curves
from distingo.runs.config import RunConfig
from distingo.runs.contents import RunRecords
from distingo.runs.history import EpochRecord
from distingo.scores import Evaluation


def run(name: str, accuracies: list[float | None], **recipe: object) -> ComparedRun:
    history = tuple(
        EpochRecord(number, None, None, None if accuracy is None else 1 - accuracy, accuracy, None, None, None)
        for number, accuracy in enumerate(accuracies, 1)
    )
    records = RunRecords(Path(name), RunConfig(recipe=recipe), (), (), history, None, (), "")
    evaluation = Evaluation("test", 1, (), {}, (), (), {})
    return ComparedRun(name, name, "scratch", records, evaluation, Cost(None, None, None, None, None))


def test_lines_keep_their_runs_places_and_share_both_axes() -> None:
    chart = draw_run_curves(
        [run("solved", []), run("long", [0.5, 0.6, 0.7, 0.9]), run("short", [0.8, 0.7])], "accuracy"
    )
    assert chart is not None
    assert [(line.place, line.name) for line in chart.lines] == [(1, "long"), (2, "short")]
    points = {
        line.name: [tuple(map(float, point.split(","))) for point in line.path[1:].split("L")] for line in chart.lines
    }
    assert [len(points["long"]), len(points["short"])] == [4, 2]
    assert points["long"][0][0] == points["short"][0][0] == LEFT + 6
    assert points["long"][-1] == (RIGHT - 6, TOP)
    assert points["long"][2][1] == points["short"][1][1]  # both 0.7
    assert all(TOP <= y <= BOTTOM for line in points.values() for _, y in line)


def test_the_kept_epoch_is_marked_by_the_runs_own_monitor() -> None:
    chart = draw_run_curves([run("a", [0.5, 0.9, 0.6]), run("b", [0.9, 0.8], monitor="validation_loss")], "accuracy")
    assert chart is not None
    for line, kept in zip(chart.lines, (1, 0), strict=True):
        assert line.best is not None
        assert line.path[1:].split("L")[kept] == f"{line.best[0]:g},{line.best[1]:g}"


def test_readouts_tell_every_run_that_measured_the_epoch() -> None:
    chart = draw_run_curves([run("a", [0.5, None, 0.6]), run("b", [0.25])], "loss")
    assert chart is not None
    told = [[(place, text) for place, text, _ in readout.values] for readout in chart.readouts]
    assert told == [[(0, "0.500"), (1, "0.750")], [], [(0, "0.400")]]


def test_one_epoch_lies_in_the_middle() -> None:
    chart = draw_run_curves([run("a", [0.5])], "accuracy")
    assert chart is not None
    assert chart.readouts[0].x == (LEFT + RIGHT) / 2


def test_nothing_measured_draws_nothing() -> None:
    assert draw_run_curves([run("a", []), run("b", [None])], "accuracy") is None
