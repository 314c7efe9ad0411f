"""A measured learning curve and its forecast for more images, with an interval that includes what can't be known.

Measured curves mostly follow a power law, perhaps towards an error that more images don't reduce (Hestness et al.,
Deep learning scaling is predictable, empirically, 2017; Viering and Loog, The shape of learning curves, 2022).
A few noisy sizes don't show which shape it is, and the shapes differ most where there is no size yet, so several are
fitted. Exponentials, which fit measured curves worse (Viering and Loog) and predict no gain from more images whatever
the curve, are not among them.

Intervals come from resamples. Each draws the evaluated images anew, with repetition. Where every draw evaluates images
of its own (folds), that varies the draws with them; where draws share their evaluated images, the draws are drawn anew
too (a bootstrap of two factors; Davison and Hinkley, Bootstrap Methods and their Application, 1997, section 3.8). The
same resample is used at every size, so that sizes stay as alike as they are: all are evaluated on the same images.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from distingo.learning_curves.measuring import Measured
from distingo.learning_curves.records import Forecast, ScoreCurve, SizeScore
from distingo.metrics.intervals import with_interval
from distingo.metrics.label_intervals import MIN_POSITIVES
from distingo.metrics.ranking import Ranking
from distingo.records import Score, Task

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ResampledCurve:
    """One score over training sizes.

    Attributes:
        points: Float64 (sizes,).
        resampled: Float64 (resamples, sizes).
    """

    points: Floats
    resampled: Floats


@dataclass(frozen=True, slots=True)
class ResampledCurves:
    """All scores over training sizes.

    Attributes:
        overall: Accuracy, or the mean average precision of the labels that enough images have.
        classes: Each class's recall, or each label's average precision; None where no evaluated image has it.
    """

    overall: ResampledCurve
    classes: tuple[ResampledCurve | None, ...]


def resample_curves(measured: Measured, task: Task, *, seed: int = 0, resamples: int = 400) -> ResampledCurves:
    """Score every size, on the images as they are and on resamples of them.

    Args:
        measured: The outputs of the models.
        task: One label per image, or several.
        seed: Of the resamples.
        resamples: How many.
    """
    weights = _draw_weights(measured, np.random.default_rng(seed), resamples)
    if task == "single-label":
        right = measured.probabilities.argmax(axis=2) == measured.truth
        classes = measured.probabilities.shape[2]
        members = [measured.truth == number for number in range(classes)]
        return ResampledCurves(
            _shares(right, weights),
            tuple(_shares(right[:, having], weights[:, having]) if having.any() else None for having in members),
        )
    return _rank_labels(measured, weights)


def _draw_weights(measured: Measured, generator: np.random.Generator, resamples: int) -> npt.NDArray[np.int32]:
    """How often each row counts, int32 (1 + resamples, rows); the first are the images as they are."""
    names, places = np.unique(measured.images, return_inverse=True)
    count, draws = len(names), int(measured.draws.max()) + 1
    images = generator.multinomial(count, np.full(count, 1 / count), size=resamples)
    weights = images[:, places]
    if count < len(places):  # draws that share their evaluated images are resampled too
        weights = weights * generator.multinomial(draws, np.full(draws, 1 / draws), size=resamples)[:, measured.draws]
    return np.concatenate([np.ones((1, len(places))), weights]).astype(np.int32)


def _shares(right: npt.NDArray[np.bool_], weights: npt.NDArray[np.int32]) -> ResampledCurve:
    """The share of right rows, bool (sizes, rows), by weights (1 + resamples, rows)."""
    floats = weights.astype(np.float64)
    totals = floats.sum(axis=1)
    shares = floats @ right.T.astype(np.float64) / np.maximum(totals, 1)[:, None]
    shares[totals == 0] = shares[0]
    return ResampledCurve(shares[0], shares[1:])


def _rank_labels(measured: Measured, weights: npt.NDArray[np.int32]) -> ResampledCurves:
    truth = measured.truth.astype(bool)
    each = np.stack([_precisions(truth, predicted, weights) for predicted in measured.probabilities], axis=1)
    kept = truth.sum(axis=0) >= MIN_POSITIVES
    chosen = each[:, :, kept if kept.any() else truth.any(axis=0)]
    overall = np.nanmean(chosen, axis=2)
    return ResampledCurves(
        ResampledCurve(overall[0], overall[1:]),
        tuple(_filled(each[:, :, label]) if truth[:, label].any() else None for label in range(truth.shape[1])),
    )


def _precisions(truth: npt.NDArray[np.bool_], predicted: npt.NDArray[Any], weights: npt.NDArray[np.int32]) -> Floats:
    """Every label's average precision in every resample, float64 (1 + resamples, labels); NaN where undefined."""
    rankings = [Ranking.of(truth[:, label], predicted[:, label]) for label in range(truth.shape[1])]
    return np.stack([ranking.average_precision(weights) for ranking in rankings], axis=1)


def _filled(scores: Floats) -> ResampledCurve:
    scores = np.where(np.isnan(scores), scores[:1], scores)
    return ResampledCurve(scores[0], scores[1:])


@dataclass(frozen=True, slots=True)
class Shape:
    """The error as ``a + b * fall(x, c)`` with a, b >= 0; x is the size as a share of the largest one.

    Attributes:
        name: For a person.
        fall: Falls with x.
        rates: The values of c that are tried.
        asymptote: Whether a may differ from 0.
    """

    name: str
    fall: Callable[[Floats, Any], Floats]
    rates: tuple[float, ...]
    asymptote: bool


