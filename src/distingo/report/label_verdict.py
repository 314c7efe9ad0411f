"""The verdict on several labels per picture: how well the model ranks, beside what needs no model."""

from __future__ import annotations

from distingo.metrics.judged_labels import MIN_POSITIVES
from distingo.records import Evaluation, LabelScores
from distingo.report.verdict import FEW_PICTURES, Verdict, beside_baselines
from distingo.report.wording import NO_BREAK, baseline_name, count, counted, isolated, percent, score_range

MAIN_SCORE = "mean_average_precision_macro"


def judge_labels(evaluation: Evaluation, model: str) -> Verdict:
    """Put an evaluation's mean average precision (macro) into one sentence, beside its baselines.

    Two scores are called different only where their 95 % intervals do not overlap.

    Args:
        evaluation: The scores.
        model: The judged model's name; a baseline of that name is not compared with itself.

    Returns:
        The verdict; its remarks say what the figure means and what to know before trusting it.
    """
    own = evaluation.scores.get(MAIN_SCORE)
    if own is None:
        judged = counted(evaluation.n, f"{evaluation.side} picture")
        return Verdict("", f"Judged on {judged}; too few have a label to score it.", "", evaluation.notes)
    baselines = {
        name: scores[MAIN_SCORE]
        for name, scores in evaluation.baselines.items()
        if name != model and MAIN_SCORE in scores
    }
    kept = _kept(evaluation)
    interval = score_range(MAIN_SCORE, own.low, own.high)
    pictures = f"{count(own.n)}{NO_BREAK}{evaluation.side} picture{'' if own.n == 1 else 's'}"
    return Verdict(
        figure=percent(own.value),
        before="Mean average precision ",
        after=f" over {counted(len(kept), 'label')} on {pictures} (95{NO_BREAK}% interval {interval})"
        f"{beside_baselines(own, baselines)}.",
        remarks=(
            *_meaning(own.value, kept, evaluation.n),
            *_hits(evaluation, model),
            *_best_and_worst(kept, evaluation.n),
            *_left_out(evaluation),
            *evaluation.notes,
        ),
    )


def _kept(evaluation: Evaluation) -> list[LabelScores]:
    return [scores for scores in evaluation.per_label if scores.name not in evaluation.left_out]


def _meaning(value: float, kept: list[LabelScores], n: int) -> tuple[str, ...]:
    if not kept:
        return ()
    chance = sum(scores.support for scores in kept) / (n * len(kept))
    return (
        "What that means: sort the pictures by a label’s probability and stop at each one that really has the label; "
        f"on average {percent(value, 0)} of the pictures up to there have it. In an order of chance it would be "
        f"{percent(chance, 0)}.",
    )


def _hits(evaluation: Evaluation, model: str) -> tuple[str, ...]:
    own = evaluation.scores.get("top_3_hit")
    if own is None:
        return ()
    others = [
        f"{baseline_name(name)}: {percent(scores['top_3_hit'].value, 0)}"
        for name, scores in evaluation.baselines.items()
        if name != model and "top_3_hit" in scores
    ]
    beside = f" ({'; '.join(others)})" if others else ""
    return (
        f"For {percent(own.value, 0)} of the pictures with labels, at least one of the three most probable labels "
        f"is right{beside}.",
    )


def _best_and_worst(kept: list[LabelScores], n: int) -> tuple[str, ...]:
    judged = [(scores, scores.average_precision) for scores in kept if scores.support >= FEW_PICTURES]
    ranked = [(found.value, scores.support / n, scores) for scores, found in judged if found is not None]
    if len(ranked) < 2:
        return ()
    best, worst = (choose(ranked, key=lambda entry: entry[0] - entry[1]) for choose in (max, min))
    return (
        f"Furthest above chance: {isolated(best[2].name)}, {percent(best[0], 0)} where chance gives "
        f"{percent(best[1], 0)}; least: {isolated(worst[2].name)}, {percent(worst[0], 0)} where chance gives "
        f"{percent(worst[1], 0)}.",
    )


def _left_out(evaluation: Evaluation) -> tuple[str, ...]:
    if not evaluation.left_out:
        return ()
    names = ", ".join(isolated(name) for name in evaluation.left_out)
    return (f"Left out of the means, as fewer than {MIN_POSITIVES} {evaluation.side} pictures have them: {names}.",)
