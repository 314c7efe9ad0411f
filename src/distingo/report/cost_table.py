"""What runs cost, one kind of cost after another, each on a scale of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from distingo.evaluation.comparison import ComparedRun
from distingo.evaluation.cost_beside import Cost
from distingo.report.wording import NO_BREAK, count, duration, file_size


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
    if cost.predicted_pictures is None or cost.predicted_seconds is None:
        return ""
    return f" ({count(cost.predicted_pictures)} in {cost.predicted_seconds:.1f}{NO_BREAK}s)"


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


def _whole(value: float) -> str:
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
        "from the files to the classes, on the machine that judged the run; more is better",
        lambda cost: cost.images_per_second,
        per_second,
        _precision,
    ),
    (
        "Memory for judging",
        "the most that the process held while it judged the test pictures",
        lambda cost: cost.prediction_memory_bytes,
        _bytes,
        _nothing,
    ),
    ("Model on disk", "its file of weights", lambda cost: cost.model_bytes, _bytes, _nothing),
    ("Parameters", "learned numbers of a network", lambda cost: cost.parameters, _whole, _nothing),
)
