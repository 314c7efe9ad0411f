"""``report.html``: the report of a single-label or multi-label run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from distingo.errors import RunError
from distingo.language import gettext
from distingo.metrics.label_intervals import MIN_POSITIVES
from distingo.metrics.single_label import class_intervals
from distingo.report.charts.class_balance import balance_classes, count_labels, view_pairs
from distingo.report.charts.classes import (
    MOST_CARDS,
    CellKey,
    ConfusionView,
    LabelCard,
    cell_note,
    group_by_cell,
    mean_plain_f1,
    most_frequent_confusions,
    view_confusion,
    view_labels,
)
from distingo.report.charts.curves import (
    CURVE_SCORES,
    best_epoch,
    draw_curves,
    nice_ticks,
    show_confidence,
    strange_files,
)
from distingo.report.examples import (
    LabelMistake,
    LabelSample,
    choose_samples,
    group_skipped,
    most_confident_errors,
    most_confident_label_errors,
    open_cells,
    rank_images,
    show_samples,
    take_turns,
)
from distingo.report.pages.card_limits import leaks
from distingo.report.templating import write_page
from distingo.report.text.summaries import (
    FIGURE,
    MAIN_SCORE,
    Summary,
    other_baselines,
    split_at_figure,
    summarize_evaluation,
    summarize_label_evaluation,
)
from distingo.report.text.wording import percent
from distingo.report.thumbnails import Album, fill_album, heat_layers
from distingo.runs.contents import RunRecords, read_other_evaluation, read_run
from distingo.runs.history import EpochRecord
from distingo.runs.predictions import Predicted, PredictionRow, read_predicted
from distingo.scores import Evaluation, Score

MOST_IMAGES = 600
"""Higher than for other pages, as each label has four cells to open."""


def label_context(records: RunRecords) -> dict[str, object]:
    """Return the variables of the template ``label_report.html``.

    Args:
        records: The records of a multi-label run.

    Raises:
        RunError: ``predictions.parquet`` is damaged or does not fit the evaluation.
    """
    best = best_epoch(records.history, str(records.recipe.get("monitor", "validation_mean_average_precision")))
    evaluation = records.evaluation
    return {
        "records": records,
        "data_name": records.data_name,
        "headline": summarize_label_evaluation(evaluation, records.model, leaks(records))
        if evaluation
        else _unjudged_labels(best),
        "evaluation": evaluation,
        "main_score": MAIN_SCORE,
        "rail_end": _rail_end(records),
        "min_positives": MIN_POSITIVES,
        "baselines": other_baselines(evaluation, records.model, MAIN_SCORE),
        **_evaluated_images(records),
        "curves": [chart for score in CURVE_SCORES if (chart := draw_curves(records.history, score, best=best))],
        "best": best,
        "balance": balance_classes(((row.split, row.labels) for row in records.split), records.classes),
        "label_counts": count_labels((row.split, row.labels) for row in records.split),
        "pairs": view_pairs([row.labels for row in records.split], records.classes),
        "skipped": group_skipped(records.manifest),
    }


def _evaluated_images(records: RunRecords) -> dict[str, object]:
    """Return the variables that need predictions or images; empty without an evaluation."""
    evaluation, predictions = records.evaluation, _predictions(records)
    thresholds = [scores.threshold for scores in evaluation.per_label] if evaluation else []
    samples = show_samples(predictions, thresholds) if predictions else ()
    invented = most_confident_label_errors(predictions, missed=False) if predictions else ()
    missed = most_confident_label_errors(predictions, missed=True) if predictions else ()
    cards = view_labels(evaluation, predictions) if evaluation else ()
    certainty = show_confidence(records.folder) if evaluation else None
    files = [*strange_files(certainty), *_rank_files(samples, (*invented, *missed), cards, predictions)]
    files = list(dict.fromkeys(files))
    album = fill_album(records.root, files, value_ranges=records.value_ranges, most_images=MOST_IMAGES)
    return {
        "certainty": certainty,
        "label_samples": samples,
        "invented": invented,
        "missed": missed,
        "heat": heat_layers(records, [(each.file, each.label) for each in (*invented, *missed)], album),
        "cards": cards,
        "most_cards": MOST_CARDS,
        "plain_f1": mean_plain_f1(cards),
        "cells": _cell_data(cards, predictions, album) if predictions else {},
        "album": album,
    }


def _predictions(records: RunRecords) -> Predicted | None:
    evaluation = records.evaluation
    if evaluation is None or not evaluation.per_label:
        return None
    path = records.folder / "predictions.parquet"
    predictions = read_predicted(path, evaluation.classes)
    if predictions is not None and len(predictions.files) != evaluation.n:
        raise RunError(
            f"{path}: tells of {len(predictions.files)} pictures and evaluation.json of {evaluation.n}; "
            "evaluate the run again",
            code="records_differ",
        )
    return predictions


def _unjudged_labels(best: EpochRecord | None) -> Summary:
    if best is None or best.validation_mean_average_precision is None:
        return Summary("", gettext("Not evaluated on test pictures yet."), "")
    sentence = gettext(
        "Not evaluated on test pictures yet; mean average precision %(figure)s on the "
        "validation pictures at epoch %(epoch)s, which is optimistic, as it selected that "
        "epoch.",
        figure=FIGURE,
        epoch=best.epoch,
    )
    return split_at_figure(percent(best.validation_mean_average_precision), sentence)


def _rail_end(records: RunRecords) -> float:
    """Return the upper end of the main score's scale: a round value above all intervals, not always 1."""
    if records.evaluation is None:
        return 1.0
    everyone = [records.evaluation.scores, *records.evaluation.baselines.values()]
    highs = [scores[MAIN_SCORE].high for scores in everyone if MAIN_SCORE in scores]
    return min(1.0, nice_ticks(0.0, max(highs, default=1.0), 5)[-1])


