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
from distingo.records import SPLITS, LabeledImage, SplitName
from distingo.report.charts.curves import Tick
from distingo.report.text.wording import counted


@dataclass(frozen=True, slots=True)
class Bar:
    """A part of a class's bar: its side, its images, its start and its length (in percent)."""

    split: SplitName
    number: int
    start: float
    length: float


@dataclass(frozen=True, slots=True)
class ClassBalance:
    """One class's images: their number in all, and one bar per side that has some."""

    name: str
    number: int
    bars: tuple[Bar, ...]


def balance_classes(
    labels: Iterable[tuple[SplitName, Sequence[str]]], classes: Sequence[str]
) -> tuple[ClassBalance, ...]:
    """Count images per class and side.

    Args:
        labels: One entry per image: its side and its classes.
        classes: All class names; one without an image gets an empty bar.

    Returns:
        One entry per class, most images first; the longest bar is 100 percent.
    """
    counts: Counter[tuple[str, SplitName]] = Counter((name, split) for split, names in labels for name in names)
    totals = {name: sum(counts[name, split] for split in SPLITS) for name in classes}
    longest = max(totals.values(), default=0) or 1
    ranked = sorted(classes, key=lambda name: -totals[name])
    return tuple(ClassBalance(name, totals[name], _bars(name, counts, longest)) for name in ranked)


def _bars(name: str, counts: Counter[tuple[str, SplitName]], longest: int) -> tuple[Bar, ...]:
    bars = []
    start = 0.0
    for split in SPLITS:
        number = counts[name, split]
        if number:
            length = number / longest * 100
            bars.append(Bar(split, number, round(start, 3), round(length, 3)))
            start += length
    return tuple(bars)


SIZE = 330

LEFT, RIGHT, TOP, BOTTOM = 52, 318, 10, 284

_STEPS = 40

_LARGEST_RADIUS = 13.0


@dataclass(frozen=True, slots=True)
class Bubble:
    """Images of about one size: where the bubble lies, its radius (its area is their number), its text."""

    x: float
    y: float
    radius: float
    text: str


@dataclass(frozen=True, slots=True)
class SizeSummary:
    """The sizes of all images.

    Attributes:
        distinct: How many different sizes there are.
        median_width: In pixels.
        median_height: In pixels.
        smallest: The image with the fewest pixels, as ``120 × 80``.
        largest: The image with the most.
        most_frequent: The most frequent sizes with their numbers of images.
        bubbles: One per size, or per group of near sizes.
        x_ticks: Widths, on a logarithmic axis.
        y_ticks: Heights, on the same scale.
    """

    distinct: int
    median_width: int
    median_height: int
    smallest: str
    largest: str
    most_frequent: tuple[tuple[str, int], ...]
    bubbles: tuple[Bubble, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]


def summarize_sizes(images: Sequence[LabeledImage]) -> SizeSummary | None:
    """Sum up widths and heights.

    Args:
        images: The usable images.

    Returns:
        The summary, or None without images.
    """
    if not images:
        return None
    sizes = Counter((image.width, image.height) for image in images)
    by_area = sorted(sizes, key=lambda size: (size[0] * size[1], size))
    edges = [edge for size in sizes for edge in size]
    low, high = math.log(max(1, min(edges)) * 0.85), math.log(max(edges) * 1.15)
    ticks = _log_ticks(math.exp(low), math.exp(high))
    return SizeSummary(
        distinct=len(sizes),
        median_width=round(median(image.width for image in images)),
        median_height=round(median(image.height for image in images)),
        smallest=_text(by_area[0]),
        largest=_text(by_area[-1]),
        most_frequent=tuple((_text(size), number) for size, number in sizes.most_common(6)),
        bubbles=_bubbles(sizes, low, high),
        x_ticks=tuple(Tick(_position(edge, low, high, LEFT, RIGHT), count(edge)) for edge in ticks),
        y_ticks=tuple(Tick(_position(edge, low, high, BOTTOM, TOP), count(edge)) for edge in ticks),
    )


