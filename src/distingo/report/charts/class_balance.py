"""How many images each class has, how large they are, and which labels they have together."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
import numpy.typing as npt

from distingo.language import count, gettext
from distingo.metrics.multi_label import co_occurrence
from distingo.records import SIDES, Picture, Side
from distingo.report.charts.curves import Tick
from distingo.report.text.wording import counted


@dataclass(frozen=True, slots=True)
class Bar:
    """A part of a class's bar: its side, its pictures, its start and its length (in percent)."""

    side: Side
    number: int
    start: float
    length: float


@dataclass(frozen=True, slots=True)
class ClassBalance:
    """One class's pictures: their number in all, and one bar per side that has some."""

    name: str
    number: int
    bars: tuple[Bar, ...]


def balance_classes(labels: Iterable[tuple[Side, Sequence[str]]], classes: Sequence[str]) -> tuple[ClassBalance, ...]:
    """Count pictures per class and side.

    Args:
        labels: One entry per picture: its side and its classes.
        classes: All class names; one without a picture gets an empty bar.

    Returns:
        One entry per class, most pictures first; the longest bar is 100 percent.
    """
    counts: Counter[tuple[str, Side]] = Counter((name, side) for side, names in labels for name in names)
    totals = {name: sum(counts[name, side] for side in SIDES) for name in classes}
    longest = max(totals.values(), default=0) or 1
    ranked = sorted(classes, key=lambda name: -totals[name])
    return tuple(ClassBalance(name, totals[name], _bars(name, counts, longest)) for name in ranked)


def _bars(name: str, counts: Counter[tuple[str, Side]], longest: int) -> tuple[Bar, ...]:
    bars = []
    start = 0.0
    for side in SIDES:
        number = counts[name, side]
        if number:
            length = number / longest * 100
            bars.append(Bar(side, number, round(start, 3), round(length, 3)))
            start += length
    return tuple(bars)


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


MOST_NUMBERS = 12
"""Pictures with so many labels or more share one bar."""

MOST_LABELS = 30
"""A larger matrix can't be read on a page; the labels with most pictures are shown instead."""

MOST_PAIRS = 12


@dataclass(frozen=True, slots=True)
class LabelPair:
    """Two labels that pictures have at once.

    Attributes:
        first: The label whose pictures are looked at.
        second: The other one; the same on the diagonal.
        number: How many pictures have both.
        share: Of the first label's pictures, from 0 to 1.
    """

    first: str
    second: str
    number: int
    share: float


@dataclass(frozen=True, slots=True)
class PairsView:
    """The part of a co-occurrence matrix that is shown.

    Attributes:
        labels: The labels shown, most pictures first.
        rows: One row of cells per label shown.
        pairs: The commonest pairs over all labels, the rarer label first, most pictures first.
        total: How many labels there are.
    """

    labels: tuple[str, ...]
    rows: tuple[tuple[LabelPair, ...], ...]
    pairs: tuple[LabelPair, ...]
    total: int


def count_labels(pictures: Iterable[tuple[Side, Sequence[str]]]) -> tuple[ClassBalance, ...]:
    """Count the pictures with no label, one label, two ...

    Args:
        pictures: One entry per picture: its side and its labels.

    Returns:
        One entry per number of labels, rising, without gaps; `MOST_NUMBERS` or more are one entry.
    """
    numbers = [(side, min(len(labels), MOST_NUMBERS)) for side, labels in pictures]
    if not numbers:
        return ()
    names = [_number_name(number) for number in range(max(number for _, number in numbers) + 1)]
    counted_bars = balance_classes(((side, [names[number]]) for side, number in numbers), names)
    return tuple(sorted(counted_bars, key=lambda bar: names.index(bar.name)))


def view_pairs(pictures: Sequence[Sequence[str]], labels: Sequence[str]) -> PairsView | None:
    """Choose what to show of the co-occurrence matrix.

    Args:
        pictures: Each picture's labels.
        labels: All labels.

    Returns:
        The view, or None where no picture has two labels.
    """
    numbers = co_occurrence(indicate(pictures, labels))
    totals = numbers.diagonal()
    ranked = np.argsort(-totals, kind="stable").tolist()
    together = np.triu(numbers[np.ix_(ranked, ranked)], 1)
    commoner, rarer = np.nonzero(together)
    if not commoner.size:
        return None
    commonest = np.argsort(-together[commoner, rarer], kind="stable")[:MOST_PAIRS]
    shown = ranked[:MOST_LABELS]

    def cell(first: int, second: int) -> LabelPair:
        number = int(numbers[first, second])
        return LabelPair(labels[first], labels[second], number, number / max(1, int(totals[first])))

    return PairsView(
        labels=tuple(labels[place] for place in shown),
        rows=tuple(tuple(cell(row, column) for column in shown) for row in shown),
        pairs=tuple(cell(ranked[rarer[at]], ranked[commoner[at]]) for at in commonest),
        total=len(labels),
    )


def indicate(pictures: Sequence[Sequence[str]], labels: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Which picture has which label: bool (pictures, labels); labels of other names are passed over."""
    places = {name: place for place, name in enumerate(labels)}
    table = np.zeros((len(pictures), len(labels)), dtype=np.bool_)
    for row, names in enumerate(pictures):
        table[row, [places[name] for name in names if name in places]] = True
    return table


def _number_name(number: int) -> str:
    if number == 0:
        return "no label"
    return (
        gettext("%(number)s or more", number=number) if number == MOST_NUMBERS else counted(number, "label", "labels")
    )
