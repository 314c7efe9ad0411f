"""Which images a page shows: samples, top losses, the images behind a confusion matrix's cells, unused files.

They come from the predictions of a run, ``predictions.parquet``, and from its manifest.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import TypeVar

import numpy as np

from distingo.language import gettext
from distingo.messages.notes import Note
from distingo.records import ManifestRow, ManifestStatus
from distingo.report.charts.confusion import CellKey
from distingo.runs.predictions import Predicted, PredictionRow

Entry = TypeVar("Entry")

MOST_MISTAKES = 24

MOST_SAMPLES = 120

MOST_SAMPLED_CLASSES = 60

MOST_OF_A_MISTAKE = 60

MOST_OF_A_RIGHT_ANSWER = 24


def choose_samples(images: Iterable[tuple[str, Sequence[str]]], classes: Sequence[str]) -> dict[str, list[str]]:
    """Choose images that show what a class looks like, spread evenly over its files.

    Args:
        images: Files with their classes.
        classes: Class names, the ones to show first first.

    Returns:
        Files by class name; fewer per class where there are many classes, none beyond `MOST_SAMPLED_CLASSES`.
    """
    files: dict[str, list[str]] = defaultdict(list)
    for file, names in images:
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
    """Cut the images behind each cell to what a page can hold."""
    return {
        cell: grouped[cell][: MOST_OF_A_RIGHT_ANSWER if cell[0] == cell[1] else MOST_OF_A_MISTAKE]
        for cell in cells
        if cell in grouped
    }


def rank_images(
    mistakes: Iterable[PredictionRow],
    samples: dict[str, list[str]],
    cells: dict[CellKey, list[PredictionRow]],
) -> list[str]:
    """Order all images of a page by importance, so that a budget cuts the least important.

    The worst mistakes come first, then the samples, then one image of every cell, a second of every cell,
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


MOST_LABEL_SAMPLES = 24

MOST_SAID = 3


@dataclass(frozen=True, slots=True)
class SaidLabel:
    """One of an image's most probable labels.

    Attributes:
        label: The label.
        probability: What the model said of it.
        threshold: From where on it is given.
        given: Whether it was.
        right: Whether it is there.
    """

    label: str
    probability: float
    threshold: float
    given: bool
    right: bool


@dataclass(frozen=True, slots=True)
class LabelSample:
    """An image next to what was said.

    Attributes:
        file: The image.
        truth: Its labels, each with whether it was given.
        said: The most probable labels, most probable first.
    """

    file: str
    truth: tuple[tuple[str, bool], ...]
    said: tuple[SaidLabel, ...]


def show_samples(predictions: Predicted, thresholds: Sequence[float]) -> tuple[LabelSample, ...]:
    """Choose images evenly from the evaluated ones, whatever was said of them.

    Args:
        predictions: Of all evaluated images.
        thresholds: One per label.

    Returns:
        At most `MOST_SHOWN` samples, by file name.
    """
    by_name = sorted(range(len(predictions.files)), key=lambda row: predictions.files[row])
    return tuple(_sample(predictions, row, thresholds) for row in spread_evenly(by_name, MOST_LABEL_SAMPLES))


def _sample(predictions: Predicted, row: int, thresholds: Sequence[float]) -> LabelSample:
    chances, given, truth = predictions.probabilities[row], predictions.said[row], predictions.truth[row]
    return LabelSample(
        file=predictions.files[row],
        truth=tuple((predictions.classes[column], bool(given[column])) for column in np.flatnonzero(truth)),
        said=tuple(
            SaidLabel(
                label=predictions.classes[column],
                probability=float(chances[column]),
                threshold=thresholds[column],
                given=bool(given[column]),
                right=bool(truth[column]),
            )
            for column in np.argsort(-chances, kind="stable")[:MOST_SAID]
        ),
    )


MOST_LABEL_MISTAKES = 16

MOST_OF_A_LABEL = 3
"""Else the rarest label, which is always denied most firmly, would fill the page."""


@dataclass(frozen=True, slots=True)
class LabelMistake:
    """A label that was given and is not there, or is there and was not given.

    Attributes:
        file: The image.
        label: The label.
        probability: What the model said of it.
        truth: The image's labels.
    """

    file: str
    label: str
    probability: float
    truth: tuple[str, ...]


def surest_mistakes(predictions: Predicted, *, missed: bool) -> tuple[LabelMistake, ...]:
    """Choose the mistakes of one kind that the model was surest of.

    Args:
        predictions: Of all evaluated images.
        missed: Whether the label is there and was denied, the least probable first; else it was given and is not
            there, the most probable first.

    Returns:
        At most `MOST_SHOWN`: each image once, each label at most `MOST_OF_A_LABEL` times.
    """
    truth, given = predictions.truth, predictions.said
    rows, columns = np.nonzero(truth & ~given if missed else given & ~truth)
    chances = predictions.probabilities[rows, columns]
    chosen: list[LabelMistake] = []
    seen: set[int] = set()
    times: Counter[int] = Counter()
    for at in np.argsort(chances if missed else -chances, kind="stable"):
        row, column = int(rows[at]), int(columns[at])
        if row in seen or times[column] == MOST_OF_A_LABEL:
            continue
        seen.add(row)
        times[column] += 1
        chosen.append(
            LabelMistake(
                predictions.files[row], predictions.classes[column], float(chances[at]), predictions.labels_of(row)
            )
        )
        if len(chosen) == MOST_LABEL_MISTAKES:
            break
    return tuple(chosen)
