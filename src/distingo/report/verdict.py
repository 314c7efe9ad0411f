"""The verdict: what a score means, in sentences that claim no more than the test pictures show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from distingo.records import Evaluation, Score
from distingo.report.wording import NO_BREAK, baseline_name, count, counted, isolated, percent, points, score_range

FEW_PICTURES = 20
"""Below this many test pictures a class's own scores say little (one picture moves recall by 5 points)."""


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


def judge(evaluation: Evaluation, model: str) -> Verdict:
    """Put an evaluation's accuracy into one sentence, beside its baselines.

    Two accuracies are called different where the 95 % interval of their difference, picture by picture, leaves out
    zero. "Not shown" never means "shown to be equal".

    Args:
        evaluation: The scores.
        model: The judged model's name; a baseline of that name is not compared with itself.

    Returns:
        The verdict with remarks on weak, small and lopsided classes.
    """
    accuracy = evaluation.scores.get("accuracy")
    if accuracy is None:
        judged = counted(evaluation.n, f"{evaluation.side} picture")
        return Verdict("", f"Judged on {judged}.", "", evaluation.notes)
    baselines = {
        name: scores["accuracy"]
        for name, scores in evaluation.baselines.items()
        if name != model and "accuracy" in scores
    }
    interval = score_range("accuracy", accuracy.low, accuracy.high)
    pictures = f"{count(accuracy.n)}{NO_BREAK}{evaluation.side} picture{'' if accuracy.n == 1 else 's'}"
    beside = beside_baselines(accuracy, baselines, evaluation.accuracy_gains)
    return Verdict(
        figure=percent(accuracy.value),
        before="Right on ",
        after=f" of {pictures} (95{NO_BREAK}% interval {interval}){beside}.",
        remarks=(
            *_weak_class(evaluation),
            *_small_classes(evaluation),
            *_lopsided(evaluation),
            *evaluation.notes,
        ),
    )


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
        parts.append(_join([f"{_apart(own, score)} above {baseline_name(name)}" for name, score in above.items()]))
    if below:
        parts.append(_join([f"{_apart(own, score)} below {baseline_name(name)}" for name, score in below.items()]))
    if unclear:
        named = " or ".join(f"{baseline_name(name)} ({percent(score.value)})" for name, score in unclear.items())
        why = "chance may explain the difference" if paired.keys() >= unclear.keys() else "the intervals overlap"
        parts.append(f"not shown to be better than {named}, as {why}")
    return f" — {', but '.join(parts)}" if parts else ""


def other_baselines(evaluation: Evaluation | None, model: str, score: str) -> dict[str, dict[str, Score]]:
    """The baselines that are not the judged model itself, the best by a score first."""
    if evaluation is None:
        return {}
    others = [(name, scores) for name, scores in evaluation.baselines.items() if name != model]
    others.sort(key=lambda item: -item[1][score].value if score in item[1] else 0.0)
    return dict(others)


def _apart(own: Score, other: Score) -> str:
    return points(own.value - other.value)


def _join(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


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
        f"Weakest class: {isolated(weakest.name)}, found in {found} of its "
        f"{counted(weakest.support, 'picture')}; most often taken for {isolated(taken_for)} "
        f"({counted(times, 'time')}).",
    )


def _small_classes(evaluation: Evaluation) -> tuple[str, ...]:
    small = sum(scores.support < FEW_PICTURES for scores in evaluation.per_class)
    if not small:
        return ()
    classes = counted(len(evaluation.per_class), "class", "classes")
    which = f"All {classes}" if small == len(evaluation.per_class) else f"{count(small)} of {classes}"
    return (
        f"{which} {'has' if small == 1 else 'have'} fewer than {FEW_PICTURES} {evaluation.side} pictures: "
        "scores by class are rough.",
    )


def _lopsided(evaluation: Evaluation) -> tuple[str, ...]:
    accuracy, balanced = evaluation.scores.get("accuracy"), evaluation.scores.get("balanced_accuracy")
    if accuracy is None or balanced is None or accuracy.value - balanced.value < 0.05:
        return ()
    return (
        f"Rare classes do worse than common ones: averaged over classes, {percent(balanced.value)} are found "
        f"(balanced accuracy), against {percent(accuracy.value)} over pictures.",
    )
