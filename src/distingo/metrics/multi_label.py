"""Scores of independent labels: what the probabilities and thresholds of a multi-label classifier are worth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from distingo.metrics.intervals import mean_score
from distingo.metrics.judged_labels import JudgedLabels
from distingo.metrics.label_intervals import (
    Estimate,
    mean_precision,
    pooled_precision,
    precision_estimates,
    threshold_estimates,
)
from distingo.metrics.label_tables import two_by_two
from distingo.records import LabelScores, Score

Floats = npt.NDArray[np.float64]
Booleans = npt.NDArray[np.bool_]


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

    Every score has a 95 % interval: means over pictures those of `distingo.metrics.intervals`, average precision and
    the scores at the thresholds those of `distingo.metrics.label_intervals`. Where there are too few pictures, or
    positives, for it to hold, the score says so. A macro score's interval is for the labels that it was averaged
    over.

    Args:
        truth: Bool (n, labels), or whole numbers 0 and 1.
        probabilities: Floats in 0 .. 1 of shape (n, labels); rows need not sum to anything.
        thresholds: Floats of shape (labels,), or (n, labels) where pictures were judged by models with thresholds of
            their own; a probability at or above it gives the label.
        labels: The names of the columns.

    Raises:
        ValueError: The arrays don't fit each other, hold no picture, or a number is out of range.
    """
    answers = _checked_truth(truth, len(labels))
    chances = _checked_probabilities(probabilities, answers.shape)
    cuts = np.asarray(thresholds, dtype=np.float64)
    if cuts.shape not in {(len(labels),), answers.shape} or np.isnan(cuts).any():
        raise ValueError(f"thresholds of shape {cuts.shape}; give one number for each of {len(labels)} labels")
    judged = JudgedLabels.of(answers, chances, chances >= cuts)
    each = precision_estimates(judged)
    return MultiLabelScores(
        scores=_scores(judged, each),
        per_label=_per_label(judged, labels, np.atleast_2d(cuts).mean(axis=0), each),
        left_out=tuple(name for name, kept in zip(labels, judged.kept, strict=True) if not kept),
    )


def _scores(judged: JudgedLabels, each: tuple[Estimate | None, ...]) -> dict[str, Score]:
    """All scores by name in the order in which they are shown; without those that are undefined."""
    n, labels = judged.truth.shape
    highest = {"log_loss": None, "coverage_error": float(labels)}
    wrong = int((judged.likely != judged.truth).any(axis=1).sum())
    means = {
        name: mean_score(values, highest=highest.get(name, 1.0), mistakes=wrong if name == "log_loss" else None)
        for name, values in judged.means.items()
    }
    labelled = judged.truth.any(axis=1)
    hits = {name: mean_score(values[labelled], highest=1.0) for name, values in judged.hits.items() if labelled.any()}
    estimates = {
        "mean_average_precision_macro": mean_precision(each, judged.kept),
        "mean_average_precision_micro": pooled_precision(judged),
        **threshold_estimates(judged),
    }
    found = {name: _score(estimate, n) for name, estimate in estimates.items() if estimate is not None}
    return {**found, "f1_samples": means.pop("f1_samples"), **hits, **means}


def _per_label(
    judged: JudgedLabels, labels: tuple[str, ...], cuts: Floats, each: tuple[Estimate | None, ...]
) -> tuple[LabelScores, ...]:
    entries = []
    for column, (name, cells) in enumerate(zip(labels, two_by_two(judged.truth, judged.predicted), strict=True)):
        support = cells.true_positives + cells.false_negatives
        given = cells.true_positives + cells.false_positives
        own = each[column]
        entries.append(
            LabelScores(
                name=name,
                average_precision=None if own is None else _score(own, len(judged.truth)),
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
