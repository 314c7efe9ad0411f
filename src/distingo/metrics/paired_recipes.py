"""Two recipes on the same test pictures, trained with several seeds: is one better, luck in training included?

McNemar's test and paired intervals tell two trained models apart. Two trainings of one recipe give two models, and
with enough test pictures one of them is shown to be better; that says nothing about recipes (Dietterich, Approximate
statistical tests for comparing supervised classification learning algorithms, Neural Computation 10, 1998; Bouthillier
et al., Accounting for variance in machine learning benchmarks, MLSys 2021). Here the error of the difference is that of
the test pictures and that of the seeds together.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
import numpy.typing as npt

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
        n: How many test pictures there are.
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

    The variance of the mean difference is that over test pictures plus that of a training divided by how many there
    are, the latter pooled over both recipes; Student's t with Satterthwaite's degrees of freedom (Satterthwaite, An
    approximate distribution of estimates of variance components, Biometrics Bulletin 2, 1946). Chance of the pictures
    is in both parts, which errs on the side of seeing no difference.

    Args:
        first: Whether each training of the first recipe was right on each picture, bool (trainings, n).
        second: Of the second recipe, the same pictures in the same order.

    Raises:
        ValueError: The pictures differ in number, or there are not three trainings in all.
    """
    from scipy.special import stdtr, stdtrit

    n, trainings = first.shape[1], len(first) + len(second)
    if second.shape[1] != n or n < 2 or trainings < 3:
        raise ValueError(
            f"answers of shapes {first.shape} and {second.shape}; give three trainings on the same pictures"
        )
    each = first.mean(axis=0) - second.mean(axis=0)
    difference = each.mean().item()
    squares = sum(float(((side.mean(axis=1) - side.mean()) ** 2).sum()) for side in (first, second))
    variance = squares / (trainings - 2)
    of_pictures = each.var(ddof=1).item() / n
    of_training = variance * (1 / len(first) + 1 / len(second))
    error = sqrt(of_pictures + of_training)
    freedom = of_pictures**2 / (n - 1) + of_training**2 / (trainings - 2)
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