def _power(x: Floats, rate: Any) -> Floats:
    return np.asarray(x ** (-rate))


SHAPES = (
    Shape("power law", _power, tuple(np.geomspace(0.01, 3.0, 60).tolist()), asymptote=False),
    Shape("power law with asymptote", _power, tuple(np.geomspace(0.05, 3.0, 45).tolist()), asymptote=True),
    Shape("root with asymptote", _power, (0.5,), asymptote=True),
)


@dataclass(frozen=True, slots=True)
class FittedShape:
    """One shape fitted to m curves.

    Attributes:
        shape: Which one.
        level: a of each, float64 (m,).
        height: b of each.
        rate: c of each.
        misfit: Weighted sum of squared differences of each.
    """

    shape: Shape
    level: Floats
    height: Floats
    rate: Floats
    misfit: Floats

    def at(self, x: Floats) -> Floats:
        """The errors at sizes (k,) as shares of the largest one, float64 (m, k)."""
        fallen = self.shape.fall(x[None, :], self.rate[:, None])
        return np.asarray(self.level[:, None] + self.height[:, None] * fallen)


def fit_shape(shape: Shape, x: Floats, errors: Floats, weights: Floats) -> FittedShape:
    """Fit one shape to many curves by weighted least squares: every rate is tried, level and height are solved.

    Args:
        shape: To fit.
        x: Sizes as shares of the largest one, (sizes,).
        errors: Of m curves, (m, sizes).
        weights: How much each size counts, (sizes,).
    """
    best: tuple[Floats, ...] | None = None
    for rate in shape.rates:
        found = _solve(shape.fall(x, rate), errors, weights, asymptote=shape.asymptote)
        tried = (*found, np.full(len(errors), rate))
        if best is None:
            best = tried
        else:
            better = tried[2] < best[2]
            best = tuple(np.where(better, new, old) for new, old in zip(tried, best, strict=True))
    assert best is not None
    level, height, misfit, rates = best
    return FittedShape(shape, level, height, rates, misfit)


def _solve(fallen: Floats, errors: Floats, weights: Floats, *, asymptote: bool) -> tuple[Floats, Floats, Floats]:
    """Level, height and misfit of the best ``level + height * fallen`` for each curve; neither is negative."""
    share = weights / weights.sum()
    alone = np.maximum((errors * fallen) @ share / (fallen**2 @ share), 0.0)
    level, height = np.zeros(len(errors)), alone
    if asymptote:
        middle, mean = float(fallen @ share), errors @ share
        spread = float((fallen - middle) ** 2 @ share)
        slope = ((errors - mean[:, None]) * (fallen - middle)) @ share / max(spread, 1e-300)
        slope = np.maximum(slope, 0.0)
        ground = mean - slope * middle
        free = ground >= 0
        level, height = np.where(free, ground, 0.0), np.where(free, slope, alone)
    misfit = (errors - level[:, None] - height[:, None] * fallen) ** 2 @ weights
    return level, height, np.asarray(misfit)


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


def extrapolate(curve: ResampledCurve, sizes: Floats, multiples: Floats) -> Extrapolation:
    """Fit every shape to every resample of a curve.

    Sizes count by the inverse of their variance over resamples. The shapes don't show where the curve begins (few
    images obey other laws than many), so each shape is fitted to all sizes, and to the larger ones only, down to
    `_FEWEST` of them.

    Args:
        curve: Scores, of which 1 is the best.
        sizes: Training sizes, (sizes,), ascending.
        multiples: Sizes to extrapolate to, as multiples of the largest one.
    """
    x = sizes / sizes[-1]
    errors = 1 - np.concatenate([curve.points[None], curve.resampled])
    variances = errors[1:].var(axis=0) + 1e-6
    scores, gains = [], []
    for first in range(len(sizes) - _FEWEST + 1):
        for shape in SHAPES:
            fitted = fit_shape(shape, x[first:], errors[:, first:], 1 / variances[first:])
            predicted = fitted.at(np.append(multiples, 1.0))
            gains.append(predicted[:, -1:] - predicted[:, :-1])
            scores.append(1 - predicted[:, :-1])
    return Extrapolation(multiples, np.concatenate(scores), np.concatenate(gains))


def forecast(name: str, support: int, curve: ResampledCurve, sizes: Floats, factors: Floats) -> ScoreCurve:
    """A curve as people read it: measured, and carried on to so many times as many images.

    Args:
        name: Of the class; empty for all images.
        support: How many evaluated images it rests on.
        curve: Its scores.
        sizes: Training sizes.
        factors: Multiples of the largest size, ascending.
    """
    between = np.geomspace(1.0, factors[-1], _BAND)
    found = extrapolate(curve, sizes, np.concatenate([factors, between]))
    scores = [_score(column, support) for column in found.scores.T]
    gains = [_score(column, support) for column in found.gains.T]
    whole = np.rint(found.sizes * sizes[-1]).astype(int).tolist()
    predicted = zip(factors.tolist(), whole, scores, gains, strict=False)
    measured = zip(sizes.astype(int).tolist(), curve.points, curve.resampled.T, strict=True)
    return ScoreCurve(
        name=name,
        support=support,
        measured=tuple(
            SizeScore(size, with_interval(float(point), column, support)) for size, point, column in measured
        ),
        forecasts=tuple(Forecast(*each) for each in predicted),
        band=tuple(map(SizeScore, whole[len(factors) :], scores[len(factors) :])),
    )


def _score(column: Floats, support: int) -> Score:
    low, middle, high = np.quantile(column, (0.025, 0.5, 0.975)).tolist()
    return Score(middle, low, high, support)
