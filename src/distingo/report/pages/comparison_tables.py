"""The tables of a comparison: what runs cost, and the best run next to another, class by class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from distingo.evaluation.comparison_records import ComparedRun, Cost
from distingo.language import count
from distingo.metrics.paired import LEVEL, PairedScore
from distingo.metrics.paired_scores import ClassDifference
from distingo.report.text.wording import NO_BREAK, duration, file_size


@dataclass(frozen=True, slots=True)
class CostCell:
    """One run's figure.

    Attributes:
        text: The figure, empty where it is not known.
        more: What to know about it, empty where there is nothing.
        share: Of the largest of all runs, in percent.
    """

    text: str
    more: str
    share: float


@dataclass(frozen=True, slots=True)
class CostRow:
    """One kind of cost.

    Attributes:
        name: In a few words.
        meaning: What it is, and whether less or more is better.
        cells: One per run.
    """

    name: str
    meaning: str
    cells: tuple[CostCell, ...]


_Number = float | None


def view_costs(runs: Sequence[ComparedRun]) -> tuple[CostRow, ...]:
    """Arrange what runs cost; what none of them tells is left out.

    Args:
        runs: In the order of the page.
    """
    rows = []
    for name, meaning, number, text, more in _KINDS:
        numbers = [number(run.cost) for run in runs]
        largest = max((value for value in numbers if value is not None), default=0)
        if all(value is None for value in numbers):
            continue
        cells = tuple(
            CostCell("", "", 0.0)
            if value is None
            else CostCell(text(value), more(run.cost), round(100 * value / largest, 1) if largest else 0.0)
            for run, value in zip(runs, numbers, strict=True)
        )
        rows.append(CostRow(name, meaning, cells))
    return tuple(rows)


def per_second(images: float) -> str:
    """A speed of prediction, for example ``42 images/s`` or ``0.7 images/s``."""
    return f"{count(round(images)) if images >= 9.95 else f'{images:.1f}'}{NO_BREAK}images/s"


def speed(cost: Cost) -> str:
    """A run's speed of prediction with what it was measured on, for example ``42 images/s (84 in 2.0 s)``."""
    if cost.images_per_second is None:
        return ""
    return f"{per_second(cost.images_per_second)}{_measured(cost)}"


def _measured(cost: Cost) -> str:
    if cost.predicted_images is None or cost.predicted_seconds is None:
        return ""
    return f" ({count(cost.predicted_images)} in {cost.predicted_seconds:.1f}{NO_BREAK}s)"


def _reading(cost: Cost) -> str:
    if cost.reading_seconds is None or cost.training_seconds is None:
        return "epochs alone" if cost.training_seconds is not None else ""
    return f"of it {duration(cost.reading_seconds)} reading"


def _accelerator(cost: Cost) -> str:
    return f"and {file_size(cost.device_memory_bytes)} on the accelerator" if cost.device_memory_bytes else ""


def _precision(cost: Cost) -> str:
    return f"{cost.precision or ''}{_measured(cost)}".strip()


def _nothing(cost: Cost) -> str:
    del cost
    return ""


def _bytes(value: float) -> str:
    return file_size(round(value))


def _whole_number(value: float) -> str:
    return count(round(value))


_Kind = tuple[str, str, Callable[[Cost], _Number], Callable[[float], str], Callable[[Cost], str]]

_KINDS: tuple[_Kind, ...] = (
    (
        "Training",
        "from the pictures to the saved model; what the cache held was not computed again",
        lambda cost: cost.training_seconds,
        duration,
        _reading,
    ),
    (
        "Memory for training",
        "the most that the process held",
        lambda cost: cost.training_memory_bytes,
        _bytes,
        _accelerator,
    ),
    (
        "Prediction",
        "from the files to the classes, on the machine that evaluated the run; more is better",
        lambda cost: cost.images_per_second,
        per_second,
        _precision,
    ),
    (
        "Memory for evaluating",
        "the most that the process held while it evaluated the test pictures",
        lambda cost: cost.prediction_memory_bytes,
        _bytes,
        _nothing,
    ),
    ("Model on disk", "its file of weights", lambda cost: cost.model_bytes, _bytes, _nothing),
    ("Parameters", "learned numbers of a network", lambda cost: cost.parameters, _whole_number, _nothing),
)

_LEAST_SCALE = 0.1
"""Differences are drawn on a scale of ten points at least: a smaller one would make chance look large."""


@dataclass(frozen=True, slots=True)
class ClassRow:
    """One class, seen from the best run: a positive difference is the best run's lead.

    Attributes:
        name: Of the class.
        support: How many test images show it.
        best: The best run's recall, or average precision.
        other: The other run's.
        difference: The first minus the second.
        low: Lower end of its 95 % interval.
        high: Upper end of it.
        too_few: Whether there are too few images for that interval.
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
    """All classes of the best run next to one other.

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
    """Arrange the classes of one run next to the best.

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
        places=(_position(low, scale), _position(difference, scale), _position(high, scale)),
        p_value=p_value,
        is_clear=p_value is not None and p_value < LEVEL,
        f1=None if entry.f1 is None else _turned(entry.f1),
    )


def _turned(score: PairedScore) -> tuple[float, float, float]:
    """The second's lead over the first."""
    return 0.0 - score.difference, 0.0 - score.high, 0.0 - score.low


def _position(value: float, scale: float) -> float:
    return round(50 + value / scale * 50, 2)
