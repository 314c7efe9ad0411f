"""How large the pictures of a dataset are."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from distingo.records import Picture
from distingo.report.charts import Tick
from distingo.report.wording import count

SIDE = 330
LEFT, RIGHT, TOP, BOTTOM = 52, 318, 10, 284
_STEPS = 40
_LARGEST_RADIUS = 13.0


@dataclass(frozen=True, slots=True)
class Bubble:
    """Pictures of about one size: where the bubble lies, its radius (its area is their number), its text."""

    x: float
    y: float
    radius: float
    text: str


@dataclass(frozen=True, slots=True)
class SizeSummary:
    """The sizes of all pictures.

    Attributes:
        distinct: How many different sizes there are.
        median_width: In pixels.
        median_height: In pixels.
        smallest: The picture with the fewest pixels, as ``120 × 80``.
        largest: The picture with the most.
        commonest: The commonest sizes with their numbers of pictures.
        bubbles: One per size, or per group of near sizes.
        x_ticks: Widths, on a logarithmic axis.
        y_ticks: Heights, on the same scale.
    """

    distinct: int
    median_width: int
    median_height: int
    smallest: str
    largest: str
    commonest: tuple[tuple[str, int], ...]
    bubbles: tuple[Bubble, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]


def summarise_sizes(pictures: Sequence[Picture]) -> SizeSummary | None:
    """Sum up widths and heights.

    Args:
        pictures: The usable pictures.

    Returns:
        The summary, or None without pictures.
    """
    if not pictures:
        return None
    sizes = Counter((picture.width, picture.height) for picture in pictures)
    by_area = sorted(sizes, key=lambda size: (size[0] * size[1], size))
    edges = [edge for size in sizes for edge in size]
    low, high = math.log(max(1, min(edges)) * 0.85), math.log(max(edges) * 1.15)
    ticks = _log_ticks(math.exp(low), math.exp(high))
    return SizeSummary(
        distinct=len(sizes),
        median_width=round(median(picture.width for picture in pictures)),
        median_height=round(median(picture.height for picture in pictures)),
        smallest=_text(by_area[0]),
        largest=_text(by_area[-1]),
        commonest=tuple((_text(size), number) for size, number in sizes.most_common(6)),
        bubbles=_bubbles(sizes, low, high),
        x_ticks=tuple(Tick(_place(edge, low, high, LEFT, RIGHT), count(edge)) for edge in ticks),
        y_ticks=tuple(Tick(_place(edge, low, high, BOTTOM, TOP), count(edge)) for edge in ticks),
    )


def _text(size: tuple[int, int]) -> str:
    return f"{size[0]} × {size[1]}"


def _place(edge: float, low: float, high: float, start: float, end: float) -> float:
    return round(start + (math.log(max(1, edge)) - low) / (high - low) * (end - start), 1)


def _bubbles(sizes: Counter[tuple[int, int]], low: float, high: float) -> tuple[Bubble, ...]:
    """One bubble per size; near sizes share one where there are too many to draw each."""
    step = (high - low) / _STEPS if len(sizes) > 300 else 1e-9
    groups: dict[tuple[int, int], list[tuple[tuple[int, int], int]]] = {}
    for (width, height), number in sizes.items():
        key = (round(math.log(max(1, width)) / step), round(math.log(max(1, height)) / step))
        groups.setdefault(key, []).append(((width, height), number))
    totals = {key: sum(number for _, number in members) for key, members in groups.items()}
    most = max(totals.values())
    bubbles = []
    for key, members in sorted(groups.items(), key=lambda item: -totals[item[0]]):
        (width, height), _ = max(members, key=lambda member: member[1])
        about = "" if len(members) == 1 else "about "
        bubbles.append(
            Bubble(
                x=_place(width, low, high, LEFT, RIGHT),
                y=_place(height, low, high, BOTTOM, TOP),
                radius=round(max(2.5, _LARGEST_RADIUS * math.sqrt(totals[key] / most)), 1),
                text=f"{about}{_text((width, height))}: {count(totals[key])}",
            )
        )
    return tuple(bubbles)


def _log_ticks(low: float, high: float) -> list[int]:
    powers = range(0, 7)
    ticks = [factor * 10**power for power in powers for factor in (1, 2, 5)]
    within = [tick for tick in ticks if low <= tick <= high]
    return within or [round(math.sqrt(low * high))]
