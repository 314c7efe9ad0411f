"""``crossval.html`` and ``learning-curve.html``, with their summaries."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from distingo.language import count
from distingo.metrics.label_intervals import MIN_POSITIVES
from distingo.near_duplicates.keeping import describe_counts
from distingo.report.charts.classes import most_frequent_confusions, view_confusion
from distingo.report.charts.curves import Tick, nice_ticks, path_through, scale_to
from distingo.report.examples import most_confident_errors, most_confident_label_errors, rank_images
from distingo.report.pages.run import describe_cells, open_confusion
from distingo.report.templating import write_page
from distingo.report.text.summaries import FEW_IMAGES, Summary, compare_to_baselines, other_baselines
from distingo.report.text.wording import (
    NO_BREAK,
    counted,
    interval_phrase,
    isolated,
    percent,
    points,
    points_range,
    score_range,
)
from distingo.report.thumbnails import fill_album
from distingo.runs.predictions import PredictionRow, read_predicted, read_predictions
from distingo.scores import ClassScores, LabelScores, Score

if TYPE_CHECKING:
    from distingo.experiments.crossval_folder import CrossValidation
    from distingo.experiments.curve_measuring import Forecast, LearningCurve, ScoreCurve


_UNEVEN = 0.1


def summarize_cross_validation(result: CrossValidation) -> Summary:
    """Summarize the mean over folds in one sentence, with a comparison to the baselines.

    A baseline counts as surpassed if the corrected interval of the paired differences over folds excludes zero.

    Args:
        result: The scores.

    Returns:
        The headline with remarks on uneven folds, weak classes and automatic choices.
    """
    key = result.main_score
    mean = result.means[key]
    others = {name: means[key] for name, means in result.baseline_means.items() if key in means}
    folds = f"{counted(result.folds_each, 'fold')}"
    if result.repeats > 1:
        folds += f", divided {counted(result.repeats, 'time')},"
    interval = f"95{NO_BREAK}% interval {interval_phrase(key, mean)}"
    before = "Right on " if result.task == "single-label" else "Mean average precision "
    of = f" of the pictures in the mean over {folds}" if result.task == "single-label" else f" in the mean over {folds}"
    return Summary(
        figure=percent(mean.value),
        before=before,
        after=f"{of} of {counted(result.n, 'picture')} ({interval}){compare_to_baselines(mean, others, result.gains)}.",
        remarks=(*_unevenness(result), *_weakest(result), *map(str, (*result.notes, *result.pooled.notes))),
    )


def _unevenness(result: CrossValidation) -> tuple[str, ...]:
    key = result.main_score
    evaluated = [(fold.scores[key], fold) for fold in result.folds if key in fold.scores]
    (worst, low), (best, _) = min(evaluated, key=lambda pair: pair[0]), max(evaluated, key=lambda pair: pair[0])
    if best - worst < _UNEVEN:
        return ()
    fold_name = f"fold {low.fold}" + (f" of division {low.repeat}" if result.repeats > 1 else "")
    return (
        f"The folds are uneven, from {percent(worst)} ({fold_name}) to {percent(best)}: one split into training and "
        "test would have been unreliable.",
    )


def _weakest(result: CrossValidation) -> tuple[str, ...]:
    entries: list[ClassScores | LabelScores] = [*result.pooled.per_class, *result.pooled.per_label]
    evaluated = [entry for entry in entries if entry.support >= FEW_IMAGES]
    if len(evaluated) < 2:
        return ()
    if result.task == "single-label":
        weakest = min(evaluated, key=lambda entry: entry.recall)
        if weakest.recall == 1.0:
            return ()
        recall = f"found in {percent(weakest.recall)} of its {counted(weakest.support, 'picture')}"
        return (f"Weakest class: {isolated(weakest.name)}, {recall}.",)
    weakest = min(evaluated, key=_precision)
    value = _precision(weakest)
    return (f"Weakest label: {isolated(weakest.name)}, average precision {percent(value)}.",)


def _precision(entry: ClassScores | LabelScores) -> float:
    score: Score | None = entry.average_precision if isinstance(entry, LabelScores) else None
    return score.value if score is not None else 1.0


CROSSVAL_PAGE = "crossval.html"


@dataclass(frozen=True, slots=True)
class _FoldRecords:
    """The part of a run's records that the sections of a run's report need."""

    model: str
    predictions: tuple[PredictionRow, ...]


@dataclass(frozen=True, slots=True)
class FoldRail:
    """The scale on which every fold's score is drawn.

    Attributes:
        low: The score at the left end.
        high: The score at the right end.
        ticks: Positions of the ticks in percent of the width.
    """

    low: float
    high: float
    ticks: tuple[Tick, ...]

    def position(self, value: float) -> float:
        """Return the position of a score in percent of the width."""
        return round((value - self.low) / (self.high - self.low) * 100, 2)


def write_crossval_page(result: CrossValidation, folder: Path) -> Path:
    """Write the page of a cross-validation: one HTML file with everything inside, readable offline.

    Args:
        result: The scores.
        folder: Folder with ``predictions.parquet``, for ``crossval.html``.

    Raises:
        ResourceError: It can't be written.
        RunError: The predictions are damaged.
    """
    fill = _fill_labels if result.task == "multi-label" else _fill_classes
    context = {
        "found": result,
        "headline": summarize_cross_validation(result),
        "data_name": result.data.name or "data",
        "evaluation": result.pooled,
        "main_score": result.main_score,
        "rail_end": 1.0,
        "min_positives": MIN_POSITIVES,
        "baselines": other_baselines(result.pooled, result.model, result.main_score),
        "rail": draw_fold_rail(result),
        "invented": (),
        "missed": (),
        "mistakes": (),
        "heat": {},
        "confusion": None,
        "taken_for": {},
        "cells": [],
        "near_duplicates": describe_counts(result.near_duplicates, folds=True) if result.near_duplicates else [],
        **fill(result, folder / "predictions.parquet"),
    }
    return write_page("crossval.html", folder / CROSSVAL_PAGE, context)


def draw_fold_rail(result: CrossValidation) -> FoldRail:
    """Choose a scale that contains all folds' scores and the mean's interval."""
    key = result.main_score
    mean = result.means[key]
    values = [fold.scores[key] for fold in result.folds if key in fold.scores]
    ends = nice_ticks(min(*values, mean.low), max(*values, mean.high), 5)
    rail = FoldRail(ends[0], ends[-1], ())
    ticks = tuple(Tick(rail.position(value), f"{round(value * 100, 6):g}{NO_BREAK}%") for value in ends)
    return FoldRail(rail.low, rail.high, ticks)


def _fill_classes(result: CrossValidation, predictions: Path) -> dict[str, object]:
    rows = read_predictions(predictions)
    mistakes = most_confident_errors(rows)
    confusion = view_confusion(result.pooled)
    cells = open_confusion(rows, confusion)
    album = fill_album(result.root, rank_images(mistakes, {}, cells), value_ranges=result.value_ranges)
    return {
        "records": _FoldRecords(result.model, rows),
        "mistakes": mistakes,
        "confusion": confusion,
        "taken_for": most_frequent_confusions(result.pooled),
        "cells": describe_cells(cells, confusion, album),
        "album": album,
    }


def _fill_labels(result: CrossValidation, predictions: Path) -> dict[str, object]:
    predicted = read_predicted(predictions, result.classes)
    invented = most_confident_label_errors(predicted, missed=False) if predicted else ()
    missed = most_confident_label_errors(predicted, missed=True) if predicted else ()
    return {
        "records": _FoldRecords(result.model, ()),
        "invented": invented,
        "missed": missed,
        "album": fill_album(
            result.root, [mistake.file for mistake in (*invented, *missed)], value_ranges=result.value_ranges
        ),
    }


_WORTHWHILE = 0.01
"""Gain from twice the images below which collecting more is not recommended."""

_WEAK = 3
"""Maximum number of classes in the summary."""

_FACTOR_NAMES = {2.0: "twice", 5.0: "five times"}


def summarize_learning_curve(result: LearningCurve) -> Summary:
    """Summarize the expected scores with two and five times as many images.

    Args:
        result: The learning curve.

    Returns:
        The headline with remarks on the gain, on weak classes and on the basis of the forecast.
    """
    twice, most = result.overall.forecasts[0], result.overall.forecasts[-1]
    name = "accuracy" if result.score == "accuracy" else "mean average precision"
    now = f"With all {count(result.n)} training pictures the {name} is {percent(result.overall.now.value)}"
    return Summary(
        figure=percent(twice.score.value),
        before=f"{_advice(twice)} {now}; {_name(twice)} as many would give about ",
        after=f" (95{NO_BREAK}% interval {score_range(result.score, twice.score.low, twice.score.high)}), "
        f"{_name(most)} as many about {percent(most.score.value)} "
        f"({score_range(result.score, most.score.low, most.score.high)}).",
        remarks=(_gain(twice), *_classes(result), _basis(result)),
    )


def _advice(twice: Forecast) -> str:
    if twice.gain.low >= _WORTHWHILE:
        return "More pictures would help."
    if twice.gain.high < _WORTHWHILE:
        return "More pictures of the same kind would help little."
    return (
        "More pictures would probably help."
        if twice.gain.value >= _WORTHWHILE
        else "More pictures might help a little."
    )


def _gain(twice: Forecast) -> str:
    return (
        f"The gain from {_name(twice)} the pictures is surer than the score, as both are evaluated on the same ones: "
        f"{points(twice.gain.value)} (95{NO_BREAK}% interval "
        f"{points_range(twice.gain.low, twice.gain.high)})."
        + (" For more than that, try another model, or fine-tuning." if twice.gain.high < _WORTHWHILE else "")
    )


def _classes(result: LearningCurve) -> tuple[str, ...]:
    evaluated = [curve for curve in result.classes if curve.support >= FEW_IMAGES]
    if len(evaluated) < 2:
        return ()
    weak = evaluated[:_WEAK]
    score = "recall" if result.class_score == "recall" else "average precision"
    forecasts = "; ".join(_describe_forecast(curve) for curve in weak)
    best = max(weak, key=lambda curve: curve.forecasts[0].gain.value)
    advice = f" If you can choose what to collect, begin with {isolated(best.name)}."
    return (
        f"Weakest, by {score} now and with twice all pictures: {forecasts}."
        + (advice if best.forecasts[0].gain.value >= _WORTHWHILE else ""),
    )


def _describe_forecast(curve: ScoreCurve) -> str:
    return f"{isolated(curve.name)} {percent(curve.now.value, 0)} → {percent(curve.forecasts[0].score.value, 0)}"


def _basis(result: LearningCurve) -> str:
    sizes = result.overall.measured
    return (
        f"Measured at {len(sizes)} sizes from {count(sizes[0].size)} to {count(result.n)} pictures, {result.draws} "
        f"draws each, on {count(result.evaluated)} evaluated pictures; carried on by power laws. It holds for more "
        "pictures of the same kind, not for other places, cameras or times."
    )


def _name(forecast: Forecast) -> str:
    return _FACTOR_NAMES.get(forecast.factor, f"{forecast.factor:g} times")


LEARNING_CURVE_PAGE = "learning-curve.html"

WIDTH, HEIGHT = 760, 330

_LEFT, _RIGHT, _TOP, _BOTTOM = 54, 744, 16, 276

MOST_CLASSES = 12
"""Number of classes with a chart, the weakest ones; all are in the table."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A measured or forecast score: its position in pixels, and its text."""

    x: float
    y: float
    low: float
    high: float
    text: str


