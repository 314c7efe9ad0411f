from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from distingo.errors import RunError
from distingo.models.reference_data import build_calibration_set, load_calibration_set, save_calibration_set
from raising import raises

CHANCES = np.array([[0.7, 0.2, 0.1], [0.3, 0.6, 0.1], [0.2, 0.2, 0.6]], np.float32)


def test_one_label_per_image_gives_one_answer_and_one_truth_each() -> None:
    given = np.eye(3, dtype=bool)
    found = build_calibration_set(CHANCES, np.array([0, 0, 2]), given, np.array([0.3, 0.1, 0.2]))
    assert found.n == 3
    np.testing.assert_array_equal(found.owners, [0, 1, 2])
    np.testing.assert_allclose(found.confidences, [0.7, 0.6, 0.6])
    np.testing.assert_array_equal(found.right, [True, False, True])
    np.testing.assert_allclose(found.truths, [0.7, 0.3, 0.6])
    np.testing.assert_array_equal(found.weights, [1, 1, 1])
    np.testing.assert_array_equal(found.distances, [0.1, 0.2, 0.3])


def test_several_labels_share_a_image_s_weight() -> None:
    truth = np.array([[True, True, False], [False, False, False], [False, False, True]])
    found = build_calibration_set(CHANCES, truth, CHANCES >= 0.2, np.zeros(0))
    np.testing.assert_array_equal(found.owners, [0, 0, 1, 1, 2, 2, 2])
    np.testing.assert_array_equal(found.right, [True, True, False, False, False, False, True])
    np.testing.assert_allclose(found.weights, [0.5, 0.5, 1])
    assert found.n == 3


def test_evidence_comes_back(tmp_path: Path) -> None:
    calibration_set = build_calibration_set(
        CHANCES, np.array([0, 0, 2]), np.eye(3, dtype=bool), np.array([0.3, 0.1, 0.2])
    )
    save_calibration_set(tmp_path, calibration_set)
    loaded = load_calibration_set(tmp_path)
    assert loaded is not None
    for name in ("owners", "right", "confidences", "truths", "weights", "distances"):
        np.testing.assert_allclose(getattr(loaded, name), getattr(calibration_set, name), rtol=1e-6)


def test_none_is_none_and_damage_is_named(tmp_path: Path) -> None:
    assert load_calibration_set(tmp_path) is None
    save_calibration_set(
        tmp_path, build_calibration_set(CHANCES, np.array([0, 0, 2]), np.eye(3, dtype=bool), np.zeros(0))
    )
    path = tmp_path / "confidence.json"
    content = json.loads(path.read_text())
    content["given_labels"]["right"].pop()
    path.write_text(json.dumps(content))
    with raises(RunError, code="damaged_file", naming="confidence.json"):
        load_calibration_set(tmp_path)
