"""Scores of multi-label classifiers and their intervals, computed from the influence of each image.

Average precision is too high on average where few images have a label, because each positive counts itself. The
jackknife (Quenouille 1956; Tukey 1958), which leaves out each image once, corrects this bias and estimates the
variance, with the labels of one image taken together. The bias of a ranking shrinks more slowly than one over the
number of positives, so the jackknife's correction is increased by a quarter (Schucany, Gray and Owen, On bias reduction
in estimation, 1971, for other rates). As in the single-label case, the scores at thresholds have the variance of their
influence functions, with each label's counts averaged with one image of the mean label.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import sqrt
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from distingo.metrics.intervals import Interval, Moments, freedom_of_variance, moments, share_interval, skewed_interval
from distingo.metrics.ranking import Ranking, label_ranks, top_k_hits
from distingo.metrics.single_label import MAX_SMALL_SHARE

Floats = npt.NDArray[np.float64]

Booleans = npt.NDArray[np.bool_]

MIN_POSITIVES = 5
"""Minimum number of images of a label for its inclusion in macro scores."""

TOP_K = (1, 3)
"""The k of the top-k hits; only those below the number of labels are computed."""

FIXED_THRESHOLD = 0.5
"""Threshold that the chosen thresholds are compared with."""


@dataclass(frozen=True, slots=True)
class EvaluatedLabels:
    """The data from which the scores and their intervals are computed.

    Attributes:
        truth: Bool (n, labels).
        predicted: Bool (n, labels).
        predicted_at_half: Bool (n, labels): the labels predicted at a threshold of 0.5.
        in_macro: Bool (labels,): which labels macro scores include.
        means: Scores that are means over images, by name; float64 (n,) each.
        hits: Scores that are means over images with labels, in the same form.
        rankings: One per label.
        pooled: The ranking of all cells.
    """

    truth: Booleans
    predicted: Booleans
    predicted_at_half: Booleans
    in_macro: Booleans
    means: dict[str, Floats]
    hits: dict[str, Floats]
    rankings: tuple[Ranking, ...]
    pooled: Ranking

    @classmethod
    def of(cls, truth: Booleans, probabilities: npt.NDArray[Any], predicted: Booleans) -> Self:
        """Create the record from truth, probabilities and predicted labels of shape (n, labels) each."""
        images, labels = truth.shape
        images_of_cells = np.repeat(np.arange(images), labels)
        return cls(
            truth=truth,
            predicted=predicted,
            predicted_at_half=probabilities >= FIXED_THRESHOLD,
            in_macro=truth.sum(axis=0) >= MIN_POSITIVES,
            means=_means(truth, probabilities, predicted),
            hits={f"top_{k}_hit": top_k_hits(truth, probabilities, k).astype(np.float64) for k in TOP_K if k < labels},
            rankings=tuple(Ranking.of(truth[:, label], probabilities[:, label]) for label in range(labels)),
            pooled=Ranking.of(truth.ravel(), probabilities.ravel(), images_of_cells),
        )


def _means(truth: Booleans, probabilities: npt.NDArray[Any], predicted: Booleans) -> dict[str, Floats]:
    precision, coverage = label_ranks(truth, probabilities)
    wrong = (truth != predicted).mean(axis=1)
    both = 2 * (truth & predicted).sum(axis=1)
    return {
        "f1_samples": _divide(both, truth.sum(axis=1) + predicted.sum(axis=1)),
        "label_ranking_average_precision": precision,
        "coverage_error": coverage,
        "hamming_loss": wrong,
        "exact_match": (truth == predicted).all(axis=1).astype(np.float64),
        "log_loss": _log_losses(truth, probabilities),
        "label_accuracy": (truth == predicted).mean(axis=1),
        "label_accuracy_of_nothing": (~truth).mean(axis=1),
    }


def _log_losses(truth: Booleans, probabilities: npt.NDArray[Any]) -> Floats:
    """Each image's binary cross-entropy, with probabilities clipped by one epsilon as in scikit-learn."""
    epsilon = np.finfo(probabilities.dtype).eps
    of_truth = np.clip(np.where(truth, probabilities, 1 - probabilities), epsilon, 1 - epsilon)
    losses: Floats = -np.log(of_truth.astype(np.float64)).mean(axis=1)
    return losses


def _divide(numerator: npt.NDArray[Any], denominator: npt.NDArray[Any], nothing: float = 0.0) -> Floats:
    quotients: Floats = np.full(np.shape(numerator), nothing, dtype=np.float64)
    np.divide(numerator, denominator, out=quotients, where=denominator != 0)
    return quotients


BIAS_OF_RANKING = 1.25
"""Factor for the jackknife's estimate of the bias of average precision."""

MIN_POSITIVES_OF_RANKING = 12
"""Minimum number of positives for a reliable interval of average precision."""

MIN_POSITIVES_PER_LABEL = 10
"""Minimum number of positives of each label of a mean, except for a share `MAX_SMALL_SHARE` of the labels."""

MIN_PREDICTIONS = 6
"""Minimum number of predictions of each label, except for a share `MAX_SELDOM_SHARE` of the labels."""

