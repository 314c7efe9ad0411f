"""Extrapolation of learning curves, with intervals that include the uncertainty about the shape of the curve.

Most learning curves follow a power law, possibly towards an error that more images don't reduce (Hestness et al., Deep
learning scaling is predictable, empirically, 2017; Viering and Loog, The shape of learning curves, 2022). A few noisy
sizes don't determine the shape, and the shapes differ most beyond the measured sizes, so several shapes are fitted.
Exponentials are excluded: they fit measured curves worse (Viering and Loog) and always predict no gain from more
images.

Intervals come from bootstrap resamples of the evaluated images. If each draw evaluates different images (folds), this
also resamples the draws; if draws share their evaluated images, the draws are resampled too (a bootstrap of two
factors; Davison and Hinkley, Bootstrap Methods and their Application, 1997, section 3.8). The same resample is used for
all sizes, because all sizes are evaluated on the same images.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from distingo.experiments.curve_measuring import Forecast, ScoreCurve, SizeScore, SubsetPredictions
from distingo.metrics.intervals import with_interval
from distingo.metrics.label_intervals import MIN_POSITIVES
from distingo.metrics.ranking import Ranking
from distingo.records import Task
from distingo.scores import Score

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ResampledCurve:
    """One score over training sizes.

    Attributes:
        points: Scores on the original images, float64 (sizes,).
        resampled: Scores of the resamples, float64 (resamples, sizes).
    """

    points: Floats
    resampled: Floats


@dataclass(frozen=True, slots=True)
class ResampledCurves:
    """All scores over training sizes.

    Attributes:
        overall: Accuracy, or the mean average precision of the labels with enough images.
        classes: Recall of each class, or average precision of each label; None if no evaluated image has it.
    """

    overall: ResampledCurve
    classes: tuple[ResampledCurve | None, ...]


def resample_curves(measured: SubsetPredictions, task: Task, *, seed: int = 0, resamples: int = 400) -> ResampledCurves:
    """Score every size on the original images and on bootstrap resamples.

    Args:
        measured: The predictions of the models.
        task: ``single-label`` or ``multi-label``.
        seed: Seed of the resamples.
        resamples: Number of resamples.
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


def _draw_weights(measured: SubsetPredictions, generator: np.random.Generator, resamples: int) -> npt.NDArray[np.int32]:
    """Weight of each row in each resample, int32 (1 + resamples, rows); the first is the original sample."""
    names, row_images = np.unique(measured.images, return_inverse=True)
    count, draws = len(names), int(measured.draws.max()) + 1
    images = generator.multinomial(count, np.full(count, 1 / count), size=resamples)
    weights = images[:, row_images]
    if count < len(row_images):  # draws that share their evaluated images are resampled too
        weights = weights * generator.multinomial(draws, np.full(draws, 1 / draws), size=resamples)[:, measured.draws]
    return np.concatenate([np.ones((1, len(row_images))), weights]).astype(np.int32)


def _shares(right: npt.NDArray[np.bool_], weights: npt.NDArray[np.int32]) -> ResampledCurve:
    """Weighted share of correct rows, from bool (sizes, rows) and weights (1 + resamples, rows)."""
    floats = weights.astype(np.float64)
    totals = floats.sum(axis=1)
    shares = floats @ right.T.astype(np.float64) / np.maximum(totals, 1)[:, None]
    shares[totals == 0] = shares[0]
    return ResampledCurve(shares[0], shares[1:])


def _rank_labels(measured: SubsetPredictions, weights: npt.NDArray[np.int32]) -> ResampledCurves:
    truth = measured.truth.astype(bool)
    precisions = np.stack([_precisions(truth, predicted, weights) for predicted in measured.probabilities], axis=1)
    has_enough = truth.sum(axis=0) >= MIN_POSITIVES
    selected = precisions[:, :, has_enough if has_enough.any() else truth.any(axis=0)]
    overall = np.nanmean(selected, axis=2)
    return ResampledCurves(
        ResampledCurve(overall[0], overall[1:]),
        tuple(_filled(precisions[:, :, label]) if truth[:, label].any() else None for label in range(truth.shape[1])),
    )


def _precisions(truth: npt.NDArray[np.bool_], predicted: npt.NDArray[Any], weights: npt.NDArray[np.int32]) -> Floats:
    """Average precision by resample and label, float64 (1 + resamples, labels); NaN where undefined."""
    rankings = [Ranking.of(truth[:, label], predicted[:, label]) for label in range(truth.shape[1])]
    return np.stack([ranking.average_precision(weights) for ranking in rankings], axis=1)


def _filled(scores: Floats) -> ResampledCurve:
    scores = np.where(np.isnan(scores), scores[:1], scores)
    return ResampledCurve(scores[0], scores[1:])


@dataclass(frozen=True, slots=True)
class Shape:
    """Model of the error, ``a + b * fall(x, c)`` with a, b >= 0; x is the size as a share of the largest one.

    Attributes:
        name: Display name.
        fall: A function that decreases with x.
        rates: Candidate values of c.
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
        shape: The shape.
        level: Parameter a of each curve, float64 (m,).
        height: Parameter b of each curve.
        rate: Parameter c of each curve.
        squared_error: Weighted sum of squared residuals of each curve.
    """

    shape: Shape
    level: Floats
    height: Floats
    rate: Floats
    squared_error: Floats

    def at(self, x: Floats) -> Floats:
        """Errors, float64 (m, k), at sizes (k,) that are shares of the largest one."""
        fallen = self.shape.fall(x[None, :], self.rate[:, None])
        return np.asarray(self.level[:, None] + self.height[:, None] * fallen)


