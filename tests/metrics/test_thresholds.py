"""Thresholds reach their aim on new images; those of rare labels are shrunk towards the others."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score, precision_score, recall_score

from distingo.metrics.thresholds import FALLBACK, SHRINKAGE, choose_thresholds
from note_texts import texts


def evaluated(n: int, prevalence: np.ndarray, seed: int, sharpness: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Truth, and probabilities of a classifier that is better on some labels than on others."""
    generator = np.random.default_rng(seed)
    truth = generator.random((n, prevalence.size)) < prevalence
    skill = np.linspace(0.6, 1.6, prevalence.size)
    calibration_set = skill * (generator.normal(size=truth.shape) + skill * truth) - skill**2 / 2
    logits = np.log(prevalence / (1 - prevalence)) + calibration_set
    return truth, 1 / (1 + np.exp(-sharpness * logits))


def macro_f1(truth: np.ndarray, chances: np.ndarray, values: tuple[float, ...] | float) -> float:
    return f1_score(truth, chances >= np.array(values), average="macro", zero_division=0)


@settings(max_examples=15, deadline=None)
@given(st.integers(2, 50), st.integers(0, 10_000), st.sampled_from([1, 12]))
def test_without_shrinkage_no_threshold_has_a_better_f1(n: int, seed: int, digits: int) -> None:
    truth, chances = evaluated(n, np.array([0.3, 0.5]), seed)
    chances = np.round(chances, digits)
    values = choose_thresholds(truth, chances, shrinkage=0).values
    for label in np.flatnonzero(truth.any(axis=0)):
        own, *every = (
            f1_score(truth[:, label], chances[:, label] >= cut)
            for cut in (values[label], *np.unique(chances[:, label]))
        )
        assert own == pytest.approx(max(every))


@pytest.mark.parametrize("sharpness", [1.0, 1.7])
def test_chosen_thresholds_beat_one_half_on_new_images(sharpness: float) -> None:
    prevalence = np.geomspace(0.01, 0.4, 12)
    values = choose_thresholds(*evaluated(1000, prevalence, 0, sharpness)).values
    new = evaluated(10_000, prevalence, 1, sharpness)
    assert macro_f1(*new, values) > 1.5 * macro_f1(*new, 0.5)


@pytest.mark.slow
@pytest.mark.parametrize("sharpness", [1.0, 1.7])
def test_shrinkage_helps_rare_labels_on_new_images(sharpness: float) -> None:
    prevalence = np.concatenate([np.full(6, 0.006), np.geomspace(0.03, 0.4, 8)])
    gains = []
    for seed in range(12):
        validation = evaluated(800, prevalence, seed, sharpness)
        truth, chances = evaluated(20_000, prevalence, 1000 + seed, sharpness)
        shrunk, own = (choose_thresholds(*validation, shrinkage=amount).values for amount in (SHRINKAGE, 0.0))
        gains.append(
            [
                macro_f1(truth[:, split], chances[:, split], shrunk[split])
                / macro_f1(truth[:, split], chances[:, split], own[split])
                for split in (slice(0, 6), slice(6, None))
            ]
        )
    rare, common = np.mean(gains, axis=0)
    assert rare > 1.05
    assert common > 0.99


def test_a_rare_label_moves_further_than_a_common_one() -> None:
    truth, chances = evaluated(2000, np.array([0.005, 0.1, 0.1, 0.45]), 3)
    shrunk, own = (np.array(choose_thresholds(truth, chances, shrinkage=amount).values) for amount in (20.0, 0.0))
    half, all_shared = (np.array(choose_thresholds(truth, chances, shrinkage=amount).values) for amount in (1e3, 1e9))

    def logit(values: np.ndarray) -> np.ndarray:
        return np.log(values / (1 - values))

    weight = (logit(shrunk) - logit(all_shared)) / (logit(own) - logit(all_shared))
    positives = truth.sum(axis=0)
    np.testing.assert_allclose(weight, positives / (positives + 20), atol=1e-4)
    # shared by all labels is how many images are given each for one that has it
    rates = (chances >= all_shared).sum(axis=0) / positives
    assert rates.max() - rates.min() < 0.2
    assert ((half - own) * (all_shared - own) >= 0).all()


