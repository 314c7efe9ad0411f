"""The machines taken out of scikit-learn decide as they did in it, and are calibrated."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from distingo.models.classic import SupportVectors, fit_support_vectors


def blobs(n: int, classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, n)
    features = generator.normal(size=(n, 6)) + 2 * np.eye(6)[labels]
    features[:, 5] = 7.0  # tells nothing and has no deviation
    return features.astype(np.float32), labels


@pytest.mark.parametrize("classes", [3, 5])
def test_decisions_are_scikit_learns(classes: int) -> None:
    features, labels = blobs(200, classes)
    unseen, _ = blobs(300, classes, seed=1)
    expected = make_pipeline(StandardScaler(), OneVsRestClassifier(SVC(C=3.0, gamma=1 / 6)))
    expected.fit(features.astype(np.float64), labels)

    machines = fit_support_vectors(features, labels, classes, regularization=3.0)

    np.testing.assert_allclose(machines.decide(unseen), expected.decision_function(unseen), atol=1e-6)


def test_two_classes_get_opposite_decisions() -> None:
    features, labels = blobs(100, 2)
    decisions = fit_support_vectors(features, labels, 2, regularization=1.0).decide(features)
    expected = make_pipeline(StandardScaler(), SVC(gamma=1 / 6)).fit(features.astype(np.float64), labels)
    np.testing.assert_allclose(decisions[:, 1], expected.decision_function(features), atol=1e-6)
    np.testing.assert_allclose(decisions[:, 0], -decisions[:, 1], atol=1e-2)  # libsvm stops at a tolerance


def test_probabilities_follow_the_decisions() -> None:
    features, labels = blobs(100, 4)
    machines = fit_support_vectors(features, labels, 4, regularization=1.0)
    probabilities = machines.predict_probabilities(features)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(probabilities.argmax(axis=1), machines.decide(features).argmax(axis=1))
    assert machines.predict_probabilities(features[:0]).shape == (0, 4)


def test_calibration_finds_the_least_log_loss() -> None:
    features, labels = blobs(150, 3)
    unseen, truth = blobs(400, 3, seed=1)
    calibrated = fit_support_vectors(features, labels, 3, regularization=10.0).calibrated(unseen, truth)

    def log_loss(sharpness: float) -> float:
        probabilities = replace(calibrated, sharpness=sharpness).predict_probabilities(unseen)
        return float(-np.log(probabilities[np.arange(400), truth]).mean())

    best = log_loss(calibrated.sharpness)
    assert all(best <= log_loss(sharpness) + 1e-7 for sharpness in np.geomspace(0.01, 20, 200))
    assert 0.02 < calibrated.sharpness < 19


def test_calibration_on_images_that_are_all_right_stays_finite() -> None:
    features, labels = blobs(60, 3)
    machines = fit_support_vectors(features, labels, 3, regularization=10.0)
    right = machines.decide(features).argmax(axis=1)
    probabilities = machines.calibrated(features, right).predict_probabilities(features)
    assert np.isfinite(probabilities).all()


def test_a_class_without_a_image_is_decided_against() -> None:
    features, labels = blobs(60, 2)
    machines = fit_support_vectors(features, labels, 3, regularization=1.0)
    np.testing.assert_array_equal(machines.decide(features)[:, 2], -1)


def test_damaged_arrays_are_refused() -> None:
    features, labels = blobs(60, 2)
    machines = fit_support_vectors(features, labels, 2, regularization=1.0)
    tensors = machines.to_tensors()
    with pytest.raises(ValueError, match="contradict"):
        SupportVectors.from_tensors({**tensors, "dual": tensors["dual"][1:]}, machines.settings())
    with pytest.raises(KeyError, match="gamma"):
        SupportVectors.from_tensors(tensors, {"sharpness": 1.0})


def several(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Four labels: one common, one rare, one that nobody has and one that all have."""
    generator = np.random.default_rng(seed)
    labels = generator.random((n, 4)) < np.array([0.4, 0.1, 0.0, 1.1])
    features = generator.normal(size=(n, 6))
    features[:, :2] += 1.5 * labels[:, :2]
    return features.astype(np.float32), labels


def test_independent_labels_are_scikit_learns_one_against_the_rest() -> None:
    features, labels = several(200)
    unseen, _ = several(100, seed=1)
    decisions = fit_support_vectors(features, labels, 4, regularization=1.0).decide(unseen)
    for label in (0, 1):
        expected = make_pipeline(StandardScaler(), SVC(gamma=1 / 6)).fit(features.astype(np.float64), labels[:, label])
        np.testing.assert_allclose(decisions[:, label], expected.decision_function(unseen), atol=1e-6)
    np.testing.assert_array_equal(decisions[:, 2:], [[-1, 1]] * 100)


def test_independent_probabilities_are_platts() -> None:
    features, labels = several(300)
    held_out, truth = several(400, seed=1)
    machines = fit_support_vectors(features, labels, 4, regularization=1.0)
    calibrated = machines.calibrated(held_out, truth)
    probabilities = calibrated.predict_probabilities(held_out)
    for label in (0, 1):
        # the same by gradient: each image counts for yes and for no, as much as its target says
        positives = truth[:, label].sum()
        targets = np.where(truth[:, label], (positives + 1) / (positives + 2), 1 / (400 - positives + 2))
        decisions = machines.decide(held_out)[:, [label]]
        platt = LogisticRegression(C=1e9, tol=1e-10, max_iter=1000).fit(
            np.tile(decisions, (2, 1)), np.repeat([1, 0], 400), np.concatenate([targets, 1 - targets])
        )
        np.testing.assert_allclose(probabilities[:, label], platt.predict_proba(decisions)[:, 1], atol=1e-3)
    assert probabilities[:, 2].max() < 0.01
    assert probabilities[:, 3].min() > 0.99
    again = SupportVectors.from_tensors(calibrated.to_tensors(), calibrated.settings())
    np.testing.assert_array_equal(again.predict_probabilities(held_out), probabilities)


def test_machines_saved_before_there_were_several_labels_are_exclusive() -> None:
    machines = fit_support_vectors(*blobs(60, 2), 2, regularization=1.0)
    assert machines.settings().keys() == {"gamma", "sharpness"}
    assert SupportVectors.from_tensors(machines.to_tensors(), machines.settings()).exclusive
