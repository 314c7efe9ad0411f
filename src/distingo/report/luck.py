"""What a comparison says about luck in training: other seeds of one recipe, and recipes that were trained once."""

from __future__ import annotations

from collections.abc import Sequence

from distingo.evaluation.comparison import ComparedRun, Comparison
from distingo.evaluation.seeds import ComparedRecipes
from distingo.report.wording import NO_BREAK, counted, isolated, p_value, points, points_range, score_range

_MOST_NAMED = 3

_BY_CHANCE = {"scratch", "finetune"}
"""Modes in which another seed gives other weights."""


def tell_luck(comparison: Comparison) -> tuple[str, ...]:
    """Say what seeds have to do with the differences found.

    Args:
        comparison: Of two or more runs.

    Returns:
        One sentence for each recipe with several seeds and each pair of recipes; where none has several, one that says
        what was not tested.
    """
    told = [_spread(comparison, names) for names in comparison.seeds if len(comparison.runs) > 2]
    told += [_recipes(compared) for compared in comparison.recipes]
    if not comparison.seeds and (lucky := _trained_by_chance(comparison)):
        told.append(
            "Every recipe was trained once: the differences are those of these models. Another seed would move "
            f"{join([isolated(run.name) for run in lucky])} too; whether a recipe is better shows when each is trained "
            "again with another --seed on the same --split."
        )
    return tuple(told)


def join(parts: Sequence[str]) -> str:
    """Names or clauses in a sentence, at most three of them."""
    if len(parts) > _MOST_NAMED:
        parts = [*parts[: _MOST_NAMED - 1], f"{len(parts) - _MOST_NAMED + 1} more"]
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _trained_by_chance(comparison: Comparison) -> list[ComparedRun]:
    return [run for run in comparison.runs if run.mode in _BY_CHANCE]


def _spread(comparison: Comparison, names: Sequence[str]) -> str:
    values = [run.evaluation.scores[comparison.score].value for run in comparison.runs if run.name in names]
    span = score_range(comparison.score, min(values), max(values))
    return f"{join([isolated(name) for name in names])} are one recipe trained with other seeds, {span}."


def _recipes(compared: ComparedRecipes) -> str:
    result = compared.result
    best, other = (_recipe(names) for names in (compared.best, compared.other))
    sure = f"95{NO_BREAK}% sure: {points_range(result.low, result.high)}; {p_value(compared.adjusted_p_value)}"
    if compared.is_clear:
        return f"Luck in training included, {best} is better than {other} by {points(result.difference)} ({sure})."
    apart = points(result.difference)
    return f"Luck in training included, no difference can be seen between {best} and {other}: {apart} ({sure})."


def _recipe(names: Sequence[str]) -> str:
    trained = counted(len(names), "training")
    return f"the recipe of {join([isolated(name) for name in names])} ({trained})"
