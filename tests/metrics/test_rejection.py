from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from distingo.metrics.conformal import GivenLabels, answer_threshold, binomial_cdf, lowest_error


def draw(n: int, seed: int) -> GivenLabels:
    generator = np.random.default_rng(seed)
    chances = 1 / (1 + np.exp(-np.abs(generator.normal(4, 2, n))))
    return GivenLabels(np.arange(n), chances, generator.random(n) < chances)


def test_an_answer_is_wrong_by_the_share_of_its_labels() -> None:
    labels = GivenLabels(
        np.array([0, 0, 1, 3, 3]), np.array([0.9, 0.6, 0.7, 0.8, 0.2]), np.array([True, False, False, True, False])
    )
    np.testing.assert_allclose(labels.surest(), [0.9, 0.8, 0.7])
    np.testing.assert_allclose(labels.errors(0.65), [0, 1, 0])
    np.testing.assert_allclose(labels.errors(0.0), [0.5, 1, 0.5])
    assert labels.errors(0.95).size == 0


def test_promises_are_broken_in_no_more_than_one_draw_of_twenty() -> None:
    chances = np.sort(draw(100_000, 0).confidences)[::-1]
    risk = np.cumsum(1 - chances) / np.arange(1, len(chances) + 1)
    thresholds = [answer_threshold(draw(300, seed), 0.05) for seed in range(1, 301)]
    found = [threshold for threshold in thresholds if threshold is not None]
    broken = [risk[max(0, np.searchsorted(-chances, -threshold) - 1)] > 0.05 for threshold in found]
    assert len(found) > 200
    assert np.mean(broken) < 0.06


def test_the_threshold_passes_the_exact_test() -> None:
    labels = draw(500, 3)
    threshold = answer_threshold(labels, 0.05)
    assert threshold is not None
    errors = labels.errors(threshold)
    assert binom.cdf(errors.sum(), len(errors), 0.05) <= 0.05


def test_few_pictures_vouch_for_no_small_error() -> None:
    perfect = GivenLabels(np.arange(58), np.linspace(0.5, 1, 58), np.ones(58, bool))
    assert answer_threshold(perfect, 0.05) is None
    assert lowest_error(perfect) == 0.051
    more = GivenLabels(np.arange(59), np.linspace(0.5, 1, 59), np.ones(59, bool))
    assert answer_threshold(more, 0.05) == 0.5


@pytest.mark.parametrize("error", [5e-324, 2.2e-311, 1e-17, 1 - 1e-16])
def test_extreme_shares_are_answered_like_others(error: float) -> None:
    labels = GivenLabels(np.arange(100), np.full(100, 0.9), np.ones(100, bool))
    assert (answer_threshold(labels, error) is None) == (error < 0.5)


def test_a_model_that_is_always_wrong_answers_nothing() -> None:
    wrong = GivenLabels(np.arange(100), np.linspace(0.5, 1, 100), np.zeros(100, bool))
    assert answer_threshold(wrong, 0.3) is None
    assert lowest_error(wrong) is None
    nothing = GivenLabels(np.zeros(0, np.int64), np.zeros(0), np.zeros(0, bool))
    assert answer_threshold(nothing, 0.3) is None


def test_several_labels_keep_the_promise_too() -> None:
    generator = np.random.default_rng(0)
    owners = np.repeat(np.arange(400), 3)
    chances = generator.uniform(0.5, 1, 1200) ** 0.5
    labels = GivenLabels(owners, chances, generator.random(1200) < chances)
    threshold = answer_threshold(labels, 0.15)
    assert threshold is not None
    assert 1 - chances[chances >= threshold].mean() < 0.15


def test_an_error_that_is_no_share_is_refused() -> None:
    with pytest.raises(ValueError, match="error 0"):
        answer_threshold(draw(10, 0), 0)


@pytest.mark.parametrize("n", [1, 45, 1_000, 60_000])
def test_the_binomial_distribution_is_scipys(n: int) -> None:
    for probability in (0.001, 0.02, 0.3, 0.97):
        for successes in {0, n // 50, int(n * probability), n - 1, n}:
            expected = float(binom.cdf(successes, n, probability))
            assert binomial_cdf(successes, n, probability) == pytest.approx(expected, rel=1e-8, abs=1e-300)
