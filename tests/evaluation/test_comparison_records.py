"""``comparison.json``: readable without distingo."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from distingo.errors import ResourceError
from distingo.evaluation.compare_runs import compare_runs
from distingo.evaluation.comparison_records import path_from, write_comparison
from raising import raises


def test_it_says_all_that_the_records_say(tiny_runs: dict[str, Path]) -> None:
    comparison = compare_runs(list(tiny_runs.values()))
    folder = tiny_runs["majority"].parent / "compared"
    content = json.loads(write_comparison(comparison, folder).read_text(encoding="utf-8"))
    assert (content["format"], content["task"], content["score"], content["n"]) == (2, "single-label", "accuracy", 12)
    highest = max(run.evaluation.scores["accuracy"].value for run in comparison.runs)
    first = [run.name for run in comparison.runs if run.evaluation.scores["accuracy"].value == highest]
    assert len(first) > 1  # equally good runs: none is the best
    assert (content["best"], content["tied"]) == (None, first)
    assert content["runs"][0]["name"] == "descriptors"
    for written, run in zip(content["runs"], comparison.runs, strict=True):
        assert written["folder"] == f"../{run.name}"
        assert written["scores"] == {name: asdict(score) for name, score in run.evaluation.scores.items()}
        assert written["cost"] == asdict(run.cost)
        assert (written["versus_best"] is None) == (run is comparison.best)
    versus = comparison.runs[-1].versus_best
    assert versus is not None
    assert content["runs"][-1]["versus_best"] == json.loads(json.dumps(asdict(versus)))
    assert len(content["runs"][-1]["versus_best"]["classes"]) == 3


def test_the_same_runs_give_the_same_bytes(tiny_runs: dict[str, Path], tmp_path: Path) -> None:
    runs = list(tiny_runs.values())
    first = write_comparison(compare_runs(runs), tmp_path / "out").read_bytes()
    assert write_comparison(compare_runs(runs), tmp_path / "out").read_bytes() == first
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["comparison.json"]


def test_several_labels_are_compared_label_by_label(tiny_label_runs: dict[str, Path], tmp_path: Path) -> None:
    content = json.loads(write_comparison(compare_runs(list(tiny_label_runs.values())), tmp_path).read_text())
    assert content["score"] == "mean_average_precision_macro"
    best, other = (run["versus_best"] for run in content["runs"])
    assert best is None
    assert [entry["name"] for entry in other["classes"]] == ["large", "red", "round"]
    assert 0 < other["score"]["p_value"] < 0.05


def test_paths_lead_from_one_folder_to_another(tmp_path: Path) -> None:
    assert path_from(tmp_path / "a" / "b", tmp_path / "c") == "../../c"
    assert path_from(tmp_path, tmp_path / "c" / "d.html") == "c/d.html"


def test_a_place_that_can_not_be_written(tiny_runs: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with raises(ResourceError, code="cannot_write"):
        write_comparison(compare_runs(list(tiny_runs.values())), tmp_path / "file")
