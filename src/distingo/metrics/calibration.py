"""Calibration error and reliability diagram, and the risk-coverage curve.

The expected calibration error (Naeini et al. 2015; Guo et al., On calibration of modern neural networks, 2017) is the
mean distance between the mean probability of a bin and its share of correct predictions. All bins hold the same number
of predictions (Nguyen and O'Connor 2015); there are at most 15 bins with at least 20 predictions each. Bins of equal
width would put nearly all predictions of a good model into one bin.

The share of correct predictions in a bin varies at random around its true value, and the absolute distances add up, so
the plain error is far from 0 even for perfect probabilities (Kumar, Liang and Ma, Verified uncertainty calibration,
2019). The error reported here is corrected for this: it is the true error for which the observed plain error would be
the median, assuming that every bin is off by the same amount plus random noise with the variance of its predictions.
The ends of the interval are the true errors for which the observed plain error would be at the 97.5 % and 2.5 %
quantiles. The interval is widened to cover bins that are off by unequal amounts, as estimated from the data without the
random part. With few mistakes the shares in the bins are unreliable, and the score is marked.

The risk-coverage curve shows the share of wrong answers when a model answers only the images of which it is most
confident.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import exp, log

import numpy as np
import numpy.typing as npt

from distingo.metrics.conformal import PredictedLabels
from distingo.metrics.intervals import (
    MAX_SKEW,
    Interval,
    freedom_of_variance,
    moments,
    skewed_interval,
    student_quantile,
    wilson,
)
from distingo.scores import Score

Floats = npt.NDArray[np.float64]

MAX_BINS = 15

MIN_PER_BIN = 20

MIN_MISTAKES = 55
"""Minimum number of mistakes, and of correct answers, for a reliable interval."""


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """One bin of a reliability diagram: predictions of similar probability.

    Attributes:
        count: Number of predictions.
        probability: Their mean probability.
        frequency: Share of correct predictions.
        low: Lower end of the 95 % interval of `frequency` (Wilson's).
        high: Upper end of that interval.
    """

    count: int
    probability: float
    frequency: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """A reliability diagram and its error.

    Attributes:
        error: The expected calibration error, corrected for random variation, with its 95 % interval.
        bins: In order of rising probability.
    """

    error: Score
    bins: tuple[CalibrationBin, ...]


def evaluate_calibration(
    probabilities: npt.ArrayLike, right: npt.ArrayLike, *, seed: int = 0, draws: int = 2000
) -> Calibration:
    """Compare probabilities with how often they come true.

    Args:
        probabilities: Floats in 0 .. 1. Single-label: shape (n,), of the most probable class. Multi-label: (n, labels).
        right: Booleans of the same shape: whether the class is the true one, or whether the image has the label.
        seed: Seed of the random draws.
        draws: Number of random draws behind the error and its interval.

    Raises:
        ValueError: The arrays differ in shape or are empty.
    """
    probs, targets = np.asarray(probabilities, np.float64), np.asarray(right, np.bool_)
    if probs.shape != targets.shape or not probs.size:
        raise ValueError(f"probabilities of shape {probs.shape}, truth of shape {targets.shape}")
    sums = _sums_by_image(probs.reshape(len(probs), -1), targets.reshape(len(probs), -1))
    counts, predicted, occurred, _ = sums.sum(axis=0)
    shares, gaps = counts / counts.sum(), (predicted - occurred) / counts
    normal = np.random.default_rng(seed).standard_normal((draws, len(counts)))
    plain, deviations = float(shares @ np.abs(gaps)), _spread(sums, gaps)
    typical = _typical(plain, shares, deviations, normal, np.ones_like(gaps))
    unequal = _typical(plain, shares, deviations, normal, _profile(shares, gaps, deviations))
    too_few_mistakes = min(int(targets.sum()), int((~targets).sum())) < MIN_MISTAKES
    low, high = min(typical[0], unequal[0], typical[1]), max(typical[2], unequal[2], typical[1])
    score = Score(typical[1], low, high, len(sums), too_few=too_few_mistakes)
    return Calibration(score, tuple(_bin(*row) for row in zip(counts, predicted, occurred, strict=True)))


def _profile(shares: Floats, gaps: Floats, spread: Floats) -> Floats:
    """Relative miscalibration of each bin, with mean 1: halfway between the estimated and an equal distribution."""
    excess = gaps**2 - spread**2
    profile: Floats = np.sqrt((np.maximum(excess, 0) + max(float(shares @ excess), 0.0)) / 2)
    mean = float(shares @ profile)
    return profile / mean if mean > 0 else np.ones_like(profile)


def _typical(plain: float, shares: Floats, spread: Floats, normal: Floats, profile: Floats) -> list[float]:
    """The errors for which `plain` is the 97.5 %, 50 % and 2.5 % quantile; 0 where `plain` is below that quantile."""
    noise = normal * spread
    errors = []
    for quantile in (0.975, 0.5, 0.025):
        low, high = 0.0, 1.0
        for _ in range(20):
            middle = (low + high) / 2
            too_much = np.quantile(np.abs(middle * profile + noise) @ shares, quantile) > plain
            low, high = (low, middle) if too_much else (middle, high)
        errors.append(0.0 if low == 0 else (low + high) / 2)
    return errors


def _spread(sums: Floats, gaps: Floats) -> Floats:
    """Standard error of each bin's gap, (bins,); the labels of one image are not treated as independent."""
    counts, predicted, occurred, variances = np.moveaxis(sums, 1, 0)
    residuals = predicted - occurred - counts * gaps
    errors: Floats = np.sqrt(np.maximum((residuals**2).sum(axis=0), variances.sum(axis=0))) / counts.sum(axis=0)
    return errors


def _sums_by_image(probabilities: Floats, is_right: npt.NDArray[np.bool_]) -> Floats:
    """Count and sums of probabilities, correct predictions and variances per image and bin: (n, 4, bins)."""
    n, values = len(probabilities), np.sort(probabilities, axis=None)
    bins = int(np.clip(values.size // MIN_PER_BIN, 1, MAX_BINS))
    # equal probabilities share a bin
    bin_numbers = np.searchsorted(values, probabilities, side="left") * bins // values.size
    sums = np.zeros((n, 4, bins))
    rows = np.broadcast_to(np.arange(n)[:, None], probabilities.shape)
    for kind, amounts in enumerate(
        (np.ones_like(probabilities), probabilities, is_right, probabilities * (1 - probabilities))
    ):
        np.add.at(sums[:, kind], (rows, bin_numbers), amounts)
    return sums[:, :, sums[:, 0].sum(axis=0) > 0]


def _bin(count: float, predicted: float, occurred: float) -> CalibrationBin:
    low, high = wilson(round(occurred), round(count))
    return CalibrationBin(round(count), predicted / count, occurred / count, low, high)


MIN_MISTAKEN_IMAGES = 10
"""Minimum number of wrongly answered images for a reliable interval of the area."""


@dataclass(frozen=True, slots=True)
class RiskCoverage:
    """A risk-coverage curve and the area under it.

    Attributes:
        coverage: float64 (k,), rising: the share of all images that are answered.
        error: float64 (k,): the share of these answers that is wrong (multi-label: the mean share of wrong labels per
            answer).
        area: The mean error over all coverages up to the highest: the area under the curve, AURC (Geifman and
            El-Yaniv, Selective classification for deep neural networks, 2017); the lower, the better.
    """

    coverage: Floats
    error: Floats
    area: Score


def risk_coverage(labels: PredictedLabels, n: int) -> RiskCoverage:
    """Compute the error of the answers as coverage rises from the most confident image to all images.

    Args:
        labels: Predicted labels of n images of known truth, one or more per image.
        n: Number of images, including those without a predicted label.

    Returns:
        The curve, with one point for each distinct probability.

    Raises:
        ValueError: No image has a predicted label.
    """
    if not len(labels.owners):
        raise ValueError("no picture was given a label")
    order = np.argsort(-labels.confidences, kind="stable")
    owners, added = labels.owners[order], np.zeros(len(order))
    is_new = np.zeros(len(order))
    label_counts, wrong_counts = np.zeros(n), np.zeros(n)
    for step, (owner, right) in enumerate(zip(owners.tolist(), labels.right[order].tolist(), strict=True)):
        before = wrong_counts[owner] / label_counts[owner] if label_counts[owner] else 0.0
        is_new[step] = label_counts[owner] == 0
        label_counts[owner] += 1
        wrong_counts[owner] += not right
        added[step] = wrong_counts[owner] / label_counts[owner] - before
    ends = np.flatnonzero(np.append(np.diff(labels.confidences[order]) != 0, [True]))
    answered, errors = is_new.cumsum(), added.cumsum()
    return RiskCoverage(
        coverage=answered[ends] / n,
        error=errors[ends] / answered[ends],
        area=_area(owners, is_new, added, n),
    )


def _area(owners: npt.NDArray[np.int64], new: Floats, added: Floats, n: int) -> Score:
    """Mean error over coverage, from the images newly answered and the errors added by each step, (steps,) each.

    The interval comes from the influence of each image on the area: through its own error, and through its error in all
    later steps. The score is marked when one more mistake among the most confident images would leave the interval.
    """
    answered = np.maximum(new.cumsum(), 1)
    error = added.cumsum() / answered
    total = float(new.sum())
    area = float((new * error).sum() / total)
    later, drop = ((new * part)[::-1].cumsum()[::-1] for part in (1 / answered, error / answered))
    influence = np.bincount(owners, new * (error - area - drop) + added * later, n) * n / total
    mistakes = np.flatnonzero(added > 0)
    interval = _interval(area, influence, few=np.unique(owners[mistakes]).size < MIN_MISTAKEN_IMAGES)
    # the mean effect of one more mistake, over all positions above the most confident mistake
    most_confident = answered[mistakes[0]] if mistakes.size else total
    another = (1 + log(total / most_confident)) / total
    return replace(interval, too_few=interval.too_few or another > interval.high - area).score(area, n)


def _interval(area: float, moved: Floats, *, few: bool) -> Interval:
    """Student's t interval on the log scale, as the spread of an area near 0 is proportional to it.

    Few mistakes give few degrees of freedom.
    """
    estimate = moments(moved)
    if not area or not estimate.error:
        ends = skewed_interval(replace(estimate, center=area))
        return Interval(max(0.0, ends.low), min(1.0, ends.high), too_few=True)
    freedom = min(estimate.freedom, freedom_of_variance(moved))
    reach = student_quantile(freedom) * estimate.error / area
    return Interval(area * exp(-reach), min(1.0, area * exp(min(reach, 50.0))), few or abs(estimate.skew) > MAX_SKEW)
