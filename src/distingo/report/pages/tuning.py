"""``tune.html``: the search for a recipe, with charts of its trials and of each field.

Its texts, with cautions about the best score, are those of the terminal too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from distingo.experiments.tuning_records import ChosenBy, Dimension, LogRange, Search, Stage, Trial
from distingo.metrics.intervals import wilson
from distingo.report.charts.curves import Tick, nice_ticks, path_through, scale_to
from distingo.report.templating import write_page
from distingo.report.text.wording import percent
from distingo.runs.fields import Plain

_NAMES = {
    "validation_accuracy": "accuracy",
    "validation_mean_average_precision": "mean average precision",
    "validation_loss": "loss",
}


def name_score(monitor: str) -> str:
    """Return the name of the monitored score."""
    return _NAMES[monitor]


def format_score(monitor: str, score: float) -> str:
    """Format a score for the user; losses are stored negated, so that higher is better."""
    return f"{-score:.4f}" if monitor == "validation_loss" else f"{score:.1%}"


def format_difference(monitor: str, difference: float) -> str:
    """Format the difference between two scores."""
    if monitor == "validation_loss":
        return f"{difference:.4f}"
    size = f"{abs(difference) * 100:.1f}"
    return f"{size} {'point' if size == '1.0' else 'points'}"


def format_values(values: Mapping[str, Plain]) -> str:
    """Format searched fields and their values on one line."""
    return ", ".join(f"{name} {format_value(value)}" for name, value in values.items())


def format_value(value: Plain) -> str:
    """Format one value; None, the architecture's own value, becomes ``own``."""
    if value is None:
        return "own"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def summarize_gain(search: Search) -> str:
    """Return the result of a search as one sentence."""
    best, default = search.best_trial, search.default_trial
    if best is None or best.score is None:
        return "No trial is complete yet."
    result = f"{name_score(search.monitor)} {format_score(search.monitor, best.score)} on validation"
    others = [trial for trial in search.tied if not trial.is_default]
    if default is None or default.score is None or search.gain is None:
        return f"{_those(search)}: {result}."
    was = format_score(search.monitor, default.score)
    if search.gain <= 0:
        tied = f"; {name_trials(others)} {'tie' if len(others) > 1 else 'ties'} with it" if others else ""
        return f"No recipe is better than the default: {name_score(search.monitor)} {was} on validation{tied}."
    gain = format_difference(search.monitor, search.gain)
    return f"{_those(search)}: {result}, {gain} better than the default's {was}."


def _those(search: Search) -> str:
    return f"{name_trials(search.tied, starts=True)} tie" if search.tied else "The best recipe"


_MOST_NAMED = 6
"""Largest number of trials that a sentence lists; of more it gives the number."""

_REASONS: dict[ChosenBy, str] = {
    "score": "the one with the highest score",
    "default": "the default recipe",
    "loss": "the one with the lowest validation loss",
    "order": "the first with the lowest validation loss",
}


def name_trials(trials: Sequence[Trial], *, starts: bool = False) -> str:
    """``trials 2, 5 and 7``, or ``12 trials`` where they are many; `starts` a sentence with a capital letter."""
    numbers = [str(trial.number) for trial in trials]
    if len(numbers) > _MOST_NAMED:
        return f"{len(numbers)} trials"
    word = "trial" if len(numbers) == 1 else "trials"
    joined = " and ".join(filter(None, [", ".join(numbers[:-1]), numbers[-1]]))
    return f"{word.capitalize() if starts else word} {joined}"


def describe_choice(search: Search) -> str:
    """Return which of the tied recipes was chosen and why, as part of a sentence; empty without ties."""
    if search.best_trial is None or search.chosen_by is None or not search.tied:
        return ""
    return f"trial {search.best_trial.number}, of the {len(search.tied)} that tie {_REASONS[search.chosen_by]}"


def cautions(search: Search) -> tuple[str, ...]:
    """Return cautions about the best score."""
    best = search.best_trial
    if best is None or best.score is None:
        return ()
    number = len(search.trials)
    notes = [
        f"{'They are' if search.tied else 'It is'} the best of {number} trials evaluated on the same "
        f"{search.validation:,} validation pictures, so {'their' if search.tied else 'its'} score is optimistic: part "
        "of it is luck."
    ]
    if search.monitor == "validation_accuracy":
        low, high = wilson(round(best.score * search.validation), search.validation)
        notes.append(
            f"On so many pictures an accuracy of {best.score:.1%} is uncertain by itself, from {low:.1%} to {high:.1%}"
            " (95 %); smaller differences between recipes may be chance."
        )
    notes.append(
        f"The {search.test:,} test pictures were not used; training with --recipe best-recipe.json evaluates on them."
    )
    return tuple(notes)


