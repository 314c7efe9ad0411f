"""What a report draws about several labels per picture: curves, two-by-two tables, counts of labels and of pairs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from distingo.records import TwoByTwo

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class PrecisionRecallCurve:
    """Points of one label's curve, recall rising.

    Attributes:
        thresholds: A probability at or above this gives the label.
        precision: Share of right ones among the pictures that are given the label.
        recall: Share of the label's pictures that are given it.
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
        picture has the label.
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
    """Count how many pictures have each two labels at once.

    Args:
        truth: Bool (n, labels).

    Returns:
        Int64 (labels, labels), symmetric; the diagonal counts each label's pictures.
    """
    answers = _matrix(truth).astype(np.float64)  # exact for so small integers, and much faster than whole numbers
    counts: Integers = (answers.T @ answers).astype(np.int64)
    return counts


def labels_per_picture(truth: npt.ArrayLike) -> Integers:
    """Count the pictures with no label, one label, two ...

    Args:
        truth: Bool (n, labels).

    Returns:
        Int64 (most + 1,) where `most` is the greatest number of labels that a picture has.
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
