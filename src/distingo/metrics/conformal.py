"""Guarantees from a calibration set: prediction sets of a requested coverage, and abstention at a requested error.

Prediction sets (split conformal prediction), one label per image: the least ambiguous sets of Sadinle, Lei and
Wasserman (Least ambiguous set-valued classifiers with bounded error levels, 2019). A class is in the set if its
probability reaches a threshold, which the requested share of the true classes reaches on images that the model was not
fitted on. Among all sets of the same coverage these are the smallest on average, and their coverage is exact up to
1 / (n + 1). A set may be empty: then the model is right more often than requested, and these are the images of which it
is least confident. Multi-label: the same threshold by conformal risk control (Angelopoulos, Bates, Fisch, Lei and
Schuster, Conformal risk control, 2024), where the risk is the share of an image's labels that its set misses. With one
label per image the two methods agree, so there is one function.

Both guarantees hold on average over random samples of the n images and the new one, if all are exchangeable. The
coverage of a single sample varies: it follows the beta distribution with k = ceil((n + 1) * coverage) and
n + 1 - k (Vovk, Conditional validity of inductive conformal predictors, 2012; Angelopoulos and Bates, A gentle
introduction to conformal prediction, 2021), exactly so where probabilities have no ties. The number of covered images
among m new ones then follows the beta-binomial distribution.

The n images may also be the complete training and validation splits, each image with a probability from the model of a
fold that was not fitted on it, and one threshold for all (Vovk, Cross-conformal predictors, 2015). Coverage is then
exact only if the models of the folds are as confident as the final one. As they are fitted on fewer images, they tend
to be less confident, and the sets tend to be too large.

Abstention: the threshold above which a model answers is chosen by testing (Angelopoulos, Bates, Candès, Jordan
and Lei, Learn then test, 2021): candidates are tested against the hypothesis that more answers than requested are
wrong, in a fixed order, the strictest first, each at a level of 5 % until one fails. Thus in at least 95 of 100
random samples of held-out images, the share of wrong answers to new images is at most the requested one, provided that
the model errs more often where it is less confident. Single-label: an answer is right or wrong, and the test is the
exact binomial test (Clopper and Pearson 1934). Multi-label: labels below the threshold are withheld, an image without
remaining labels is not answered, and the error of an answer is the share of its wrong labels; the test is the
Hoeffding-Bentkus test of the paper above.

The module uses only NumPy, since exported models do not require SciPy.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, log, log1p
from typing import Any

import numpy as np
import numpy.typing as npt

LEVEL = 0.05
"""Significance level: the probability that a chosen threshold misses its guarantee."""

FIRST_SHARE = 0.3
"""Share of images that the strictest candidate answers; with fewer, one random mistake would end the search."""

_MAX_CANDIDATES = 100

_FINEST = 0.001


@dataclass(frozen=True, slots=True)
class PredictedLabels:
    """Predicted labels of images of known truth.

    Attributes:
        owners: int64 (m,): the image index of each label; single-label images occur once each.
        confidences: float64 (m,): the probability of each label.
        right: bool (m,): whether each label is correct.
    """

    owners: npt.NDArray[np.int64]
    confidences: npt.NDArray[np.float64]
    right: npt.NDArray[np.bool_]

    def most_confident(self) -> npt.NDArray[np.float64]:
        """The highest probability of each image with a label, in descending order."""
        order = np.lexsort((-self.confidences, self.owners))
        first = np.flatnonzero(np.diff(self.owners[order], prepend=-1))
        return -np.sort(-self.confidences[order][first])

    def errors(self, threshold: float) -> npt.NDArray[np.float64]:
        """For each answered image, the share of wrong labels among its labels at or above the threshold."""
        answered = self.confidences >= threshold
        _, owners = np.unique(self.owners[answered], return_inverse=True)
        label_counts = np.bincount(owners)
        wrong: npt.NDArray[np.float64] = (
            np.bincount(owners, weights=~self.right[answered], minlength=len(label_counts)) / label_counts
        )
        return wrong


def answer_threshold(labels: PredictedLabels, error: float) -> float | None:
    """Choose the lowest confidence at which the model may answer.

    Args:
        labels: Predicted labels of held-out images.
        error: The requested share of wrong answers, above 0 and below 1.

    Returns:
        The threshold; None where these images can't guarantee the requested error (see `lowest_error`).

    Raises:
        ValueError: The error is not between 0 and 1.
    """
    if not 0 < error < 1:
        raise ValueError(f"error {error}; give a number between 0 and 1")
    most_confident = labels.most_confident()
    accepted = None
    for rank in _ranks(len(most_confident), error):
        threshold = float(most_confident[rank - 1])
        if _p_value(labels.errors(threshold), error) > LEVEL:
            break
        accepted = threshold
    return accepted


def answers_needed(error: float) -> int:
    """Number of answers needed to guarantee an error, above 0 and below 1, if none of them is wrong."""
    return ceil(log(LEVEL) / log1p(-error))


def lowest_error(labels: PredictedLabels) -> float | None:
    """The lowest share of wrong answers, in steps of 0.001, for which there is a threshold; None if there is none."""
    for step in range(1, round(1 / _FINEST)):
        if answer_threshold(labels, step * _FINEST) is not None:
            return round(step * _FINEST, 6)
    return None


def _ranks(n: int, error: float) -> list[int]:
    """Numbers of images that the candidates answer; empty where n is too small even without a mistake."""
    if n * -log1p(-error) < -log(LEVEL):  # avoids the quotient, which overflows for a tiny error
        return []
    first = max(answers_needed(error), ceil(FIRST_SHARE * n))
    return sorted({round(rank) for rank in np.linspace(first, n, _MAX_CANDIDATES).tolist()}) if first <= n else []


def _p_value(errors: npt.NDArray[np.float64], target: float) -> float:
    n, total = len(errors), float(errors.sum())
    if np.isin(errors, (0, 1)).all():
        return binomial_cdf(round(total), n, target)
    bentkus = np.e * binomial_cdf(ceil(total - 1e-9), n, target)
    return min(1.0, bentkus, _hoeffding(min(total / n, target), target, n))


def binomial_cdf(successes: int, n: int, probability: float) -> float:
    """Probability of at most `successes` successes in n draws, without SciPy.

    Args:
        successes: From 0 to n.
        n: Number of draws.
        probability: Probability of a success, above 0 and below 1.
    """
    logs = np.log(np.arange(1, n + 1, dtype=np.float64))
    factorials = np.concatenate([[0.0], logs.cumsum()])
    counts = np.arange(min(successes, n) + 1)
    choices = factorials[n] - factorials[counts] - factorials[n - counts]
    terms = choices + counts * log(probability) + (n - counts) * log(1 - probability)
    highest = terms.max()
    return min(1.0, float(np.exp(highest) * np.exp(terms - highest).sum()))


def _hoeffding(observed: float, target: float, n: int) -> float:
    """Hoeffding's bound on the probability of a mean of n numbers in 0 .. 1 around `target` of at most `observed`."""
    divergence = 0.0
    if observed > 0:
        divergence += observed * log(observed / target)
    if observed < 1:
        divergence += (1 - observed) * log((1 - observed) / (1 - target))
    return float(np.exp(-n * divergence))


