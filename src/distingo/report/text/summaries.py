"""The summary of an evaluation in sentences that claim no more than the test images show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from distingo.language import count, gettext, listed, ngettext
from distingo.metrics.label_intervals import MIN_POSITIVES
from distingo.report.text.wording import (
    baseline_name,
    counted,
    interval_phrase,
    isolated,
    names_listed,
    percent,
    points,
    split_images,
)
from distingo.scores import Evaluation, LabelScores, Score

FEW_IMAGES = 20
"""Number of test images below which a class's scores are unreliable (one image changes recall by 5 points)."""

FIGURE = "\ufffc"
"""Placeholder of the main figure in a sentence, whose position depends on the language."""


@dataclass(frozen=True, slots=True)
class Summary:
    """The report's headline, in parts so that a page can emphasize the figure.

    Attributes:
        figure: The accuracy, for example ``86.4 %``; empty before an evaluation.
        before: The text before the figure.
        after: The text after the figure.
        remarks: Sentences on the limits of the figure.
    """

    figure: str
    before: str
    after: str
    remarks: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The complete sentence."""
        return f"{self.before}{self.figure}{self.after}"


def split_at_figure(figure: str, sentence: str, remarks: tuple[str, ...] = ()) -> Summary:
    """Create the headline from a sentence with the placeholder `FIGURE`."""
    before, _, after = sentence.partition(FIGURE)
    return Summary(figure, before, after, remarks)


def summarize_evaluation(evaluation: Evaluation, model: str, leaks: tuple[str, ...] = ()) -> Summary:
    """Summarize an evaluation's accuracy in one sentence, with a comparison to the baselines.

    Two accuracies count as different if the 95 % interval of their paired difference excludes zero.

    Args:
        evaluation: The scores.
        model: The evaluated model's name; a baseline of that name is not compared with itself.
        leaks: Remarks on leaks, which come first.

    Returns:
        The headline with remarks on weak, small and imbalanced classes.
    """
    accuracy = evaluation.scores.get("accuracy")
    notes = tuple(map(str, evaluation.notes))
    images = split_images(evaluation.n, evaluation.split)
    if accuracy is None:
        return Summary("", gettext("Evaluated on %(images)s.", images=images), "", notes)
    baselines = {
        name: scores["accuracy"]
        for name, scores in evaluation.baselines.items()
        if name != model and "accuracy" in scores
    }
    sentence = gettext(
        "Right on %(figure)s of %(images)s (95\u00a0%% interval %(interval)s)%(beside)s.",
        figure=FIGURE,
        images=split_images(accuracy.n, evaluation.split),
        interval=interval_phrase("accuracy", accuracy),
        beside=compare_to_baselines(accuracy, baselines, evaluation.accuracy_gains),
    )
    remarks = (*leaks, *_weak_class(evaluation), *_small_classes(evaluation), *_lopsided(evaluation), *notes)
    return split_at_figure(percent(accuracy.value), sentence, remarks)


def compare_to_baselines(own: Score, baselines: Mapping[str, Score], gains: Mapping[str, Score] | None = None) -> str:
    """Describe which baselines a score is above, below and not distinguishable from, as the end of a sentence.

    Args:
        own: The score; higher is better.
        baselines: The same score of the baselines.
        gains: Paired differences to the baselines, if they were evaluated. Without one, two scores count as different
            only if their intervals do not overlap, which is stricter.

    Returns:
        The text after a dash; empty without baselines.
    """
    paired = gains or {}
    least = {name: paired[name].low if name in paired else own.low - score.high for name, score in baselines.items()}
    most = {name: paired[name].high if name in paired else own.high - score.low for name, score in baselines.items()}
    above = {name: score for name, score in baselines.items() if least[name] > 0}
    below = {name: score for name, score in baselines.items() if most[name] < 0}
    unclear = {name: score for name, score in baselines.items() if name not in above and name not in below}
    parts = []
    if above:
        parts.append(listed([_above(own, score, name) for name, score in above.items()]))
    if below:
        parts.append(listed([_below(own, score, name) for name, score in below.items()]))
    if unclear:
        parts.append(_unclear(unclear, paired=paired.keys() >= unclear.keys()))
    return gettext(" — %(clauses)s", clauses=gettext(", but ").join(parts)) if parts else ""


def _above(own: Score, score: Score, name: str) -> str:
    return gettext("%(points)s above %(baseline)s", points=_points_between(own, score), baseline=baseline_name(name))


def _below(own: Score, score: Score, name: str) -> str:
    return gettext("%(points)s below %(baseline)s", points=_points_between(own, score), baseline=baseline_name(name))


def _unclear(unclear: Mapping[str, Score], *, paired: bool) -> str:
    names = gettext(" or ").join(f"{baseline_name(name)} ({percent(score.value)})" for name, score in unclear.items())
    if paired:
        return gettext(
            "not shown to be better than %(baselines)s, as chance may explain the difference", baselines=names
        )
    return gettext("not shown to be better than %(baselines)s, as the intervals overlap", baselines=names)


def other_baselines(evaluation: Evaluation | None, model: str, score: str) -> dict[str, dict[str, Score]]:
    """Return the baselines except the evaluated model itself, the best by a score first."""
    if evaluation is None:
        return {}
    others = [(name, scores) for name, scores in evaluation.baselines.items() if name != model]
    others.sort(key=lambda item: -item[1][score].value if score in item[1] else 0.0)
    return dict(others)


def _points_between(own: Score, other: Score) -> str:
    return points(own.value - other.value)


def _weak_class(evaluation: Evaluation) -> tuple[str, ...]:
    evaluated = [scores for scores in evaluation.per_class if scores.support >= FEW_IMAGES]
    if len(evaluated) < 2 or not evaluation.confusion:
        return ()
    weakest = min(evaluated, key=lambda scores: scores.recall)
    if weakest.recall == 1.0:
        return ()
    row = evaluation.classes.index(weakest.name)
    mistakes = {
        name: number
        for name, number in zip(evaluation.classes, evaluation.confusion[row], strict=True)
        if name != weakest.name and number
    }
    confused_with, times = max(mistakes.items(), key=lambda item: item[1])
    found = percent(weakest.recall, int(weakest.recall > 0.99))
    return (
        gettext(
            "Weakest class: %(name)s, found in %(found)s of its %(images)s; most often predicted "
            "as %(other)s (%(times)s).",
            name=isolated(weakest.name),
            found=found,
            images=counted(weakest.support, "picture", "pictures"),
            other=isolated(confused_with),
            times=counted(times, "time", "times"),
        ),
    )


def _small_classes(evaluation: Evaluation) -> tuple[str, ...]:
    small, total = sum(scores.support < FEW_IMAGES for scores in evaluation.per_class), len(evaluation.per_class)
    if not small:
        return ()
    images = split_images(FEW_IMAGES, evaluation.split)
    if small == total:
        return (
            gettext(
                "All %(total)s classes have fewer than %(images)s: scores by class are rough.",
                total=count(total),
                images=images,
            ),
        )
    return (
        ngettext(
            "%(small)s of %(total)s classes has fewer than %(images)s: scores by class are rough.",
            "%(small)s of %(total)s classes have fewer than %(images)s: scores by class are rough.",
            small,
            small=count(small),
            total=count(total),
            images=images,
        ),
    )


def _lopsided(evaluation: Evaluation) -> tuple[str, ...]:
    accuracy, balanced = evaluation.scores.get("accuracy"), evaluation.scores.get("balanced_accuracy")
    if accuracy is None or balanced is None or accuracy.value - balanced.value < 0.05:
        return ()
    return (
        gettext(
            "Rare classes do worse than frequent ones: averaged over classes, %(balanced)s are "
            "correct (balanced accuracy), against %(accuracy)s over pictures.",
            balanced=percent(balanced.value),
            accuracy=percent(accuracy.value),
        ),
    )


MAIN_SCORE = "mean_average_precision_macro"


def summarize_label_evaluation(evaluation: Evaluation, model: str, leaks: tuple[str, ...] = ()) -> Summary:
    """Summarize an evaluation's macro mean average precision in one sentence, with a comparison to the baselines.

    Two scores count as different only if their 95 % intervals do not overlap.

    Args:
        evaluation: The scores.
        model: The evaluated model's name; a baseline of that name is not compared with itself.
        leaks: Remarks on leaks, which come first.

    Returns:
        The headline with remarks on its meaning and limits.
    """
    own = evaluation.scores.get(MAIN_SCORE)
    notes = tuple(map(str, evaluation.notes))
    if own is None:
        evaluated = split_images(evaluation.n, evaluation.split)
        sentence = gettext("Evaluated on %(images)s; too few have a label to score it.", images=evaluated)
        return Summary("", sentence, "", notes)
    baselines = {
        name: scores[MAIN_SCORE]
        for name, scores in evaluation.baselines.items()
        if name != model and MAIN_SCORE in scores
    }
    scored = _scored_labels(evaluation)
    sentence = gettext(
        "Mean average precision %(figure)s over %(labels)s on %(images)s (95\u00a0%% interval %(interval)s)%(beside)s.",
        figure=FIGURE,
        labels=counted(len(scored), "label", "labels"),
        images=split_images(own.n, evaluation.split),
        interval=interval_phrase(MAIN_SCORE, own),
        beside=compare_to_baselines(own, baselines),
    )
    remarks = (
        *leaks,
        *_meaning(own.value, scored, evaluation.n),
        *_hits(evaluation, model),
        *_best_and_worst(scored, evaluation.n),
        *_left_out(evaluation),
        *notes,
    )
    return split_at_figure(percent(own.value), sentence, remarks)


def _scored_labels(evaluation: Evaluation) -> list[LabelScores]:
    return [scores for scores in evaluation.per_label if scores.name not in evaluation.left_out]


def _meaning(value: float, scored: list[LabelScores], n: int) -> tuple[str, ...]:
    if not scored:
        return ()
    chance = sum(scores.support for scores in scored) / (n * len(scored))
    return (
        gettext(
            "What this means: sort the pictures by a label’s probability and stop at each one "
            "that has the label; on average %(value)s of the pictures up to there have it. In a "
            "random order it would be %(chance)s.",
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
            "For %(share)s of the pictures with labels, at least one of the three most probable "
            "labels is correct%(beside)s.",
            share=percent(own.value, 0),
            beside=gettext(" (%(others)s)", others=gettext("; ").join(others)) if others else "",
        ),
    )


def _best_and_worst(scored: list[LabelScores], n: int) -> tuple[str, ...]:
    evaluated = [(scores, scores.average_precision) for scores in scored if scores.support >= FEW_IMAGES]
    ranked = [(found.value, scores.support / n, scores) for scores, found in evaluated if found is not None]
    if len(ranked) < 2:
        return ()
    best, worst = (choose(ranked, key=lambda entry: entry[0] - entry[1]) for choose in (max, min))
    return (
        gettext(
            "Farthest above chance: %(best)s, %(best_value)s (chance: %(best_chance)s); least: "
            "%(worst)s, %(worst_value)s (chance: %(worst_chance)s).",
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
            "Left out of the means, as fewer than %(images)s have them: %(names)s.",
            images=split_images(MIN_POSITIVES, evaluation.split),
            names=names_listed(evaluation.left_out),
        ),
    )