def test_a_label_without_positives_gets_the_median_and_a_note() -> None:
    truth, chances = evaluated(500, np.full(4, 0.3), 0)
    truth[:, 2] = False
    chosen = choose_thresholds(truth, chances, labels=("a", "b", "c", "d"))
    assert chosen.values[2] == np.median(np.delete(chosen.values, 2))
    assert chosen.aim == "f1"
    (note,) = texts(chosen.notes)
    assert note.startswith("c: no validation picture")


def test_without_any_positive_every_threshold_is_one_half() -> None:
    chosen = choose_thresholds(np.zeros((5, 3), bool), np.full((5, 3), 0.1))
    assert chosen.values == (FALLBACK,) * 3
    assert "no validation picture" in texts(chosen.notes)[0]


@pytest.mark.parametrize(
    ("aim", "requested", "score"), [("precision", 0.5, precision_score), ("recall", 0.7, recall_score)]
)
def test_the_requested_value_is_reached_on_validation_and_nearly_on_new_images(
    aim: str, requested: float, score: Callable[..., np.ndarray]
) -> None:
    prevalence = np.array([0.2, 0.3, 0.4])
    truth, chances = evaluated(3000, prevalence, 0)
    exact = choose_thresholds(truth, chances, aim=aim, requested=requested, shrinkage=0).values
    reached = score(truth, chances >= np.array(exact), average=None)
    assert (reached >= requested).all()
    assert (reached < requested + 0.02).all()  # no more is given up than must be

    new_truth, new_chances = evaluated(20_000, prevalence, 1)
    values = choose_thresholds(truth, chances, aim=aim, requested=requested).values
    np.testing.assert_allclose(score(new_truth, new_chances >= np.array(values), average=None), requested, atol=0.1)


def test_a_precision_out_of_reach_is_reported() -> None:
    truth = np.array([[True], [False], [True], [False], [False]] * 4)
    chances = np.array([[0.4], [0.9], [0.4], [0.4], [0.1]] * 4)
    chosen = choose_thresholds(truth, chances, aim="precision", requested=0.9, labels=("rare",), shrinkage=0)
    assert chosen.values[0] == pytest.approx((0.4 + 0.1) / 2)  # the nearest: 8 right in 16
    assert any("rare: no threshold reaches a precision of 0.9" in note for note in texts(chosen.notes))


def test_few_positives_are_reported() -> None:
    truth, chances = evaluated(100, np.full(2, 0.5), 0)
    truth[:, 1] = np.arange(100) < 3
    (note,) = texts(choose_thresholds(truth, chances, labels=("often", "seldom")).notes)
    assert note.startswith("seldom: fewer than 10")


def test_probabilities_of_exactly_0_and_1_stay_numbers() -> None:
    truth = np.array([[True, False], [False, True]] * 5)
    chances = truth.astype(np.float32)
    values = np.array(choose_thresholds(truth, chances).values)
    assert ((values > 0) & (values < 1)).all()
    np.testing.assert_array_equal(chances >= values, truth)


@pytest.mark.parametrize(
    ("truth", "chances", "options", "message"),
    [
        (np.zeros((0, 2), bool), np.zeros((0, 2)), {}, "give truth values"),
        (np.zeros((2, 2), int), np.zeros((2, 2)), {}, "give truth values"),
        (np.zeros((2, 2), bool), np.zeros((2, 3)), {}, "give truth values"),
        (np.zeros((1, 1), bool), np.array([[np.nan]]), {}, "not a number"),
        (np.zeros((1, 1), bool), np.array([[0.5]]), {"aim": "f2"}, "choose f1"),
        (np.zeros((1, 1), bool), np.array([[0.5]]), {"aim": "recall"}, "requested None"),
        (np.zeros((1, 1), bool), np.array([[0.5]]), {"requested": 0.5}, "f1 takes None"),
        (np.zeros((1, 1), bool), np.array([[0.5]]), {"aim": "recall", "requested": 70.0}, "up to 1"),
    ],
)
def test_what_does_not_fit_is_refused(truth: np.ndarray, chances: np.ndarray, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        choose_thresholds(truth, chances, **options)
