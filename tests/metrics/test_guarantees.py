"""What is stated of sets at a number of calibration images, against SciPy's distributions and simulated draws."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import beta, betabinom

from distingo.metrics.conformal import (
    chance_of_so_few,
    coverage_range,
    effective_images,
    held_rank,
    highest_coverage,
    images_needed,
    prediction_sets,
    set_threshold,
)


@pytest.mark.parametrize(
    ("n", "coverage", "rank"), [(45, 0.9, 42), (302, 0.9, 273), (1680, 0.99, 1665), (45, 0.95, 45)]
)
def test_ranges_are_quantiles_of_the_beta_distribution(n: int, coverage: float, rank: int) -> None:
    found = coverage_range(n, coverage)
    assert found is not None
    assert held_rank(n, coverage) == rank
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
    assert held_rank(n, coverage) is not None
    assert held_rank(n - 1, coverage) is None if n > 1 else True
    assert coverage_range(n - 1, coverage) is None if n > 1 else True


@pytest.mark.parametrize("n", [1, 5, 19, 45, 100, 302, 5000])
def test_the_highest_level_is_held_and_the_next_is_not(n: int) -> None:
    highest = highest_coverage(n)
    assert held_rank(n, highest) is not None
    assert highest == 0.999 or held_rank(n, highest + 0.001) is None


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
    ("covered", "judged", "n", "coverage", "rank"), [(61, 75, 302, 0.9, 273), (33, 40, 45, 0.9, 42)]
)
def test_chance_follows_the_beta_binomial_distribution(
    covered: int, judged: int, n: int, coverage: float, rank: int
) -> None:
    assert chance_of_so_few(covered, judged, n, coverage) == pytest.approx(
        betabinom.cdf(covered, judged, rank, n + 1 - rank)
    )
    assert chance_of_so_few(judged, judged, n, coverage) == 1.0


def test_sets_of_a_raised_rank_still_hold_the_truth() -> None:
    threshold = set_threshold(np.linspace(0.1, 1, 45), np.ones(45), 45, 0.95)
    assert threshold == 0.1
    assert prediction_sets(np.array([[0.05, 0.95]]), threshold).tolist() == [[False, True]]
