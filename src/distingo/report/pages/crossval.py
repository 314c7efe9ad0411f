"""``crossval.html``: a cross-validation with its summary."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from distingo.metrics.label_intervals import MIN_POSITIVES
from distingo.near_duplicates.keeping import describe_counts
from distingo.records import ClassScores, LabelScores, Score
from distingo.report.charts.confusion import often_taken_for, view_confusion
from distingo.report.charts.curves import Tick, nice_ticks
from distingo.report.examples import rank_images, surest_mistakes, worst_mistakes
from distingo.report.pages.run import describe_cells, open_confusion
from distingo.report.templating import write_page
from distingo.report.text.summaries import FEW_IMAGES, Summary, beside_baselines, other_baselines
from distingo.report.text.wording import NO_BREAK, counted, interval_in_words, isolated, percent
from distingo.report.thumbnails import fill_album
from distingo.runs.predictions import PredictionRow, read_predicted, read_predictions

if TYPE_CHECKING:
    from distingo.crossvalidation.folder import CrossValidation


_UNEVEN = 0.1


def summarize_cross_validation(found: CrossValidation) -> Summary:
    """Put the mean over folds into one sentence, next to the baselines'.

    A baseline counts as surpassed where the corrected interval of the difference, fold by fold, leaves out zero.

    Args:
        found: The scores.

    Returns:
        The verdict with remarks on uneven folds, weak classes and what was chosen.
    """
    key = found.main_score
    mean = found.means[key]
    others = {name: means[key] for name, means in found.baseline_means.items() if key in means}
    folds = f"{counted(found.folds_each, 'fold')}"
    if found.repeats > 1:
        folds += f", divided {counted(found.repeats, 'time')},"
    interval = f"95{NO_BREAK}% interval {interval_in_words(key, mean)}"
    before = "Right on " if found.task == "single-label" else "Mean average precision "
    of = f" of the pictures in the mean over {folds}" if found.task == "single-label" else f" in the mean over {folds}"
    return Summary(
        figure=percent(mean.value),
        before=before,
        after=f"{of} of {counted(found.n, 'picture')} ({interval}){beside_baselines(mean, others, found.gains)}.",
        remarks=(*_unevenness(found), *_weakest(found), *map(str, (*found.notes, *found.pooled.notes))),
    )


def _unevenness(found: CrossValidation) -> tuple[str, ...]:
    key = found.main_score
    evaluated = [(fold.scores[key], fold) for fold in found.folds if key in fold.scores]
    (worst, low), (best, _) = min(evaluated, key=lambda pair: pair[0]), max(evaluated, key=lambda pair: pair[0])
    if best - worst < _UNEVEN:
        return ()
    which = f"fold {low.fold}" + (f" of division {low.repeat}" if found.repeats > 1 else "")
    return (
        f"The folds are uneven, from {percent(worst)} ({which}) to {percent(best)}: one split into training and test "
        "would have told little.",
    )


def _weakest(found: CrossValidation) -> tuple[str, ...]:
    entries: list[ClassScores | LabelScores] = [*found.pooled.per_class, *found.pooled.per_label]
    evaluated = [entry for entry in entries if entry.support >= FEW_IMAGES]
    if len(evaluated) < 2:
        return ()
    if found.task == "single-label":
        weakest = min(evaluated, key=lambda entry: entry.recall)
        if weakest.recall == 1.0:
            return ()
        said = f"found in {percent(weakest.recall)} of its {counted(weakest.support, 'picture')}"
        return (f"Weakest class: {isolated(weakest.name)}, {said}.",)
    weakest = min(evaluated, key=_precision)
    value = _precision(weakest)
    return (f"Weakest label: {isolated(weakest.name)}, average precision {percent(value)}.",)


def _precision(entry: ClassScores | LabelScores) -> float:
    score: Score | None = entry.average_precision if isinstance(entry, LabelScores) else None
    return score.value if score is not None else 1.0


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
        "headline": summarize_cross_validation(found),
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


def _fill_classes(found: CrossValidation, predictions: Path) -> dict[str, object]:
    rows = read_predictions(predictions)
    mistakes = worst_mistakes(rows)
    confusion = view_confusion(found.pooled)
    cells = open_confusion(rows, confusion)
    album = fill_album(found.root, rank_images(mistakes, {}, cells), value_ranges=found.value_ranges)
    return {
        "records": _Judged(found.model, rows),
        "mistakes": mistakes,
        "confusion": confusion,
        "taken_for": often_taken_for(found.pooled),
        "cells": describe_cells(cells, confusion, album),
        "album": album,
    }


def _fill_labels(found: CrossValidation, predictions: Path) -> dict[str, object]:
    told = read_predicted(predictions, found.classes)
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
