from __future__ import annotations

import numpy as np
import pytest

from distingo.metrics.calibration import evaluate_calibration, risk_coverage
from distingo.metrics.conformal import PredictedLabels


def sigmoid(values: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-values))


def draw(n: int, seed: int, *, slope: float) -> tuple[np.ndarray, np.ndarray, float]:
    generator = np.random.default_rng(seed)
    logits = np.abs(generator.normal(2, 1.5, n))
    predicted, true = sigmoid(logits), sigmoid(logits / slope)
    return predicted, generator.random(n) < true, float(np.abs(predicted - true).mean())


def test_perfect_probabilities_have_no_error_however_few_images() -> None:
    found = [evaluate_calibration(*draw(150, seed, slope=1.0)[:2], draws=300).error for seed in range(40)]
    assert np.median([score.value for score in found]) < 0.02
    assert np.mean([score.low == 0 for score in found]) > 0.9


def test_the_interval_holds_the_true_error() -> None:
    inside = []
    for seed in range(40):
        predicted, right, true = draw(300, seed, slope=2.0)
        score = evaluate_calibration(predicted, right, draws=300).error
        inside.append(score.low <= true <= score.high)
    assert np.mean(inside) >= 0.85


def test_many_images_show_the_error_itself() -> None:
    predicted, right, true = draw(20_000, 0, slope=2.0)
    score = evaluate_calibration(predicted, right).error
    assert score.value == pytest.approx(true, abs=0.01)
    assert score.n == 20_000


def test_bins_hold_equally_many_and_equal_probabilities_stay_together() -> None:
    predicted, right, _ = draw(600, 0, slope=1.0)
    bins = evaluate_calibration(predicted, right).bins
    assert [entry.count for entry in bins] == [40] * 15
    assert all(entry.low <= entry.frequency <= entry.high for entry in bins)
    (one,) = evaluate_calibration(np.full(100, 0.7), np.arange(100) < 60).bins
    assert (one.count, one.probability, one.frequency) == (100, pytest.approx(0.7), 0.6)
    assert len(evaluate_calibration(predicted[:5], right[:5]).bins) == 1


def test_labels_of_one_image_count_as_one_piece_of_news() -> None:
    """Ten copies of the same label are no better known than one."""
    predicted, right, _ = draw(200, 0, slope=2.0)
    once = evaluate_calibration(predicted, right).error
    often = evaluate_calibration(np.tile(predicted[:, None], 10), np.tile(right[:, None], 10)).error
    assert often.n == 200
    assert often.high - often.low == pytest.approx(once.high - once.low, rel=0.35)


def test_arrays_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="truth of shape"):
        evaluate_calibration(np.ones(3), np.ones(2, bool))


def test_one_label_each_is_the_running_share_of_mistakes() -> None:
    generator = np.random.default_rng(0)
    chances, right = generator.random(80), generator.random(80) < 0.7
    found = risk_coverage(PredictedLabels(np.arange(80), chances, right), 80)
    order = np.argsort(-chances)
    errors = np.cumsum(~right[order]) / np.arange(1, 81)
    np.testing.assert_allclose(found.error, errors)
    np.testing.assert_allclose(found.coverage, np.arange(1, 81) / 80)
    assert found.area.value == pytest.approx(errors.mean())
    assert found.area.low < found.area.value < found.area.high


def test_several_labels_follow_the_errors_of_answers() -> None:
    generator = np.random.default_rng(1)
    owners = generator.integers(0, 30, 100)
    labels = PredictedLabels(owners, generator.random(100), generator.random(100) < 0.6)
    found = risk_coverage(labels, 40)
    for place, threshold in enumerate(-np.sort(-labels.confidences)):
        errors = labels.errors(threshold)
        assert found.error[place] == pytest.approx(errors.mean())
        assert found.coverage[place] == pytest.approx(len(errors) / 40)


def test_equal_probabilities_are_one_point() -> None:
    found = risk_coverage(PredictedLabels(np.arange(4), np.full(4, 0.5), np.array([True, False, True, False])), 4)
    assert found.coverage.tolist() == [1.0]
    assert found.error.tolist() == [0.5]


def test_no_labels_have_no_curve() -> None:
    with pytest.raises(ValueError, match="no picture"):
        risk_coverage(PredictedLabels(np.zeros(0, np.int64), np.zeros(0), np.zeros(0, bool)), 3)


def test_the_interval_of_the_area_is_symmetric_on_the_logarithm() -> None:
    generator = np.random.default_rng(3)
    sure = generator.uniform(0.5, 1, 400)
    right = generator.random(400) < sure
    area = risk_coverage(PredictedLabels(np.arange(400), sure, right), 400).area
    assert area.low * area.high == pytest.approx(area.value**2)
    assert not area.too_few
    right[np.flatnonzero(~right)[9:]] = True
    assert risk_coverage(PredictedLabels(np.arange(400), sure, right), 400).area.too_few  # nine mistakes
