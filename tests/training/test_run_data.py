from __future__ import annotations

import csv
import json
import logging
from pathlib import Path

import pytest

import distingo
from distingo.cli import main
from distingo.datasets.corrections import Correction, Corrections, read_corrections, write_corrections
from distingo.errors import DataError, UsageError
from note_texts import stored_texts, texts
from raising import raises
from tiny_datasets import draw_classes


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return draw_classes(tmp_path / "colours", per_class=12)


def sides_of(path: Path) -> dict[str, str]:
    with path.open(encoding="utf-8", newline="") as file:
        return {row["file"]: row["side"] for row in csv.DictReader(file)}


def test_a_run_honours_a_split_file_and_is_repeated_with_it(data: Path, tmp_path: Path) -> None:
    distingo.split(data, tmp_path / "sides.csv", validation=0.25, test=0.25, seed=5)
    wanted = sides_of(tmp_path / "sides.csv")
    run = distingo.train(data, tmp_path / "run", model="descriptors", split=tmp_path / "sides.csv")
    assert sides_of(tmp_path / "run" / "split.csv") == wanted
    assert run.evaluation.n == sum(side == "test" for side in wanted.values()) == 9
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
        sides = sides_of(run / "split.csv")
        assert sorted(sides.values()).count("validation") == 6
        tested |= {file for file, side in sides.items() if side == "test"}
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


FAST = {"model": "small-cnn", "epochs": 2, "image_size": 16, "augment": "none"}


@pytest.fixture
def data_of_kept_corrections(tmp_path: Path) -> Path:
    return draw_classes(tmp_path / "data", per_class=12)


def correct(data_of_kept_corrections: Path, *entries: Correction) -> None:
    write_corrections(Corrections(data_of_kept_corrections / "corrections.csv", entries))


RELABEL = Correction("red/000.png", "relabel", ("blue",), kinds=("label",))


ASIDE = Correction("green/003.png", "quarantine")


def files(run: Path) -> str:
    return (run / "split.csv").read_text(encoding="utf-8")


def test_training_honours_corrections_and_says_so(data_of_kept_corrections: Path, tmp_path: Path) -> None:
    correct(data_of_kept_corrections, RELABEL, ASIDE, Correction("red/001.png", "keep"))
    run = distingo.train(data_of_kept_corrections, tmp_path / "run", **FAST).path
    split = files(run)
    assert ",blue\n" in next(line + "\n" for line in split.splitlines() if line.startswith("red/000.png"))
    assert "green/003.png" not in split
    config = json.loads((run / "config.json").read_text(encoding="utf-8"))
    assert "corrections.csv: 1 picture relabelled, 1 set aside, 1 kept" in stored_texts(config["choices"])
    assert config["corrections"]["changes"] == 2
    assert config["corrections"]["file"] == str((data_of_kept_corrections / "corrections.csv").resolve())
    assert read_corrections(run / "corrections.csv").effective == (RELABEL, ASIDE)


def test_a_run_is_judged_and_gone_on_with_as_it_was_trained(
    data_of_kept_corrections: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    correct(data_of_kept_corrections, RELABEL)
    run = distingo.train(data_of_kept_corrections, tmp_path / "run", **FAST).path
    before = files(run)
    correct(
        data_of_kept_corrections, RELABEL, *[Correction(f"blue/{number:03}.png", "quarantine") for number in range(8)]
    )
    distingo.evaluate(run)
    (run / "model" / "model.json").unlink()
    with caplog.at_level(logging.INFO, "distingo"):
        distingo.train(output=run, resume=True)
    assert "the corrections have changed since the earlier run: 1 then, 9 now; this run goes on with its own" in (
        caplog.messages
    )
    assert files(run) == before
    with raises(UsageError, code="changed_options", parameter="corrections"):
        distingo.train(output=run, resume=True, corrections="none")
    with raises(UsageError, code="option_not_applicable", parameter="corrections"):
        distingo.evaluate(run, corrections="none")


def test_a_run_without_corrections_stays_without(data_of_kept_corrections: Path, tmp_path: Path) -> None:
    run = distingo.train(data_of_kept_corrections, tmp_path / "run", **{**FAST, "model": "majority"}).path
    assert "corrections" not in json.loads((run / "config.json").read_text(encoding="utf-8"))
    correct(data_of_kept_corrections, *[Correction(f"blue/{number:03}.png", "quarantine") for number in range(8)])
    distingo.evaluate(run)
    assert not (run / "corrections.csv").exists()


def test_a_repeated_run_says_that_corrections_changed(data_of_kept_corrections: Path, tmp_path: Path) -> None:
    correct(data_of_kept_corrections, RELABEL)
    options = {**FAST, "model": "majority"}
    first = distingo.train(data_of_kept_corrections, tmp_path / "first", **options).path
    correct(data_of_kept_corrections, RELABEL, Correction("red/001.png", "keep"))
    config = first / "config.json"
    same = distingo.train(config=config, output=tmp_path / "same").path
    assert "have changed" not in (same / "config.json").read_text(encoding="utf-8")
    assert files(same) == files(first)
    correct(data_of_kept_corrections, RELABEL, ASIDE)
    other = distingo.train(config=config, output=tmp_path / "other").path
    choices = json.loads((other / "config.json").read_text(encoding="utf-8"))["choices"]
    assert {"code": "corrections-changed", "values": {"before": 1, "now": 2}} in choices


def test_what_was_said_is_said_again(data_of_kept_corrections: Path, tmp_path: Path) -> None:
    correct(data_of_kept_corrections, RELABEL)
    options = {**FAST, "model": "majority"}
    first = distingo.train(data_of_kept_corrections, tmp_path / "first", corrections="none", **options).path
    assert "red/000.png" in files(first)
    assert json.loads((first / "config.json").read_text(encoding="utf-8"))["corrections"] == {"said": "none"}
    again = distingo.train(config=first / "config.json", output=tmp_path / "again").path
    assert files(again) == files(first)


def test_other_pictures_are_judged_as_they_were_corrected(data_of_kept_corrections: Path, tmp_path: Path) -> None:
    run = distingo.train(data_of_kept_corrections, tmp_path / "run", **{**FAST, "model": "majority"}).path
    other = draw_classes(tmp_path / "other", per_class=4)
    correct(other, RELABEL, ASIDE)
    evaluation = distingo.evaluate(run, other)
    assert evaluation.n == 11
    assert "corrections.csv is honoured: 2 pictures are relabelled or set aside there" in texts(evaluation.notes)
    assert distingo.evaluate(run, other, corrections="none").n == 12


def test_the_command_line_takes_another_table_or_none(
    data_of_kept_corrections: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    correct(data_of_kept_corrections, RELABEL, ASIDE)
    page = str(tmp_path / "page.html")
    assert main(["inspect", str(data_of_kept_corrections), "-o", page]) == 0
    assert "  corrections.csv: 1 picture relabelled, 1 set aside\n" in capsys.readouterr().out
    assert main(["inspect", str(data_of_kept_corrections), "-o", page, "--corrections", "none"]) == 0
    assert "corrections.csv: 1 picture" not in capsys.readouterr().out
    assert main(["inspect", str(data_of_kept_corrections), "-o", page, "--corrections", str(tmp_path / "no.csv")]) == 1
    assert "no.csv: no such file; `distingo review` writes corrections" in capsys.readouterr().err
