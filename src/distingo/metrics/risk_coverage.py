"""How many answers are wrong when a model answers only where it is surest: the risk-coverage curve."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from distingo.metrics.bootstrap import resampled_counts, with_interval
from distingo.metrics.rejection import GivenLabels
from distingo.records import Score

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class RiskCoverage:
    """A curve and what it comes to.

    Attributes:
        coverage: float64 (k,), rising: the share of all pictures that are answered.
        error: float64 (k,): of these answers, the share that is wrong (with several labels the mean share of an
            answer's labels).
        area: The mean error over all coverages up to the highest: the area under the curve, AURC (Geifman and
            El-Yaniv, Selective classification for deep neural networks, 2017); the lower, the better.
    """

    coverage: Floats
    error: Floats
    area: Score


def risk_coverage(labels: GivenLabels, n: int, *, seed: int = 0, resamples: int = 1000) -> RiskCoverage:
    """Follow the error of answers from the surest picture to all.

    Args:
        labels: What a model gave to n pictures of known truth, one label or several each.
        n: How many pictures there are, those that were given no label among them.
        seed: Of the resampling.
        resamples: How many resampled sets of pictures the interval rests on.

    Returns:
        The curve, one point for each probability at which it may change.

    Raises:
        ValueError: No picture was given a label.
    """
    if not len(labels.owners):
        raise ValueError("no picture was given a label")
    order = np.argsort(-labels.confidences, kind="stable")
    owners, added = labels.owners[order], np.zeros(len(order))
    new = np.zeros(len(order))
    given, wrong = np.zeros(n), np.zeros(n)
    for step, (owner, right) in enumerate(zip(owners.tolist(), labels.right[order].tolist(), strict=True)):
        before = wrong[owner] / given[owner] if given[owner] else 0.0
        new[step] = given[owner] == 0
        given[owner] += 1
        wrong[owner] += not right
        added[step] = wrong[owner] / given[owner] - before
    ends = np.flatnonzero(np.append(np.diff(labels.confidences[order]) != 0, [True]))
    answered, errors = new.cumsum(), added.cumsum()
    area = _area(new[None], added[None])[0]
    generator = np.random.default_rng(seed)
    drawn = [
        _area(counts[:, owners] * new, counts[:, owners] * added)
        for counts in resampled_counts(n, generator, resamples, numbers_each=4 * len(order))
    ]
    return RiskCoverage(
        coverage=answered[ends] / n,
        error=errors[ends] / answered[ends],
        area=with_interval(float(area), np.concatenate(drawn), n),
    )


def _area(new: npt.NDArray[np.float64], added: npt.NDArray[np.float64]) -> Floats:
    """Mean error over coverage, of (resamples, steps) newly answered pictures and errors added by each step."""
    answered = new.cumsum(axis=1)
    error = added.cumsum(axis=1) / np.maximum(answered, 1)
    areas: Floats = (new * error).sum(axis=1) / np.maximum(answered[:, -1], 1)
    return areas
