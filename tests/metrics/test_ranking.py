"""Average precision and ranks equal scikit-learn's, also when images count several times."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from distingo.metrics.ranking import Ranking, average_precision, label_ranks, mean_average_precision, top_k_hits


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(0, 10_000), st.sampled_from([0, 1, 9]), st.sampled_from([0.1, 0.5, 1.0]))
def test_average_precision_of_a_resample_is_that_of_its_images(n: int, seed: int, digits: int, share: float) -> None:
    generator = np.random.default_rng(seed)
    truth = generator.random(n) < share
    chances = np.round(generator.random(n), digits)
    drawn = generator.integers(0, n, (3, n))
    counts = np.stack([np.bincount(row, minlength=n) for row in drawn])

    found = Ranking.of(truth, chances).average_precision(counts)

    for row, value in zip(drawn, found, strict=True):
        if truth[row].any():
            assert value == pytest.approx(sk.average_precision_score(truth[row], chances[row]), rel=1e-12)
        else:
            assert np.isnan(value)


def test_cells_of_one_image_are_drawn_together() -> None:
    generator = np.random.default_rng(0)
    truth, chances = generator.random((30, 4)) < 0.3, np.round(generator.random((30, 4)), 1)
    drawn = generator.integers(0, 30, 30)
    pooled = Ranking.of(truth.ravel(), chances.ravel(), np.repeat(np.arange(30), 4))
    (value,) = pooled.average_precision(np.bincount(drawn, minlength=30)[None])
    assert value == pytest.approx(sk.average_precision_score(truth[drawn], chances[drawn], average="micro"))


def test_labels_without_positives_are_in_no_mean() -> None:
    generator = np.random.default_rng(0)
    truth, chances = generator.random((50, 3)) < 0.4, generator.random((50, 3))
    truth[:, 1] = False
    expected = sk.average_precision_score(truth[:, [0, 2]], chances[:, [0, 2]], average="macro")
    assert mean_average_precision(truth, chances) == pytest.approx(expected)
    assert np.isnan(average_precision(truth[:, 1], chances[:, 1]))
    assert np.isnan(mean_average_precision(np.zeros((2, 2), bool), np.zeros((2, 2))))


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 20), st.integers(2, 7), st.integers(0, 10_000), st.sampled_from([0, 1, 9]))
def test_label_ranks_are_scikit_learns(n: int, labels: int, seed: int, digits: int) -> None:
    generator = np.random.default_rng(seed)
    truth = generator.random((n, labels)) < generator.random((n, 1))
    chances = np.round(generator.random((n, labels)), digits)
    precision, coverage = label_ranks(truth, chances)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for row in range(n):
            one = truth[[row]], chances[[row]]
            assert precision[row] == pytest.approx(sk.label_ranking_average_precision_score(*one), rel=1e-12)
            assert coverage[row] == sk.coverage_error(*one)


def test_top_k_hits() -> None:
    truth = np.array([[0, 1, 0], [1, 0, 0], [0, 0, 1], [0, 0, 0]], dtype=bool)
    chances = np.array([[0.1, 0.9, 0.2], [0.1, 0.9, 0.2], [0.5, 0.5, 0.5], [0.3, 0.2, 0.1]])
    assert top_k_hits(truth, chances, 1).tolist() == [True, False, False, False]
    assert top_k_hits(truth, chances, 2).tolist() == [True, False, False, False]
    assert top_k_hits(truth, chances, 3).tolist() == [True, True, True, False]
