"""Scores of resampled images: n are drawn anew from the n evaluated ones, with repetition, many times.

The percentile bootstrap (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13) holds the middle
95 % of the resampled scores. It serves learning curves, whose forecasts are fits to whole resampled curves. A score
of its own has an interval of `distingo.metrics.intervals`: drawing images twice makes ranks look better than they
are.

How sure the mean of scores over folds is, though folds share most of their training pictures.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import sqrt

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


def corrected_mean(
    scores: Sequence[float], tested: Sequence[int], known: Sequence[int], *, n: int, bounds: tuple[float, float]
) -> Score:
    """The mean of scores over folds with its corrected resampled t interval.

    The scores of folds are not independent, as their training sides overlap, so the standard error that pretends they
    are is too small. Nadeau and Bengio (Inference for the generalization error, 2003) put (1/J + n2/n1) s² in place
    of s²/J: J folds, n1 pictures known and n2 judged in each, s² the scores' variance; Bouckaert and Frank
    (Evaluating the replicability of significance tests, 2004) carry it over to repeated cross-validation. It is a
    correction by reasoning, not an unbiased estimate: there is none (Bengio and Grandvalet 2004).

    Args:
        scores: One per fold (of every repeat), at least two for an interval.
        tested: Pictures judged in each.
        known: All other pictures of each.
        n: How many pictures there are in all.
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
