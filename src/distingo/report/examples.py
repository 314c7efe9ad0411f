"""Selection of the images that a page shows: samples, top losses, the images of confusion matrix cells, unused files.

The images are selected from a run's predictions (``predictions.parquet``) and manifest.
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
from distingo.report.charts.classes import CellKey
from distingo.runs.predictions import Predicted, PredictionRow

Entry = TypeVar("Entry")

MOST_MISTAKES = 24

MOST_SAMPLES = 120

MOST_SAMPLED_CLASSES = 60

MOST_OF_A_MISTAKE = 60

MOST_OF_A_CORRECT_CELL = 24


def choose_samples(images: Iterable[tuple[str, Sequence[str]]], classes: Sequence[str]) -> dict[str, list[str]]:
    """Choose images that show what a class looks like, spread evenly over its files.

    Args:
        images: Files with their classes.
        classes: Class names, the most important first.

    Returns:
        Files by class name for at most `MOST_SAMPLED_CLASSES` classes; the more classes, the fewer files for each.
    """
    files: dict[str, list[str]] = defaultdict(list)
    for file, names in images:
        for name in names:
            files[name].append(file)
    shown = list(classes)[:MOST_SAMPLED_CLASSES]
    per_class = max(2, min(8, MOST_SAMPLES // max(1, len(shown))))
    return {name: spread_evenly(sorted(files[name]), per_class) for name in shown if files[name]}


def most_confident_errors(predictions: Iterable[PredictionRow]) -> list[PredictionRow]:
    """Return the most confident errors, at most `MOST_MISTAKES`, the most confident first."""
    wrong = [row for row in predictions if row.truth != row.predicted]
    return sorted(wrong, key=lambda row: (-row.confidence, row.file))[:MOST_MISTAKES]


def open_cells(
    grouped: dict[CellKey, list[PredictionRow]], cells: Iterable[CellKey]
) -> dict[CellKey, list[PredictionRow]]:
    """Limit the images of each confusion matrix cell to what fits on a page."""
    return {
        cell: grouped[cell][: MOST_OF_A_CORRECT_CELL if cell[0] == cell[1] else MOST_OF_A_MISTAKE]
        for cell in cells
        if cell in grouped
    }


def rank_images(
    mistakes: Iterable[PredictionRow],
    samples: dict[str, list[str]],
    cells: dict[CellKey, list[PredictionRow]],
) -> list[str]:
    """Order all images of a page by importance, so that a budget drops the least important ones.

    The top losses come first, then the samples, then one image of every cell, a second image of every cell, and so on.
    """
    ranked = [row.file for row in mistakes]
    ranked += take_turns(list(samples.values()))
    ranked += take_turns([[row.file for row in rows] for rows in cells.values()])
    return list(dict.fromkeys(ranked))


def spread_evenly(entries: Sequence[Entry], number: int) -> list[Entry]:
    """Choose `number` evenly spaced entries of a sequence, or all of a shorter one."""
    if len(entries) <= number:
        return list(entries)
    return [entries[(2 * index + 1) * len(entries) // (2 * number)] for index in range(number)]


def take_turns(lists: Sequence[Sequence[Entry]]) -> list[Entry]:
    """Interleave lists: the first entry of each, then the second of each, and so on; duplicates stay."""
    return [entry for turn in zip_longest(*lists) for entry in turn if entry is not None]


_ORDER: tuple[ManifestStatus, ...] = ("unusable", "conflict", "missing", "duplicate", "ignored")
"""Order of the statuses on the page, the most serious first."""

_ALIKE: frozenset[ManifestStatus] = frozenset({"unusable", "ignored", "missing"})
"""Statuses whose reasons are shared by many files."""

MOST_FILES = 2000


@dataclass(frozen=True, slots=True)
class SkippedGroup:
    """Files left out for the same reason.

    Attributes:
        status: Their status in the manifest.
        name: The status in the page's language.
        reason: The reason; None if each file has its own.
        number: Number of files.
        rows: Their rows of the manifest, at most `MOST_FILES`.
    """

    status: ManifestStatus
    name: str
    reason: Note | None
    number: int
    rows: tuple[ManifestRow, ...]


def group_skipped(manifest: Iterable[ManifestRow]) -> tuple[SkippedGroup, ...]:
    """Group the unused files of a manifest by status and reason.

    Duplicates and conflicts are grouped by status alone, since their reasons name the other file and therefore differ.

    Args:
        manifest: One row per file found.

    Returns:
        The groups, the most serious status first, then by size, the largest first.
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
    """Describe a status in the current language."""
    match status:
        case "unusable":
            return gettext("not decodable")
        case "conflict":
            return gettext("found under two classes")
        case "missing":
            return gettext("named by the table, but missing")
        case "duplicate":
            return gettext("copies of another picture")
        case "ignored":
            return gettext("no picture, or no label")
        case "used":
            return gettext("used")


