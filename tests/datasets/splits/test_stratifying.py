"""Iterative stratification: whole, seeded, and every label shared out alike."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.pace import at_most

from distingo.datasets.splits.splitting import stratify


def draw(seed: int, images: int, labels: int, most: float = 0.6) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.random((images, labels)) < rng.uniform(0.0, most, labels)


def deviation(has: np.ndarray, splits: np.ndarray) -> np.ndarray:
    """How many images each side (of three) is off its share of each label: shape (sides, labels)."""
    shares = np.bincount(splits, minlength=3) / len(splits)
    counts = np.array([has[splits == split].sum(axis=0) for split in range(3)])
    return np.abs(counts - np.outer(shares, has.sum(axis=0)))


@given(st.integers(0, 10_000), st.integers(0, 120), st.integers(0, 8), st.floats(0, 0.4), st.floats(0, 0.4))
def test_every_image_falls_on_one_side_and_sizes_are_exact(
    seed: int, images: int, labels: int, validation: float, test: float
) -> None:
    has = draw(seed, images, labels)
    sizes = [0, round(validation * images), round(test * images)]
    sizes[0] = images - sum(sizes)
    splits = stratify(has, sizes, seed=seed)
    assert np.bincount(splits, minlength=3).tolist() == sizes
    assert (stratify(has, sizes, seed=seed) == splits).all()


@given(st.integers(0, 10_000), st.integers(60, 300))
def test_labels_are_shared_out_nearly_to_the_image(seed: int, images: int) -> None:
    has = draw(seed, images, 5, most=0.3)
    splits = stratify(has, (images - 2 * (images // 5), images // 5, images // 5), seed=seed)
    assert deviation(has, splits).max() < 3


@given(st.integers(0, 10_000))
def test_crowded_labels_are_shared_out_far_better_than_by_chance(seed: int) -> None:
    has = draw(seed, 200, 5)
    splits = stratify(has, (120, 40, 40), seed=seed)
    rng = np.random.default_rng(seed)
    by_chance = np.mean([deviation(has, rng.permutation(splits)).mean() for _ in range(20)])
    assert deviation(has, splits).mean() < 0.6 * by_chance


@given(st.integers(0, 10_000))
def test_rare_labels_reach_every_side(seed: int) -> None:
    has = draw(seed, 200, 4)
    rng = np.random.default_rng(seed)
    rare = np.zeros((200, 6), bool)
    for column, count in enumerate((3, 3, 4, 5, 2, 1)):
        rare[rng.choice(200, count, replace=False), column] = True
    splits = stratify(np.hstack([has, rare]), (130, 30, 40), seed=seed)
    for column in range(4):
        assert set(splits[rare[:, column]]) == {0, 1, 2}
    assert len(set(splits[rare[:, 4]])) == 2


def test_swaps_bring_most_labels_to_the_side_that_lacks_them() -> None:
    # Dealing alone leaves a side without a label it could have had 14 times here, the swaps twice.
    lacking = 0
    for seed in range(200):
        images = 15 + seed % 65
        has = draw(seed, images, 8, most=0.2)
        others = (max(1, round(0.15 * images)), max(1, round(0.2 * images)))
        splits = stratify(has, (images - sum(others), *others), seed=seed)
        assert np.bincount(splits).tolist() == [images - sum(others), *others]
        lacking += sum(column.sum() >= 3 and len(set(splits[column])) < 3 for column in has.T)
    assert lacking <= 4


def test_seeds_differ_and_images_without_labels_are_spread() -> None:
    has = np.vstack([draw(1, 100, 4), np.zeros((100, 4), bool)])
    splits = stratify(has, (100, 50, 50), seed=0)
    assert (splits != stratify(has, (100, 50, 50), seed=1)).any()
    assert np.bincount(splits[100:], minlength=3).min() >= 15


def test_sizes_that_do_not_add_up_are_refused() -> None:
    with pytest.raises(ValueError, match="do not add up to 3 pictures"):
        stratify(np.zeros((3, 1), bool), (1, 1), seed=0)


def test_thousands_of_images_take_no_time() -> None:
    has = np.random.default_rng(0).random((7000, 25)) < np.geomspace(0.001, 0.5, 25)
    with at_most(0.5):
        splits = stratify(has, (4550, 1050, 1400), seed=0)
    assert deviation(has, splits).max() < 2
