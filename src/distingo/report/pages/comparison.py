"""``comparison.html``: several runs side by side, and the test images on which the best one and the others differ."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import numpy as np
import numpy.typing as npt

from distingo.evaluation.comparison_records import COMPARISON_PAGE, ComparedRun, Comparison, path_from
from distingo.report.charts.curves import (
    BOTTOM,
    CURVE_SCORES,
    LEFT,
    RIGHT,
    TOP,
    Tick,
    best_epoch,
    epoch_ticks,
    nice_ticks,
    path_through,
    scale_to,
)
from distingo.report.pages.comparison_summary import is_clear, summarize_comparison
from distingo.report.pages.comparison_tables import speed, view_classes, view_costs
from distingo.report.pages.run import REPORT_FILE
from distingo.report.templating import write_page
from distingo.report.text.wording import NO_BREAK, isolated, percent
from distingo.report.thumbnails import fill_album
from distingo.runs.history import EpochRecord
from distingo.runs.predictions import Predicted, PredictionRow
from distingo.scores import Score

MOST_SHOWN = 12


@dataclass(frozen=True, slots=True)
class Disagreement:
    """One test image with what each run said.

    Attributes:
        best: The best run's answer.
        others: Each other answer with the names of the runs that gave it, the most frequent first.
    """

    best: PredictionRow
    others: tuple[tuple[str, tuple[str, ...]], ...]

    @property
    def file(self) -> str:
        """The image."""
        return self.best.file


@dataclass(frozen=True, slots=True)
class Disagreements:
    """Images that the best run got right, or wrong, unlike at least one other run.

    Attributes:
        shown: Those where most others differ first, then those where the best run was surest; at most `MOST_SHOWN`.
        total: How many there are.
    """

    shown: tuple[Disagreement, ...]
    total: int


def find_disagreements(comparison: Comparison, *, best_is_right: bool) -> Disagreements:
    """Find the images on which the best run is right and others are wrong, or the reverse.

    Args:
        comparison: Of runs with one label per image; others have none here.
        best_is_right: Which of the two.
    """
    if comparison.score != "accuracy":
        return Disagreements((), 0)
    others = {run.name: {row.file: row.predicted for row in run.records.predictions} for run in comparison.runs[1:]}
    ranked = []
    for row in comparison.best.records.predictions:
        differing = sum((predictions[row.file] == row.truth) != best_is_right for predictions in others.values())
        if (row.predicted == row.truth) == best_is_right and differing:
            ranked.append((-differing, -row.confidence, row.file, row))
    ranked.sort(key=lambda entry: entry[:3])
    shown = (row for *_, row in ranked[:MOST_SHOWN])
    return Disagreements(tuple(Disagreement(row, _group_by_answer(row, others)) for row in shown), len(ranked))


def _group_by_answer(row: PredictionRow, others: dict[str, dict[str, str]]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    names = defaultdict(list)
    for name, predictions in others.items():
        names[predictions[row.file]].append(name)
    return tuple((answer, tuple(names[answer])) for answer in sorted(names, key=lambda answer: -len(names[answer])))


Labels = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LabelDisagreement:
    """One test image with what each run gave it.

    Attributes:
        file: The image.
        truth: Its labels.
        best: The best run's.
        others: Each other answer with the names of the runs that gave it, the most frequent first.
    """

    file: str
    truth: Labels
    best: Labels
    others: tuple[tuple[Labels, Labels], ...]


@dataclass(frozen=True, slots=True)
class LabelDisagreements:
    """Images on which the best run has fewer wrong labels, or more, than at least one other.

    Attributes:
        shown: Those with the largest difference first, at most `distingo.report.pages.comparison.MOST_SHOWN`.
        total: How many there are.
    """

    shown: tuple[LabelDisagreement, ...]
    total: int


def find_label_disagreements(comparison: Comparison) -> tuple[LabelDisagreements, LabelDisagreements]:
    """Find the images on which the best run is nearer to the truth than others, and the reverse.

    Args:
        comparison: Of runs with several labels per image.

    Raises:
        RunError: A run's predictions are missing or damaged.
    """
    files = [row.file for row in comparison.best.records.split if row.split == "test"]
    runs = [run.records.predicted_on(files) for run in comparison.runs]
    wrong = np.stack([(run.predicted != run.truth).sum(axis=1) for run in runs])
    behind = wrong[1:] - wrong[0]
    names = [run.name for run in comparison.runs[1:]]
    return (
        _largest(np.maximum(behind, 0).sum(axis=0), runs, names, comparison.best.records.classes),
        _largest(np.maximum(-behind, 0).sum(axis=0), runs, names, comparison.best.records.classes),
    )


def _largest(
    sizes: npt.NDArray[np.int64], runs: Sequence[Predicted], names: Sequence[str], classes: Labels
) -> LabelDisagreements:
    order = np.argsort(-sizes, kind="stable")[: min(MOST_SHOWN, int((sizes > 0).sum()))]
    shown = []
    for row in order.tolist():
        answers = defaultdict(list)
        for run, name in zip(runs[1:], names, strict=True):
            answers[_names(run.predicted[row], classes)].append(name)
        others = sorted(answers.items(), key=lambda item: -len(item[1]))
        best = runs[0]
        shown.append(
            LabelDisagreement(
                file=best.files[row],
                truth=_names(best.truth[row], classes),
                best=_names(best.predicted[row], classes),
                others=tuple((answer, tuple(who)) for answer, who in others),
            )
        )
    return LabelDisagreements(tuple(shown), int((sizes > 0).sum()))


def _names(row: npt.NDArray[np.bool_], classes: Labels) -> Labels:
    return tuple(classes[place] for place in np.flatnonzero(row))


COLORS = 8
"""How many the page has; further runs begin again, in dashes."""


@dataclass(frozen=True, slots=True)
class RunLine:
    """One run's curve.

    Attributes:
        place: The run's place in the comparison, from 0; it decides color and dashes.
        name: The run's.
        path: The SVG path through its values.
        best: Where its kept epoch lies, in pixels, or None.
    """

    place: int
    name: str
    path: str
    best: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class RunReadout:
    """What pointing at one epoch shows: where it lies, in pixels, and place, value as text, height of each run."""

    epoch: int
    x: float
    left: float
    width: float
    values: tuple[tuple[int, str, float], ...]


@dataclass(frozen=True, slots=True)
class RunChart:
    """All runs' curves of one score, ready to draw."""

    name: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    lines: tuple[RunLine, ...]
    readouts: tuple[RunReadout, ...]


