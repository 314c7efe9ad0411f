from __future__ import annotations

import numpy as np
import pytest

from distingo.metrics.calibration import risk_coverage
from distingo.metrics.conformal import GivenLabels


def test_one_label_each_is_the_running_share_of_mistakes() -> None:
    generator = np.random.default_rng(0)
    chances, right = generator.random(80), generator.random(80) < 0.7
    found = risk_coverage(GivenLabels(np.arange(80), chances, right), 80)
    order = np.argsort(-chances)
    errors = np.cumsum(~right[order]) / np.arange(1, 81)
    np.testing.assert_allclose(found.error, errors)
    np.testing.assert_allclose(found.coverage, np.arange(1, 81) / 80)
    assert found.area.value == pytest.approx(errors.mean())
    assert found.area.low < found.area.value < found.area.high


def test_several_labels_follow_the_errors_of_answers() -> None:
    generator = np.random.default_rng(1)
    owners = generator.integers(0, 30, 100)
    labels = GivenLabels(owners, generator.random(100), generator.random(100) < 0.6)
    found = risk_coverage(labels, 40)
    for place, threshold in enumerate(-np.sort(-labels.confidences)):
        errors = labels.errors(threshold)
        assert found.error[place] == pytest.approx(errors.mean())
        assert found.coverage[place] == pytest.approx(len(errors) / 40)


def test_equal_probabilities_are_one_point() -> None:
    found = risk_coverage(GivenLabels(np.arange(4), np.full(4, 0.5), np.array([True, False, True, False])), 4)
    assert found.coverage.tolist() == [1.0]
    assert found.error.tolist() == [0.5]


def test_no_labels_have_no_curve() -> None:
    with pytest.raises(ValueError, match="no picture"):
        risk_coverage(GivenLabels(np.zeros(0, np.int64), np.zeros(0), np.zeros(0, bool)), 3)


def test_the_interval_of_the_area_is_symmetric_on_the_logarithm() -> None:
    generator = np.random.default_rng(3)
    sure = generator.uniform(0.5, 1, 400)
    right = generator.random(400) < sure
    area = risk_coverage(GivenLabels(np.arange(400), sure, right), 400).area
    assert area.low * area.high == pytest.approx(area.value**2)
    assert not area.too_few
    right[np.flatnonzero(~right)[9:]] = True
    assert risk_coverage(GivenLabels(np.arange(400), sure, right), 400).area.too_few  # nine mistakes
