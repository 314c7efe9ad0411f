"""What is left of p-values when many questions were asked at once, and how many pictures an answer takes."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, sqrt
from statistics import NormalDist

LEVEL = 0.05
"""Below it an adjusted p-value counts as more than chance."""


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values so that all that stay below a level are right together with that much certainty.

    Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6 (1979): never
    weaker than multiplying each by their number (Bonferroni), and as free of assumptions.

    Args:
        p_values: One per question, from 0 to 1.

    Returns:
        The adjusted ones in the same order, at most 1.
    """
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda at: p_values[at])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = largest
    return adjusted


def pictures_for_accuracy(
    only_first: int, only_second: int, n: int, *, level: float = LEVEL, power: float = 0.8
) -> int | None:
    """How many pictures McNemar's test would need to see a difference in accuracy as large as the one found.

    Connor, Sample size for testing differences in proportions for the paired-sample design, Biometrics 43 (1987).

    Args:
        only_first: How many of the n pictures only the first got right.
        only_second: How many only the second got right.
        n: How many pictures there were.
        level: Of the two-sided test.
        power: How often it shall see the difference.

    Returns:
        The number; None where there is no difference to be seen.
    """
    if only_first == only_second:
        return None
    differing, difference = (only_first + only_second) / n, abs(only_first - only_second) / n
    normal = NormalDist()
    reach = normal.inv_cdf(1 - level / 2) * sqrt(differing)
    reach += normal.inv_cdf(power) * sqrt(differing - difference**2)
    return ceil((reach / difference) ** 2)


def pictures_for_score(
    difference: float, low: float, high: float, n: int, *, level: float = LEVEL, power: float = 0.8
) -> int | None:
    """The same for any score whose error shrinks with the root of the number of pictures.

    Args:
        difference: As found on the n pictures.
        low: Lower end of its 95 % interval.
        high: Upper end of its 95 % interval.
        n: How many pictures there were.
        level: Of the two-sided test.
        power: How often it shall see the difference.

    Returns:
        The number; None where there is no difference to be seen.
    """
    if difference == 0 or high <= low:
        return None
    normal = NormalDist()
    error = (high - low) / (2 * normal.inv_cdf(0.975))
    reach = normal.inv_cdf(1 - level / 2) + normal.inv_cdf(power)
    return ceil(n * (reach * error / difference) ** 2)