MAX_SELDOM_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class Estimate:
    """A score and the statistics from which its interval is computed.

    Attributes:
        value: The score.
        center: The score, corrected for bias.
        moved: Float64 (n,): n times the influence of each image on the score; the mean is about 0.
        positives: Number of positives.
        labels: Number of labels that the score is averaged over.
        variance: Variance of the score, corrected for small counts; 0 if it is to be computed from `moved`.
        freedom: Degrees of freedom of `variance`.
        few: Whether too many labels have too few positives, or are predicted for too few images.
    """

    value: float
    center: float
    moved: Floats
    positives: int
    labels: int
    variance: float = 0.0
    freedom: float = np.inf
    few: bool = False

    def interval(self) -> Interval:
        """Compute a t interval corrected for skewness if the score is below one half, otherwise Wilson's interval."""
        if self.variance:
            spread = self.center * (1 - self.center)
            raised = min(max(spread, 0.25 / len(self.moved)), 0.25)
            wilson_interval = share_interval(self.center, raised / self.variance, self.freedom)
            return replace(wilson_interval, too_few=wilson_interval.too_few or self.few)
        of_images = self._moments()
        few = self.few or self.positives < MIN_POSITIVES_OF_RANKING
        if of_images.error == 0 or self.center >= 0.5:
            spread = max(self.value * (1 - self.value), 0.25 / max(4, self.positives))
            effective = self.positives if of_images.error == 0 else spread / of_images.error**2
            interval = share_interval(self.center, effective, of_images.freedom)
        else:
            interval = skewed_interval(of_images)
        return Interval(max(0.0, interval.low), min(1.0, interval.high), too_few=interval.too_few or few)

    def above(self, other: Estimate) -> Interval:
        """Interval of this score minus another one on the same images."""
        moved = self.moved - other.moved
        statistics = moments(moved)
        error, freedom = statistics.error * self._inflation(), min(self._freedom(), freedom_of_variance(moved))
        interval = skewed_interval(Moments(self.center - other.center, error, statistics.skew, freedom))
        too_few = interval.too_few or self.few or other.few or self.positives < MIN_POSITIVES_OF_RANKING
        return Interval(max(-1.0, interval.low), min(1.0, interval.high), too_few=too_few)

    def _moments(self) -> Moments:
        statistics = moments(self.moved)
        return Moments(self.center, statistics.error * self._inflation(), statistics.skew, self._freedom())

    def _inflation(self) -> float:
        """Correction for the degree of freedom that each label's mean uses up."""
        return sqrt(self.positives / max(1, self.positives - self.labels))

    def _freedom(self) -> float:
        return float(min(len(self.moved) - 1, max(1, self.positives - self.labels)))


def precision_estimates(evaluated: EvaluatedLabels) -> tuple[Estimate | None, ...]:
    """Average precision of each label; None for a label that no image has."""
    n = len(evaluated.truth)
    estimates: list[Estimate | None] = []
    for ranking in evaluated.rankings:
        if not ranking.positives.size:
            estimates.append(None)
            continue
        value, without = ranking.leave_one_out(n)
        bias = (n - 1) * (float(without.mean()) - value)
        center = min(1.0, max(0.0, value - BIAS_OF_RANKING * bias))
        influence = (n - 1) * (without.mean() - without)
        estimates.append(Estimate(value, center, influence, int(ranking.positives.size), 1))
    return tuple(estimates)


def mean_precision(each: tuple[Estimate | None, ...], in_macro: Booleans) -> Estimate | None:
    """Mean average precision of the labels in `in_macro`, bool (labels,); None if there are none."""
    estimates = [
        estimate for estimate, included in zip(each, in_macro, strict=True) if included and estimate is not None
    ]
    if not estimates:
        return None
    moved = np.mean([estimate.moved for estimate in estimates], axis=0)
    value, center = (
        float(np.mean(ends))
        for ends in zip(*((estimate.value, estimate.center) for estimate in estimates), strict=True)
    )
    has_rare_labels = (
        float(np.mean([estimate.positives < MIN_POSITIVES_PER_LABEL for estimate in estimates])) > MAX_SMALL_SHARE
    )
    return Estimate(
        value, center, moved, sum(estimate.positives for estimate in estimates), len(estimates), few=has_rare_labels
    )


def pooled_precision(evaluated: EvaluatedLabels) -> Estimate | None:
    """Average precision over all pairs of image and label (micro average); None without positives."""
    positives = int(evaluated.pooled.positives.size)
    if not positives:
        return None
    value, moved = evaluated.pooled.influence(len(evaluated.truth))
    return Estimate(value, value, moved, positives, 1)


def threshold_estimates(evaluated: EvaluatedLabels) -> dict[str, Estimate]:
    """Macro and micro F1, precision and recall at the thresholds, and macro F1 at a threshold of 0.5."""
    estimates: dict[str, Estimate] = {}
    tables = _Tables(evaluated.truth, evaluated.predicted)
    for name, weights in (("f1", (2.0, 1.0, 1.0)), ("precision", (1.0, 0.0, 1.0)), ("recall", (1.0, 1.0, 0.0))):
        if evaluated.in_macro.any():
            estimates[f"{name}_macro"] = tables.macro(evaluated.in_macro, weights)
        estimates[f"{name}_micro"] = tables.micro(weights)
    if evaluated.in_macro.any():
        estimates["f1_macro_at_half"] = _Tables(evaluated.truth, evaluated.predicted_at_half).macro(
            evaluated.in_macro, (2.0, 1.0, 1.0)
        )
    return estimates


