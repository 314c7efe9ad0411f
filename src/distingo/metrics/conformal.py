"""Prediction sets that hold the truth as often as was requested, whatever the model (split conformal prediction).

One label per picture: the least ambiguous sets of Sadinle, Lei and Wasserman (Least ambiguous set-valued classifiers
with bounded error levels, 2019). A class is in the set if its probability reaches a threshold, and the threshold is
what the share of the true classes that was asked for reaches on pictures the model was not fitted on. Of all sets of
their coverage they are the smallest on average, and coverage is exact but for 1 / (n + 1). A set may be empty: then
the model is right more often than was asked for, and these are the pictures of which it is least sure.

Several labels: the same threshold by conformal risk control (Angelopoulos, Bates, Fisch, Lei and Schuster, Conformal
risk control, 2024), where the risk is the share of a picture's labels that its set misses. With one label for every
picture the two are the same, so there is one function.

Both hold on average over draws of the n pictures and of the new one, if these are alike and exchangeable. What one draw
comes to is in `distingo.metrics.guarantees`, which also says which levels n pictures can hold.

The n pictures may also be all of training and validation, each with a probability from a model of its fold that was not
fitted on it, against one threshold for all (Vovk, Cross-conformal predictors, 2015). Coverage is then exact only as far
as the models of the folds are as sure as the final one. They are fitted on no more pictures than it, so that they are
rather less sure, and sets rather too large.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from distingo.metrics.guarantees import held_rank


def set_threshold(
    truths: npt.NDArray[np.float64], weights: npt.NDArray[np.float64], n: int, coverage: float
) -> float | None:
    """The probability from which a label belongs to the set.

    Args:
        truths: Float (m,): the probability of each true label of n held-out pictures.
        weights: Float (m,): one over how many labels its picture has.
        n: How many pictures, those without any label among them.
        coverage: The share of a picture's true labels to be in its set, above 0 and below 1.

    Returns:
        The threshold; None where n pictures can't hold such coverage (`held_rank`).

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
    """Above which score a new picture is unlike held-out ones, with a known rate of false alarms.

    Args:
        scores: Float (n,) of n held-out pictures, n at least 1: the higher, the stranger.
        alarms: Wanted share of pictures like these that raise an alarm.

    Returns:
        The threshold, to be exceeded, and the rate that it keeps to: what was wanted, or 1 / (n + 1) where n
        pictures can vouch for no lower one (Bates et al., Testing for outliers with conformal p-values, 2023).
    """
    n = len(scores)
    rate = max(alarms, 1 / (n + 1))
    above = int(np.floor(rate * (n + 1) + 1e-9))  # of n + 1 alike pictures so many may lie above
    return float(np.sort(scores)[n - above]), rate
