"""Scores of resamples are the scores of images drawn with repetition."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from distingo.experiments.curve_measuring import SubsetPredictions
from distingo.experiments.forecasting import resample_curves


def told(n: int = 200, draws: int = 1, *, several: bool = False) -> SubsetPredictions:
    generator = np.random.default_rng(3)
    images, numbers = np.tile(np.arange(n), draws), np.repeat(np.arange(draws), n)
    truth = np.arange(n) % 3
    targets = np.eye(3, dtype=bool)[truth] if several else truth
    sharpness = np.array([0.5, 1.0, 2.0])[:, None, None]
    noise = generator.normal(size=(3, n * draws, 3))
    raw = np.exp(sharpness * np.eye(3)[np.tile(truth, draws)] + noise)
    probabilities = (raw / raw.sum(axis=2, keepdims=True)).astype(np.float32)
    return SubsetPredictions((10, 20, 40), images, numbers, np.tile(targets.T, draws).T, probabilities)


def test_the_points_are_accuracy_and_recall() -> None:
    measured = told()
    curves = resample_curves(measured, "single-label")
    right = measured.probabilities.argmax(axis=2) == measured.truth
    np.testing.assert_allclose(curves.overall.points, right.mean(axis=1))
    for number, curve in enumerate(curves.classes):
        assert curve is not None
        np.testing.assert_allclose(curve.points, right[:, measured.truth == number].mean(axis=1))


def test_resamples_vary_as_a_share_of_so_many_does() -> None:
    curves = resample_curves(told(), "single-label", resamples=2000)
    share = curves.overall.points[1]
    assert curves.overall.resampled[:, 1].std() == pytest.approx(np.sqrt(share * (1 - share) / 200), rel=0.1)


def test_draws_on_the_same_images_vary_too() -> None:
    shared, alone = told(draws=3), told()
    assert resample_curves(shared, "single-label").overall.resampled.shape == (400, 3)
    widths = [resample_curves(each, "single-label", resamples=1500).overall.resampled.std() for each in (shared, alone)]
    assert all(width > 0 for width in widths)


def test_labels_have_average_precision() -> None:
    measured = told(several=True)
    curves = resample_curves(measured, "multi-label", resamples=20)
    expected = [
        [average_precision_score(measured.truth[:, label], size[:, label]) for label in range(3)]
        for size in measured.probabilities
    ]
    np.testing.assert_allclose(curves.overall.points, np.mean(expected, axis=1), rtol=1e-6)
    assert curves.classes[2] is not None
    np.testing.assert_allclose(curves.classes[2].points, np.array(expected)[:, 2], rtol=1e-6)


def test_a_class_that_nobody_has_has_no_curve() -> None:
    measured = told()
    wider = np.concatenate([measured.probabilities, np.zeros((3, 200, 1), np.float32)], axis=2)
    wide = SubsetPredictions(measured.sizes, measured.images, measured.draws, measured.truth, wider)
    assert resample_curves(wide, "single-label").classes[3] is None
