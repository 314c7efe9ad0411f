"""Scores of several labels equal scikit-learn's, and their intervals tell the truth."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk
from tests.pace import at_most

from distingo.metrics.label_intervals import MIN_POSITIVES
from distingo.metrics.multi_label import multi_label_scores
from distingo.scores import BinaryConfusion


def names(labels: int) -> tuple[str, ...]:
    return tuple(f"label {number}" for number in range(labels))


def evaluated(
    n: int, labels: int, seed: int, *, skill: float = 1.0, digits: int = 12, rarest: float = 0.02
) -> tuple[np.ndarray, np.ndarray]:
    """Truth of labels from rare to common, and calibrated probabilities, rounded so that many are equal."""
    generator = np.random.default_rng(seed)
    prevalence = np.geomspace(rarest, 0.5, labels)
    truth = generator.random((n, labels)) < prevalence
    calibration_set = skill * (generator.normal(size=truth.shape) + skill * truth) - skill**2 / 2
    logits = np.log(prevalence / (1 - prevalence)) + calibration_set
    return truth, np.round(1 / (1 + np.exp(-logits)), digits)


def scikit_learn_scores(truth: np.ndarray, chances: np.ndarray, cuts: np.ndarray) -> dict[str, float]:
    predicted = chances >= cuts
    in_macro = truth.sum(axis=0) >= MIN_POSITIVES
    expected = {
        "label_ranking_average_precision": sk.label_ranking_average_precision_score(truth, chances),
        "coverage_error": sk.coverage_error(truth, chances),
        "hamming_loss": sk.hamming_loss(truth, predicted),
        "exact_match": sk.accuracy_score(truth, predicted),
        "log_loss": np.mean(
            [sk.log_loss(*pair, labels=[False, True]) for pair in zip(truth.T, chances.T, strict=True)]
        ),
        "label_accuracy": sk.accuracy_score(truth.ravel(), predicted.ravel()),
        "label_accuracy_of_nothing": sk.accuracy_score(truth.ravel(), np.zeros(truth.size, bool)),
        "f1_samples": sk.f1_score(truth, predicted, average="samples", zero_division=0),
    }
    for name, score in (("f1", sk.f1_score), ("precision", sk.precision_score), ("recall", sk.recall_score)):
        expected[f"{name}_micro"] = score(truth, predicted, average="micro", zero_division=0)
        if in_macro.any():
            expected[f"{name}_macro"] = score(truth, predicted, average=None, zero_division=0)[in_macro].mean()
    if in_macro.any():
        at_half = sk.f1_score(truth, chances >= 0.5, average=None, zero_division=0)
        expected["f1_macro_at_half"] = at_half[in_macro].mean()
    if truth.any():
        expected["mean_average_precision_micro"] = sk.average_precision_score(truth, chances, average="micro")
    if in_macro.any():
        expected["mean_average_precision_macro"] = np.mean(
            [sk.average_precision_score(truth[:, label], chances[:, label]) for label in np.flatnonzero(in_macro)]
        )
    with_labels = truth.any(axis=1)
    for k in (1, 3):
        if k < truth.shape[1] and with_labels.any():
            best = np.argsort(-chances, axis=1, kind="stable")[:, :k]
            expected[f"top_{k}_hit"] = np.mean([truth[row, best[row]].any() for row in np.flatnonzero(with_labels)])
    return expected


@settings(max_examples=20, deadline=None)
@given(
    n=st.integers(1, 60),
    labels=st.integers(2, 9),
    seed=st.integers(0, 10_000),
    digits=st.sampled_from([0, 1, 12]),
    cut=st.sampled_from([0.0, 0.1, 0.5, 1.1]),
)
def test_scores_are_scikit_learns(n: int, labels: int, seed: int, digits: int, cut: float) -> None:
    truth, chances = evaluated(n, labels, seed, digits=digits)
    cuts = np.full(labels, cut)

    result = multi_label_scores(truth, chances, cuts, names(labels))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = scikit_learn_scores(truth, chances, cuts)
    assert result.scores.keys() == expected.keys()
    for name, value in expected.items():
        score = result.scores[name]
        assert score.value == pytest.approx(value, rel=1e-9, abs=1e-12), name
        assert score.low <= score.value <= score.high, name
        assert score.n == (truth.any(axis=1).sum() if name.endswith("_hit") else n), name


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 50), st.integers(0, 10_000), st.sampled_from([0, 1, 12]))
def test_every_label_has_scikit_learns_scores(n: int, seed: int, digits: int) -> None:
    truth, chances = evaluated(n, 4, seed, digits=digits)
    cuts = np.array([0.02, 0.1, 0.3, 0.5])

    entries = multi_label_scores(truth, chances, cuts, names(4)).per_label

    expected = sk.precision_recall_fscore_support(truth, chances >= cuts, average=None, zero_division=0)
    for field, values in zip(("precision", "recall", "f1", "support"), expected, strict=True):
        assert [getattr(entry, field) for entry in entries] == pytest.approx(values.tolist(), rel=1e-12)
    tables = sk.multilabel_confusion_matrix(truth, chances >= cuts)
    for label, (entry, ((tn, fp), (fn, tp))) in enumerate(zip(entries, tables, strict=True)):
        assert entry.name == f"label {label}"
        assert entry.threshold == cuts[label]
        assert entry.two_by_two == BinaryConfusion(tp, fp, fn, tn)
        if entry.support:
            precision = sk.average_precision_score(truth[:, label], chances[:, label])
            assert entry.average_precision is not None
            assert entry.average_precision.value == pytest.approx(precision, rel=1e-12)
        else:
            assert entry.average_precision is None


def test_a_label_with_few_positives_is_named_and_in_no_macro_score() -> None:
    truth, chances = evaluated(200, 3, seed=0, rarest=0.2)
    truth[:, 0] = False
    truth[: MIN_POSITIVES - 1, 0] = True
    cuts = np.full(3, 0.3)

    result = multi_label_scores(truth, chances, cuts, names(3))

    assert result.left_out == ("label 0",)
    without = multi_label_scores(truth[:, 1:], chances[:, 1:], cuts[1:], names(3)[1:])
    for name in ("mean_average_precision_macro", "f1_macro", "precision_macro", "recall_macro"):
        assert result.scores[name].value == without.scores[name].value
    assert without.left_out == ()
    assert result.scores["f1_micro"].value != without.scores["f1_micro"].value
    assert result.per_label[0].support == MIN_POSITIVES - 1
    assert result.per_label[0].average_precision is not None


def test_without_any_label_only_what_is_defined_is_given() -> None:
    result = multi_label_scores(np.zeros((4, 2), bool), np.full((4, 2), 0.1), [0.5, 0.5], ("a", "b"))

    assert result.left_out == ("a", "b")
    assert not [name for name in result.scores if "_macro" in name or "hit" in name]
    assert "mean_average_precision_micro" not in result.scores
    assert result.scores["label_accuracy"].value == result.scores["label_accuracy_of_nothing"].value == 1.0
    assert result.scores["label_accuracy"].low < 0.6  # Wilson's interval of 4 in 4


def test_constant_probabilities_have_the_prevalence_as_average_precision() -> None:
    truth, _ = evaluated(400, 5, seed=1, rarest=0.1)
    result = multi_label_scores(truth, np.full(truth.shape, 0.25), np.full(5, 0.5), names(5))
    for entry, share in zip(result.per_label, truth.mean(axis=0), strict=True):
        assert entry.average_precision is not None
        assert entry.average_precision.value == pytest.approx(share)


def test_float32_probabilities_are_compared_with_thresholds_exactly() -> None:
    chances = np.array([[0.1], [0.3]], dtype=np.float32)
    cuts = [float(chances[0, 0])]
    (entry,) = multi_label_scores([[1], [0]], chances, cuts, ("a",)).per_label
    assert entry.two_by_two == BinaryConfusion(1, 1, 0, 0)


@pytest.mark.slow
def test_intervals_cover_what_many_more_images_show() -> None:
    covered = dict.fromkeys(("mean_average_precision_macro", "f1_macro", "hamming_loss", "label 2"), 0)
    cuts = np.full(4, 0.3)
    population = multi_label_scores(*evaluated(200_000, 4, seed=0, rarest=0.1), cuts, names(4))
    for trial in range(40):
        result = multi_label_scores(*evaluated(300, 4, seed=trial + 1, rarest=0.1), cuts, names(4))
        scores = {**result.scores, **{entry.name: entry.average_precision for entry in result.per_label}}
        truth = {**population.scores, **{entry.name: entry.average_precision for entry in population.per_label}}
        for name in covered:
            covered[name] += scores[name].low <= truth[name].value <= scores[name].high
    assert min(covered.values()) >= 34, covered  # of 38 expected


def test_a_perfect_order_of_few_images_is_not_certain() -> None:
    truth = np.array([[True], [True], [True], [False], [False]])
    (entry,) = multi_label_scores(truth, truth.astype(float), [0.5], ("a",)).per_label
    assert entry.average_precision is not None
    assert entry.average_precision.value == entry.average_precision.high == 1.0
    assert entry.average_precision.too_few
    assert 0.1 < entry.average_precision.low < 0.4385  # below Wilson's interval of 3 in 3


def test_3600_images_with_25_labels_are_scored_at_once() -> None:
    truth, chances = evaluated(3600, 25, seed=0, rarest=0.005)
    with at_most(10):
        multi_label_scores(truth, chances, np.full(25, 0.3), names(25))


@pytest.mark.parametrize(
    ("truth", "chances", "cuts", "message"),
    [
        (np.zeros((0, 2), bool), np.zeros((0, 2)), [0.5, 0.5], "one picture"),
        (np.zeros((3, 3), bool), np.zeros((3, 3)), [0.5, 0.5, 0.5], r"give \(n, 2\)"),
        ([[0, 2]], [[0.5, 0.5]], [0.5, 0.5], "other than 0 and 1"),
        ([[0, 1]], [[0.5, 1.5]], [0.5, 0.5], "not a number"),
        ([[0, 1]], [[0.5, np.nan]], [0.5, 0.5], "not a number"),
        ([[0, 1]], [[0.5]], [0.5, 0.5], "as the truth has"),
        ([[0, 1]], [[0.5, 0.5]], [0.5], "one number for each of 2"),
        ([[0, 1]], [[0.5, 0.5]], [0.5, np.nan], "one number for each of 2"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(truth: list, chances: list, cuts: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        multi_label_scores(truth, chances, cuts, ("a", "b"))
