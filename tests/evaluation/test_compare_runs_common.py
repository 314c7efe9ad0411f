"""Runs with other test splits, evaluated on what they have in common."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

import distingo
from distingo.cli import main
from distingo.errors import RunError
from distingo.evaluation.compare_runs import compare_runs, on_common_images
from distingo.runs.contents import RunRecords, read_run
from raising import raises
from tiny_runs import change_rows, copy_run


@pytest.fixture(scope="module")
def other_seed(tiny_runs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tiny_runs["majority"].parent / "colours"
    return distingo.train(data, tmp_path_factory.mktemp("runs") / "other", model="majority", seed=7).path


def test_files(run: RunRecords) -> set[str]:
    return {row.file for row in run.split if row.split == "test"}


test_files.__test__ = False  # type: ignore[attr-defined]


def test_they_are_refused_unless_asked_for(
    tiny_runs: dict[str, Path], other_seed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["compare", str(tiny_runs["descriptors"]), str(other_seed), "-o", str(tmp_path / "out")]
    assert main(words) != 0
    assert "--common evaluates on those" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert main([*words, "--common"]) == 0
    printed = capsys.readouterr().out
    common = test_files(read_run(tiny_runs["descriptors"])) & test_files(read_run(other_seed))
    assert 0 < len(common) < 12
    assert f"Evaluated on the {len(common)} test pictures that all runs have in common" in printed
    assert "12, 12" in printed


def test_scores_are_those_of_the_common_images_alone(tiny_runs: dict[str, Path], other_seed: Path) -> None:
    comparison = compare_runs([tiny_runs["descriptors"], other_seed], common=True)
    common = test_files(read_run(tiny_runs["descriptors"])) & test_files(read_run(other_seed))
    rows = [row for row in pq.read_table(other_seed / "predictions.parquet").to_pylist() if row["file"] in common]
    right = sum(row["truth"] == row["predicted"] for row in rows)
    other = next(run for run in comparison.runs if run.name == "other")
    assert comparison.n == len(common) == len(rows)
    assert other.evaluation.scores["accuracy"].value == pytest.approx(right / len(common))
    assert other.versus_best is not None
    assert other.versus_best.score.n == len(common)
    assert other.evaluation.baselines == {}


def test_the_same_side_stays_as_it_is(tiny_runs: dict[str, Path]) -> None:
    runs = [read_run(run) for run in tiny_runs.values()]
    found, notes = on_common_images(runs)
    assert found == tuple(runs)
    assert notes == ()


def test_what_another_run_learned_from_is_left_out(tiny_runs: dict[str, Path], tmp_path: Path) -> None:
    first, second = (read_run(copy_run(tiny_runs["majority"], tmp_path / name)) for name in ("first", "second"))
    file, other = sorted(test_files(first))[:2]
    learned = next(row.file for row in second.split if row.split == "train")
    content = next(row.content for row in first.manifest if row.file == file)

    def learn_a_copy(rows: list[dict[str, str]]) -> None:
        next(row for row in rows if row["file"] == learned)["content"] = content

    def name_otherwise(rows: list[dict[str, str]]) -> None:
        row = next(row for row in rows if row["file"] == other)
        row["labels"] = next(name for name in first.classes if name != row["labels"])

    change_rows(second.folder / "manifest.csv", learn_a_copy)
    change_rows(second.folder / "split.csv", name_otherwise)
    found, _ = on_common_images([first, read_run(second.folder)])
    assert {row.file for row in found[0].predictions} == test_files(first) - {file, other}


def test_several_labels_are_judged_at_their_thresholds(tiny_label_runs: dict[str, Path], tmp_path: Path) -> None:
    less = copy_run(tiny_label_runs["prevalence"], tmp_path / "less")

    def learn_two(rows: list[dict[str, str]]) -> None:
        for row in [row for row in rows if row["split"] == "test"][:2]:
            row["split"] = "train"

    change_rows(less / "split.csv", learn_two)
    whole = compare_runs(list(tiny_label_runs.values()))
    found, notes = on_common_images([read_run(tiny_label_runs["descriptors"]), read_run(less)])
    assert len(notes) == 1
    assert [run.evaluation.n for run in found if run.evaluation] == [whole.n - 2] * 2
    assert found[0].evaluation is not None
    assert found[0].evaluation.thresholds == whole.best.evaluation.thresholds


def test_nothing_in_common_is_refused(tiny_runs: dict[str, Path], tmp_path: Path) -> None:
    other = copy_run(tiny_runs["majority"], tmp_path / "other")

    def swap(rows: list[dict[str, str]]) -> None:
        for row in rows:
            row["split"] = {"test": "train", "train": "test"}.get(row["split"], row["split"])

    change_rows(other / "split.csv", swap)
    with raises(RunError, code="runs_differ"):
        on_common_images([read_run(tiny_runs["majority"]), read_run(other)])