USUAL = 0.9
"""Share of random calibration sets that the range of coverages contains (its ends are the 5 % and 95 % quantiles)."""

CHANCE = 0.025
"""Significance level at which a measured coverage counts as too low."""

_STEP = 0.001


@dataclass(frozen=True, slots=True)
class CoverageRange:
    """The range of coverages over random samples of calibration images.

    Attributes:
        requested: The requested coverage, which the mean over samples reaches.
        low: The 5 % quantile over samples.
        high: The 95 % quantile over samples.
        n: Number of calibration images.
    """

    requested: float
    low: float
    high: float
    n: int


def covered_rank(n: int, coverage: float) -> int | None:
    """Number of the n calibration images that must be covered to guarantee a coverage.

    It is ceil((n + 1) * coverage), which gives the requested coverage on average over samples, or the smallest larger
    number for which at most one sample in twenty misses more than twice the allowed share. (Twice is also the proven
    bound for cross-validated sets: Barber et al., Predictive inference with the jackknife+, 2021.)

    Args:
        n: Number of calibration images.
        coverage: The requested share, above 0 and below 1.

    Returns:
        A number from 1 to n; None where n images can't guarantee the coverage.
    """
    floor = 1 - 2 * (1 - coverage)
    for rank in range(max(1, ceil((n + 1) * coverage - 1e-9)), n + 1):
        if _beta_cdf(floor, rank, n + 1 - rank) <= (1 - USUAL) / 2:
            return rank
    return None


