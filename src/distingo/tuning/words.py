"""Texts about a search for the terminal and the page, including cautions about its best score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from distingo.metrics.intervals import wilson
from distingo.runs.fields import Plain
from distingo.tuning.records import ChosenBy, Search, Trial

_NAMES = {
    "validation_accuracy": "accuracy",
    "validation_mean_average_precision": "mean average precision",
    "validation_loss": "loss",
}


def name_score(monitor: str) -> str:
    """Return the name of the monitored score."""
    return _NAMES[monitor]


def say_score(monitor: str, score: float) -> str:
    """Format a score for the user; losses are stored negated, so that higher is better."""
    return f"{-score:.4f}" if monitor == "validation_loss" else f"{score:.1%}"


def say_difference(monitor: str, difference: float) -> str:
    """Format the difference between two scores."""
    if monitor == "validation_loss":
        return f"{difference:.4f}"
    size = f"{abs(difference) * 100:.1f}"
    return f"{size} {'point' if size == '1.0' else 'points'}"


def say_values(values: Mapping[str, Plain]) -> str:
    """Format searched fields and their values on one line."""
    return ", ".join(f"{name} {say_value(value)}" for name, value in values.items())


def say_value(value: Plain) -> str:
    """Format one value; None, the architecture's own value, becomes ``own``."""
    if value is None:
        return "own"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def say_gain(search: Search) -> str:
    """Return the result of a search as one sentence."""
    best, default = search.best_trial, search.default_trial
    if best is None or best.score is None:
        return "No trial is complete yet."
    found = f"{name_score(search.monitor)} {say_score(search.monitor, best.score)} on validation"
    others = [trial for trial in search.tied if not trial.is_default]
    if default is None or default.score is None or search.gain is None:
        return f"{_those(search)}: {found}."
    was = say_score(search.monitor, default.score)
    if search.gain <= 0:
        tied = f"; {name_trials(others)} {'tie' if len(others) > 1 else 'ties'} with it" if others else ""
        return f"No recipe is better than the default: {name_score(search.monitor)} {was} on validation{tied}."
    return f"{_those(search)}: {found}, {say_difference(search.monitor, search.gain)} better than the default's {was}."


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


def say_choice(search: Search) -> str:
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
