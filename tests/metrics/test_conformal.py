from __future__ import annotations

import numpy as np
import pytest

from distingo.metrics.conformal import prediction_sets, set_threshold, upper_threshold


def plain_threshold(truths: np.ndarray, weights: np.ndarray, n: int, coverage: float) -> float:
    """The highest probability at which what is missed stays within what conformal risk control allows."""
    fits = [
        value
        for value in truths
        if (weights[truths < value].sum() / n) * n / (n + 1) + 1 / (n + 1) <= 1 - coverage + 1e-12
    ]
    return max(fits)


@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.9, 0.96])
def test_the_threshold_is_that_of_a_plain_search(coverage: float) -> None:
    generator = np.random.default_rng(0)
    truths = generator.random(60).round(2)
    ones = np.ones(60)
    assert set_threshold(truths, ones, 60, coverage) == plain_threshold(truths, ones, 60, coverage)
    shares = np.repeat([0.25, 0.5, 1.0], 20)
    assert set_threshold(truths, shares, 40, coverage) == plain_threshold(truths, shares, 40, coverage)


def test_sets_hold_the_truth_as_often_as_asked_for() -> None:
    generator = np.random.default_rng(1)
    found = []
    for _ in range(400):
        logits = generator.normal(size=(120, 5)) * 1.5
        chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        truth = np.array([generator.choice(5, p=row) for row in chances])
        own = chances[np.arange(120), truth]
        threshold = set_threshold(own[:100], np.ones(100), 100, 0.9)
        assert threshold is not None
        found.append(prediction_sets(chances[100:], threshold)[np.arange(20), truth[100:]].mean())
    assert np.mean(found) == pytest.approx(0.9, abs=0.015)


def test_too_few_pictures_vouch_for_nothing() -> None:
    assert set_threshold(np.full(28, 0.9), np.ones(28), 28, 0.95) is None
    assert set_threshold(np.full(29, 0.9), np.ones(29), 29, 0.95) == 0.9
    assert set_threshold(np.zeros(0), np.zeros(0), 30, 0.5) is None


def test_pictures_without_labels_miss_nothing() -> None:
    truths = np.array([0.1, 0.8, 0.9])
    assert set_threshold(truths, np.ones(3), 30, 0.9) == 0.9
    assert set_threshold(truths, np.ones(3), 29, 0.9) == 0.8
    assert set_threshold(truths, np.ones(3), 3, 0.6) == 0.1


def test_levels_and_arrays_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match=r"coverage 1\.5"):
        set_threshold(np.ones(3), np.ones(3), 3, 1.5)
    with pytest.raises(ValueError, match="3 probabilities with 2 weights"):
        set_threshold(np.ones(3), np.ones(2), 3, 0.5)


def test_alarms_are_as_rare_as_asked_for_or_as_can_be() -> None:
    scores = np.arange(199.0)
    threshold, rate = upper_threshold(scores, 0.01)
    assert (threshold, rate) == (197.0, 0.01)
    threshold, rate = upper_threshold(np.arange(45.0), 0.01)
    assert (threshold, rate) == (44.0, 1 / 46)
    generator = np.random.default_rng(2)
    alarms = [(generator.random(50) > upper_threshold(generator.random(199), 0.01)[0]).mean() for _ in range(2000)]
    assert np.mean(alarms) == pytest.approx(0.01, abs=0.002)
