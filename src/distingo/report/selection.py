"""Which pictures a page shows, and in which order they are worth their bytes.

The files that are not used, by reason.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import TypeVar

from distingo.evaluation.reading import PredictionRow
from distingo.language import gettext
from distingo.messages.notes import Note
from distingo.records import ManifestRow, ManifestStatus
from distingo.report.confusion import CellKey

Entry = TypeVar("Entry")

MOST_MISTAKES = 24

MOST_SAMPLES = 120

MOST_SAMPLED_CLASSES = 60

MOST_OF_A_MISTAKE = 60

MOST_OF_A_RIGHT_ANSWER = 24


def choose_samples(pictures: Iterable[tuple[str, Sequence[str]]], classes: Sequence[str]) -> dict[str, list[str]]:
    """Choose pictures that show what a class looks like, spread evenly over its files.

    Args:
        pictures: Files with their classes.
        classes: Class names, the ones to show first first.

    Returns:
        Files by class name; fewer per class where there are many classes, none beyond `MOST_SAMPLED_CLASSES`.
    """
    files: dict[str, list[str]] = defaultdict(list)
    for file, names in pictures:
        for name in names:
            files[name].append(file)
    shown = list(classes)[:MOST_SAMPLED_CLASSES]
    each = max(2, min(8, MOST_SAMPLES // max(1, len(shown))))
    return {name: spread_evenly(sorted(files[name]), each) for name in shown if files[name]}


def worst_mistakes(predictions: Iterable[PredictionRow]) -> list[PredictionRow]:
    """The wrong predictions, most confident first, at most `MOST_MISTAKES`."""
    wrong = [row for row in predictions if row.truth != row.predicted]
    return sorted(wrong, key=lambda row: (-row.confidence, row.file))[:MOST_MISTAKES]


def open_cells(
    grouped: dict[CellKey, list[PredictionRow]], cells: Iterable[CellKey]
) -> dict[CellKey, list[PredictionRow]]:
    """Cut the pictures behind each cell to what a page can hold."""
    return {
        cell: grouped[cell][: MOST_OF_A_RIGHT_ANSWER if cell[0] == cell[1] else MOST_OF_A_MISTAKE]
        for cell in cells
        if cell in grouped
    }


def rank_pictures(
    mistakes: Iterable[PredictionRow],
    samples: dict[str, list[str]],
    cells: dict[CellKey, list[PredictionRow]],
) -> list[str]:
    """Order all pictures of a page by importance, so that a budget cuts the least important.

    The worst mistakes come first, then the samples, then one picture of every cell, a second of every cell,
    and so on.
    """
    ranked = [row.file for row in mistakes]
    ranked += take_turns(list(samples.values()))
    ranked += take_turns([[row.file for row in rows] for rows in cells.values()])
    return list(dict.fromkeys(ranked))


def spread_evenly(entries: Sequence[Entry], number: int) -> list[Entry]:
    """Choose so many entries evenly from a list, or all of a shorter one."""
    if len(entries) <= number:
        return list(entries)
    return [entries[(2 * index + 1) * len(entries) // (2 * number)] for index in range(number)]


def take_turns(lists: Sequence[Sequence[Entry]]) -> list[Entry]:
    """The first entry of every list, then the second of every list, and so on; some come repeatedly."""
    return [entry for turn in zip_longest(*lists) for entry in turn if entry is not None]


_ORDER: tuple[ManifestStatus, ...] = ("unusable", "conflict", "missing", "duplicate", "ignored")
"""The most alarming status first."""

_ALIKE: frozenset[ManifestStatus] = frozenset({"unusable", "ignored", "missing"})
"""The statuses whose reasons are the same for many files."""

MOST_FILES = 2000


@dataclass(frozen=True, slots=True)
class SkippedGroup:
    """Files left out for one reason.

    Attributes:
        status: The manifest's status.
        name: The status in words.
        reason: The reason; None where each file has its own.
        number: How many files.
        rows: The files, at most `MOST_FILES`.
    """

    status: ManifestStatus
    name: str
    reason: Note | None
    number: int
    rows: tuple[ManifestRow, ...]


def group_skipped(manifest: Iterable[ManifestRow]) -> tuple[SkippedGroup, ...]:
    """Gather the unused files of a manifest by status and reason.

    The reason of a copy or a conflict names the other file, which would give a group for every file; these
    are therefore gathered by status alone.

    Args:
        manifest: One row per file found.

    Returns:
        The groups, the most alarming status first, then the largest.
    """
    groups: dict[tuple[ManifestStatus, Note | None], list[ManifestRow]] = defaultdict(list)
    for row in manifest:
        if row.status != "used":
            groups[row.status, row.reason if row.status in _ALIKE else None].append(row)
    ranked = sorted(groups.items(), key=lambda item: (_ORDER.index(item[0][0]), -len(item[1]), str(item[0][1] or "")))
    return tuple(
        SkippedGroup(status, status_name(status), reason, len(rows), tuple(rows[:MOST_FILES]))
        for (status, reason), rows in ranked
    )


def status_name(status: ManifestStatus) -> str:
    """What became of a file, in words."""
    match status:
        case "unusable":
            return gettext("not decodable")
        case "conflict":
            return gettext("found under two classes")
        case "missing":
            return gettext("named by the table, but not there")
        case "duplicate":
            return gettext("copies of another picture")
        case "ignored":
            return gettext("no picture, or no label")
        case "used":
            return gettext("used")
