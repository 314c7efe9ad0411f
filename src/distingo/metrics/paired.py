"""Paired comparison of two classifiers on the same images: size and significance of their difference.

Intervals come from the influence of each image on the difference, for both classifiers together (the influence function
or the jackknife, `distingo.metrics.label_intervals`), with a correction for skewness. P-values come from a
randomization test: if the classifiers were exchangeable, their answers to any image could be swapped, so the observed
difference is compared with the differences after thousands of random swaps (Noreen, Computer-Intensive Methods for
Testing Hypotheses, 1989). The observed difference counts as one of the swaps, so a p-value is never 0.

McNemar's test and paired intervals compare two trained models, not two recipes. Training one recipe twice gives two
models, and with enough test images one of them turns out better, which means nothing for the recipe (Dietterich,
Approximate statistical tests for comparing supervised classification learning algorithms, Neural Computation 10, 1998;
Bouthillier et al., Accounting for variance in machine learning benchmarks, MLSys 2021). When two recipes were trained
with several seeds each, the error of the difference combines the variation between test images and between seeds.

The module also adjusts p-values for multiple comparisons and computes how many images a comparison needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, sqrt
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from distingo.metrics.intervals import NORMAL_QUANTILE, Interval

MIN_DIFFERING = 5
"""Minimum number of images that only one of the two classifiers gets right, for a reliable interval."""


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """How two classifiers differ in accuracy on the same images.

    Attributes:
        difference: Accuracy of the first minus that of the second, from -1 to 1.
        low: Lower end of its 95 % interval.
        high: Upper end of its 95 % interval.
        only_first: How many images only the first got right.
        only_second: How many images only the second got right.
        p_value: P-value of McNemar's exact two-sided test.
        n: Number of images.
        too_few: Whether the classifiers differ on too few images for the interval to be reliable.
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
    """Compare two classifiers image by image, which detects smaller differences than two separate intervals.

    The interval is Bonett's and Price's (Adjusted Wald confidence interval for a difference of binomial proportions
    based on paired data, Journal of Educational and Behavioral Statistics 37, 2012), recommended by Fagerland,
    Lydersen and Laake (Recommended tests and confidence intervals for paired binomial proportions, Statistics in
    Medicine 33, 2014): one image is added for each way of differing, so the interval has a width even where both
    classifiers always agree.

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
    interval = difference_interval(only_first, only_second, n)
    score = interval.score((only_first - only_second) / n, n)
    return PairedDifference(
        difference=score.value,
        low=score.low,
        high=score.high,
        only_first=only_first,
        only_second=only_second,
        p_value=mcnemar_p_value(only_first, only_second),
        n=n,
        too_few=score.too_few,
    )


def mcnemar_p_value(only_first: int, only_second: int) -> float:
    """McNemar's exact p-value: the probability of so uneven a split, or a more uneven one, of the differing images.

    McNemar, Note on the sampling error of the difference between correlated proportions, Psychometrika 12
    (1947); the exact conditional test in Fagerland, Lydersen and Laake, BMC Medical Research Methodology 13:91
    (2013). The binomial sum is computed with integers, so nothing is rounded before the last division.

    Args:
        only_first: How many images only the first got right.
        only_second: How many images only the second got right.

    Returns:
        From 0 to 1; 1 where they differ on no image.
    """
    differing = only_first + only_second
    ways, total = 1, 1
    for step in range(min(only_first, only_second)):
        ways = ways * (differing - step) // (step + 1)
        total += ways
    return min(1.0, 2 * total / (1 << differing))


def difference_interval(only_first: int, only_second: int, n: int) -> Interval:
    """Bonett and Price's 95 % interval of the difference in accuracy on the same n images."""
    first, second = (only_first + 1) / (n + 2), (only_second + 1) / (n + 2)
    difference = first - second
    reach = NORMAL_QUANTILE * sqrt((first + second - difference**2) / (n + 2))
    too_few = only_first + only_second < MIN_DIFFERING
    return Interval(max(-1.0, difference - reach), min(1.0, difference + reach), too_few=too_few)