def coverage_range(n: int, coverage: float, *, effective: int | None = None) -> CoverageRange | None:
    """Range of coverages in 9 of 10 random samples of n calibration images.

    Args:
        n: Number of calibration images.
        coverage: The requested share, above 0 and below 1.
        effective: Multi-label: the equivalent number of single-label images (`effective_images`).

    Returns:
        The range; None where the coverage can't be guaranteed (`covered_rank`).
    """
    rank = covered_rank(n, coverage)
    if rank is None:
        return None
    size = n if effective is None else max(n, effective)
    rank = min(size, ceil(rank / (n + 1) * (size + 1) - 1e-9))
    low, high = (_beta_quantile(share, rank, size + 1 - rank) for share in ((1 - USUAL) / 2, (1 + USUAL) / 2))
    return CoverageRange(coverage, low, high, n)


def highest_coverage(n: int) -> float:
    """The highest coverage, in steps of 0.001, that n calibration images can guarantee; 0 if there is none."""
    steps = round(1 / _STEP)
    return next((step / steps for step in range(steps - 1, 0, -1) if n >= images_needed(step / steps)), 0.0)


def images_needed(coverage: float) -> int:
    """The smallest number of calibration images that can guarantee a coverage, above 0 and below 1."""
    misses = 1 - coverage
    enough = ceil(coverage / misses - 1e-9)
    if misses < 0.5:  # even where all are covered
        enough = max(enough, ceil(log((1 - USUAL) / 2) / log1p(-2 * misses) - 1e-9))
    return max(1, enough)


def effective_images(
    truths: npt.NDArray[np.float64], weights: npt.NDArray[np.float64], n: int, threshold: float
) -> int:
    """Number of single-label images whose coverage varies as much as that of these multi-label images.

    The share of missed labels of an image varies less than a single label, which is missed or not. So the coverage
    varies as if there were more images. This is an approximation, which is good unless n is small.

    Args:
        truths: Float (m,): the probability of each true label, grouped by image.
        weights: Float (m,): one over the number of labels of its image.
        n: Number of images, including those without a label.
        threshold: The probability from which a label belongs to the set.

    Returns:
        The number, at least n; n where no label is missed.
    """
    if np.allclose(weights, 1):
        return n
    counts = np.rint(1 / weights).astype(np.int64)
    starts, at = list[int](), 0
    while at < len(counts):
        starts.append(at)
        at += int(counts[at])
    missed = np.add.reduceat(np.where(truths < threshold, weights, 0.0), starts)
    mean = missed.sum() / n
    variance = (missed**2).sum() / n - mean**2
    return n if variance <= 0 else max(n, int(n * mean * (1 - mean) / variance))


