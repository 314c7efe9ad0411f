"""Two classifiers on the same pictures: by how much one is better, and whether chance alone explains it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from distingo.metrics.bootstrap import wilson, with_interval


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """How two classifiers differ in accuracy on the same pictures.

    Attributes:
        difference: Accuracy of the first minus that of the second, from -1 to 1.
        low: Lower end of its 95 % interval.
        high: Upper end of its 95 % interval.
        only_first: How many pictures only the first got right.
        only_second: How many pictures only the second got right.
        p_value: McNemar's, exact and two-sided.
        n: How many pictures there are.
    """

    difference: float
    low: float
    high: float
    only_first: int
    only_second: int
    p_value: float
    n: int


def paired_difference(
    right_a: npt.ArrayLike, right_b: npt.ArrayLike, *, seed: int = 0, resamples: int = 1000
) -> PairedDifference:
    """Compare two classifiers picture by picture, which shows smaller differences than two intervals apart.

    The interval is a 95 % percentile bootstrap over the pictures, each drawn with both answers (Efron and
    Tibshirani, An Introduction to the Bootstrap, 1993, chapters 8 and 13). Where all pictures say the same the
    bootstrap has nothing to vary: there the interval reaches as far as Wilson's (1927) lets the share of
    pictures that would say otherwise.

    Args:
        right_a: Whether the first was right, booleans of shape (n,).
        right_b: Whether the second was right, booleans of shape (n,), the same pictures in the same order.
        seed: Of the resampling; the same seed gives the same interval.
        resamples: How many resampled sets of pictures the interval rests on.

    Returns:
        The difference, its interval and McNemar's p-value.

    Raises:
        ValueError: The arrays differ in shape, are not booleans or hold no picture.
    """
    first, second = _checked(right_a), _checked(right_b)
    if first.shape != second.shape:
        raise ValueError(f"{first.size} and {second.size} answers; give both for the same pictures")
    n = int(first.size)
    only_first = int(np.count_nonzero(first & ~second))
    only_second = int(np.count_nonzero(second & ~first))
    low, high = _interval(only_first, only_second, n, np.random.default_rng(seed), resamples)
    return PairedDifference(
        difference=(only_first - only_second) / n,
        low=low,
        high=high,
        only_first=only_first,
        only_second=only_second,
        p_value=mcnemar_p_value(only_first, only_second),
        n=n,
    )


def mcnemar_p_value(only_first: int, only_second: int) -> float:
    """McNemar's exact p-value: how often pictures on which two equal classifiers differ fall so unevenly, or more.

    McNemar, Note on the sampling error of the difference between correlated proportions, Psychometrika 12
    (1947); the exact conditional test in Fagerland, Lydersen and Laake, BMC Medical Research Methodology 13:91
    (2013). The binomial sum is one of whole numbers, so nothing is rounded before the last division.

    Args:
        only_first: How many pictures only the first got right.
        only_second: How many pictures only the second got right.

    Returns:
        From 0 to 1; 1 where they differ on no picture.
    """
    differing = only_first + only_second
    ways, total = 1, 1
    for taken in range(min(only_first, only_second)):
        ways = ways * (differing - taken) // (taken + 1)
        total += ways
    return min(1.0, 2 * total / (1 << differing))


def _interval(
    only_first: int, only_second: int, n: int, generator: np.random.Generator, resamples: int
) -> tuple[float, float]:
    difference = (only_first - only_second) / n
    if max(only_first, only_second, n - only_first - only_second) == n:
        otherwise = wilson(0, n)[1] * (2 if difference else 1)
        return max(-1.0, difference - otherwise), min(1.0, difference + otherwise)
    shares = np.array([only_first, only_second, n - only_first - only_second]) / n
    drawn = generator.multinomial(n, shares, size=resamples)
    score = with_interval(difference, (drawn[:, 0] - drawn[:, 1]) / n, n)
    return score.low, score.high


def _checked(right: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    array = np.asarray(right)
    if array.dtype != np.bool_ or array.ndim != 1 or not array.size:
        raise ValueError(f"answers of shape {array.shape} and type {array.dtype}; give booleans, one per picture")
    return array
