"""Scores of independent labels: what the probabilities and thresholds of a multi-label classifier are worth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from distingo.metrics.bootstrap import wilson, with_interval
from distingo.metrics.judged_labels import JudgedLabels
from distingo.metrics.label_tables import two_by_two
from distingo.records import LabelScores, Score

Floats = npt.NDArray[np.float64]
Booleans = npt.NDArray[np.bool_]

_UNBOUNDED = ("coverage_error", "log_loss")  # all other scores lie in 0 .. 1


@dataclass(frozen=True, slots=True)
class MultiLabelScores:
    """What probabilities and thresholds are worth on some pictures.

    Attributes:
        scores: By name, `mean_average_precision_macro` first. One that these pictures leave undefined is absent.
        per_label: One entry per label, in the order of the columns.
        left_out: The labels that fewer than `MIN_POSITIVES` pictures have; they are in no macro score.
    """

    scores: dict[str, Score]
    per_label: tuple[LabelScores, ...]
    left_out: tuple[str, ...]


def multi_label_scores(
    truth: npt.ArrayLike,
    probabilities: npt.ArrayLike,
    thresholds: npt.ArrayLike,
    labels: tuple[str, ...],
    *,
    seed: int = 0,
    resamples: int = 1000,
) -> MultiLabelScores:
    """Score the probabilities of independent labels, and the labels that thresholds make of them.

    From the probabilities: mean average precision (macro, micro), label-ranking average precision, coverage error,
    log loss (the binary cross-entropy, averaged over labels), and top-k hits: the share of pictures with at least
    one right label among the k most probable; pictures without labels are not counted there, as its n says. At the
    thresholds: F1 (macro, micro, samples), precision and recall (macro, micro), `f1_macro_at_half` (what thresholds of
    0.5 would have given), Hamming loss, exact match, and `label_accuracy`, the share of right cells in the 0/1 table,
    which means nothing without `label_accuracy_of_nothing`: what answering no label to every picture is worth. All are
    scikit-learn's numbers with ``zero_division=0``, the macro ones over the labels that at least `MIN_POSITIVES`
    pictures have.

    Every score has a 95 % percentile bootstrap interval over the pictures (`distingo.metrics.bootstrap`). A resample
    without a label's pictures leaves that label out of its macro scores. A score of exactly 0 or 1 has Wilson's
    interval of as many pictures: of all, or for a label's average precision of those that have the label.

    Args:
        truth: Bool (n, labels), or whole numbers 0 and 1.
        probabilities: Floats in 0 .. 1 of shape (n, labels); rows need not sum to anything.
        thresholds: Floats of shape (labels,), or (n, labels) where pictures were judged by models with thresholds of
            their own; a probability at or above it gives the label.
        labels: The names of the columns.
        seed: Of the resampling; the same seed gives the same intervals.
        resamples: How many resampled sets of pictures the intervals rest on.

    Raises:
        ValueError: The arrays don't fit each other, hold no picture, or a number is out of range.
    """
    answers = _checked_truth(truth, len(labels))
    chances = _checked_probabilities(probabilities, answers.shape)
    cuts = np.asarray(thresholds, dtype=np.float64)
    if cuts.shape not in {(len(labels),), answers.shape} or np.isnan(cuts).any():
        raise ValueError(f"thresholds of shape {cuts.shape}; give one number for each of {len(labels)} labels")
    judged = JudgedLabels.of(answers, chances, chances >= cuts)
    points, point_each = judged.scores(np.ones((1, len(answers)), np.int32))
    resampled, resampled_each = judged.resampled(np.random.default_rng(seed), resamples)
    labelled = int(answers.any(axis=1).sum())
    scores = {}
    for name, (value,) in points.items():
        n = labelled if name in judged.hits else len(answers)
        if not np.isnan(value):
            scores[name] = _score(float(value), resampled[name], n, units=0 if name in _UNBOUNDED else n)
    return MultiLabelScores(
        scores=scores,
        per_label=_per_label(judged, labels, np.atleast_2d(cuts).mean(axis=0), point_each[0], resampled_each),
        left_out=tuple(name for name, kept in zip(labels, judged.kept, strict=True) if not kept),
    )


def _per_label(
    judged: JudgedLabels, labels: tuple[str, ...], cuts: Floats, points: Floats, resampled: Floats
) -> tuple[LabelScores, ...]:
    entries = []
    for column, (name, cells) in enumerate(zip(labels, two_by_two(judged.truth, judged.predicted), strict=True)):
        support = cells.true_positives + cells.false_negatives
        given = cells.true_positives + cells.false_positives
        score = None
        if support:
            score = _score(float(points[column]), resampled[:, column], len(judged.truth), units=support)
        entries.append(
            LabelScores(
                name=name,
                average_precision=score,
                precision=cells.true_positives / given if given else 0.0,
                recall=cells.true_positives / support if support else 0.0,
                f1=2 * cells.true_positives / (support + given) if support + given else 0.0,
                support=support,
                threshold=float(cuts[column]),
                two_by_two=cells,
            )
        )
    return tuple(entries)


def _score(value: float, resampled: Floats, n: int, *, units: int) -> Score:
    """A score with its interval; `units` pictures are what it rests on, 0 for one that is not bound to 0 .. 1."""
    if units and value in {0.0, 1.0}:
        return Score(value, *wilson(round(value * units), units), n)
    return with_interval(value, resampled, n)


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
