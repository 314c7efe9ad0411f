"""Two classifiers of exclusive classes next to each other."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score, recall_score

from distingo.metrics.paired import mcnemar_p_value
from distingo.metrics.paired_scores import LabelPredictions, _f1_without_each, compare_classes, compare_labels

NAMES = ("a", "b", "c", "never shown")


def answers(n: int, first: float, second: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Truth, and two classifiers that are right on these shares of the images."""
    generator = np.random.default_rng(seed)
    truth = generator.integers(0, 3, n)
    predicted = [np.where(generator.random(n) < share, truth, generator.integers(0, 3, n)) for share in (first, second)]
    return truth, predicted[0], predicted[1]


def test_scores_are_scikit_learns() -> None:
    truth, first, second = answers(300, 0.9, 0.6)
    found = compare_classes(truth, first, second, NAMES)
    assert found.f1_macro.first == pytest.approx(f1_score(truth, first, average="macro"))
    assert found.f1_macro.second == pytest.approx(f1_score(truth, second, average="macro"))
    recalls = recall_score(truth, first, average=None)
    f1 = f1_score(truth, second, average=None)
    assert [entry.name for entry in found.classes] == ["a", "b", "c"]
    for at, entry in enumerate(found.classes):
        assert entry.paired.first == pytest.approx(recalls[at])
        assert entry.f1 is not None
        assert entry.f1.second == pytest.approx(f1[at])
        assert entry.support == entry.paired.n == np.count_nonzero(truth == at)
        assert entry.paired.low <= entry.paired.difference <= entry.paired.high
        shown = truth == at
        only = [
            np.count_nonzero(shown & (one == at) & (other != at)) for one, other in ((first, second), (second, first))
        ]
        assert entry.paired.p_value == mcnemar_p_value(*only)
        assert entry.adjusted_p_value >= entry.paired.p_value


def test_a_clear_difference_is_seen_and_its_sign_turns() -> None:
    truth, first, second = answers(400, 0.9, 0.7)
    one, other = compare_classes(truth, first, second, NAMES), compare_classes(truth, second, first, NAMES)
    assert one.f1_macro.low > 0 > other.f1_macro.high
    assert one.f1_macro.difference == -other.f1_macro.difference
    assert one.f1_macro.p_value < 0.001


def test_equal_answers_differ_in_nothing() -> None:
    truth, first, _ = answers(100, 0.8, 0.8)
    found = compare_classes(truth, first, first, NAMES)
    assert (found.f1_macro.difference, found.f1_macro.p_value) == (0.0, 1.0)
    assert all(entry.adjusted_p_value == 1.0 for entry in found.classes)


@pytest.mark.slow
def test_equally_good_classifiers_are_rarely_distinguished() -> None:
    """A test at 5 % rejects 5 % of true hypotheses: of 200, fewer than 18 with a probability of 98.9 %."""
    found = [compare_classes(*answers(150, 0.8, 0.8, seed), NAMES) for seed in range(200)]
    assert 2 <= sum(entry.f1_macro.p_value < 0.05 for entry in found) < 18
    assert sum(any(entry.adjusted_p_value < 0.05 for entry in one.classes) for one in found) < 18


@pytest.mark.slow
def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    large = compare_classes(*answers(200_000, 0.9, 0.7), NAMES).f1_macro.difference
    found = [compare_classes(*answers(200, 0.9, 0.7, seed), NAMES).f1_macro for seed in range(100)]
    assert 88 <= sum(score.low <= large <= score.high for score in found) <= 100


def test_the_same_seed_gives_the_same_answer() -> None:
    found = answers(120, 0.9, 0.8)
    assert compare_classes(*found, NAMES, seed=3) == compare_classes(*found, NAMES, seed=3)


@pytest.mark.parametrize("broken", [([], [], []), ([0], [4], [0]), ([0.5], [0], [0])])
def test_answers_that_are_no_classes_are_refused(broken: tuple[list[float], list[int], list[int]]) -> None:
    with pytest.raises(ValueError, match="give"):
        compare_classes(*(np.array(split) for split in broken), NAMES)


