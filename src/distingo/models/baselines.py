"""Models without a network: the baselines that every network must exceed.

`FrequencyClassifier` ignores the image. `DescriptorClassifier` is a conventional classifier on classic descriptors,
chosen on validation between extremely randomized trees and support vector machines. On three sets of photos (377, 1,330
and 2,100 images) each of the two was best somewhere; logistic regression was below both on all of them and on
Fashion-MNIST, and histogram gradient boosting took a hundred times as long for no better result.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from distingo.metrics.ranking import mean_average_precision
from distingo.models.classic import ExtraTrees, SupportVectors, fit_extra_trees, fit_support_vectors


@dataclass(frozen=True, slots=True)
class FrequencyClassifier:
    """Predicts the frequencies of classes or labels in the train split for every image.

    Of all answers that don't look at the image, the most frequent class has the highest accuracy and the class
    frequencies the lowest log loss (model ``majority``). Label frequencies have the lowest binary cross-entropy; the
    average precision of each label is its prevalence (model ``prevalence``).

    Attributes:
        frequencies: Float64 (classes,), each in 0 .. 1.
    """

    frequencies: npt.NDArray[np.float64]

    def predict_probabilities(self, features: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Return the frequencies once per image.

        Args:
            features: One row per image; their values are not used.

        Returns:
            Float32 (n, classes).
        """
        return np.tile(self.frequencies.astype(np.float32), (len(features), 1))

    def to_tensors(self) -> dict[str, npt.NDArray[Any]]:
        """Return the arrays that `from_tensors` needs."""
        return {"frequencies": self.frequencies}

    def settings(self) -> Mapping[str, object]:
        """Return what `from_tensors` needs besides arrays: nothing."""
        return {}

    @classmethod
    def from_tensors(cls, tensors: dict[str, npt.NDArray[Any]], settings: Mapping[str, Any]) -> Self:  # noqa: ARG003
        """Restore a saved classifier.

        Raises:
            KeyError: A tensor is missing.
            ValueError: The frequencies are not a list of numbers in 0 .. 1.
        """
        frequencies = np.asarray(tensors["frequencies"], dtype=np.float64)
        if frequencies.ndim != 1 or not ((frequencies >= 0) & (frequencies <= 1)).all():
            raise ValueError(f"frequencies of shape {frequencies.shape} that are not numbers in 0 .. 1")
        return cls(frequencies)


class MajorityClassifier(FrequencyClassifier):
    """The baseline of single-label models; its frequencies sum to 1."""

    @classmethod
    def from_tensors(cls, tensors: dict[str, npt.NDArray[Any]], settings: Mapping[str, Any]) -> Self:
        """Restore a saved classifier.

        Raises:
            KeyError: A tensor is missing.
            ValueError: The frequencies are not positive numbers that sum to 1.
        """
        restored = super().from_tensors(tensors, settings)
        if not np.isclose(restored.frequencies.sum(), 1):
            raise ValueError("frequencies that do not sum to 1")
        return restored


def fit_majority(labels: npt.ArrayLike, classes: int) -> MajorityClassifier:
    """Count the classes.

    Args:
        labels: Class numbers of the training images, integers of shape (n,), each in 0 .. classes - 1.
        classes: How many classes there are.

    Raises:
        ValueError: There are no labels, or one is no class.
    """
    numbers = np.asarray(labels)
    if numbers.size == 0 or numbers.min() < 0 or numbers.max() >= classes:
        raise ValueError(f"labels must be one or more numbers in 0 .. {classes - 1}")
    return MajorityClassifier(np.bincount(numbers, minlength=classes) / numbers.size)


def fit_prevalence(targets: npt.ArrayLike) -> FrequencyClassifier:
    """Count the labels.

    Args:
        targets: Bool or 0/1 of shape (n, labels): the labels of the training images.

    Raises:
        ValueError: There are no images, or a number is neither 0 nor 1.
    """
    table = np.asarray(targets)
    if table.ndim != 2 or len(table) == 0 or not np.isin(table, (0, 1)).all():
        raise ValueError(f"targets of shape {table.shape}; give (n, labels) of 0 and 1, one picture at least")
    return FrequencyClassifier(table.mean(axis=0, dtype=np.float64))


Scorer = ExtraTrees | SupportVectors

REGULARIZATIONS = (1.0, 3.0, 10.0)

IMAGES_PER_LEAF = (1, 5, 15)
"""Of trees for several labels, which are noisier than exclusive classes: larger leaves ranked film posters better."""

_KERNEL_ROWS = 5_000  # the time of kernel machines grows with the square of the images; beyond, trees win anyway

_SCORERS: dict[str, type[ExtraTrees] | type[SupportVectors]] = {
    "extra trees": ExtraTrees,
    "support vectors": SupportVectors,
}


