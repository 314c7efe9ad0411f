"""A cross-validation to its ``crossval.html``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distingo.evaluation.reading import PredictionRow, read_predictions
from distingo.metrics.judged_labels import MIN_POSITIVES
from distingo.near_duplicates.keeping import describe_counts
from distingo.report.charts import Tick, nice_ticks
from distingo.report.confusion import often_taken_for, view_confusion
from distingo.report.crossval_verdict import judge_cross_validation
from distingo.report.label_mistakes import surest_mistakes
from distingo.report.label_predictions import read_label_predictions
from distingo.report.page import describe_cells, open_confusion
from distingo.report.selection import rank_pictures, worst_mistakes
from distingo.report.templating import write_page
from distingo.report.thumbnails import fill_album
from distingo.report.verdict import other_baselines
from distingo.report.wording import NO_BREAK

if TYPE_CHECKING:
    from distingo.crossvalidation.records import CrossValidation

PAGE_NAME = "crossval.html"


@dataclass(frozen=True, slots=True)
class _Judged:
    """What the run report's sections ask of a run's records."""

    model: str
    predictions: tuple[PredictionRow, ...]


@dataclass(frozen=True, slots=True)
class FoldRail:
    """The scale on which every fold's score is drawn.

    Attributes:
        low: The score at its left end.
        high: The score at its right end.
        ticks: Their places in percent of the width.
    """

    low: float
    high: float
    ticks: tuple[Tick, ...]

    def place(self, value: float) -> float:
        """Where a score lies, in percent of the width."""
        return round((value - self.low) / (self.high - self.low) * 100, 2)


def write_crossval_page(found: CrossValidation, folder: Path) -> Path:
    """Write the page of a cross-validation: one HTML file with everything inside, readable offline.

    Args:
        found: The scores.
        folder: Where ``predictions.parquet`` lies; gets ``crossval.html``.

    Raises:
        ResourceError: It can't be written.
        RunError: The predictions are damaged.
    """
    fill = _fill_labels if found.task == "multi-label" else _fill_classes
    context = {
        "found": found,
        "verdict": judge_cross_validation(found),
        "data_name": found.data.name or "data",
        "evaluation": found.pooled,
        "main_score": found.main_score,
        "rail_end": 1.0,
        "min_positives": MIN_POSITIVES,
        "baselines": other_baselines(found.pooled, found.model, found.main_score),
        "rail": draw_fold_rail(found),
        "invented": (),
        "missed": (),
        "mistakes": (),
        "heat": {},
        "confusion": None,
        "taken_for": {},
        "cells": [],
        "near_duplicates": describe_counts(found.near_duplicates, folds=True) if found.near_duplicates else [],
        **fill(found, folder / "predictions.parquet"),
    }
    return write_page("crossval.html", folder / PAGE_NAME, context)


def draw_fold_rail(found: CrossValidation) -> FoldRail:
    """Choose a scale that holds every fold's score and the mean's interval."""
    key = found.main_score
    mean = found.means[key]
    values = [fold.scores[key] for fold in found.folds if key in fold.scores]
    ends = nice_ticks(min(*values, mean.low), max(*values, mean.high), 5)
    rail = FoldRail(ends[0], ends[-1], ())
    ticks = tuple(Tick(rail.place(value), f"{round(value * 100, 6):g}{NO_BREAK}%") for value in ends)
    return FoldRail(rail.low, rail.high, ticks)


def _fill_classes(found: CrossValidation, predictions: Path) -> dict[str, Any]:
    rows = read_predictions(predictions)
    mistakes = worst_mistakes(rows)
    confusion = view_confusion(found.pooled)
    cells = open_confusion(rows, confusion)
    album = fill_album(found.root, rank_pictures(mistakes, {}, cells), value_ranges=found.value_ranges)
    return {
        "records": _Judged(found.model, rows),
        "mistakes": mistakes,
        "confusion": confusion,
        "taken_for": often_taken_for(found.pooled),
        "cells": describe_cells(cells, confusion, album),
        "album": album,
    }


def _fill_labels(found: CrossValidation, predictions: Path) -> dict[str, Any]:
    told = read_label_predictions(predictions, found.classes)
    invented = surest_mistakes(told, missed=False) if told else ()
    missed = surest_mistakes(told, missed=True) if told else ()
    return {
        "records": _Judged(found.model, ()),
        "invented": invented,
        "missed": missed,
        "album": fill_album(
            found.root, [mistake.file for mistake in (*invented, *missed)], value_ranges=found.value_ranges
        ),
    }
