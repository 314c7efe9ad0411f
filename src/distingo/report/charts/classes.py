"""The confusion matrix, and the card of each label.

The matrix has the classes to show, the shade of each cell, and the images behind it; a card has the precision-recall
curve, the confusion matrix, scores, and the effect of the label's threshold.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from distingo.language import count, gettext
from distingo.metrics.multi_label import PrecisionRecallCurve, label_confusions, precision_recall_curve
from distingo.report.charts.curves import scale_to
from distingo.report.text.wording import counted
from distingo.runs.predictions import Predicted, PredictionRow
from distingo.scores import BinaryConfusion, Evaluation, LabelScores

MOST_CLASSES = 24
"""A larger matrix can't be read on a page; the most confused classes are shown instead."""

MOST_PAIRS = 12

CellKey = tuple[str, str]
"""Truth and prediction."""


@dataclass(frozen=True, slots=True)
class ConfusionCell:
    """One cell of the matrix.

    Attributes:
        truth: The true class.
        predicted: The class that the model said.
        number: How many test images.
        share: Of the true class's test images, from 0 to 1.
        right: Whether it lies on the diagonal.
    """

    truth: str
    predicted: str
    number: int
    share: float
    right: bool


@dataclass(frozen=True, slots=True)
class ConfusionView:
    """The part of a confusion matrix that is shown.

    Attributes:
        classes: The classes shown, in the evaluation's order.
        rows: One row of cells per class shown.
        pairs: The most frequent confusions over all classes, most images first.
        total: How many classes there are.
    """

    classes: tuple[str, ...]
    rows: tuple[tuple[ConfusionCell, ...], ...]
    pairs: tuple[ConfusionCell, ...]
    total: int

    @property
    def cells(self) -> tuple[ConfusionCell, ...]:
        """Every non-empty cell that a person can open: those in the matrix, then the pairs outside it."""
        shown = {(cell.truth, cell.predicted): cell for row in self.rows for cell in row if cell.number}
        shown.update({(cell.truth, cell.predicted): cell for cell in self.pairs})
        return tuple(shown.values())


def view_confusion(evaluation: Evaluation) -> ConfusionView | None:
    """Choose what to show of a confusion matrix.

    Args:
        evaluation: The scores with the matrix, rows the truth and columns the prediction.

    Returns:
        The view, or None for an evaluation without a matrix.
    """
    if not evaluation.confusion:
        return None
    shown = _most_confused(evaluation.confusion, MOST_CLASSES)
    rows = tuple(tuple(_cell(evaluation, row, column) for column in shown) for row in shown)
    return ConfusionView(
        classes=tuple(evaluation.classes[index] for index in shown),
        rows=rows,
        pairs=_pairs(evaluation),
        total=len(evaluation.classes),
    )


def most_frequent_confusions(evaluation: Evaluation) -> dict[str, ConfusionCell]:
    """For each class with mistakes, the class that its images are most often taken for."""
    most_frequent = {}
    for row, numbers in enumerate(evaluation.confusion):
        wrong = [column for column, number in enumerate(numbers) if number and column != row]
        if wrong:
            column = max(wrong, key=lambda column: numbers[column])
            most_frequent[evaluation.classes[row]] = _cell(evaluation, row, column)
    return most_frequent


def group_by_cell(predictions: Sequence[PredictionRow]) -> dict[CellKey, list[PredictionRow]]:
    """Sort predictions into cells; mistakes most confident first, right answers least confident first."""
    cells: dict[CellKey, list[PredictionRow]] = defaultdict(list)
    for prediction in predictions:
        cells[prediction.truth, prediction.predicted].append(prediction)
    for (truth, predicted), rows in cells.items():
        rows.sort(key=lambda row: (row.confidence, row.file), reverse=truth != predicted)
    return dict(cells)


