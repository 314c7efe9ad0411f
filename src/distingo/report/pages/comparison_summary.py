"""The summary of a comparison, which claims no more than the runs show.

It also covers chance in training: other seeds of one recipe, and recipes that were trained once.
"""

from __future__ import annotations

from collections.abc import Sequence

from distingo.evaluation.comparison_records import ComparedRun, Comparison
from distingo.evaluation.pairing import ComparedRecipes, VersusBest
from distingo.language import count
from distingo.report.text.summaries import Summary
from distingo.report.text.wording import (
    NO_BREAK,
    counted,
    interval_phrase,
    isolated,
    p_value,
    points,
    points_range,
    score_name,
    score_range,
    score_value,
)

_MOST_NAMED = 3

_BY_CHANCE = {"scratch", "finetune"}
"""Modes in which another seed gives other weights."""


def describe_seeds(comparison: Comparison) -> tuple[str, ...]:
    """Describe how much of the differences may be due to the seeds.

    Args:
        comparison: The comparison of two or more runs.

    Returns:
        One sentence for each recipe with several seeds and each pair of recipes; else one on what was not tested.
    """
    sentences = [_spread(comparison, names) for names in comparison.seeds if len(comparison.runs) > 2]
    sentences += [_recipes(compared) for compared in comparison.recipes]
    if not comparison.seeds and (lucky := _trained_by_chance(comparison)):
        sentences.append(
            "Every recipe was trained once: the differences are those of these models. Another seed would move "
            f"{join([isolated(run.name) for run in lucky])} too; whether a recipe is better shows when each is trained "
            "again with another --seed on the same --split."
        )
    return tuple(sentences)


def join(parts: Sequence[str]) -> str:
    """Join names or clauses in a sentence, at most three of them."""
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
    interval = f"95{NO_BREAK}% sure: {points_range(result.low, result.high)}; {p_value(compared.adjusted_p_value)}"
    if compared.is_clear:
        return f"Luck in training included, {best} is better than {other} by {points(result.difference)} ({interval})."
    difference = points(result.difference)
    return (
        f"Luck in training included, no difference can be seen between {best} and {other}: {difference} ({interval})."
    )


def _recipe(names: Sequence[str]) -> str:
    trained = counted(len(names), "training")
    return f"the recipe of {join([isolated(name) for name in names])} ({trained})"


_MOST_IMAGES = 1_000_000
"""Largest number of needed test images that is reported."""

_TOO_FEW = "the runs differ on too few images for an interval"


def summarize_comparison(comparison: Comparison) -> Summary:
    """Summarize which run is best, by how much, with which confidence, and how many images would give certainty.

    A lead counts as more than chance where the p-value of the paired test, multiplied by the number of pairs of runs,
    is below 0.05.

    Args:
        comparison: The comparison of two or more runs.

    Returns:
        The headline with remarks on its limits.
    """
    summary = _of_two if len(comparison.runs) == 2 else _of_many
    before, figure, after = summary(comparison)
    return Summary(
        figure, before, after, (*describe_seeds(comparison), *_flattered(comparison), *map(str, comparison.notes))
    )


def is_clear(run: ComparedRun) -> bool:
    """Whether a run is significantly worse than the best one."""
    return run.versus_best is not None and run.versus_best.is_clear


def _of_two(comparison: Comparison) -> tuple[str, str, str]:
    best, other = comparison.runs
    versus = other.versus_best
    assert versus is not None
    names = isolated(best.name), isolated(other.name)
    value = score_value(comparison.score, versus.score.second)
    if versus.same_recipe:
        return _of_same_recipe(comparison, names, versus)
    if versus.is_clear:
        values = f"{value} against {score_value(comparison.score, versus.score.first)}"
        return (
            f"{names[0]} is better than {names[1]} by ",
            points(versus.score.difference),
            f", {_confidence_phrase(versus)}: {_score_phrase(comparison)} {values} "
            f"{_on_images(comparison)} ({p_value(versus.adjusted_p_value)}).",
        )
    start = f"No difference can be seen between {names[0]} and {names[1]}: "
    if comparison.tied:
        reach = points(max(abs(versus.score.low), abs(versus.score.high)))
        unseen = _TOO_FEW if versus.score.too_few else f"a difference of up to {reach} could stay unseen"
        after = f" {_on_images(comparison)}, and {unseen}."
        return f"{start}both are {_score_phrase(comparison)} ", value, after
    after = (
        f" ahead on {_images(comparison)} can be chance ({p_value(versus.adjusted_p_value)}; "
        f"{_confidence_phrase(versus)}){_needed(comparison, versus)}."
    )
    return f"{start}{names[0]}’s ", points(versus.score.difference), after


