"""Choosing among fits by pictures they have not seen: scores, folds, calibration."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from distingo.records import Task

Floats = npt.NDArray[np.float64]
Targets = npt.NDArray[Any]
Calibration = tuple[float, Floats]
"""A slope and offsets (classes,): logits are slope * margins + offsets."""

FOLDS = 5
_SLOPES = (1e-2, 1e3)


def score_logits(logits: npt.NDArray[Any], targets: Targets, task: Task) -> tuple[float, float]:
    """What fits are compared by.

    Args:
        logits: Float (n, classes).
        targets: int64 (n,), or 0/1 (n, labels) with several labels.
        task: One label per picture, or several.

    Returns:
        Accuracy, with several labels the mean average precision over those that a picture has (scikit-learn's; 0
        where no picture has any); and the log loss (mean binary cross-entropy with several labels).
    """
    if task == "single-label":
        return float((logits.argmax(axis=1) == targets).mean()), softmax_log_loss(logits, targets)
    return _mean_average_precision(logits, targets), _binary_cross_entropy(logits.astype(np.float64), targets)


def best_trial(scores: list[tuple[float, float]], n: int, task: Task) -> int:
    """Which of several trials on the same pictures to take.

    With one label, of those whose accuracy is within one standard error of the highest the one of lowest log loss:
    one picture more or less that happens to be right decides nothing (the rule of Breiman et al., Classification
    and regression trees, 1984, with the log loss for simplicity). With several, the highest mean average
    precision, of equals the lowest log loss.

    Args:
        scores: Score and log loss of each trial, as from `score_logits`.
        n: How many pictures they rest on.
        task: One label per picture, or several.

    Returns:
        The trial's position; the first of equals.
    """
    highest = max(score for score, _ in scores)
    # Where all are right the standard error is that of one mistake, not 0.
    spread = float(np.sqrt(max(highest * (1 - highest), 1 / n) / n)) if task == "single-label" else 0.0
    near = [position for position, (score, _) in enumerate(scores) if score >= highest - spread - 1e-12]
    return min(near, key=lambda position: scores[position][1])


def softmax_log_loss(logits: npt.NDArray[Any], targets: Targets) -> float:
    """Mean log loss of logits (n, classes) for class numbers (n,)."""
    return float(-_log_softmax(logits.astype(np.float64))[np.arange(len(targets)), targets].mean())


def assign_folds(targets: Targets, *, seed: int, folds: int = FOLDS) -> npt.NDArray[np.int64]:
    """Deal pictures out to folds, each class evenly.

    With several labels a picture counts as of its rarest label. A class's only picture is always trained on.

    Args:
        targets: int64 (n,), or 0/1 (n, labels).
        seed: Of the order within a class.
        folds: How many at most; no more than the largest class has pictures.

    Returns:
        Fold numbers int64 (n,), -1 for pictures that are never held out. With fewer than two pictures of every
        class all are -1.
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


def calibrate(margins: npt.NDArray[Any], targets: Targets, weights: npt.NDArray[Any] | None = None) -> Calibration:
    """Find slope and offsets that make margins of unseen pictures the best logits.

    One slope for all, so that rare labels borrow from the others. One label per picture: offsets stay 0, and one
    more picture than there is counts as spread over all classes, so that few pictures without a mistake make
    nobody certain. Several labels: an offset each, with Platt's smoothed targets (Platt 1999).

    Args:
        margins: Float (n, classes).
        targets: int64 (n,), or 0/1 (n, labels).
        weights: How much each 0/1 target counts, of their shape; all alike without.
    """
    wide = margins.astype(np.float64)
    if targets.ndim == 1:
        return _temper(wide, targets)
    return _platt(wide, targets.astype(np.float64), np.ones(wide.shape) if weights is None else weights)


def _temper(margins: Floats, targets: Targets) -> Calibration:
    n, classes = margins.shape
    shares = np.full((n, classes), 1 / ((n + 1) * classes))
    shares[np.arange(n), targets] += n / (n + 1)
    low, high = np.log(_SLOPES)
    # The loss is convex in the slope: halve the range by the sign of its derivative.
    for _ in range(50):
        middle = (low + high) / 2
        probabilities = np.exp(_log_softmax(np.exp(middle) * margins))
        low, high = (low, middle) if ((probabilities - shares) * margins).sum() > 0 else (middle, high)
    return float(np.exp((low + high) / 2)), np.zeros(classes)


def _platt(margins: Floats, targets: Floats, weights: npt.NDArray[Any]) -> Calibration:
    from scipy.optimize import minimize
    from scipy.special import expit, logit

    having = targets.sum(axis=0)
    lacking = len(targets) - having
    smoothed = np.where(targets > 0, (having + 1) / (having + 2), 1 / (lacking + 2))
    scale = float(margins.std()) or 1.0

    def objective(packed: Floats) -> tuple[float, Floats]:
        logits = packed[0] / scale * margins + packed[1:]
        losses = np.logaddexp(0, logits) - smoothed * logits
        residuals = weights * (expit(logits) - smoothed) / margins.size
        gradient = np.concatenate([[(residuals * margins).sum() / scale], residuals.sum(axis=0)])
        return float((weights * losses).sum() / margins.size), gradient

    start = np.concatenate([[1.0], logit((having + 1) / (len(targets) + 2))])
    bounds = [(1e-3, 1e3), *((-30.0, 30.0) for _ in having)]
    found = minimize(objective, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"gtol": 1e-9, "ftol": 0})
    return float(found.x[0] / scale), np.asarray(found.x[1:])


def _log_softmax(logits: Floats) -> Floats:
    shifted = logits - logits.max(axis=1, keepdims=True)
    logarithms: Floats = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return logarithms


def _binary_cross_entropy(logits: Floats, targets: Targets) -> float:
    return float((np.logaddexp(0, logits) - targets * logits).mean())


def _mean_average_precision(logits: npt.NDArray[Any], targets: Targets) -> float:
    from sklearn.metrics import average_precision_score

    judged = np.flatnonzero((targets > 0).any(axis=0))
    if not len(judged):
        return 0.0
    return float(np.mean([average_precision_score(targets[:, label] > 0, logits[:, label]) for label in judged]))


def _rarest_labels(targets: Targets) -> npt.NDArray[np.int64]:
    """The number of each picture's rarest label, of pictures without any the number of labels."""
    having = targets > 0
    counts = np.where(having, having.sum(axis=0), np.iinfo(np.int64).max)
    rarest: npt.NDArray[np.int64] = np.where(having.any(axis=1), counts.argmin(axis=1), targets.shape[1])
    return rarest