def _rank_files(
    samples: Sequence[LabelSample],
    mistakes: Sequence[LabelMistake],
    cards: Sequence[LabelCard],
    predictions: Predicted | None,
) -> list[str]:
    """Return all images of the page, the most important first: samples, errors, then one of every cell and so on."""
    ranked = [*(sample.file for sample in samples), *(mistake.file for mistake in mistakes)]
    if predictions:
        ranked += take_turns([[predictions.files[row] for row in cell.rows] for card in cards for cell in card.cells])
    return list(dict.fromkeys(ranked))


def _cell_data(cards: Sequence[LabelCard], predictions: Predicted, album: Album) -> dict[str, object]:
    """Return the data with which the page's script opens a cell; each image has its labels once."""
    shown = {
        (cell.label, cell.outcome): _embedded(cell.rows, predictions, album) for card in cards for cell in card.cells
    }
    positions = {
        row: position for position, row in enumerate(dict.fromkeys(row for rows in shown.values() for row in rows))
    }
    columns = {name: column for column, name in enumerate(predictions.classes)}
    return {
        "labels": predictions.classes,
        "pictures": [
            [predictions.files[row], album.number(predictions.files[row]), predictions.truth[row].nonzero()[0].tolist()]
            for row in positions
        ],
        "cells": [
            {
                "label": columns[cell.label],
                "outcome": cell.outcome,
                "number": cell.number,
                "note": cell_note(
                    cell.number, len(shown[cell.label, cell.outcome]), agrees=cell.outcome in {"found", "rest"}
                ),
                "rows": [
                    [positions[row], round(float(predictions.probabilities[row, columns[cell.label]]), 4)]
                    for row in shown[cell.label, cell.outcome]
                ],
            }
            for card in cards
            for cell in card.cells
        ],
    }


