"""The trees taken out of scikit-learn predict as they did in it."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier

from distingo.models.classic import ExtraTrees, fit_extra_trees, flatten_forest


def blobs(n: int, classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, n)
    features = generator.normal(size=(n, 9)) + np.linspace(0, 3, 9) * labels[:, None] / classes
    return features.astype(np.float32), labels


def with_an_even_vote(probabilities: np.ndarray, trees: int) -> np.ndarray:
    return (probabilities * trees + 1 / probabilities.shape[1]) / (trees + 1)


@pytest.mark.parametrize("forest_class", [ExtraTreesClassifier, RandomForestClassifier])
@pytest.mark.parametrize(("classes", "leaf"), [(2, 1), (5, 1), (5, 7)])
def test_probabilities_are_scikit_learns_with_one_even_vote(forest_class: type, classes: int, leaf: int) -> None:
    features, labels = blobs(300, classes)
    unseen, _ = blobs(200, classes, seed=1)
    forest = forest_class(30, min_samples_leaf=leaf, random_state=0).fit(features, labels)

    probabilities = flatten_forest(forest, classes).predict_probabilities(unseen)

    assert probabilities.dtype == np.float32
    expected = with_an_even_vote(forest.predict_proba(unseen), 30)
    np.testing.assert_allclose(probabilities, expected, atol=1e-6)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    assert probabilities.min() > 0


def test_features_exactly_on_a_threshold_go_scikit_learns_way() -> None:
    features, labels = blobs(200, 3)
    features = np.round(features * 4) / 4
    forest = RandomForestClassifier(20, random_state=0).fit(features, labels)
    trees = flatten_forest(forest, 3)
    on_thresholds = np.tile(trees.threshold[trees.feature >= 0][:300, None], (1, 9))
    expected = with_an_even_vote(forest.predict_proba(on_thresholds), 20)
    np.testing.assert_allclose(trees.predict_probabilities(on_thresholds), expected, atol=1e-6)


def test_classes_without_a_image_get_only_the_even_vote() -> None:
    features, labels = blobs(100, 2)
    trees = fit_extra_trees(features, labels * 2 + 1, 5, seed=0)
    probabilities = trees.predict_probabilities(features)
    np.testing.assert_allclose(probabilities[:, [0, 2, 4]], 1 / 5 / 301, rtol=1e-5)
    np.testing.assert_array_equal(probabilities.argmax(axis=1), labels * 2 + 1)


def test_a_single_class_is_certain_but_for_the_even_vote() -> None:
    trees = fit_extra_trees(np.zeros((3, 2)), np.zeros(3, dtype=int), 2, seed=0)
    np.testing.assert_allclose(trees.predict_probabilities(np.zeros((1, 2))), [[300.5 / 301, 0.5 / 301]], rtol=1e-6)


def test_the_seed_decides() -> None:
    features, labels = blobs(100, 3)
    first, again, other = (fit_extra_trees(features, labels, 3, seed=seed) for seed in (1, 1, 2))
    for name, array in first.to_tensors().items():
        np.testing.assert_array_equal(array, again.to_tensors()[name])
    assert not np.array_equal(first.threshold[:50], other.threshold[:50])


def test_many_images_at_once_are_predicted_as_one_by_one() -> None:
    features, labels = blobs(50, 3)
    trees = fit_extra_trees(features, labels, 3, seed=0)
    many, _ = blobs(5000, 3, seed=2)  # more paths than are followed at once
    chosen = [0, 3332, 3333, 3334, 4999]
    expected = np.concatenate([trees.predict_probabilities(many[[row]]) for row in chosen])
    np.testing.assert_array_equal(trees.predict_probabilities(many)[chosen], expected)
    assert trees.predict_probabilities(many[:0]).shape == (0, 3)


@pytest.mark.parametrize(
    ("name", "value"),
    [("left", 0), ("right", 10**6), ("leaf_class", 7), ("leaf_start", 10**6), ("roots", -1), ("threshold", None)],
)
def test_damaged_arrays_are_refused(name: str, value: int | None) -> None:
    features, labels = blobs(50, 3)
    trees = fit_extra_trees(features, labels, 3, seed=0)
    tensors = {key: array.copy() for key, array in trees.to_tensors().items()}
    if value is None:
        tensors[name] = tensors[name][:-1]
    else:
        tensors[name][0] = value
    with pytest.raises(ValueError, match="contradict"):
        ExtraTrees.from_tensors(tensors, trees.settings())


def several(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Four labels: two to learn, one that nobody has and one that all have."""
    features, first = blobs(n, 2, seed)
    labels = np.zeros((n, 4), bool)
    labels[:, 0], labels[:, 1], labels[:, 3] = first == 1, features[:, 2] > 1, True
    return features, labels


@pytest.mark.parametrize("leaf", [1, 7])
def test_independent_labels_have_scikit_learns_probabilities_with_one_even_vote(leaf: int) -> None:
    features, labels = several(200)
    unseen, _ = several(100, seed=1)
    forest = ExtraTreesClassifier(20, min_samples_leaf=leaf, random_state=0).fit(features, labels)

    trees = flatten_forest(forest, 4)

    probabilities = trees.predict_probabilities(unseen)
    learnt = [forest.predict_proba(unseen)[label][:, 1] for label in (0, 1)]
    expected = np.stack([learnt[0], learnt[1], np.zeros(100), np.ones(100)], axis=1)
    np.testing.assert_allclose(probabilities, (expected * 20 + 0.5) / 21, atol=1e-6)
    assert not trees.exclusive
    again = ExtraTrees.from_tensors(trees.to_tensors(), trees.settings())
    np.testing.assert_array_equal(again.predict_probabilities(unseen), probabilities)


def test_trees_saved_before_there_were_several_labels_are_exclusive() -> None:
    trees = fit_extra_trees(*blobs(50, 3), 3, seed=0)
    assert trees.settings() == {"classes": 3}
    assert ExtraTrees.from_tensors(trees.to_tensors(), {"classes": 3}).exclusive
