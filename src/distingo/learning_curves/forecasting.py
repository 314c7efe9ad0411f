"""A measured learning curve carried on to more pictures, with an interval that owns up to what it can't know."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from distingo.learning_curves.records import Forecast, ScoreCurve, SizeScore
from distingo.learning_curves.resampling import ResampledCurve
from distingo.learning_curves.shapes import SHAPES, fit_shape
from distingo.metrics.bootstrap import with_interval
from distingo.records import Score

Floats = npt.NDArray[np.float64]

_FEWEST = 4
"""Sizes that a shape is fitted to, the largest ones, at the least."""

_BAND = 25
"""Sizes at which a forecast is drawn."""


@dataclass(frozen=True, slots=True)
class Extrapolation:
    """What curves that fit the measured scores are at other sizes.

    Attributes:
        sizes: As shares of the largest measured one, (sizes,).
        scores: Float64 (curves, sizes): every shape, fitted to every resample.
        gains: The same, above the same curve's score at the largest measured size.
    """

    sizes: Floats
    scores: Floats
    gains: Floats


def extrapolate(curve: ResampledCurve, sizes: Floats, wanted: Floats) -> Extrapolation:
    """Fit every shape to every resample of a curve.

    Sizes count by the inverse of their variance over resamples. Where the curve begins is not told by the shapes (few
    pictures obey other laws than many), so each shape is fitted to all sizes, and to the larger ones only, down to
    `_FEWEST` of them.

    Args:
        curve: Scores, of which 1 is the best.
        sizes: Training sizes, (sizes,), ascending.
        wanted: Sizes to extrapolate to, as multiples of the largest one.
    """
    x = sizes / sizes[-1]
    errors = 1 - np.concatenate([curve.points[None], curve.resampled])
    variances = errors[1:].var(axis=0) + 1e-6
    scores, gains = [], []
    for first in range(len(sizes) - _FEWEST + 1):
        for shape in SHAPES:
            fitted = fit_shape(shape, x[first:], errors[:, first:], 1 / variances[first:])
            told = fitted.at(np.append(wanted, 1.0))
            gains.append(told[:, -1:] - told[:, :-1])
            scores.append(1 - told[:, :-1])
    return Extrapolation(wanted, np.concatenate(scores), np.concatenate(gains))


def forecast(name: str, support: int, curve: ResampledCurve, sizes: Floats, factors: Floats) -> ScoreCurve:
    """A curve as a person reads it: measured, and carried on to so many times as many pictures.

    Args:
        name: Of the class; empty for all pictures.
        support: How many judged pictures it rests on.
        curve: Its scores.
        sizes: Training sizes.
        factors: Multiples of the largest size, ascending.
    """
    between = np.geomspace(1.0, factors[-1], _BAND)
    found = extrapolate(curve, sizes, np.concatenate([factors, between]))
    scores = [_score(column, support) for column in found.scores.T]
    gains = [_score(column, support) for column in found.gains.T]
    whole = np.rint(found.sizes * sizes[-1]).astype(int).tolist()
    told = zip(factors.tolist(), whole, scores, gains, strict=False)
    measured = zip(sizes.astype(int).tolist(), curve.points, curve.resampled.T, strict=True)
    return ScoreCurve(
        name=name,
        support=support,
        measured=tuple(
            SizeScore(size, with_interval(float(point), column, support)) for size, point, column in measured
        ),
        forecasts=tuple(Forecast(*each) for each in told),
        band=tuple(map(SizeScore, whole[len(factors) :], scores[len(factors) :])),
    )


def _score(column: Floats, support: int) -> Score:
    low, middle, high = np.quantile(column, (0.025, 0.5, 0.975)).tolist()
    return Score(middle, low, high, support)
