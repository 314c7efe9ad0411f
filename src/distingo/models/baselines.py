"""Models without a network, used as baselines for networks.

`FrequencyClassifier` ignores the image. `DescriptorClassifier` is a conventional classifier on classic descriptors,
either extremely randomized trees or support vector machines, chosen on the validation split. On three sets of photos
(377, 1,330 and 2,100 images), each of the two was best on at least one; logistic regression was worse than both on all
of them and on Fashion-MNIST, and histogram gradient boosting was no better and took a hundred times as long.
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

    Of all predictions that ignore the image, the most frequent class has the highest accuracy and the class
    frequencies have the lowest log loss (model ``majority``). Label frequencies have the lowest binary cross-entropy;
    the average precision of each label is its prevalence (model ``prevalence``).

    Attributes:
        frequencies: Float64 (classes,), each in 0 .. 1.
    """

    frequencies: npt.NDArray[np.float64]

    def predict_probabilities(self, features: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Return the frequencies for every image.

        Args:
            features: One row per image; the values are not used.

        Returns:
            Float32 (n, classes).
        """
        return np.tile(self.frequencies.astype(np.float32), (len(features), 1))

    def to_tensors(self) -> dict[str, npt.NDArray[Any]]:
        """Return the arrays that `from_tensors` needs."""
        return {"frequencies": self.frequencies}

    def settings(self) -> Mapping[str, object]:
        """Return the JSON settings that `from_tensors` needs: none."""
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
    """Frequency classifier for single-label models; its frequencies sum to 1."""

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
    """Fit the baseline of single-label models.

    Args:
        labels: Class numbers of the training images, integers of shape (n,), each in 0 .. classes - 1.
        classes: Number of classes.

    Raises:
        ValueError: There are no labels, or a label is not a valid class number.
    """
    numbers = np.asarray(labels)
    if numbers.size == 0 or numbers.min() < 0 or numbers.max() >= classes:
        raise ValueError(f"labels must be one or more numbers in 0 .. {classes - 1}")
    return MajorityClassifier(np.bincount(numbers, minlength=classes) / numbers.size)


def fit_prevalence(targets: npt.ArrayLike) -> FrequencyClassifier:
    """Fit the baseline of multi-label models.

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
"""Leaf sizes of trees for multi-label tasks, whose labels are noisier: larger leaves ranked film posters better."""

_KERNEL_ROWS = 5_000  # the time of kernel machines grows quadratically, and trees are better on more images anyway

_SCORERS: dict[str, type[ExtraTrees] | type[SupportVectors]] = {
    "extra trees": ExtraTrees,
    "support vectors": SupportVectors,
}


@dataclass(frozen=True, slots=True)
class Candidate:
    """A candidate classifier and its scores on the validation images.

    Attributes:
        name: Kind of classifier, with its setting.
        validation_accuracy: Fraction of correct predictions; None without validation images and for multi-label.
        validation_log_loss: Log loss, for multi-label the mean over labels; None without validation images.
        validation_mean_average_precision: Multi-label: mean over the labels that validation images have.
    """

    name: str
    validation_accuracy: float | None
    validation_log_loss: float | None
    validation_mean_average_precision: float | None = None


@dataclass(frozen=True, slots=True)
class DescriptorClassifier:
    """Classifier of descriptors.

    Attributes:
        scorer: The fitted classifier.
        chosen: The fitted classifier's entry among the candidates.
        candidates: All candidates.
    """

    scorer: Scorer
    chosen: Candidate
    candidates: tuple[Candidate, ...]

    def predict_probabilities(self, features: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Predict class probabilities from descriptors.

        Args:
            features: Shape (n, features), with the features that the classifier was fitted on.

        Returns:
            Float32 of shape (n, classes); rows sum to 1, except for multi-label.
        """
        return self.scorer.predict_probabilities(features)

    def can_refit(self) -> bool:
        """Whether `refit_descriptors` can refit it; not for multi-label machines, which contain their calibration."""
        return not isinstance(self.scorer, SupportVectors) or self.scorer.exclusive

    def to_tensors(self) -> dict[str, npt.NDArray[Any]]:
        """Return the arrays that `from_tensors` needs."""
        return self.scorer.to_tensors()

    def settings(self) -> Mapping[str, object]:
        """Return the JSON settings that `from_tensors` needs, including all candidates and the chosen one."""
        (kind,) = (name for name, scorer in _SCORERS.items() if isinstance(self.scorer, scorer))
        return {
            "classifier": kind,
            "chosen": asdict(self.chosen),
            "candidates": [asdict(candidate) for candidate in self.candidates],
            **self.scorer.settings(),
        }

    @classmethod
    def from_tensors(cls, tensors: dict[str, npt.NDArray[Any]], settings: Mapping[str, Any]) -> Self:
        """Restore a classifier from the results of `to_tensors` and `settings`.

        Raises:
            KeyError: A tensor or setting is missing.
            ValueError: Arrays or settings do not match.
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
    """Fit all candidates on the training images and choose the most accurate one on the validation images.

    Ties are broken by log loss. Support vector machines are candidates for up to 5,000 training images. Without
    validation images, extra trees are used.

    Multi-label classifiers are one-vs-rest, and the candidate with the highest macro mean average precision is chosen.
    In that case, trees are also tried with larger leaves, and support vectors only with the first regularization, as
    they need one machine per label.

    Args:
        train_features: Shape (n, features).
        train_labels: Class numbers, integers of shape (n,), each in 0 .. classes - 1; for multi-label bool or 0/1
            of shape (n, classes).
        validation_features: Shape (m, features); m may be 0.
        validation_labels: Labels in the same form, of shape (m,) or (m, classes).
        classes: Number of classes.
        seed: Random seed of the classifiers.

    Raises:
        ValueError: Features and labels do not match, there is no training image, or a label is not a valid class.
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
    """Fit the chosen candidate on other images.

    Args:
        classifier: A classifier whose `DescriptorClassifier.can_refit` is true; its machines keep their sharpness.
        features: Shape (n, features).
        labels: Labels that include every class; shape (n,), or (n, classes) for multi-label.
        classes: Number of classes.
        seed: As for `fit_descriptors`.

    Raises:
        ValueError: Features and labels do not match, or the classifier can't be refitted.
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