def _most_confused(confusion: Sequence[Sequence[int]], most: int) -> list[int]:
    size = len(confusion)
    if size <= most:
        return list(range(size))
    wrong = [0] * size
    for row, numbers in enumerate(confusion):
        for column, number in enumerate(numbers):
            if number and column != row:
                wrong[row] += number
                wrong[column] += number
    ranked = sorted(range(size), key=lambda index: (-wrong[index], index))
    return sorted(ranked[:most])


def _pairs(evaluation: Evaluation) -> tuple[ConfusionCell, ...]:
    wrong = [
        (number, row, column)
        for row, numbers in enumerate(evaluation.confusion)
        for column, number in enumerate(numbers)
        if number and column != row
    ]
    wrong.sort(key=lambda pair: (-pair[0], pair[1], pair[2]))
    return tuple(_cell(evaluation, row, column) for _, row, column in wrong[:MOST_PAIRS])


def _cell(evaluation: Evaluation, row: int, column: int) -> ConfusionCell:
    numbers = evaluation.confusion[row]
    number = numbers[column]
    return ConfusionCell(
        truth=evaluation.classes[row],
        predicted=evaluation.classes[column],
        number=number,
        share=number / max(1, sum(numbers)),
        right=row == column,
    )


def cell_note(number: int, shown: int, *, agrees: bool) -> str:
    """Say what is seen when a cell is opened.

    Args:
        number: The cell's images.
        shown: How many of them the page holds.
        agrees: Whether the model was right about them, so that the least sure ones are worth seeing first.
    """
    images = counted(number, "picture", "pictures")
    if not shown:
        return gettext("%(images)s. The run folder has no predictions.parquet to show them from.", images=images)
    if number == 1:
        return gettext("%(images)s.", images=images)
    if shown == number:
        if agrees:
            return gettext("%(images)s, least sure first.", images=images)
        return gettext("%(images)s, surest first.", images=images)
    if agrees:
        return gettext("%(images)s, least sure first; the first %(shown)s are here.", images=images, shown=count(shown))
    return gettext("%(images)s, surest first; the first %(shown)s are here.", images=images, shown=count(shown))


LEFT, RIGHT, TOP, BOTTOM = 34, 214, 8, 124

_POINTS = 80

across = scale_to(0.0, 1.0, LEFT, RIGHT)
"""Recall to pixels."""

upwards = scale_to(0.0, 1.0, BOTTOM, TOP)
"""Precision to pixels."""


@dataclass(frozen=True, slots=True)
class CurveDrawing:
    """One label's curve, ready to draw.

    Attributes:
        path: The SVG path of its steps; their area is the average precision.
        prevalence: The height of the line that an order of chance would follow, in pixels.
        chosen: Where the threshold puts recall and precision, in pixels; None where the label is never given.
    """

    path: str
    prevalence: float
    chosen: tuple[float, float] | None


def draw_precision_recall(scores: LabelScores, truth: npt.ArrayLike, probabilities: npt.ArrayLike) -> CurveDrawing:
    """Lay out one label's precision over recall.

    Args:
        scores: Of the label; at least one image has it.
        truth: Bool (n,).
        probabilities: Floats (n,).
    """
    curve = precision_recall_curve(truth, probabilities, points=_POINTS)
    cells = scores.two_by_two
    given = cells.true_positives + cells.false_positives
    images = given + cells.false_negatives + cells.true_negatives
    return CurveDrawing(
        path=_steps(curve),
        prevalence=upwards(scores.support / images),
        chosen=(across(scores.recall), upwards(scores.precision)) if given else None,
    )


def _steps(curve: PrecisionRecallCurve) -> str:
    """A recall that is not reached yet has the precision of the next one that is: no straight line between points."""
    points = [(recall, precision) for recall, precision in zip(curve.recall, curve.precision, strict=True) if recall]
    steps = "".join(f"V{upwards(precision):g}H{across(recall):g}" for recall, precision in points)
    return f"M{across(0.0):g},{upwards(points[0][1]):g}{steps}"


Outcome = Literal["found", "missed", "invented", "rest"]
"""The label is there and given; there and denied; absent and given; absent and denied."""

OUTCOMES: tuple[Outcome, ...] = ("found", "missed", "invented", "rest")

