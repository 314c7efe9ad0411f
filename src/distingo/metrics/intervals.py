"""95 % intervals of scores, made so that they contain the true score in 95 of 100 draws of test images.

A proportion has Wilson's score interval (Wilson, Probable inference, the law of succession, and statistical inference,
1927; Brown, Cai and DasGupta, Interval estimation for a binomial proportion, 2001). A mean of other numbers has
Student's t interval corrected for skewness by Hall's transformation (Hall, On the removal of skewness by
transformation, 1992): losses are skewed, and the plain t interval, or percentiles of a bootstrap, then miss on one
side. A score between 0 and 1 that is not a proportion (F1, average precision) has Wilson's interval for as many
images as would make a proportion vary as much as the score does (the effective sample size of Korn and Graubard,
1998), with Student's t quantile.

What an interval is for: the score that the same model would have on ever more images drawn like these. `benchmarks/
coverage.py` draws test sets from known populations and counts how often the intervals contain that score. Where too few
images, mistakes or positives leave that rate off 95 %, the score has a mark (`Score.too_few`); the interval that it
still has is for drawing and for cautious decisions.

Learning curves, whose forecasts are fits to whole resampled curves, have intervals of resampled images: n are drawn
anew from the n evaluated ones, with repetition, many times, and the middle 95 % of the resampled scores are taken (the
percentile bootstrap; Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13). Other scores don't:
drawing images twice makes ranks look better than they are. The mean of scores over folds has an interval of its own,
since folds share most of their training images.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from distingo.records import Score

Floats = npt.NDArray[np.float64]

NORMAL_QUANTILE = 1.959963984540054
"""Of the two-sided 95 % interval."""

_UPPER = 0.975

MOST_SKEWED = 0.62
"""Skewness over the root of n beyond which no transformation makes up for images that were not drawn."""

FEWEST_MISTAKES = 3
"""Mistakes, and right answers, that a proportion's interval rests on: with fewer, its coverage is far from 95 %."""


@dataclass(frozen=True, slots=True)
class Interval:
    """Both ends of a 95 % interval.

    Attributes:
        low: Lower end.
        high: Upper end.
        too_few: Whether there are too few images for it to hold the true value at its rate.
    """

    low: float
    high: float
    too_few: bool = False

    def score(self, value: float, n: int) -> Score:
        """A score of `n` images with this interval, widened to contain the score itself."""
        return Score(value, min(self.low, value), max(self.high, value), n, too_few=self.too_few)


@dataclass(frozen=True, slots=True)
class Moments:
    """What an interval is made of.

    Attributes:
        center: The estimate, its bias taken off.
        error: Its standard error.
        skew: The skewness of the images' shares in it, over the root of n.
        freedom: Degrees of freedom that the error was estimated with.
    """

    center: float
    error: float
    skew: float
    freedom: float


def wilson(right: float, n: float, quantile: float = NORMAL_QUANTILE) -> tuple[float, float]:
    """Wilson's 95 % score interval of the proportion `right` in `n`; both may be effective numbers."""
    share, square = right / n, quantile * quantile
    middle = share + square / (2 * n)
    reach = quantile * sqrt(max(0.0, share * (1 - share)) / n + square / (4 * n * n))
    low, high = (middle - reach) / (1 + square / n), (middle + reach) / (1 + square / n)
    # Exact at the ends, where rounding would put the interval next to its own proportion.
    return (0.0 if right == 0 else low), (1.0 if right == n else high)


def proportion(right: int, n: int) -> Score:
    """The share of right images, `right` in `n`, with Wilson's interval; too few without three of either kind."""
    return Interval(*wilson(right, n), too_few=min(right, n - right) < FEWEST_MISTAKES).score(right / n, n)


def student_quantile(freedom: float) -> float:
    """The quantile of Student's t that a two-sided 95 % interval reaches to."""
    from scipy.special import stdtrit

    return float(stdtrit(max(1.0, freedom), _UPPER))


def moments(values: npt.NDArray[Any]) -> Moments:
    """Mean, standard error and skewness of values of shape (n,), one per image; an error of 0 where n is 1."""
    n = values.size
    mean = float(values.mean())
    if n < 2:
        return Moments(mean, 0.0, 0.0, 1.0)
    apart = values - mean
    squares = float(apart @ apart)
    error = sqrt(squares / (n - 1) / n)
    if squares <= 1e-24 * max(1.0, mean * mean) * n:
        return Moments(mean, 0.0, 0.0, n - 1)
    skew = float((apart * apart) @ apart) / n / (squares / n) ** 1.5
    return Moments(mean, error, skew * sqrt(n - 1) / max(1, n - 2), n - 1)


def freedom_of_variance(values: npt.NDArray[Any]) -> float:
    """Degrees of freedom of the variance of values of shape (n,), from their kurtosis (Satterthwaite's matching).

    About n for normal values, and twice as many as there are values that differ from the rest where few do.
    """
    squares = (values - values.mean()) ** 2
    mean = float(squares.mean())
    varied = float(squares.var())
    return 2 * values.size * mean**2 / varied if varied > 1e-12 * mean**2 else float(values.size)


def skewed_interval(found: Moments) -> Interval:
    """Student's t interval after Hall's transformation, which is the plain one where nothing is skewed."""
    quantile, skew = student_quantile(found.freedom), found.skew
    low, high = (found.center - found.error * _untransformed(end, skew) for end in (quantile, -quantile))
    return Interval(low, high, too_few=abs(skew) > MOST_SKEWED or found.error == 0)


