"""Guarantees from a calibration set: prediction sets of a requested coverage, and abstention at a requested error.

Prediction sets (split conformal prediction), one label per image: the least ambiguous sets of Sadinle, Lei and
Wasserman (Least ambiguous set-valued classifiers with bounded error levels, 2019). A class is in the set if its
probability reaches a threshold, and the threshold is what the requested share of the true classes reaches on images
that the model was not fitted on. Of all sets of their coverage they are the smallest on average, and coverage is exact
except for 1 / (n + 1). A set may be empty: then the model is right more often than requested, and these are the images
of which it is least confident. Several labels: the same threshold by conformal risk control (Angelopoulos, Bates,
Fisch, Lei and Schuster, Conformal risk control, 2024), where the risk is the share of an image's labels that its set
misses. With one label for every image the two are the same, so there is one function.

Both hold on average over draws of the n images and of the new one, if these are alike and exchangeable. One draw may be
lucky or not: the coverage that it leads to follows the beta distribution with k = ceil((n + 1) * coverage) and
n + 1 - k (Vovk, Conditional validity of inductive conformal predictors, 2012; Angelopoulos and Bates, A gentle
introduction to conformal prediction, 2021), exactly so where probabilities have no ties. How many of m new images are
covered follows the beta-binomial distribution then.

The n images may also be all of training and validation, each with a probability from a model of its fold that was not
fitted on it, against one threshold for all (Vovk, Cross-conformal predictors, 2015). Coverage is then exact only as far
as the models of the folds are as confident as the final one. They are fitted on no more images than it, so that they
are rather less confident, and sets rather too large.

Abstention: the probability from which on a model may answer is chosen by testing (Angelopoulos, Bates, Candès, Jordan
and Lei, Learn then test, 2021): candidates are tested against the hypothesis that more answers than requested are
wrong, in a fixed order, the strictest first, each at a level of 5 % until one fails. So, in at least 95 of 100 draws of
the held-out images, no more of the answers to new images like them are wrong than was requested, for a model that errs
the more the less confident it is. One label per image: an answer is right or wrong, and the test is the exact binomial
one (Clopper and Pearson 1934). Several labels: labels below the threshold are withheld, an image with none left is not
answered, and the error of an answer is the share of its labels that are wrong; the test is Hoeffding's and Bentkus', as
in the paper above.

Numpy alone, since exported models come without SciPy.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, log, log1p
from typing import Any

import numpy as np
import numpy.typing as npt

LEVEL = 0.05
"""How often the choice of a threshold may guarantee too much."""

FIRST_SHARE = 0.3
"""The strictest candidate answers so many of the images: with fewer, one mistake of chance would end the search."""

_MOST_CANDIDATES = 100

_FINEST = 0.001


@dataclass(frozen=True, slots=True)
class GivenLabels:
    """The labels that a model gave to images of known truth.

    Attributes:
        owners: int64 (m,): the number of each label's image; with one label per image each occurs once.
        confidences: float64 (m,): the probability of each.
        right: bool (m,).
    """

    owners: npt.NDArray[np.int64]
    confidences: npt.NDArray[np.float64]
    right: npt.NDArray[np.bool_]

    def most_confident(self) -> npt.NDArray[np.float64]:
        """The highest probability of each image with a label, the highest first."""
        order = np.lexsort((-self.confidences, self.owners))
        first = np.flatnonzero(np.diff(self.owners[order], prepend=-1))
        return -np.sort(-self.confidences[order][first])

    def errors(self, threshold: float) -> npt.NDArray[np.float64]:
        """Of each answered image the share of its labels at or above the threshold that are wrong."""
        kept = self.confidences >= threshold
        _, owners = np.unique(self.owners[kept], return_inverse=True)
        given = np.bincount(owners)
        wrong: npt.NDArray[np.float64] = np.bincount(owners, weights=~self.right[kept], minlength=len(given)) / given
        return wrong


def answer_threshold(labels: GivenLabels, error: float) -> float | None:
    """The lowest probability from which on answers may be given.

    Args:
        labels: What the model gave to held-out images.
        error: The requested share of wrong answers, above 0 and below 1.

    Returns:
        The threshold; None where these images can't hold such a share (see `lowest_error`).

    Raises:
        ValueError: The error is not between 0 and 1.
    """
    if not 0 < error < 1:
        raise ValueError(f"error {error}; give a number between 0 and 1")
    most_confident = labels.most_confident()
    found = None
    for rank in _ranks(len(most_confident), error):
        threshold = float(most_confident[rank - 1])
        if _p_value(labels.errors(threshold), error) > LEVEL:
            break
        found = threshold
    return found


def answers_needed(error: float) -> int:
    """How many answers it takes to hold a share of wrong ones, above 0 and below 1, even if none of them is wrong."""
    return ceil(log(LEVEL) / log1p(-error))


def lowest_error(labels: GivenLabels) -> float | None:
    """The lowest share of wrong answers, in steps of a thousandth, that has a threshold; None where none has."""
    for step in range(1, round(1 / _FINEST)):
        if answer_threshold(labels, step * _FINEST) is not None:
            return round(step * _FINEST, 6)
    return None


def _ranks(n: int, error: float) -> list[int]:
    """How many images the candidates answer; none where even without a mistake n are too few to hold it."""
    if n * -log1p(-error) < -log(LEVEL):  # before the quotient, which overflows where the error is next to nothing
        return []
    first = max(answers_needed(error), ceil(FIRST_SHARE * n))
    return sorted({round(rank) for rank in np.linspace(first, n, _MOST_CANDIDATES).tolist()}) if first <= n else []


def _p_value(errors: npt.NDArray[np.float64], target: float) -> float:
    n, total = len(errors), float(errors.sum())
    if np.isin(errors, (0, 1)).all():
        return binomial_cdf(round(total), n, target)
    bentkus = np.e * binomial_cdf(ceil(total - 1e-9), n, target)
    return min(1.0, bentkus, _hoeffding(min(total / n, target), target, n))


def binomial_cdf(successes: int, n: int, probability: float) -> float:
    """The chance of at most so many successes in n draws; numpy alone, since exported models come without SciPy.

    Args:
        successes: From 0 to n.
        n: How many draws.
        probability: Of a success, above 0 and below 1.
    """
    logs = np.log(np.arange(1, n + 1, dtype=np.float64))
    factorials = np.concatenate([[0.0], logs.cumsum()])
    counts = np.arange(min(successes, n) + 1)
    choices = factorials[n] - factorials[counts] - factorials[n - counts]
    terms = choices + counts * log(probability) + (n - counts) * log(1 - probability)
    highest = terms.max()
    return min(1.0, float(np.exp(highest) * np.exp(terms - highest).sum()))


def _hoeffding(found: float, target: float, n: int) -> float:
    """Hoeffding's bound on the chance of a mean as low as `found` of n numbers in 0 .. 1 around `target`."""
    divergence = 0.0
    if found > 0:
        divergence += found * log(found / target)
    if found < 1:
        divergence += (1 - found) * log((1 - found) / (1 - target))
    return float(np.exp(-n * divergence))