def draw_run_curves(runs: Sequence[ComparedRun], score: str) -> RunChart | None:
    """Lay out one validation score of all runs over epochs.

    Args:
        runs: In the comparison's order.
        score: ``loss``, ``accuracy`` or ``mean_average_precision``.

    Returns:
        The chart, without runs that never measured it, or None where none did.
    """
    measured = {place: found for place, run in enumerate(runs) if (found := _measured(run, score))}
    values = [value for series in measured.values() for value in series.values()]
    if not values:
        return None
    last = max(max(series) for series in measured.values())
    low, high = (0.0, max(values)) if score == "loss" else (min(values), min(1.0, max(values)))
    y_values = nice_ticks(low, high, 5)
    x = scale_to(1, last, LEFT + 6, RIGHT - 6)
    y = scale_to(y_values[0], y_values[-1], BOTTOM, TOP)

    def text(value: float) -> str:
        return f"{value:.3f}" if score == "loss" else percent(value)

    def line(place: int, series: dict[int, float]) -> RunLine:
        path = path_through([(x(epoch), y(value)) for epoch, value in series.items()])
        best = _best_epoch(runs[place])
        dot = (x(best.epoch), y(series[best.epoch])) if best and best.epoch in series else None
        return RunLine(place, runs[place].name, path, dot)

    def readout(epoch: int) -> RunReadout:
        width = (RIGHT - LEFT - 12) / max(1, last - 1)
        shown = [(place, series[epoch]) for place, series in measured.items() if epoch in series]
        heights = tuple((place, text(value), y(value)) for place, value in shown)
        return RunReadout(epoch, x(epoch), round(x(epoch) - width / 2, 1), round(width, 1), heights)

    return RunChart(
        name=f"Validation {score.replace('_', ' ')}",
        x_ticks=tuple(Tick(x(number), str(number)) for number in epoch_ticks(1, last)),
        y_ticks=tuple(Tick(y(value), f"{value:g}" if score == "loss" else percent(value, 0)) for value in y_values),
        lines=tuple(line(place, series) for place, series in measured.items()),
        readouts=tuple(readout(epoch) for epoch in range(1, last + 1)),
    )


def _measured(run: ComparedRun, score: str) -> dict[int, float]:
    values = {epoch.epoch: getattr(epoch, f"validation_{score}") for epoch in run.records.history}
    return {number: value for number, value in values.items() if value is not None}


def _best_epoch(run: ComparedRun) -> EpochRecord | None:
    return best_epoch(run.records.history, str(run.records.recipe.get("monitor", "validation_accuracy")))