def _untransformed(quantile: float, skew: float) -> float:
    """The inverse of Hall's cubic transformation; `skew` is the skewness over the root of n."""
    if abs(skew) < 1e-6:
        return quantile
    return float(3 / skew * (np.cbrt(1 + skew * (quantile - skew / 6)) - 1))


def share_interval(center: float, effective: float, freedom: float = np.inf) -> Interval:
    """Wilson's interval of a score between 0 and 1 that varies as a proportion of `effective` images does."""
    quantile = NORMAL_QUANTILE if np.isinf(freedom) else student_quantile(freedom)
    share, effective = min(1.0, max(0.0, float(center))), float(effective)
    rarer = effective * min(share, 1 - share)
    return Interval(*wilson(share * effective, effective, quantile), too_few=rarer < FEWEST_MISTAKES - 0.5)


def mean_score(values: npt.ArrayLike, *, highest: float | None = None, mistakes: int | None = None) -> Score:
    """The mean of numbers with its interval.

    Args:
        values: One per image, shape (n,), none below 0.
        highest: The greatest number that a value can be; None where there is none.
        mistakes: How many images most of the mean comes from, where those are few and need not have been drawn, as
            with losses of images answered wrong; the mean rests on too few images without three of them.

    Returns:
        A proportion where all values are 0 or `highest`, else a mean with its skewness corrected.
    """
    array = np.asarray(values, np.float64)
    n, value = array.size, float(array.mean())
    if highest is not None and np.isin(array, (0.0, highest)).all():
        found = proportion(round(float(array.sum()) / highest), n)
        return Score(value, found.low * highest, found.high * highest, n, too_few=found.too_few)
    if n < 2 or np.ptp(array) == 0:
        reach = wilson(0, n)[1] * (1.0 if highest is None else highest)
        return Interval(max(0.0, value - reach), value + reach, too_few=True).score(value, n)
    found_moments = moments(array)
    plain = skewed_interval(found_moments)
    if highest is not None and found_moments.center > highest / 2:
        share = value / highest
        effective = share * (1 - share) / (found_moments.error / highest) ** 2
        scaled = share_interval(share, effective, found_moments.freedom)
        plain = Interval(scaled.low * highest, scaled.high * highest, too_few=scaled.too_few)
    ends = max(0.0, plain.low), plain.high if highest is None else min(highest, plain.high)
    rare = mistakes is not None and mistakes < FEWEST_MISTAKES
    return Interval(*ends, too_few=plain.too_few or rare).score(value, n)


_CONFIDENCE = 0.95

_NUMBERS_AT_ONCE = 4_000_000  # resampled numbers in memory at a time: 32 MB


def chunks(resamples: int, numbers_each: int) -> Iterator[int]:
    """Divide resamples into portions that fit into memory.

    Args:
        resamples: How many there are.
        numbers_each: How many numbers one of them holds.

    Yields:
        Sizes that sum to `resamples`.
    """
    at_once = max(1, _NUMBERS_AT_ONCE // numbers_each)
    while resamples > 0:
        yield min(at_once, resamples)
        resamples -= at_once


def with_interval(value: float, resampled: Floats, n: int) -> Score:
    """A score with its percentile interval, widened to contain the score itself where resampling is biased.

    Args:
        value: The score on the images as they are.
        resampled: The score in each resample, shape (resamples,); NaN where a resample leaves it undefined.
        n: How many images it was computed on.
    """
    defined = resampled[~np.isnan(resampled)]
    if not defined.size:
        return Score(value, min(0.0, value), max(1.0, value), n)
    tail = (1 - _CONFIDENCE) / 2
    low, high = np.quantile(defined, (tail, 1 - tail)).tolist()
    return Score(value, min(low, value), max(high, value), n)


def corrected_mean(
    scores: Sequence[float], tested: Sequence[int], known: Sequence[int], *, n: int, bounds: tuple[float, float]
) -> Score:
    """The mean of scores over folds with its corrected resampled t interval.

    The scores of folds are not independent, as their training splits overlap, so the standard error that pretends they
    are is too small. Nadeau and Bengio (Inference for the generalization error, 2003) put (1/J + n2/n1) s² in place
    of s²/J: J folds, n1 images known and n2 evaluated in each, s² the scores' variance; Bouckaert and Frank
    (Evaluating the replicability of significance tests, 2004) carry it over to repeated cross-validation. It is a
    correction by reasoning, not an unbiased estimate: there is none (Bengio and Grandvalet 2004).

    Args:
        scores: One per fold (of every repeat), at least two for an interval.
        tested: Images evaluated in each.
        known: All other images of each.
        n: How many images there are in all.
        bounds: The least and the greatest value that the score can have; the interval ends there.

    Returns:
        The mean; where there is but one score its 95 % interval is all of `bounds`, and too few.

    Raises:
        ValueError: The numbers don't fit each other.
    """
    values = np.asarray(scores, np.float64)
    if not len(values) or not len(values) == len(tested) == len(known):
        raise ValueError(f"{len(values)} scores, {len(tested)} and {len(known)} sizes; give one of each per fold")
    mean = float(values.mean())
    if len(values) == 1:
        return Score(mean, *bounds, n, too_few=True)
    from scipy.special import stdtrit

    ratio = float(np.mean(np.asarray(tested) / np.asarray(known)))
    error = sqrt((1 / len(values) + ratio) * float(values.var(ddof=1)))
    reach = float(stdtrit(len(values) - 1, (1 + _CONFIDENCE) / 2)) * error
    return Score(mean, min(mean, max(bounds[0], mean - reach)), max(mean, min(bounds[1], mean + reach)), n)
