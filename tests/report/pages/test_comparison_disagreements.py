"""Which images set the best run apart."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq

from distingo.evaluation.compare_runs import compare_runs
from distingo.evaluation.comparison_records import ComparedRun, Comparison, Cost
from distingo.report.pages.comparison import find_disagreements, find_label_disagreements
from distingo.runs.config import RunConfig
from distingo.runs.contents import RunRecords
from distingo.runs.predictions import PredictionRow
from distingo.scores import Evaluation


def run(name: str, answers: str) -> ComparedRun:
    """One answer per image; the truth is always "a", later images are answered more surely."""
    rows = tuple(PredictionRow(f"{at}.png", "a", said, 0.5 + at / 100) for at, said in enumerate(answers))
    records = RunRecords(Path(name), RunConfig(), (), (), (), None, rows, "")
    evaluation = Evaluation("test", len(rows), ("a",), {}, (), (), {})
    return ComparedRun(name, name, "scratch", records, evaluation, Cost())


def compare(*runs: ComparedRun) -> Comparison:
    return Comparison("single-label", "accuracy", 5, runs, {}, ())


def test_images_that_most_others_miss_come_first_then_the_surest() -> None:
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


def test_several_labels_differ_by_how_many_are_wrong(tiny_label_runs: dict[str, Path], tmp_path: Path) -> None:
    comparison = compare_runs(list(tiny_label_runs.values()))
    nearer, further = find_label_disagreements(comparison)
    rows = {
        run.name: {row["file"]: row for row in pq.read_table(run.records.folder / "predictions.parquet").to_pylist()}
        for run in comparison.runs
    }

    def wrong(name: str, file: str) -> int:
        return len(set(rows[name][file]["truth"]) ^ set(rows[name][file]["predicted"]))

    gaps = [wrong("prevalence", file) - wrong("descriptors", file) for file in rows["descriptors"]]
    assert nearer.total == sum(gap > 0 for gap in gaps)
    assert further.total == sum(gap < 0 for gap in gaps)
    shown = [wrong("prevalence", entry.file) - wrong("descriptors", entry.file) for entry in nearer.shown]
    assert shown == sorted(gaps, reverse=True)[: len(shown)]
    first = nearer.shown[0]
    assert first.truth == tuple(rows["descriptors"][first.file]["truth"])
    assert first.others == ((tuple(rows["prevalence"][first.file]["predicted"]), ("prevalence",)),)
