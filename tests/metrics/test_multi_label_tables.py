"""Curves and counts for the report."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from distingo.metrics.multi_label import co_occurrence, label_confusions, labels_per_image, precision_recall_curve
from distingo.scores import BinaryConfusion

TRUTH = np.array([[1, 1, 0], [1, 0, 0], [0, 0, 0], [1, 1, 0]], dtype=bool)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 60), st.integers(0, 10_000), st.sampled_from([0, 1, 9]))
def test_an_unthinned_curve_is_scikit_learns(n: int, seed: int, digits: int) -> None:
    generator = np.random.default_rng(seed)
    truth, chances = generator.random(n) < 0.4, np.round(generator.random(n), digits)
    truth[0] = True
    curve = precision_recall_curve(truth, chances, points=1000)
    precision, recall, thresholds = sk.precision_recall_curve(truth, chances, drop_intermediate=True)
    np.testing.assert_allclose(curve.precision, precision[:-1][::-1])
    np.testing.assert_allclose(curve.recall, recall[:-1][::-1])
    np.testing.assert_allclose(curve.thresholds, thresholds[::-1])


def test_a_thinned_curve_keeps_its_ends_and_its_shape() -> None:
    generator = np.random.default_rng(0)
    truth = generator.random(3000) < 0.3
    chances = generator.normal(size=3000) + truth
    whole, thin = (precision_recall_curve(truth, chances, points=points) for points in (10_000, 100))
    assert len(thin.recall) == len(thin.precision) == len(thin.thresholds) == 100
    for ends in (0, -1):
        assert (thin.recall[ends], thin.precision[ends]) == (whole.recall[ends], whole.precision[ends])
    drawn = np.interp(whole.recall, thin.recall, thin.precision)
    assert np.abs(drawn - whole.precision)[100:].max() < 0.03


def test_a_label_without_positives_has_no_curve() -> None:
    assert precision_recall_curve(np.zeros(3, bool), np.zeros(3)).recall == ()


def test_two_by_two_counts_rightly() -> None:
    predicted = np.array([[1, 0, 1], [0, 0, 0], [1, 0, 0], [1, 1, 0]], dtype=bool)
    assert label_confusions(TRUTH, predicted) == (
        BinaryConfusion(2, 1, 1, 0),
        BinaryConfusion(1, 0, 1, 2),
        BinaryConfusion(0, 1, 0, 3),
    )


def test_co_occurrence_counts_pairs_and_labels() -> None:
    counts = co_occurrence(TRUTH)
    assert counts.dtype == np.int64
    assert counts.tolist() == [[3, 2, 0], [2, 2, 0], [0, 0, 0]]


def test_labels_per_image() -> None:
    assert labels_per_image(TRUTH).tolist() == [1, 1, 2]
    assert labels_per_image(np.zeros((0, 3), bool)).tolist() == [0]


def test_arrays_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="give truth values"):
        co_occurrence(TRUTH.astype(int))
    with pytest.raises(ValueError, match="give equal ones"):
        label_confusions(TRUTH, TRUTH[:2])
    with pytest.raises(ValueError, match=r"give \(n,\) each"):
        precision_recall_curve(TRUTH[:, 0], np.zeros(3))
