"""Scores of independent labels: what the probabilities and thresholds of a multi-label classifier are worth.

Also here is what a report draws of them: curves, per-label confusion matrices, counts of labels and of pairs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from distingo.metrics.intervals import mean_score
from distingo.metrics.label_intervals import (
    Estimate,
    JudgedLabels,
    mean_precision,
    pooled_precision,
    precision_estimates,
    threshold_estimates,
)
from distingo.records import LabelScores, Score, TwoByTwo

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class PrecisionRecallCurve:
    """Points of one label's curve, recall rising.

    Attributes:
        thresholds: A probability at or above this gives the label.
        precision: Share of right ones among the images that are given the label.
        recall: Share of the label's images that are given it.
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
        points: Keep at most so many, evenly spread over the curve's corners; both ends are always kept.

    Returns:
        scikit-learn's points with ``drop_intermediate``, without its made-up one at recall 0; no points where no
        image has the label.
    """
    answers, chances = _column(truth, probabilities)
    if not answers.any():
        return PrecisionRecallCurve((), (), ())
    order = np.argsort(-chances, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(chances[order]) != 0, [True]))
    right = answers[order].cumsum()[ends]
    kept = _thinned(_corners(right), points)
    precision, recall = right[kept] / (ends[kept] + 1), right[kept] / right[-1]
    return PrecisionRecallCurve(
        tuple(chances[order][ends[kept]].tolist()), tuple(precision.tolist()), tuple(recall.tolist())
    )


def _corners(right: Integers) -> Integers:
    """Both ends and every point at which recall changes; the others lie on one line between two of these."""
    changes = np.diff(right) != 0
    keep = np.ones(right.size, dtype=bool)
    keep[1:-1] = changes[:-1] | changes[1:]
    return np.flatnonzero(keep)


def _thinned(places: Integers, points: int) -> Integers:
    if places.size <= points:
        return places
    return places[np.linspace(0, places.size - 1, max(2, points)).round().astype(np.int64)]


def two_by_two(truth: npt.ArrayLike, predicted: npt.ArrayLike) -> tuple[TwoByTwo, ...]:
    """Count each label's right and wrong answers.

    Args:
        truth: Bool (n, labels).
        predicted: Bool (n, labels).

    Returns:
        One record per label.
    """
    answers, given = _matrix(truth), _matrix(predicted)
    if answers.shape != given.shape:
        raise ValueError(f"truth of shape {answers.shape} and predictions of shape {given.shape}; give equal ones")
    cells = (answers & given, ~answers & given, answers & ~given, ~answers & ~given)
    return tuple(TwoByTwo(*map(int, counts)) for counts in np.stack([cell.sum(axis=0) for cell in cells], axis=1))


def co_occurrence(truth: npt.ArrayLike) -> Integers:
    """Count how many images have each two labels at once.

    Args:
        truth: Bool (n, labels).

    Returns:
        Int64 (labels, labels), symmetric; the diagonal counts each label's images.
    """
    answers = _matrix(truth).astype(np.float64)  # exact for so small integers, and much faster than whole numbers
    counts: Integers = (answers.T @ answers).astype(np.int64)
    return counts


def labels_per_image(truth: npt.ArrayLike) -> Integers:
    """Count the images with no label, one label, two ...

    Args:
        truth: Bool (n, labels).

    Returns:
        Int64 (most + 1,) where `most` is the greatest number of labels that an image has.
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
    answers, chances = np.asarray(truth), np.asarray(probabilities, dtype=np.float64)
    if answers.ndim != 1 or answers.dtype != np.bool_ or answers.shape != chances.shape:
        raise ValueError(f"truth of shape {answers.shape} and probabilities of shape {chances.shape}; give (n,) each")
    return answers, chances


Floats = npt.NDArray[np.float64]

