"""From which probability on a model may answer, for a requested share of wrong answers.

The threshold is chosen by testing (Angelopoulos, Bates, Candès, Jordan and Lei, Learn then test, 2021): candidates are
held against the hypothesis that more answers than wanted are wrong, in a fixed order, the strictest first, each at a
level of 5 % until one fails. So, in at least 95 of 100 draws of the held-out pictures, no more of the answers to new
pictures like them are wrong than was wanted, for a model that errs the more the less sure it is.

One label per picture: an answer is right or wrong, and the test is the exact binomial one (Clopper and Pearson 1934).
Several labels: labels below the threshold are withheld, a picture with none left is not answered, and the error of
an answer is the share of its labels that are wrong; the test is Hoeffding's and Bentkus', as in the paper above.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, log, log1p

import numpy as np
import numpy.typing as npt

LEVEL = 0.05
"""How often the choice of a threshold may promise too much."""

FIRST_SHARE = 0.3
"""The strictest candidate answers so many of the pictures: with fewer, one mistake of chance would end the search."""

_MOST_CANDIDATES = 100

_FINEST = 0.001


@dataclass(frozen=True, slots=True)
class GivenLabels:
    """The labels that a model gave to pictures of known truth.

    Attributes:
        owners: int64 (m,): the number of each label's picture; with one label per picture each occurs once.
        confidences: float64 (m,): the probability of each.
        right: bool (m,).
    """

    owners: npt.NDArray[np.int64]
    confidences: npt.NDArray[np.float64]
    right: npt.NDArray[np.bool_]

    def surest(self) -> npt.NDArray[np.float64]:
        """The highest probability of each picture with a label, the highest first."""
        order = np.lexsort((-self.confidences, self.owners))
        first = np.flatnonzero(np.diff(self.owners[order], prepend=-1))
        return -np.sort(-self.confidences[order][first])

    def errors(self, threshold: float) -> npt.NDArray[np.float64]:
        """Of each answered picture the share of its labels at or above the threshold that are wrong."""
        kept = self.confidences >= threshold
        _, owners = np.unique(self.owners[kept], return_inverse=True)
        given = np.bincount(owners)
        wrong: npt.NDArray[np.float64] = np.bincount(owners, weights=~self.right[kept], minlength=len(given)) / given
        return wrong


def answer_threshold(labels: GivenLabels, error: float) -> float | None:
    """The lowest probability from which on answers may be given.

    Args:
        labels: What the model gave to held-out pictures.
        error: The wanted share of wrong answers, above 0 and below 1.

    Returns:
        The threshold; None where these pictures can't hold such a share (see `lowest_error`).

    Raises:
        ValueError: The error is not between 0 and 1.
    """
    if not 0 < error < 1:
        raise ValueError(f"error {error}; give a number between 0 and 1")
    surest = labels.surest()
    found = None
    for rank in _ranks(len(surest), error):
        threshold = float(surest[rank - 1])
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
    """How many pictures the candidates answer; none where even without a mistake n are too few to hold it."""
    if n * -log1p(-error) < -log(LEVEL):  # before the quotient, which overflows where the error is next to nothing
        return []
    first = max(answers_needed(error), ceil(FIRST_SHARE * n))
    return sorted({round(rank) for rank in np.linspace(first, n, _MOST_CANDIDATES).tolist()}) if first <= n else []


def _p_value(errors: npt.NDArray[np.float64], wanted: float) -> float:
    n, total = len(errors), float(errors.sum())
    if np.isin(errors, (0, 1)).all():
        return binomial_cdf(round(total), n, wanted)
    bentkus = np.e * binomial_cdf(ceil(total - 1e-9), n, wanted)
    return min(1.0, bentkus, _hoeffding(min(total / n, wanted), wanted, n))


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


def _hoeffding(found: float, wanted: float, n: int) -> float:
    """Hoeffding's bound on the chance of a mean as low as `found` of n numbers in 0 .. 1 around `wanted`."""
    divergence = 0.0
    if found > 0:
        divergence += found * log(found / wanted)
    if found < 1:
        divergence += (1 - found) * log((1 - found) / (1 - wanted))
    return float(np.exp(-n * divergence))
