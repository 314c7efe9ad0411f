"""Histograms as geometry: file sizes and aspects of pictures, and small ones inside a table."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from distingo.records import Picture
from distingo.report.charts import Tick
from distingo.report.wording import count, counted, file_size

WIDTH, HEIGHT = 460, 190
LEFT, RIGHT, TOP, BOTTOM = 46, 452, 12, 160

SMALL_WIDTH, SMALL_HEIGHT = 100, 26

_ASPECTS = ((1, 4), (1, 3), (1, 2), (2, 3), (1, 1), (3, 2), (2, 1), (3, 1), (4, 1))


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: its left and upper edge, width and height in pixels, and what it counts."""

    x: float
    y: float
    width: float
    height: float
    text: str


@dataclass(frozen=True, slots=True)
class Histogram:
    """A histogram, ready to draw.

    Attributes:
        bars: Those that count something, from left to right.
        x_ticks: Along the bottom.
        most: The highest bar's number.
        summary: What it shows, in a sentence.
    """

    bars: tuple[Bar, ...]
    x_ticks: tuple[Tick, ...]
    most: int
    summary: str


def draw_file_sizes(sizes: Sequence[int | None]) -> Histogram | None:
    """Count pictures by the bytes of their files, on a logarithmic axis.

    Args:
        sizes: None where unknown.

    Returns:
        None without any known size.
    """
    known = np.array([size for size in sizes if size is not None], np.float64)
    if not len(known):
        return None
    low, high = float(known.min()), float(known.max())
    between = "" if low == high else f", from {file_size(int(low))} to {file_size(int(high))}"
    summary = f"Median {file_size(round(float(np.median(known))))}{between}"
    steps = [factor * 10.0**power for power in range(1, 10) for factor in (1, 2, 5)]
    return _draw(known, steps, lambda value: file_size(round(value)), summary)


def draw_aspects(pictures: Sequence[Picture]) -> Histogram | None:
    """Count pictures by width over height, on a logarithmic axis.

    Returns:
        None where all have the same.
    """
    aspects = np.array([picture.width / picture.height for picture in pictures], np.float64)
    if not len(aspects) or aspects.max() == aspects.min():
        return None
    names = {width / height: f"{width}:{height}" for width, height in _ASPECTS}
    wide, tall = int((aspects > 1).sum()), int((aspects < 1).sum())
    square = len(aspects) - wide - tall
    summary = f"{count(wide)} wide, {count(tall)} tall, {count(square)} square"
    return _draw(aspects, list(names), lambda value: names.get(value, f"{value:.2g}:1"), summary)


def draw_small(counts: np.ndarray) -> str:
    """The SVG path of a histogram for a table's cell, `SMALL_WIDTH` by `SMALL_HEIGHT` pixels.

    Args:
        counts: By bin, int (bins,).
    """
    most = max(1, int(counts.max()))
    step = SMALL_WIDTH / len(counts)
    tops = [round(SMALL_HEIGHT - SMALL_HEIGHT * int(number) / most, 1) for number in counts]
    steps = "".join(f"V{top:g}H{round((at + 1) * step, 1):g}" for at, top in enumerate(tops))
    return f"M0,{SMALL_HEIGHT}{steps}V{SMALL_HEIGHT}Z"


def _draw(values: np.ndarray, ticks: Sequence[float], text: Callable[[float], str], summary: str) -> Histogram:
    logs = np.log(np.maximum(values, 1e-9))
    low, high = float(logs.min()), float(logs.max())
    if high - low < 0.5:
        low, high = (low + high) / 2 - 0.25, (low + high) / 2 + 0.25
    bins = 30
    counts, edges = np.histogram(logs, bins, range=(low, high))
    most, width = int(counts.max()), (RIGHT - LEFT) / bins
    bars = tuple(
        Bar(
            x=round(LEFT + at * width, 1),
            y=round(BOTTOM - (BOTTOM - TOP) * number / most, 1),
            width=round(width - 1, 1),
            height=round((BOTTOM - TOP) * number / most, 1),
            text=f"{text(math.exp(edges[at]))} to {text(math.exp(edges[at + 1]))}: {counted(number, 'picture')}",
        )
        for at, number in enumerate(counts.tolist())
        if number
    )
    places = [(LEFT + (math.log(tick) - low) / (high - low) * (RIGHT - LEFT), tick) for tick in ticks]
    shown = [(place, tick) for place, tick in places if LEFT - 1 <= place <= RIGHT + 1]
    apart = max(1, math.ceil(len(shown) / 7))
    return Histogram(bars, tuple(Tick(round(place, 1), text(tick)) for place, tick in shown[::apart]), most, summary)