Booleans = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class MultiLabelScores:
    """What probabilities and thresholds are worth on some images.

    Attributes:
        scores: By name, `mean_average_precision_macro` first. One that these images leave undefined is absent.
        per_label: One entry per label, in the order of the columns.
        left_out: The labels that fewer than `MIN_POSITIVES` images have; they are in no macro score.
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
    """Score the probabilities of independent labels, and the labels that thresholds make of them.

    From the probabilities: mean average precision (macro, micro), label-ranking average precision, coverage error,
    log loss (the binary cross-entropy, averaged over labels), and top-k hits: the share of images with at least
    one right label among the k most probable; images without labels are not counted there, as its n says. At the
    thresholds: F1 (macro, micro, samples), precision and recall (macro, micro), `f1_macro_at_half` (what thresholds of
    0.5 would have given), Hamming loss, exact match, and `label_accuracy`, the share of right cells in the 0/1 table,
    which means nothing without `label_accuracy_of_nothing`: what answering no label to every image is worth. All are
    scikit-learn's numbers with ``zero_division=0``, the macro ones over the labels that at least `MIN_POSITIVES`
    images have.

    Every score has a 95 % interval: means over images those of `distingo.metrics.intervals`, average precision and
    the scores at the thresholds those of `distingo.metrics.label_intervals`. Where there are too few images, or
    positives, for it to hold, the score is marked. A macro score's interval is for the labels that it was averaged
    over.

    Args:
        truth: Bool (n, labels), or whole numbers 0 and 1.
        probabilities: Floats in 0 .. 1 of shape (n, labels); rows need not sum to anything.
        thresholds: Floats of shape (labels,), or (n, labels) where images were evaluated by models with thresholds of
            their own; a probability at or above it gives the label.
        labels: The names of the columns.

    Raises:
        ValueError: The arrays don't fit each other, hold no image, or a number is out of range.
    """
    answers = _checked_truth(truth, len(labels))
    chances = _checked_probabilities(probabilities, answers.shape)
    cuts = np.asarray(thresholds, dtype=np.float64)
    if cuts.shape not in {(len(labels),), answers.shape} or np.isnan(cuts).any():
        raise ValueError(f"thresholds of shape {cuts.shape}; give one number for each of {len(labels)} labels")
    evaluated = JudgedLabels.of(answers, chances, chances >= cuts)
    each = precision_estimates(evaluated)
    return MultiLabelScores(
        scores=_scores(evaluated, each),
        per_label=_per_label(evaluated, labels, np.atleast_2d(cuts).mean(axis=0), each),
        left_out=tuple(name for name, kept in zip(labels, evaluated.kept, strict=True) if not kept),
    )


def _scores(evaluated: JudgedLabels, each: tuple[Estimate | None, ...]) -> dict[str, Score]:
    """All scores by name in the order in which they are shown; without those that are undefined."""
    n, labels = evaluated.truth.shape
    highest = {"log_loss": None, "coverage_error": float(labels)}
    wrong = int((evaluated.likely != evaluated.truth).any(axis=1).sum())
    means = {
        name: mean_score(values, highest=highest.get(name, 1.0), mistakes=wrong if name == "log_loss" else None)
        for name, values in evaluated.means.items()
    }
    labeled = evaluated.truth.any(axis=1)
    hits = {name: mean_score(values[labeled], highest=1.0) for name, values in evaluated.hits.items() if labeled.any()}
    estimates = {
        "mean_average_precision_macro": mean_precision(each, evaluated.kept),
        "mean_average_precision_micro": pooled_precision(evaluated),
        **threshold_estimates(evaluated),
    }
    found = {name: _score(estimate, n) for name, estimate in estimates.items() if estimate is not None}
    return {**found, "f1_samples": means.pop("f1_samples"), **hits, **means}


def _per_label(
    evaluated: JudgedLabels, labels: tuple[str, ...], cuts: Floats, each: tuple[Estimate | None, ...]
) -> tuple[LabelScores, ...]:
    entries = []
    for column, (name, cells) in enumerate(zip(labels, two_by_two(evaluated.truth, evaluated.predicted), strict=True)):
        support = cells.true_positives + cells.false_negatives
        given = cells.true_positives + cells.false_positives
        own = each[column]
        entries.append(
            LabelScores(
                name=name,
                average_precision=None if own is None else _score(own, len(evaluated.truth)),
                precision=cells.true_positives / given if given else 0.0,
                recall=cells.true_positives / support if support else 0.0,
                f1=2 * cells.true_positives / (support + given) if support + given else 0.0,
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
    chances = np.asarray(probabilities)
    if not np.issubdtype(chances.dtype, np.floating):
        chances = chances.astype(np.float64)
    if chances.shape != shape:
        raise ValueError(f"probabilities of shape {chances.shape}; give {shape}, as the truth has")
    if not (chances.min() >= 0 and chances.max() <= 1):  # also catches NaN
        raise ValueError("a probability is not a number in 0 .. 1")
    return chances
