"""The estimated number of wrong labels, on simulated labels with known noise."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from distingo.curation.check import MOST_WRONG, LabelBasis, describe_basis, estimate_label_basis, estimate_noise
from distingo.curation.labels import OutOfFold, label_findings
from distingo.records import LabeledImage, Source


def simulate(
    n: int, classes: int, *, noise: float, seed: int, sharpness: float = 3.0, shares: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probabilities that a model would give, labels that follow them, and which of these were replaced."""
    generator = np.random.default_rng(seed)
    logits = sharpness * generator.normal(size=(n, classes)) + (0 if shares is None else np.log(shares))
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    given = (chances.cumsum(axis=1) < generator.random((n, 1))).sum(axis=1).clip(0, classes - 1)
    replaced = generator.random(n) < noise
    given = np.where(replaced, generator.integers(0, classes, n), given)
    return chances, np.eye(classes, dtype=bool)[given], replaced


def accuracy(chances: np.ndarray, having: np.ndarray) -> float:
    return float((chances.argmax(axis=1) == having.argmax(axis=1)).mean())


@pytest.mark.slow
@pytest.mark.parametrize("classes", [2, 7])
def test_labels_without_noise_are_hardly_ever_doubted(classes: int) -> None:
    flagged = []
    for seed in range(40):
        chances, having, _ = simulate(400, classes, noise=0, seed=seed)
        flagged.append(estimate_label_basis(chances, having, accuracy(chances, having), "single-label").counted / 400)
    assert np.mean(flagged) < 0.005
    assert np.mean(np.array(flagged) == 0) >= 0.9
    assert max(flagged) <= 0.02


@pytest.mark.slow
def test_an_imbalanced_set_without_noise_is_not_doubted() -> None:
    """About 300 of one class to 40 of another."""
    flagged = []
    for seed in range(40):
        chances, having, _ = simulate(340, 2, noise=0, seed=seed, shares=np.array([0.97, 0.03]))
        flagged.append(estimate_label_basis(chances, having, accuracy(chances, having), "single-label").counted / 340)
    assert np.mean(flagged) < 0.005
    assert max(flagged) <= 0.02


@pytest.mark.parametrize(("slope", "noise"), [(1.0, 0.05), (2.0, 0.05), (0.5, 0.02)])
def test_the_share_of_noise_is_found_whatever_the_models_confidence(slope: float, noise: float) -> None:
    chances, having, replaced = simulate(6000, 5, noise=noise, seed=1, sharpness=5)
    said = chances**slope / (chances**slope).sum(axis=1, keepdims=True)
    share, posterior = estimate_noise(said, having, "single-label")
    assert share == pytest.approx(noise, abs=0.012)
    wrong = replaced & (having.argmax(axis=1) != chances.argmax(axis=1))
    doubted = posterior >= 0.5
    assert wrong[doubted].mean() > 0.8
    assert wrong[doubted].mean() == pytest.approx(posterior[doubted].mean(), abs=0.1)
    assert wrong[doubted].sum() > 0.5 * wrong.sum()


def test_several_labels_have_their_noise_found_too() -> None:
    generator = np.random.default_rng(2)
    chances = 1 / (1 + np.exp(-4 * generator.normal(size=(1500, 6))))
    having = generator.random(chances.shape) < chances
    assert estimate_noise(chances, having, "multi-label")[0] == 0.0
    flipped = generator.random(chances.shape) < 0.02
    share, posterior = estimate_noise(chances, having ^ flipped, "multi-label")
    assert share == pytest.approx(0.04, abs=0.01)  # half of labels drawn at random are as they were
    assert flipped[posterior >= 0.5].any(axis=1).mean() > 0.75


def test_models_no_better_than_the_commonest_class_doubt_nothing() -> None:
    generator = np.random.default_rng(0)
    having = np.eye(2, dtype=bool)[(generator.random(340) < 40 / 340).astype(int)]
    chances = np.column_stack([np.full(340, 0.88), np.full(340, 0.12)]) + generator.normal(0, 0.02, (340, 2))
    basis = estimate_label_basis(chances, having, accuracy(chances, having), "single-label")
    assert (basis.is_better, basis.counted) == (False, 0)
    assert basis.baseline == pytest.approx(having[:, 0].mean())
    (note,) = describe_basis(basis, "single-label")
    assert note.code == "labels-not-doubted"
    labels = [("a",) if row[0] else ("b",) for row in having]
    images = [LabeledImage(Source(f"{at}", Path()), row, str(at), str(at), 9, 9) for at, row in enumerate(labels)]
    out_of_fold = OutOfFold(chances, ("a", "b"), basis.score)
    assert list(label_findings(images, out_of_fold, "single-label", 0.5)) == []