def fit_shape(shape: Shape, x: Floats, errors: Floats, weights: Floats) -> FittedShape:
    """Fit one shape to many curves by weighted least squares: grid search for the rate, exact level and height.

    Args:
        shape: The shape to fit.
        x: Sizes as shares of the largest one, (sizes,).
        errors: Errors of m curves, (m, sizes).
        weights: Weight of each size, (sizes,).
    """
    best: tuple[Floats, ...] | None = None
    for rate in shape.rates:
        solution = _solve(shape.fall(x, rate), errors, weights, asymptote=shape.asymptote)
        candidate = (*solution, np.full(len(errors), rate))
        if best is None:
            best = candidate
        else:
            better = candidate[2] < best[2]
            best = tuple(np.where(better, new, old) for new, old in zip(candidate, best, strict=True))
    assert best is not None
    level, height, squared_error, rates = best
    return FittedShape(shape, level, height, rates, squared_error)


def _solve(fallen: Floats, errors: Floats, weights: Floats, *, asymptote: bool) -> tuple[Floats, Floats, Floats]:
    """Level, height and misfit of the best ``level + height * fallen`` for each curve; neither is negative."""
    normalized = weights / weights.sum()
    height_only = np.maximum((errors * fallen) @ normalized / (fallen**2 @ normalized), 0.0)
    level, height = np.zeros(len(errors)), height_only
    if asymptote:
        mean_fall, mean_error = float(fallen @ normalized), errors @ normalized
        variance = float((fallen - mean_fall) ** 2 @ normalized)
        slope = ((errors - mean_error[:, None]) * (fallen - mean_fall)) @ normalized / max(variance, 1e-300)
        slope = np.maximum(slope, 0.0)
        intercept = mean_error - slope * mean_fall
        non_negative = intercept >= 0
        level, height = np.where(non_negative, intercept, 0.0), np.where(non_negative, slope, height_only)
    squared_error = (errors - level[:, None] - height[:, None] * fallen) ** 2 @ weights
    return level, height, np.asarray(squared_error)


_MIN_SIZES = 4
"""Minimum number of sizes, the largest ones, that a shape is fitted to."""

_BAND = 25
"""Number of sizes at which the forecast is evaluated for drawing."""


@dataclass(frozen=True, slots=True)
class Extrapolation:
    """Fitted curves at other sizes.

    Attributes:
        sizes: Multiples of the largest measured size, (sizes,).
        scores: Float64 (curves, sizes), for every shape fitted to every resample.
        gains: Scores minus the same curve's score at the largest measured size.
    """

    sizes: Floats
    scores: Floats
    gains: Floats


def extrapolate(curve: ResampledCurve, sizes: Floats, multiples: Floats) -> Extrapolation:
    """Fit every shape to every resample of a curve.

    Sizes are weighted by the inverse of their variance over resamples. Small sizes may not follow the same law as large
    ones, so each shape is fitted to all sizes and repeatedly without the smallest ones, down to `_MIN_SIZES` sizes.

    Args:
        curve: Scores, with 1 as the best possible score.
        sizes: Training sizes, (sizes,), ascending.
        multiples: Sizes to extrapolate to, as multiples of the largest one.
    """
    x = sizes / sizes[-1]
    errors = 1 - np.concatenate([curve.points[None], curve.resampled])
    variances = errors[1:].var(axis=0) + 1e-6
    scores, gains = [], []
    for first in range(len(sizes) - _MIN_SIZES + 1):
        for shape in SHAPES:
            fitted = fit_shape(shape, x[first:], errors[:, first:], 1 / variances[first:])
            predicted = fitted.at(np.append(multiples, 1.0))
            gains.append(predicted[:, -1:] - predicted[:, :-1])
            scores.append(1 - predicted[:, :-1])
    return Extrapolation(multiples, np.concatenate(scores), np.concatenate(gains))


def forecast(name: str, support: int, curve: ResampledCurve, sizes: Floats, factors: Floats) -> ScoreCurve:
    """Create a curve of measured scores and their extrapolation.

    Args:
        name: Name of the class; empty for all images.
        support: Number of evaluated images.
        curve: The measured scores.
        sizes: Training sizes.
        factors: Multiples of the largest size, ascending.
    """
    multiples = np.geomspace(1.0, factors[-1], _BAND)
    extrapolation = extrapolate(curve, sizes, np.concatenate([factors, multiples]))
    scores = [_score(column, support) for column in extrapolation.scores.T]
    gains = [_score(column, support) for column in extrapolation.gains.T]
    rounded_sizes = np.rint(extrapolation.sizes * sizes[-1]).astype(int).tolist()
    predicted = zip(factors.tolist(), rounded_sizes, scores, gains, strict=False)
    measured = zip(sizes.astype(int).tolist(), curve.points, curve.resampled.T, strict=True)
    return ScoreCurve(
        name=name,
        support=support,
        measured=tuple(
            SizeScore(size, with_interval(float(point), column, support)) for size, point, column in measured
        ),
        forecasts=tuple(Forecast(*each) for each in predicted),
        band=tuple(map(SizeScore, rounded_sizes[len(factors) :], scores[len(factors) :])),
    )


def _score(column: Floats, support: int) -> Score:
    low, middle, high = np.quantile(column, (0.025, 0.5, 0.975)).tolist()
    return Score(middle, low, high, support)
