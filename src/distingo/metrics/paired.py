"""Two classifiers on the same images: by how much one is better, and whether chance alone explains it.

The interval comes from what each image moves the difference by, for both classifiers together (the influence function
or the jackknife, `distingo.metrics.label_intervals`), with skewness corrected. The p-value is of a randomization
test: were the two exchangeable, their answers to any image could be swapped, so the difference is compared with those
of thousands of random swaps (Noreen, Computer-Intensive Methods for Testing Hypotheses, 1989). The p-value counts
the answers as they are among the swaps, so it is never 0.

McNemar's test and paired intervals distinguish two trained models. Two trainings of one recipe give two models, and
with enough test images one of them is shown to be better; that means nothing for recipes (Dietterich, Approximate
statistical tests for comparing supervised classification learning algorithms, Neural Computation 10, 1998; Bouthillier
et al., Accounting for variance in machine learning benchmarks, MLSys 2021). Where two recipes were trained with several
seeds each, the error of the difference is that of the test images and that of the seeds together.

Also here: p-values corrected for the number of comparisons, and how many images a comparison takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, sqrt
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from distingo.metrics.intervals import NORMAL_QUANTILE, Interval

FEWEST_DIFFERING = 5
"""Images that only one of two classifiers gets right, for an interval to hold at its rate."""


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """How two classifiers differ in accuracy on the same images.

    Attributes:
        difference: Accuracy of the first minus that of the second, from -1 to 1.
        low: Lower end of its 95 % interval.
        high: Upper end of its 95 % interval.
        only_first: How many images only the first got right.
        only_second: How many images only the second got right.
        p_value: McNemar's, exact and two-sided.
        n: How many images there are.
        too_few: Whether they differ on too few images for the interval to hold the true difference at its rate.
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
    """Compare two classifiers image by image, which shows smaller differences than two intervals apart.

    The interval is Bonett's and Price's (Adjusted Wald confidence interval for a difference of binomial proportions
    based on paired data, Journal of Educational and Behavioral Statistics 37, 2012), recommended by Fagerland,
    Lydersen and Laake (Recommended tests and confidence intervals for paired binomial proportions, Statistics in
    Medicine 33, 2014): one image is added for each way of differing, so it has a width even where both always say
    the same.

    Args:
        right_a: Whether the first was right, booleans of shape (n,).
        right_b: Whether the second was right, booleans of shape (n,), the same images in the same order.

    Returns:
        The difference, its interval and McNemar's p-value.

    Raises:
        ValueError: The arrays differ in shape, are not booleans or hold no image.
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
    """McNemar's exact p-value: how often images on which two equal classifiers differ fall so unevenly, or more.

    McNemar, Note on the sampling error of the difference between correlated proportions, Psychometrika 12
    (1947); the exact conditional test in Fagerland, Lydersen and Laake, BMC Medical Research Methodology 13:91
    (2013). The binomial sum is one of whole numbers, so nothing is rounded before the last division.

    Args:
        only_first: How many images only the first got right.
        only_second: How many images only the second got right.

    Returns:
        From 0 to 1; 1 where they differ on no image.
    """
    differing = only_first + only_second
    ways, total = 1, 1
    for taken in range(min(only_first, only_second)):
        ways = ways * (differing - taken) // (taken + 1)
        total += ways
    return min(1.0, 2 * total / (1 << differing))


def difference_interval(only_first: int, only_second: int, n: int) -> Interval:
    """Bonett's and Price's 95 % interval of the difference of two shares of right answers to the same n images."""
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


Floats = npt.NDArray[np.float64]

SWAPS = 4999
"""How many random swaps a p-value rests on; none is below 1 in 5,000."""


@dataclass(frozen=True, slots=True)
class PairedScore:
    """One score of two classifiers on the same images.

    Attributes:
        first: The first one's.
        second: The second one's.
        difference: The first minus the second.
        low: Lower end of the difference's 95 % interval.
        high: Upper end of the difference's 95 % interval.
        p_value: How often chance alone gives as large a difference; two-sided. None where it was not tested.
        n: How many images they were evaluated on.
        too_few: Whether there are too few images for the interval to hold the true difference at its rate.
    """

    first: float
    second: float
    difference: float
    low: float
    high: float
    p_value: float | None
    n: int
    too_few: bool = False

    @classmethod
    def of(cls, both: tuple[float, float], interval: Interval, p_value: float | None, n: int) -> PairedScore:
        """Put a difference together with its interval.

        Args:
            both: The first one's score and the second one's.
            interval: Of the first minus the second.
            p_value: Of a test of the two; None where there was none.
            n: How many images there are.
        """
        first, second = both
        found = interval.score(first - second, n)
        return cls(first, second, found.value, found.low, found.high, p_value, n, found.too_few)


def randomisation_p_value(found: float, swapped: Floats) -> float:
    """How often swaps give a difference as large as the one found, itself counted.

    Args:
        found: The difference of the answers as they are.
        swapped: Differences after random swaps, float64 (swaps,); NaN counts for nothing.
    """
    tolerance = 1e-12  # sums in another order are not another difference
    as_large = int(np.count_nonzero(np.abs(swapped) >= abs(found) - tolerance))
    return (1 + as_large) / (1 + int(np.count_nonzero(~np.isnan(swapped))))


Booleans = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class RecipeDifference:
    """How two recipes differ in accuracy, averaged over their trainings.

    Attributes:
        first: Mean accuracy of the first one's trainings.
        second: Of the second one's.
        difference: The first minus the second.
        low: Lower end of its 95 % interval.
        high: Upper end of it.
        p_value: Two-sided.
        luck: Standard deviation of the accuracy between trainings of one recipe.
        n: How many test images there are.
    """

    first: float
    second: float
    difference: float
    low: float
    high: float
    p_value: float
    luck: float
    n: int


def recipe_difference(first: Booleans, second: Booleans) -> RecipeDifference:
    """Compare two recipes by all their trainings.

    The variance of the mean difference is that over test images plus that of a training divided by how many there
    are, the latter pooled over both recipes; Student's t with Satterthwaite's degrees of freedom (Satterthwaite, An
    approximate distribution of estimates of variance components, Biometrics Bulletin 2, 1946). Chance of the images
    is in both parts, which errs on the side of seeing no difference.

    Args:
        first: Whether each training of the first recipe was right on each image, bool (trainings, n).
        second: Of the second recipe, the same images in the same order.

    Raises:
        ValueError: The images differ in number, or there are not three trainings in all.
    """
    from scipy.special import stdtr, stdtrit

    n, trainings = first.shape[1], len(first) + len(second)
    if second.shape[1] != n or n < 2 or trainings < 3:
        raise ValueError(
            f"answers of shapes {first.shape} and {second.shape}; give three trainings on the same pictures"
        )
    each = first.mean(axis=0) - second.mean(axis=0)
    difference = each.mean().item()
    squares = sum(float(((split.mean(axis=1) - split.mean()) ** 2).sum()) for split in (first, second))
    variance = squares / (trainings - 2)
    of_images = each.var(ddof=1).item() / n
    of_training = variance * (1 / len(first) + 1 / len(second))
    error = sqrt(of_images + of_training)
    freedom = of_images**2 / (n - 1) + of_training**2 / (trainings - 2)
    degrees = error**4 / freedom if freedom else float(n - 1)
    reach = float(stdtrit(degrees, 0.975)) * error
    p_value = 2 * float(stdtr(degrees, -abs(difference) / error)) if error else 1.0
    return RecipeDifference(
        first=first.mean().item(),
        second=second.mean().item(),
        difference=difference,
        low=max(-1.0, difference - reach),
        high=min(1.0, difference + reach),
        p_value=p_value,
        luck=sqrt(variance),
        n=n,
    )


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


def images_for_accuracy(
    only_first: int, only_second: int, n: int, *, level: float = LEVEL, power: float = 0.8
) -> int | None:
    """How many images McNemar's test would need to see a difference in accuracy as large as the one found.

    Connor, Sample size for testing differences in proportions for the paired-sample design, Biometrics 43 (1987).

    Args:
        only_first: How many of the n images only the first got right.
        only_second: How many only the second got right.
        n: How many images there were.
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


def images_for_score(
    difference: float, low: float, high: float, n: int, *, level: float = LEVEL, power: float = 0.8
) -> int | None:
    """The same for any score whose error shrinks with the root of the number of images.

    Args:
        difference: As found on the n images.
        low: Lower end of its 95 % interval.
        high: Upper end of its 95 % interval.
        n: How many images there were.
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
