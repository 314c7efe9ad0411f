"""95 % confidence intervals of scores: they contain the true score for 95 of 100 random sets of test images.

A proportion has Wilson's score interval (Wilson, Probable inference, the law of succession, and statistical inference,
1927; Brown, Cai and DasGupta, Interval estimation for a binomial proportion, 2001). A mean of other numbers has
Student's t interval corrected for skewness by Hall's transformation (Hall, On the removal of skewness by
transformation, 1992): losses are skewed, and the plain t interval, or a percentile bootstrap, then misses on one
side. A score between 0 and 1 that is not a proportion (F1, average precision) has Wilson's interval for the
effective sample size (Korn and Graubard, 1998), the number of images for which a proportion would vary as much as the
score does, with Student's t quantile.

The true score is the one that the same model would reach on an unlimited number of images from the same distribution.
`benchmarks/coverage.py` draws test sets from known populations and counts how often the intervals contain it. Where
there are too few images, mistakes or positives for a coverage of 95 %, the score is marked (`Score.too_few`); its
interval should then only be used for plots and cautious decisions.

Learning curves, whose forecasts are fits to complete resampled curves, use the percentile bootstrap (Efron and
Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13). Other scores don't, because images that are drawn twice
make rankings appear better than they are. The mean of scores over folds has a corrected interval, since folds share
most of their training images.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from distingo.scores import Score

Floats = npt.NDArray[np.float64]

NORMAL_QUANTILE = 1.959963984540054
"""Standard normal quantile of a two-sided 95 % interval."""

_UPPER = 0.975

MAX_SKEW = 0.62
"""Highest skewness divided by sqrt(n) for which Hall's transformation gives a reliable interval."""

MIN_MISTAKES = 3
"""Minimum number of mistakes, and of correct answers, for a proportion's interval to cover about 95 %."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A 95 % confidence interval.

    Attributes:
        low: Lower end.
        high: Upper end.
        too_few: Whether there are too few images for the interval to be reliable.
    """

    low: float
    high: float
    too_few: bool = False

    def score(self, value: float, n: int) -> Score:
        """Create a score over `n` images with this interval, widened to contain `value`."""
        return Score(value, min(self.low, value), max(self.high, value), n, too_few=self.too_few)


@dataclass(frozen=True, slots=True)
class Moments:
    """Statistics from which an interval is computed.

    Attributes:
        center: The estimate, corrected for bias.
        error: Its standard error.
        skew: Skewness of the images' contributions, divided by sqrt(n).
        freedom: Degrees of freedom of the standard error.
    """

    center: float
    error: float
    skew: float
    freedom: float


def wilson(right: float, n: float, quantile: float = NORMAL_QUANTILE) -> tuple[float, float]:
    """Wilson's score interval of the proportion `right / n`; both may be fractional effective counts."""
    share, square = right / n, quantile * quantile
    middle = share + square / (2 * n)
    reach = quantile * sqrt(max(0.0, share * (1 - share)) / n + square / (4 * n * n))
    low, high = (middle - reach) / (1 + square / n), (middle + reach) / (1 + square / n)
    # exact at the ends, where rounding could exclude the proportion itself
    return (0.0 if right == 0 else low), (1.0 if right == n else high)


def proportion(right: int, n: int) -> Score:
    """The share `right / n` with Wilson's interval; marked as too few without three right and three wrong images."""
    return Interval(*wilson(right, n), too_few=min(right, n - right) < MIN_MISTAKES).score(right / n, n)


def student_quantile(freedom: float) -> float:
    """Student's t quantile of a two-sided 95 % interval, for at least one degree of freedom."""
    from scipy.special import stdtrit

    return float(stdtrit(max(1.0, freedom), _UPPER))


def moments(values: npt.NDArray[Any]) -> Moments:
    """Mean, standard error and skewness of values of shape (n,), one per image; the error is 0 if n is 1."""
    n = values.size
    mean = float(values.mean())
    if n < 2:
        return Moments(mean, 0.0, 0.0, 1.0)
    deviations = values - mean
    squares = float(deviations @ deviations)
    error = sqrt(squares / (n - 1) / n)
    if squares <= 1e-24 * max(1.0, mean * mean) * n:
        return Moments(mean, 0.0, 0.0, n - 1)
    skew = float((deviations * deviations) @ deviations) / n / (squares / n) ** 1.5
    return Moments(mean, error, skew * sqrt(n - 1) / max(1, n - 2), n - 1)


def freedom_of_variance(values: npt.NDArray[Any]) -> float:
    """Degrees of freedom of the variance of values of shape (n,), from their kurtosis (Satterthwaite's method).

    The result is about n for normal values; where few values differ from the rest, it is twice their number.
    """
    squares = (values - values.mean()) ** 2
    mean = float(squares.mean())
    variance = float(squares.var())
    return 2 * values.size * mean**2 / variance if variance > 1e-12 * mean**2 else float(values.size)


def skewed_interval(statistics: Moments) -> Interval:
    """Student's t interval with Hall's correction for skewness; the plain t interval where the skewness is 0."""
    quantile, skew = student_quantile(statistics.freedom), statistics.skew
    low, high = (statistics.center - statistics.error * _untransformed(end, skew) for end in (quantile, -quantile))
    return Interval(low, high, too_few=abs(skew) > MAX_SKEW or statistics.error == 0)


def _untransformed(quantile: float, skew: float) -> float:
    """The inverse of Hall's cubic transformation; `skew` is the skewness divided by sqrt(n)."""
    if abs(skew) < 1e-6:
        return quantile
    return float(3 / skew * (np.cbrt(1 + skew * (quantile - skew / 6)) - 1))