MOST_LABEL_SAMPLES = 24

MOST_PREDICTED = 3


@dataclass(frozen=True, slots=True)
class PredictedLabel:
    """One of an image's most probable labels.

    Attributes:
        label: The label.
        probability: The predicted probability.
        threshold: The label's decision threshold.
        given: Whether the label was predicted.
        right: Whether the image has the label.
    """

    label: str
    probability: float
    threshold: float
    given: bool
    right: bool


@dataclass(frozen=True, slots=True)
class LabelSample:
    """An image with its true and predicted labels.

    Attributes:
        file: The image.
        truth: Its true labels, each with whether it was predicted.
        predictions: Its most probable labels, most probable first.
    """

    file: str
    truth: tuple[tuple[str, bool], ...]
    predictions: tuple[PredictedLabel, ...]


def show_samples(predictions: Predicted, thresholds: Sequence[float]) -> tuple[LabelSample, ...]:
    """Choose evenly spaced images among the evaluated ones, whether predicted correctly or not.

    Args:
        predictions: Predictions for all evaluated images.
        thresholds: The decision threshold of each label.

    Returns:
        At most `MOST_LABEL_SAMPLES` samples, sorted by file name.
    """
    by_name = sorted(range(len(predictions.files)), key=lambda row: predictions.files[row])
    return tuple(_sample(predictions, row, thresholds) for row in spread_evenly(by_name, MOST_LABEL_SAMPLES))


def _sample(predictions: Predicted, row: int, thresholds: Sequence[float]) -> LabelSample:
    probabilities, predicted, truth = predictions.probabilities[row], predictions.predicted[row], predictions.truth[row]
    return LabelSample(
        file=predictions.files[row],
        truth=tuple((predictions.classes[column], bool(predicted[column])) for column in np.flatnonzero(truth)),
        predictions=tuple(
            PredictedLabel(
                label=predictions.classes[column],
                probability=float(probabilities[column]),
                threshold=thresholds[column],
                given=bool(predicted[column]),
                right=bool(truth[column]),
            )
            for column in np.argsort(-probabilities, kind="stable")[:MOST_PREDICTED]
        ),
    )


MOST_LABEL_MISTAKES = 16

MOST_OF_A_LABEL = 3
"""Maximum number of mistakes per label; otherwise the rarest label, with the lowest probabilities, would dominate."""


@dataclass(frozen=True, slots=True)
class LabelMistake:
    """A false positive or a false negative of a label.

    Attributes:
        file: The image.
        label: The label.
        probability: The predicted probability.
        truth: The image's true labels.
    """

    file: str
    label: str
    probability: float
    truth: tuple[str, ...]


def most_confident_label_errors(predictions: Predicted, *, missed: bool) -> tuple[LabelMistake, ...]:
    """Choose the most confident errors of one kind.

    Args:
        predictions: Predictions for all evaluated images.
        missed: True for false negatives, the least probable first; False for false positives, the most probable first.

    Returns:
        At most `MOST_LABEL_MISTAKES`: each image once, each label at most `MOST_OF_A_LABEL` times.
    """
    truth, predicted = predictions.truth, predictions.predicted
    rows, columns = np.nonzero(truth & ~predicted if missed else predicted & ~truth)
    probabilities = predictions.probabilities[rows, columns]
    mistakes: list[LabelMistake] = []
    used_rows: set[int] = set()
    label_counts: Counter[int] = Counter()
    for index in np.argsort(probabilities if missed else -probabilities, kind="stable"):
        row, column = int(rows[index]), int(columns[index])
        if row in used_rows or label_counts[column] == MOST_OF_A_LABEL:
            continue
        used_rows.add(row)
        label_counts[column] += 1
        mistakes.append(
            LabelMistake(
                predictions.files[row],
                predictions.classes[column],
                float(probabilities[index]),
                predictions.labels_of(row),
            )
        )
        if len(mistakes) == MOST_LABEL_MISTAKES:
            break
    return tuple(mistakes)