def probability_of_so_few(covered: float, evaluated: int, n: int, coverage: float) -> float:
    """Probability of covering at most `covered` of some new images, over samples of calibration and new images.

    Args:
        covered: Number of new images that were covered, 0 .. evaluated; fractions are rounded up.
        evaluated: Number of new images.
        n: Number of calibration images.
        coverage: The requested share, which n images can guarantee.

    Returns:
        The probability, if the new images have the distribution of the calibration set.
    """
    rank = covered_rank(n, coverage) or n
    limit = min(evaluated, ceil(covered - 1e-9))
    logs = np.concatenate([[0.0], np.log(np.arange(1, n + evaluated + 1, dtype=np.float64)).cumsum()])
    counts = np.arange(limit + 1)

    def choose(total: npt.NDArray[np.int64] | int, part: npt.NDArray[np.int64] | int) -> npt.NDArray[np.float64]:
        return np.asarray(logs[total] - logs[part] - logs[np.subtract(total, part)])

    # orders of old and new images with this many new images before the old image at the given rank, out of all orders
    terms = (
        choose(counts + rank - 1, counts)
        + choose(n - rank + evaluated - counts, evaluated - counts)
        - choose(n + evaluated, evaluated)
    )
    return min(1.0, float(np.exp(terms).sum()))


def _beta_cdf(value: float, first: int, second: int) -> float:
    """Cumulative distribution function of the beta distribution with integer parameters."""
    if value <= 0:
        return 0.0
    return 1.0 if value >= 1 else 1 - binomial_cdf(first - 1, first + second - 1, value)


def _beta_quantile(share: float, first: int, second: int) -> float:
    low, high = 0.0, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if _beta_cdf(middle, first, second) < share else (low, middle)
    return (low + high) / 2


def set_threshold(
    truths: npt.NDArray[np.float64], weights: npt.NDArray[np.float64], n: int, coverage: float
) -> float | None:
    """Choose the probability from which a label belongs to the prediction set.

    Args:
        truths: Float (m,): the probability of each true label of n held-out images.
        weights: Float (m,): one over the number of labels of its image.
        n: Number of images, including those without a label.
        coverage: The share of an image's true labels to be in its set, above 0 and below 1.

    Returns:
        The threshold; None where n images can't guarantee the coverage (`covered_rank`).

    Raises:
        ValueError: The coverage is not between 0 and 1, or the arrays differ in shape.
    """
    if not 0 < coverage < 1:
        raise ValueError(f"coverage {coverage}; give a number between 0 and 1")
    if truths.shape != weights.shape or truths.ndim != 1:
        raise ValueError(f"{truths.size} probabilities with {weights.size} weights")
    rank = covered_rank(n, coverage)
    if rank is None or not truths.size:
        return None
    # the exact rank without rounding up, since the shares of several labels add up to fractions
    exact = (n + 1) * coverage
    budget = n - (exact if rank - exact < 1 else rank)
    order = np.argsort(truths, kind="stable")
    values = truths[order]
    missed = np.concatenate([[0.0], weights[order].cumsum()])[np.searchsorted(values, values, side="left")]
    return float(values[np.flatnonzero(missed <= budget + 1e-9)[-1]])


def prediction_sets(probabilities: npt.NDArray[Any], threshold: float) -> npt.NDArray[np.bool_]:
    """Which labels belong to the prediction sets, as a bool array of the same shape."""
    return np.asarray(probabilities.astype(np.float64) >= threshold, dtype=np.bool_)


def upper_threshold(scores: npt.NDArray[np.float64], alarms: float) -> tuple[float, float]:
    """Choose the score above which a new image counts as out of distribution, with a guaranteed false alarm rate.

    Args:
        scores: Float (n,), scores of at least one held-out image; higher scores are further from the distribution.
        alarms: Requested share of in-distribution images that raise an alarm.

    Returns:
        The threshold and the guaranteed rate of scores above it: the requested one, or 1 / (n + 1) where n images
        can't guarantee less (Bates et al., Testing for outliers with conformal p-values, 2023).
    """
    n = len(scores)
    rate = max(alarms, 1 / (n + 1))
    above = int(np.floor(rate * (n + 1) + 1e-9))  # number of n + 1 exchangeable images that may exceed it
    return float(np.sort(scores)[n - above]), rate
