"""What a comparison of runs shows, in a sentence that claims no more than the test pictures do."""

from __future__ import annotations

from collections.abc import Sequence

from distingo.evaluation.comparison import ComparedRun, Comparison
from distingo.report.verdict import Verdict
from distingo.report.wording import (
    NO_BREAK,
    count,
    counted,
    isolated,
    p_value,
    percent,
    points,
    score_name,
    score_range,
    score_value,
)

_LEVEL = 0.05
_MOST_NAMED = 3


def judge_comparison(comparison: Comparison) -> Verdict:
    """Say which run is best, by how much, and whether that is more than chance.

    A lead counts as more than chance where McNemar's p-value, multiplied by the number of pairs of runs, is
    below 0.05.

    Args:
        comparison: Of two or more runs.

    Returns:
        The verdict; its remarks say what to know before trusting it.
    """
    best = comparison.best
    score = best.evaluation.scores[comparison.score]
    pictures = f"{count(comparison.n)}{NO_BREAK}test picture{'' if comparison.n == 1 else 's'}"
    interval = f"(95{NO_BREAK}% interval {score_range(comparison.score, score.low, score.high)})"
    if comparison.score != "accuracy":
        name = score_name(comparison.score)[0].lower().replace(",", "")
        return Verdict(
            figure=score_value(comparison.score, score.value),
            before=f"{isolated(best.name)} comes first: {name} of ",
            after=f" on {pictures} {interval} — {_lead(comparison)}; whether by more than chance was not tested.",
            remarks=comparison.notes,
        )
    clear = [run for run in comparison.runs[1:] if is_clear(run)]
    first = "is best" if len(clear) == len(comparison.runs) - 1 else "comes first"
    return Verdict(
        figure=percent(score.value),
        before=f"{isolated(best.name)} {first}: right on ",
        after=f" of {pictures} {interval} — {_leads(comparison, clear)}.",
        remarks=(_flattered(comparison), *comparison.notes),
    )


def is_clear(run: ComparedRun) -> bool:
    """Whether a run is behind the best one by more than chance explains."""
    return run.versus_best is not None and run.versus_best.adjusted_p_value < _LEVEL


def _leads(comparison: Comparison, clear: Sequence[ComparedRun]) -> str:
    unclear = [run for run in comparison.runs[1:] if not is_clear(run)]
    if not unclear:
        return f"{_join([f'{_behind(run)} above {_told(run)}' for run in clear])}, more than chance explains"
    if any(_is_level(run) for run in unclear):
        level = [isolated(run.name) for run in unclear if _is_level(run)]
        text = f"but {_join(level)} {'is' if len(level) == 1 else 'are'} right just as often"
        unclear = [run for run in unclear if not _is_level(run)]
        text += f", and the lead of {_over(unclear)} could be chance" if unclear else ""
    else:
        text = f"but the lead of {_over(unclear)} could be chance"
    if not clear:
        return text
    return f"{text}; the {_join([f'{_behind(run)} above {_told(run)}' for run in clear])} are more than that"


def _over(runs: Sequence[ComparedRun]) -> str:
    return _join([f"{_behind(run)} over {_told(run)}" for run in runs])


def _behind(run: ComparedRun) -> str:
    return points(run.versus_best.paired.difference) if run.versus_best else ""


def _told(run: ComparedRun) -> str:
    return f"{isolated(run.name)} ({p_value(run.versus_best.adjusted_p_value)})" if run.versus_best else run.name


def _is_level(run: ComparedRun) -> bool:
    return run.versus_best is not None and run.versus_best.paired.difference == 0


def _lead(comparison: Comparison) -> str:
    best, second = (run.evaluation.scores[comparison.score].value for run in comparison.runs[:2])
    return f"{points(best - second)} above {isolated(comparison.runs[1].name)}"


def _flattered(comparison: Comparison) -> str:
    told = "The best run was found by these same test pictures, which flatters it a little"
    pairs = len(comparison.runs) * (len(comparison.runs) - 1) // 2
    if pairs == 1:
        return f"{told}."
    return f"{told}; to make up for it, p-values here are multiplied by the {counted(pairs, 'pair')} of runs."


def _join(parts: Sequence[str]) -> str:
    if len(parts) > _MOST_NAMED:
        parts = [*parts[: _MOST_NAMED - 1], f"{len(parts) - _MOST_NAMED + 1} more"]
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