@dataclass(frozen=True, slots=True)
class Rail:
    """The common scale on which every run's score and interval are drawn.

    Attributes:
        low: The score at its left end.
        high: The score at its right end.
        ticks: Their places in percent of the width.
        baselines: Name, score, and place in percent of the width.
    """

    low: float
    high: float
    ticks: tuple[Tick, ...]
    baselines: tuple[tuple[str, Score, float], ...]

    def place(self, value: float) -> float:
        """Where a score lies, in percent of the width."""
        return round((value - self.low) / (self.high - self.low) * 100, 2)


def write_comparison_page(comparison: Comparison, folder: Path) -> Path:
    """Write the page of a comparison: one HTML file with everything inside, readable offline.

    Its only links lead to the runs' own reports, by relative paths.

    Args:
        comparison: As `distingo.evaluation.compare_runs.compare_runs` gives it.
        folder: Made if missing; gets ``comparison.html``.

    Returns:
        The page.

    Raises:
        ResourceError: It can't be written.
    """
    right, wrong = _disagreements(comparison)
    data = _data_folder(comparison.runs)
    context = {
        "comparison": comparison,
        "data_name": data.name or "data",
        "headline": summarize_comparison(comparison),
        "rail": draw_rail(comparison),
        "links": {run.name: _report_link(run, folder) for run in comparison.runs},
        "clear": {run.name: is_clear(run) for run in comparison.runs},
        "series": [_series(place) for place in range(len(comparison.runs))],
        "curves": [chart for score in CURVE_SCORES if (chart := draw_run_curves(comparison.runs, score))],
        "right": right,
        "wrong": wrong,
        "album": fill_album(
            data,
            [entry.file for entry in (*right.shown, *wrong.shown)],
            value_ranges=comparison.runs[0].records.value_ranges,
        ),
        "headings": _headings(comparison),
        "class_tables": [table for run in comparison.runs[1:] if (table := view_classes(run))],
        "costs": view_costs(comparison.runs),
        "speeds": {run.name: speed(run.cost) for run in comparison.runs},
        "score_keys": list(dict.fromkeys(key for run in comparison.runs for key in run.evaluation.scores)),
    }
    return write_page("comparison.html", folder / COMPARISON_PAGE, context)


def _headings(comparison: Comparison) -> dict[str, str]:
    """Of the images on which the best run does better, and of those on which it does worse."""
    names = [isolated(run.name) for run in comparison.runs]
    if comparison.task == "multi-label":
        other = f"{names[1]} is" if len(names) == 2 else "Others are"
        return {"right": f"{names[0]} is nearer to the truth", "wrong": f"{other} nearer to the truth"}
    if len(names) == 2:
        return {"right": f"Only {names[0]} is right", "wrong": f"Only {names[1]} is right"}
    return {"right": "The best is right, others are wrong", "wrong": "The best is wrong, others are right"}


def _disagreements(
    comparison: Comparison,
) -> tuple[Disagreements, Disagreements] | tuple[LabelDisagreements, LabelDisagreements]:
    if comparison.task == "multi-label":
        return find_label_disagreements(comparison)
    return find_disagreements(comparison, best_is_right=True), find_disagreements(comparison, best_is_right=False)


def draw_rail(comparison: Comparison) -> Rail:
    """Choose a scale that holds every run's interval and every baseline's score."""
    scores = [run.evaluation.scores[comparison.score] for run in comparison.runs]
    baselines = {
        name: found[comparison.score] for name, found in comparison.baselines.items() if comparison.score in found
    }
    lows = [*(score.low for score in scores), *(score.value for score in baselines.values())]
    highs = [*(score.high for score in scores), *(score.value for score in baselines.values())]
    values = nice_ticks(min(lows), max(highs), 5)
    rail = Rail(values[0], values[-1], (), ())
    return Rail(
        low=rail.low,
        high=rail.high,
        ticks=tuple(Tick(rail.place(value), f"{round(value * 100, 6):g}{NO_BREAK}%") for value in values),
        baselines=tuple((name, score, rail.place(score.value)) for name, score in baselines.items()),
    )


def _series(place: int) -> str:
    """The style classes of a run's color, dashed once the colors are used up."""
    return f"s{place % COLORS}{' again' if place >= COLORS else ''}"


def _data_folder(runs: Sequence[ComparedRun]) -> Path:
    """The images' folder; where the best run's has moved away, another run's."""
    folders = [run.records.root for run in runs]
    return next((folder for folder in folders if folder.is_dir()), folders[0])


def _report_link(run: ComparedRun, folder: Path) -> str | None:
    report = run.records.folder / REPORT_FILE
    return quote(os.fsencode(path_from(folder, report))) if report.is_file() else None
