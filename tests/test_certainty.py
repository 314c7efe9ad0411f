"""How sure a model may be, from training to predictions and the page, with every kind of model."""

from __future__ import annotations

import csv
import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

import distingo
from distingo.cli import main
from distingo.errors import UsageError
from distingo.models.saved import load_bank, load_model
from distingo.prediction.naming import certainty_thresholds, possible_levels
from distingo.runs.evaluation import read_confidence
from raising import raises
from tiny_backbones import write_backbone
from tiny_datasets import draw_classes, draw_labels
from tiny_runs import change_json

QUICK = {"image_size": 16, "epochs": 2, "batch_size": 16}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_classes(tmp_path_factory.mktemp("data") / "colours", per_class=70)


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    distingo.train(data, folder, model="descriptors")
    return folder


@pytest.mark.parametrize("name", ["descriptors", "small-cnn", "frozen", "finetune"])
def test_every_kind_of_model_is_calibrated_and_knows_its_training(tmp_path: Path, data: Path, name: str) -> None:
    recipes: dict[str, dict[str, Any]] = {
        "descriptors": {"model": "descriptors"},
        "small-cnn": {"model": "small-cnn", **QUICK},
        "frozen": {"engine": "torch"},
        "finetune": {"engine": "torch", "mode": "finetune", "epochs": 1, "batch_size": 16},
    }
    recipe = recipes[name]
    if "model" not in recipe:
        recipe = {**recipe, "model": str(write_backbone(tmp_path / "tiny"))}
    distingo.train(data, tmp_path / "run", **recipe)
    model = load_model(tmp_path / "run" / "model")
    assert model.description.calibration is not None
    assert set(model.description.calibration.offsets) == {0.0}
    assert model.calibration_set is not None
    assert model.bank is not None
    split = list(csv.DictReader((tmp_path / "run" / "split.csv").open(encoding="utf-8")))
    manifest = list(csv.DictReader((tmp_path / "run" / "manifest.csv").open(encoding="utf-8")))
    contents = {row["file"]: row["content"] for row in manifest}
    splits = {row["file"]: row["split"] for row in split}
    assert sorted(model.bank.contents) == sorted(
        contents[file] for file, split_name in splits.items() if split_name == "train"
    )
    counts = Counter(splits.values())
    assert len(model.calibration_set.distances) == counts["validation"] == 30
    folded = name in {"descriptors", "frozen"}
    assert (model.calibration_set.n, model.calibration_set.folds) == ((counts["train"] + 30, 5) if folded else (30, 0))
    evaluated = read_confidence(tmp_path / "run")
    assert evaluated is not None
    assert evaluated.outliers is not None
    seen = [data / file for file, split_name in splits.items() if split_name == "train"][:8]
    assert not any(prediction.unlike for prediction in distingo.load(tmp_path / "run").predict(seen))