@dataclass(frozen=True, slots=True)
class Candidate:
    """A classifier that was tried, and its scores on the validation images.

    Attributes:
        name: The kind of classifier with its setting.
        validation_accuracy: Share of right predictions; None without validation images and for several labels.
        validation_log_loss: None without validation images; for several labels the mean over them.
        validation_mean_average_precision: For several labels, the mean over those that validation images have.
    """

    name: str
    validation_accuracy: float | None
    validation_log_loss: float | None
    validation_mean_average_precision: float | None = None


@dataclass(frozen=True, slots=True)
class DescriptorClassifier:
    """From descriptors to class probabilities.

    Attributes:
        scorer: The fitted classifier.
        chosen: Its entry among the candidates.
        candidates: All that were tried.
    """

    scorer: Scorer
    chosen: Candidate
    candidates: tuple[Candidate, ...]

    def predict_probabilities(self, features: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Predict images from their descriptors.

        Args:
            features: Shape (n, features), as fitted on.

        Returns:
            Float32 of shape (n, classes), rows summing to 1; of several labels each for itself.
        """
        return self.scorer.predict_probabilities(features)

    def can_refit(self) -> bool:
        """Whether `refit_descriptors` can: not of machines for several labels, whose own calibration is in them."""
        return not isinstance(self.scorer, SupportVectors) or self.scorer.exclusive

    def to_tensors(self) -> dict[str, npt.NDArray[Any]]:
        """The arrays that `from_tensors` needs."""
        return self.scorer.to_tensors()

    def settings(self) -> Mapping[str, object]:
        """The JSON settings that `from_tensors` needs, including all candidates and the chosen one."""
        (kind,) = (name for name, scorer in _SCORERS.items() if isinstance(self.scorer, scorer))
        return {
            "classifier": kind,
            "chosen": asdict(self.chosen),
            "candidates": [asdict(candidate) for candidate in self.candidates],
            **self.scorer.settings(),
        }

    @classmethod
    def from_tensors(cls, tensors: dict[str, npt.NDArray[Any]], settings: Mapping[str, Any]) -> Self:
        """Rebuild a classifier from the results of `to_tensors` and `settings`.

        Raises:
            KeyError: A tensor or setting is missing.
            ValueError: Arrays or settings don't fit each other.
        """
        kind = settings["classifier"]
        if kind not in _SCORERS:
            raise ValueError(f"classifier {kind!r}; known are {', '.join(_SCORERS)}")
        try:
            chosen = Candidate(**settings["chosen"])
            candidates = tuple(Candidate(**candidate) for candidate in settings["candidates"])
        except TypeError as error:
            raise ValueError(f"candidates that are none ({error})") from error
        return cls(_SCORERS[kind].from_tensors(tensors, settings), chosen, candidates)


def fit_descriptors(
    train_features: npt.NDArray[Any],
    train_labels: npt.ArrayLike,
    validation_features: npt.NDArray[Any],
    validation_labels: npt.ArrayLike,
    classes: int,
    *,
    seed: int,
) -> DescriptorClassifier:
    """Fit all candidates on the training images and keep the most accurate on the validation images.

    Equal accuracies are decided by log loss. Support vector machines are tried up to 5,000 training images.
    Without validation images it is extra trees.

    Several labels are distinguished one against the rest, and the candidate with the greatest macro mean average
    precision is kept; trees are also tried with larger leaves there, and support vectors only with the first
    regularization, as each takes a machine per label.

    Args:
        train_features: Shape (n, features).
        train_labels: Class numbers, integers of shape (n,), each in 0 .. classes - 1; or for several labels bool or 0/1
            of shape (n, classes).
        validation_features: Shape (m, features); m may be 0.
        validation_labels: Likewise, of shape (m,) or (m, classes).
        classes: How many classes there are.
        seed: Same seed and features, same classifier.

    Raises:
        ValueError: Features and labels don't fit each other, there is no training image, or a label is no class.
    """
    labels = _checked(train_features, train_labels, classes)
    held_out = _checked(validation_features, validation_labels, classes)
    if not len(labels):
        raise ValueError("no training pictures; give at least one")
    if not len(held_out):
        only = Candidate("extra trees", None, None)
        return DescriptorClassifier(fit_extra_trees(train_features, labels, classes, seed=seed), only, (only,))
    tried: list[tuple[Candidate, Scorer]] = []
    for name, fitted in _fit_candidates(train_features, labels, classes, seed):
        scorer: Scorer = fitted
        if isinstance(fitted, SupportVectors):
            scorer = fitted.calibrated(validation_features, held_out)
        tried.append((_measure(name, scorer, validation_features, held_out), scorer))
    chosen, best = max(tried, key=lambda pair: _merit(pair[0]))
    return DescriptorClassifier(best, chosen, tuple(candidate for candidate, _ in tried))


def refit_descriptors(
    classifier: DescriptorClassifier,
    features: npt.NDArray[Any],
    labels: npt.ArrayLike,
    classes: int,
    *,
    seed: int,
) -> DescriptorClassifier:
    """Fit the chosen candidate again on other images.

    Args:
        classifier: Of which `DescriptorClassifier.can_refit` holds; what its machines' margins are multiplied by stays.
        features: Shape (n, features).
        labels: Of every class that the classifier was fitted on; shape (n,), or (n, classes) with several labels.
        classes: How many classes there are.
        seed: As for `fit_descriptors`.

    Raises:
        ValueError: Features and labels don't fit each other, or the classifier can't be fitted again.
    """
    checked, name = _checked(features, labels, classes), classifier.chosen.name
    scorer: Scorer
    if isinstance(classifier.scorer, SupportVectors):
        regularization = _machine_regularization(name)
        if regularization is None or not classifier.can_refit():
            raise ValueError(f"{name}: can't be fitted again")
        scorer = fit_support_vectors(features, checked, classes, regularization=regularization)
        scorer = replace(scorer, sharpness=classifier.scorer.sharpness)
    else:
        size = next((size for size in IMAGES_PER_LEAF[1:] if name == _tree_name(size)), IMAGES_PER_LEAF[0])
        scorer = fit_extra_trees(features, checked, classes, seed=seed, images_per_leaf=size)
    return DescriptorClassifier(scorer, classifier.chosen, classifier.candidates)


def _tree_name(images_per_leaf: int) -> str:
    return "extra trees" + (f", {images_per_leaf} pictures per leaf" if images_per_leaf > 1 else "")


def _machine_name(regularization: float) -> str:
    return f"support vectors, C = {regularization:g}"


def _machine_regularization(name: str) -> float | None:
    return next((value for value in REGULARIZATIONS if name == _machine_name(value)), None)


def _fit_candidates(
    features: npt.NDArray[Any], labels: npt.NDArray[Any], classes: int, seed: int
) -> Iterator[tuple[str, Scorer]]:
    yield _tree_name(1), fit_extra_trees(features, labels, classes, seed=seed)
    if labels.ndim == 2:
        for size in IMAGES_PER_LEAF[1:]:
            trees = fit_extra_trees(features, labels, classes, seed=seed, images_per_leaf=size)
            yield _tree_name(size), trees
    if len(labels) <= _KERNEL_ROWS and len(np.unique(labels)) > 1:
        for regularization in REGULARIZATIONS if labels.ndim == 1 else REGULARIZATIONS[:1]:
            machines = fit_support_vectors(features, labels, classes, regularization=regularization)
            yield _machine_name(regularization), machines


def _measure(name: str, scorer: Scorer, features: npt.NDArray[Any], labels: npt.NDArray[Any]) -> Candidate:
    probabilities = scorer.predict_probabilities(features).astype(np.float64)
    if labels.ndim == 2:
        of_truth = np.where(labels, probabilities, 1 - probabilities)
        precision = mean_average_precision(labels, probabilities) if labels.any() else None
        return Candidate(name, None, _log_loss(of_truth), precision)
    of_truth = probabilities[np.arange(len(labels)), labels]
    accuracy = float((probabilities.argmax(axis=1) == labels).mean())
    return Candidate(name, accuracy, _log_loss(of_truth))


def _log_loss(of_truth: npt.NDArray[np.float64]) -> float:
    return float(-np.log(np.maximum(of_truth, 1e-12)).mean())


def _merit(candidate: Candidate) -> tuple[float, float]:
    score = candidate.validation_accuracy or candidate.validation_mean_average_precision
    return score or 0.0, -(candidate.validation_log_loss or 0.0)


def _checked(features: npt.NDArray[Any], labels: npt.ArrayLike, classes: int) -> npt.NDArray[Any]:
    numbers = np.asarray(labels)
    if np.ndim(features) != 2 or len(features) != len(numbers):
        raise ValueError(f"features of shape {np.shape(features)} for {len(numbers)} labels; give one row for each")
    if numbers.ndim == 2:
        if numbers.shape[1] != classes or not np.isin(numbers, (0, 1)).all():
            raise ValueError(f"labels of shape {numbers.shape}; give 0 and 1 of shape (n, {classes})")
        return numbers.astype(np.bool_)
    if numbers.size and (numbers.min() < 0 or numbers.max() >= classes):
        raise ValueError(f"labels {numbers.min()} .. {numbers.max()}; give 0 .. {classes - 1}")
    return numbers.astype(np.int64)
