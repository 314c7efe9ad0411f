"""Differences between classifiers on the same images."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from distingo.metrics.paired import (
    holm,
    images_for_accuracy,
    images_for_score,
    mcnemar_p_value,
    paired_difference,
    recipe_difference,
)


def answers(both: int, only_first: int, only_second: int, neither: int = 0) -> tuple[np.ndarray, np.ndarray]:
    first = np.repeat([True, True, False, False], [both, only_first, only_second, neither])
    second = np.repeat([True, False, True, False], [both, only_first, only_second, neither])
    return first, second


@given(st.integers(0, 300), st.integers(0, 300))
def test_the_p_value_is_the_exact_binomial_tests(only_first: int, only_second: int) -> None:
    differing = only_first + only_second
    expected = binomtest(only_first, differing).pvalue if differing else 1.0
    assert mcnemar_p_value(only_first, only_second) == pytest.approx(expected, rel=1e-9)


def test_a_textbook_example() -> None:
    """The example of Fagerland, Lydersen and Laake 2013: 1 against 7 discordant pairs, 2 * (1 + 8) / 256."""
    assert mcnemar_p_value(1, 7) == pytest.approx(0.0703, abs=5e-5)


def test_thousands_of_differing_images_neither_overflow_nor_take_long() -> None:
    assert mcnemar_p_value(6000, 6000) == 1.0
    assert mcnemar_p_value(0, 12_000) == 0.0
    assert mcnemar_p_value(5800, 6200) == pytest.approx(binomtest(5800, 12_000).pvalue, rel=1e-9)


def test_the_difference_and_its_counts() -> None:
    found = paired_difference(*answers(60, 25, 10, 5))
    assert (found.difference, found.only_first, found.only_second, found.n) == (0.15, 25, 10, 100)
    assert found.low < 0.15 < found.high
    assert found.low > 0
    assert found.p_value == pytest.approx(binomtest(10, 35).pvalue)


def test_swapping_the_classifiers_turns_the_sign() -> None:
    first, second = answers(50, 20, 8, 2)
    one, other = paired_difference(first, second), paired_difference(second, first)
    assert one.difference == -other.difference
    assert one.p_value == other.p_value
    assert one.low == pytest.approx(-other.high, abs=0.03)


def test_the_interval_is_as_wide_as_in_theory() -> None:
    """Normal theory: standard error sqrt((b + c - (b - c)^2 / n)) / n."""
    found = paired_difference(*answers(800, 120, 80))
    error = np.sqrt(200 - 40**2 / 1000) / 1000
    assert found.low == pytest.approx(0.04 - 1.96 * error, abs=0.001)
    assert found.high == pytest.approx(0.04 + 1.96 * error, abs=0.001)


def test_the_interval_is_bonetts_and_prices() -> None:
    """25 against 10 of 100: (15 ± 1.96 sqrt(37 - 15**2 / 102)) / 102, by hand."""
    found = paired_difference(*answers(60, 25, 10, 5))
    assert (found.low, found.high) == (pytest.approx(0.033714, abs=1e-6), pytest.approx(0.260403, abs=1e-6))
    assert not found.too_few
    assert paired_difference(*answers(60, 2, 1, 5)).too_few


def test_equal_answers_are_not_called_certain() -> None:
    few, many = paired_difference(*answers(9, 0, 0, 1)), paired_difference(*answers(900, 0, 0, 100))
    assert few.difference == many.difference == 0.0
    assert few.p_value == 1.0
    assert few.low == -few.high < -0.2
    assert -0.01 < many.low < 0 < many.high < 0.01


def test_one_right_everywhere_and_the_other_nowhere() -> None:
    found = paired_difference(*answers(0, 20, 0))
    assert (found.difference, found.high) == (1.0, 1.0)
    assert 0.5 < found.low < 1.0
    assert paired_difference(*answers(0, 1, 0)).low >= -1.0
    assert paired_difference(*answers(0, 0, 20)).high == -found.low


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 40), st.integers(0, 40))
def test_the_interval_holds_the_difference(both: int, first: int, second: int, neither: int) -> None:
    if both + first + second + neither:
        found = paired_difference(*answers(both, first, second, neither))
        assert -1 <= found.low <= found.difference <= found.high <= 1
        assert 0 <= found.p_value <= 1


@pytest.mark.parametrize(
    ("first", "second"),
    [([], []), ([True], [True, False]), ([1, 0], [True, False]), ([[True]], [[True]])],
)
def test_answers_that_do_not_fit_are_refused(first: list[object], second: list[object]) -> None:
    with pytest.raises(ValueError, match="give"):
        paired_difference(first, second)


def test_a_textbook_example_of_holm() -> None:
    """Holm: sorted p-values times 4, 3, 2, 1, never falling."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
    assert holm([0.9, 0.8]) == [1.0, 1.0]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_it_is_between_nothing_and_bonferroni(p_values: list[float]) -> None:
    for plain, adjusted in zip(p_values, holm(p_values), strict=True):
        assert plain <= adjusted <= min(1.0, plain * len(p_values)) or adjusted == pytest.approx(plain)


