"""The descriptor baseline chooses on validation, saves without pickle and learns real images."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load, save
from sklearn.metrics import average_precision_score

from distingo.datasets.measurements import describe
from distingo.models import baselines as descriptors
from distingo.models import classic as extra_trees
from distingo.models.baselines import DescriptorClassifier, fit_descriptors
from distingo.models.classic import ExtraTrees, SupportVectors

Draw = Callable[[int, int], tuple[np.ndarray, np.ndarray]]


def outliers(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Classes by the sign of one feature, among values of any magnitude: easy for trees, hard for kernels."""
    generator = np.random.default_rng(seed)
    features = generator.standard_cauchy((n, 8)).astype(np.float32)
    return features, (features[:, 0] > 0).astype(int)


def rings(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Classes by distance from the middle: easy for kernels, hard for trees."""
    generator = np.random.default_rng(seed)
    features = generator.normal(size=(n, 12)).astype(np.float32)
    return features, ((features**2).sum(axis=1) > 11.3).astype(int)


@pytest.mark.parametrize(("draw", "expected"), [(outliers, ExtraTrees), (rings, SupportVectors)])
def test_the_better_on_validation_is_kept(draw: Draw, expected: type) -> None:
    classifier = fit_descriptors(*draw(600, 0), *draw(200, 1), 2, seed=0)

    assert isinstance(classifier.scorer, expected)
    assert len(classifier.candidates) == 4
    best = max(candidate.validation_accuracy or 0 for candidate in classifier.candidates)
    assert classifier.chosen.validation_accuracy == best
    features, labels = draw(200, 1)
    predicted = classifier.predict_probabilities(features).argmax(axis=1)
    assert (predicted == labels).mean() == classifier.chosen.validation_accuracy


@pytest.mark.parametrize("draw", [outliers, rings])
def test_it_comes_back_from_its_tensors(draw: Draw) -> None:
    classifier = fit_descriptors(*draw(300, 0), *draw(100, 1), 2, seed=0)
    tensors = load(save(classifier.to_tensors()))
    again = DescriptorClassifier.from_tensors(tensors, json.loads(json.dumps(classifier.settings())))

    unseen, _ = draw(100, 2)
    np.testing.assert_array_equal(again.predict_probabilities(unseen), classifier.predict_probabilities(unseen))
    assert (again.chosen, again.candidates) == (classifier.chosen, classifier.candidates)


def test_the_same_seed_gives_the_same_classifier() -> None:
    first, second = (fit_descriptors(*outliers(200, 0), *outliers(80, 1), 2, seed=3) for _ in range(2))
    unseen, _ = outliers(50, 2)
    np.testing.assert_array_equal(first.predict_probabilities(unseen), second.predict_probabilities(unseen))
    assert first.settings() == second.settings()


def test_without_validation_images_it_is_extra_trees() -> None:
    classifier = fit_descriptors(*rings(100, 0), np.zeros((0, 12)), [], 2, seed=0)
    assert isinstance(classifier.scorer, ExtraTrees)
    assert classifier.settings()["chosen"]["validation_accuracy"] is None


def test_kernel_machines_are_left_out_of_large_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(descriptors, "_KERNEL_ROWS", 99)
    classifier = fit_descriptors(*rings(100, 0), *rings(50, 1), 2, seed=0)
    assert [candidate.name for candidate in classifier.candidates] == ["extra trees"]


def test_a_single_class_in_training() -> None:
    classifier = fit_descriptors(np.ones((4, 5)), np.ones(4, dtype=int), np.ones((1, 5)), [1], 3, seed=0)
    assert classifier.predict_probabilities(np.ones((2, 5))).argmax(axis=1).tolist() == [1, 1]


def test_features_and_labels_that_do_not_fit_are_refused() -> None:
    features, labels = rings(20, 0)
    with pytest.raises(ValueError, match="one row for each"):
        fit_descriptors(features, labels[:-1], features, labels, 2, seed=0)
    with pytest.raises(ValueError, match=r"give 0 \.\. 1"):
        fit_descriptors(features, labels, features, labels + 1, 2, seed=0)
    with pytest.raises(ValueError, match="no training pictures"):
        fit_descriptors(features[:0], labels[:0], features, labels, 2, seed=0)


@pytest.mark.parametrize("change", [{"classifier": "oracle"}, {"chosen": {"name": "x"}}, {"classifier": None}])
def test_damaged_settings_are_refused(change: dict[str, object]) -> None:
    classifier = fit_descriptors(*rings(50, 0), *rings(20, 1), 2, seed=0)
    with pytest.raises(ValueError, match=r"classifier|candidates"):
        DescriptorClassifier.from_tensors(classifier.to_tensors(), {**classifier.settings(), **change})


def several(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Three labels that do not exclude each other: one by a sign, one by distance, one that nobody has."""
    generator = np.random.default_rng(seed)
    features = generator.normal(size=(n, 6)).astype(np.float32)
    return features, np.stack([features[:, 0] > 0.7, (features**2).sum(axis=1) > 6, np.zeros(n, bool)], axis=1)


def test_several_labels_are_chosen_by_mean_average_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extra_trees, "_MAX_TREES", 60)
    (features, truth), (held_out, held_out_truth) = several(300, 0), several(200, 1)

    classifier = fit_descriptors(features, truth.astype(int), held_out, held_out_truth, 3, seed=0)

    assert len(classifier.candidates) == 4
    best = max(candidate.validation_mean_average_precision or 0 for candidate in classifier.candidates)
    assert classifier.chosen.validation_mean_average_precision == best > 0.8
    assert classifier.chosen.validation_accuracy is None
    probabilities = classifier.predict_probabilities(held_out)
    found = average_precision_score(held_out_truth[:, :2], probabilities[:, :2], average="macro")
    assert found == pytest.approx(best, abs=1e-6)
    assert probabilities[:, 2].max() < 0.05
    assert probabilities.sum(axis=1).max() > 1.3  # the labels do not exclude each other
    tensors = load(save(classifier.to_tensors()))
    again = DescriptorClassifier.from_tensors(tensors, json.loads(json.dumps(classifier.settings())))
    np.testing.assert_array_equal(again.predict_probabilities(held_out), probabilities)
    assert (again.chosen, again.candidates) == (classifier.chosen, classifier.candidates)


