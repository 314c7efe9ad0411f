"""The best run beside another, class by class, ready to be drawn on one scale."""

from __future__ import annotations

from dataclasses import dataclass

from distingo.evaluation.comparison import ComparedRun
from distingo.metrics.multiple_comparisons import LEVEL
from distingo.metrics.paired_classes import ClassDifference
from distingo.metrics.paired_scores import PairedScore

_LEAST_SCALE = 0.1
"""Differences are drawn on a scale of ten points at least: a smaller one would make chance look large."""


@dataclass(frozen=True, slots=True)
class ClassRow:
    """One class, seen from the best run: a positive difference is the best run's lead.

    Attributes:
        name: Of the class.
        support: How many test pictures show it.
        best: The best run's recall, or average precision.
        other: The other run's.
        difference: The first minus the second.
        low: Lower end of its 95 % interval.
        high: Upper end of it.
        too_few: Whether there are too few pictures for that interval.
        places: Where low, difference and high lie, in percent of the width; zero is in the middle.
        p_value: Corrected for the number of classes; None where the class was not tested.
        is_clear: Whether that is more than chance explains.
        f1: The best run's lead in F1 with its interval (difference, low, high); None with several labels.
    """

    name: str
    support: int
    best: float
    other: float
    difference: float
    low: float
    high: float
    too_few: bool
    places: tuple[float, float, float]
    p_value: float | None
    is_clear: bool
    f1: tuple[float, float, float] | None


@dataclass(frozen=True, slots=True)
class ClassTable:
    """All classes of the best run beside one other.

    Attributes:
        run: The other run.
        rows: Clear differences first, then the largest.
        scale: The difference at either end of the drawing.
    """

    run: ComparedRun
    rows: tuple[ClassRow, ...]
    scale: float

    @property
    def clear(self) -> int:
        """In how many classes the two differ by more than chance explains."""
        return sum(row.is_clear for row in self.rows)


def view_classes(run: ComparedRun) -> ClassTable | None:
    """Arrange the classes of one run beside the best.

    Args:
        run: Any but the best; that has none.
    """
    if run.versus_best is None or not run.versus_best.classes:
        return None
    differences = run.versus_best.classes
    scale = max(_LEAST_SCALE, *(abs(end) for entry in differences for end in (entry.paired.low, entry.paired.high)))
    rows = [_row(entry, scale) for entry in differences]
    rows.sort(key=lambda row: (not row.is_clear, -abs(row.difference), row.name))
    return ClassTable(run, tuple(rows), scale)


def _row(entry: ClassDifference, scale: float) -> ClassRow:
    difference, low, high = _turned(entry.paired)
    p_value = entry.adjusted_p_value
    return ClassRow(
        name=entry.name,
        support=entry.support,
        best=entry.paired.second,
        other=entry.paired.first,
        difference=difference,
        low=low,
        high=high,
        too_few=entry.paired.too_few,
        places=(_place(low, scale), _place(difference, scale), _place(high, scale)),
        p_value=p_value,
        is_clear=p_value is not None and p_value < LEVEL,
        f1=None if entry.f1 is None else _turned(entry.f1),
    )


def _turned(score: PairedScore) -> tuple[float, float, float]:
    """The second's lead over the first."""
    return 0.0 - score.difference, 0.0 - score.high, 0.0 - score.low


def _place(value: float, scale: float) -> float:
    return round(50 + value / scale * 50, 2)
