"""Every label on its own: curve, two-by-two table, scores, and what its threshold does."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from distingo.metrics.label_tables import two_by_two
from distingo.records import Evaluation, LabelScores, TwoByTwo
from distingo.report.label_predictions import LabelPredictions
from distingo.report.precision_recall import CurveDrawing, draw_precision_recall
from distingo.report.two_by_two import LabelCell, view_cells

MOST_CARDS = 60
"""Beyond these, labels have a row in the table only."""

PLAIN_THRESHOLD = 0.5


@dataclass(frozen=True, slots=True)
class LabelCard:
    """What a page shows of one label.

    Attributes:
        scores: Of the label.
        prevalence: Share of the judged pictures that have it.
        left_out: Whether too few have it to judge.
        plain_f1: F1 with a threshold of 0.5; None without predictions.
        curve: Precision over recall; None without predictions, or where no picture has the label.
        cells: The two-by-two table, in the order of `two_by_two.OUTCOMES`; empty beyond `MOST_CARDS`.
    """

    scores: LabelScores
    prevalence: float
    left_out: bool
    plain_f1: float | None
    curve: CurveDrawing | None
    cells: tuple[LabelCell, ...]


def view_labels(evaluation: Evaluation, predictions: LabelPredictions | None) -> tuple[LabelCard, ...]:
    """Every label's card, most pictures first.

    Args:
        evaluation: With scores per label.
        predictions: Where curves and pictures come from; None leaves them out.
    """
    plain = _plain_f1(predictions) if predictions else {}
    ranked = sorted(evaluation.per_label, key=lambda scores: -scores.support)
    return tuple(
        LabelCard(
            scores=scores,
            prevalence=scores.support / evaluation.n,
            left_out=scores.name in evaluation.left_out,
            plain_f1=plain.get(scores.name),
            curve=_curve(scores, predictions) if predictions and place < MOST_CARDS else None,
            cells=view_cells(scores, predictions) if place < MOST_CARDS else (),
        )
        for place, scores in enumerate(ranked)
    )


def mean_plain_f1(cards: tuple[LabelCard, ...]) -> float | None:
    """F1 (macro) with every threshold at 0.5, over the labels that are judged; None where it is not known."""
    measured = [card.plain_f1 for card in cards if not card.left_out and card.plain_f1 is not None]
    return sum(measured) / len(measured) if measured else None


def _curve(scores: LabelScores, predictions: LabelPredictions) -> CurveDrawing | None:
    if not scores.support:
        return None
    column = predictions.labels.index(scores.name)
    return draw_precision_recall(scores, predictions.truth[:, column], predictions.probabilities[:, column])


def _plain_f1(predictions: LabelPredictions) -> dict[str, float]:
    given = np.asarray(predictions.probabilities >= PLAIN_THRESHOLD)
    tables = two_by_two(predictions.truth, given)
    return {name: _f1(cells) for name, cells in zip(predictions.labels, tables, strict=True)}


def _f1(cells: TwoByTwo) -> float:
    both = 2 * cells.true_positives
    either = both + cells.false_positives + cells.false_negatives
    return both / either if either else 0.0
