"""Scores and folds for choosing among fits by held-out images."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from distingo.metrics.logits import log_softmax
from distingo.records import Task

Floats = npt.NDArray[np.float64]
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
