"""A conventional classifier on classic descriptors: the baseline every network must beat.

Chosen on validation between extremely randomised trees and support vector machines. On three sets of photos (377,
1,330 and 2,100 pictures) each of the two was best somewhere; logistic regression was below both on all of them and
on Fashion-MNIST, and histogram gradient boosting took a hundred times as long for no better result.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from distingo.models.extra_trees import ExtraTrees, fit_extra_trees
from distingo.models.support_vectors import SupportVectors, fit_support_vectors

Scorer = ExtraTrees | SupportVectors

REGULARISATIONS = (1.0, 3.0, 10.0)

_KERNEL_ROWS = 5_000  # the time of kernel machines grows with the square of the pictures; beyond, trees win anyway
_SCORERS: dict[str, type[ExtraTrees] | type[SupportVectors]] = {
    "extra trees": ExtraTrees,
    "support vectors": SupportVectors,
}


@dataclass(frozen=True, slots=True)
class Candidate:
    """A classifier that was tried, and what it was worth on the validation pictures.

    Attributes:
        name: The kind of classifier with its setting.
        validation_accuracy: Share of right predictions; None without validation pictures.
        validation_log_loss: None without validation pictures.
    """

    name: str
    validation_accuracy: float | None
    validation_log_loss: float | None


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
        """Predict pictures from their descriptors.

        Args:
            features: Shape (n, features), as fitted on.

        Returns:
            Float32 of shape (n, classes), rows summing to 1.
        """
        return self.scorer.predict_probabilities(features)

    def to_tensors(self) -> dict[str, npt.NDArray[Any]]:
        """The arrays that `from_tensors` needs."""
        return self.scorer.to_tensors()

    def settings(self) -> dict[str, Any]:
        """All else that `from_tensors` needs, as JSON, with what was tried and chosen."""
        (kind,) = (name for name, scorer in _SCORERS.items() if isinstance(self.scorer, scorer))
        return {
            "classifier": kind,
            "chosen": asdict(self.chosen),
            "candidates": [asdict(candidate) for candidate in self.candidates],
            **self.scorer.settings(),
        }

    @classmethod
    def from_tensors(cls, tensors: dict[str, npt.NDArray[Any]], settings: dict[str, Any]) -> Self:
        """The classifier again that `to_tensors` and `settings` were called on.

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
    """Fit all candidates on the training pictures and keep the most accurate on the validation pictures.

    Equal accuracies are told apart by log loss. Support vector machines are tried up to 5,000 training pictures.
    Without validation pictures it is extra trees.

    Args:
        train_features: Shape (n, features).
        train_labels: Class numbers, integers of shape (n,), each in 0 .. classes - 1.
        validation_features: Shape (m, features); m may be 0.
        validation_labels: Class numbers, integers of shape (m,).
        classes: How many classes there are.
        seed: Same seed and features, same classifier.

    Raises:
        ValueError: Features and labels don't fit each other, there is no training picture, or a label is no class.
    """
    labels = _checked(train_features, train_labels, classes)
    held_out = _checked(validation_features, validation_labels, classes)
    if not labels.size:
        raise ValueError("no training pictures; give at least one")
    if not held_out.size:
        only = Candidate("extra trees", None, None)
        return DescriptorClassifier(fit_extra_trees(train_features, labels, classes, seed=seed), only, (only,))
    tried: list[tuple[Candidate, Scorer]] = []
    for name, fitted in _fit_candidates(train_features, labels, classes, seed):
        scorer: Scorer = fitted
        if isinstance(fitted, SupportVectors):
            scorer = fitted.calibrated(validation_features, held_out)
        tried.append((_judge(name, scorer, validation_features, held_out), scorer))
    chosen, best = max(tried, key=lambda pair: _merit(pair[0]))
    return DescriptorClassifier(best, chosen, tuple(candidate for candidate, _ in tried))


def _fit_candidates(
    features: npt.NDArray[Any], labels: npt.NDArray[np.int64], classes: int, seed: int
) -> Iterator[tuple[str, Scorer]]:
    yield "extra trees", fit_extra_trees(features, labels, classes, seed=seed)
    if len(labels) <= _KERNEL_ROWS and len(np.unique(labels)) > 1:
        for regularisation in REGULARISATIONS:
            machines = fit_support_vectors(features, labels, classes, regularisation=regularisation)
            yield f"support vectors, C = {regularisation:g}", machines


def _judge(name: str, scorer: Scorer, features: npt.NDArray[Any], labels: npt.NDArray[np.int64]) -> Candidate:
    probabilities = scorer.predict_probabilities(features).astype(np.float64)
    of_truth = probabilities[np.arange(len(labels)), labels]
    accuracy = float((probabilities.argmax(axis=1) == labels).mean())
    return Candidate(name, accuracy, float(-np.log(np.maximum(of_truth, 1e-12)).mean()))


def _merit(candidate: Candidate) -> tuple[float, float]:
    return candidate.validation_accuracy or 0.0, -(candidate.validation_log_loss or 0.0)


def _checked(features: npt.NDArray[Any], labels: npt.ArrayLike, classes: int) -> npt.NDArray[np.int64]:
    numbers = np.asarray(labels)
    if len(features) != numbers.size or np.ndim(features) != 2:
        raise ValueError(f"features of shape {np.shape(features)} for {numbers.size} labels; give one row for each")
    if numbers.size and (numbers.min() < 0 or numbers.max() >= classes):
        raise ValueError(f"labels {numbers.min()} .. {numbers.max()}; give 0 .. {classes - 1}")
    return numbers.astype(np.int64)
