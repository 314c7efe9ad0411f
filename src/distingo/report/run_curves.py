"""Validation curves of several runs in one chart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from distingo.evaluation.comparison import ComparedRun
from distingo.evaluation.reading import Epoch
from distingo.report.charts import (
    BOTTOM,
    LEFT,
    RIGHT,
    TOP,
    Tick,
    best_epoch,
    epoch_ticks,
    nice_ticks,
    path_through,
    scale_to,
)
from distingo.report.wording import percent

COLOURS = 8
"""How many the page has; further runs begin again, in dashes."""


@dataclass(frozen=True, slots=True)
class RunLine:
    """One run's curve.

    Attributes:
        place: The run's place in the comparison, from 0; it decides colour and dashes.
        name: The run's.
        path: The SVG path through its values.
        best: Where its kept epoch lies, in pixels, or None.
    """

    place: int
    name: str
    path: str
    best: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class RunReadout:
    """What pointing at one epoch shows: where it lies, in pixels, and place, value as text, height of each run."""

    epoch: int
    x: float
    left: float
    width: float
    values: tuple[tuple[int, str, float], ...]


@dataclass(frozen=True, slots=True)
class RunChart:
    """All runs' curves of one score, ready to draw."""

    name: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    lines: tuple[RunLine, ...]
    readouts: tuple[RunReadout, ...]


def draw_run_curves(runs: Sequence[ComparedRun], score: str) -> RunChart | None:
    """Lay out one validation score of all runs over epochs.

    Args:
        runs: In the comparison's order.
        score: ``loss``, ``accuracy`` or ``mean_average_precision``.

    Returns:
        The chart, without runs that never measured it, or None where none did.
    """
    measured = {place: found for place, run in enumerate(runs) if (found := _measured(run, score))}
    values = [value for series in measured.values() for value in series.values()]
    if not values:
        return None
    last = max(max(series) for series in measured.values())
    low, high = (0.0, max(values)) if score == "loss" else (min(values), min(1.0, max(values)))
    y_values = nice_ticks(low, high, 5)
    x = scale_to(1, last, LEFT + 6, RIGHT - 6)
    y = scale_to(y_values[0], y_values[-1], BOTTOM, TOP)

    def text(value: float) -> str:
        return f"{value:.3f}" if score == "loss" else percent(value)

    def line(place: int, series: dict[int, float]) -> RunLine:
        path = path_through([(x(epoch), y(value)) for epoch, value in series.items()])
        best = _kept(runs[place])
        dot = (x(best.number), y(series[best.number])) if best and best.number in series else None
        return RunLine(place, runs[place].name, path, dot)

    def readout(epoch: int) -> RunReadout:
        width = (RIGHT - LEFT - 12) / max(1, last - 1)
        shown = [(place, series[epoch]) for place, series in measured.items() if epoch in series]
        heights = tuple((place, text(value), y(value)) for place, value in shown)
        return RunReadout(epoch, x(epoch), round(x(epoch) - width / 2, 1), round(width, 1), heights)

    return RunChart(
        name=f"Validation {score.replace('_', ' ')}",
        x_ticks=tuple(Tick(x(number), str(number)) for number in epoch_ticks(1, last)),
        y_ticks=tuple(Tick(y(value), f"{value:g}" if score == "loss" else percent(value, 0)) for value in y_values),
        lines=tuple(line(place, series) for place, series in measured.items()),
        readouts=tuple(readout(epoch) for epoch in range(1, last + 1)),
    )


def _measured(run: ComparedRun, score: str) -> dict[int, float]:
    values = {epoch.number: getattr(epoch, f"validation_{score}") for epoch in run.records.history}
    return {number: value for number, value in values.items() if value is not None}


def _kept(run: ComparedRun) -> Epoch | None:
    return best_epoch(run.records.history, str(run.records.recipe.get("monitor", "validation_accuracy")))
