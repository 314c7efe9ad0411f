"""Which pictures set the best run apart."""

from __future__ import annotations

from pathlib import Path

from distingo.evaluation.comparison import ComparedRun, Comparison, Cost
from distingo.evaluation.reading import PredictionRow, RunRecords
from distingo.records import Evaluation
from distingo.report.disagreements import find_disagreements


def run(name: str, answers: str) -> ComparedRun:
    """One answer per picture; the truth is always "a", later pictures are answered more surely."""
    rows = tuple(PredictionRow(f"{at}.png", "a", said, 0.5 + at / 100) for at, said in enumerate(answers))
    records = RunRecords(Path(name), {}, (), (), (), None, rows, "")
    evaluation = Evaluation("test", len(rows), ("a",), {}, (), (), {})
    return ComparedRun(name, name, "scratch", records, evaluation, Cost(None, None, None, None, None))


def compare(*runs: ComparedRun, score: str = "accuracy") -> Comparison:
    return Comparison("single-label", score, 5, runs, {}, ())


def test_pictures_that_most_others_miss_come_first_then_the_surest() -> None:
    comparison = compare(run("best", "aaaab"), run("x", "bbaab"), run("y", "cabaa"))
    found = find_disagreements(comparison, best_is_right=True)
    assert [entry.best.file for entry in found.shown] == ["0.png", "2.png", "1.png"]
    assert found.total == 3
    assert found.shown[0].others == (("b", ("x",)), ("c", ("y",)))


def test_the_reverse_needs_another_run_that_is_right() -> None:
    comparison = compare(run("best", "aabbb"), run("x", "aaaab"), run("y", "aacab"))
    found = find_disagreements(comparison, best_is_right=False)
    assert [entry.best.file for entry in found.shown] == ["3.png", "2.png"]
    assert found.shown[0].others == (("a", ("x", "y")),)


def test_several_labels_have_none() -> None:
    comparison = compare(run("best", "ab"), run("x", "ba"), score="mean_average_precision_macro")
    assert find_disagreements(comparison, best_is_right=True).total == 0
