"""Choose among fits by images that they were not fitted on: scores and folds."""

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
    """What fits are compared by.

    Args:
        logits: Float (n, classes).
        targets: int64 (n,), or 0/1 (n, labels) with several labels.
        task: Single-label or multi-label.

    Returns:
        Accuracy, with several labels the mean average precision over those that an image has (scikit-learn's; 0
        where no image has any); and the log loss (mean binary cross-entropy with several labels).
    """
    if task == "single-label":
        return float((logits.argmax(axis=1) == targets).mean()), softmax_log_loss(logits, targets)
    return _mean_average_precision(logits, targets), _binary_cross_entropy(logits.astype(np.float64), targets)


def best_trial(scores: list[tuple[float, float]], n: int, task: Task) -> int:
    """Which of several trials on the same images to take.

    With one label, of those whose accuracy is within one standard error of the highest the one of lowest log loss:
    one image more or less that happens to be right decides nothing (the rule of Breiman et al., Classification
    and regression trees, 1984, with the log loss for simplicity). With several, the highest mean average
    precision, of equals the lowest log loss.

    Args:
        scores: Score and log loss of each trial, as from `score_logits`.
        n: How many images they rest on.
        task: Single-label or multi-label.

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
    return float(-log_softmax(logits.astype(np.float64))[np.arange(len(targets)), targets].mean())


def assign_folds(targets: Targets, *, seed: int, folds: int = FOLDS) -> npt.NDArray[np.int64]:
    """Deal images out to folds, each class evenly.

    With several labels an image counts as of its rarest label. A class's only image is always trained on.

    Args:
        targets: int64 (n,), or 0/1 (n, labels).
        seed: Of the order within a class.
        folds: How many at most; no more than the largest class has images.

    Returns:
        Fold numbers int64 (n,), -1 for images that are never held out. With fewer than two images of every
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


def _binary_cross_entropy(logits: Floats, targets: Targets) -> float:
    return float((np.logaddexp(0, logits) - targets * logits).mean())


def _mean_average_precision(logits: npt.NDArray[Any], targets: Targets) -> float:
    from sklearn.metrics import average_precision_score

    evaluated = np.flatnonzero((targets > 0).any(axis=0))
    if not len(evaluated):
        return 0.0
    return float(np.mean([average_precision_score(targets[:, label] > 0, logits[:, label]) for label in evaluated]))


def _rarest_labels(targets: Targets) -> npt.NDArray[np.int64]:
    """The number of each image's rarest label, of images without any the number of labels."""
    having = targets > 0
    counts = np.where(having, having.sum(axis=0), np.iinfo(np.int64).max)
    rarest: npt.NDArray[np.int64] = np.where(having.any(axis=1), counts.argmin(axis=1), targets.shape[1])
    return rarest
