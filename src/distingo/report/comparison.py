"""Several runs to one ``comparison.html``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from distingo.evaluation.comparison import COMPARISON_PAGE, ComparedRun, Comparison, path_from
from distingo.records import Score
from distingo.report.charts import CURVE_SCORES, Tick, nice_ticks
from distingo.report.class_differences import view_classes
from distingo.report.comparison_verdict import is_clear, judge_comparison
from distingo.report.cost_table import speed, view_costs
from distingo.report.disagreements import Disagreements, find_disagreements
from distingo.report.label_disagreements import LabelDisagreements, find_label_disagreements
from distingo.report.page import REPORT_FILE
from distingo.report.run_curves import COLOURS, draw_run_curves
from distingo.report.templating import write_page
from distingo.report.thumbnails import fill_album
from distingo.report.wording import NO_BREAK, isolated


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
        comparison: As `distingo.evaluation.comparing.compare_runs` gives it.
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
        "verdict": judge_comparison(comparison),
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
    """Of the pictures on which the best run does better, and of those on which it does worse."""
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
    """The style classes of a run's colour, dashed once the colours are used up."""
    return f"s{place % COLOURS}{' again' if place >= COLOURS else ''}"


def _data_folder(runs: Sequence[ComparedRun]) -> Path:
    """The pictures' folder; where the best run's has moved away, another run's."""
    folders = [run.records.root for run in runs]
    return next((folder for folder in folders if folder.is_dir()), folders[0])


def _report_link(run: ComparedRun, folder: Path) -> str | None:
    report = run.records.folder / REPORT_FILE
    return quote(os.fsencode(path_from(folder, report))) if report.is_file() else None
