"""How many pictures each class has, side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from distingo.records import SIDES, Side


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
