"""What a cross-validation shows, in a sentence that claims no more than the folds do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from distingo.records import ClassScores, LabelScores, Score
from distingo.report.verdict import FEW_PICTURES, Verdict, beside_baselines
from distingo.report.wording import NO_BREAK, counted, interval_in_words, isolated, percent

if TYPE_CHECKING:
    from distingo.crossvalidation.records import CrossValidation

_UNEVEN = 0.1


def judge_cross_validation(found: CrossValidation) -> Verdict:
    """Put the mean over folds into one sentence, beside the baselines'.

    A baseline counts as surpassed where the corrected interval of the difference, fold by fold, leaves out zero.

    Args:
        found: The scores.

    Returns:
        The verdict with remarks on uneven folds, weak classes and what was chosen.
    """
    key = found.main_score
    mean = found.means[key]
    others = {name: means[key] for name, means in found.baseline_means.items() if key in means}
    folds = f"{counted(found.folds_each, 'fold')}"
    if found.repeats > 1:
        folds += f", divided {counted(found.repeats, 'time')},"
    interval = f"95{NO_BREAK}% interval {interval_in_words(key, mean)}"
    before = "Right on " if found.task == "single-label" else "Mean average precision "
    of = f" of the pictures in the mean over {folds}" if found.task == "single-label" else f" in the mean over {folds}"
    return Verdict(
        figure=percent(mean.value),
        before=before,
        after=f"{of} of {counted(found.n, 'picture')} ({interval}){beside_baselines(mean, others, found.gains)}.",
        remarks=(*_unevenness(found), *_weakest(found), *found.notes, *found.pooled.notes),
    )


def _unevenness(found: CrossValidation) -> tuple[str, ...]:
    key = found.main_score
    judged = [(fold.scores[key], fold) for fold in found.folds if key in fold.scores]
    (worst, low), (best, _) = min(judged, key=lambda pair: pair[0]), max(judged, key=lambda pair: pair[0])
    if best - worst < _UNEVEN:
        return ()
    which = f"fold {low.fold}" + (f" of division {low.repeat}" if found.repeats > 1 else "")
    return (
        f"The folds are uneven, from {percent(worst)} ({which}) to {percent(best)}: one split into training and test "
        "would have told little.",
    )


def _weakest(found: CrossValidation) -> tuple[str, ...]:
    entries: list[ClassScores | LabelScores] = [*found.pooled.per_class, *found.pooled.per_label]
    judged = [entry for entry in entries if entry.support >= FEW_PICTURES]
    if len(judged) < 2:
        return ()
    if found.task == "single-label":
        weakest = min(judged, key=lambda entry: entry.recall)
        if weakest.recall == 1.0:
            return ()
        said = f"found in {percent(weakest.recall)} of its {counted(weakest.support, 'picture')}"
        return (f"Weakest class: {isolated(weakest.name)}, {said}.",)
    weakest = min(judged, key=_precision)
    value = _precision(weakest)
    return (f"Weakest label: {isolated(weakest.name)}, average precision {percent(value)}.",)


def _precision(entry: ClassScores | LabelScores) -> float:
    score: Score | None = entry.average_precision if isinstance(entry, LabelScores) else None
    return score.value if score is not None else 1.0
