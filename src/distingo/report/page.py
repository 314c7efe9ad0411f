"""A run folder to its ``report.html``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from distingo.evaluation.reading import Epoch, PredictionRow, RunRecords, read_other_evaluation, read_run
from distingo.language import gettext
from distingo.metrics.confusion_intervals import class_intervals
from distingo.records import Evaluation, Score
from distingo.report.balance import balance_classes
from distingo.report.card_limits import leaks
from distingo.report.cell_notes import cell_note
from distingo.report.charts import CURVE_SCORES, best_epoch, draw_curves
from distingo.report.confidence import show_confidence, strange_files
from distingo.report.confusion import CellKey, ConfusionView, group_by_cell, often_taken_for, view_confusion
from distingo.report.explained_mistakes import heat_layers
from distingo.report.label_page import label_context
from distingo.report.selection import choose_samples, open_cells, rank_pictures, worst_mistakes
from distingo.report.skipped import group_skipped
from distingo.report.templating import write_page
from distingo.report.thumbnails import Album, fill_album
from distingo.report.verdict import FIGURE, Verdict, judge, other_baselines, set_apart
from distingo.report.wording import percent

REPORT_FILE = "report.html"


def write_report(run: Path, judged: Path | None = None) -> Path:
    """Write a run's report: one HTML file with everything inside, readable offline.

    Args:
        run: The run folder; what it does not hold yet is left out of the report.
        judged: The folder in it of an evaluation on other pictures, to report on those; None for the run's own.

    Returns:
        The path of ``report.html`` in the run folder, or in `judged`.

    Raises:
        RunError: The folder is no run, a file is damaged, or a newer version wrote it.
        ResourceError: The report can't be written.
    """
    records = read_run(run) if judged is None else read_other_evaluation(run, judged)
    several = records.task == "multi-label"
    template, context = ("label_report.html", label_context) if several else ("report.html", _context)
    return write_page(template, records.folder / REPORT_FILE, context(records))


def _context(records: RunRecords) -> dict[str, Any]:
    evaluation = records.evaluation
    best = best_epoch(records.history, str(records.recipe.get("monitor", "validation_accuracy")))
    balance = balance_classes(((row.side, row.labels) for row in records.split), records.classes)
    side = "train" if any(row.side == "train" for row in records.split) else "test"
    shown = [(row.file, row.labels) for row in records.split if row.side == side]
    samples = choose_samples(shown, [entry.name for entry in balance])
    mistakes = worst_mistakes(records.predictions)
    confusion = view_confusion(evaluation) if evaluation else None
    cells = open_confusion(records.predictions, confusion)
    certainty = show_confidence(records.folder) if evaluation else None
    ranked = [*strange_files(certainty), *rank_pictures(mistakes, samples, cells)]
    album = fill_album(records.root, list(dict.fromkeys(ranked)), value_ranges=records.value_ranges)
    return {
        "records": records,
        "data_name": records.data_name,
        "verdict": judge(evaluation, records.model, leaks(records)) if evaluation else _unjudged(best),
        "evaluation": evaluation,
        "class_intervals": _class_intervals(evaluation),
        "main_score": "accuracy",
        "rail_end": 1.0,
        "baselines": other_baselines(evaluation, records.model, "accuracy"),
        "balance": balance,
        "samples": samples,
        "sampled_from": "training" if side == "train" else "test",
        "curves": [chart for score in CURVE_SCORES if (chart := draw_curves(records.history, score, best=best))],
        "best": best,
        "certainty": certainty,
        "confusion": confusion,
        "taken_for": often_taken_for(evaluation) if evaluation else {},
        "cells": describe_cells(cells, confusion, album),
        "mistakes": mistakes,
        "heat": heat_layers(records, [(row.file, row.predicted) for row in mistakes], album),
        "skipped": group_skipped(records.manifest),
        "album": album,
    }


def _class_intervals(evaluation: Evaluation | None) -> dict[str, dict[str, Score]]:
    if evaluation is None or not evaluation.confusion:
        return {name: {} for name in (evaluation.classes if evaluation else ())}
    return class_intervals(np.asarray(evaluation.confusion, np.int64), evaluation.classes)


def _unjudged(best: Epoch | None) -> Verdict:
    if best is None or best.validation_accuracy is None:
        return Verdict("", gettext("Not evaluated on test pictures yet."), "")
    sentence = gettext(
        "Not evaluated on test pictures yet; right on %(figure)s of the validation pictures at epoch %(epoch)s, which "
        "flatters: it chose that epoch.",
        figure=FIGURE,
        epoch=best.number,
    )
    return set_apart(percent(best.validation_accuracy), sentence)


def open_confusion(
    predictions: Sequence[PredictionRow], confusion: ConfusionView | None
) -> dict[CellKey, list[PredictionRow]]:
    """The pictures behind each cell of a confusion matrix that is shown."""
    if confusion is None:
        return {}
    return open_cells(group_by_cell(predictions), ((cell.truth, cell.predicted) for cell in confusion.cells))


def describe_cells(
    cells: dict[CellKey, list[PredictionRow]], confusion: ConfusionView | None, album: Album
) -> list[dict[str, Any]]:
    """What the page's script needs to open a cell, as plain values, in the order of `ConfusionView.cells`."""
    if confusion is None:
        return []
    return [
        {
            "truth": cell.truth,
            "predicted": cell.predicted,
            "number": cell.number,
            "note": cell_note(cell.number, len(cells.get((cell.truth, cell.predicted), ())), agrees=cell.right),
            "rows": [
                [row.file, round(row.confidence, 4), album.number(row.file)]
                for row in cells.get((cell.truth, cell.predicted), ())
            ],
        }
        for cell in confusion.cells
    ]
