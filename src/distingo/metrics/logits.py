"""Logits: conversion to probabilities, calibration of margins, and scores and folds for choosing among fits."""

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


Targets = npt.NDArray[Any]

FOLDS = 5


def score_logits(logits: npt.NDArray[Any], targets: Targets, task: Task) -> tuple[float, float]:
    """Compute the score and log loss that fits are compared by.

    Args:
        logits: Float (n, classes).
        targets: int64 (n,), or 0/1 (n, labels) for multi-label.
        task: Single-label or multi-label.

    Returns:
        Accuracy and log loss. For multi-label: scikit-learn's mean average precision over the labels that some image
        has (0 if there are none), and the mean binary cross-entropy.
    """
    if task == "single-label":
        return float((logits.argmax(axis=1) == targets).mean()), softmax_log_loss(logits, targets)
    return _mean_average_precision(logits, targets), _binary_cross_entropy(logits.astype(np.float64), targets)


def best_trial(scores: list[tuple[float, float]], n: int, task: Task) -> int:
    """Choose the best of several trials on the same images.

    For single-label, this is the trial of lowest log loss among those whose accuracy is within one standard error of
    the highest, so that one image that happens to be right does not decide (the rule of Breiman et al., Classification
    and regression trees, 1984, with log loss in place of simplicity). For multi-label, it is the trial of highest mean
    average precision; ties are broken by the lowest log loss.

    Args:
        scores: Score and log loss of each trial, as returned by `score_logits`.
        n: Number of images that were scored.
        task: Single-label or multi-label.

    Returns:
        Position of the trial; the first one of equals.
    """
    highest = max(score for score, _ in scores)
    # If all predictions are right, use the standard error of one mistake instead of 0.
    standard_error = float(np.sqrt(max(highest * (1 - highest), 1 / n) / n)) if task == "single-label" else 0.0
    candidates = [position for position, (score, _) in enumerate(scores) if score >= highest - standard_error - 1e-12]
    return min(candidates, key=lambda position: scores[position][1])


def softmax_log_loss(logits: npt.NDArray[Any], targets: Targets) -> float:
    """Compute the mean log loss of logits (n, classes) for class numbers (n,)."""
    return float(-log_softmax(logits.astype(np.float64))[np.arange(len(targets)), targets].mean())


def assign_folds(targets: Targets, *, seed: int, folds: int = FOLDS) -> npt.NDArray[np.int64]:
    """Assign images to stratified folds.

    A multi-label image counts for its rarest label. The only image of a class is never held out.

    Args:
        targets: int64 (n,), or 0/1 (n, labels).
        seed: Random seed for the order within a class.
        folds: Largest number of folds; there are no more than images in the largest class.

    Returns:
        Fold numbers, int64 (n,), or -1 for images that are never held out. If no class has two images, all are -1.
    """
    classes = targets if targets.ndim == 1 else _rarest_labels(targets)
    generator = np.random.default_rng(seed)
    numbers, counts = np.unique(classes, return_counts=True)
    folds = min(folds, int(counts.max()))
    assigned, dealt = np.full(len(classes), -1, dtype=np.int64), 0
    for number, count in zip(numbers, counts, strict=True):
        if count > 1:
            members = generator.permutation(np.flatnonzero(classes == number))
            assigned[members] = (dealt + np.arange(count)) % folds
            dealt += int(count)
    return assigned


def _binary_cross_entropy(logits: Floats, targets: Targets) -> float:
    return float((np.logaddexp(0, logits) - targets * logits).mean())


def _mean_average_precision(logits: npt.NDArray[Any], targets: Targets) -> float:
    from sklearn.metrics import average_precision_score

    evaluated = np.flatnonzero((targets > 0).any(axis=0))
    if not len(evaluated):
        return 0.0
    return float(np.mean([average_precision_score(targets[:, label] > 0, logits[:, label]) for label in evaluated]))


def _rarest_labels(targets: Targets) -> npt.NDArray[np.int64]:
    """Return the index of each image's rarest label; for images without labels, the number of labels."""
    is_positive = targets > 0
    counts = np.where(is_positive, is_positive.sum(axis=0), np.iinfo(np.int64).max)
    rarest: npt.NDArray[np.int64] = np.where(is_positive.any(axis=1), counts.argmin(axis=1), targets.shape[1])
    return rarest
