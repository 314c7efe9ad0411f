"""A learning curve to its ``learning-curve.html``."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from distingo.report.charts import Tick, nice_ticks, path_through, scale_to
from distingo.report.learning_curve_verdict import judge_learning_curve
from distingo.report.templating import write_page
from distingo.report.wording import count, percent, score_range

if TYPE_CHECKING:
    from distingo.learning_curves.records import LearningCurve, ScoreCurve

PAGE_NAME = "learning-curve.html"

WIDTH, HEIGHT = 760, 330
_LEFT, _RIGHT, _TOP, _BOTTOM = 54, 744, 16, 276
MOST_CLASSES = 12
"""Classes that are drawn, the weakest ones; all are in the table."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A measured or forecast score: where it is, in pixels, and what it says."""

    x: float
    y: float
    low: float
    high: float
    text: str


@dataclass(frozen=True, slots=True)
class ForecastChart:
    """A learning curve ready to draw.

    Attributes:
        x_ticks: Along the bottom, numbers of pictures.
        y_ticks: Along the left, scores.
        measured: Measured scores with intervals.
        forecasts: Forecast ones.
        line: The path through the measured scores.
        dashes: The path of the forecast.
        band: The outline of its interval.
    """

    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    measured: tuple[Mark, ...]
    forecasts: tuple[Mark, ...]
    line: str
    dashes: str
    band: str


def write_learning_curve_page(found: LearningCurve, folder: Path) -> Path:
    """Write the page of a learning curve: one HTML file with everything inside, readable offline.

    Args:
        found: Measured and forecast.
        folder: Made if missing; gets ``learning-curve.html``.

    Raises:
        ResourceError: It can't be written.
    """
    context = {
        "found": found,
        "verdict": judge_learning_curve(found),
        "data_name": found.data.name or "data",
        "chart": draw_forecast(found.overall, found.score),
        "class_charts": [(curve, draw_forecast(curve, found.class_score)) for curve in found.classes[:MOST_CLASSES]],
        "width": WIDTH,
        "height": HEIGHT,
    }
    return write_page("learning_curve.html", folder / PAGE_NAME, context)


def draw_forecast(curve: ScoreCurve, score: str) -> ForecastChart:
    """Lay out one curve: sizes along the bottom by ratio, scores up the left."""
    told = [*curve.measured, *curve.band]
    lows, highs = [entry.score.low for entry in told], [entry.score.high for entry in told]
    y_values = nice_ticks(max(0.0, min(lows)), min(1.0, max(highs)), 6)
    y_scale = scale_to(y_values[0], y_values[-1], _BOTTOM, _TOP)
    x_scale = scale_to(math.log(told[0].size), math.log(told[-1].size), _LEFT + 10, _RIGHT - 24)

    def mark(size: int, value: float, low: float, high: float) -> Mark:
        text = f"{count(size)} pictures: {percent(value)} ({score_range(score, low, high)})"
        return Mark(x_scale(math.log(size)), y_scale(value), y_scale(low), y_scale(high), text)

    measured = tuple(mark(entry.size, entry.score.value, entry.score.low, entry.score.high) for entry in curve.measured)
    forecasts = tuple(
        mark(entry.size, entry.score.value, entry.score.low, entry.score.high) for entry in curve.forecasts
    )
    band = [(x_scale(math.log(entry.size)), entry.score) for entry in curve.band]
    upper = [(x, y_scale(entry.high)) for x, entry in band]
    lower = [(x, y_scale(entry.low)) for x, entry in reversed(band)]
    sizes = [curve.measured[0].size, *(entry.size for entry in curve.measured[-3::-2][::-1]), curve.measured[-1].size]
    sizes += [entry.size for entry in curve.forecasts]
    return ForecastChart(
        x_ticks=tuple(Tick(x_scale(math.log(size)), count(size)) for size in dict.fromkeys(sizes)),
        y_ticks=tuple(
            Tick(y_scale(value), percent(value, 0 if y_values[1] - y_values[0] >= 0.01 else 1)) for value in y_values
        ),
        measured=measured,
        forecasts=forecasts,
        line=path_through([(each.x, each.y) for each in measured]),
        dashes=path_through([(x, y_scale(entry.value)) for x, entry in band]),
        band=f"{path_through([*upper, *lower])}Z",
    )