def _confidence_phrase(versus: VersusBest) -> str:
    return _TOO_FEW if versus.score.too_few else f"95{NO_BREAK}% sure it is between {_between(versus)}"


def _of_same_recipe(comparison: Comparison, names: tuple[str, str], versus: VersusBest) -> tuple[str, str, str]:
    between = f"95{NO_BREAK}% sure that these two models differ by between {_between(versus)}"
    if versus.score.too_few:
        between = _TOO_FEW
    return (
        f"{names[0]} and {names[1]} are one recipe trained with other seeds: the ",
        points(versus.score.difference),
        f" that set them apart on {_images(comparison)} are luck in training, in the test pictures or in both "
        f"({between}; {p_value(versus.adjusted_p_value)}).",
    )


def _of_many(comparison: Comparison) -> tuple[str, str, str]:
    best = comparison.best
    score = best.evaluation.scores[comparison.score]
    clear = [run for run in comparison.runs[1:] if is_clear(run)]
    unclear = [run for run in comparison.runs[1:] if not is_clear(run)]
    interval = f"(95{NO_BREAK}% interval {interval_phrase(comparison.score, score)})"
    before = f"{isolated(best.name)} {'comes first' if unclear else 'is best'}: {_score_phrase(comparison)} "
    if comparison.tied:
        before = f"{join([isolated(run.name) for run in comparison.tied])} tie: {_score_phrase(comparison)} "
        unclear = [run for run in unclear if run not in comparison.tied]
    parts = []
    if unclear:
        parts.append(f"no difference can be seen from {join([_unclear(run) for run in unclear])}")
    if clear:
        parts.append(f"better by {join([_clear(run) for run in clear])}")
    after = f" {_on_images(comparison)} {interval}{' — ' if parts else ''}{'; '.join(parts)}."
    return before, score_value(comparison.score, score.value), after


def _clear(run: ComparedRun) -> str:
    versus = run.versus_best
    assert versus is not None
    between = _TOO_FEW if versus.score.too_few else f"95{NO_BREAK}% sure: {_between(versus, 'to')}"
    return f"{points(versus.score.difference)} than {isolated(run.name)} ({between})"


def _unclear(run: ComparedRun) -> str:
    versus = run.versus_best
    assert versus is not None
    if versus.score.difference == 0:
        return f"{isolated(run.name)} (just as good)"
    if versus.same_recipe:
        return f"{isolated(run.name)} (the same recipe, {points(versus.score.difference)} behind by luck)"
    return f"{isolated(run.name)} ({points(versus.score.difference)} behind, {p_value(versus.adjusted_p_value)})"


def _between(versus: VersusBest, joint: str = "and") -> str:
    """Format the interval of the best run's lead, in points."""
    low, high = (f"{-end * 100:+.1f}".replace("-", "−") for end in (versus.score.high, versus.score.low))
    low, high = ("0.0" if end in {"+0.0", "−0.0"} else end for end in (low, high))
    if not low.startswith("−"):
        low, high = low.lstrip("+"), high.lstrip("+")
    return f"{low} {joint} {high}"


def _needed(comparison: Comparison, versus: VersusBest) -> str:
    images = versus.images_needed
    if images is None or images > _MOST_IMAGES:
        return ""
    instead = f"about {count(_rounded(images))} test pictures instead of {count(comparison.n)}"
    return f"; {instead} would be needed to see a difference of that size"


def _rounded(number: int) -> int:
    """Round up to two significant digits."""
    step: int = 10 ** max(0, len(str(number)) - 2)
    return -(-number // step) * step


def _score_phrase(comparison: Comparison) -> str:
    if comparison.score == "accuracy":
        return "right on"
    return f"{score_name(comparison.score)[0].lower().replace(',', '')} of"


def _on_images(comparison: Comparison) -> str:
    return f"{'of' if comparison.score == 'accuracy' else 'on'} {_images(comparison)}"


def _images(comparison: Comparison) -> str:
    return f"{count(comparison.n)}{NO_BREAK}test picture{'' if comparison.n == 1 else 's'}"


def _flattered(comparison: Comparison) -> tuple[str, ...]:
    if comparison.tied:
        return ()
    caution = "The best run was found by these same test pictures, so its score is slightly too high"
    pairs = len(comparison.runs) * (len(comparison.runs) - 1) // 2
    if pairs == 1:
        return (f"{caution}.",)
    return (f"{caution}; to make up for it, p-values here are multiplied by the {counted(pairs, 'pair')} of runs.",)
