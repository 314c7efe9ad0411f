"""Calibration: of what has a probability of 80 %, 80 % should be right. Also the risk-coverage curve.

The expected calibration error (Naeini et al. 2015; Guo et al., On calibration of modern neural networks, 2017) is the
mean distance between what a bin predicts and how often it is right. Bins hold equally many predictions
(Nguyen and O'Connor 2015), at most fifteen and twenty each at the least: bins of equal width leave nearly all
predictions of a good model in one. A bin's share of right ones is off its true value by chance, and distances only
add up, so the plain error is far from 0 for perfect probabilities (Kumar, Liang and Ma, Verified uncertainty
calibration, 2019). What is given instead is the error for which the plain one would be typical: every bin is taken to
be off by that much, and by chance as much as the variance of its predictions. The interval is made alike, of errors
for which the plain one would be among the highest or the lowest 2.5 %; it reaches as far as if the bins were off as
unequally as they seem to be, chance taken off. With few mistakes their shares in the bins mean too little.

The risk-coverage curve shows how many answers are wrong when a model answers only where it is most confident.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import exp, log

import numpy as np
import numpy.typing as npt

from distingo.metrics.conformal import GivenLabels
from distingo.metrics.intervals import (
    MOST_SKEWED,
    Interval,
    freedom_of_variance,
    moments,
    skewed_interval,
    student_quantile,
    wilson,
)
from distingo.records import Score

Floats = npt.NDArray[np.float64]

MOST_BINS = 15

LEAST_IN_BIN = 20

FEWEST_MISTAKES = 55
"""Mistakes (and right answers) that the interval rests on, at the least."""


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """Predictions of about the same probability.

    Attributes:
        count: How many.
        probability: Their mean.
        frequency: The share of them that is right.
        low: Lower end of its 95 % interval (Wilson's).
        high: Upper end.
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
        error: The expected calibration error, chance taken off, with its 95 % interval.
        bins: From the least probable on.
    """

    error: Score
    bins: tuple[CalibrationBin, ...]


def judge_calibration(
    probabilities: npt.ArrayLike, right: npt.ArrayLike, *, seed: int = 0, draws: int = 2000
) -> Calibration:
    """Evaluate probabilities against what came true.

    Args:
        probabilities: Floats in 0 .. 1 of shape (n,): of the most probable class; or (n, labels) with several labels.
        right: Truth values of that shape: whether the class is the true one; whether the image has the label.
        seed: Of the draws of chance.
        draws: How many of them the error and its interval rest on.

    Raises:
        ValueError: The arrays differ in shape or hold nothing.
    """
    chances, answers = np.asarray(probabilities, np.float64), np.asarray(right, np.bool_)
    if chances.shape != answers.shape or not chances.size:
        raise ValueError(f"probabilities of shape {chances.shape}, truth of shape {answers.shape}")
    sums = _sums_by_image(chances.reshape(len(chances), -1), answers.reshape(len(chances), -1))
    counts, predicted, came, _ = sums.sum(axis=0)
    shares, gaps = counts / counts.sum(), (predicted - came) / counts
    normal = np.random.default_rng(seed).standard_normal((draws, len(counts)))
    plain, spread = float(shares @ np.abs(gaps)), _spread(sums, gaps)
    found = _typical(plain, shares, spread, normal, np.ones_like(gaps))
    unequal = _typical(plain, shares, spread, normal, _profile(shares, gaps, spread))
    few = min(int(answers.sum()), int((~answers).sum())) < FEWEST_MISTAKES
    low, high = min(found[0], unequal[0], found[1]), max(found[2], unequal[2], found[1])
    score = Score(found[1], low, high, len(sums), too_few=few)
    return Calibration(score, tuple(_bin(*row) for row in zip(counts, predicted, came, strict=True)))


def _profile(shares: Floats, gaps: Floats, spread: Floats) -> Floats:
    """By how much each bin is off in proportion, the mean being 1: between as unequally as it seems, and equally."""
    beyond = gaps**2 - spread**2
    profile: Floats = np.sqrt((np.maximum(beyond, 0) + max(float(shares @ beyond), 0.0)) / 2)
    mean = float(shares @ profile)
    return profile / mean if mean > 0 else np.ones_like(profile)


def _typical(plain: float, shares: Floats, spread: Floats, normal: Floats, profile: Floats) -> list[float]:
    """The errors for which `plain` is at the 97.5 %, the 50 % and the 2.5 % quantile; 0 where it is below even so."""
    noise = normal * spread
    found = []
    for quantile in (0.975, 0.5, 0.025):
        low, high = 0.0, 1.0
        for _ in range(20):
            middle = (low + high) / 2
            too_much = np.quantile(np.abs(middle * profile + noise) @ shares, quantile) > plain
            low, high = (low, middle) if too_much else (middle, high)
        found.append(0.0 if low == 0 else (low + high) / 2)
    return found


def _spread(sums: Floats, gaps: Floats) -> Floats:
    """By how much chance moves each bin's distance (bins,), an image's labels not being independent."""
    counts, predicted, came, variances = np.moveaxis(sums, 1, 0)
    residuals = predicted - came - counts * gaps
    spread: Floats = np.sqrt(np.maximum((residuals**2).sum(axis=0), variances.sum(axis=0))) / counts.sum(axis=0)
    return spread


def _sums_by_image(chances: Floats, answers: npt.NDArray[np.bool_]) -> Floats:
    """Count, sum of probabilities, of right ones and of variances, of each image in each bin: (n, 4, bins)."""
    n, values = len(chances), np.sort(chances, axis=None)
    bins = int(np.clip(values.size // LEAST_IN_BIN, 1, MOST_BINS))
    # equal probabilities share a bin
    places = np.searchsorted(values, chances, side="left") * bins // values.size
    sums = np.zeros((n, 4, bins))
    rows = np.broadcast_to(np.arange(n)[:, None], chances.shape)
    for kind, amounts in enumerate((np.ones_like(chances), chances, answers, chances * (1 - chances))):
        np.add.at(sums[:, kind], (rows, places), amounts)
    return sums[:, :, sums[:, 0].sum(axis=0) > 0]


def _bin(count: float, predicted: float, came: float) -> CalibrationBin:
    low, high = wilson(round(came), round(count))
    return CalibrationBin(round(count), predicted / count, came / count, low, high)


FEWEST_MISTAKEN = 10
"""Images answered wrong that the interval of the area rests on, at the least."""


@dataclass(frozen=True, slots=True)
class RiskCoverage:
    """A curve and what it comes to.

    Attributes:
        coverage: float64 (k,), rising: the share of all images that are answered.
        error: float64 (k,): of these answers, the share that is wrong (with several labels the mean share of an
            answer's labels).
        area: The mean error over all coverages up to the highest: the area under the curve, AURC (Geifman and
            El-Yaniv, Selective classification for deep neural networks, 2017); the lower, the better.
    """

    coverage: Floats
    error: Floats
    area: Score


def risk_coverage(labels: GivenLabels, n: int) -> RiskCoverage:
    """Follow the error of answers from the surest image to all.

    Args:
        labels: What a model gave to n images of known truth, one label or several each.
        n: How many images there are, those that were given no label among them.

    Returns:
        The curve, one point for each probability at which it may change.

    Raises:
        ValueError: No image was given a label.
    """
    if not len(labels.owners):
        raise ValueError("no picture was given a label")
    order = np.argsort(-labels.confidences, kind="stable")
    owners, added = labels.owners[order], np.zeros(len(order))
    new = np.zeros(len(order))
    given, wrong = np.zeros(n), np.zeros(n)
    for step, (owner, right) in enumerate(zip(owners.tolist(), labels.right[order].tolist(), strict=True)):
        before = wrong[owner] / given[owner] if given[owner] else 0.0
        new[step] = given[owner] == 0
        given[owner] += 1
        wrong[owner] += not right
        added[step] = wrong[owner] / given[owner] - before
    ends = np.flatnonzero(np.append(np.diff(labels.confidences[order]) != 0, [True]))
    answered, errors = new.cumsum(), added.cumsum()
    return RiskCoverage(
        coverage=answered[ends] / n,
        error=errors[ends] / answered[ends],
        area=_area(owners, new, added, n),
    )


def _area(owners: npt.NDArray[np.int64], new: Floats, added: Floats, n: int) -> Score:
    """Mean error over coverage, of the images newly answered and the errors added by each step, (steps,) each.

    Its interval comes from what each image moves the area by: by its own error, and by its error in all later steps.
    Where one more mistake among the surest images would lead out of it, it rests on too few.
    """
    answered = np.maximum(new.cumsum(), 1)
    error = added.cumsum() / answered
    total = float(new.sum())
    area = float((new * error).sum() / total)
    later, drop = ((new * part)[::-1].cumsum()[::-1] for part in (1 / answered, error / answered))
    moved = np.bincount(owners, new * (error - area - drop) + added * later, n) * n / total
    mistaken = np.flatnonzero(added > 0)
    found = _interval(area, moved, few=np.unique(owners[mistaken]).size < FEWEST_MISTAKEN)
    # the mean over all places above the surest mistake of what another one there would add
    most_confident = answered[mistaken[0]] if mistaken.size else total
    another = (1 + log(total / most_confident)) / total
    return replace(found, too_few=found.too_few or another > found.high - area).score(area, n)


def _interval(area: float, moved: Floats, *, few: bool) -> Interval:
    """Student's t on the logarithm: an area near 0 varies with its size. Few mistakes give few degrees of freedom."""
    found = moments(moved)
    if not area or not found.error:
        ends = skewed_interval(replace(found, center=area))
        return Interval(max(0.0, ends.low), min(1.0, ends.high), too_few=True)
    freedom = min(found.freedom, freedom_of_variance(moved))
    reach = student_quantile(freedom) * found.error / area
    return Interval(area * exp(-reach), min(1.0, area * exp(min(reach, 50.0))), few or abs(found.skew) > MOST_SKEWED)
