"""How sure a model may be: reliability diagrams and the risk-coverage curve as geometry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from distingo.evaluation.confidence import Confidence, read_confidence
from distingo.language import count, gettext
from distingo.metrics.calibration_error import Calibration
from distingo.report.charts import BOTTOM, LEFT, RIGHT, TOP, Tick, nice_ticks, path_through, scale_to
from distingo.report.wording import percent, score_interval


@dataclass(frozen=True, slots=True)
class ReliabilityDot:
    """One bin: where its dot and its interval lie, in pixels, its size, and what it says in words."""

    x: float
    y: float
    low: float
    high: float
    radius: float
    words: str


@dataclass(frozen=True, slots=True)
class ReliabilityChart:
    """A reliability diagram, ready to draw.

    Attributes:
        name: Before or after calibration.
        error: The calibration error with its interval, in words.
        ticks: Along both axes: place on the x axis, place on the y axis, text.
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
    """A point of the curve that can be pointed at: where it lies, the strip that reacts, and its words."""

    x: float
    y: float
    left: float
    width: float
    words: str


@dataclass(frozen=True, slots=True)
class RiskChart:
    """The risk-coverage curve, ready to draw."""

    path: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    dots: tuple[CurveDot, ...]


@dataclass(frozen=True, slots=True)
class ConfidenceView:
    """What the section on certainty shows.

    Attributes:
        confidence: The figures.
        reliability: Before calibration, where there was any, and after.
        curve: None without a given label.
    """

    confidence: Confidence
    reliability: tuple[ReliabilityChart, ...]
    curve: RiskChart | None


def show_confidence(folder: Path) -> ConfidenceView | None:
    """The section of a judged folder; None where an older distingo evaluated.

    Args:
        folder: A run folder, or the folder in it of an evaluation on other pictures.

    Raises:
        RunError: ``confidence.json`` is damaged.
    """
    confidence = read_confidence(folder)
    return None if confidence is None else view_confidence(confidence)


def strange_files(view: ConfidenceView | None) -> list[str]:
    """The pictures that the section shows."""
    strangers = view.confidence.strangers if view else None
    return list(strangers.files) if strangers else []


def view_confidence(confidence: Confidence) -> ConfidenceView:
    """Lay out what is drawn."""
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
                    "%(number)s: said %(probability)s, right %(frequency)s",
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
