"""How sure a score is: 95 % intervals from resampling the pictures.

The percentile bootstrap (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13): n pictures are
drawn anew from the n judged ones, with repetition, and scored again, a thousand times; the interval holds the middle
95 % of these scores. A proportion of exactly 0 or 1 leaves it nothing to vary: there it is Wilson's interval instead
(Wilson 1927; Brown, Cai and DasGupta 2001).
"""

from __future__ import annotations

from collections.abc import Iterator
from math import sqrt

import numpy as np
import numpy.typing as npt

from distingo.records import Score

Floats = npt.NDArray[np.float64]

_CONFIDENCE = 0.95
_NORMAL_QUANTILE = 1.959963984540054  # of the two-sided 95 % interval
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


def resampled_counts(
    n: int, generator: np.random.Generator, resamples: int, *, numbers_each: int
) -> Iterator[npt.NDArray[np.int32]]:
    """How often each of n pictures is drawn in each resample.

    Args:
        n: How many pictures there are, and how many are drawn each time.
        generator: The source of chance.
        resamples: How many times.
        numbers_each: How many numbers the caller makes of one resample.

    Yields:
        Int32 of shape (some, n), each row summing to n.
    """
    for size in chunks(resamples, max(n, numbers_each)):
        drawn = generator.integers(0, n, size=(size, n), dtype=np.int32) + n * np.arange(size)[:, None]
        yield np.bincount(drawn.ravel(), minlength=size * n).astype(np.int32).reshape(size, n)


def resampled_means(values: Floats, generator: np.random.Generator, resamples: int) -> Floats:
    """The mean of values of shape (n,) in each resample, shape (resamples,)."""
    means = [
        values[generator.integers(0, values.size, size=(size, values.size), dtype=np.int32)].mean(axis=1)
        for size in chunks(resamples, values.size)
    ]
    return np.concatenate(means)


def with_interval(value: float, resampled: Floats, n: int) -> Score:
    """A score with its percentile interval, widened to contain the score itself where resampling is biased.

    Args:
        value: The score on the pictures as they are.
        resampled: The score in each resample, shape (resamples,); NaN where a resample leaves it undefined.
        n: How many pictures it was computed on.
    """
    defined = resampled[~np.isnan(resampled)]
    if not defined.size:
        return Score(value, min(0.0, value), max(1.0, value), n)
    tail = (1 - _CONFIDENCE) / 2
    low, high = np.quantile(defined, (tail, 1 - tail)).tolist()
    return Score(value, min(low, value), max(high, value), n)


def proportion(right: int, n: int, generator: np.random.Generator, resamples: int) -> Score:
    """The share of right pictures, `right` in `n`, with its interval."""
    if right in {0, n}:
        return Score(right / n, *wilson(right, n), n)
    return with_interval(right / n, generator.binomial(n, right / n, size=resamples) / n, n)


def wilson(right: int, n: int) -> tuple[float, float]:
    """Wilson's 95 % score interval of the proportion `right` in `n`."""
    share, z = right / n, _NORMAL_QUANTILE
    middle = share + z * z / (2 * n)
    reach = z * sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    low, high = (middle - reach) / (1 + z * z / n), (middle + reach) / (1 + z * z / n)
    # Exact at the ends, where rounding would put the interval beside its own proportion.
    return (0.0 if right == 0 else low), (1.0 if right == n else high)
