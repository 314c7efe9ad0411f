"""Scores, folds and calibration that choices rest on."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, softmax
from sklearn.metrics import average_precision_score, log_loss

from distingo.metrics.logits import FOLDS, assign_folds, best_trial, score_logits


def test_single_labels_are_scored_by_accuracy_and_log_loss() -> None:
    logits = np.array([[3.0, 0, 0], [0, 1, 2], [0, 5, 0]], np.float32)
    score, loss = score_logits(logits, np.array([0, 1, 1]), "single-label")
    assert score == pytest.approx(2 / 3)
    assert loss == pytest.approx(log_loss([0, 1, 1], softmax(logits, axis=1), labels=[0, 1, 2]), rel=1e-6)


def test_several_labels_are_scored_by_those_that_a_image_has() -> None:
    generator = np.random.default_rng(0)
    logits = generator.normal(size=(30, 3))
    targets = (generator.random((30, 3)) < 0.3).astype(np.float32)
    targets[:, 1] = 0
    score, loss = score_logits(logits, targets, "multi-label")
    evaluated = [average_precision_score(targets[:, label], logits[:, label]) for label in (0, 2)]
    assert score == pytest.approx(np.mean(evaluated))
    assert loss == pytest.approx(-np.log(np.where(targets > 0, expit(logits), expit(-logits))).mean())
    assert score_logits(logits, np.zeros_like(targets), "multi-label")[0] == 0


def test_a_standard_error_of_accuracy_is_decided_by_log_loss() -> None:
    scores = [(0.7, 0.1), (0.88, 0.3), (0.9, 0.4), (0.9, 0.35)]
    assert best_trial(scores, 100, "single-label") == 1  # one standard error is 0.03
    assert best_trial(scores, 10_000, "single-label") == 3  # 0.003
    assert best_trial(scores, 100, "multi-label") == 3
    assert best_trial([(1.0, 0.2), (0.98, 0.1)], 50, "single-label") == 1  # one mistake
    assert best_trial([(1.0, 0.2), (0.96, 0.1)], 50, "single-label") == 0


@given(st.lists(st.integers(0, 4), min_size=1, max_size=60), st.integers(0, 5))
def test_folds_share_out_every_class_and_leave_some_to_train_on(classes: list[int], seed: int) -> None:
    targets = np.array(classes)
    folds = assign_folds(targets, seed=seed)
    assert folds.max() < FOLDS
    np.testing.assert_array_equal(folds, assign_folds(targets, seed=seed))
    for number in np.unique(targets):
        mine = folds[targets == number]
        if len(mine) == 1:
            assert mine[0] == -1
            continue
        counts = np.bincount(mine, minlength=folds.max() + 1)
        assert counts.max() - counts.min() <= 1
        assert all((mine != fold).any() for fold in range(folds.max() + 1))


def test_several_labels_are_shared_out_by_the_rarest() -> None:
    targets = np.zeros((40, 3), np.float32)
    targets[:, 0] = 1
    targets[:5, 2] = 1
    targets[7, 1] = 1
    folds = assign_folds(targets, seed=3)
    assert sorted(folds[:5]) == [0, 1, 2, 3, 4]
    assert folds[7] == -1
