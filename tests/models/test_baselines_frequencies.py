from __future__ import annotations

import json

import numpy as np
import pytest
from safetensors.numpy import load, save
from sklearn.dummy import DummyClassifier
from sklearn.metrics import average_precision_score

from distingo.models.baselines import FrequencyClassifier, MajorityClassifier, fit_majority, fit_prevalence


def test_probabilities_are_the_class_frequencies() -> None:
    labels = np.array([2, 0, 2, 2, 0, 1, 2, 2])
    probabilities = fit_majority(labels, 4).predict_probabilities(np.zeros((3, 52)))

    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities, [[0.25, 0.125, 0.625, 0]] * 3)
    dummy = DummyClassifier(strategy="prior").fit(np.zeros((8, 1)), labels)
    np.testing.assert_allclose(probabilities[:, :3], dummy.predict_proba(np.zeros((3, 1))), atol=1e-7)


def test_it_comes_back_from_its_tensors() -> None:
    majority = fit_majority(np.arange(7) % 3, 3)
    tensors = load(save(majority.to_tensors()))
    again = MajorityClassifier.from_tensors(tensors, json.loads(json.dumps(majority.settings())))
    np.testing.assert_array_equal(again.frequencies, majority.frequencies)


def test_no_images_are_predicted_as_none() -> None:
    assert fit_majority([0, 1], 2).predict_probabilities(np.zeros((0, 52))).shape == (0, 2)


@pytest.mark.parametrize("labels", [[], [0, 3], [-1, 0]])
def test_labels_that_are_no_classes_are_refused(labels: list[int]) -> None:
    with pytest.raises(ValueError, match=r"0 \.\. 2"):
        fit_majority(np.array(labels, dtype=np.int64), 3)


@pytest.mark.parametrize("frequencies", [[0.5, 0.6], [1.5, -0.5], [[1.0]]])
def test_damaged_frequencies_are_refused(frequencies: list[float]) -> None:
    with pytest.raises(ValueError, match="frequencies"):
        MajorityClassifier.from_tensors({"frequencies": np.array(frequencies)}, {})


TARGETS = np.array([[1, 0, 1], [0, 0, 1], [1, 0, 1], [0, 1, 1]])


def test_probabilities_are_the_label_frequencies() -> None:
    probabilities = fit_prevalence(TARGETS).predict_probabilities(np.zeros((2, 52)))
    assert probabilities.dtype == np.float32
    np.testing.assert_array_equal(probabilities, [[0.5, 0.25, 1.0]] * 2)
    assert fit_prevalence(TARGETS.astype(bool)).predict_probabilities(np.zeros((0, 5))).shape == (0, 3)


def test_average_precision_is_the_prevalence() -> None:
    probabilities = fit_prevalence(TARGETS).predict_probabilities(np.zeros((4, 5)))
    assert average_precision_score(TARGETS, probabilities, average=None) == pytest.approx(TARGETS.mean(axis=0))


def test_it_comes_back_from_its_tensors_of_prevalence() -> None:
    prevalence = fit_prevalence(TARGETS)
    tensors = load(save(prevalence.to_tensors()))
    again = FrequencyClassifier.from_tensors(tensors, json.loads(json.dumps(prevalence.settings())))
    np.testing.assert_array_equal(again.frequencies, prevalence.frequencies)


@pytest.mark.parametrize("targets", [np.zeros((0, 3)), [0, 1, 1], [[0, 2]]])
def test_targets_that_are_no_table_of_labels_are_refused(targets: object) -> None:
    with pytest.raises(ValueError, match="of 0 and 1"):
        fit_prevalence(targets)


@pytest.mark.parametrize("frequencies", [[0.5, 1.5], [-0.1], [[1.0]], [np.nan]])
def test_damaged_frequencies_are_refused_of_prevalence(frequencies: list[float]) -> None:
    with pytest.raises(ValueError, match="frequencies"):
        FrequencyClassifier.from_tensors({"frequencies": np.array(frequencies)}, {})
