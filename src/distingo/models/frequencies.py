"""Models that ignore the image: the baseline that every other model must exceed.

`MajorityClassifier` gives the frequency of each class, `PrevalenceClassifier` (multi-label) that of each label.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class MajorityClassifier:
    """Predicts the class frequencies of the train split for every image.

    Of all answers that don't look at the image, the most frequent class has the highest accuracy and the
    frequencies have the lowest log loss.

    Attributes:
        frequencies: Float64 of shape (classes,), summing to 1.
    """

    frequencies: npt.NDArray[np.float64]

    def predict_probabilities(self, features: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """The class frequencies, once per image.

        Args:
            features: Anything with one row per image; never used.

        Returns:
            Float32 of shape (n, classes), rows summing to 1.
        """
        return np.tile(self.frequencies.astype(np.float32), (len(features), 1))

    def to_tensors(self) -> dict[str, npt.NDArray[Any]]:
        """The arrays that `from_tensors` needs."""
        return {"frequencies": self.frequencies}

    def settings(self) -> Mapping[str, object]:
        """All else that `from_tensors` needs, as JSON: nothing."""
        return {}

    @classmethod
    def from_tensors(cls, tensors: dict[str, npt.NDArray[Any]], settings: Mapping[str, Any]) -> Self:  # noqa: ARG003
        """The classifier again that `to_tensors` was called on.

        Raises:
            KeyError: A tensor is missing.
            ValueError: The frequencies are none.
        """
        frequencies = np.asarray(tensors["frequencies"], dtype=np.float64)
        if frequencies.ndim != 1 or not np.isclose(frequencies.sum(), 1) or frequencies.min() < 0:
            raise ValueError(f"frequencies of shape {frequencies.shape} that are not positive numbers summing to 1")
        return cls(frequencies)


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


@dataclass(frozen=True, slots=True)
class PrevalenceClassifier:
    """Predicts the label frequencies of the train split for every image.

    Of all answers that don't look at the image, these have the lowest binary cross-entropy; the average precision
    of each label is its prevalence.

    Attributes:
        frequencies: Float64 of shape (labels,), each in 0 .. 1.
    """

    frequencies: npt.NDArray[np.float64]

    def predict_probabilities(self, features: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """The frequencies, once per image.

        Args:
            features: Anything with one row per image; never used.

        Returns:
            Float32 of shape (n, labels), each number in 0 .. 1.
        """
        return np.tile(self.frequencies.astype(np.float32), (len(features), 1))

    def to_tensors(self) -> dict[str, npt.NDArray[Any]]:
        """The arrays that `from_tensors` needs."""
        return {"frequencies": self.frequencies}

    def settings(self) -> Mapping[str, object]:
        """All else that `from_tensors` needs, as JSON: nothing."""
        return {}

    @classmethod
    def from_tensors(cls, tensors: dict[str, npt.NDArray[Any]], settings: Mapping[str, Any]) -> Self:  # noqa: ARG003
        """The classifier again that `to_tensors` was called on.

        Raises:
            KeyError: A tensor is missing.
            ValueError: The frequencies are none.
        """
        frequencies = np.asarray(tensors["frequencies"], dtype=np.float64)
        if frequencies.ndim != 1 or not ((frequencies >= 0) & (frequencies <= 1)).all():
            raise ValueError(f"frequencies of shape {frequencies.shape} that are not numbers in 0 .. 1")
        return cls(frequencies)


def fit_prevalence(targets: npt.ArrayLike) -> PrevalenceClassifier:
    """Count the labels.

    Args:
        targets: Bool or 0/1 of shape (n, labels): the labels of the training images.

    Raises:
        ValueError: There are no images, or a number is neither 0 nor 1.
    """
    table = np.asarray(targets)
    if table.ndim != 2 or len(table) == 0 or not np.isin(table, (0, 1)).all():
        raise ValueError(f"targets of shape {table.shape}; give (n, labels) of 0 and 1, one picture at least")
    return PrevalenceClassifier(table.mean(axis=0, dtype=np.float64))
