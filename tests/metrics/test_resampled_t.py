"""The corrected interval of a mean over folds."""

from __future__ import annotations

from math import inf, sqrt

import numpy as np
import pytest
from scipy import stats

from distingo.metrics.intervals import corrected_mean

SCORES = [0.80, 0.84, 0.79, 0.86, 0.81]


def test_it_is_the_formula_of_nadeau_and_bengio() -> None:
    found = corrected_mean(SCORES, [20] * 5, [80] * 5, n=100, bounds=(0.0, 1.0))
    error = sqrt((1 / 5 + 20 / 80) * np.var(SCORES, ddof=1))
    reach = stats.t.ppf(0.975, 4) * error
    assert found.value == pytest.approx(np.mean(SCORES))
    assert (found.low, found.high) == pytest.approx((found.value - reach, found.value + reach))
    assert found.n == 100


def test_it_is_wider_than_the_naive_interval_however_often_repeated() -> None:
    once = corrected_mean(SCORES, [20] * 5, [80] * 5, n=100, bounds=(0.0, 1.0))
    naive = stats.t.ppf(0.975, 4) * np.std(SCORES, ddof=1) / sqrt(5)
    assert once.high - once.value > 1.4 * naive
    often = corrected_mean(SCORES * 200, [20] * 1000, [80] * 1000, n=100, bounds=(0.0, 1.0))
    assert often.high - often.value > sqrt(0.25) * np.std(SCORES)


def test_it_ends_where_the_score_does() -> None:
    found = corrected_mean([0.99, 1.0, 0.9], [10] * 3, [20] * 3, n=30, bounds=(0.0, 1.0))
    assert found.high == 1.0
    assert corrected_mean([0.1, 3.0], [1, 1], [1, 1], n=2, bounds=(0.0, inf)).high > 3.0
    only = corrected_mean([0.7], [10], [20], n=30, bounds=(0.0, 1.0))
    assert (only.value, only.low, only.high) == (0.7, 0.0, 1.0)


def test_scores_without_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="one of each per fold"):
        corrected_mean([0.5, 0.6], [10], [20, 20], n=30, bounds=(0.0, 1.0))
