"""Evaluation of a model's confidence."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from distingo.errors import RunError
from distingo.evaluation.scores import evaluate_confidence
from distingo.models.description import ModelDescription
from distingo.models.reference_data import Calibration, build_bank, build_calibration_set
from distingo.models.saved import SavedModel
from distingo.prediction.classifier import Outputs, to_probabilities
from distingo.records import LabeledImage, Source
from distingo.runs.evaluation import read_confidence, write_confidence
from raising import raises

CLASSES = ("a", "b", "c")
TOO_SURE = 3.0


def draw(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Logits three times as large as they should be, and the truth."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(size=(n, 3)) * 2
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return TOO_SURE * logits, np.array([generator.choice(3, p=row) for row in chances])


def features(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(loc=1, size=(n, 8)).astype(np.float32)


@pytest.fixture
def model() -> SavedModel:
    description = ModelDescription(
        "small-cnn", "network", "single-label", CLASSES, calibration=Calibration(1 / TOO_SURE, (0.0, 0.0, 0.0))
    )
    bank = build_bank(features(200, 0), tuple(f"{number:032x}" for number in range(200)), unit=True)
    logits, truth = draw(400, 1)
    said = to_probabilities(SavedModel(description), logits)
    given = np.arange(3) == said.argmax(axis=1)[:, None]
    calibration_set = build_calibration_set(said, truth, given, bank.distances(features(400, 2)))
    return SavedModel(description, bank=bank, calibration_set=calibration_set)


def images(truth: np.ndarray) -> list[LabeledImage]:
    return [
        LabeledImage(Source(f"{place}.png", Path(f"{place}.png")), (CLASSES[number],), f"{place}", "PNG", 8, 8)
        for place, number in enumerate(truth.tolist())
    ]


def test_promises_are_held_against_what_came_true(model: SavedModel) -> None:
    logits, truth = draw(1500, 3)
    seen = features(1500, 4)
    seen[:5] *= -1
    found = evaluate_confidence(model, images(truth), Outputs(logits, seen))
    assert found.before is not None
    assert found.before.error.value > 0.1 > 0.04 > found.after.error.value
    right = logits.argmax(axis=1) == truth
    assert found.curve[-1] == pytest.approx((1.0, 1 - right.mean()))
    for sets in found.sets:
        assert sets.covered is not None
        assert sets.covered.value == pytest.approx(sets.wanted, abs=0.04)
    loosest = found.answers[-1]
    assert loosest.threshold is not None
    chances = to_probabilities(model, logits).max(axis=1)
    assert loosest.answered == pytest.approx((chances >= loosest.threshold).mean())
    assert loosest.error is not None
    assert loosest.error.value == pytest.approx(1 - right[chances >= loosest.threshold].mean())
    assert found.outliers is not None
    assert found.outliers.alarms == 0.01
    assert {f"{number}.png" for number in range(5)} <= set(found.outliers.files)


def test_it_comes_back_from_the_run(model: SavedModel, tmp_path: Path) -> None:
    logits, truth = draw(120, 3)
    found = evaluate_confidence(model, images(truth), Outputs(logits, features(120, 4)))
    write_confidence(tmp_path, found)
    assert read_confidence(tmp_path) == found
    path = tmp_path / "confidence.json"
    content = json.loads(path.read_text())
    del content["sets"]
    path.write_text(json.dumps(content))
    with raises(RunError, code="damaged_file"):
        read_confidence(tmp_path)
    assert read_confidence(tmp_path / "nowhere") is None
