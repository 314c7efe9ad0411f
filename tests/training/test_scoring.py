from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, log_loss

from distingo.training.step import Tally, score_pass

GENERATOR = np.random.default_rng(0)
LOGITS = GENERATOR.normal(size=(40, 3)).astype(np.float32)
TRUTH = GENERATOR.random((40, 3)) < 0.4


def test_several_labels_are_judged_by_scikit_learns_numbers() -> None:
    scores = score_pass(LOGITS, TRUTH)
    chances = 1 / (1 + np.exp(-LOGITS.astype(np.float64)))
    expected = np.mean([log_loss(TRUTH[:, label], chances[:, label]) for label in range(3)])
    assert scores.loss == pytest.approx(expected, rel=1e-5)
    assert scores.mean_average_precision == pytest.approx(average_precision_score(TRUTH, chances, average="macro"))
    assert scores.accuracy is None


def test_labels_that_no_picture_has_are_no_part_of_the_mean() -> None:
    with_empty = score_pass(np.c_[LOGITS, LOGITS[:, 0]], np.c_[TRUTH, np.zeros(40, bool)])
    assert with_empty.mean_average_precision == score_pass(LOGITS, TRUTH).mean_average_precision
    assert score_pass(LOGITS, np.zeros((40, 3), bool)).mean_average_precision == 0.0


def test_one_label_is_judged_by_accuracy() -> None:
    scores = score_pass(LOGITS, LOGITS.argmax(1))
    assert scores.accuracy == 1.0
    assert scores.mean_average_precision is None


@pytest.mark.parametrize("targets", [LOGITS.argmax(1), TRUTH], ids=["one label", "several labels"])
def test_a_tally_of_batches_is_the_whole(targets: np.ndarray) -> None:
    tally = Tally()
    for start in range(0, 40, 16):
        part = slice(start, start + 16)
        tally.add(0.5 + start, torch.from_numpy(LOGITS[part]), torch.from_numpy(targets[part]))
    whole, scores = score_pass(LOGITS, targets), tally.scores(40)
    assert (scores.accuracy, scores.mean_average_precision) == (whole.accuracy, whole.mean_average_precision)
    assert scores.loss == pytest.approx((0.5 * 16 + 16.5 * 16 + 32.5 * 8) / 40)
    assert tally.images == 40
    assert tally.words.startswith("loss ")
