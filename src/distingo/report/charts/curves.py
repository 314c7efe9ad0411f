"""Charts as geometry: lines, ticks and bars, which templates draw as inline SVG.

Reliability diagrams and the risk-coverage curve are made of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from distingo.language import count, gettext
from distingo.metrics.calibration import Calibration
from distingo.report.text.wording import percent, score_interval, score_name
from distingo.runs.evaluation import Confidence, read_confidence
from distingo.runs.history import EpochRecord

WIDTH, HEIGHT = 460, 270

LEFT, RIGHT, TOP, BOTTOM = 46, 452, 34, 232

CURVE_SCORES = ("accuracy", "mean_average_precision", "loss")
"""Scores in ``history.csv`` in their order on the page; a run never has both of the first two."""


@dataclass(frozen=True, slots=True)
class Tick:
    """A tick of an axis: position in pixels and text."""

    position: float
    text: str


@dataclass(frozen=True, slots=True)
class Line:
    """One series: its split, which determines the color, and the SVG path through its values."""

    split: str
    path: str


@dataclass(frozen=True, slots=True)
class Readout:
    """What hovering over one epoch shows.

    Attributes:
        epoch: The epoch's number.
        x: Position in pixels.
        left: Left edge of the sensitive strip.
        width: Width of that strip.
        values: Split, value as text, height in pixels.
    """

    epoch: int
    x: float
    left: float
    width: float
    values: tuple[tuple[str, str, float], ...]


@dataclass(frozen=True, slots=True)
class CurveChart:
    """Curves over epochs as geometry.

    Attributes:
        name: Name of the score.
        x_ticks: Ticks of the x axis.
        y_ticks: Ticks of the y axis.
        lines: One per split.
        readouts: One per epoch.
        best: The best epoch's readout, or None.
    """

    name: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    lines: tuple[Line, ...]
    readouts: tuple[Readout, ...]
    best: Readout | None


def best_epoch(history: Sequence[EpochRecord], monitor: str = "validation_accuracy") -> EpochRecord | None:
    """Return the epoch with the best validation score, the earliest of several.

    Args:
        history: All epochs.
        monitor: The score to choose by; lower is better if its name ends in ``loss``. If it was never measured, the
            accuracy or the mean average precision is used.

    Returns:
        The epoch; None if none of these was measured.
    """
    for name in (monitor, "validation_accuracy", "validation_mean_average_precision"):
        measured = [epoch for epoch in history if getattr(epoch, name, None) is not None]
        if measured:
            sign = -1.0 if name.endswith("loss") else 1.0
            return max(measured, key=lambda epoch: (sign * getattr(epoch, name), -epoch.epoch))
    return None


def draw_curves(history: Sequence[EpochRecord], score: str, *, best: EpochRecord | None) -> CurveChart | None:
    """Lay out one score's curves for training and validation.

    Args:
        history: All epochs.
        score: ``loss``, ``accuracy`` or ``mean_average_precision``.
        best: The epoch to mark, or None.

    Returns:
        The chart; None if the score was never measured.
    """
    series = {split: [getattr(epoch, f"{split}_{score}") for epoch in history] for split in ("train", "validation")}
    measured = [value for values in series.values() for value in values if value is not None]
    if not measured:
        return None
    low, high = (0.0, max(measured)) if score == "loss" else (min(measured), min(1.0, max(measured)))
    y_values = nice_ticks(low, high, 5)
    x = scale_to(history[0].epoch, history[-1].epoch, LEFT + 6, RIGHT - 6)
    y = scale_to(y_values[0], y_values[-1], BOTTOM, TOP)

    def text(value: float) -> str:
        return f"{value:.3f}" if score == "loss" else percent(value)

    readouts = tuple(_readouts(history, series, x, y, text))
    return CurveChart(
        name=score_name(score)[0],
        x_ticks=tuple(Tick(x(number), str(number)) for number in epoch_ticks(history[0].epoch, history[-1].epoch)),
        y_ticks=tuple(Tick(y(value), f"{value:g}" if score == "loss" else percent(value, 0)) for value in y_values),
        lines=tuple(
            Line(
                split,
                path_through(
                    [
                        (x(epoch.epoch), y(value))
                        for epoch, value in zip(history, values, strict=True)
                        if value is not None
                    ]
                ),
            )
            for split, values in series.items()
        ),
        readouts=readouts,
        best=next((readout for readout in readouts if best and readout.epoch == best.epoch), None),
    )


def nice_ticks(low: float, high: float, most: int) -> list[float]:
    """Return evenly spaced round values that span a range: steps of 1, 2 or 5 times a power of ten.

    Args:
        low: Lowest value.
        high: Highest value.
        most: Approximate number of ticks.

    Returns:
        At least two ascending values, the first at most `low`, the last at least `high`.
    """
    span = max(high - low, 1e-9, abs(high) * 1e-6)
    power = 10.0 ** math.floor(math.log10(span / most))
    step = next(factor * power for factor in (1, 2, 5, 10) if span / (factor * power) <= most)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    last = max(last, first + 1)
    return [round(index * step, 12) for index in range(first, last + 1)]


def scale_to(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    """Return a function that maps values from `low` .. `high` to pixels from `start` to `end`."""
    span = (high - low) or 1.0
    middle = (start + end) / 2
    return lambda value: round(start + (value - low) / span * (end - start), 1) if high != low else middle


def path_through(points: Sequence[tuple[float, float]]) -> str:
    """Return the SVG path of straight lines through points."""
    return "M" + "L".join(f"{x:g},{y:g}" for x, y in points) if points else ""


def epoch_ticks(first: int, last: int) -> list[int]:
    """Choose the epochs on the x axis: all of a few, otherwise round ones."""
    step = max(1, math.ceil(nice_ticks(0, max(1, last - first), 6)[1]))
    return [number for number in range(first, last + 1) if number % step == 0 or last - first < 8]


def _readouts(
    history: Sequence[EpochRecord],
    series: dict[str, list[float | None]],
    x: Callable[[float], float],
    y: Callable[[float], float],
    text: Callable[[float], str],
) -> list[Readout]:
    width = (RIGHT - LEFT - 12) / max(1, len(history) - 1)
    readouts = []
    for index, epoch in enumerate(history):
        measured = [(split, values[index]) for split, values in series.items()]
        values = tuple((split, text(value), y(value)) for split, value in measured if value is not None)
        middle = x(epoch.epoch)
        readouts.append(Readout(epoch.epoch, middle, round(middle - width / 2, 1), round(width, 1), values))
    return readouts


@dataclass(frozen=True, slots=True)
class ReliabilityDot:
    """One bin: position of its dot and interval in pixels, size, and text."""

    x: float
    y: float
    low: float
    high: float
    radius: float
    text: str


@dataclass(frozen=True, slots=True)
class ReliabilityChart:
    """A reliability diagram as geometry.

    Attributes:
        name: Name: before or after calibration.
        error: The calibration error with its interval, as text.
        ticks: Ticks of both axes: position on the x axis, position on the y axis, text.
        diagonal: The SVG path of perfect probabilities.
        dots: One per bin.
    """

    name: str
    error: str
    ticks: tuple[tuple[float, float, str], ...]
    diagonal: str
    dots: tuple[ReliabilityDot, ...]


@dataclass(frozen=True, slots=True)
class CurveDot:
    """A point of the curve with a tooltip: position, sensitive strip, and text."""

    x: float
    y: float
    left: float
    width: float
    text: str


@dataclass(frozen=True, slots=True)
class RiskChart:
    """The risk-coverage curve as geometry."""

    path: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    dots: tuple[CurveDot, ...]


@dataclass(frozen=True, slots=True)
class ConfidenceView:
    """The section on confidence.

    Attributes:
        confidence: The scores.
        reliability: Diagrams before calibration, if there was any, and after.
        curve: None without a given label.
    """

    confidence: Confidence
    reliability: tuple[ReliabilityChart, ...]
    curve: RiskChart | None


def show_confidence(folder: Path) -> ConfidenceView | None:
    """Return the section of an evaluated folder; None if an older version of distingo evaluated it.

    Args:
        folder: A run folder, or the folder in it of an evaluation on other images.

    Raises:
        RunError: ``confidence.json`` is damaged.
    """
    confidence = read_confidence(folder)
    return None if confidence is None else view_confidence(confidence)


def strange_files(view: ConfidenceView | None) -> list[str]:
    """Return the images of the section."""
    outliers = view.confidence.outliers if view else None
    return list(outliers.files) if outliers else []


def view_confidence(confidence: Confidence) -> ConfidenceView:
    """Lay out the charts of the section."""
    after = gettext("After calibration") if confidence.before else gettext("Probabilities")
    charts = [(after, confidence.after)]
    if confidence.before is not None:
        charts.insert(0, (gettext("Before calibration"), confidence.before))
    return ConfidenceView(
        confidence=confidence,
        reliability=tuple(_reliability(name, calibration) for name, calibration in charts),
        curve=_curve(confidence.curve) if len(confidence.curve) > 1 else None,
    )


def _reliability(name: str, calibration: Calibration) -> ReliabilityChart:
    x, y = scale_to(0.0, 1.0, LEFT + 6, RIGHT - 6), scale_to(0.0, 1.0, BOTTOM, TOP)
    most = max(entry.count for entry in calibration.bins)
    error = calibration.error
    return ReliabilityChart(
        name=name,
        error=f"{percent(error.value)} ({score_interval('error', error)})",
        ticks=tuple((x(value), y(value), percent(value, 0)) for value in nice_ticks(0, 1, 5)),
        diagonal=path_through([(x(0.0), y(0.0)), (x(1.0), y(1.0))]),
        dots=tuple(
            ReliabilityDot(
                x(entry.probability),
                y(entry.frequency),
                y(entry.low),
                y(entry.high),
                round(2.5 + 2.5 * (entry.count / most) ** 0.5, 1),
                gettext(
                    "%(number)s: mean probability %(probability)s, correct %(frequency)s",
                    number=count(entry.count),
                    probability=percent(entry.probability),
                    frequency=percent(entry.frequency),
                ),
            )
            for entry in calibration.bins
        ),
    )


def _curve(points: Sequence[tuple[float, float]]) -> RiskChart:
    y_values = nice_ticks(0.0, max(0.01, *(error for _, error in points)), 5)
    x, y = scale_to(0.0, 1.0, LEFT + 6, RIGHT - 6), scale_to(y_values[0], y_values[-1], BOTTOM, TOP)
    shown = points[:: max(1, len(points) // 40)]
    edges = [LEFT, *((x(a[0]) + x(b[0])) / 2 for a, b in pairwise(shown)), RIGHT]
    return RiskChart(
        path=path_through([(x(coverage), y(error)) for coverage, error in points]),
        x_ticks=tuple(Tick(x(value), percent(value, 0)) for value in nice_ticks(0, 1, 5)),
        y_ticks=tuple(Tick(y(value), percent(value, 0 if y_values[-1] >= 0.05 else 1)) for value in y_values),
        dots=tuple(
            CurveDot(
                x(coverage),
                y(error),
                round(left, 1),
                round(max(0.5, right - left), 1),
                gettext("answers %(answered)s, wrong %(wrong)s", answered=percent(coverage), wrong=percent(error)),
            )
            for (coverage, error), left, right in zip(shown, edges, edges[1:], strict=False)
        ),
    )