def share_interval(center: float, effective: float, freedom: float = np.inf) -> Interval:
    """Wilson's interval of a score between 0 and 1 with an effective sample size of `effective` images."""
    quantile = NORMAL_QUANTILE if np.isinf(freedom) else student_quantile(freedom)
    share, effective = min(1.0, max(0.0, float(center))), float(effective)
    rarer = effective * min(share, 1 - share)
    return Interval(*wilson(share * effective, effective, quantile), too_few=rarer < MIN_MISTAKES - 0.5)


def mean_score(values: npt.ArrayLike, *, highest: float | None = None, mistakes: int | None = None) -> Score:
    """Mean of non-negative values with its interval.

    Args:
        values: One per image, shape (n,).
        highest: Upper bound of the values; None if they have none.
        mistakes: Number of images that contribute most of the mean, if those are rare, such as the wrongly classified
            images of a loss. With fewer than three the score is marked as too few.

    Returns:
        A proportion with Wilson's interval if all values are 0 or `highest`, otherwise a mean with an interval
        corrected for skewness.
    """
    array = np.asarray(values, np.float64)
    n, value = array.size, float(array.mean())
    if highest is not None and np.isin(array, (0.0, highest)).all():
        share_score = proportion(round(float(array.sum()) / highest), n)
        return Score(value, share_score.low * highest, share_score.high * highest, n, too_few=share_score.too_few)
    if n < 2 or np.ptp(array) == 0:
        reach = wilson(0, n)[1] * (1.0 if highest is None else highest)
        return Interval(max(0.0, value - reach), value + reach, too_few=True).score(value, n)
    statistics = moments(array)
    plain = skewed_interval(statistics)
    if highest is not None and statistics.center > highest / 2:
        share = value / highest
        effective = share * (1 - share) / (statistics.error / highest) ** 2
        scaled = share_interval(share, effective, statistics.freedom)
        plain = Interval(scaled.low * highest, scaled.high * highest, too_few=scaled.too_few)
    ends = max(0.0, plain.low), plain.high if highest is None else min(highest, plain.high)
    rare = mistakes is not None and mistakes < MIN_MISTAKES
    return Interval(*ends, too_few=plain.too_few or rare).score(value, n)


_CONFIDENCE = 0.95

_NUMBERS_AT_ONCE = 4_000_000  # resampled numbers in memory at a time: 32 MB


def chunks(resamples: int, numbers_each: int) -> Iterator[int]:
    """Divide resamples into chunks that fit into memory.

    Args:
        resamples: Number of resamples.
        numbers_each: Count of numbers in one resample.

    Yields:
        Chunk sizes, which sum to `resamples`.
    """
    at_once = max(1, _NUMBERS_AT_ONCE // numbers_each)
    while resamples > 0:
        yield min(at_once, resamples)
        resamples -= at_once


def with_interval(value: float, resampled: Floats, n: int) -> Score:
    """Create a score with a percentile bootstrap interval, widened to contain `value` where resampling is biased.

    Args:
        value: The score on the original images.
        resampled: The score of each resample, shape (resamples,); NaN where it is undefined.
        n: Number of images that the score was computed on.
    """
    defined = resampled[~np.isnan(resampled)]
    if not defined.size:
        return Score(value, min(0.0, value), max(1.0, value), n)
    tail = (1 - _CONFIDENCE) / 2
    low, high = np.quantile(defined, (tail, 1 - tail)).tolist()
    return Score(value, min(low, value), max(high, value), n)


def corrected_mean(
    scores: Sequence[float], tested: Sequence[int], others: Sequence[int], *, n: int, bounds: tuple[float, float]
) -> Score:
    """Mean of scores over folds with its corrected resampled t interval.

    The scores of folds are not independent, as their training splits overlap, so the usual standard error is too small.
    Nadeau and Bengio (Inference for the generalization error, 2003) replace s²/J by (1/J + n2/n1) s², with J folds, n1
    training and n2 test images in each, and s² the variance of the scores. Bouckaert and Frank (Evaluating the
    replicability of significance tests, 2004) extend it to repeated cross-validation. The correction is a heuristic;
    an unbiased estimate does not exist (Bengio and Grandvalet 2004).

    Args:
        scores: One per fold (of every repeat), at least two for an interval.
        tested: Number of images evaluated in each fold.
        others: Number of all other images of each fold.
        n: Total number of images.
        bounds: Lowest and highest possible value of the score; the interval is clipped to them.

    Returns:
        The mean. With a single score, the interval is all of `bounds` and marked as too few.

    Raises:
        ValueError: The sequences are empty or differ in length.
    """
    values = np.asarray(scores, np.float64)
    if not len(values) or not len(values) == len(tested) == len(others):
        raise ValueError(f"{len(values)} scores, {len(tested)} and {len(others)} sizes; give one of each per fold")
    mean = float(values.mean())
    if len(values) == 1:
        return Score(mean, *bounds, n, too_few=True)
    from scipy.special import stdtrit

    ratio = float(np.mean(np.asarray(tested) / np.asarray(others)))
    error = sqrt((1 / len(values) + ratio) * float(values.var(ddof=1)))
    reach = float(stdtrit(len(values) - 1, (1 + _CONFIDENCE) / 2)) * error
    return Score(mean, min(mean, max(bounds[0], mean - reach)), max(mean, min(bounds[1], mean + reach)), n)
