"""Which cells are shown, and what lies behind them."""

from __future__ import annotations

from distingo.report.charts.classes import MOST_CLASSES, group_by_cell, most_frequent_confusions, view_confusion
from distingo.runs.predictions import PredictionRow
from distingo.scores import Evaluation


def _evaluation(confusion: list[list[int]]) -> Evaluation:
    classes = tuple(f"c{number}" for number in range(len(confusion)))
    return Evaluation("test", sum(map(sum, confusion)), classes, {}, (), tuple(map(tuple, confusion)), {})


def test_shares_are_of_the_truth() -> None:
    view = view_confusion(_evaluation([[3, 1], [0, 4]]))
    assert view is not None
    assert [[cell.share for cell in row] for row in view.rows] == [[0.75, 0.25], [0.0, 1.0]]
    assert [(cell.truth, cell.predicted) for cell in view.cells] == [("c0", "c0"), ("c0", "c1"), ("c1", "c1")]
    assert [(pair.truth, pair.predicted, pair.number) for pair in view.pairs] == [("c0", "c1", 1)]


def test_no_matrix_no_view() -> None:
    assert view_confusion(_evaluation([])) is None


def test_many_classes_show_the_most_confused() -> None:
    size = MOST_CLASSES + 10
    confusion = [[5 if row == column else 0 for column in range(size)] for row in range(size)]
    confusion[size - 1][size - 2] = 7
    view = view_confusion(_evaluation(confusion))
    assert view is not None
    assert len(view.classes) == MOST_CLASSES
    assert view.total == size
    assert view.classes[-2:] == (f"c{size - 2}", f"c{size - 1}")


def test_often_taken_for() -> None:
    most_frequent = most_frequent_confusions(_evaluation([[9, 1, 2], [0, 3, 0], [4, 4, 1]]))
    assert {name: (cell.predicted, cell.number) for name, cell in most_frequent.items()} == {
        "c0": ("c2", 2),
        "c2": ("c0", 4),
    }


def test_mistakes_come_surest_first_and_right_answers_least_sure_first() -> None:
    rows = [PredictionRow("1", "a", "b", 0.4), PredictionRow("2", "a", "b", 0.9)]
    rows += [PredictionRow("3", "a", "a", 0.9), PredictionRow("4", "a", "a", 0.4)]
    grouped = group_by_cell(rows)
    assert [row.file for row in grouped["a", "b"]] == ["2", "1"]
    assert [row.file for row in grouped["a", "a"]] == ["4", "3"]