def test_the_gain_is_the_lower_end_of_its_interval() -> None:
    chances, having, _ = simulate(500, 4, noise=0, seed=5)
    basis = estimate_label_basis(chances, having, accuracy(chances, having), "single-label")
    given = having.argmax(axis=1)
    gains = (chances.argmax(axis=1) == given).astype(float) - (given == np.bincount(given).argmax())
    assert basis.gain == pytest.approx(gains.mean() - 1.959964 * gains.std() / np.sqrt(500))
    assert basis.is_better


def test_the_score_has_an_interval_and_a_number_of_images() -> None:
    given = np.repeat([0, 1], 50)
    said = np.where(np.arange(100) % 10 == 0, 1 - given, given)
    basis = estimate_label_basis(0.1 + 0.8 * np.eye(2)[said], np.eye(2, dtype=bool)[given], 0.9, "single-label")
    assert (basis.n, basis.baseline, basis.is_better) == (100, 0.5, True)
    assert (basis.low, basis.high) == pytest.approx((0.8256343, 0.9447709), abs=1e-6)  # Wilson's, of 90 of 100
    assert list(map(str, describe_basis(basis, "single-label"))) == [
        "no more labels look wrong than chance explains: the models are right on 90.0% of 100 pictures that they were "
        "not trained on (95 % interval 82.6% to 94.5%), always predicting the most frequent class on 50.0%"
    ]


def test_guesses_of_several_labels_doubt_nothing_and_a_good_model_may() -> None:
    generator = np.random.default_rng(3)
    having = generator.random((400, 5)) < 0.2
    guesses = generator.random((400, 5))
    assert not estimate_label_basis(guesses, having, 0.5, "multi-label").is_better
    good = np.clip(0.6 * having + 0.4 * guesses, 0, 1)
    basis = estimate_label_basis(good, having, float(roc_auc_score(having, good)), "multi-label")
    assert basis.is_better
    assert basis.gain == pytest.approx(0.5, abs=0.02)


def test_a_shortened_list_is_noted() -> None:
    chances, having, _ = simulate(1000, 5, noise=0.3, seed=4, sharpness=6)
    basis = estimate_label_basis(chances, having, accuracy(chances, having), "single-label")
    assert basis.wrong > basis.counted == int(MOST_WRONG * 1000)
    assert basis.is_cut
    notes = list(map(str, describe_basis(basis, "single-label")))
    assert f"is cut: {basis.wrong:,} do, and the worst 100 count (10% of the pictures)" in notes[1]
    assert f"are right on {basis.score:.1%}" in notes[0]


def test_the_only_wrong_label_is_found_where_models_hardly_ever_err() -> None:
    """One of 300 is no more than chance explains, and yet to be looked at."""
    having = np.eye(3, dtype=bool)[np.arange(300) % 3]
    chances = np.where(having, 0.97, 0.015)
    chances[7] = [0.9, 0.06, 0.04]
    assert estimate_noise(chances, having, "single-label")[0] == 0.0
    basis = estimate_label_basis(chances, having, accuracy(chances, having), "single-label")
    assert (basis.counted, basis.false_alarms) == (1, None)
    assert str(describe_basis(basis, "single-label")[0]).startswith("labels that look wrong: 1, too few to estimate")
    unsure = np.where(having, 0.5, 0.25)
    assert estimate_label_basis(unsure, having, 1.0, "single-label").counted == 0


def test_the_share_of_right_labels_is_called_a_rough_estimate() -> None:
    basis = LabelBasis(0.84, 0.15, 0.6, 0.82, 0.86, 1330, is_better=True, noise=0.06, wrong=64, counted=64)
    (note,) = describe_basis(replace(basis, false_alarms=0.0912), "single-label")
    rough = "(a rough estimate: on data with known errors it was up to twice as many)"
    assert str(note).startswith(
        f"labels that look wrong: 64, of which about 9% are expected to be right {rough}; the models"
    )