USUAL = 0.9
"""The share of calibration draws that the range of coverages holds for: its ends are the 5 % and 95 % quantiles."""

CHANCE = 0.025
"""What is measured falls short by more than chance where chance would do so this rarely."""

_STEP = 0.001


@dataclass(frozen=True, slots=True)
class CoverageRange:
    """The coverage that sets reach, from one draw of the calibration images to the next.

    Attributes:
        requested: The coverage that was requested, which the mean over draws reaches.
        low: The 5 % quantile over draws.
        high: The 95 % quantile.
        n: How many calibration images there are.
    """

    requested: float
    low: float
    high: float
    n: int


def held_rank(n: int, coverage: float) -> int | None:
    """How many of n calibration images must be covered for sets to hold a level.

    ceil((n + 1) * coverage), so that the mean over draws is what was requested. Where with so many more than one draw
    in twenty would miss over twice the share that may be missed, the number is raised until it is one. (Twice is also
    what cross-validated sets are proven to keep to: Barber et al., Predictive inference with the jackknife+, 2021.)

    Args:
        n: How many calibration images there are.
        coverage: The requested share, above 0 and below 1.

    Returns:
        The number, from 1 to n; None where n images can't hold the level.
    """
    floor = 1 - 2 * (1 - coverage)
    for rank in range(max(1, ceil((n + 1) * coverage - 1e-9)), n + 1):
        if _beta_cdf(floor, rank, n + 1 - rank) <= (1 - USUAL) / 2:
            return rank
    return None


def coverage_range(n: int, coverage: float, *, effective: int | None = None) -> CoverageRange | None:
    """The range of coverages in 9 of 10 draws of n calibration images.

    Args:
        n: How many calibration images there are.
        coverage: The requested share, above 0 and below 1.
        effective: How many images of one label each spread as much, of images with several (`effective_images`).

    Returns:
        The range; None where the level can't be held (`held_rank`).
    """
    rank = held_rank(n, coverage)
    if rank is None:
        return None
    size = n if effective is None else max(n, effective)
    rank = min(size, ceil(rank / (n + 1) * (size + 1) - 1e-9))
    low, high = (_beta_quantile(share, rank, size + 1 - rank) for share in ((1 - USUAL) / 2, (1 + USUAL) / 2))
    return CoverageRange(coverage, low, high, n)


def highest_coverage(n: int) -> float:
    """The highest coverage, in steps of a thousandth, that n calibration images hold; 0 where they hold none."""
    steps = round(1 / _STEP)
    return next((step / steps for step in range(steps - 1, 0, -1) if n >= images_needed(step / steps)), 0.0)


