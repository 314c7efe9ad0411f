"""Runs that were not evaluated on the same images are refused in one line that says why."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import distingo
from distingo.errors import ErrorCode, RunError
from distingo.evaluation.pairing import require_own_evaluation, require_same_test
from distingo.runs.contents import read_run
from raising import raises
from tiny_runs import answer, change_json, change_rows, copy_run


@pytest.fixture
def changed(tiny_runs: dict[str, Path], tmp_path: Path) -> Path:
    return copy_run(tiny_runs["majority"], tmp_path / "changed")


def refusal(first: Path, second: Path) -> str:
    with raises(RunError, code="runs_differ") as caught:
        require_same_test(read_run(first), read_run(second))
    line = str(caught.value)
    assert "\n" not in line
    assert line.startswith(f"{first} and {second} can't be compared: ")
    return line


def first_test_row(rows: list[dict[str, str]]) -> dict[str, str]:
    return next(row for row in rows if row["split"] == "test")


def test_runs_on_the_same_split_pass(tiny_runs: dict[str, Path]) -> None:
    first, *others = (read_run(run) for run in tiny_runs.values())
    for other in others:
        require_same_test(first, other)


def test_another_seed_gives_another_test_side(tiny_runs: dict[str, Path], tmp_path: Path) -> None:
    data = tiny_runs["majority"].parent / "colours"
    other = distingo.train(data, tmp_path / "other", model="majority", seed=7).path
    line = refusal(tiny_runs["descriptors"], other)
    assert "is not on the other's test split (" in line
    ours, theirs = (
        {row.file for row in read_run(run).split if row.split == "test"} for run in (tiny_runs["descriptors"], other)
    )
    assert (
        f"{len(ours & theirs)} test pictures are the same in both, and common=True evaluates on those; or train" in line
    )
    assert ".png, a test picture of" in line


def test_a_missing_test_image_is_named_with_its_run(tiny_runs: dict[str, Path], changed: Path) -> None:
    gone: list[str] = []

    def move(rows: list[dict[str, str]]) -> None:
        row = first_test_row(rows)
        row["split"] = "train"
        gone.append(row["file"])

    change_rows(changed / "split.csv", move)
    line = refusal(changed, tiny_runs["descriptors"])
    assert (
        f"{gone[0]}, a test picture of {tiny_runs['descriptors']}, is not on the other's test split (1 in all)" in line
    )


def test_another_class_of_a_image(tiny_runs: dict[str, Path], changed: Path) -> None:
    change_rows(changed / "split.csv", lambda rows: first_test_row(rows).update(labels="red"))
    assert "is blue in one and red in the other" in refusal(tiny_runs["descriptors"], changed)


def test_another_content_under_the_same_name(tiny_runs: dict[str, Path], changed: Path) -> None:
    file = next(row.file for row in read_run(changed).split if row.split == "test")

    def redraw(rows: list[dict[str, str]]) -> None:
        next(row for row in rows if row["file"] == file)["content"] = "0" * 32

    change_rows(changed / "manifest.csv", redraw)
    assert f"the test picture {file} has another content" in refusal(tiny_runs["descriptors"], changed)


def test_a_training_image_may_differ(tiny_runs: dict[str, Path], changed: Path) -> None:
    file = next(row.file for row in read_run(changed).split if row.split == "train")
    change_rows(
        changed / "manifest.csv", lambda rows: next(row for row in rows if row["file"] == file).update(content="0")
    )
    require_same_test(read_run(tiny_runs["descriptors"]), read_run(changed))


def test_without_a_manifest_names_must_do(tiny_runs: dict[str, Path], changed: Path) -> None:
    (changed / "manifest.csv").unlink()
    require_same_test(read_run(tiny_runs["descriptors"]), read_run(changed))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"task": "multi-label"}, "the tasks differ (single-label against multi-label)"),
        ({"classes": ["blue", "green", "pink"]}, "the classes differ (blue, green, red against blue, green, pink)"),
    ],
)
def test_another_task_or_other_classes(
    tiny_runs: dict[str, Path], changed: Path, change: dict[str, Any], told: str
) -> None:
    change_json(changed / "config.json", lambda content: content.update(change))
    assert told in refusal(tiny_runs["descriptors"], changed)


def _forget_one(rows: list[dict[str, Any]]) -> None:
    del rows[0]


def _rename_truth(rows: list[dict[str, Any]]) -> None:
    rows[0]["truth"] = "red"


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        (lambda run: (run / "evaluation.json").unlink(), "not_evaluated"),
        (lambda run: (run / "predictions.parquet").unlink(), "not_evaluated"),
        (lambda run: answer(run, _forget_one), "records_differ"),
        (lambda run: answer(run, lambda rows: rows.append(rows[0])), "records_differ"),
        (lambda run: answer(run, _rename_truth), "records_differ"),
        (
            lambda run: change_json(run / "evaluation.json", lambda content: content.update(n=11)),
            "records_differ",
        ),
        (
            lambda run: change_json(
                run / "evaluation.json", lambda content: content["scores"]["accuracy"].update(value=0.9)
            ),
            "records_differ",
        ),
    ],
)
def test_scores_that_are_not_the_runs_own(changed: Path, damage: Callable[[Path], object], code: ErrorCode) -> None:
    assert require_own_evaluation(read_run(changed)).n == 12
    damage(changed)
    with raises(RunError, code=code) as caught:
        require_own_evaluation(read_run(changed))
    assert str(caught.value).startswith(f"{changed}: ")
    assert f"`distingo evaluate {changed}`" in str(caught.value)