def test_the_jackknife_of_macro_f1_is_what_leaving_each_image_out_gives() -> None:
    truth, predicted = np.array([0, 0, 0, 1, 1, 1, 2, 2, 2, 2]), np.array([0, 0, 1, 1, 1, 0, 2, 2, 1, 2])
    value, changes = _f1_without_each(truth, predicted, 3)
    assert value == pytest.approx(f1_score(truth, predicted, average="macro"))
    for image in range(10):
        rest = np.arange(10) != image
        without = f1_score(truth[rest], predicted[rest], average="macro")
        assert changes[image] == pytest.approx(without - value)


LABELS = ("common", "usual", "rare", "nowhere")


def images(n: int, seed: int = 0) -> np.ndarray:
    shares = np.array([0.4, 0.2, 3 / n, 0.0])
    truth = np.random.default_rng(seed).random((n, 4)) < shares
    truth[:3, 2], truth[3:, 2] = True, False
    return truth


def guesses(truth: np.ndarray, skill: float, seed: int) -> LabelPredictions:
    noise = np.random.default_rng(seed).random(truth.shape)
    probabilities = (skill * truth + (1 - skill) * noise).astype(np.float32)
    return LabelPredictions(probabilities, probabilities > 0.5)


def test_scores_are_scikit_learns_over_the_labels_that_are_judged() -> None:
    truth = images(200)
    first, second = guesses(truth, 0.4, 1), guesses(truth, 0.1, 2)
    found = compare_labels(truth, first, second, LABELS)
    precisions = [average_precision_score(truth[:, at], first.probabilities[:, at]) for at in range(3)]
    score = found.scores["mean_average_precision_macro"]
    assert score.first == pytest.approx(np.mean(precisions[:2]))
    assert found.scores["f1_macro"].second == pytest.approx(
        f1_score(truth[:, :2], second.predicted[:, :2], average="macro", zero_division=0)
    )
    assert [entry.name for entry in found.labels] == ["common", "usual", "rare"]
    assert [entry.paired.first for entry in found.labels] == pytest.approx(precisions)
    assert [entry.adjusted_p_value is None for entry in found.labels] == [False, False, True]


def test_a_clear_difference_of_labels_is_seen_and_its_sign_turns() -> None:
    truth = images(200)
    first, second = guesses(truth, 0.4, 1), guesses(truth, 0.1, 2)
    one, other = compare_labels(truth, first, second, LABELS), compare_labels(truth, second, first, LABELS)
    for name, score in one.scores.items():
        assert score.low > 0
        assert score.p_value < 0.01
        assert other.scores[name].difference == -score.difference
    assert one.labels[0].adjusted_p_value < 0.01


@pytest.mark.slow
def test_equally_good_classifiers_of_labels_are_rarely_distinguished() -> None:
    """Of 60 true hypotheses a test at 5 % rejects fewer than 9 with a probability of 99.4 %."""
    found = []
    for seed in range(60):
        truth = images(80, seed)
        found.append(compare_labels(truth, guesses(truth, 0.3, 1000 + seed), guesses(truth, 0.3, 2000 + seed), LABELS))
    for name in ("mean_average_precision_macro", "f1_macro"):
        p_values = np.array([entry.scores[name].p_value for entry in found])
        assert np.count_nonzero(p_values < 0.05) < 9
        assert 0.3 < np.median(p_values) < 0.7  # as it must be where there is nothing to see


def test_a_classifier_of_another_scale_with_the_same_order_is_no_better() -> None:
    truth = images(150)
    first = guesses(truth, 0.3, 1)
    squared = LabelPredictions(first.probabilities**2, first.predicted)
    found = compare_labels(truth, first, squared, LABELS)
    assert found.scores["mean_average_precision_macro"].difference == pytest.approx(0.0, abs=1e-9)
    assert found.scores["mean_average_precision_macro"].p_value == 1.0


def test_equal_probabilities_are_no_reason_for_a_difference() -> None:
    truth = images(150)
    same = LabelPredictions(np.full(truth.shape, 0.5, np.float32), np.zeros(truth.shape, np.bool_))
    found = compare_labels(truth, same, same, LABELS)
    assert found.scores["f1_macro"].p_value == found.scores["mean_average_precision_macro"].p_value == 1.0


def test_tables_that_do_not_fit_are_refused() -> None:
    truth = images(20)
    with pytest.raises(ValueError, match="give"):
        compare_labels(truth, guesses(truth, 0.3, 1), guesses(truth[:10], 0.3, 1), LABELS)
