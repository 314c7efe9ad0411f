"""How many answers are wrong when a model answers only where it is surest: the risk-coverage curve."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import exp, log

import numpy as np
import numpy.typing as npt

from distingo.metrics.intervals import (
    MOST_SKEWED,
    Interval,
    freedom_of_variance,
    moments,
    skewed_interval,
    student_quantile,
)
from distingo.metrics.rejection import GivenLabels
from distingo.records import Score

Floats = npt.NDArray[np.float64]

FEWEST_MISTAKEN = 10
"""Images answered wrong that the interval of the area rests on, at the least."""


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


def risk_coverage(labels: GivenLabels, n: int) -> RiskCoverage:
    """Follow the error of answers from the surest picture to all.

    Args:
        labels: What a model gave to n pictures of known truth, one label or several each.
        n: How many pictures there are, those that were given no label among them.

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
    return RiskCoverage(
        coverage=answered[ends] / n,
        error=errors[ends] / answered[ends],
        area=_area(owners, new, added, n),
    )


def _area(owners: npt.NDArray[np.int64], new: Floats, added: Floats, n: int) -> Score:
    """Mean error over coverage, of the pictures newly answered and the errors added by each step, (steps,) each.

    Its interval comes from what each picture moves the area by: by its own error, and by its error in all later steps.
    Where one more mistake among the surest pictures would lead out of it, it rests on too few.
    """
    answered = np.maximum(new.cumsum(), 1)
    error = added.cumsum() / answered
    total = float(new.sum())
    area = float((new * error).sum() / total)
    later, drop = ((new * part)[::-1].cumsum()[::-1] for part in (1 / answered, error / answered))
    moved = np.bincount(owners, new * (error - area - drop) + added * later, n) * n / total
    mistaken = np.flatnonzero(added > 0)
    found = _interval(area, moved, few=np.unique(owners[mistaken]).size < FEWEST_MISTAKEN)
    # the mean over all places above the surest mistake of what another one there would add
    surest = answered[mistaken[0]] if mistaken.size else total
    another = (1 + log(total / surest)) / total
    return replace(found, too_few=found.too_few or another > found.high - area).score(area, n)


def _interval(area: float, moved: Floats, *, few: bool) -> Interval:
    """Student's t on the logarithm: an area near 0 varies with its size. Few mistakes give few degrees of freedom."""
    found = moments(moved)
    if not area or not found.error:
        ends = skewed_interval(replace(found, center=area))
        return Interval(max(0.0, ends.low), min(1.0, ends.high), too_few=True)
    freedom = min(found.freedom, freedom_of_variance(moved))
    reach = student_quantile(freedom) * found.error / area
    return Interval(area * exp(-reach), min(1.0, area * exp(min(reach, 50.0))), few or abs(found.skew) > MOST_SKEWED)
