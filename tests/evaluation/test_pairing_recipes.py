"""Runs of one recipe with other seeds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import distingo
from distingo.evaluation.compare_runs import compare_runs
from distingo.evaluation.pairing import compare_recipes, group_by_recipe
from distingo.runs.contents import read_run
from tiny_runs import answer, change_json, copy_run


@pytest.fixture(scope="module")
def other_seed(tiny_runs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The network, really trained again with another seed on the same split."""
    first = tiny_runs["small-cnn"]
    recipe = {"model": "small-cnn", "image_size": 8, "epochs": 2, "batch_size": 16}
    data = first.parent / "colours"
    return distingo.train(
        data, tmp_path_factory.mktemp("runs") / "again", seed=5, split=first / "split.csv", **recipe
    ).path


def say(run: Path, right: int) -> Path:
    """Let a run be right on so many images and wrong on the others."""

    def change(rows: list[dict[str, Any]]) -> None:
        for at, row in enumerate(rows):
            row["predicted"] = row["truth"] if at < right else next(c for c in ("red", "blue") if c != row["truth"])

    answer(run, change)
    return run


def test_they_are_recognized_and_never_called_different_recipes(
    tiny_runs: dict[str, Path], other_seed: Path, tmp_path: Path
) -> None:
    bad = say(copy_run(tiny_runs["small-cnn"], tmp_path / "bad"), 0)
    good = say(copy_run(other_seed, tmp_path / "good"), 12)
    comparison = compare_runs([bad, good])
    versus = comparison.runs[1].versus_best
    assert versus is not None
    assert comparison.seeds == (("good", "bad"),)
    assert versus.adjusted_p_value < 0.001
    assert versus.same_recipe
    assert not versus.is_clear


def test_another_setting_is_another_recipe(tiny_runs: dict[str, Path], other_seed: Path, tmp_path: Path) -> None:
    other = copy_run(other_seed, tmp_path / "other")
    change_json(other / "config.json", lambda content: content["recipe"].update(epochs=9))
    named = [(run.name, read_run(run)) for run in (tiny_runs["small-cnn"], other, other_seed)]
    groups = group_by_recipe(named)
    assert [[name for name, _ in group] for group in groups] == [["small-cnn", "again"], ["other"]]
    assert compare_runs([tiny_runs["small-cnn"], other]).seeds == ()


def test_recipes_are_compared_by_all_their_runs(tiny_runs: dict[str, Path], tmp_path: Path) -> None:
    runs = [("best", say(copy_run(tiny_runs["descriptors"], tmp_path / "best"), 12))]
    for name, right in (("a", 6), ("b", 8)):
        run = say(copy_run(tiny_runs["small-cnn"], tmp_path / name), right)
        change_json(run / "config.json", lambda content, name=name: content["recipe"].update(seed=ord(name)))
        runs.append((name, run))
    groups = group_by_recipe([(name, read_run(run)) for name, run in runs])
    (found,) = compare_recipes(groups)
    assert (found.best, found.other) == (("best",), ("a", "b"))
    assert found.result.difference == pytest.approx(1 - 7 / 12)
    assert found.result.luck == pytest.approx(2 / 12 / 2**0.5)
    assert found.adjusted_p_value == found.result.p_value
    assert compare_recipes(groups[:1]) == ()
    (whole,) = compare_runs([run for _, run in runs]).recipes
    assert whole.result == found.result
    assert set(whole.other) == {"a", "b"}
