from __future__ import annotations

import numpy as np
import pytest
from scipy import special

from distingo.metrics.logits import as_probabilities, fit_calibration, log_softmax, sigmoid, softmax


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_activations_are_scipys_and_keep_the_type(kind: type) -> None:
    logits = np.random.default_rng(0).normal(scale=30, size=(50, 4)).astype(kind)
    close = {"rtol": 1e-5 if kind is np.float32 else 1e-12, "atol": 1e-6 if kind is np.float32 else 1e-15}
    for found, expected in (
        (softmax(logits), special.softmax(logits, axis=1)),
        (log_softmax(logits), special.log_softmax(logits, axis=1)),
        (sigmoid(logits), special.expit(logits)),
    ):
        assert found.dtype == kind
        np.testing.assert_allclose(found, expected, **close)


def test_no_logit_overflows() -> None:
    logits = np.array([[1e4, -1e4, 0.0]])
    with np.errstate(all="raise", under="ignore"):
        np.testing.assert_array_equal(softmax(logits), [[1, 0, 0]])
        np.testing.assert_array_equal(sigmoid(logits), [[1, 0, 0.5]])


def test_probabilities_are_single_precision_and_sum_to_one() -> None:
    logits = np.array([[0.0, 1.0, 2.0]], np.float32)
    probabilities = as_probabilities(logits, "single-label")
    assert probabilities.dtype == np.float32
    assert probabilities.sum() == pytest.approx(1)
    np.testing.assert_allclose(as_probabilities(logits, "multi-label"), special.expit(logits), rtol=1e-6)


def test_the_slope_is_the_one_of_least_log_loss() -> None:
    generator = np.random.default_rng(0)
    targets = generator.integers(0, 3, 5000)
    logits = 2 * generator.normal(size=(5000, 3))
    targets = np.array([generator.choice(3, p=row) for row in softmax(logits)])
    slope, offsets = fit_calibration(logits / 10, targets)
    assert slope == pytest.approx(10, rel=0.1)
    assert not offsets.any()


def test_few_images_without_a_mistake_give_no_certainty() -> None:
    slope, _ = fit_calibration(np.eye(3), np.arange(3))
    chances = softmax(slope * np.eye(3))
    assert 0.7 < chances[0, 0] < 0.95


def test_labels_get_their_frequencies_and_borrow_the_slope() -> None:
    generator = np.random.default_rng(0)
    margins = generator.normal(size=(4000, 3))
    true_offsets = np.array([-1.0, 0.5, -3.0])
    targets = (generator.random((4000, 3)) < sigmoid(2.5 * margins + true_offsets)).astype(np.float32)
    slope, offsets = fit_calibration(margins, targets)
    assert slope == pytest.approx(2.5, rel=0.1)
    np.testing.assert_allclose(offsets, true_offsets, atol=0.25)


def test_a_label_that_no_image_has_stays_possible() -> None:
    margins = np.random.default_rng(0).normal(size=(20, 2))
    targets = np.stack([margins[:, 0] > 0, np.zeros(20)], axis=1).astype(np.float32)
    slope, offsets = fit_calibration(margins, targets)
    chances = sigmoid(slope * margins + offsets)
    assert np.isfinite(log_softmax(chances)).all()
    assert 0.001 < chances[:, 1].mean() < 0.15
