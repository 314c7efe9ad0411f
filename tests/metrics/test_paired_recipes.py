"""Recipes beside each other, luck in training included."""

from __future__ import annotations

import numpy as np
import pytest

from distingo.metrics.paired import recipe_difference


def trainings(
    generator: np.random.Generator, count: int, skill: float, *, luck: float, hardness: np.ndarray
) -> np.ndarray:
    """Right answers of some trainings, each with a skill of its own around the recipe's."""
    skills = skill + luck * generator.normal(size=count)
    return generator.random((count, hardness.size)) < np.clip(skills[:, None] - hardness, 0, 1)


@pytest.mark.parametrize("luck", [0.0, 0.04])
def test_equal_recipes_are_rarely_told_apart(luck: float) -> None:
    """Of 300 true hypotheses a test at 5 % rejects fewer than 25 with a probability of 99 %."""
    generator = np.random.default_rng(0)
    called = 0
    for _ in range(300):
        hardness = generator.uniform(0, 0.4, 2000)
        sides = [trainings(generator, count, 0.95, luck=luck, hardness=hardness) for count in (2, 3)]
        called += recipe_difference(*sides).p_value < 0.05
    assert called < 25


def test_a_true_difference_is_seen() -> None:
    generator = np.random.default_rng(0)
    hardness = generator.uniform(0, 0.4, 2000)
    sides = [trainings(generator, 3, skill, luck=0.01, hardness=hardness) for skill in (0.95, 0.85)]
    found = recipe_difference(*sides)
    assert found.p_value < 0.01
    assert 0 < found.low < found.difference < found.high
    turned = recipe_difference(*sides[::-1])
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


def test_two_trainings_tell_nothing_of_luck() -> None:
    with pytest.raises(ValueError, match="give three trainings"):
        recipe_difference(np.ones((1, 5), dtype=bool), np.ones((1, 5), dtype=bool))
