"""Whether probabilities are what they say: of what is 80 % sure, 80 % should be right.

The expected calibration error (Naeini et al. 2015; Guo et al., On calibration of modern neural networks, 2017) is the
mean distance between what a bin's predictions say and how often they are right. Bins hold equally many predictions
(Nguyen and O'Connor 2015), at most fifteen and twenty each at the least: bins of equal width leave nearly all
predictions of a good model in one. A bin's share of right ones is off its true value by chance, and distances only
add up, so the plain error is far from 0 for perfect probabilities (Kumar, Liang and Ma, Verified uncertainty
calibration, 2019). What is given instead is the error for which the plain one would be typical: every bin is taken to
be off by that much, and by chance as much as its predictions' variance says. The interval is made alike, of errors
for which the plain one would be among the highest or the lowest 2.5 %; it reaches as far as if the bins were off as
unequally as they seem to be, chance taken off. With few mistakes their shares in the bins say too little.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from distingo.metrics.intervals import wilson
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
        probability: What they say on average.
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
    """Judge probabilities against what came true.

    Args:
        probabilities: Floats in 0 .. 1 of shape (n,): of the most probable class; or (n, labels) with several labels.
        right: Truth values of that shape: whether the class is the true one; whether the picture has the label.
        seed: Of the draws of chance.
        draws: How many of them the error and its interval rest on.

    Raises:
        ValueError: The arrays differ in shape or hold nothing.
    """
    chances, answers = np.asarray(probabilities, np.float64), np.asarray(right, np.bool_)
    if chances.shape != answers.shape or not chances.size:
        raise ValueError(f"probabilities of shape {chances.shape}, truth of shape {answers.shape}")
    sums = _sums_by_picture(chances.reshape(len(chances), -1), answers.reshape(len(chances), -1))
    counts, said, came, _ = sums.sum(axis=0)
    shares, gaps = counts / counts.sum(), (said - came) / counts
    normal = np.random.default_rng(seed).standard_normal((draws, len(counts)))
    plain, spread = float(shares @ np.abs(gaps)), _spread(sums, gaps)
    found = _typical(plain, shares, spread, normal, np.ones_like(gaps))
    unequal = _typical(plain, shares, spread, normal, _profile(shares, gaps, spread))
    few = min(int(answers.sum()), int((~answers).sum())) < FEWEST_MISTAKES
    low, high = min(found[0], unequal[0], found[1]), max(found[2], unequal[2], found[1])
    score = Score(found[1], low, high, len(sums), too_few=few)
    return Calibration(score, tuple(_bin(*row) for row in zip(counts, said, came, strict=True)))


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
    """By how much chance moves each bin's distance (bins,), a picture's labels not being independent."""
    counts, said, came, variances = np.moveaxis(sums, 1, 0)
    residuals = said - came - counts * gaps
    spread: Floats = np.sqrt(np.maximum((residuals**2).sum(axis=0), variances.sum(axis=0))) / counts.sum(axis=0)
    return spread


def _sums_by_picture(chances: Floats, answers: npt.NDArray[np.bool_]) -> Floats:
    """Count, sum of probabilities, of right ones and of variances, of each picture in each bin: (n, 4, bins)."""
    n, values = len(chances), np.sort(chances, axis=None)
    bins = int(np.clip(values.size // LEAST_IN_BIN, 1, MOST_BINS))
    # equal probabilities share a bin
    places = np.searchsorted(values, chances, side="left") * bins // values.size
    sums = np.zeros((n, 4, bins))
    rows = np.broadcast_to(np.arange(n)[:, None], chances.shape)
    for kind, amounts in enumerate((np.ones_like(chances), chances, answers, chances * (1 - chances))):
        np.add.at(sums[:, kind], (rows, places), amounts)
    return sums[:, :, sums[:, 0].sum(axis=0) > 0]


def _bin(count: float, said: float, came: float) -> CalibrationBin:
    low, high = wilson(round(came), round(count))
    return CalibrationBin(round(count), said / count, came / count, low, high)
