"""The copy of the corrections in a run folder; later corrections affect later runs only."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

import distingo
from distingo.cli import main
from distingo.datasets.corrections import Correction, Corrections, read_corrections, write_corrections
from distingo.errors import UsageError
from note_texts import stored_texts, texts
from raising import raises
from tiny_datasets import draw_classes

FAST = {"model": "small-cnn", "epochs": 2, "image_size": 16, "augment": "none"}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return draw_classes(tmp_path / "data", per_class=12)


def correct(data: Path, *entries: Correction) -> None:
    write_corrections(Corrections(data / "corrections.csv", entries))


RELABEL = Correction("red/000.png", "relabel", ("blue",), kinds=("label",))
ASIDE = Correction("green/003.png", "quarantine")


def files(run: Path) -> str:
    return (run / "split.csv").read_text(encoding="utf-8")


def test_training_honours_corrections_and_says_so(data: Path, tmp_path: Path) -> None:
    correct(data, RELABEL, ASIDE, Correction("red/001.png", "keep"))
    run = distingo.train(data, tmp_path / "run", **FAST).path
    split = files(run)
    assert ",blue\n" in next(line + "\n" for line in split.splitlines() if line.startswith("red/000.png"))
    assert "green/003.png" not in split
    config = json.loads((run / "config.json").read_text(encoding="utf-8"))
    assert "corrections.csv: 1 picture relabeled, 1 set aside, 1 kept" in stored_texts(config["choices"])
    assert config["corrections"]["changes"] == 2
    assert config["corrections"]["file"] == str((data / "corrections.csv").resolve())
    assert read_corrections(run / "corrections.csv").effective == (RELABEL, ASIDE)


def test_a_run_is_judged_and_gone_on_with_as_it_was_trained(
    data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    correct(data, RELABEL)
    run = distingo.train(data, tmp_path / "run", **FAST).path
    before = files(run)
    correct(data, RELABEL, *[Correction(f"blue/{number:03}.png", "quarantine") for number in range(8)])
    distingo.evaluate(run)
    (run / "model" / "model.json").unlink()
    with caplog.at_level(logging.INFO, "distingo"):
        distingo.train(output=run, resume=True)
    assert "the corrections have changed since the earlier run: 1 then, 9 now; this run continues with its own" in (
        caplog.messages
    )
    assert files(run) == before
    with raises(UsageError, code="changed_options", parameter="corrections"):
        distingo.train(output=run, resume=True, corrections="none")
    with raises(UsageError, code="option_not_applicable", parameter="corrections"):
        distingo.evaluate(run, corrections="none")


def test_a_run_without_corrections_stays_without(data: Path, tmp_path: Path) -> None:
    run = distingo.train(data, tmp_path / "run", **{**FAST, "model": "majority"}).path
    assert "corrections" not in json.loads((run / "config.json").read_text(encoding="utf-8"))
    correct(data, *[Correction(f"blue/{number:03}.png", "quarantine") for number in range(8)])
    distingo.evaluate(run)
    assert not (run / "corrections.csv").exists()


def test_a_repeated_run_says_that_corrections_changed(data: Path, tmp_path: Path) -> None:
    correct(data, RELABEL)
    options = {**FAST, "model": "majority"}
    first = distingo.train(data, tmp_path / "first", **options).path
    correct(data, RELABEL, Correction("red/001.png", "keep"))
    config = first / "config.json"
    same = distingo.train(config=config, output=tmp_path / "same").path
    assert "have changed" not in (same / "config.json").read_text(encoding="utf-8")
    assert files(same) == files(first)
    correct(data, RELABEL, ASIDE)
    other = distingo.train(config=config, output=tmp_path / "other").path
    choices = json.loads((other / "config.json").read_text(encoding="utf-8"))["choices"]
    assert {"code": "corrections-changed", "values": {"before": 1, "now": 2}} in choices


def test_what_was_said_is_said_again(data: Path, tmp_path: Path) -> None:
    correct(data, RELABEL)
    options = {**FAST, "model": "majority"}
    first = distingo.train(data, tmp_path / "first", corrections="none", **options).path
    assert "red/000.png" in files(first)
    assert json.loads((first / "config.json").read_text(encoding="utf-8"))["corrections"] == {"said": "none"}
    again = distingo.train(config=first / "config.json", output=tmp_path / "again").path
    assert files(again) == files(first)


def test_other_images_are_judged_as_they_were_corrected(data: Path, tmp_path: Path) -> None:
    run = distingo.train(data, tmp_path / "run", **{**FAST, "model": "majority"}).path
    other = draw_classes(tmp_path / "other", per_class=4)
    correct(other, RELABEL, ASIDE)
    evaluation = distingo.evaluate(run, other)
    assert evaluation.n == 11
    assert "corrections.csv is honored: 2 pictures are relabeled or set aside there" in texts(evaluation.notes)
    assert distingo.evaluate(run, other, corrections="none").n == 12


def test_the_command_line_takes_another_table_or_none(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    correct(data, RELABEL, ASIDE)
    page = str(tmp_path / "page.html")
    assert main(["inspect", str(data), "-o", page]) == 0
    assert "  corrections.csv: 1 picture relabeled, 1 set aside\n" in capsys.readouterr().out
    assert main(["inspect", str(data), "-o", page, "--corrections", "none"]) == 0
    assert "corrections.csv: 1 picture" not in capsys.readouterr().out
    assert main(["inspect", str(data), "-o", page, "--corrections", str(tmp_path / "no.csv")]) == 1
    assert "no.csv: no such file; `distingo review` writes corrections" in capsys.readouterr().err