LEFT, RIGHT, TOP, BOTTOM = 52, 452, 16, 222

_LOWEST = 4.0
"""So many times the distance from best to median is shown below the best; what is worse lies on the bottom line."""

_SPREAD = 0.5
"""Share of a category's width that its dots are spread over, so that they do not hide each other."""


@dataclass(frozen=True, slots=True)
class Dot:
    """A trial: where it lies in pixels, how it looks, and what pointing at it says."""

    x: float
    y: float
    css_class: str
    title: str


@dataclass(frozen=True, slots=True)
class DotChart:
    """Trials against something.

    Attributes:
        name: What lies along the bottom.
        x_ticks: Along the bottom.
        y_ticks: Along the left.
        dots: One per trial with a score.
        path: The best score so far as an SVG path; empty where that makes no sense.
        importance: Share of the scores' variance that this field explains, or None.
    """

    name: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    dots: tuple[Dot, ...]
    path: str = ""
    importance: float | None = None


def draw_history(trials: Sequence[Trial], monitor: str, best: Sequence[Trial]) -> DotChart | None:
    """All trials in their order, and the best complete score so far; None where none has a score.

    Args:
        trials: Of all stages.
        monitor: As in `distingo.experiments.tuning_records.Search.monitor`.
        best: The one with the highest score, or several that share it.
    """
    scored = [trial for trial in trials if trial.score is not None]
    if not scored:
        return None
    y, y_ticks = _scale(scored, monitor)
    last = max(trial.number for trial in scored)
    x = scale_to(1, max(2, last), LEFT + 8, RIGHT - 8)
    points, so_far = [], -math.inf
    for trial in scored:
        if trial.state == "complete" and (trial.score or 0.0) > so_far:
            points += [(x(trial.number), y(so_far))] if math.isfinite(so_far) else []
            so_far = trial.score or 0.0
            points.append((x(trial.number), y(so_far)))
    points += [(x(last), y(so_far))] if points else []
    numbers = sorted({1, *(round(value) for value in nice_ticks(1, max(2, last), 6) if 1 <= value <= last)})
    return DotChart(
        name="trial",
        x_ticks=tuple(Tick(x(number), str(number)) for number in numbers),
        y_ticks=y_ticks,
        dots=tuple(_dot(trial, x(trial.number), y, monitor, best) for trial in scored),
        path=path_through(points),
    )


def draw_slices(stage: Stage, monitor: str, best: Sequence[Trial]) -> tuple[DotChart, ...]:
    """A chart for each searched field of a stage, the ones that mattered most first."""
    scored = [trial for trial in stage.trials if trial.score is not None]
    if not scored:
        return ()
    y, y_ticks = _scale(scored, monitor)
    charts = [
        _slice(dimension, scored, (y, y_ticks), monitor, best, stage.importances.get(dimension.name))
        for dimension in stage.dimensions
    ]
    return tuple(sorted(charts, key=lambda chart: -(chart.importance or 0.0)))


def _slice(
    dimension: Dimension,
    scored: Sequence[Trial],
    heights: tuple[Callable[[float], float], tuple[Tick, ...]],
    monitor: str,
    best: Sequence[Trial],
    importance: float | None,
) -> DotChart:
    place, ticks = _along(dimension)
    y, y_ticks = heights
    varied = [trial for trial in scored if dimension.name in trial.values]
    dots = tuple(_dot(trial, place(trial), y, monitor, best) for trial in varied)
    return DotChart(dimension.name, ticks, y_ticks, dots, importance=importance)


def _along(dimension: Dimension) -> tuple[Callable[[Trial], float], tuple[Tick, ...]]:
    """Where a trial lies along the bottom, and the marks there."""
    if isinstance(dimension, LogRange):
        low, high = math.log10(dimension.low), math.log10(dimension.high)
        x = scale_to(low, high, LEFT + 8, RIGHT - 8)
        middle = (low + high) / 2
        ticks = tuple(Tick(x(power), f"{10**power:.2g}") for power in (low, middle, high))
        return (lambda trial: x(math.log10(float(trial.values[dimension.name] or 1.0)))), ticks
    width = (RIGHT - LEFT) / len(dimension.values)
    centers = {value: LEFT + (place + 0.5) * width for place, value in enumerate(dimension.values)}

    def place(trial: Trial) -> float:
        golden = trial.number * 0.618033988749895 % 1.0  # even, and the same in every drawing
        return round(centers[trial.values[dimension.name]] + (golden - 0.5) * _SPREAD * width, 1)

    return place, tuple(Tick(round(center, 1), format_value(value)) for value, center in centers.items())


