"""Whether the scores that a served model gives still look like those it gave to its validation pictures."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from distingo.models.evidence import Evidence

WINDOW = 1000
"""The latest given labels of each worker that count."""

LEAST = 100
"""With fewer given labels nothing is said."""

_MOST_BINS = 10
_LEAST_A_BIN = 10
_FLOOR = 0.5
"""Pictures that an empty bin counts as, so that the logarithm is finite."""


@dataclass(frozen=True, slots=True)
class ScoreBins:
    """The validation pictures' distribution of the probabilities of given labels.

    Attributes:
        edges: float64 (bins - 1,), ascending, between the bins.
        expected: float64 (bins,): how many validation scores fall in each.
    """

    edges: npt.NDArray[np.float64]
    expected: npt.NDArray[np.float64]

    def place(self, score: float) -> int:
        """The bin of a score."""
        return int(np.searchsorted(self.edges, score, side="right"))


def bin_scores(evidence: Evidence | None) -> ScoreBins | None:
    """Divide the validation scores into bins of about equal number, at most ten and of ten scores at the least.

    Args:
        evidence: What the run kept; None where an older distingo trained it.

    Returns:
        The bins; None where there are too few scores, or all are the same.
    """
    scores = np.empty(0) if evidence is None else evidence.confidences
    wanted = min(_MOST_BINS, len(scores) // _LEAST_A_BIN)
    if wanted < 2:
        return None
    edges = np.unique(np.quantile(scores, np.linspace(0, 1, wanted + 1)[1:-1]))
    counts = np.bincount(np.searchsorted(edges, scores, side="right"), minlength=len(edges) + 1)
    if np.count_nonzero(counts) < 2:
        return None
    return ScoreBins(edges, counts.astype(np.float64))


def stability_index(expected: npt.NDArray[np.float64], actual: npt.NDArray[np.float64]) -> float:
    """The population stability index, the sum of (a - e) ln(a / e) over the bins' shares.

    Siddiqi, Credit Risk Scorecards, 2006; by custom 0.1 is worth a look and 0.25 a shift.

    Args:
        expected: float64 (bins,): counts to compare with.
        actual: float64 (bins,): counts that came.
    """
    before = np.maximum(expected, _FLOOR) / np.maximum(expected, _FLOOR).sum()
    now = np.maximum(actual, _FLOOR) / np.maximum(actual, _FLOOR).sum()
    return float(np.sum((now - before) * np.log(now / before)))


def chance_limit(expected: npt.NDArray[np.float64], actual: npt.NDArray[np.float64]) -> float:
    """What the index stays below in 99 of 100 cases where nothing has changed.

    Without a change the index is about (1/n + 1/m) times a chi-squared number with bins - 1 degrees of freedom
    (Yurdakul, Statistical Properties of Population Stability Index, 2018): with few validation pictures the customary
    0.1 is often exceeded by chance.

    Args:
        expected: As for `stability_index`.
        actual: As for `stability_index`.
    """
    from scipy.stats import chi2

    return float((1 / expected.sum() + 1 / actual.sum()) * chi2.ppf(0.99, len(expected) - 1))


class ScoreWindow:
    """The latest scores of one model in one worker, as counts by bin; may be used by several threads.

    Args:
        bins: Of the model.
    """

    def __init__(self, bins: ScoreBins) -> None:
        self.bins = bins
        self._latest: deque[int] = deque()
        self._counts = [0] * len(bins.expected)
        self._lock = threading.Lock()

    def add(self, score: float) -> dict[int, int]:
        """Count a score, forget the one that is too old; the counts that changed, by bin."""
        place = self.bins.place(score)
        with self._lock:
            self._latest.append(place)
            self._counts[place] += 1
            changed = {place}
            if len(self._latest) > WINDOW:
                old = self._latest.popleft()
                self._counts[old] -= 1
                changed.add(old)
            return {each: self._counts[each] for each in changed}
