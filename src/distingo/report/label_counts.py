"""How many labels the pictures have, and which labels they have together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from distingo.language import gettext
from distingo.metrics.label_tables import co_occurrence
from distingo.records import Side
from distingo.report.balance import ClassBalance, balance_classes
from distingo.report.wording import counted

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
