"""The scores that a run is evaluated by, from truth and probabilities."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score

from distingo.evaluation.scores import evaluate
from distingo.models.description import ModelDescription
from distingo.records import LabeledImage, Source
from distingo.scores import Thresholds
from note_texts import texts

LABELS = ("a", "b", "c")
GENERATOR = np.random.default_rng(1)
TRUTH = GENERATOR.random((60, 3)) < (0.5, 0.3, 0.02)
CHANCES = (0.6 * GENERATOR.random((60, 3)) + 0.3 * TRUTH).astype(np.float32)


def images(truth: np.ndarray) -> list[LabeledImage]:
    names = [tuple(np.array(LABELS)[row]) for row in truth]
    return [LabeledImage(Source(f"{at}", Path(f"{at}")), row, f"{at}", f"{at}", 8, 8) for at, row in enumerate(names)]


def described(*values: float) -> ModelDescription:
    thresholds = Thresholds(values, "f1") if values else None
    return ModelDescription("small-cnn", "network", "multi-label", LABELS, thresholds=thresholds)


def test_every_model_is_evaluated_at_its_own_thresholds() -> None:
    models = {"model": described(0.4, 0.3, 0.5), "prevalence": described(0.1, 0.9, 0.9)}
    constant = np.tile(np.float32(TRUTH.mean(axis=0)), (60, 1))
    evaluation = evaluate(images(TRUTH), models, {"model": CHANCES, "prevalence": constant})

    kept = TRUTH.sum(axis=0) >= 5
    assert evaluation.left_out == ("c",)
    assert (evaluation.task, evaluation.n, evaluation.confusion) == ("multi-label", 60, ())
    assert evaluation.thresholds == models["model"].thresholds
    tuned = f1_score(TRUTH, np.array([0.4, 0.3, 0.5]) <= CHANCES, average=None, zero_division=0)[kept].mean()
    at_half = f1_score(TRUTH, CHANCES >= 0.5, average=None, zero_division=0)[kept].mean()
    precision = average_precision_score(TRUTH[:, kept], CHANCES[:, kept])
    assert evaluation.scores["f1_macro"].value == pytest.approx(tuned)
    assert evaluation.scores["f1_macro_at_half"].value == pytest.approx(at_half)
    assert evaluation.scores["f1_macro_at_half"].low < at_half < evaluation.scores["f1_macro_at_half"].high
    assert evaluation.scores["mean_average_precision_macro"].value == pytest.approx(precision)
    assert [entry.threshold for entry in evaluation.per_label] == [0.4, 0.3, 0.5]
    always_a = f1_score(TRUTH[:, 0], np.ones(60, bool)) / 2  # of the two labels kept, one is always given, one never
    assert evaluation.baselines["prevalence"]["f1_macro"].value == pytest.approx(always_a)
    without = int((~TRUTH.any(axis=1)).sum())
    assert texts(evaluation.notes) == (f"{without} of 60 pictures have no label",)


def test_a_model_from_before_there_were_thresholds_is_evaluated_at_half() -> None:
    evaluation = evaluate(images(TRUTH), {"model": described()}, {"model": CHANCES})
    assert evaluation.scores["f1_macro"] == evaluation.scores["f1_macro_at_half"]
    assert evaluation.thresholds is not None
    assert texts(evaluation.thresholds.notes) == ("no thresholds were chosen",)


def test_one_label_per_image_is_evaluated_as_ever() -> None:
    one = ModelDescription("small-cnn", "network", "single-label", LABELS)
    truth = np.eye(3, dtype=bool)[np.arange(30) % 3]
    chances = (truth * 0.5 + 0.5 / 3).astype(np.float32)
    chances[0] = chances[1]
    evaluation = evaluate(
        images(truth), {"model": one, "majority": one}, {"model": chances, "majority": chances}, ("n",)
    )
    assert evaluation.scores["accuracy"].value == pytest.approx(29 / 30)
    assert evaluation.confusion == ((9, 1, 0), (0, 10, 0), (0, 0, 10))
    assert (evaluation.task, evaluation.thresholds, evaluation.per_label) == ("single-label", None, ())
    assert evaluation.baselines.keys() == {"majority"}
    assert texts(evaluation.notes) == ("n",)


def test_a_gain_over_a_baseline_is_measured_image_by_image() -> None:
    truth = GENERATOR.integers(0, 3, 200)
    shown = [
        LabeledImage(Source(f"{at}", Path(f"{at}")), (LABELS[row],), f"{at}", f"{at}", 8, 8)
        for at, row in enumerate(truth)
    ]
    guess = truth.copy()
    guess[:60] = (truth[:60] + 1) % 3
    better = guess.copy()
    better[:20] = truth[:20]  # right wherever the other is, and on 20 images more
    models = {
        name: ModelDescription("small-cnn", "network", "single-label", LABELS) for name in ("model", "descriptors")
    }
    evaluation = evaluate(shown, models, {"model": np.eye(3)[better], "descriptors": np.eye(3)[guess]})
    gain = evaluation.accuracy_gains["descriptors"]
    assert (gain.value, gain.n) == (pytest.approx(0.1), 200)
    assert 0.05 < gain.low < 0.1 < gain.high < 0.15
    apart = evaluation.scores["accuracy"].low - evaluation.baselines["descriptors"]["accuracy"].high
    assert apart < 0  # what two intervals next to each other would not have shown
