"""Support vector machines as plain arrays: fitted by scikit-learn, saved and used without it.

One machine per class against all others (Rifkin and Klautau, In Defense of One-Vs-All Classification, JMLR 2004)
with a radial basis function kernel; their decisions become probabilities by one temperature, fitted on validation
(Guo et al., On Calibration of Modern Neural Networks, 2017).
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_SHARPNESS_RANGE = (1e-2, 20.0)  # up to near certainty at the margin, however few the validation pictures
_KERNEL_VALUES_AT_ONCE = 4_000_000


@dataclass(frozen=True, slots=True)
class SupportVectors:
    """One kernel machine per class over shared support vectors.

    Attributes:
        mean: Float64 of shape (features,): subtracted from the features.
        scale: Float64 of shape (features,): divides them then.
        vectors: Float64 of shape (vectors, features), standardised so.
        dual: Float64 of shape (vectors, classes): each machine's weight of each vector.
        intercept: Float64 of shape (classes,).
        gamma: The kernel is ``exp(-gamma * squared distance)``.
        sharpness: What the decisions are multiplied by before they become probabilities.
    """

    mean: Floats
    scale: Floats
    vectors: Floats
    dual: Floats
    intercept: Floats
    gamma: float
    sharpness: float = 1.0

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
        """The softmax of the sharpened decisions.

        Args:
            features: Shape (n, features).

        Returns:
            Float32 of shape (n, classes), rows summing to 1.
        """
        return _softmax(self.sharpness * self.decide(features)).astype(np.float32)

    def calibrated(self, features: npt.NDArray[Any], labels: npt.NDArray[Any]) -> Self:
        """The same machines with the sharpness at which their log loss on other pictures is least.

        Args:
            features: Shape (n, features), of pictures not fitted on.
            labels: Their class numbers, integers of shape (n,).
        """
        decisions = self.decide(features)
        of_truth = decisions[np.arange(len(labels)), labels]
        low, high = _SHARPNESS_RANGE
        # The log loss is convex in the sharpness: halve the range by the sign of its slope.
        for _ in range(60):
            middle = (low + high) / 2
            slope = ((_softmax(middle * decisions) * decisions).sum(axis=1) - of_truth).mean()
            low, high = (low, middle) if slope > 0 else (middle, high)
        return replace(self, sharpness=(low + high) / 2)

    def to_tensors(self) -> dict[str, npt.NDArray[Any]]:
        """The arrays that `from_tensors` needs."""
        return {name: getattr(self, name) for name in _TENSORS}

    def settings(self) -> dict[str, Any]:
        """All else that `from_tensors` needs, as JSON."""
        return {"gamma": self.gamma, "sharpness": self.sharpness}

    @classmethod
    def from_tensors(cls, tensors: dict[str, npt.NDArray[Any]], settings: dict[str, Any]) -> Self:
        """The machines again that `to_tensors` was called on.

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
        return cls(**arrays, gamma=float(settings["gamma"]), sharpness=float(settings["sharpness"]))


_TENSORS = ("mean", "scale", "vectors", "dual", "intercept")


def fit_support_vectors(
    features: npt.NDArray[Any], labels: npt.NDArray[Any], classes: int, *, regularisation: float
) -> SupportVectors:
    """Fit one machine per class on standardised features, gamma being 1 / features.

    Args:
        features: Shape (n, features).
        labels: Class numbers, integers of shape (n,), of two classes at least.
        classes: How many classes there are; one without a picture is always decided against.
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

    def fit(number: int) -> Any:
        return SVC(C=regularisation, gamma=gamma).fit(rows, labels == number)

    present = np.unique(labels)
    with ThreadPoolExecutor() as threads:  # libsvm lets go of Python's lock
        machines = list(threads.map(fit, present))
    dual = np.zeros((len(rows), classes))
    intercept = np.full(classes, -1.0)  # the decision at the margin against a class
    for number, machine in zip(present, machines, strict=True):
        dual[machine.support_, number] = machine.dual_coef_[0]
        intercept[number] = machine.intercept_[0]
    used = dual.any(axis=1)
    return SupportVectors(mean, scale, rows[used], dual[used], intercept, gamma)


def _softmax(scores: Floats) -> Floats:
    exponentials = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares: Floats = exponentials / exponentials.sum(axis=1, keepdims=True)
    return shares
