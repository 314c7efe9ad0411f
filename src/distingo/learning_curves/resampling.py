"""The scores of a learning curve, and what they might have been with other pictures and other draws.

Each resample draws the judged pictures anew, with repetition. Where every draw judges pictures of its own (folds), that
varies the draws with them; where draws share their judged pictures, the draws are drawn anew too (a bootstrap of two
factors; Davison and Hinkley, Bootstrap Methods and their Application, 1997, section 3.8). The same resample holds at
every size, so that the sizes stay as alike as they are: all are judged on the same pictures.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from distingo.learning_curves.measuring import Measured
from distingo.metrics.judged_labels import MIN_POSITIVES
from distingo.metrics.ranking import Ranking
from distingo.records import Task

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
        overall: Accuracy, or the mean average precision of the labels that enough pictures have.
        classes: Each class's recall, or each label's average precision; None where no judged picture has it.
    """

    overall: ResampledCurve
    classes: tuple[ResampledCurve | None, ...]


def resample_curves(measured: Measured, task: Task, *, seed: int = 0, resamples: int = 400) -> ResampledCurves:
    """Score every size, on the pictures as they are and on resamples of them.

    Args:
        measured: What the models said.
        task: One label per picture, or several.
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
    """How often each row counts, int32 (1 + resamples, rows); the first are the pictures as they are."""
    names, places = np.unique(measured.pictures, return_inverse=True)
    count, draws = len(names), int(measured.draws.max()) + 1
    pictures = generator.multinomial(count, np.full(count, 1 / count), size=resamples)
    weights = pictures[:, places]
    if count < len(places):  # draws that share their judged pictures are resampled too
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
    each = np.stack([_precisions(truth, told, weights) for told in measured.probabilities], axis=1)
    kept = truth.sum(axis=0) >= MIN_POSITIVES
    chosen = each[:, :, kept if kept.any() else truth.any(axis=0)]
    overall = np.nanmean(chosen, axis=2)
    return ResampledCurves(
        ResampledCurve(overall[0], overall[1:]),
        tuple(_filled(each[:, :, label]) if truth[:, label].any() else None for label in range(truth.shape[1])),
    )


def _precisions(truth: npt.NDArray[np.bool_], told: npt.NDArray[Any], weights: npt.NDArray[np.int32]) -> Floats:
    """Every label's average precision in every resample, float64 (1 + resamples, labels); NaN where undefined."""
    rankings = [Ranking.of(truth[:, label], told[:, label]) for label in range(truth.shape[1])]
    return np.stack([ranking.average_precision(weights) for ranking in rankings], axis=1)


def _filled(scores: Floats) -> ResampledCurve:
    scores = np.where(np.isnan(scores), scores[:1], scores)
    return ResampledCurve(scores[0], scores[1:])
