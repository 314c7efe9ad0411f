"""Scores equal scikit-learn's, and their intervals have the stated coverage."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk
from tests.pace import at_most

from distingo.metrics.single_label import classification_scores, confusion_matrix, per_class_scores


def names(classes: int) -> tuple[str, ...]:
    return tuple(f"class {number}" for number in range(classes))


def softmax(scores: np.ndarray) -> np.ndarray:
    exponentials = np.exp(scores - scores.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def evaluated(n: int, classes: int, seed: int, skill: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Labels and probabilities of a classifier that is right more often the greater its skill."""
    generator = np.random.default_rng(seed)
    truth = generator.integers(0, classes, n)
    scores = generator.normal(size=(n, classes)) + skill * np.eye(classes)[truth]
    return truth, softmax(scores)


def scikit_learn_scores(truth: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    classes = probabilities.shape[1]
    predicted = probabilities.argmax(axis=1)
    expected = {
        "accuracy": sk.accuracy_score(truth, predicted),
        "log_loss": sk.log_loss(truth, probabilities, labels=range(classes)),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of predicted classes that are never true
        expected["balanced_accuracy"] = sk.balanced_accuracy_score(truth, predicted)
    for average in ("macro", "weighted"):
        precision, recall, f1, _ = sk.precision_recall_fscore_support(
            truth, predicted, average=average, zero_division=0
        )
        expected |= {f"precision_{average}": precision, f"recall_{average}": recall, f"f1_{average}": f1}
    for k in (2, 3, 5):
        if k < classes:
            expected[f"top_{k}_accuracy"] = sk.top_k_accuracy_score(truth, probabilities, k=k, labels=range(classes))
    return expected


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 60), st.integers(2, 9), st.integers(0, 10_000), st.sampled_from([0.0, 1.0, 4.0]))
def test_scores_are_scikit_learns(n: int, classes: int, seed: int, skill: float) -> None:
    truth, probabilities = evaluated(n, classes, seed, skill)

    scores = classification_scores(truth, probabilities, names(classes))

    expected = scikit_learn_scores(truth, probabilities)
    assert scores.keys() == expected.keys()
    for name, value in expected.items():
        assert scores[name].value == pytest.approx(value, rel=1e-12, abs=1e-12), name
        assert scores[name].low <= scores[name].value <= scores[name].high
        assert scores[name].n == n


def test_accuracy_is_exact() -> None:
    truth, probabilities = evaluated(10_007, 10, seed=3)
    right = int((probabilities.argmax(axis=1) == truth).sum())

    assert classification_scores(truth, probabilities, names(10))["accuracy"].value == right / 10_007


def test_float32_probabilities_of_zero_give_scikit_learns_log_loss() -> None:
    truth = np.array([0, 1, 2])
    probabilities = np.array([[1, 0, 0], [1, 0, 0], [0.25, 0.25, 0.5]], dtype=np.float32)

    loss = classification_scores(truth, probabilities, names(3))["log_loss"].value

    assert loss == pytest.approx(sk.log_loss(truth, probabilities, labels=range(3)), rel=1e-6)


def test_a_class_absent_from_truth_and_prediction_counts_in_no_average() -> None:
    truth = np.array([0, 0, 1, 3])
    probabilities = np.eye(5)[[0, 1, 1, 0]]  # class 3 is never predicted, 2 and 4 are nowhere

    scores = classification_scores(truth, probabilities, names(5))

    expected = scikit_learn_scores(truth, probabilities)
    for name in ("precision_macro", "recall_macro", "f1_macro", "f1_weighted", "balanced_accuracy"):
        assert scores[name].value == pytest.approx(expected[name], rel=1e-12)


def test_equally_probable_classes_rank_first_come_first() -> None:
    truth = np.array([0, 1, 2, 3])
    scores = classification_scores(truth, np.full((4, 4), 0.25), names(4))

    assert scores["accuracy"].value == 0.25
    assert scores["top_2_accuracy"].value == 0.5
    assert scores["top_3_accuracy"].value == 0.75


@pytest.mark.parametrize(("classes", "expected"), [(2, []), (3, [2]), (5, [2, 3]), (6, [2, 3, 5])])
def test_only_a_k_below_the_number_of_classes_is_given(classes: int, expected: list[int]) -> None:
    truth, probabilities = evaluated(20, classes, seed=0)
    scores = classification_scores(truth, probabilities, names(classes))
    assert [name for name in scores if name.startswith("top_")] == [f"top_{k}_accuracy" for k in expected]


@pytest.mark.parametrize("n", [30, 200])
def test_the_interval_of_accuracy_covers_the_true_rate(n: int) -> None:
    generator = np.random.default_rng(0)
    truth = np.zeros(n, dtype=np.int64)
    covered = 0
    for _ in range(200):
        right = generator.random(n) < 0.8
        score = classification_scores(truth, np.eye(2)[1 - right], names(2))["accuracy"]
        covered += score.low <= 0.8 <= score.high
    assert covered >= 175  # of 190 expected


def test_all_right_on_few_images_is_not_certain() -> None:
    truth = np.array([0, 1, 2] * 3)
    scores = classification_scores(truth, np.eye(3)[truth], names(3))

    for name in ("accuracy", "f1_macro", "recall_weighted", "balanced_accuracy", "top_2_accuracy"):
        assert scores[name].value == scores[name].high == 1.0
        assert scores[name].too_few
        assert 0.6 < scores[name].low < 0.71
    assert scores["accuracy"].low == pytest.approx(0.7009, abs=1e-4)  # Wilson's interval of 9 in 9


def test_all_wrong_on_few_images_is_not_certain() -> None:
    scores = classification_scores(np.array([0, 0, 1]), np.eye(3)[[1, 2, 2]], names(3))
    assert scores["accuracy"].value == scores["accuracy"].low == 0.0
    assert scores["accuracy"].high == pytest.approx(0.5615, abs=1e-4)


def test_ten_thousand_images_are_scored_at_once() -> None:
    truth, probabilities = evaluated(10_000, 10, seed=0)
    with at_most(1.5):
        classification_scores(truth, probabilities, names(10))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=40))
def test_confusion_and_classes_are_scikit_learns(pairs: list[tuple[int, int]]) -> None:
    truth, predicted = np.array(pairs).T

    confusion = confusion_matrix(truth, predicted, 5)
    rows = per_class_scores(confusion, names(5))

    assert np.array_equal(confusion, sk.confusion_matrix(truth, predicted, labels=range(5)))
    expected = sk.precision_recall_fscore_support(truth, predicted, labels=range(5), zero_division=0)
    assert [row.name for row in rows] == list(names(5))
    for field, values in zip(("precision", "recall", "f1", "support"), expected, strict=True):
        assert [getattr(row, field) for row in rows] == pytest.approx(values.tolist(), rel=1e-15)


@pytest.mark.parametrize(
    ("truth", "probabilities", "message"),
    [
        ([], np.zeros((0, 2)), "no pictures"),
        ([0, 2], np.full((2, 2), 0.5), "give 0 .. 1"),
        ([0, -1], np.full((2, 2), 0.5), "give 0 .. 1"),
        ([0, 1], np.full((3, 2), 0.5), "shape"),
        ([0.5, 1.0], np.full((2, 2), 0.5), "integers"),
        ([0, 1], np.array([[0.5, np.nan], [1, 0]]), "not a number"),
        ([0, 1], np.array([[-0.5, 1.5], [1, 0]]), "not a number"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(truth: list[float], probabilities: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        classification_scores(np.array(truth), probabilities, names(2))
    with pytest.raises(ValueError, match="one of each"):
        confusion_matrix([0], [0, 1], 2)
