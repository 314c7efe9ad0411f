from __future__ import annotations

import numpy as np
import pytest

from distingo.curation.exploring import choose_perplexity, find_neighborhoods, project, reduce


def clusters(each: int = 20, dimensions: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Three clusters of points far apart, and the number of each point's."""
    rng = np.random.default_rng(0)
    centers = rng.normal(size=(3, dimensions)) * 10
    numbers = np.repeat(np.arange(3), each)
    return (centers[numbers] + rng.normal(size=(3 * each, dimensions))).astype(np.float32), numbers


def test_neighbors_stay_neighbors_and_the_seed_decides() -> None:
    features, numbers = clusters()
    reduced = reduce(features, seed=1)
    assert reduced.shape == (60, 50)
    places = project(reduced, seed=1)
    assert places.min(axis=0).tolist() == [0.0, 0.0]
    assert places.max() == pytest.approx(1.0)
    distances = np.linalg.norm(places[:, None] - places[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    assert (numbers[distances.argmin(axis=1)] == numbers).all()
    assert np.array_equal(places, project(reduce(features, seed=1), seed=1))


def test_few_images_and_equal_ones() -> None:
    assert choose_perplexity(4) == 1.0
    assert choose_perplexity(5000) == 30.0
    few = np.random.default_rng(0).normal(size=(8, 5))
    assert reduce(few, seed=0).shape == (8, 5)
    assert np.isfinite(project(reduce(few, seed=0), seed=0)).all()
    assert project(reduce(np.ones((9, 4)), seed=0), seed=0).tolist() == [[0.0, 0.0]] * 9


def test_neighborhoods_are_counted() -> None:
    # on a line: a a a b, then far away c c
    places = np.array([0.0, 1.0, 2.0, 3.5, 100.0, 101.0])[:, None]
    labels = np.eye(4, dtype=bool)[[0, 0, 0, 1, 2, 2]]
    found = {each.name: each for each in find_neighborhoods(places, labels, "abcd", nearest=1)}
    assert set(found) == {"a", "b", "c"}  # d has no image
    assert (found["a"].number, found["a"].own, found["a"].other) == (3, 1.0, "")
    assert found["a"].expected == pytest.approx(2 / 5)
    assert (found["b"].own, found["b"].expected, found["b"].other, found["b"].others) == (0.0, 0.0, "a", 1.0)
    assert [each.name for each in find_neighborhoods(places, labels, "abcd", nearest=1)] == ["b", "a", "c"]


def test_several_labels_are_counted_each() -> None:
    places = np.array([0.0, 1.0, 2.0])[:, None]
    labels = np.array([[True, True], [True, False], [False, False]])
    found = {each.name: each for each in find_neighborhoods(places, labels, "ab", nearest=10)}
    assert found["a"].own == pytest.approx(0.5)
    assert found["b"].own == 0.0
    assert found["b"].other == "a"
