"""Intervals equal published values, and hold the truth as often as they should."""

from __future__ import annotations

from math import inf, sqrt

import numpy as np
import pytest
from scipy import stats
from scipy.stats import t

from distingo.metrics.intervals import (
    Moments,
    chunks,
    corrected_mean,
    freedom_of_variance,
    mean_score,
    moments,
    proportion,
    share_interval,
    skewed_interval,
    wilson,
    with_interval,
)


@pytest.mark.parametrize(
    ("right", "n", "low", "high"),
    [
        (8, 10, 0.4902, 0.9433),
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
        (5, 10, 0.2366, 0.7634),
        (81, 263, 0.2553, 0.3662),
    ],
)
def test_wilsons_interval(right: int, n: int, low: float, high: float) -> None:
    """81 of 263 is the example of Newcombe, Statistics in Medicine 17, 1998, table I."""
    assert wilson(right, n) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


def test_with_fewer_than_three_mistakes_there_are_too_few_images() -> None:
    assert [proportion(right, 30).too_few for right in (0, 2, 3, 27, 28, 30)] == [True, True, False, False, True, True]


def test_wilsons_interval_in_9_of_10_cells_covers_93_to_97_of_100() -> None:
    """Exactly, from the binomial distribution itself, wherever a mistake is likely to be seen at all."""
    from scipy.stats import binom

    held = []
    for n in (30, 100, 300, 1000, 5000):
        for accuracy in (0.6, 0.8, 0.9, 0.95, 0.98, 0.995):
            chances = binom.pmf(np.arange(n + 1), n, accuracy)
            scores = [proportion(right, n) for right in range(n + 1)]
            few = sum(chance for chance, score in zip(chances, scores, strict=True) if score.too_few)
            if few < 0.5:
                covered = sum(
                    chance
                    for chance, score in zip(chances, scores, strict=True)
                    if not score.too_few and score.low <= accuracy <= score.high
                )
                held.append(0.93 <= covered / (1 - few) <= 0.97)
    assert (sum(held), len(held)) == (23, 24)


def test_without_skewness_the_interval_is_students() -> None:
    interval = skewed_interval(Moments(0.5, 0.1, 0.0, 9))
    assert (interval.low, interval.high) == pytest.approx((0.5 - 0.1 * t.ppf(0.975, 9), 0.5 + 0.1 * t.ppf(0.975, 9)))


def test_moments_are_those_of_the_textbook() -> None:
    found = moments(np.array([1.0, 2.0, 3.0, 10.0]))
    assert (found.center, found.freedom) == (4.0, 3)
    assert found.error == pytest.approx(np.sqrt(50 / 3 / 4))
    assert found.skew == pytest.approx(180 / 4 / 12.5**1.5 * np.sqrt(3) / 2)


def test_a_skewed_mean_is_held_where_the_plain_interval_misses() -> None:
    generator = np.random.default_rng(0)
    drawn = generator.exponential(size=(2000, 30)) ** 1.5
    truth = 0.75 * np.sqrt(np.pi)  # the mean of the 1.5th power
    scores = [mean_score(values) for values in drawn]
    shown = [score for score in scores if not score.too_few]
    plain = np.abs(drawn.mean(axis=1) - truth) <= t.ppf(0.975, 29) * drawn.std(axis=1, ddof=1) / np.sqrt(30)
    assert plain.mean() < 0.9
    assert 0.92 <= np.mean([score.low <= truth <= score.high for score in shown]) <= 0.97


def test_one_large_loss_among_many_is_too_little_to_go_by() -> None:
    assert mean_score(np.append(np.zeros(99), 5.0)).too_few
    assert not mean_score(np.linspace(0, 1, 100)).too_few
    assert mean_score(np.linspace(0, 1, 100), mistakes=2).too_few
    assert not mean_score(np.linspace(0, 1, 100), mistakes=3).too_few


def test_means_of_zeros_and_ones_are_proportions() -> None:
    values = np.repeat([0.0, 1.0], [2, 8])
    assert mean_score(values, highest=1.0) == proportion(8, 10)


def test_a_share_without_mistakes_is_one_sided() -> None:
    interval = share_interval(1.0, 200.0)
    assert (interval.high, interval.too_few) == (1.0, True)
    assert interval.low == pytest.approx(wilson(200, 200)[0])


def test_the_variance_of_few_differing_values_has_twice_as_many_degrees_of_freedom() -> None:
    few = np.zeros(1000)
    few[:5] = 1.0
    share = 0.005  # (kurtosis - 1) of a Bernoulli variable is (1 - 2p)^2 / (p (1 - p))
    assert freedom_of_variance(few) == pytest.approx(2000 * share * (1 - share) / (1 - 2 * share) ** 2)
    assert freedom_of_variance(np.ones(7)) == 7
    normal = np.random.default_rng(0).normal(size=100_000)
    assert freedom_of_variance(normal) == pytest.approx(100_000, rel=0.05)


@pytest.mark.parametrize(("resamples", "each"), [(1000, 1), (1000, 3_000_000), (7, 1_900_000), (0, 5)])
def test_chunks_cover_all_resamples(resamples: int, each: int) -> None:
    sizes = list(chunks(resamples, each))
    assert sum(sizes) == resamples
    assert all(size * each <= max(each, 4_000_000) for size in sizes)


def test_an_interval_contains_its_score_and_ignores_undefined_resamples() -> None:
    score = with_interval(0.9, np.append(np.linspace(0, 0.8, 101), np.nan), 10)
    assert (score.low, score.value, score.high, score.n) == (pytest.approx(0.02), 0.9, 0.9, 10)
    nothing = with_interval(0.4, np.full(3, np.nan), 10)
    assert (nothing.low, nothing.high) == (0.0, 1.0)


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