def _checked(right: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    array = np.asarray(right)
    if array.dtype != np.bool_ or array.ndim != 1 or not array.size:
        raise ValueError(f"answers of shape {array.shape} and type {array.dtype}; give booleans, one per picture")
    return array


Floats = npt.NDArray[np.float64]

SWAPS = 4999
"""Number of random swaps behind a p-value; the smallest possible p-value is 1 / 5000."""


@dataclass(frozen=True, slots=True)
class PairedScore:
    """One score of two classifiers on the same images.

    Attributes:
        first: Score of the first classifier.
        second: Score of the second classifier.
        difference: The first minus the second.
        low: Lower end of the difference's 95 % interval.
        high: Upper end of the difference's 95 % interval.
        p_value: Two-sided p-value of the difference; None where it was not tested.
        n: Number of images that they were evaluated on.
        too_few: Whether there are too few images for the interval to be reliable.
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
        """Create the record of two scores and the interval of their difference.

        Args:
            both: The scores of the first and of the second classifier.
            interval: Interval of the first minus the second.
            p_value: P-value of a test of the difference; None where it was not tested.
            n: Number of images.
        """
        first, second = both
        score = interval.score(first - second, n)
        return cls(first, second, score.value, score.low, score.high, p_value, n, score.too_few)


def randomization_p_value(observed: float, swapped: Floats) -> float:
    """P-value of a randomization test: the share of differences as large as the observed one, which counts too.

    Args:
        observed: The observed difference.
        swapped: Differences after random swaps, float64 (swaps,); NaN is ignored.
    """
    tolerance = 1e-12  # sums in a different order differ by rounding
    as_large = int(np.count_nonzero(np.abs(swapped) >= abs(observed) - tolerance))
    return (1 + as_large) / (1 + int(np.count_nonzero(~np.isnan(swapped))))


Booleans = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class RecipeDifference:
    """How two recipes differ in accuracy, averaged over their trainings.

    Attributes:
        first: Mean accuracy over the trainings of the first recipe.
        second: Mean accuracy over the trainings of the second recipe.
        difference: The first minus the second.
        low: Lower end of the difference's 95 % interval.
        high: Upper end of the difference's 95 % interval.
        p_value: Two-sided p-value of the difference.
        luck: Standard deviation of the accuracy between trainings of one recipe.
        n: Number of test images.
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

    The variance of the mean difference is the variance over test images plus the variance between trainings divided by
    their number; the latter is pooled over both recipes. The interval and the test use Student's t with Satterthwaite's
    degrees of freedom (Satterthwaite, An approximate distribution of estimates of variance components, Biometrics
    Bulletin 2, 1946). Both parts include the random choice of images, so the comparison is conservative.

    Args:
        first: Bool (trainings, n): whether each training of the first recipe was right on each image.
        second: The same for the second recipe, with the same images in the same order.

    Raises:
        ValueError: The numbers of images differ, or there are fewer than three trainings in total.
    """
    from scipy.special import stdtr, stdtrit

    n, trainings = first.shape[1], len(first) + len(second)
    if second.shape[1] != n or n < 2 or trainings < 3:
        raise ValueError(
            f"answers of shapes {first.shape} and {second.shape}; give three trainings on the same pictures"
        )
    image_differences = first.mean(axis=0) - second.mean(axis=0)
    difference = image_differences.mean().item()
    squares = sum(float(((right.mean(axis=1) - right.mean()) ** 2).sum()) for right in (first, second))
    variance = squares / (trainings - 2)
    image_variance = image_differences.var(ddof=1).item() / n
    training_variance = variance * (1 / len(first) + 1 / len(second))
    error = sqrt(image_variance + training_variance)
    freedom = image_variance**2 / (n - 1) + training_variance**2 / (trainings - 2)
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
"""Significance level of adjusted p-values."""


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values for multiple comparisons, controlling the family-wise error rate.

    Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6 (1979): never
    weaker than Bonferroni's correction (each p-value times their number), and as free of assumptions.

    Args:
        p_values: One per comparison, from 0 to 1.

    Returns:
        The adjusted p-values in the same order, at most 1.
    """
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda at: p_values[at])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def images_for_accuracy(
    only_first: int, only_second: int, n: int, *, level: float = LEVEL, power: float = 0.8
) -> int | None:
    """Number of images that McNemar's test needs to detect the observed difference in accuracy.

    Connor, Sample size for testing differences in proportions for the paired-sample design, Biometrics 43 (1987).

    Args:
        only_first: How many of the n images only the first got right.
        only_second: How many of the n images only the second got right.
        n: Number of images.
        level: Significance level of the two-sided test.
        power: Probability of detecting the difference.

    Returns:
        The number of images; None where there is no difference.
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
    """Number of images needed to detect the observed difference in a score with an error proportional to 1 / sqrt(n).

    Args:
        difference: The difference on the n images.
        low: Lower end of its 95 % interval.
        high: Upper end of its 95 % interval.
        n: Number of images.
        level: Significance level of the two-sided test.
        power: Probability of detecting the difference.

    Returns:
        The number of images; None where there is no difference.
    """
    if difference == 0 or high <= low:
        return None
    normal = NormalDist()
    error = (high - low) / (2 * normal.inv_cdf(0.975))
    reach = normal.inv_cdf(1 - level / 2) + normal.inv_cdf(power)
    return ceil(n * (reach * error / difference) ** 2)