MOST_OF_A_MISTAKE = 24

MOST_OF_A_CORRECT_CELL = 12


@dataclass(frozen=True, slots=True)
class LabelCell:
    """One cell of a label's table.

    Attributes:
        label: The label.
        outcome: Which cell.
        number: How many evaluated images.
        rows: Places of its images among the predictions, at most `MOST_OF_A_MISTAKE`: of a mistake the surest
            first, of a right answer the least sure first.
    """

    label: str
    outcome: Outcome
    number: int
    rows: tuple[int, ...]


def view_cells(scores: LabelScores, predictions: Predicted | None) -> tuple[LabelCell, ...]:
    """The four cells of a label, in the order of `OUTCOMES`.

    Args:
        scores: Of the label.
        predictions: Where the images come from; None leaves the cells without.
    """
    counts = scores.two_by_two
    numbers = (counts.true_positives, counts.false_negatives, counts.false_positives, counts.true_negatives)
    return tuple(
        LabelCell(scores.name, outcome, number, _rows(predictions, scores.name, outcome) if predictions else ())
        for outcome, number in zip(OUTCOMES, numbers, strict=True)
    )


def _rows(predictions: Predicted, label: str, outcome: Outcome) -> tuple[int, ...]:
    column = predictions.classes.index(label)
    actual, given = predictions.truth[:, column], predictions.predicted[:, column]
    inside = (actual if outcome in ("found", "missed") else ~actual) & (
        given if outcome in ("found", "invented") else ~given
    )
    rows = np.flatnonzero(inside)
    # the surest mistake is the least probable label that is there, and the most probable one that is not
    sign = 1.0 if outcome in ("found", "missed") else -1.0
    ranked = rows[np.argsort(sign * predictions.probabilities[rows, column], kind="stable")]
    most = MOST_OF_A_MISTAKE if outcome in ("missed", "invented") else MOST_OF_A_CORRECT_CELL
    return tuple(ranked[:most].tolist())


MOST_CARDS = 60
"""Beyond these, labels have a row in the table only."""

PLAIN_THRESHOLD = 0.5


@dataclass(frozen=True, slots=True)
class LabelCard:
    """What a page shows of one label.

    Attributes:
        scores: Of the label.
        prevalence: Share of the evaluated images that have it.
        left_out: Whether too few have it to evaluate.
        plain_f1: F1 with a threshold of 0.5; None without predictions.
        curve: Precision over recall; None without predictions, or where no image has the label.
        cells: The per-label confusion matrix, in the order of `label_confusions.OUTCOMES`; empty beyond `MOST_CARDS`.
    """

    scores: LabelScores
    prevalence: float
    left_out: bool
    plain_f1: float | None
    curve: CurveDrawing | None
    cells: tuple[LabelCell, ...]


def view_labels(evaluation: Evaluation, predictions: Predicted | None) -> tuple[LabelCard, ...]:
    """Every label's card, most images first.

    Args:
        evaluation: With scores per label.
        predictions: Where curves and images come from; None leaves them out.
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
    """F1 (macro) with every threshold at 0.5, over the labels that are evaluated; None where it is not known."""
    measured = [card.plain_f1 for card in cards if not card.left_out and card.plain_f1 is not None]
    return sum(measured) / len(measured) if measured else None


def _curve(scores: LabelScores, predictions: Predicted) -> CurveDrawing | None:
    if not scores.support:
        return None
    column = predictions.classes.index(scores.name)
    return draw_precision_recall(scores, predictions.truth[:, column], predictions.probabilities[:, column])


def _plain_f1(predictions: Predicted) -> dict[str, float]:
    given = np.asarray(predictions.probabilities >= PLAIN_THRESHOLD)
    tables = label_confusions(predictions.truth, given)
    return {name: _f1(cells) for name, cells in zip(predictions.classes, tables, strict=True)}


def _f1(cells: BinaryConfusion) -> float:
    both = 2 * cells.true_positives
    either = both + cells.false_positives + cells.false_negatives
    return both / either if either else 0.0
