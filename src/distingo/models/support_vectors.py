"""Support vector machines as plain arrays: fitted by scikit-learn, saved and used without it.

One machine per class against all others (Rifkin and Klautau, In Defense of One-Vs-All Classification, JMLR 2004)
with a radial basis function kernel. Decisions become probabilities by the calibration that every model has
(`distingo.metrics.logits`), fitted on validation.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from distingo.metrics.logits import as_probabilities, fit_calibration

Floats = npt.NDArray[np.float64]

_SHARPEST = 20.0  # near certainty at the margin, however few the validation images
_KERNEL_VALUES_AT_ONCE = 4_000_000


@dataclass(frozen=True, slots=True)
class SupportVectors:
    """One kernel machine per class over shared support vectors.

    Attributes:
        mean: Float64 of shape (features,): subtracted from the features.
        scale: Float64 of shape (features,): divides them then.
        vectors: Float64 of shape (vectors, features), standardized so.
        dual: Float64 of shape (vectors, classes): each machine's weight of each vector.
        intercept: Float64 of shape (classes,).
        gamma: The kernel is ``exp(-gamma * squared distance)``.
        sharpness: What the decisions are multiplied by before they become probabilities.
        exclusive: Whether an image has exactly one class; without, the probabilities are independent.
    """

    mean: Floats
    scale: Floats
    vectors: Floats
    dual: Floats
    intercept: Floats
    gamma: float
    sharpness: float = 1.0
    exclusive: bool = True

    def decide(self, features: npt.NDArray[Any]) -> Floats:
        """Each machine's decision: positive for its class, negative against.

        Args:
            features: Shape (n, features).

        Returns:
            Float64 of shape (n, classes).
        """
        rows = (np.asarray(features, dtype=np.float64) - self.mean) / self.scale
        size = max(1, _KERNEL_VALUES_AT_ONCE // max(1, len(self.vectors)))
        parts = [self._kernel(rows[start : start + size]) @ self.dual for start in range(0, len(rows), size)]
        return np.concatenate([np.zeros((0, len(self.intercept))), *parts]) + self.intercept

    def _kernel(self, rows: Floats) -> Floats:
        squares = (rows**2).sum(axis=1)[:, None] + (self.vectors**2).sum(axis=1) - 2 * rows @ self.vectors.T
        kernel: Floats = np.exp(-self.gamma * np.maximum(squares, 0))
        return kernel

    def predict_probabilities(self, features: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """The softmax of the sharpened decisions, or for independent labels their sigmoid.

        Args:
            features: Shape (n, features).

        Returns:
            Float32 of shape (n, classes), rows summing to 1 if the classes are exclusive.
        """
        logits = self.sharpness * self.decide(features)
        return as_probabilities(logits, "single-label" if self.exclusive else "multi-label")

    def calibrated(self, features: npt.NDArray[Any], labels: npt.NDArray[Any]) -> Self:
        """The same machines with the calibration of their decisions for held-out images.

        Args:
            features: Shape (n, features), of images that they were not fitted on.
            labels: Their class numbers, integers of shape (n,); or for independent labels bool of shape (n, classes).
        """
        decisions = self.decide(features)
        if self.exclusive:
            sharpness, _ = fit_calibration(decisions, labels, smoothed=False, steepest=_SHARPEST)
            return replace(self, sharpness=sharpness)
        of_labels = [fit_calibration(decisions[:, [label]], labels[:, [label]]) for label in range(labels.shape[1])]
        slopes = np.array([slope for slope, _ in of_labels])
        offsets = np.concatenate([offset for _, offset in of_labels])
        return replace(self, dual=self.dual * slopes, intercept=self.intercept * slopes + offsets)

    def to_tensors(self) -> dict[str, npt.NDArray[Any]]:
        """The arrays that `from_tensors` needs."""
        return {name: getattr(self, name) for name in _TENSORS}

    def settings(self) -> Mapping[str, object]:
        """The JSON settings that `from_tensors` needs besides tensors."""
        settings = {"gamma": self.gamma, "sharpness": self.sharpness}
        return settings | ({} if self.exclusive else {"exclusive": False})

    @classmethod
    def from_tensors(cls, tensors: dict[str, npt.NDArray[Any]], settings: Mapping[str, Any]) -> Self:
        """Rebuild the machines from the result of `to_tensors`.

        Raises:
            KeyError: A tensor or setting is missing.
            ValueError: The arrays don't fit each other.
        """
        arrays = {name: np.asarray(tensors[name], dtype=np.float64) for name in _TENSORS}
        features, classes = arrays["mean"].shape[0], arrays["intercept"].shape[0]
        vectors = arrays["vectors"].shape[0]
        shapes = [(features,), (features,), (vectors, features), (vectors, classes), (classes,)]
        if [arrays[name].shape for name in _TENSORS] != shapes:
            raise ValueError("the support vectors' arrays contradict each other")
        gamma, sharpness = float(settings["gamma"]), float(settings["sharpness"])
        return cls(**arrays, gamma=gamma, sharpness=sharpness, exclusive=bool(settings.get("exclusive", True)))


_TENSORS = ("mean", "scale", "vectors", "dual", "intercept")


def fit_support_vectors(
    features: npt.NDArray[Any], labels: npt.NDArray[Any], classes: int, *, regularisation: float
) -> SupportVectors:
    """Fit one machine per class on standardized features, gamma being 1 / features.

    Args:
        features: Shape (n, features).
        labels: Class numbers, integers of shape (n,), of two classes at least; or for independent labels bool of shape
            (n, classes).
        classes: How many classes there are; one without an image is always decided against, and one that all images
            have for.
        regularisation: scikit-learn's C: how much an error costs.

    Returns:
        Machines yet to be calibrated.
    """
    from sklearn.svm import SVC

    wide = np.asarray(features, dtype=np.float64)
    mean, deviation = wide.mean(axis=0), wide.std(axis=0)
    scale = np.where(deviation > 0, deviation, 1.0)
    rows = (wide - mean) / scale
    gamma = 1.0 / rows.shape[1]

    exclusive = labels.ndim == 1
    answers = labels[:, None] == np.arange(classes) if exclusive else labels.astype(np.bool_)

    def fit(number: int) -> Any:
        return SVC(C=regularisation, gamma=gamma).fit(rows, answers[:, number])

    present = np.flatnonzero(answers.any(axis=0) & ~answers.all(axis=0))
    with ThreadPoolExecutor() as threads:  # libsvm lets go of Python's lock
        machines = list(threads.map(fit, present))
    dual = np.zeros((len(rows), classes))
    intercept = np.where(answers.all(axis=0), 1.0, -1.0)  # the decisions at the margins for and against a class
    for number, machine in zip(present, machines, strict=True):
        dual[machine.support_, number] = machine.dual_coef_[0]
        intercept[number] = machine.intercept_[0]
    used = dual.any(axis=1)
    return SupportVectors(mean, scale, rows[used], dual[used], intercept, gamma, exclusive=exclusive)
