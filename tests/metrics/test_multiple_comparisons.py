"""Corrected p-values, and numbers of pictures."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distingo.metrics.paired import holm, mcnemar_p_value, pictures_for_accuracy, pictures_for_score


def test_a_textbook_example() -> None:
    """Holm: sorted p-values times 4, 3, 2, 1, never falling."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
    assert holm([0.9, 0.8]) == [1.0, 1.0]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_it_lies_between_nothing_and_bonferroni(p_values: list[float]) -> None:
    for plain, adjusted in zip(p_values, holm(p_values), strict=True):
        assert plain <= adjusted <= min(1.0, plain * len(p_values)) or adjusted == pytest.approx(plain)


def test_equal_classifiers_need_no_number_of_pictures() -> None:
    assert pictures_for_accuracy(7, 7, 100) is None
    assert pictures_for_score(0.0, -0.1, 0.1, 100) is None


@pytest.mark.parametrize(("only_first", "only_second"), [(30, 18), (12, 8)])
def test_so_many_pictures_show_the_difference_four_times_in_five(only_first: int, only_second: int) -> None:
    needed = pictures_for_accuracy(only_first, only_second, 400)
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
    one, other = pictures_for_accuracy(only_first, only_second, n), pictures_for_score(difference, low, high, n)
    assert one == pytest.approx(other, rel=0.02)
    assert pictures_for_accuracy(only_first, only_second, n, level=0.01) > one
