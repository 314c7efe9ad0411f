from __future__ import annotations

import numpy as np
import pytest

from distingo.models.reference_data import CalibrationSet, build_calibration_set
from distingo.serving.metrics import WINDOW, ScoreWindow, bin_scores, chance_limit, stability_index


def evidence_of(scores: np.ndarray) -> CalibrationSet:
    probabilities = np.stack([scores, 1 - scores], axis=1)
    return build_calibration_set(probabilities, np.zeros(len(scores), np.int64), probabilities > 0.5, np.empty(0))


def test_bins_hold_about_as_many_scores_each() -> None:
    bins = bin_scores(evidence_of(np.random.default_rng(1).uniform(0.5, 1, 400)))
    assert bins is not None
    assert bins.expected.sum() == 400 and len(bins.expected) == 10
    assert bins.expected.min() >= 38 and bins.expected.max() <= 42
    assert bins.find(0.0) == 0 and bins.find(1.0) == 9


def test_there_are_no_bins_without_scores_or_where_all_are_the_same() -> None:
    assert bin_scores(None) is None
    assert bin_scores(evidence_of(np.full(15, 0.9))) is None
    assert bin_scores(evidence_of(np.full(500, 0.9))) is None


def test_the_index_is_the_published_one() -> None:
    before, now = np.array([50.0, 30, 20]), np.array([20.0, 30, 50])
    assert stability_index(before, now) == pytest.approx(0.6 * np.log(2.5))
    assert stability_index(before, 10 * before) == 0
    assert np.isfinite(stability_index(before, np.array([100.0, 0, 0])))


def test_chance_exceeds_its_limit_about_once_in_a_hundred() -> None:
    generator = np.random.default_rng(5)
    shares = np.full(10, 0.1)
    above = 0
    for _ in range(2000):
        before, now = generator.multinomial(300, shares), generator.multinomial(1000, shares)
        above += stability_index(before, now) > chance_limit(before, now)
    assert 0.004 < above / 2000 < 0.022


def test_the_window_forgets_what_is_old() -> None:
    bins = bin_scores(evidence_of(np.random.default_rng(1).uniform(0.5, 1, 100)))
    assert bins is not None
    window = ScoreWindow(bins)
    counts: dict[int, int] = {}
    for _ in range(WINDOW):
        counts.update(window.add(0.5))
    assert counts == {0: WINDOW}
    for _ in range(10):
        counts.update(window.add(1.0))
    assert counts == {0: WINDOW - 10, len(bins.expected) - 1: 10}
