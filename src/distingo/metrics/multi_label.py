"""Scores of multi-label classifiers, and the data for their plots.

The plots show precision-recall curves, per-label confusion matrices, co-occurrence and the number of labels per image.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from distingo.metrics.intervals import mean_score
from distingo.metrics.label_intervals import (
    Estimate,
    EvaluatedLabels,
    mean_precision,
    pooled_precision,
    precision_estimates,
    threshold_estimates,
)
from distingo.scores import BinaryConfusion, LabelScores, Score

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class PrecisionRecallCurve:
    """Points of one label's precision-recall curve, in order of rising recall.

    Attributes:
        thresholds: The label is predicted at probabilities at or above the threshold.
        precision: Share of correct predictions among the images predicted to have the label.
        recall: Share of the label's images that are predicted to have it.
    """

    thresholds: tuple[float, ...]
    precision: tuple[float, ...]
    recall: tuple[float, ...]


def precision_recall_curve(
    truth: npt.ArrayLike, probabilities: npt.ArrayLike, *, points: int = 200
) -> PrecisionRecallCurve:
    """The precision-recall curve of one label, thinned for drawing.

    Args:
        truth: Bool (n,).
        probabilities: Floats (n,).
        points: Maximum number of points, evenly spread over the curve's corners; both ends are always included.

    Returns:
        scikit-learn's points with ``drop_intermediate``, without the artificial one at recall 0; empty if no image
        has the label.
    """
    targets, probs = _column(truth, probabilities)
    if not targets.any():
        return PrecisionRecallCurve((), (), ())
    order = np.argsort(-probs, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(probs[order]) != 0, [True]))
    right = targets[order].cumsum()[ends]
    selected = _thinned(_corners(right), points)
    precision, recall = right[selected] / (ends[selected] + 1), right[selected] / right[-1]
    return PrecisionRecallCurve(
        tuple(probs[order][ends[selected]].tolist()), tuple(precision.tolist()), tuple(recall.tolist())
    )


def _corners(right: Integers) -> Integers:
    """Both ends and every point at which recall changes; all others are on a line between two of these."""
    changes = np.diff(right) != 0
    is_corner = np.ones(right.size, dtype=bool)
    is_corner[1:-1] = changes[:-1] | changes[1:]
    return np.flatnonzero(is_corner)


def _thinned(positions: Integers, points: int) -> Integers:
    if positions.size <= points:
        return positions
    return positions[np.linspace(0, positions.size - 1, max(2, points)).round().astype(np.int64)]


def label_confusions(truth: npt.ArrayLike, predicted: npt.ArrayLike) -> tuple[BinaryConfusion, ...]:
    """Compute the confusion matrix of each label.

    Args:
        truth: Bool (n, labels).
        predicted: Bool (n, labels).

    Returns:
        One record per label.
    """
    targets, predictions = _matrix(truth), _matrix(predicted)
    if targets.shape != predictions.shape:
        raise ValueError(
            f"truth of shape {targets.shape} and predictions of shape {predictions.shape}; give equal ones"
        )
    cells = (targets & predictions, ~targets & predictions, targets & ~predictions, ~targets & ~predictions)
    return tuple(
        BinaryConfusion(*map(int, counts)) for counts in np.stack([cell.sum(axis=0) for cell in cells], axis=1)
    )


def co_occurrence(truth: npt.ArrayLike) -> Integers:
    """Count how many images have both labels, for each pair of labels.

    Args:
        truth: Bool (n, labels).

    Returns:
        Int64 (labels, labels), symmetric; the diagonal counts each label's images.
    """
    targets = _matrix(truth).astype(np.float64)  # exact for counts of this size, and much faster than integers
    counts: Integers = (targets.T @ targets).astype(np.int64)
    return counts


def labels_per_image(truth: npt.ArrayLike) -> Integers:
    """Count the images by their number of labels.

    Args:
        truth: Bool (n, labels).

    Returns:
        Int64 (most + 1,), where `most` is the highest number of labels of an image.
    """
    return np.bincount(_matrix(truth).sum(axis=1), minlength=1).astype(np.int64)


def _matrix(table: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    array = np.asarray(table)
    if array.ndim != 2 or array.dtype != np.bool_:
        raise ValueError(f"a table of shape {array.shape} and type {array.dtype}; give truth values (n, labels)")
    return array


def _column(
    truth: npt.ArrayLike, probabilities: npt.ArrayLike
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.float64]]:
    targets, probs = np.asarray(truth), np.asarray(probabilities, dtype=np.float64)
    if targets.ndim != 1 or targets.dtype != np.bool_ or targets.shape != probs.shape:
        raise ValueError(f"truth of shape {targets.shape} and probabilities of shape {probs.shape}; give (n,) each")
    return targets, probs


Floats = npt.NDArray[np.float64]

Booleans = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class MultiLabelScores:
    """Scores of a multi-label classifier.

    Attributes:
        scores: Scores by name, `mean_average_precision_macro` first. Undefined scores are absent.
        per_label: One entry per label, in the order of the columns.
        left_out: The labels that fewer than `MIN_POSITIVES` images have; macro scores leave them out.
    """

    scores: dict[str, Score]
    per_label: tuple[LabelScores, ...]
    left_out: tuple[str, ...]


def multi_label_scores(
    truth: npt.ArrayLike,
    probabilities: npt.ArrayLike,
    thresholds: npt.ArrayLike,
    labels: tuple[str, ...],
) -> MultiLabelScores:
    """Score the probabilities of independent labels, and the labels predicted at the thresholds.

    From the probabilities: mean average precision (macro, micro), label-ranking average precision, coverage error,
    log loss (the binary cross-entropy, averaged over labels), and top-k hits: the share of images with at least
    one right label among the k most probable; images without labels are not counted there (see its `n`). At the
    thresholds: F1 (macro, micro, samples), precision and recall (macro, micro), `f1_macro_at_half` (what thresholds of
    0.5 would have given), Hamming loss, exact match, and `label_accuracy`, the share of correct cells in the 0/1 table,
    which is only meaningful next to `label_accuracy_of_nothing`, its value for predicting no label at all. All are
    scikit-learn's numbers with ``zero_division=0``, the macro ones over the labels that at least `MIN_POSITIVES`
    images have.

    Every score has a 95 % interval: see `distingo.metrics.intervals` for means over images, and
    `distingo.metrics.label_intervals` for average precision and scores at the thresholds. Scores with too few images or
    positives for a reliable interval are marked. The interval of a macro score treats the set of labels as fixed.

    Args:
        truth: Bool (n, labels), or integers 0 and 1.
        probabilities: Floats in 0 .. 1 of shape (n, labels); rows need not sum to 1.
        thresholds: Floats of shape (labels,), or (n, labels) if the images were evaluated by models with different
            thresholds. A label is predicted if its probability is at or above its threshold.
        labels: Column names.

    Raises:
        ValueError: The arrays don't match, are empty, or a number is out of range.
    """
    targets = _checked_truth(truth, len(labels))
    probs = _checked_probabilities(probabilities, targets.shape)
    cuts = np.asarray(thresholds, dtype=np.float64)
    if cuts.shape not in {(len(labels),), targets.shape} or np.isnan(cuts).any():
        raise ValueError(f"thresholds of shape {cuts.shape}; give one number for each of {len(labels)} labels")
    evaluated = EvaluatedLabels.of(targets, probs, probs >= cuts)
    precisions = precision_estimates(evaluated)
    return MultiLabelScores(
        scores=_scores(evaluated, precisions),
        per_label=_per_label(evaluated, labels, np.atleast_2d(cuts).mean(axis=0), precisions),
        left_out=tuple(name for name, in_macro in zip(labels, evaluated.in_macro, strict=True) if not in_macro),
    )


def _scores(evaluated: EvaluatedLabels, each: tuple[Estimate | None, ...]) -> dict[str, Score]:
    """All defined scores by name, in display order."""
    n, labels = evaluated.truth.shape
    highest = {"log_loss": None, "coverage_error": float(labels)}
    wrong = int((evaluated.predicted_at_half != evaluated.truth).any(axis=1).sum())
    means = {
        name: mean_score(values, highest=highest.get(name, 1.0), mistakes=wrong if name == "log_loss" else None)
        for name, values in evaluated.means.items()
    }
    labeled = evaluated.truth.any(axis=1)
    hits = {name: mean_score(values[labeled], highest=1.0) for name, values in evaluated.hits.items() if labeled.any()}
    estimates = {
        "mean_average_precision_macro": mean_precision(each, evaluated.in_macro),
        "mean_average_precision_micro": pooled_precision(evaluated),
        **threshold_estimates(evaluated),
    }
    scores = {name: _score(estimate, n) for name, estimate in estimates.items() if estimate is not None}
    return {**scores, "f1_samples": means.pop("f1_samples"), **hits, **means}


def _per_label(
    evaluated: EvaluatedLabels, labels: tuple[str, ...], cuts: Floats, each: tuple[Estimate | None, ...]
) -> tuple[LabelScores, ...]:
    entries = []
    for column, (name, cells) in enumerate(
        zip(labels, label_confusions(evaluated.truth, evaluated.predicted), strict=True)
    ):
        support = cells.true_positives + cells.false_negatives
        predicted = cells.true_positives + cells.false_positives
        precision = each[column]
        entries.append(
            LabelScores(
                name=name,
                average_precision=None if precision is None else _score(precision, len(evaluated.truth)),
                precision=cells.true_positives / predicted if predicted else 0.0,
                recall=cells.true_positives / support if support else 0.0,
                f1=2 * cells.true_positives / (support + predicted) if support + predicted else 0.0,
                support=support,
                threshold=float(cuts[column]),
                two_by_two=cells,
            )
        )
    return tuple(entries)


def _score(estimate: Estimate, n: int) -> Score:
    return estimate.interval().score(estimate.value, n)


def _checked_truth(truth: npt.ArrayLike, labels: int) -> Booleans:
    array = np.asarray(truth)
    if array.ndim != 2 or array.shape[1] != labels or array.size == 0:
        raise ValueError(f"truth of shape {array.shape}; give (n, {labels}) with one picture and label at least")
    if array.dtype != np.bool_ and not np.isin(array, (0, 1)).all():
        raise ValueError("truth holds numbers other than 0 and 1")
    return array.astype(np.bool_)


def _checked_probabilities(probabilities: npt.ArrayLike, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    probs = np.asarray(probabilities)
    if not np.issubdtype(probs.dtype, np.floating):
        probs = probs.astype(np.float64)
    if probs.shape != shape:
        raise ValueError(f"probabilities of shape {probs.shape}; give {shape}, as the truth has")
    if not (probs.min() >= 0 and probs.max() <= 1):  # also catches NaN
        raise ValueError("a probability is not a number in 0 .. 1")
    return probs
