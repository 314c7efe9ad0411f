"""Conversion of logits to probabilities, and calibration of classifier margins to logits."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from distingo.records import Task

Floats = npt.NDArray[np.float64]
LogitCalibration = tuple[float, Floats]
"""Slope and offsets (classes,): logits are slope * margins + offsets."""

_Logits = TypeVar("_Logits", bound=npt.NDArray[Any])

_FLATTEST, _STEEPEST = 1e-2, 1e3


def softmax(logits: _Logits) -> _Logits:
    """Probabilities of exclusive classes: each row of (n, classes) sums to 1; the dtype is that of the logits."""
    shares: Any = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    return shares  # type: ignore[no-any-return]


def log_softmax(logits: _Logits) -> _Logits:
    """Logarithm of `softmax`, computed without underflow."""
    shifted: Any = logits - logits.max(axis=1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return shifted  # type: ignore[no-any-return]


def sigmoid(logits: _Logits) -> _Logits:
    """Probabilities of independent labels, with the shape and dtype of the logits."""
    probabilities: Any = 0.5 + 0.5 * np.tanh(0.5 * logits)  # unlike 1 / (1 + exp(-x)), tanh never overflows
    return probabilities  # type: ignore[no-any-return]


def as_probabilities(logits: npt.NDArray[Any], task: Task) -> npt.NDArray[np.float32]:
    """Convert logits to float32 probabilities (n, classes), computed in float64.

    Args:
        logits: Float (n, classes).
        task: Single-label for `softmax`, multi-label for `sigmoid`.
    """
    logits_f64 = logits.astype(np.float64)
    return (softmax(logits_f64) if task == "single-label" else sigmoid(logits_f64)).astype(np.float32)


def fit_calibration(
    margins: npt.NDArray[Any],
    targets: npt.NDArray[Any],
    weights: npt.NDArray[Any] | None = None,
    *,
    smoothed: bool = True,
    steepest: float = _STEEPEST,
) -> LogitCalibration:
    """Fit the slope and the offsets that turn the margins of held-out images into calibrated logits.

    All classes share one slope, so that rare labels benefit from the others. Single-label: temperature scaling (Guo et
    al., On calibration of modern neural networks, 2017). The offsets are 0, and one pseudo-image is spread evenly over
    all classes, so that a few images without a mistake do not lead to probabilities of 1. Multi-label: Platt scaling
    (Platt, Probabilistic outputs for support vector machines, 1999) with one offset per label and Platt's smoothed
    targets.

    Args:
        margins: Float (n, classes).
        targets: int64 (n,), or 0/1 (n, labels).
        weights: Weight of each 0/1 target, of the same shape; None weighs all targets equally.
        smoothed: False leaves out the pseudo-image of a single-label task.
        steepest: The largest slope of a single-label task.
    """
    margins_f64 = margins.astype(np.float64)
    if targets.ndim == 1:
        additional = 1 if smoothed else 0
        return _fit_temperature(margins_f64, targets, additional, steepest), np.zeros(margins_f64.shape[1])
    return _fit_platt(
        margins_f64, targets.astype(np.float64), np.ones(margins_f64.shape) if weights is None else weights
    )


def _fit_temperature(margins: Floats, targets: npt.NDArray[Any], additional: int, steepest: float) -> float:
    n, classes = margins.shape
    shares = np.full((n, classes), additional / ((n + additional) * classes))
    shares[np.arange(n), targets] += n / (n + additional)
    low, high = np.log((_FLATTEST, steepest))
    for _ in range(50):  # the loss is convex in the slope: halve the range by the sign of its derivative
        middle = (low + high) / 2
        probabilities = np.exp(log_softmax(np.exp(middle) * margins))
        low, high = (low, middle) if ((probabilities - shares) * margins).sum() > 0 else (middle, high)
    return float(np.exp((low + high) / 2))


def _fit_platt(margins: Floats, targets: Floats, weights: npt.NDArray[Any]) -> LogitCalibration:
    from scipy.optimize import minimize
    from scipy.special import expit, logit

    positives = targets.sum(axis=0)
    negatives = len(targets) - positives
    smoothed = np.where(targets > 0, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    scale = float(margins.std()) or 1.0

    def objective(packed: Floats) -> tuple[float, Floats]:
        logits = packed[0] / scale * margins + packed[1:]
        losses = np.logaddexp(0, logits) - smoothed * logits
        residuals = weights * (expit(logits) - smoothed) / margins.size
        gradient = np.concatenate([[(residuals * margins).sum() / scale], residuals.sum(axis=0)])
        return float((weights * losses).sum() / margins.size), gradient

    start = np.concatenate([[1.0], logit((positives + 1) / (len(targets) + 2))])
    bounds = [(1e-3, 1e3), *((-30.0, 30.0) for _ in positives)]
    result = minimize(objective, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"gtol": 1e-9, "ftol": 0})
    return float(result.x[0] / scale), np.asarray(result.x[1:])