def _embedded(rows: Sequence[int], predictions: Predicted, album: Album) -> list[int]:
    """Return the rows before the first one whose image exceeds the page's budget, but at least one."""
    for position, row in enumerate(rows):
        file = predictions.files[row]
        if album.get(file) is None and file not in album.unreadable:
            return list(rows[: max(1, position)])
    return list(rows)


REPORT_FILE = "report.html"


def write_report(run: Path, evaluated: Path | None = None) -> Path:
    """Write a run's report: one HTML file with everything inside, readable offline.

    Args:
        run: The run folder; the report leaves out what does not exist yet.
        evaluated: Folder of an evaluation on other images, to report on that one; None for the run's own.

    Returns:
        The path of ``report.html`` in the run folder, or in `evaluated`.

    Raises:
        RunError: The folder is no run, a file is damaged, or a newer version wrote it.
        ResourceError: The report can't be written.
    """
    records = read_run(run) if evaluated is None else read_other_evaluation(run, evaluated)
    several = records.task == "multi-label"
    template, context = ("label_report.html", label_context) if several else ("report.html", _context)
    return write_page(template, records.folder / REPORT_FILE, context(records))


def _context(records: RunRecords) -> dict[str, object]:
    evaluation = records.evaluation
    best = best_epoch(records.history, str(records.recipe.get("monitor", "validation_accuracy")))
    balance = balance_classes(((row.split, row.labels) for row in records.split), records.classes)
    split = "train" if any(row.split == "train" for row in records.split) else "test"
    shown = [(row.file, row.labels) for row in records.split if row.split == split]
    samples = choose_samples(shown, [entry.name for entry in balance])
    mistakes = most_confident_errors(records.predictions)
    confusion = view_confusion(evaluation) if evaluation else None
    cells = open_confusion(records.predictions, confusion)
    certainty = show_confidence(records.folder) if evaluation else None
    ranked = [*strange_files(certainty), *rank_images(mistakes, samples, cells)]
    album = fill_album(records.root, list(dict.fromkeys(ranked)), value_ranges=records.value_ranges)
    return {
        "records": records,
        "data_name": records.data_name,
        "headline": summarize_evaluation(evaluation, records.model, leaks(records)) if evaluation else _unjudged(best),
        "evaluation": evaluation,
        "class_intervals": _class_intervals(evaluation),
        "main_score": "accuracy",
        "rail_end": 1.0,
        "baselines": other_baselines(evaluation, records.model, "accuracy"),
        "balance": balance,
        "samples": samples,
        "sampled_from": "training" if split == "train" else "test",
        "curves": [chart for score in CURVE_SCORES if (chart := draw_curves(records.history, score, best=best))],
        "best": best,
        "certainty": certainty,
        "confusion": confusion,
        "taken_for": most_frequent_confusions(evaluation) if evaluation else {},
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


def _unjudged(best: EpochRecord | None) -> Summary:
    if best is None or best.validation_accuracy is None:
        return Summary("", gettext("Not evaluated on test pictures yet."), "")
    sentence = gettext(
        "Not evaluated on test pictures yet; %(figure)s of the validation pictures correct "
        "at epoch %(epoch)s, which is optimistic, as they selected that epoch.",
        figure=FIGURE,
        epoch=best.epoch,
    )
    return split_at_figure(percent(best.validation_accuracy), sentence)


def open_confusion(
    predictions: Sequence[PredictionRow], confusion: ConfusionView | None
) -> dict[CellKey, list[PredictionRow]]:
    """Return the images of each displayed cell of a confusion matrix."""
    if confusion is None:
        return {}
    return open_cells(group_by_cell(predictions), ((cell.truth, cell.predicted) for cell in confusion.cells))


def describe_cells(
    cells: dict[CellKey, list[PredictionRow]], confusion: ConfusionView | None, album: Album
) -> list[dict[str, object]]:
    """Return the data with which the page's script opens a cell, in the order of `ConfusionView.cells`."""
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