def test_several_labels_without_validation_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extra_trees, "_MAX_TREES", 60)
    classifier = fit_descriptors(*several(60, 0), np.zeros((0, 6)), np.zeros((0, 3), bool), 3, seed=0)
    assert isinstance(classifier.scorer, ExtraTrees)
    assert not classifier.scorer.exclusive


def test_candidates_saved_before_there_were_several_labels_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extra_trees, "_MAX_TREES", 60)
    classifier = fit_descriptors(*rings(50, 0), *rings(20, 1), 2, seed=0)
    settings = json.loads(json.dumps(classifier.settings()))
    for candidate in (settings["chosen"], *settings["candidates"]):
        del candidate["validation_mean_average_precision"]
    assert DescriptorClassifier.from_tensors(classifier.to_tensors(), settings).chosen == classifier.chosen


def test_tables_of_labels_that_do_not_fit_are_refused() -> None:
    features, truth = several(20, 0)
    with pytest.raises(ValueError, match=r"0 and 1 of shape \(n, 2\)"):
        fit_descriptors(features, truth, features, truth, 2, seed=0)
    with pytest.raises(ValueError, match="0 and 1"):
        fit_descriptors(features, truth * 2, features, truth, 3, seed=0)


@pytest.mark.data
def test_aerial_photos_are_told_apart(real_data: Path) -> None:
    folders = sorted(folder for folder in (real_data / "aerial").iterdir() if folder.is_dir())
    files = [sorted(folder.iterdir())[:40] for folder in folders]
    features = np.array([[describe(Image.open(file)) for file in group] for group in files])
    labels = np.repeat(np.arange(len(folders)), 10)

    def side(first: int, last: int) -> np.ndarray:
        return features[:, first:last].reshape(-1, 52)

    train_labels = np.repeat(np.arange(len(folders)), 20)
    classifier = fit_descriptors(side(0, 20), train_labels, side(20, 30), labels, len(folders), seed=0)
    predicted = classifier.predict_probabilities(side(30, 40)).argmax(axis=1)
    assert (predicted == labels).mean() > 0.5  # one in seven by chance


@pytest.mark.slow
@pytest.mark.data
def test_fashion_mnist_takes_about_a_minute(real_data: Path) -> None:
    def read(name: str, header: int) -> np.ndarray:
        return np.frombuffer(
            gzip.decompress((real_data / "fashion-mnist" / name).read_bytes()), np.uint8, offset=header
        )

    images = read("train-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28)
    labels = read("train-labels-idx1-ubyte.gz", 8).astype(np.int64)
    features = np.array([describe(image) for image in images])
    classifier = fit_descriptors(features[:50_000], labels[:50_000], features[50_000:], labels[50_000:], 10, seed=0)
    assert classifier.chosen.validation_accuracy > 0.65
