"""The confusion matrix as a page shows it: which classes, the shade of each cell, and the images behind it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from distingo.language import count, gettext
from distingo.records import Evaluation
from distingo.report.text.wording import counted
from distingo.runs.predictions import PredictionRow

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


def often_taken_for(evaluation: Evaluation) -> dict[str, ConfusionCell]:
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