def test_predict_answers_makes_sets_and_reports_what_is_unlike(
    run: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    strange = tmp_path / "strange.png"
    Image.fromarray((np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)).save(strange)
    image = data / "red" / "000.png"
    options = ["--abstain", "0.15", "--coverage", "0.9"]
    assert main(["predict", str(run), str(image), str(strange), *options]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert "{red}" in first
    assert "unlike" not in first
    assert second.endswith("(unlike anything in training)")
    for ending in ("csv", "jsonl", "parquet"):
        out = str(tmp_path / f"out.{ending}")
        assert main(["predict", str(run), str(image), str(strange), *options, "-o", out]) == 0
    (red, odd) = csv.DictReader((tmp_path / "out.csv").open(encoding="utf-8"))
    assert (red["abstained"], red["prediction_set"], red["unlike"], odd["unlike"]) == ("no", "red", "no", "yes")
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text("utf-8").splitlines()]
    for found in (lines, pq.read_table(tmp_path / "out.parquet").to_pylist()):
        assert (found[0]["abstained"], found[0]["prediction_set"]) == (False, ["red"])
        assert [row["unlike"] for row in found] == [False, True]


def test_levels_beyond_the_validation_images_are_refused(run: Path, data: Path) -> None:
    predictor, image = distingo.load(run), data / "red" / "000.png"
    with raises(UsageError, code="unreachable_guarantee", parameter="abstain"):
        predictor.predict(image, abstain=0.001)
    with raises(UsageError, code="unreachable_guarantee", parameter="coverage"):
        predictor.predict(image, coverage=0.999)
    with raises(UsageError, code="out_of_range", parameter="abstain"):
        predictor.predict(image, abstain=2.0)


def test_the_levels_that_are_reported_to_be_possible_are_granted_and_no_others(run: Path) -> None:
    model = load_model(run / "model")
    levels = possible_levels(model)
    assert levels.abstain_from is not None and levels.coverage_to is not None
    assert (
        certainty_thresholds(model, abstain=levels.abstain_from, coverage=levels.coverage_to).set_probability
        is not None
    )
    with raises(UsageError, code="unreachable_guarantee", parameter="abstain"):
        certainty_thresholds(model, abstain=levels.abstain_from - 0.001)
    with raises(UsageError, code="unreachable_guarantee", parameter="coverage"):
        certainty_thresholds(model, coverage=levels.coverage_to + 0.001)


def test_the_page_states_how_sure_it_may_be(run: Path) -> None:
    page = (run / "report.html").read_text(encoding="utf-8")
    for words in ("How confident it may be", "Before calibration", "After calibration", "I don’t know", "can’t hold"):
        assert words in page


def test_a_model_of_an_older_version_still_predicts(run: Path, data: Path, tmp_path: Path) -> None:
    old = Path(shutil.copytree(run, tmp_path / "old"))
    change_json(old / "model" / "model.json", lambda content: content.pop("calibration"))
    for name in ("bank.safetensors", "confidence.json"):
        (old / "model" / name).unlink()
    (old / "confidence.json").unlink()
    (prediction,) = distingo.load(old).predict(data / "red" / "000.png")
    assert (prediction.label, prediction.unlike, prediction.abstained) == ("red", None, None)
    assert load_bank(old / "model") is None
    with raises(UsageError, code="no_calibration", parameter="abstain"):
        distingo.load(old).predict(data / "red" / "000.png", abstain=0.1)
    assert "How confident it may be" not in distingo.write_report(old).read_text(encoding="utf-8")
    distingo.evaluate(old)
    evaluated = read_confidence(old)
    assert evaluated is not None
    assert (evaluated.validation, evaluated.before, evaluated.answers, evaluated.sets, evaluated.outliers) == (
        0,
        None,
        (),
        (),
        None,
    )


def test_several_labels_have_sets_and_answers_too(tmp_path: Path) -> None:
    data = draw_labels(tmp_path / "shapes", count=200)
    run = distingo.train(data / "labels.csv", tmp_path / "run", model="descriptors")
    evaluated = read_confidence(run.path)
    assert evaluated is not None
    assert evaluated.before is not None
    assert evaluated.sets[1].covered is not None
    assert evaluated.sets[1].covered.value > 0.6
    predictor = distingo.load(run.path)
    images = sorted((data / "pictures").iterdir())[:40]
    plain = predictor.predict(images)
    sure = predictor.predict(images, abstain=0.35, coverage=0.9)
    for before, after in zip(plain, sure, strict=True):
        assert set(after.given or ()) <= set(before.given or ())
        assert after.abstained == bool(before.given and not after.given)
        assert after.prediction_set is not None


def test_a_model_that_uses_no_image_claims_nothing(data: Path, tmp_path: Path) -> None:
    run = distingo.train(data, tmp_path / "run", model="majority")
    model = load_model(run.path / "model")
    assert (model.description.calibration, model.bank, model.calibration_set) == (None, None, None)
    assert distingo.load(run.path).predict(data / "red" / "000.png")[0].unlike is None
