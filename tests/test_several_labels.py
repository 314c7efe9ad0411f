"""Several labels per image, from a table to predictions, with every kind of model."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

import distingo
from distingo.cli import main
from distingo.datasets.tables.table import TableOptions
from distingo.errors import DataError, ErrorCode, InterruptionError, UsageError
from distingo.models.saved import load_model
from raising import raises
from tiny_backbones import write_backbone
from tiny_datasets import LABELS, draw_classes, draw_labels

APART = ("--near-duplicates", "none")
"""The drawn shapes of one kind are near-duplicates of each other."""

QUICK = {"image_size": 16, "epochs": 3, "batch_size": 16}
MODELS: dict[str, dict[str, Any]] = {
    "poster-cnn": {**QUICK, "model": "poster-cnn"},
    "small-cnn": {**QUICK, "model": "small-cnn", "augment": "standard", "loss": "asymmetric"},
    "sports-cnn": {**QUICK, "model": "sports-cnn", "positive_weights": "balanced", "monitor": "validation_loss"},
    "descriptors": {"model": "descriptors"},
    "prevalence": {"model": "prevalence"},
    "frozen": {"engine": "torch"},
    "knn": {"engine": "torch", "head": "knn", "positive_weights": "balanced"},
    "finetune": {"engine": "torch", "mode": "finetune", "epochs": 2, "batch_size": 16, "loss": "focal"},
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_labels(tmp_path_factory.mktemp("data") / "shapes", size=40)


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_backbone(tmp_path_factory.mktemp("weights") / "tiny"))


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "finished"
    assert main(["train", str(data / "labels.csv"), "-o", str(folder), "--model", "descriptors", *APART]) == 0
    return folder


@pytest.mark.parametrize("name", MODELS)
def test_every_model_learns_is_judged_and_predicts(tmp_path: Path, data: Path, backbone: str, name: str) -> None:
    options = {"model": backbone, **MODELS[name]}
    run = distingo.train(data / "labels.csv", tmp_path / "run", near_duplicates="none", **options)
    evaluation = run.evaluation
    assert (evaluation.task, evaluation.classes, evaluation.n) == ("multi-label", LABELS, 16)
    assert set(evaluation.baselines) == {"prevalence", "descriptors"} - {name}
    thresholds = load_model(run.path / "model").description.thresholds
    assert thresholds is not None
    assert evaluation.thresholds == thresholds
    if name in {"descriptors", "frozen", "knn", "finetune"}:
        prevalence = evaluation.baselines["prevalence"]["mean_average_precision_macro"]
        assert evaluation.scores["mean_average_precision_macro"].value > 0.9 > prevalence.value

    rows = pq.read_table(run.path / "predictions.parquet").to_pylist()
    paths = [data / row["file"] for row in rows]
    predictions = distingo.load(run.path).predict(paths, topk=3)
    for row, prediction in zip(rows, predictions, strict=True):
        said = dict(zip(prediction.labels, prediction.probabilities, strict=True))
        assert said == pytest.approx(row["probabilities"], abs=1e-2)  # bfloat16 on another engine
        reached = [
            label for label, cut in zip(LABELS, thresholds.values, strict=True) if row["probabilities"][label] >= cut
        ]
        assert row["predicted"] == reached
    truth = {row["file"]: row["truth"] for row in rows}
    first = next(iter(truth))
    index = int(Path(first).stem)
    assert truth[first] == [label for place, label in enumerate(LABELS) if index >> place & 1]


def test_a_network_leaves_mean_average_precision_in_its_history(tmp_path: Path, data: Path) -> None:
    run = distingo.train(data, tmp_path / "run", **{**QUICK, "model": "poster-cnn"})
    rows = list(csv.DictReader((run.path / "history.csv").open(encoding="utf-8")))
    assert len(rows) == 3
    assert all(0 <= float(row["validation_mean_average_precision"]) <= 1 for row in rows)
    assert "validation_accuracy" not in rows[0]
    config = json.loads((run.path / "config.json").read_text("utf-8"))
    assert config["recipe"]["monitor"] == "validation_mean_average_precision"
    best = max(range(3), key=lambda at: (float(rows[at]["validation_mean_average_precision"]), -at))
    assert json.loads((run.path / "model" / "model.json").read_text("utf-8"))["provenance"]["best_epoch"] == best + 1


def test_an_interrupted_run_goes_on_to_the_same_files(tmp_path: Path, data: Path) -> None:
    recipe = {**QUICK, "model": "poster-cnn", "ema_decay": 0.9, "augment": "standard"}

    def stop(record: Any) -> None:
        if record.epoch == 2:
            raise KeyboardInterrupt

    whole = distingo.train(data / "labels.csv", tmp_path / "whole", **recipe)
    with raises(InterruptionError, code="interrupted", naming="--resume"):
        distingo.train(data / "labels.csv", tmp_path / "halves", on_epoch=stop, **recipe)
    halves = distingo.train(output=tmp_path / "halves", resume=True)
    for name in ("model/model.safetensors", "predictions.parquet", "evaluation.json", "split.csv"):
        assert (whole.path / name).read_bytes() == (halves.path / name).read_bytes(), name
    thresholds = [load_model(run.path / "model").description.thresholds for run in (whole, halves)]
    assert thresholds[0] == thresholds[1] is not None


def test_thresholds_are_chosen_for_what_is_wanted(tmp_path: Path, data: Path) -> None:
    words = ["--model", "descriptors", "--threshold-aim", "recall", "--threshold-target", "0.9"]
    assert main(["train", str(data), "-o", str(tmp_path / "run"), *words]) == 0
    kept = json.loads((tmp_path / "run" / "model" / "model.json").read_text("utf-8"))["thresholds"]
    assert (kept["aim"], kept["wanted"], len(kept["values"])) == ("recall", 0.9, 3)
    baseline = json.loads((tmp_path / "run" / "baselines" / "prevalence" / "model.json").read_text("utf-8"))
    assert baseline["thresholds"]["aim"] == "recall"


def write_odd_table(data: Path, folder: Path) -> Path:
    """The same labels as text in one column of a table that needs explaining, the images elsewhere."""
    folder.mkdir()
    with (data / "labels.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    lines = [["what", "where", "note"]]
    for row in rows:
        has = "; ".join(name for name in LABELS if row[name] == "1")
        lines += [[has, row["picture"], f"n{row['picture']}"]]
    with (folder / "odd.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(lines)
    return folder / "odd.csv"


def test_what_was_said_about_a_table_is_kept(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table, run = write_odd_table(data, tmp_path / "odd"), tmp_path / "run"
    monkeypatch.chdir(data)
    said = ["--image-column", "where", "--label-column", "what", "--delimiter", ";", "--image-folder", "pictures"]
    assert main(["train", str(table), "-o", str(run), "--model", "prevalence", *said]) == 0
    config = json.loads((run / "config.json").read_text("utf-8"))
    assert config["classes"] == list(LABELS)
    assert config["root"] == str(data / "pictures")
    assert config["table"] == {
        "image_column": "where",
        "label_column": "what",
        "delimiter": ";",
        "image_folder": str(data / "pictures"),
    }
    monkeypatch.chdir(tmp_path)
    before = (run / "evaluation.json").read_bytes()
    assert main(["evaluate", str(run)]) == 0
    assert (run / "evaluation.json").read_bytes() == before
    assert main(["train", "-o", str(run), "--resume"]) == 0
    assert main(["train", "--config", str(run / "config.json"), "-o", str(tmp_path / "again")]) == 0
    assert (tmp_path / "again" / "split.csv").read_bytes() == (run / "split.csv").read_bytes()
    assert json.loads((tmp_path / "again" / "config.json").read_text("utf-8"))["table"] == config["table"]
    capsys.readouterr()
    assert main(["train", "-o", str(run), "--resume", "--label-column", "note"]) == 2
    assert "other table options than --label-column" in capsys.readouterr().err
    assert main(["evaluate", str(run), "--label-column", "what"]) == 2
    assert "name DATA" in capsys.readouterr().err


def test_other_tables_are_judged_and_unknown_labels_refused_by_name(tmp_path: Path, data: Path, run: Path) -> None:
    other = write_odd_table(data, tmp_path / "other")
    table = TableOptions(image_column="where", label_column="what", delimiter=";", image_folder=str(data / "pictures"))
    evaluation = distingo.evaluate(run, other, table=table)
    assert (evaluation.n, evaluation.task) == (80, "multi-label")
    assert json.loads((run / "evaluations" / "odd.csv" / "evaluation.json").read_text("utf-8"))["n"] == 80
    assert "80\N{NO-BREAK SPACE}test pictures" in (run / "evaluations" / "odd.csv" / "report.html").read_text("utf-8")
    text = other.read_text(encoding="utf-8").replace("large", "vast")
    other.write_text(text, encoding="utf-8")
    with raises(DataError, code="classes_differ", naming="vast"):
        distingo.evaluate(run, other, table=table)


def test_a_model_of_one_label_is_not_judged_on_several(tmp_path: Path, data: Path) -> None:
    run = distingo.train(draw_classes(tmp_path / "colours", names=LABELS), tmp_path / "run", model="descriptors")
    with raises(DataError, code="task_differs"):
        distingo.evaluate(run.path, data)


def test_images_with_one_label_each_can_judge_a_model_of_several(tmp_path: Path, run: Path) -> None:
    evaluation = distingo.evaluate(run, draw_classes(tmp_path / "colours", per_class=6, names=("large", "red")))
    assert evaluation.n == 12
    assert evaluation.left_out == ("round",)


def test_missing_images_stop_training_unless_allowed(tmp_path: Path) -> None:
    data = draw_labels(tmp_path / "shapes", count=64)
    for index in range(40):
        (data / "pictures" / f"{index:03}.png").unlink()
    with raises(DataError, code="missing_images"):
        distingo.train(data, tmp_path / "run", model="prevalence")
    assert not (tmp_path / "run").exists()
    run = distingo.train(data, tmp_path / "run", model="prevalence", allow_missing=True)
    assert distingo.evaluate(run.path) == run.evaluation  # the run remembers that images may be missing


def test_prediction_on_the_command_line(
    run: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    everything, nothing = str(data / "pictures" / "007.png"), str(data / "pictures" / "000.png")
    capsys.readouterr()
    assert main(["predict", str(run), everything, nothing]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert all(f"\t{label} " in first for label in LABELS)
    assert second == f"{nothing}\t(no label)"
    assert main(["predict", str(run), nothing, "--topk", "3"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert all(f"\t{label} " in line for label in LABELS)
    output = tmp_path / "out.csv"
    assert main(["predict", str(run), everything, nothing, "-o", str(output)]) == 0
    rows = list(csv.DictReader(output.open(encoding="utf-8")))
    assert set(rows[0]["labels"].split("|")) == set(LABELS)
    assert rows[1]["labels"] == rows[1]["label"] == ""


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"model": "majority"}, "option_not_applicable"),
        ({"model": "poster-cnn", "monitor": "validation_accuracy"}, "option_not_applicable"),
        ({"model": "poster-cnn", "class_weights": "balanced"}, "option_not_applicable"),
        ({"model": "poster-cnn", "loss": "cross-entropy"}, "option_not_applicable"),
        ({"model": "poster-cnn", "threshold_aim": "precision"}, "options_conflict"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_written(
    tmp_path: Path, data: Path, options: dict[str, str], code: ErrorCode
) -> None:
    with raises(UsageError, code=code):
        distingo.train(data, tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.data
def test_posters_are_judged_beside_their_frequencies(real_data: Path, tmp_path: Path) -> None:
    run = distingo.train(real_data / "posters" / "train.csv", tmp_path / "run", model="prevalence", max_pixels=10**8)
    scores = run.evaluation.scores
    assert run.evaluation.n == 720
    assert scores["mean_average_precision_macro"].value == pytest.approx(0.105, abs=0.02)
    assert scores["label_accuracy_of_nothing"].value > 0.88
    assert np.isfinite(scores["log_loss"].value)
    assert set(run.evaluation.left_out) >= {"Reality-TV"}