def _scale(scored: Sequence[Trial], monitor: str) -> tuple[Callable[[float], float], tuple[Tick, ...]]:
    scores = [trial.score for trial in scored if trial.score is not None]
    high, middle = max(scores), median(scores)
    low = max(min(scores), high - _LOWEST * (high - middle)) if high > middle else min(scores)
    values = nice_ticks(low, high, 5)
    if monitor != "validation_loss" and values[-1] > 1:
        values = [value for value in values if value <= 1] or [0.0, 1.0]
    if len(values) < 2:
        values = [values[0] - 0.1, values[0]]
    to_pixels = scale_to(values[0], values[-1], BOTTOM, TOP)
    ticks = tuple(Tick(to_pixels(value), format_score(monitor, value)) for value in values)
    return (lambda score: min(float(BOTTOM), max(float(TOP), to_pixels(score)))), ticks


def _dot(trial: Trial, x: float, y: Callable[[float], float], monitor: str, best: Sequence[Trial]) -> Dot:
    assert trial.score is not None
    is_best = trial.number in [each.number for each in best]
    css_class = "best-dot" if is_best else "default-dot" if trial.is_default else trial.state
    words = f"trial {trial.number}: {format_score(monitor, trial.score)}"
    words += ", the default recipe" if trial.is_default else ", given up" if trial.state == "pruned" else ""
    return Dot(x, y(trial.score), css_class, words)


_STAGE_TEXTS = {
    "head": ("Heads on frozen features", "Each is solved at once on features that were computed once."),
    "training": ("Training", "Each trains by epochs; those worse than half of the others by then are given up."),
}


def write_tuning_page(search: Search, path: Path) -> Path:
    """Write the page of a search: what it found, what mattered, every trial.

    Args:
        search: As far as it has come.
        path: Where the page shall be.

    Returns:
        The path.

    Raises:
        ResourceError: The page can't be written.
    """
    best = search.best_trial
    context = {
        "search": search,
        "score_name_plain": name_score(search.monitor),
        "best_score": _score(search, best.score if best else None),
        "default_score": _score(search, search.default_trial.score if search.default_trial else None),
        "gain": None if search.gain is None else format_difference(search.monitor, search.gain),
        "is_better": (search.gain or 0.0) > 0,
        "cautions": cautions(search),
        "choice": describe_choice(search),
        "tied": name_trials(search.tied, starts=True) if search.tied else "",
        "leaders": [trial.number for trial in search.leaders],
        "history": draw_history(search.trials, search.monitor, search.leaders),
        "stages": [_stage(search, stage) for stage in search.stages if stage.trials],
        "changes": _changes(search),
        "rows": [
            (trial, _score(search, trial.score), format_values(trial.values) or "the default")
            for trial in sorted(search.trials, key=lambda trial: (trial.score is None, -(trial.score or 0.0)))
        ],
    }
    return write_page("tune.html", path, context)


def _score(search: Search, score: float | None) -> str:
    return "–" if score is None else format_score(search.monitor, score)


def _stage(search: Search, stage: Stage) -> dict[str, object]:
    name, meaning = _STAGE_TEXTS[stage.name]
    largest = max(stage.importances.values(), default=1.0) or 1.0
    return {
        "name": name,
        "meaning": meaning,
        "trials": stage.trials,
        "complete": sum(trial.state == "complete" for trial in stage.trials),
        "importances": [
            (field, percent(share, 0), round(share / largest * 100, 1)) for field, share in stage.importances.items()
        ],
        "slices": draw_slices(stage, search.monitor, search.leaders),
    }


def _changes(search: Search) -> list[tuple[str, str, str]]:
    """Field, the default's value and the best one's, where they differ."""
    if search.best is None:
        return []
    return [
        (name, format_value(search.default.get(name)), format_value(value))
        for name, value in search.best.items()
        if search.default.get(name) != value
    ]
