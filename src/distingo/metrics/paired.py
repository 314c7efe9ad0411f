"""Two classifiers on the same pictures: by how much one is better, and whether chance alone explains it."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
import numpy.typing as npt

from distingo.metrics.intervals import NORMAL_QUANTILE, Interval

FEWEST_DIFFERING = 5
"""Pictures that only one of two classifiers gets right, for an interval to hold at its rate."""


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
        too_few: Whether they differ on too few pictures for the interval to hold the true difference at its rate.
    """

    difference: float
    low: float
    high: float
    only_first: int
    only_second: int
    p_value: float
    n: int
    too_few: bool = False


def paired_difference(right_a: npt.ArrayLike, right_b: npt.ArrayLike) -> PairedDifference:
    """Compare two classifiers picture by picture, which shows smaller differences than two intervals apart.

    The interval is Bonett's and Price's (Adjusted Wald confidence interval for a difference of binomial proportions
    based on paired data, Journal of Educational and Behavioral Statistics 37, 2012), recommended by Fagerland,
    Lydersen and Laake (Recommended tests and confidence intervals for paired binomial proportions, Statistics in
    Medicine 33, 2014): one picture is added for each way of differing, so it has a width even where both always say
    the same.

    Args:
        right_a: Whether the first was right, booleans of shape (n,).
        right_b: Whether the second was right, booleans of shape (n,), the same pictures in the same order.

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
    found = difference_interval(only_first, only_second, n)
    value = found.score((only_first - only_second) / n, n)
    return PairedDifference(
        difference=value.value,
        low=value.low,
        high=value.high,
        only_first=only_first,
        only_second=only_second,
        p_value=mcnemar_p_value(only_first, only_second),
        n=n,
        too_few=value.too_few,
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


def difference_interval(only_first: int, only_second: int, n: int) -> Interval:
    """Bonett's and Price's 95 % interval of the difference of two shares of right answers to the same n pictures."""
    first, second = (only_first + 1) / (n + 2), (only_second + 1) / (n + 2)
    difference = first - second
    reach = NORMAL_QUANTILE * sqrt((first + second - difference**2) / (n + 2))
    too_few = only_first + only_second < FEWEST_DIFFERING
    return Interval(max(-1.0, difference - reach), min(1.0, difference + reach), too_few=too_few)


def _checked(right: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    array = np.asarray(right)
    if array.dtype != np.bool_ or array.ndim != 1 or not array.size:
        raise ValueError(f"answers of shape {array.shape} and type {array.dtype}; give booleans, one per picture")
    return array
