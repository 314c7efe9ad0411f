from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

import distingo
from distingo.errors import DataError, UsageError
from raising import raises
from tiny_datasets import draw_classes


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return draw_classes(tmp_path / "colours", per_class=12)


def sides_of(path: Path) -> dict[str, str]:
    with path.open(encoding="utf-8", newline="") as file:
        return {row["file"]: row["split"] for row in csv.DictReader(file)}


def test_a_run_honours_a_split_file_and_is_repeated_with_it(data: Path, tmp_path: Path) -> None:
    distingo.split(data, tmp_path / "sides.csv", validation=0.25, test=0.25, seed=5)
    wanted = sides_of(tmp_path / "sides.csv")
    run = distingo.train(data, tmp_path / "run", model="descriptors", split=tmp_path / "sides.csv")
    assert sides_of(tmp_path / "run" / "split.csv") == wanted
    assert run.evaluation.n == sum(split == "test" for split in wanted.values()) == 9
    config = json.loads((tmp_path / "run" / "config.json").read_text(encoding="utf-8"))
    assert config["split"]["file"] == str(tmp_path / "sides.csv")
    distingo.train(output=tmp_path / "again", config=tmp_path / "run" / "config.json")
    assert sides_of(tmp_path / "again" / "split.csv") == wanted
    assert distingo.evaluate(tmp_path / "run").n == 9


def test_a_fold_is_tested_and_recorded(data: Path, tmp_path: Path) -> None:
    distingo.split(data, tmp_path / "folds.csv", folds=3)
    tested: set[str] = set()
    for fold in (1, 2, 3):
        run = tmp_path / f"run {fold}"
        distingo.train(data, run, model="descriptors", split=tmp_path / "folds.csv", fold=fold, validation=0.25)
        splits = sides_of(run / "split.csv")
        assert sorted(splits.values()).count("validation") == 6
        tested |= {file for file, split in splits.items() if split == "test"}
        assert json.loads((run / "config.json").read_text(encoding="utf-8"))["split"]["fold"] == fold
    assert len(tested) == 36


def test_a_killed_run_goes_on_without_its_split_file(data: Path, tmp_path: Path) -> None:
    distingo.split(data, tmp_path / "sides.csv")
    recipe = {"model": "small-cnn", "image_size": 8, "epochs": 2, "batch_size": 16}

    def stop(record: object) -> None:
        raise KeyboardInterrupt

    with raises(distingo.DistingoError, code="interrupted"):
        distingo.train(data, tmp_path / "run", split=tmp_path / "sides.csv", on_epoch=stop, **recipe)
    started = sides_of(tmp_path / "run" / "split.csv")
    distingo.split(data, tmp_path / "others.csv", seed=1)
    with raises(UsageError, code="changed_options", parameter="split"):
        distingo.train(output=tmp_path / "run", resume=True, split=tmp_path / "others.csv")
    (tmp_path / "sides.csv").unlink()
    distingo.train(output=tmp_path / "run", resume=True)
    assert sides_of(tmp_path / "run" / "split.csv") == started
    assert (tmp_path / "run" / "evaluation.json").is_file()


def test_a_split_file_that_was_changed_since_is_no_repetition(data: Path, tmp_path: Path) -> None:
    distingo.split(data, tmp_path / "sides.csv")
    distingo.train(data, tmp_path / "run", model="majority", split=tmp_path / "sides.csv")
    (tmp_path / "sides.csv").unlink()
    config = tmp_path / "run" / "config.json"
    with raises(DataError, code="cannot_read", parameter="split"):
        distingo.train(output=tmp_path / "again", config=config)
    distingo.split(data, tmp_path / "sides.csv", seed=1)
    with raises(DataError, code="changed_meanwhile", parameter="split"):
        distingo.train(output=tmp_path / "again", config=config)
    distingo.train(output=tmp_path / "again", config=config, split=tmp_path / "sides.csv")
    assert sides_of(tmp_path / "again" / "split.csv") == sides_of(tmp_path / "sides.csv")


def test_another_runs_sides_can_be_taken_over(data: Path, tmp_path: Path) -> None:
    distingo.train(data, tmp_path / "one", model="majority", seed=3)
    distingo.train(data, tmp_path / "two", model="majority", split=tmp_path / "one" / "split.csv")
    assert sides_of(tmp_path / "two" / "split.csv") == sides_of(tmp_path / "one" / "split.csv")


def test_what_contradicts_a_split_file_is_refused(data: Path, tmp_path: Path) -> None:
    distingo.split(data, tmp_path / "sides.csv")
    distingo.split(data, tmp_path / "folds.csv", folds=3)
    with raises(UsageError, code="options_conflict", parameter="split"):
        distingo.train(data, tmp_path / "run", split=tmp_path / "sides.csv", validation=0.1, test=0.1)
    with raises(UsageError, code="options_conflict", parameter="split"):
        distingo.train(data, tmp_path / "run", split=tmp_path / "folds.csv", fold=1, validation=0.1, test=0.1)
    with raises(UsageError, code="needs_other_option", parameter="fold"):
        distingo.train(data, tmp_path / "run", fold=2)
    with raises(UsageError, code="out_of_range", parameter="fold"):
        distingo.train(data, tmp_path / "run", model="majority", split=tmp_path / "folds.csv", fold=4)
    assert not (tmp_path / "run").exists()
