"""Two classifiers of independent labels on the same pictures: mean average precision, macro F1, and label by label."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from distingo.metrics.label_intervals import (
    Estimate,
    JudgedLabels,
    mean_precision,
    precision_estimates,
    threshold_estimates,
)
from distingo.metrics.paired import SWAPS, PairedScore, holm, randomisation_p_value
from distingo.metrics.paired_classes import ClassDifference
from distingo.metrics.resampling import chunks

Booleans = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

_MOST_SWAPPED = 100_000_000
"""Cells of pictures and labels that all swaps together may rank; beyond, there are fewer swaps."""

_FEWEST_SWAPS = 999

SCORES = ("mean_average_precision_macro", "f1_macro")


@dataclass(frozen=True, slots=True)
class LabelAnswers:
    """What a classifier says about n pictures: probabilities float (n, labels), and bool (n, labels) what it gives."""

    probabilities: npt.NDArray[np.float32]
    given: Booleans


@dataclass(frozen=True, slots=True)
class PairedLabels:
    """Two classifiers beside each other: `SCORES` by name, and each label that a picture has."""

    scores: dict[str, PairedScore]
    labels: tuple[ClassDifference, ...]


def compare_labels(
    truth: Booleans, first: LabelAnswers, second: LabelAnswers, labels: tuple[str, ...], *, seed: int = 0
) -> PairedLabels:
    """Compare two classifiers of independent labels.

    Average precision is of an order, so what is swapped in its test is a picture's rank in either order, which keeps
    classifiers with differently spread probabilities comparable (Bandos, Rockette and Gur, A permutation test sensitive
    to differences in areas for comparing ROC curves from a paired design, Statistics in Medicine 24, 2005). Macro
    scores leave out labels with fewer pictures than `distingo.metrics.label_intervals.MIN_POSITIVES`; these are
    not tested either.

    Args:
        truth: Bool (n, labels).
        first: Of the same pictures in the same order.
        second: Likewise.
        labels: Names of the columns.
        seed: Of the swaps.

    Raises:
        ValueError: The arrays differ in shape, or hold no picture.
    """
    shapes = {side.shape for side in (truth, first.probabilities, first.given, second.probabilities, second.given)}
    if shapes != {(len(truth), len(labels))} or not truth.size:
        raise ValueError(f"tables of shapes {sorted(shapes)}; give ({len(truth)}, {len(labels)}) of each")
    judged = [JudgedLabels.of(truth, side.probabilities, side.given) for side in (first, second)]
    each = [precision_estimates(side) for side in judged]
    kept = judged[0].kept
    p_values, p_each = _swap(truth, first, second, np.random.default_rng([seed, 1]))
    threshold = [threshold_estimates(side).get("f1_macro") for side in judged]
    scores = (
        {
            SCORES[0]: _paired(mean_precision(each[0], kept), mean_precision(each[1], kept), p_values[SCORES[0]]),
            SCORES[1]: _paired(threshold[0], threshold[1], p_values[SCORES[1]]),
        }
        if kept.any()
        else {}
    )
    adjusted = dict(zip(np.flatnonzero(kept).tolist(), holm(p_each[kept].tolist()), strict=True))
    differences = []
    for at in np.flatnonzero(truth.any(axis=0)).tolist():
        paired = _paired(each[0][at], each[1][at], float(p_each[at]) if kept[at] else None)
        differences.append(ClassDifference(labels[at], int(truth[:, at].sum()), paired, adjusted.get(at)))
    return PairedLabels(scores, tuple(differences))


def _paired(first: Estimate | None, second: Estimate | None, p_value: float | None) -> PairedScore:
    if first is None or second is None:
        raise ValueError("no picture has the label")
    return PairedScore.of((first.value, second.value), first.above(second), p_value, len(first.moved))


def _swap(
    truth: Booleans, first: LabelAnswers, second: LabelAnswers, generator: np.random.Generator
) -> tuple[dict[str, float], Floats]:
    """P-values of `SCORES` by name, and of each label's average precision; NaN of labels without pictures."""
    shuffled = generator.permutation(len(truth))  # so that equal probabilities rank by chance
    orders = [shuffled[np.argsort(-side.probabilities[shuffled], axis=0, kind="stable")].T for side in (first, second)]
    kept = np.flatnonzero(JudgedLabels.of(truth, first.probabilities, first.given).kept)
    swaps = int(np.clip(_MOST_SWAPPED // truth.size, _FEWEST_SWAPS, SWAPS))
    precisions: list[Floats] = []
    f1: list[Floats] = []
    for size in chunks(swaps, truth.size):
        swap = generator.random((size, len(truth))) < 0.5
        if not precisions:
            swap[0] = False  # the answers as they are
        precisions.append(_precision_differences(truth, orders, swap))
        f1.append(_f1_differences(truth, (first.given, second.given), swap, kept))
    each = np.concatenate(precisions)
    swapped = {SCORES[0]: each[:, kept].mean(axis=1) if kept.size else each[:, 0], SCORES[1]: np.concatenate(f1)}
    p_values = {name: randomisation_p_value(float(found[0]), found[1:]) for name, found in swapped.items()}
    return p_values, np.array([randomisation_p_value(float(column[0]), column[1:]) for column in each.T])


def _precision_differences(truth: Booleans, orders: list[npt.NDArray[np.int64]], swap: Booleans) -> Floats:
    """Average precision of the first order minus the second's after each swap, (swaps, labels).

    A rank has one picture in each order; after a swap it has those of the first that stayed and of the second that
    came over. Pictures of equal rank count together.
    """
    differences = np.full((len(swap), truth.shape[1]), np.nan)
    for label in np.flatnonzero(truth.any(axis=0)):
        places = orders[0][label], orders[1][label]
        moved = [swap[:, place] for place in places]
        positive = [truth[place, label] for place in places]
        both = [
            _average_precision((~moved[0], moved[1]), (positive[0], positive[1])),
            _average_precision((moved[0], ~moved[1]), (positive[0], positive[1])),
        ]
        differences[:, label] = both[0] - both[1]
    return differences


def _average_precision(present: tuple[Booleans, Booleans], positive: tuple[Booleans, Booleans]) -> Floats:
    entries = present[0].astype(np.int32) + present[1]
    right = (present[0] & positive[0]).astype(np.int32) + (present[1] & positive[1])
    reached = entries.cumsum(axis=1, dtype=np.float64)
    found = right.cumsum(axis=1, dtype=np.float64)
    precision = np.divide(found, reached, out=np.zeros_like(found), where=reached > 0)
    averages: Floats = (right * precision).sum(axis=1) / found[:, -1]
    return averages


def _f1_differences(
    truth: Booleans, given: tuple[Booleans, Booleans], swap: Booleans, kept: npt.NDArray[np.intp]
) -> Floats:
    """Macro F1 of the first minus the second's after each swap, (swaps,)."""
    if not kept.size:
        return np.full(len(swap), np.nan)
    moved, true = swap.astype(np.float64), truth[:, kept].sum(axis=0)
    said = [side[:, kept].astype(np.float64) for side in given]
    right = [side * truth[:, kept] for side in said]
    more_said, more_right = moved @ (said[1] - said[0]), moved @ (right[1] - right[0])
    first = 2 * (right[0].sum(axis=0) + more_right) / (true + said[0].sum(axis=0) + more_said)
    second = 2 * (right[1].sum(axis=0) - more_right) / (true + said[1].sum(axis=0) - more_said)
    differences: Floats = first.mean(axis=1) - second.mean(axis=1)
    return differences