@dataclass(frozen=True, slots=True)
class ForecastChart:
    """A learning curve as geometry.

    Attributes:
        x_ticks: Ticks of the x axis, numbers of images.
        y_ticks: Ticks of the y axis, scores.
        measured: Measured scores with intervals.
        forecasts: Forecast scores with intervals.
        line: The path through the measured scores.
        dashes: The path of the forecast.
        band: The outline of its interval.
    """

    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    measured: tuple[Mark, ...]
    forecasts: tuple[Mark, ...]
    line: str
    dashes: str
    band: str


def write_learning_curve_page(result: LearningCurve, folder: Path) -> Path:
    """Write the page of a learning curve: one HTML file with everything inside, readable offline.

    Args:
        result: The learning curve.
        folder: Folder for ``learning-curve.html``; created if it is missing.

    Raises:
        ResourceError: It can't be written.
    """
    context = {
        "found": result,
        "headline": summarize_learning_curve(result),
        "data_name": result.data.name or "data",
        "chart": draw_forecast(result.overall, result.score),
        "class_charts": [(curve, draw_forecast(curve, result.class_score)) for curve in result.classes[:MOST_CLASSES]],
        "width": WIDTH,
        "height": HEIGHT,
    }
    return write_page("learning_curve.html", folder / LEARNING_CURVE_PAGE, context)