@dataclass(frozen=True, slots=True)
class _Tables:
    """True and predicted labels of images, bool (n, labels) each."""

    truth: Booleans
    predicted_labels: Booleans

    def macro(self, in_macro: Booleans, weights: tuple[float, float, float]) -> Estimate:
        truth, predicted_labels = self.truth[:, in_macro], self.predicted_labels[:, in_macro]
        right, true, predicted = (
            table.sum(axis=0).astype(np.float64) for table in (truth & predicted_labels, truth, predicted_labels)
        )
        top, of_true, of_predicted = weights
        scale = of_true * true + of_predicted * predicted
        scores = _divide_counts(top * right, scale)
        scaled = _divide_counts(np.full(len(scale), float(len(truth))), scale)
        labels = len(scores)
        moved = (
            (truth & predicted_labels) @ (top * scaled)
            - truth @ (of_true * scaled * scores)
            - predicted_labels @ (of_predicted * scaled * scores)
        ) / labels
        shrunk, variances = _label_variances(right, true, predicted, weights)
        observed = float(moved @ moved) / len(truth) ** 2
        independent = _label_variances(right, true, predicted, weights, shrink=False)[1].sum() / labels**2
        variance = variances.sum() / labels**2 * (observed / independent if independent > 0 else 1.0)
        counts = (of_true * true + of_predicted * predicted) / (of_true + of_predicted)
        freedom = variances.sum() ** 2 / (variances**2 / np.maximum(counts, 1)).sum()
        too_few = float((predicted < MIN_PREDICTIONS).mean()) > MAX_SELDOM_SHARE
        bias = _bias_of_f1(shrunk, true, predicted, right) if top == 2.0 else 0.0
        value = float(scores.mean())
        center = min(1.0, value + bias)
        return Estimate(value, center, moved, int(true.sum()), labels, float(variance), float(freedom), too_few)

    def micro(self, weights: tuple[float, float, float]) -> Estimate:
        right, true, predicted = (
            float(table.sum()) for table in (self.truth & self.predicted_labels, self.truth, self.predicted_labels)
        )
        top, of_true, of_predicted = weights
        scale = of_true * true + of_predicted * predicted
        value = top * right / scale if scale else 0.0
        scaled = len(self.truth) / scale if scale else 0.0
        counts = (
            (self.truth & self.predicted_labels).sum(axis=1),
            self.truth.sum(axis=1),
            self.predicted_labels.sum(axis=1),
        )
        moved = scaled * (top * counts[0] - of_true * value * counts[1] - of_predicted * value * counts[2])
        sums = (np.array([right]), np.array([true]), np.array([predicted]))
        _, variance = _label_variances(*sums, weights)
        _, independent = _label_variances(*sums, weights, shrink=False)
        observed = float(moved @ moved) / len(self.truth) ** 2
        corrected = float(variance[0]) * (observed / float(independent[0]) if independent[0] > 0 else 1.0)
        return Estimate(value, value, moved, int(true), 1, corrected, len(self.truth) - 1.0)


def _label_variances(
    right: Floats, true: Floats, predicted: Floats, weights: tuple[float, float, float], *, shrink: bool = True
) -> tuple[Floats, Floats]:
    """Each label's score and its variance from its counts; `shrink` adds one image of the mean label."""
    cells = np.stack([right, true - right, predicted - right])
    if shrink:
        mean = (cells.sum(axis=1) + 0.5) / (cells.sum() + 1.5)
        union = cells.sum(axis=0)
        cells = (cells + mean[:, None]) * _divide_counts(np.maximum(union, 1), union + 1)
    right, missed, wrong = cells
    top, of_true, of_predicted = weights
    scale = of_true * (right + missed) + of_predicted * (right + wrong)
    scores = _divide_counts(top * right, scale)
    squares = right * (top - (of_true + of_predicted) * scores) ** 2
    squares += missed * (of_true * scores) ** 2 + wrong * (of_predicted * scores) ** 2
    return scores, _divide_counts(squares, scale**2)


def _bias_of_f1(shrunk: Floats, true: Floats, predicted: Floats, right: Floats) -> float:
    """Average bias of F1; see `distingo.metrics.single_label`."""
    share = shrunk / (2 - shrunk)
    return float(_divide_counts(2 * share * (1 - share), (true + predicted - right) * (1 + share) ** 3).mean())


def _divide_counts(numerator: npt.NDArray[Any], denominator: npt.NDArray[Any], nothing: float = 0.0) -> Floats:
    quotients: Floats = np.full(np.shape(numerator), nothing, dtype=np.float64)
    np.divide(numerator, denominator, out=quotients, where=denominator != 0)
    return quotients
