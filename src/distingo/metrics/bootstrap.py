"""Scores of resampled images: n are drawn anew from the n evaluated ones, with repetition, many times.

The percentile bootstrap (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13) holds the middle
95 % of the resampled scores. It serves learning curves, whose forecasts are fits to whole resampled curves. A score
of its own has an interval of `distingo.metrics.intervals`: drawing images twice makes ranks look better than they
are.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from distingo.records import Score

Floats = npt.NDArray[np.float64]

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
