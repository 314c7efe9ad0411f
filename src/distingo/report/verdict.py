"""The verdict: what a score means, in sentences that claim no more than the test pictures show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from distingo.language import count, gettext, listed, ngettext
from distingo.records import Evaluation, Score
from distingo.report.wording import baseline_name, counted, interval_in_words, isolated, percent, points, side_pictures

FEW_PICTURES = 20
"""Below this many test pictures a class's own scores say little (one picture moves recall by 5 points)."""


FIGURE = "\ufffc"
"""Stands for the figure in a sentence, so that it can be set apart wherever a language puts it."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The report's first sentence, in parts so that a page can set the figure apart.

    Attributes:
        figure: The accuracy, for example ``86.4 %``; empty before an evaluation.
        before: What stands before the figure.
        after: What stands behind it, to the full stop.
        remarks: Further sentences that a reader should know before trusting the figure.
    """

    figure: str
    before: str
    after: str
    remarks: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The whole sentence."""
        return f"{self.before}{self.figure}{self.after}"


def set_apart(figure: str, sentence: str, remarks: tuple[str, ...] = ()) -> Verdict:
    """A verdict from a whole sentence in which `FIGURE` stands for the figure."""
    before, _, after = sentence.partition(FIGURE)
    return Verdict(figure, before, after, remarks)


def judge(evaluation: Evaluation, model: str, leaks: tuple[str, ...] = ()) -> Verdict:
    """Put an evaluation's accuracy into one sentence, beside its baselines.

    Two accuracies are called different where the 95 % interval of their difference, picture by picture, leaves out
    zero. "Not shown" never means "shown to be equal".

    Args:
        evaluation: The scores.
        model: The judged model's name; a baseline of that name is not compared with itself.
        leaks: What flatters the scores, which comes first among the remarks.

    Returns:
        The verdict with remarks on weak, small and lopsided classes.
    """
    accuracy = evaluation.scores.get("accuracy")
    notes = tuple(map(str, evaluation.notes))
    pictures = side_pictures(evaluation.n, evaluation.side)
    if accuracy is None:
        return Verdict("", gettext("Judged on %(pictures)s.", pictures=pictures), "", notes)
    baselines = {
        name: scores["accuracy"]
        for name, scores in evaluation.baselines.items()
        if name != model and "accuracy" in scores
    }
    sentence = gettext(
        "Right on %(figure)s of %(pictures)s (95\u00a0%% interval %(interval)s)%(beside)s.",
        figure=FIGURE,
        pictures=side_pictures(accuracy.n, evaluation.side),
        interval=interval_in_words("accuracy", accuracy),
        beside=beside_baselines(accuracy, baselines, evaluation.accuracy_gains),
    )
    remarks = (*leaks, *_weak_class(evaluation), *_small_classes(evaluation), *_lopsided(evaluation), *notes)
    return set_apart(percent(accuracy.value), sentence, remarks)


def beside_baselines(own: Score, baselines: Mapping[str, Score], gains: Mapping[str, Score] | None = None) -> str:
    """Say what a score is above, below and not told apart from, as the end of a sentence.

    Args:
        own: A share; higher is better.
        baselines: The same score of others.
        gains: By how much it is above each of them, where that was judged picture by picture. Elsewhere two scores are
            called different only where their intervals do not overlap, which is stricter.

    Returns:
        The words with a dash before them; nothing without baselines.
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
    return gettext("%(points)s above %(baseline)s", points=_apart(own, score), baseline=baseline_name(name))


def _below(own: Score, score: Score, name: str) -> str:
    return gettext("%(points)s below %(baseline)s", points=_apart(own, score), baseline=baseline_name(name))


def _unclear(unclear: Mapping[str, Score], *, paired: bool) -> str:
    named = gettext(" or ").join(f"{baseline_name(name)} ({percent(score.value)})" for name, score in unclear.items())
    if paired:
        return gettext(
            "not shown to be better than %(baselines)s, as chance may explain the difference", baselines=named
        )
    return gettext("not shown to be better than %(baselines)s, as the intervals overlap", baselines=named)


def other_baselines(evaluation: Evaluation | None, model: str, score: str) -> dict[str, dict[str, Score]]:
    """The baselines that are not the judged model itself, the best by a score first."""
    if evaluation is None:
        return {}
    others = [(name, scores) for name, scores in evaluation.baselines.items() if name != model]
    others.sort(key=lambda item: -item[1][score].value if score in item[1] else 0.0)
    return dict(others)


def _apart(own: Score, other: Score) -> str:
    return points(own.value - other.value)


def _weak_class(evaluation: Evaluation) -> tuple[str, ...]:
    judged = [scores for scores in evaluation.per_class if scores.support >= FEW_PICTURES]
    if len(judged) < 2 or not evaluation.confusion:
        return ()
    weakest = min(judged, key=lambda scores: scores.recall)
    if weakest.recall == 1.0:
        return ()
    row = evaluation.classes.index(weakest.name)
    mistakes = {
        name: number
        for name, number in zip(evaluation.classes, evaluation.confusion[row], strict=True)
        if name != weakest.name and number
    }
    taken_for, times = max(mistakes.items(), key=lambda item: item[1])
    found = percent(weakest.recall, int(weakest.recall > 0.99))
    return (
        gettext(
            "Weakest class: %(name)s, found in %(found)s of its %(pictures)s; most often taken for %(other)s "
            "(%(times)s).",
            name=isolated(weakest.name),
            found=found,
            pictures=counted(weakest.support, "picture", "pictures"),
            other=isolated(taken_for),
            times=counted(times, "time", "times"),
        ),
    )


def _small_classes(evaluation: Evaluation) -> tuple[str, ...]:
    small, total = sum(scores.support < FEW_PICTURES for scores in evaluation.per_class), len(evaluation.per_class)
    if not small:
        return ()
    pictures = side_pictures(FEW_PICTURES, evaluation.side)
    if small == total:
        return (
            gettext(
                "All %(total)s classes have fewer than %(pictures)s: scores by class are rough.",
                total=count(total),
                pictures=pictures,
            ),
        )
    return (
        ngettext(
            "%(small)s of %(total)s classes has fewer than %(pictures)s: scores by class are rough.",
            "%(small)s of %(total)s classes have fewer than %(pictures)s: scores by class are rough.",
            small,
            small=count(small),
            total=count(total),
            pictures=pictures,
        ),
    )


def _lopsided(evaluation: Evaluation) -> tuple[str, ...]:
    accuracy, balanced = evaluation.scores.get("accuracy"), evaluation.scores.get("balanced_accuracy")
    if accuracy is None or balanced is None or accuracy.value - balanced.value < 0.05:
        return ()
    return (
        gettext(
            "Rare classes do worse than common ones: averaged over classes, %(balanced)s are found (balanced "
            "accuracy), against %(accuracy)s over pictures.",
            balanced=percent(balanced.value),
            accuracy=percent(accuracy.value),
        ),
    )
