"""Two classifiers on the same pictures by any score: the difference, how sure it is, and whether chance explains it.

The interval comes from what each picture moves the difference by, for both classifiers together (the influence function
or the jackknife, `distingo.metrics.label_intervals`), with skewness corrected. The p-value is of a randomisation
test: were the two exchangeable, their answers to any picture could be swapped, so the difference found is set beside
those of thousands of random swaps (Noreen, Computer-Intensive Methods for Testing Hypotheses, 1989). The p-value counts
the answers as they are among the swaps, so it is never 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from distingo.metrics.intervals import Interval

Floats = npt.NDArray[np.float64]

SWAPS = 4999
"""How many random swaps a p-value rests on; none is below 1 in 5,000."""


@dataclass(frozen=True, slots=True)
class PairedScore:
    """One score of two classifiers on the same pictures.

    Attributes:
        first: The first one's.
        second: The second one's.
        difference: The first minus the second.
        low: Lower end of the difference's 95 % interval.
        high: Upper end of the difference's 95 % interval.
        p_value: How often chance alone gives as large a difference; two-sided. None where it was not tested.
        n: How many pictures they were judged on.
        too_few: Whether there are too few pictures for the interval to hold the true difference at its rate.
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
            n: How many pictures there are.
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
