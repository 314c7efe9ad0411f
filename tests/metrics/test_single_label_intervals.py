"""Intervals of averaged precision, recall and F1 from what each image moves them by."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import f1_score, precision_score, recall_score

from distingo.metrics.intervals import wilson
from distingo.metrics.single_label import (
    _influences,
    class_intervals,
    classification_scores,
    confusion_intervals,
    has_small_classes,
)

TRUTH = np.array([0, 0, 0, 0, 1, 1, 1, 2, 2, 2, 2, 2])
SAID = np.array([0, 0, 1, 2, 1, 1, 0, 2, 2, 2, 1, 2])


def score(name: str, weights: np.ndarray) -> float:
    functions = {"precision": precision_score, "recall": recall_score, "f1": f1_score}
    kind, average = name.split("_")
    return float(functions[kind](TRUTH, SAID, average=average, sample_weight=weights))


@pytest.mark.parametrize("name", ["precision_macro", "recall_macro", "f1_macro", "precision_weighted", "f1_weighted"])
def test_an_influence_is_the_derivative_by_an_images_weight(name: str) -> None:
    counts = np.bincount(TRUTH * 3 + SAID, minlength=9).reshape(3, 3)
    own = dict(_influences(counts.astype(float), counts))[name]
    moved = own.truth[TRUTH] + own.predicted[SAID] + np.where(TRUTH == SAID, own.right[TRUTH], 0)
    moved = moved - moved.mean()
    for image in range(len(TRUTH)):
        more, less = np.ones(len(TRUTH)), np.ones(len(TRUTH))
        more[image] += 1e-5
        less[image] -= 1e-5
        slope = (score(name, more) - score(name, less)) / 2e-5 * len(TRUTH)
        assert moved[image] == pytest.approx(slope, abs=1e-6)


def test_one_class_in_five_may_be_small() -> None:
    assert not has_small_classes(np.array([5, 90, 90, 90, 90]), np.zeros(5, int))
    assert has_small_classes(np.array([5, 5, 90, 90, 90]), np.zeros(5, int))
    assert not has_small_classes(np.array([6, 90, 0]), np.array([0, 96, 0]))  # the third is not there at all


def test_recall_of_equally_many_images_has_nearly_accuracys_interval() -> None:
    counts = np.diag([90, 90, 90]) + np.array([[0, 10, 0], [0, 0, 10], [10, 0, 0]])
    found = confusion_intervals(counts, {"balanced_accuracy": 0.9})["balanced_accuracy"]
    assert (found.low, found.high) == pytest.approx(wilson(270, 300), abs=0.003)
    assert not found.too_few


def test_a_class_of_two_images_among_four_is_too_few() -> None:
    assert confusion_intervals(np.diag([50, 50, 50, 2]), {"f1_macro": 1.0})["f1_macro"].too_few


def test_an_interval_that_one_other_mistake_leads_out_of_is_none() -> None:
    """One of five images of a class is 4 points of a macro score of five classes; chance in the others is one point."""
    counts = np.diag([5, 250, 250, 250, 250]) + np.eye(5, k=-1, dtype=int) * 3
    counts[1, 0], counts[4, 0] = 0, 0
    assert confusion_intervals(counts, {"precision_macro": 0.98})["precision_macro"].too_few
    many = np.diag([250] * 5) + np.eye(5, k=-1, dtype=int) * 3
    assert not confusion_intervals(many, {"precision_macro": 0.98})["precision_macro"].too_few


def test_each_class_has_wilsons_intervals() -> None:
    """8 of 12 found; of 9 called so 8 are; 8 of the 13 that are or were called so."""
    scores = class_intervals(np.array([[8, 4, 0], [1, 9, 0], [0, 0, 0]]), ("a", "b", "c"))
    assert (scores["a"]["recall"].low, scores["a"]["recall"].high) == pytest.approx(wilson(8, 12))
    assert (scores["a"]["precision"].low, scores["a"]["precision"].high) == pytest.approx(wilson(8, 9))
    assert scores["a"]["f1"].value == pytest.approx(2 * 8 / (12 + 9))
    low, high = wilson(8, 13)
    assert (scores["a"]["f1"].low, scores["a"]["f1"].high) == pytest.approx(
        (2 * low / (1 + low), 2 * high / (1 + high))
    )
    assert [scores["a"][name].n for name in ("precision", "recall", "f1")] == [9, 12, 13]
    assert [scores["a"][name].too_few for name in ("precision", "recall", "f1")] == [True, False, False]
    assert scores["c"] == {}


@pytest.mark.parametrize(("images", "too_few"), [(11, True), (12, False)])
def test_a_class_of_eleven_images_has_too_few(images: int, too_few: bool) -> None:
    scores = class_intervals(np.array([[images - 4, 4], [0, 50]]), ("a", "b"))
    assert scores["a"]["recall"].n == images and scores["a"]["recall"].too_few is too_few


@pytest.mark.slow
def test_the_intervals_hold_the_truth() -> None:
    """Ten classes of 30 to 100 images: of 1,000 draws 930 to 970."""
    generator = np.random.default_rng(1)
    shares = np.linspace(1, 3, 10)
    shares /= shares.sum()
    errors = np.linspace(0.05, 0.35, 10)
    table = shares[:, None] * (np.diag(1 - errors) + (1 - np.eye(10)) * errors[:, None] / 9)
    right, true, said = table.diagonal(), table.sum(axis=1), table.sum(axis=0)
    truths = {"recall_macro": (right / true).mean(), "f1_macro": (2 * right / (true + said)).mean()}
    truths["precision_macro"] = (right / said).mean()
    covered = dict.fromkeys(truths, 0)
    for _ in range(1000):
        cells = generator.choice(100, 600, p=table.ravel())
        scores = classification_scores(cells // 10, np.eye(10)[cells % 10], tuple("abcdefghij"))
        for name, truth in truths.items():
            covered[name] += scores[name].low <= truth <= scores[name].high
    assert all(930 <= count <= 970 for count in covered.values()), covered
