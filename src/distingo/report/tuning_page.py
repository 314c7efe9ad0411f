"""A search for a recipe to one ``tune.html``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from distingo.report.templating import write_page
from distingo.report.tuning_charts import draw_history, draw_slices
from distingo.report.wording import percent
from distingo.tuning.cautions import cautions
from distingo.tuning.records import Search, Stage
from distingo.tuning.words import name_score, name_trials, say_choice, say_difference, say_score, say_value, say_values

_STAGE_WORDS = {
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
        "gain": None if search.gain is None else say_difference(search.monitor, search.gain),
        "is_better": (search.gain or 0.0) > 0,
        "cautions": cautions(search),
        "choice": say_choice(search),
        "tied": name_trials(search.tied, starts=True) if search.tied else "",
        "leaders": [trial.number for trial in search.leaders],
        "history": draw_history(search.trials, search.monitor, search.leaders),
        "stages": [_stage(search, stage) for stage in search.stages if stage.trials],
        "changes": _changes(search),
        "rows": [
            (trial, _score(search, trial.score), say_values(trial.values) or "the default")
            for trial in sorted(search.trials, key=lambda trial: (trial.score is None, -(trial.score or 0.0)))
        ],
    }
    return write_page("tune.html", path, context)


def _score(search: Search, score: float | None) -> str:
    return "–" if score is None else say_score(search.monitor, score)


def _stage(search: Search, stage: Stage) -> dict[str, Any]:
    name, meaning = _STAGE_WORDS[stage.name]
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
        (name, say_value(search.default.get(name)), say_value(value))
        for name, value in search.best.items()
        if search.default.get(name) != value
    ]
