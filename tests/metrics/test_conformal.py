"""What is stated of sets at a number of calibration images, against SciPy's distributions and simulated draws."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import beta, betabinom, binom

from distingo.metrics.conformal import (
    PredictedLabels,
    answer_threshold,
    binomial_cdf,
    coverage_range,
    covered_rank,
    effective_images,
    highest_coverage,
    images_needed,
    lowest_error,
    prediction_sets,
    probability_of_so_few,
    set_threshold,
    upper_threshold,
)


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


@pytest.mark.slow
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


def test_too_few_images_vouch_for_nothing() -> None:
    assert set_threshold(np.full(28, 0.9), np.ones(28), 28, 0.95) is None
    assert set_threshold(np.full(29, 0.9), np.ones(29), 29, 0.95) == 0.9
    assert set_threshold(np.zeros(0), np.zeros(0), 30, 0.5) is None


def test_images_without_labels_miss_nothing() -> None:
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


@pytest.mark.parametrize(
    ("n", "coverage", "rank"), [(45, 0.9, 42), (302, 0.9, 273), (1680, 0.99, 1665), (45, 0.95, 45)]
)
def test_ranges_are_quantiles_of_the_beta_distribution(n: int, coverage: float, rank: int) -> None:
    found = coverage_range(n, coverage)
    assert found is not None
    assert covered_rank(n, coverage) == rank
    expected = beta.ppf([0.05, 0.95], rank, n + 1 - rank)
    np.testing.assert_allclose([found.low, found.high], expected, atol=1e-9)
    assert (found.requested, found.n) == (coverage, n)


def test_forty_five_images_hold_ninety_percent_between_these_shares() -> None:
    found = coverage_range(45, 0.9)
    assert found is not None
    assert (round(found.low, 3), round(found.high, 3)) == (0.837, 0.969)


def test_a_rank_is_raised_until_twice_the_misses_are_rare() -> None:
    assert beta.cdf(0.9, 44, 2) > 0.05  # what ceil(46 * 0.95) would come to
    found = coverage_range(45, 0.95)
    assert found is not None
    assert found.low == pytest.approx(0.05 ** (1 / 45), abs=1e-9)


@pytest.mark.parametrize(("coverage", "n"), [(0.5, 1), (0.8, 6), (0.9, 14), (0.95, 29), (0.99, 149)])
def test_levels_need_so_many_images_and_no_fewer(coverage: float, n: int) -> None:
    assert images_needed(coverage) == n
    assert covered_rank(n, coverage) is not None
    assert covered_rank(n - 1, coverage) is None if n > 1 else True
    assert coverage_range(n - 1, coverage) is None if n > 1 else True


@pytest.mark.parametrize("n", [1, 5, 19, 45, 100, 302, 5000])
def test_the_highest_level_is_held_and_the_next_is_not(n: int) -> None:
    highest = highest_coverage(n)
    assert covered_rank(n, highest) is not None
    assert highest == 0.999 or covered_rank(n, highest + 0.001) is None


def test_draws_of_calibration_images_reach_what_is_stated() -> None:
    generator = np.random.default_rng(0)
    found = coverage_range(60, 0.9)
    assert found is not None
    realized = []
    for _ in range(2000):  # probabilities of the true label uniform in 0 .. 1: coverage is 1 - threshold
        threshold = set_threshold(generator.random(60), np.ones(60), 60, 0.9)
        assert threshold is not None
        realized.append(1 - threshold)
    assert np.mean(realized) >= 0.9 - 0.003
    assert np.mean((np.array(realized) >= found.low) & (np.array(realized) <= found.high)) == pytest.approx(
        0.9, abs=0.02
    )


@pytest.mark.slow
def test_several_labels_spread_less_and_as_much_as_is_stated() -> None:
    """Each image has 1 to 5 labels, of uniform probability."""
    generator = np.random.default_rng(1)

    def draw(n: int) -> tuple[np.ndarray, np.ndarray]:
        counts = generator.integers(1, 6, n)
        return generator.random(counts.sum()), np.repeat(1 / counts, counts)

    realized, stated = [], []
    for _ in range(600):
        truths, weights = draw(200)
        threshold = set_threshold(truths, weights, 200, 0.8)
        assert threshold is not None
        effective = effective_images(truths, weights, 200, threshold)
        assert effective > 250
        found = coverage_range(200, 0.8, effective=effective)
        assert found is not None
        realized.append(1 - threshold)
        stated.append((found.low, found.high))
    low, high = np.array(stated).T
    assert np.mean((realized >= low) & (realized <= high)) == pytest.approx(0.9, abs=0.035)
    assert np.mean(realized) == pytest.approx(0.8, abs=0.01)


def test_one_label_each_counts_as_it_is() -> None:
    assert effective_images(np.linspace(0, 1, 50), np.ones(50), 50, 0.5) == 50
    assert effective_images(np.array([0.9, 0.8]), np.array([0.5, 0.5]), 1, 0.1) == 1


@pytest.mark.parametrize(
    ("covered", "evaluated", "n", "coverage", "rank"), [(61, 75, 302, 0.9, 273), (33, 40, 45, 0.9, 42)]
)
def test_chance_follows_the_beta_binomial_distribution(
    covered: int, evaluated: int, n: int, coverage: float, rank: int
) -> None:
    assert probability_of_so_few(covered, evaluated, n, coverage) == pytest.approx(
        betabinom.cdf(covered, evaluated, rank, n + 1 - rank)
    )
    assert probability_of_so_few(evaluated, evaluated, n, coverage) == 1.0


def test_sets_of_a_raised_rank_still_hold_the_truth() -> None:
    threshold = set_threshold(np.linspace(0.1, 1, 45), np.ones(45), 45, 0.95)
    assert threshold == 0.1
    assert prediction_sets(np.array([[0.05, 0.95]]), threshold).tolist() == [[False, True]]


def draw(n: int, seed: int) -> PredictedLabels:
    generator = np.random.default_rng(seed)
    chances = 1 / (1 + np.exp(-np.abs(generator.normal(4, 2, n))))
    return PredictedLabels(np.arange(n), chances, generator.random(n) < chances)


def test_an_answer_is_wrong_by_the_share_of_its_labels() -> None:
    labels = PredictedLabels(
        np.array([0, 0, 1, 3, 3]), np.array([0.9, 0.6, 0.7, 0.8, 0.2]), np.array([True, False, False, True, False])
    )
    np.testing.assert_allclose(labels.most_confident(), [0.9, 0.8, 0.7])
    np.testing.assert_allclose(labels.errors(0.65), [0, 1, 0])
    np.testing.assert_allclose(labels.errors(0.0), [0.5, 1, 0.5])
    assert labels.errors(0.95).size == 0


@pytest.mark.slow
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


def test_few_images_vouch_for_no_small_error() -> None:
    perfect = PredictedLabels(np.arange(58), np.linspace(0.5, 1, 58), np.ones(58, bool))
    assert answer_threshold(perfect, 0.05) is None
    assert lowest_error(perfect) == 0.051
    more = PredictedLabels(np.arange(59), np.linspace(0.5, 1, 59), np.ones(59, bool))
    assert answer_threshold(more, 0.05) == 0.5


@pytest.mark.parametrize("error", [5e-324, 2.2e-311, 1e-17, 1 - 1e-16])
def test_extreme_shares_are_answered_like_others(error: float) -> None:
    labels = PredictedLabels(np.arange(100), np.full(100, 0.9), np.ones(100, bool))
    assert (answer_threshold(labels, error) is None) == (error < 0.5)


def test_a_model_that_is_always_wrong_answers_nothing() -> None:
    wrong = PredictedLabels(np.arange(100), np.linspace(0.5, 1, 100), np.zeros(100, bool))
    assert answer_threshold(wrong, 0.3) is None
    assert lowest_error(wrong) is None
    nothing = PredictedLabels(np.zeros(0, np.int64), np.zeros(0), np.zeros(0, bool))
    assert answer_threshold(nothing, 0.3) is None


def test_several_labels_keep_the_promise_too() -> None:
    generator = np.random.default_rng(0)
    owners = np.repeat(np.arange(400), 3)
    chances = generator.uniform(0.5, 1, 1200) ** 0.5
    labels = PredictedLabels(owners, chances, generator.random(1200) < chances)
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
