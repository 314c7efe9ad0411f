"""``distingo crossval`` from the command line to the page, with every kind of model."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

import distingo
from distingo.cli import main
from distingo.errors import RunError, UsageError
from note_texts import texts
from raising import raises
from tiny_backbones import write_backbone
from tiny_datasets import LABELS, draw_classes, draw_labels

QUICK = {"image_size": 16, "epochs": 2, "batch_size": 16}
MODELS: dict[str, dict[str, Any]] = {
    "frozen": {},
    "finetune": {"mode": "finetune", "epochs": 1, "batch_size": 16},
    "scratch": {**QUICK, "model": "small-cnn"},
    "classic": {"model": "descriptors"},
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_classes(tmp_path_factory.mktemp("data") / "Tiere", per_class=20)


@pytest.fixture(scope="module")
def labeled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_labels(tmp_path_factory.mktemp("data") / "shapes", size=40) / "labels.csv"


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_backbone(tmp_path_factory.mktemp("weights") / "tiny"))


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("name", MODELS)
def test_every_image_is_predicted_by_a_model_that_never_saw_it(
    tmp_path: Path, data: Path, backbone: str, name: str
) -> None:
    options = {"model": backbone, "near_duplicates": None, "folds": 3, **MODELS[name]}
    found = distingo.crossval(data, tmp_path / "cv", **options)
    assert [fold.fold for fold in found.folds] == [1, 2, 3]
    assert sum(fold.test for fold in found.folds) == found.n == 60
    assert set(found.baseline_means) == {"majority", "descriptors"} - {options["model"]}
    folds = {row["file"]: row["fold"] for row in rows_of(tmp_path / "cv" / "folds.csv")}
    rows = pq.read_table(tmp_path / "cv" / "predictions.parquet").to_pylist()
    assert sorted(row["file"] for row in rows) == sorted(folds)
    assert set(rows[0]["probabilities"]) == {"blue", "green", "red"}
    for fold in found.folds:
        right = [row["truth"] == row["predicted"] for row in rows if folds[row["file"]] == str(fold.fold)]
        assert np.mean(right) == pytest.approx(fold.scores["accuracy"])
    assert found.pooled.scores["accuracy"].value == pytest.approx(found.means["accuracy"].value)
    assert found.pooled.n == 60
    assert not list((tmp_path / "cv").rglob("checkpoint"))
    if name in {"frozen", "classic"}:
        assert found.means["accuracy"].value > 0.9


@pytest.mark.parametrize("name", ["frozen", "classic"])
def test_several_labels_have_thresholds_of_their_own_fold(
    tmp_path: Path, labeled: Path, backbone: str, name: str
) -> None:
    options = {"model": backbone, "near_duplicates": None, "folds": 3, **MODELS[name]}
    found = distingo.crossval(labeled, tmp_path / "cv", **options)
    assert (found.task, found.classes) == ("multi-label", LABELS)
    assert found.main_score == "mean_average_precision_macro"
    assert found.means[found.main_score].value > 0.85
    rows = pq.read_table(tmp_path / "cv" / "predictions.parquet").to_pylist()
    wrong = np.mean([(label in row["truth"]) != (label in row["predicted"]) for row in rows for label in LABELS])
    assert found.pooled.scores["hamming_loss"].value == pytest.approx(wrong)
    assert "Label by label" in (tmp_path / "cv" / "crossval.html").read_text(encoding="utf-8")


def test_the_command_prints_a_table_and_writes_a_page(
    tmp_path: Path, data: Path, backbone: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["crossval", str(data), "-o", str(tmp_path / "cv"), "--model", backbone, "--folds", "3"]
    assert main([*words, "--near-duplicates", "none", "--repeats", "2"]) == 0
    said = capsys.readouterr().out
    assert "1-1" in said
    assert "2-3" in said
    assert "in the mean over 3 folds, divided 2 times, of 60 pictures" in said
    content = json.loads((tmp_path / "cv" / "crossval.json").read_text(encoding="utf-8"))
    assert len(content["folds"]) == 6
    assert content["pooled"]["n"] == 60
    assert sum(entry["support"] for entry in content["pooled"]["per_class"]) == 60
    page = (tmp_path / "cv" / "crossval.html").read_text(encoding="utf-8")
    assert "Nadeau and Bengio" in page
    assert "Tiere" in page
    first, second = (rows_of(tmp_path / "cv" / name) for name in ("folds.csv", "folds-2.csv"))
    assert {row["file"]: row["fold"] for row in first} != {row["file"]: row["fold"] for row in second}


def test_groups_of_a_table_stay_on_one_fold(tmp_path: Path, data: Path) -> None:
    lines = [f"{name}/{at:03}.png,{name},patient {at % 5}" for name in ("blue", "green", "red") for at in range(20)]
    table = data / "patients.csv"
    table.write_text("\n".join(["file,label,patient", *lines]), encoding="utf-8")
    try:
        options: dict[str, Any] = {"model": "descriptors", "near_duplicates": None, "group_column": "patient"}
        distingo.crossval(table, tmp_path / "cv", **options)
    finally:
        table.unlink()
    patients: dict[int, set[str]] = {}
    for row in rows_of(tmp_path / "cv" / "folds.csv"):
        patients.setdefault(int(Path(row["file"]).stem) % 5, set()).add(row["fold"])
    assert all(len(folds) == 1 for folds in patients.values())
    assert {row["why"] for row in rows_of(tmp_path / "cv" / "folds.csv")} == {"group"}


def test_a_split_file_says_the_folds(tmp_path: Path, data: Path) -> None:
    distingo.split(data, tmp_path / "folds.csv", folds=4, near_duplicates=None)
    found = distingo.crossval(data, tmp_path / "cv", model="descriptors", split=tmp_path / "folds.csv")
    asked, got = (rows_of(place / "folds.csv") for place in (tmp_path, tmp_path / "cv"))
    assert {row["file"]: row["fold"] for row in asked} == {row["file"]: row["fold"] for row in got}
    assert len(found.folds) == 4
    with raises(UsageError, code="options_conflict", parameter="repeats"):
        distingo.crossval(data, tmp_path / "two", model="descriptors", split=tmp_path / "folds.csv", repeats=2)


def test_the_same_seed_gives_the_same_scores(tmp_path: Path, data: Path, backbone: str) -> None:
    options: dict[str, Any] = {"model": backbone, "near_duplicates": None, "folds": 3, "seed": 4}
    one, two = (distingo.crossval(data, tmp_path / name, **options) for name in ("one", "two"))
    assert [fold.scores for fold in one.folds] == [fold.scores for fold in two.folds]
    assert one.means == two.means
    assert (tmp_path / "one" / "predictions.parquet").read_bytes() == (
        tmp_path / "two" / "predictions.parquet"
    ).read_bytes()


def test_mistakes_are_told_and_nothing_is_overwritten(tmp_path: Path, data: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file.txt").write_text("mine", encoding="utf-8")
    with raises(RunError, code="not_empty", parameter="output"):
        distingo.crossval(data, tmp_path / "mine", model="descriptors")
    with raises(UsageError, code="option_not_applicable", parameter="test"):
        distingo.crossval(data, tmp_path / "cv", model="descriptors", test=0.2)
    with raises(UsageError, code="out_of_range", parameter="folds"):
        distingo.crossval(data, tmp_path / "cv", model="descriptors", folds=1)
    with raises(UsageError, code="out_of_range", parameter="repeats"):
        distingo.crossval(data, tmp_path / "cv", model="descriptors", repeats=0)
    with raises(RunError, code="wrong_folder", parameter="resume"):
        distingo.crossval(data, tmp_path / "cv", resume=True)
    assert main(["crossval", "-o", str(tmp_path / "cv")]) == 2
    assert not (tmp_path / "cv").exists()


def test_a_killed_cross_validation_goes_on_and_ends_the_same(tmp_path: Path, data: Path) -> None:
    options: dict[str, Any] = {**QUICK, "model": "small-cnn", "epochs": 6, "folds": 3, "near_duplicates": None}
    whole = distingo.crossval(data, tmp_path / "whole", **options)
    words = ["--model", "small-cnn", "--image-size", "16", "--epochs", "6", "--batch-size", "16", "--folds", "3"]
    call = [sys.executable, "-m", "distingo", "crossval", str(data), "-o", str(tmp_path / "cv"), *words]
    process = subprocess.Popen([*call, "--near-duplicates", "none"], stderr=subprocess.PIPE)
    first = tmp_path / "cv" / "folds" / "1-1" / "fold.json"
    checkpoint = tmp_path / "cv" / "folds" / "1-2" / "checkpoint" / "last.safetensors"
    while not checkpoint.is_file():
        assert process.poll() is None
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait(60)
    written = first.stat().st_mtime_ns
    with raises(RunError, code="not_empty", parameter="output"):
        distingo.crossval(data, tmp_path / "cv", **{**options, "epochs": 7})  # another command than was killed
    with raises(UsageError, code="changed_options", parameter="folds"):
        distingo.crossval(None, tmp_path / "cv", resume=True, folds=4)
    resumed = distingo.crossval(None, tmp_path / "cv", resume=True)
    assert first.stat().st_mtime_ns == written
    assert [fold.scores for fold in resumed.folds] == [fold.scores for fold in whole.folds]


def test_a_damaged_fold_is_named(tmp_path: Path, data: Path) -> None:
    distingo.crossval(data, tmp_path / "cv", model="majority", folds=3, near_duplicates=None)
    (tmp_path / "cv" / "folds" / "1-2" / "probabilities.safetensors").write_bytes(b"nothing")
    with raises(RunError, code="damaged_file"):
        distingo.crossval(None, tmp_path / "cv", resume=True)


def test_its_predictions_doubt_labels(tmp_path: Path, backbone: str) -> None:
    data = draw_classes(tmp_path / "data", per_class=30, size=24)
    wrong = data / "blue" / "wrong.png"
    (data / "red" / "007.png").rename(wrong)
    distingo.crossval(data, tmp_path / "cv", model="descriptors", near_duplicates=None)
    found = distingo.check(data, tmp_path / "check", model="none", predictions=tmp_path / "cv")
    (doubted,) = [finding for finding in found.findings if finding.kind == "label" and finding.counts]
    assert (doubted.file, doubted.suggested) == ("blue/wrong.png", ("red",))
    assert found.label_score == pytest.approx(89 / 90)
    draw_classes(tmp_path / "more", per_class=2, size=30, names=("new",))
    (tmp_path / "more" / "new" / "000.png").rename(data / "blue" / "new.png")
    again = distingo.check(data, model="none", predictions=tmp_path / "cv")
    assert any("of 1 there is none" in note for note in texts(again.notes))
    with raises(RunError, code="not_found", parameter="predictions"):
        distingo.check(data, model="none", predictions=tmp_path / "nowhere")
