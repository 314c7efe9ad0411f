"""The two-by-two table of each label and the pictures behind its cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from distingo.records import LabelScores
from distingo.report.label_predictions import LabelPredictions

Outcome = Literal["found", "missed", "invented", "rest"]
"""The label is there and given; there and denied; absent and given; absent and denied."""

OUTCOMES: tuple[Outcome, ...] = ("found", "missed", "invented", "rest")

MOST_OF_A_MISTAKE = 24
MOST_OF_A_RIGHT_ANSWER = 12


@dataclass(frozen=True, slots=True)
class LabelCell:
    """One cell of a label's table.

    Attributes:
        label: The label.
        outcome: Which cell.
        number: How many judged pictures.
        rows: Places of its pictures among the predictions, at most `MOST_OF_A_MISTAKE`: of a mistake the surest
            first, of a right answer the least sure first.
    """

    label: str
    outcome: Outcome
    number: int
    rows: tuple[int, ...]


def view_cells(scores: LabelScores, predictions: LabelPredictions | None) -> tuple[LabelCell, ...]:
    """The four cells of a label, in the order of `OUTCOMES`.

    Args:
        scores: Of the label.
        predictions: Where the pictures come from; None leaves the cells without.
    """
    counts = scores.two_by_two
    numbers = (counts.true_positives, counts.false_negatives, counts.false_positives, counts.true_negatives)
    return tuple(
        LabelCell(scores.name, outcome, number, _rows(predictions, scores.name, outcome) if predictions else ())
        for outcome, number in zip(OUTCOMES, numbers, strict=True)
    )


def _rows(predictions: LabelPredictions, label: str, outcome: Outcome) -> tuple[int, ...]:
    column = predictions.labels.index(label)
    there, given = predictions.truth[:, column], predictions.given[:, column]
    inside = (there if outcome in ("found", "missed") else ~there) & (
        given if outcome in ("found", "invented") else ~given
    )
    rows = np.flatnonzero(inside)
    # the surest mistake is the least probable label that is there, and the most probable one that is not
    sign = 1.0 if outcome in ("found", "missed") else -1.0
    ranked = rows[np.argsort(sign * predictions.probabilities[rows, column], kind="stable")]
    most = MOST_OF_A_MISTAKE if outcome in ("missed", "invented") else MOST_OF_A_RIGHT_ANSWER
    return tuple(ranked[:most].tolist())
