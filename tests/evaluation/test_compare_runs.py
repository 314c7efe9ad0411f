"""Runs side by side, really trained ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from distingo.errors import RunError, UsageError
from distingo.evaluation.compare_runs import compare_runs, unique_names
from distingo.evaluation.comparison_records import count_parameters
from distingo.metrics.paired import mcnemar_p_value
from distingo.models.saved import load_model
from note_texts import texts
from raising import raises
from tiny_runs import answer, change_json, change_rows, copy_run, forget_checksums


def test_the_best_comes_first_and_the_floor_last(tiny_runs: dict[str, Path]) -> None:
    comparison = compare_runs(list(tiny_runs.values()))
    assert comparison.best.name == "descriptors"
    assert comparison.best.evaluation.scores["accuracy"].value == 1.0
    assert comparison.best.versus_best is None
    accuracies = [run.evaluation.scores["accuracy"].value for run in comparison.runs]
    assert accuracies == sorted(accuracies, reverse=True)
    assert (comparison.task, comparison.score, comparison.n) == ("single-label", "accuracy", 12)
    assert comparison.notes == ()


def test_each_run_is_paired_with_the_best_on_the_same_images(tiny_runs: dict[str, Path]) -> None:
    comparison = compare_runs(list(tiny_runs.values()))
    versus = {run.name: run.versus_best for run in comparison.runs}["majority"]
    assert versus is not None
    assert versus.paired is not None
    rows = pq.read_table(tiny_runs["majority"] / "predictions.parquet").to_pylist()
    wrong = sum(row["truth"] != row["predicted"] for row in rows)
    assert (versus.paired.only_first, versus.paired.only_second) == (0, wrong)
    assert versus.paired.difference == pytest.approx(-wrong / 12)
    assert versus.paired.p_value == mcnemar_p_value(0, wrong) == 2 / 2**wrong
    assert versus.adjusted_p_value == 3 * versus.paired.p_value
    assert versus.score.difference == versus.paired.difference
    assert versus.score.difference == pytest.approx(versus.score.first - versus.score.second)
    assert versus.is_clear


def test_images_are_paired_by_name_not_by_order(tiny_runs: dict[str, Path], tmp_path: Path) -> None:
    turned = copy_run(tiny_runs["majority"], tmp_path / "turned")
    answer(turned, lambda rows: rows.reverse())
    found = [
        compare_runs([tiny_runs["descriptors"], run]).runs[1].versus_best for run in (turned, tiny_runs["majority"])
    ]
    assert found[0] == found[1]


def test_of_equal_runs_the_first_given_is_best(tiny_runs: dict[str, Path], tmp_path: Path) -> None:
    twin = copy_run(tiny_runs["descriptors"], tmp_path / "twin")
    assert compare_runs([twin, tiny_runs["descriptors"]]).best.name == "twin"
    assert compare_runs([tiny_runs["descriptors"], twin]).best.name == "descriptors"


def test_costs_are_what_the_folders_hold(tiny_runs: dict[str, Path]) -> None:
    costs = {run.name: run.cost for run in compare_runs(list(tiny_runs.values())).runs}
    network = load_model(tiny_runs["small-cnn"] / "model").network
    assert network is not None
    assert any(name.endswith("running_mean") for name in network.state_dict())
    assert costs["small-cnn"].parameters == sum(parameter.numel() for parameter in network.parameters())
    weights = tiny_runs["small-cnn"] / "model" / "model.safetensors"
    assert costs["small-cnn"].model_bytes == weights.stat().st_size
    assert costs["small-cnn"].precision in {"float32", "bfloat16"}
    assert (costs["majority"].parameters, costs["majority"].precision) == (None, None)
    for cost in costs.values():
        assert cost.model_bytes > 0
        assert cost.training_seconds > cost.reading_seconds > 0
        assert cost.images_per_second > 0
        assert cost.training_memory_bytes > 1e7
        assert cost.prediction_memory_bytes > 1e7


def test_a_run_without_its_files_tells_what_is_left(tiny_runs: dict[str, Path], tmp_path: Path) -> None:
    run = copy_run(tiny_runs["small-cnn"], tmp_path / "run")
    (run / "model" / "model.safetensors").unlink()
    (run / "cost.json").unlink()

    def cost() -> Any:
        return next(found.cost for found in compare_runs([run, tiny_runs["majority"]]).runs if found.name == "run")

    older = cost()
    assert (older.parameters, older.model_bytes, older.images_per_second, older.reading_seconds) == (None,) * 4
    epochs = (tiny_runs["small-cnn"] / "history.csv").read_text().splitlines()[1:]
    assert older.training_seconds == pytest.approx(sum(float(line.split(",")[-1]) for line in epochs))
    (run / "history.csv").unlink()
    assert cost().training_seconds is None


def test_damaged_weights_are_named(tiny_runs: dict[str, Path], tmp_path: Path) -> None:
    run = copy_run(tiny_runs["small-cnn"], tmp_path / "run")
    (run / "model" / "model.safetensors").write_bytes(b"no weights")
    with raises(RunError, code="damaged_file", naming="model.safetensors"):
        compare_runs([run, tiny_runs["majority"]])
    with raises(RunError, code="damaged_file"):
        count_parameters(tmp_path / "gone.safetensors")


def test_modes_are_the_recipes_and_scratch_where_it_names_none(tiny_runs: dict[str, Path], tmp_path: Path) -> None:
    older, frozen = (copy_run(tiny_runs["small-cnn"], tmp_path / name) for name in ("older", "frozen"))
    change_json(older / "config.json", lambda content: content["recipe"].pop("mode", None))
    change_json(frozen / "config.json", lambda content: content["recipe"].update(mode="frozen", model="resnet18"))
    runs = compare_runs([older, frozen, tiny_runs["majority"]]).runs
    assert {run.name: (run.model, run.mode) for run in runs} == {
        "older": ("small-cnn", "scratch"),
        "frozen": ("resnet18", "frozen"),
        "majority": ("majority", "classic"),
    }


def test_baselines_stand_once_and_not_beside_their_own_runs(tiny_runs: dict[str, Path], tmp_path: Path) -> None:
    twin = copy_run(tiny_runs["small-cnn"], tmp_path / "twin")
    assert set(compare_runs([tiny_runs["small-cnn"], twin]).baselines) == {"majority", "descriptors"}
    assert set(compare_runs([tiny_runs["small-cnn"], tiny_runs["descriptors"]]).baselines) == {"majority"}
    assert compare_runs(list(tiny_runs.values())).baselines == {}


def test_other_training_images_are_noted(tiny_runs: dict[str, Path], tmp_path: Path) -> None:
    run = copy_run(tiny_runs["majority"], tmp_path / "less")

    def take_one(rows: list[dict[str, str]]) -> None:
        next(row for row in rows if row["split"] == "train")["split"] = "validation"

    change_rows(run / "split.csv", take_one)
    learned = sum(",train," in line for line in (tiny_runs["majority"] / "split.csv").read_text().splitlines())
    notes = texts(compare_runs([tiny_runs["descriptors"], run]).notes)
    assert len(notes) == 1
    assert f"less was trained on other pictures than descriptors ({learned - 1} against {learned})" in notes[0]


def test_several_labels_are_ranked_and_tested_by_mean_average_precision(tiny_label_runs: dict[str, Path]) -> None:
    comparison = compare_runs(list(tiny_label_runs.values()))
    assert (comparison.task, comparison.score) == ("multi-label", "mean_average_precision_macro")
    assert [run.name for run in comparison.runs] == ["descriptors", "prevalence"]
    versus = comparison.runs[1].versus_best
    assert versus is not None
    scores = [run.evaluation.scores["mean_average_precision_macro"].value for run in comparison.runs]
    assert versus.score.first == pytest.approx(scores[1])
    assert versus.score.second == pytest.approx(scores[0])
    assert versus.score.low <= versus.score.difference <= versus.score.high < 0
    assert versus.is_clear
    assert versus.paired is None
    assert versus.f1_macro is not None
    f1 = [run.evaluation.scores["f1_macro"].value for run in comparison.runs]
    assert versus.f1_macro.difference == pytest.approx(f1[1] - f1[0])
    per_label = {entry.name: entry.average_precision.value for entry in comparison.best.evaluation.per_label}
    assert {entry.name: entry.paired.second for entry in versus.classes} == pytest.approx(per_label)


def test_stale_predictions_of_several_labels_are_refused(tiny_label_runs: dict[str, Path], tmp_path: Path) -> None:
    run = copy_run(tiny_label_runs["descriptors"], tmp_path / "run")
    path = run / "predictions.parquet"
    table = pq.read_table(path)
    both = [tiny_label_runs["prevalence"], run]
    pq.write_table(table.slice(1), path)
    forget_checksums(path.parent)
    with raises(RunError, code="records_differ"):
        compare_runs(both)
    turned = table.set_column(1, "truth", table["truth"].take(list(range(len(table)))[::-1]))
    pq.write_table(turned, path)
    with raises(RunError, code="records_differ"):
        compare_runs(both)
    path.unlink()
    with raises(RunError, code="not_evaluated", naming="predictions.parquet"):
        compare_runs(both)


def test_classes_are_told_apart_with_correction(tiny_runs: dict[str, Path]) -> None:
    comparison = compare_runs([tiny_runs["majority"], tiny_runs["descriptors"]])
    versus = comparison.runs[1].versus_best
    assert versus is not None
    recalls = {entry.name: (entry.paired.first, entry.paired.second) for entry in versus.classes}
    assert sorted(recalls.values()) == [(0.0, 1.0), (0.0, 1.0), (1.0, 1.0)]
    lost = [entry for entry in versus.classes if entry.paired.difference]
    for entry in lost:
        assert entry.paired.p_value == mcnemar_p_value(0, entry.support)
        assert entry.adjusted_p_value == pytest.approx(min(1.0, 3 * entry.paired.p_value))


def test_a_run_without_the_score_is_refused(tiny_runs: dict[str, Path], tmp_path: Path) -> None:
    run = copy_run(tiny_runs["majority"], tmp_path / "run")
    change_json(run / "evaluation.json", lambda content: content["scores"].pop("accuracy"))
    with raises(RunError, code="not_evaluated", naming="evaluation.json"):
        compare_runs([tiny_runs["descriptors"], run])


def test_an_unknown_task_is_refused(tiny_runs: dict[str, Path], tmp_path: Path) -> None:
    runs = [copy_run(tiny_runs[model], tmp_path / model) for model in ("majority", "descriptors")]
    for run in runs:
        change_json(run / "config.json", lambda content: content.update(task="regression"))
    with raises(RunError, code="damaged_file", naming="'regression'"):
        compare_runs(runs)


def test_two_different_runs_are_needed(tiny_runs: dict[str, Path]) -> None:
    run = tiny_runs["majority"]
    with raises(UsageError, code="missing_argument", parameter="runs"):
        compare_runs([run])
    with raises(UsageError, code="named_twice", parameter="runs"):
        compare_runs([run, run.parent / "." / "descriptors" / ".." / "majority"])


def test_a_folder_that_is_no_run(tiny_runs: dict[str, Path], tmp_path: Path) -> None:
    with raises(RunError, code="not_found"):
        compare_runs([tiny_runs["majority"], tmp_path / "nowhere"])


def test_a_newer_run_is_refused(tiny_runs: dict[str, Path], tmp_path: Path) -> None:
    run = copy_run(tiny_runs["majority"], tmp_path / "run")
    change_json(run / "evaluation.json", lambda content: content.update(format=99))
    with raises(RunError, code="newer_version"):
        compare_runs([tiny_runs["descriptors"], run])


def test_names_tell_folders_apart() -> None:
    folders = [Path("/x/aerial/run"), Path("/x/sports/run"), Path("/x/third"), Path("/y/sports/run")]
    assert unique_names(folders) == ["aerial/run", "x/sports/run", "third", "y/sports/run"]
    assert unique_names([Path("/"), Path("/run")]) == ["/", "run"]


def test_the_runs_are_left_as_they_were(tiny_runs: dict[str, Path]) -> None:
    before = {path: path.stat().st_mtime_ns for run in tiny_runs.values() for path in run.rglob("*")}
    compare_runs(list(tiny_runs.values()))
    assert before == {path: path.stat().st_mtime_ns for run in tiny_runs.values() for path in run.rglob("*")}
    assert json.loads((tiny_runs["majority"] / "config.json").read_text())["task"] == "single-label"