def draw_forecast(curve: ScoreCurve, score: str) -> ForecastChart:
    """Lay out one curve: sizes on a logarithmic x axis, scores on the y axis."""
    scores = [*curve.measured, *curve.band]
    lows, highs = [entry.score.low for entry in scores], [entry.score.high for entry in scores]
    y_values = nice_ticks(max(0.0, min(lows)), min(1.0, max(highs)), 6)
    y_scale = scale_to(y_values[0], y_values[-1], _BOTTOM, _TOP)
    x_scale = scale_to(math.log(scores[0].size), math.log(scores[-1].size), _LEFT + 10, _RIGHT - 24)

    def mark(size: int, value: float, low: float, high: float) -> Mark:
        text = f"{count(size)} pictures: {percent(value)} ({score_range(score, low, high)})"
        return Mark(x_scale(math.log(size)), y_scale(value), y_scale(low), y_scale(high), text)

    measured = tuple(mark(entry.size, entry.score.value, entry.score.low, entry.score.high) for entry in curve.measured)
    forecasts = tuple(
        mark(entry.size, entry.score.value, entry.score.low, entry.score.high) for entry in curve.forecasts
    )
    band = [(x_scale(math.log(entry.size)), entry.score) for entry in curve.band]
    upper = [(x, y_scale(entry.high)) for x, entry in band]
    lower = [(x, y_scale(entry.low)) for x, entry in reversed(band)]
    sizes = [curve.measured[0].size, *(entry.size for entry in curve.measured[-3::-2][::-1]), curve.measured[-1].size]
    sizes += [entry.size for entry in curve.forecasts]
    return ForecastChart(
        x_ticks=tuple(Tick(x_scale(math.log(size)), count(size)) for size in dict.fromkeys(sizes)),
        y_ticks=tuple(
            Tick(y_scale(value), percent(value, 0 if y_values[1] - y_values[0] >= 0.01 else 1)) for value in y_values
        ),
        measured=measured,
        forecasts=forecasts,
        line=path_through([(each.x, each.y) for each in measured]),
        dashes=path_through([(x, y_scale(entry.value)) for x, entry in band]),
        band=f"{path_through([*upper, *lower])}Z",
    )
