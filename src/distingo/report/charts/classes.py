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
"""Maximum number of classes in the matrix; of more, the most confused ones are shown."""

MOST_PAIRS = 12

CellKey = tuple[str, str]
"""Truth and prediction."""


@dataclass(frozen=True, slots=True)
class ConfusionCell:
    """One cell of the matrix.

    Attributes:
        truth: The true class.
        predicted: The predicted class.
        number: Number of test images.
        share: Share of the true class's test images, from 0 to 1.
        right: Whether it is on the diagonal.
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
        total: Number of classes.
    """

    classes: tuple[str, ...]
    rows: tuple[tuple[ConfusionCell, ...], ...]
    pairs: tuple[ConfusionCell, ...]
    total: int

    @property
    def cells(self) -> tuple[ConfusionCell, ...]:
        """All non-empty cells that a user can open: those of the matrix, then the pairs outside of it."""
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
    """For each class with errors, the most frequent wrong prediction."""
    most_frequent = {}
    for row, numbers in enumerate(evaluation.confusion):
        wrong = [column for column, number in enumerate(numbers) if number and column != row]
        if wrong:
            column = max(wrong, key=lambda column: numbers[column])
            most_frequent[evaluation.classes[row]] = _cell(evaluation, row, column)
    return most_frequent


def group_by_cell(predictions: Sequence[PredictionRow]) -> dict[CellKey, list[PredictionRow]]:
    """Sort predictions into cells; errors most confident first, correct predictions least confident first."""
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
    """Describe the images of an opened cell.

    Args:
        number: Number of images in the cell.
        shown: Number of them on the page.
        agrees: Whether the predictions are correct; then the least confident ones come first.
    """
    images = counted(number, "picture", "pictures")
    if not shown:
        return gettext("%(images)s. The run folder has no predictions.parquet to show them from.", images=images)
    if number == 1:
        return gettext("%(images)s.", images=images)
    if shown == number:
        if agrees:
            return gettext("%(images)s, least confident first.", images=images)
        return gettext("%(images)s, most confident first.", images=images)
    if agrees:
        return gettext(
            "%(images)s, least confident first; the first %(shown)s are here.", images=images, shown=count(shown)
        )
    return gettext("%(images)s, most confident first; the first %(shown)s are here.", images=images, shown=count(shown))


LEFT, RIGHT, TOP, BOTTOM = 34, 214, 8, 124

_POINTS = 80

across = scale_to(0.0, 1.0, LEFT, RIGHT)
"""Convert recall to pixels."""

upwards = scale_to(0.0, 1.0, BOTTOM, TOP)
"""Convert precision to pixels."""


@dataclass(frozen=True, slots=True)
class CurveDrawing:
    """The precision-recall curve of one label as geometry.

    Attributes:
        path: The SVG path of its steps; their area is the average precision.
        prevalence: The height of the line of a random ranking, in pixels.
        chosen: Position of the threshold on the curve, in pixels; None if the label is never predicted.
    """

    path: str
    prevalence: float
    chosen: tuple[float, float] | None


def draw_precision_recall(scores: LabelScores, truth: npt.ArrayLike, probabilities: npt.ArrayLike) -> CurveDrawing:
    """Lay out the precision-recall curve of one label.

    Args:
        scores: Scores of the label; at least one image must have it.
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
    """Return the path as a step function: between two points, the precision is that of the higher recall."""
    points = [(recall, precision) for recall, precision in zip(curve.recall, curve.precision, strict=True) if recall]
    steps = "".join(f"V{upwards(precision):g}H{across(recall):g}" for recall, precision in points)
    return f"M{across(0.0):g},{upwards(points[0][1]):g}{steps}"


Outcome = Literal["found", "missed", "invented", "rest"]
"""True positive, false negative, false positive, true negative."""

OUTCOMES: tuple[Outcome, ...] = ("found", "missed", "invented", "rest")

MOST_OF_A_MISTAKE = 24

MOST_OF_A_CORRECT_CELL = 12


@dataclass(frozen=True, slots=True)
class LabelCell:
    """One cell of a label's confusion matrix.

    Attributes:
        label: The label.
        outcome: The cell.
        number: Number of evaluated images.
        rows: Indices of its images in the predictions, at most `MOST_OF_A_MISTAKE`; the most confident errors or
            the least confident correct predictions first.
    """

    label: str
    outcome: Outcome
    number: int
    rows: tuple[int, ...]


def view_cells(scores: LabelScores, predictions: Predicted | None) -> tuple[LabelCell, ...]:
    """The four cells of a label, in the order of `OUTCOMES`.

    Args:
        scores: Scores of the label.
        predictions: The predictions that the images are taken from; None for cells without images.
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
    # the most confident errors: the least probable true labels, and the most probable false ones
    sign = 1.0 if outcome in ("found", "missed") else -1.0
    ranked = rows[np.argsort(sign * predictions.probabilities[rows, column], kind="stable")]
    most = MOST_OF_A_MISTAKE if outcome in ("missed", "invented") else MOST_OF_A_CORRECT_CELL
    return tuple(ranked[:most].tolist())


MOST_CARDS = 60
"""Maximum number of cards; further labels have only a row in the table."""

PLAIN_THRESHOLD = 0.5


@dataclass(frozen=True, slots=True)
class LabelCard:
    """The card of one label.

    Attributes:
        scores: Scores of the label.
        prevalence: Share of the evaluated images with the label.
        left_out: Whether too few images have it for an evaluation.
        plain_f1: F1 at a threshold of 0.5; None without predictions.
        curve: The precision-recall curve; None without predictions, or if no image has the label.
        cells: The per-label confusion matrix, in the order of `OUTCOMES`; empty beyond `MOST_CARDS`.
    """

    scores: LabelScores
    prevalence: float
    left_out: bool
    plain_f1: float | None
    curve: CurveDrawing | None
    cells: tuple[LabelCell, ...]


def view_labels(evaluation: Evaluation, predictions: Predicted | None) -> tuple[LabelCard, ...]:
    """Return the cards of all labels, most images first.

    Args:
        evaluation: Evaluation with scores per label.
        predictions: The predictions for curves and images; None leaves these out.
    """
    plain = _plain_f1(predictions) if predictions else {}
    ranked = sorted(evaluation.per_label, key=lambda scores: -scores.support)
    return tuple(
        LabelCard(
            scores=scores,
            prevalence=scores.support / evaluation.n,
            left_out=scores.name in evaluation.left_out,
            plain_f1=plain.get(scores.name),
            curve=_curve(scores, predictions) if predictions and rank < MOST_CARDS else None,
            cells=view_cells(scores, predictions) if rank < MOST_CARDS else (),
        )
        for rank, scores in enumerate(ranked)
    )


def mean_plain_f1(cards: tuple[LabelCard, ...]) -> float | None:
    """Macro F1 over the evaluated labels with all thresholds at 0.5; None if it is unknown."""
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
