"""The verdict on several labels per picture: how well the model ranks, beside what needs no model."""

from __future__ import annotations

from distingo.language import gettext
from distingo.metrics.label_intervals import MIN_POSITIVES
from distingo.records import Evaluation, LabelScores
from distingo.report.verdict import FEW_PICTURES, FIGURE, Verdict, beside_baselines, set_apart
from distingo.report.wording import (
    baseline_name,
    counted,
    interval_in_words,
    isolated,
    names_listed,
    percent,
    side_pictures,
)

MAIN_SCORE = "mean_average_precision_macro"


def judge_labels(evaluation: Evaluation, model: str, leaks: tuple[str, ...] = ()) -> Verdict:
    """Put an evaluation's mean average precision (macro) into one sentence, beside its baselines.

    Two scores are called different only where their 95 % intervals do not overlap.

    Args:
        evaluation: The scores.
        model: The judged model's name; a baseline of that name is not compared with itself.
        leaks: What flatters the scores, which comes first among the remarks.

    Returns:
        The verdict; its remarks say what the figure means and what to know before trusting it.
    """
    own = evaluation.scores.get(MAIN_SCORE)
    notes = tuple(map(str, evaluation.notes))
    if own is None:
        judged = side_pictures(evaluation.n, evaluation.side)
        said = gettext("Judged on %(pictures)s; too few have a label to score it.", pictures=judged)
        return Verdict("", said, "", notes)
    baselines = {
        name: scores[MAIN_SCORE]
        for name, scores in evaluation.baselines.items()
        if name != model and MAIN_SCORE in scores
    }
    kept = _kept(evaluation)
    sentence = gettext(
        "Mean average precision %(figure)s over %(labels)s on %(pictures)s (95\u00a0%% interval "
        "%(interval)s)%(beside)s.",
        figure=FIGURE,
        labels=counted(len(kept), "label", "labels"),
        pictures=side_pictures(own.n, evaluation.side),
        interval=interval_in_words(MAIN_SCORE, own),
        beside=beside_baselines(own, baselines),
    )
    remarks = (
        *leaks,
        *_meaning(own.value, kept, evaluation.n),
        *_hits(evaluation, model),
        *_best_and_worst(kept, evaluation.n),
        *_left_out(evaluation),
        *notes,
    )
    return set_apart(percent(own.value), sentence, remarks)


def _kept(evaluation: Evaluation) -> list[LabelScores]:
    return [scores for scores in evaluation.per_label if scores.name not in evaluation.left_out]


def _meaning(value: float, kept: list[LabelScores], n: int) -> tuple[str, ...]:
    if not kept:
        return ()
    chance = sum(scores.support for scores in kept) / (n * len(kept))
    return (
        gettext(
            "What that means: sort the pictures by a label’s probability and stop at each one that really has the "
            "label; on average %(value)s of the pictures up to there have it. In an order of chance it would be "
            "%(chance)s.",
            value=percent(value, 0),
            chance=percent(chance, 0),
        ),
    )


def _hits(evaluation: Evaluation, model: str) -> tuple[str, ...]:
    own = evaluation.scores.get("top_3_hit")
    if own is None:
        return ()
    others = [
        gettext("%(name)s: %(value)s", name=baseline_name(name), value=percent(scores["top_3_hit"].value, 0))
        for name, scores in evaluation.baselines.items()
        if name != model and "top_3_hit" in scores
    ]
    return (
        gettext(
            "For %(share)s of the pictures with labels, at least one of the three most probable labels is "
            "right%(beside)s.",
            share=percent(own.value, 0),
            beside=gettext(" (%(others)s)", others=gettext("; ").join(others)) if others else "",
        ),
    )


def _best_and_worst(kept: list[LabelScores], n: int) -> tuple[str, ...]:
    judged = [(scores, scores.average_precision) for scores in kept if scores.support >= FEW_PICTURES]
    ranked = [(found.value, scores.support / n, scores) for scores, found in judged if found is not None]
    if len(ranked) < 2:
        return ()
    best, worst = (choose(ranked, key=lambda entry: entry[0] - entry[1]) for choose in (max, min))
    return (
        gettext(
            "Furthest above chance: %(best)s, %(best_value)s where chance gives %(best_chance)s; least: %(worst)s, "
            "%(worst_value)s where chance gives %(worst_chance)s.",
            best=isolated(best[2].name),
            best_value=percent(best[0], 0),
            best_chance=percent(best[1], 0),
            worst=isolated(worst[2].name),
            worst_value=percent(worst[0], 0),
            worst_chance=percent(worst[1], 0),
        ),
    )


def _left_out(evaluation: Evaluation) -> tuple[str, ...]:
    if not evaluation.left_out:
        return ()
    return (
        gettext(
            "Left out of the means, as fewer than %(pictures)s have them: %(names)s.",
            pictures=side_pictures(MIN_POSITIVES, evaluation.side),
            names=names_listed(evaluation.left_out),
        ),
    )
