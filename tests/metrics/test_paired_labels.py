"""Two classifiers of independent labels beside each other."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score

from distingo.metrics.paired_scores import LabelAnswers, compare_labels

NAMES = ("common", "usual", "rare", "nowhere")


def pictures(n: int, seed: int = 0) -> np.ndarray:
    shares = np.array([0.4, 0.2, 3 / n, 0.0])
    truth = np.random.default_rng(seed).random((n, 4)) < shares
    truth[:3, 2], truth[3:, 2] = True, False
    return truth


def guesses(truth: np.ndarray, skill: float, seed: int) -> LabelAnswers:
    noise = np.random.default_rng(seed).random(truth.shape)
    probabilities = (skill * truth + (1 - skill) * noise).astype(np.float32)
    return LabelAnswers(probabilities, probabilities > 0.5)


def test_scores_are_scikit_learns_over_the_labels_that_are_judged() -> None:
    truth = pictures(200)
    first, second = guesses(truth, 0.4, 1), guesses(truth, 0.1, 2)
    found = compare_labels(truth, first, second, NAMES)
    precisions = [average_precision_score(truth[:, at], first.probabilities[:, at]) for at in range(3)]
    score = found.scores["mean_average_precision_macro"]
    assert score.first == pytest.approx(np.mean(precisions[:2]))
    assert found.scores["f1_macro"].second == pytest.approx(
        f1_score(truth[:, :2], second.given[:, :2], average="macro", zero_division=0)
    )
    assert [entry.name for entry in found.labels] == ["common", "usual", "rare"]
    assert [entry.paired.first for entry in found.labels] == pytest.approx(precisions)
    assert [entry.adjusted_p_value is None for entry in found.labels] == [False, False, True]


def test_a_clear_difference_is_seen_and_its_sign_turns() -> None:
    truth = pictures(200)
    first, second = guesses(truth, 0.4, 1), guesses(truth, 0.1, 2)
    one, other = compare_labels(truth, first, second, NAMES), compare_labels(truth, second, first, NAMES)
    for name, score in one.scores.items():
        assert score.low > 0
        assert score.p_value < 0.01
        assert other.scores[name].difference == -score.difference
    assert one.labels[0].adjusted_p_value < 0.01


def test_equally_good_classifiers_are_rarely_told_apart() -> None:
    """Of 60 true hypotheses a test at 5 % rejects fewer than 9 with a probability of 99.4 %."""
    found = []
    for seed in range(60):
        truth = pictures(80, seed)
        found.append(compare_labels(truth, guesses(truth, 0.3, 1000 + seed), guesses(truth, 0.3, 2000 + seed), NAMES))
    for name in ("mean_average_precision_macro", "f1_macro"):
        p_values = np.array([entry.scores[name].p_value for entry in found])
        assert np.count_nonzero(p_values < 0.05) < 9
        assert 0.3 < np.median(p_values) < 0.7  # as it must be where there is nothing to see


def test_a_classifier_of_another_scale_with_the_same_order_is_no_better() -> None:
    truth = pictures(150)
    first = guesses(truth, 0.3, 1)
    squared = LabelAnswers(first.probabilities**2, first.given)
    found = compare_labels(truth, first, squared, NAMES)
    assert found.scores["mean_average_precision_macro"].difference == pytest.approx(0.0, abs=1e-9)
    assert found.scores["mean_average_precision_macro"].p_value == 1.0


def test_equal_probabilities_are_no_reason_for_a_difference() -> None:
    truth = pictures(150)
    same = LabelAnswers(np.full(truth.shape, 0.5, np.float32), np.zeros(truth.shape, np.bool_))
    found = compare_labels(truth, same, same, NAMES)
    assert found.scores["f1_macro"].p_value == found.scores["mean_average_precision_macro"].p_value == 1.0


def test_tables_that_do_not_fit_are_refused() -> None:
    truth = pictures(20)
    with pytest.raises(ValueError, match="give"):
        compare_labels(truth, guesses(truth, 0.3, 1), guesses(truth[:10], 0.3, 1), NAMES)