def test_equal_classifiers_need_no_number_of_images() -> None:
    assert images_for_accuracy(7, 7, 100) is None
    assert images_for_score(0.0, -0.1, 0.1, 100) is None


@pytest.mark.parametrize(("only_first", "only_second"), [(30, 18), (12, 8)])
def test_so_many_images_show_the_difference_four_times_in_five(only_first: int, only_second: int) -> None:
    needed = images_for_accuracy(only_first, only_second, 400)
    assert needed is not None
    generator = np.random.default_rng(0)
    shares = np.array([only_first, only_second, 400 - only_first - only_second]) / 400
    drawn = generator.multinomial(needed, shares, size=500)
    seen = np.mean([mcnemar_p_value(int(first), int(second)) < 0.05 for first, second, _ in drawn])
    assert 0.74 < seen < 0.86


def test_both_ways_of_counting_agree() -> None:
    """Normal theory gives the interval that the second way starts from."""
    only_first, only_second, n = 40, 25, 500
    difference = (only_first - only_second) / n
    error = np.sqrt((only_first + only_second) / n - difference**2) / np.sqrt(n)
    low, high = difference - 1.96 * error, difference + 1.96 * error
    one, other = images_for_accuracy(only_first, only_second, n), images_for_score(difference, low, high, n)
    assert one == pytest.approx(other, rel=0.02)
    assert images_for_accuracy(only_first, only_second, n, level=0.01) > one


def trainings(
    generator: np.random.Generator, count: int, skill: float, *, luck: float, hardness: np.ndarray
) -> np.ndarray:
    """Right answers of some trainings, each with a skill of its own around the recipe's."""
    skills = skill + luck * generator.normal(size=count)
    return generator.random((count, hardness.size)) < np.clip(skills[:, None] - hardness, 0, 1)


@pytest.mark.parametrize("luck", [0.0, 0.04])
def test_equal_recipes_are_rarely_distinguished(luck: float) -> None:
    """Of 300 true hypotheses a test at 5 % rejects fewer than 25 with a probability of 99 %."""
    generator = np.random.default_rng(0)
    called = 0
    for _ in range(300):
        hardness = generator.uniform(0, 0.4, 2000)
        splits = [trainings(generator, count, 0.95, luck=luck, hardness=hardness) for count in (2, 3)]
        called += recipe_difference(*splits).p_value < 0.05
    assert called < 25


def test_a_true_difference_is_seen() -> None:
    generator = np.random.default_rng(0)
    hardness = generator.uniform(0, 0.4, 2000)
    splits = [trainings(generator, 3, skill, luck=0.01, hardness=hardness) for skill in (0.95, 0.85)]
    found = recipe_difference(*splits)
    assert found.p_value < 0.01
    assert 0 < found.low < found.difference < found.high
    turned = recipe_difference(*splits[::-1])
    assert (turned.difference, turned.p_value) == (-found.difference, found.p_value)


def test_luck_is_the_deviation_between_trainings() -> None:
    right = np.array([[True] * 10, [True] * 6 + [False] * 4, [True] * 8 + [False] * 2])
    found = recipe_difference(right[:2], right[2:])
    assert found.luck == pytest.approx(np.std([1.0, 0.6], ddof=1))
    assert (found.first, found.second) == (pytest.approx(0.8), pytest.approx(0.8))
    assert found.p_value == pytest.approx(1.0)


def test_equal_answers_differ_in_nothing() -> None:
    right = np.ones((2, 5), dtype=bool)
    found = recipe_difference(right, right)
    assert (found.difference, found.low, found.high, found.p_value) == (0.0, 0.0, 0.0, 1.0)


def test_two_trainings_show_no_variation_between_trainings() -> None:
    with pytest.raises(ValueError, match="give three trainings"):
        recipe_difference(np.ones((1, 5), dtype=bool), np.ones((1, 5), dtype=bool))