def _text(size: tuple[int, int]) -> str:
    return f"{size[0]} × {size[1]}"


def _position(edge: float, low: float, high: float, start: float, end: float) -> float:
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
                x=_position(width, low, high, LEFT, RIGHT),
                y=_position(height, low, high, BOTTOM, TOP),
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
"""Images with so many labels or more share one bar."""

MOST_LABELS = 30
"""A larger matrix can't be read on a page; the labels with most images are shown instead."""

MOST_PAIRS = 12


@dataclass(frozen=True, slots=True)
class LabelPair:
    """Two labels that images have at once.

    Attributes:
        first: The label whose images are looked at.
        second: The other one; the same on the diagonal.
        number: How many images have both.
        share: Of the first label's images, from 0 to 1.
    """

    first: str
    second: str
    number: int
    share: float


@dataclass(frozen=True, slots=True)
class PairsView:
    """The part of a co-occurrence matrix that is shown.

    Attributes:
        labels: The labels shown, most images first.
        rows: One row of cells per label shown.
        pairs: The most frequent pairs over all labels, the rarer label first, most images first.
        total: How many labels there are.
    """

    labels: tuple[str, ...]
    rows: tuple[tuple[LabelPair, ...], ...]
    pairs: tuple[LabelPair, ...]
    total: int


def count_labels(images: Iterable[tuple[SplitName, Sequence[str]]]) -> tuple[ClassBalance, ...]:
    """Count the images with no label, one label, two ...

    Args:
        images: One entry per image: its side and its labels.

    Returns:
        One entry per number of labels, rising, without gaps; `MOST_NUMBERS` or more are one entry.
    """
    numbers = [(split, min(len(labels), MOST_NUMBERS)) for split, labels in images]
    if not numbers:
        return ()
    names = [_number_name(number) for number in range(max(number for _, number in numbers) + 1)]
    counted_bars = balance_classes(((split, [names[number]]) for split, number in numbers), names)
    return tuple(sorted(counted_bars, key=lambda bar: names.index(bar.name)))


def view_pairs(images: Sequence[Sequence[str]], labels: Sequence[str]) -> PairsView | None:
    """Choose what to show of the co-occurrence matrix.

    Args:
        images: Each image's labels.
        labels: All labels.

    Returns:
        The view, or None where no image has two labels.
    """
    numbers = co_occurrence(indicate(images, labels))
    totals = numbers.diagonal()
    ranked = np.argsort(-totals, kind="stable").tolist()
    together = np.triu(numbers[np.ix_(ranked, ranked)], 1)
    commoner, rarer = np.nonzero(together)
    if not commoner.size:
        return None
    most_frequent = np.argsort(-together[commoner, rarer], kind="stable")[:MOST_PAIRS]
    shown = ranked[:MOST_LABELS]

    def cell(first: int, second: int) -> LabelPair:
        number = int(numbers[first, second])
        return LabelPair(labels[first], labels[second], number, number / max(1, int(totals[first])))

    return PairsView(
        labels=tuple(labels[place] for place in shown),
        rows=tuple(tuple(cell(row, column) for column in shown) for row in shown),
        pairs=tuple(cell(ranked[rarer[at]], ranked[commoner[at]]) for at in most_frequent),
        total=len(labels),
    )


def indicate(images: Sequence[Sequence[str]], labels: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Which image has which label: bool (images, labels); labels of other names are passed over."""
    places = {name: place for place, name in enumerate(labels)}
    table = np.zeros((len(images), len(labels)), dtype=np.bool_)
    for row, names in enumerate(images):
        table[row, [places[name] for name in names if name in places]] = True
    return table


def _number_name(number: int) -> str:
    if number == 0:
        return "no label"
    return (
        gettext("%(number)s or more", number=number) if number == MOST_NUMBERS else counted(number, "label", "labels")
    )