def images_needed(coverage: float) -> int:
    """The smallest number of calibration images that hold a coverage, above 0 and below 1; any larger one does too."""
    misses = 1 - coverage
    enough = ceil(coverage / misses - 1e-9)
    if misses < 0.5:  # even where all are covered
        enough = max(enough, ceil(log((1 - USUAL) / 2) / log1p(-2 * misses) - 1e-9))
    return max(1, enough)


def effective_images(
    truths: npt.NDArray[np.float64], weights: npt.NDArray[np.float64], n: int, threshold: float
) -> int:
    """How many images of one label each would spread as much as these with several.

    The share of an image's labels that is missed varies less than a label that is missed or not. The coverage of a draw
    is then as if from more images: as many as have the same variance. This is an approximation, good where n is not
    small.

    Args:
        truths: Float (m,): the probability of each true label, those of an image one after another.
        weights: Float (m,): one over how many labels its image has.
        n: How many images, those without a label among them.
        threshold: The probability from which a label belongs to the set.

    Returns:
        The number, n at the least; n where no label is missed.
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


def chance_of_so_few(covered: float, evaluated: int, n: int, coverage: float) -> float:
    """How often sets would cover so few of some new images, by the chance of both draws.

    Args:
        covered: How many of the new images were covered, 0 .. evaluated; a fraction counts as the next whole number.
        evaluated: How many new images there are.
        n: How many calibration images.
        coverage: The requested share, which n can hold.

    Returns:
        The probability of at most so many, for new images that are like those of calibration.
    """
    rank = held_rank(n, coverage) or n
    most = min(evaluated, ceil(covered - 1e-9))
    logs = np.concatenate([[0.0], np.log(np.arange(1, n + evaluated + 1, dtype=np.float64)).cumsum()])
    some = np.arange(most + 1)

    def choose(total: npt.NDArray[np.int64] | int, part: npt.NDArray[np.int64] | int) -> npt.NDArray[np.float64]:
        return np.asarray(logs[total] - logs[part] - logs[np.subtract(total, part)])

    # of all orders of n old and the new images, those in which so many of the new ones lie before the rank-th old one
    terms = (
        choose(some + rank - 1, some)
        + choose(n - rank + evaluated - some, evaluated - some)
        - choose(n + evaluated, evaluated)
    )
    return min(1.0, float(np.exp(terms).sum()))


def _beta_cdf(value: float, first: int, second: int) -> float:
    """The distribution function of the beta distribution with whole parameters, by that of the binomial one."""
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
    """The probability from which a label belongs to the set.

    Args:
        truths: Float (m,): the probability of each true label of n held-out images.
        weights: Float (m,): one over how many labels its image has.
        n: How many images, those without any label among them.
        coverage: The share of an image's true labels to be in its set, above 0 and below 1.

    Returns:
        The threshold; None where n images can't hold such coverage (`held_rank`).

    Raises:
        ValueError: The coverage is not between 0 and 1, or the arrays don't fit each other.
    """
    if not 0 < coverage < 1:
        raise ValueError(f"coverage {coverage}; give a number between 0 and 1")
    if truths.shape != weights.shape or truths.ndim != 1:
        raise ValueError(f"{truths.size} probabilities with {weights.size} weights")
    rank = held_rank(n, coverage)
    if rank is None or not truths.size:
        return None
    # Of the rank that the mean takes not rounded, as the shares of several labels add up to fractions.
    exact = (n + 1) * coverage
    budget = n - (exact if rank - exact < 1 else rank)
    order = np.argsort(truths, kind="stable")
    values = truths[order]
    missed = np.concatenate([[0.0], weights[order].cumsum()])[np.searchsorted(values, values, side="left")]
    return float(values[np.flatnonzero(missed <= budget + 1e-9)[-1]])


def prediction_sets(probabilities: npt.NDArray[Any], threshold: float) -> npt.NDArray[np.bool_]:
    """Which labels belong to the sets, bool of the shape of the probabilities."""
    return np.asarray(probabilities.astype(np.float64) >= threshold, dtype=np.bool_)


def upper_threshold(scores: npt.NDArray[np.float64], alarms: float) -> tuple[float, float]:
    """Above which score a new image is unlike held-out ones, with a known rate of false alarms.

    Args:
        scores: Float (n,) of n held-out images, n at least 1: the higher, the stranger.
        alarms: Wanted share of images like these that raise an alarm.

    Returns:
        The threshold, to be exceeded, and the rate that it keeps to: what was requested, or 1 / (n + 1) where n
        images can guarantee no lower one (Bates et al., Testing for outliers with conformal p-values, 2023).
    """
    n = len(scores)
    rate = max(alarms, 1 / (n + 1))
    above = int(np.floor(rate * (n + 1) + 1e-9))  # of n + 1 alike images so many may lie above
    return float(np.sort(scores)[n - above]), rate
