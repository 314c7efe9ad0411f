"""A search in words, for the terminal and the page."""

from __future__ import annotations

from typing import Any

from distingo.tuning.records import Search

_NAMES = {
    "validation_accuracy": "accuracy",
    "validation_mean_average_precision": "mean average precision",
    "validation_loss": "loss",
}


def name_score(monitor: str) -> str:
    """What the monitored score is called."""
    return _NAMES[monitor]


def say_score(monitor: str, score: float) -> str:
    """A score as a person reads it; a loss was kept with its sign turned, so that more is better."""
    return f"{-score:.4f}" if monitor == "validation_loss" else f"{score:.1%}"


def say_difference(monitor: str, difference: float) -> str:
    """By how much one score is above another."""
    if monitor == "validation_loss":
        return f"{difference:.4f}"
    size = f"{abs(difference) * 100:.1f}"
    return f"{size} {'point' if size == '1.0' else 'points'}"


def say_values(values: dict[str, Any]) -> str:
    """Searched fields and their values on one line."""
    return ", ".join(f"{name} {say_value(value)}" for name, value in values.items())


def say_value(value: Any) -> str:
    """One value; ``own`` for None, which leaves a thing as the architecture has it."""
    if value is None:
        return "own"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def say_gain(search: Search) -> str:
    """What came of it, in one sentence."""
    best, default = search.best_trial, search.default_trial
    if best is None or best.score is None:
        return "No trial is complete yet."
    found = f"{name_score(search.monitor)} {say_score(search.monitor, best.score)} on validation"
    if default is None or default.score is None or search.gain is None:
        return f"The best recipe: {found}."
    was = say_score(search.monitor, default.score)
    if search.gain <= 0:
        return f"No recipe is better than the default: {name_score(search.monitor)} {was} on validation."
    return f"The best recipe: {found}, {say_difference(search.monitor, search.gain)} better than the default's {was}."
