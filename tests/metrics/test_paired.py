"""Differences between classifiers on the same pictures."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from distingo.metrics.paired import mcnemar_p_value, paired_difference


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


def test_thousands_of_differing_pictures_neither_overflow_nor_take_long() -> None:
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


def test_the_interval_is_as_wide_as_theory_says() -> None:
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
