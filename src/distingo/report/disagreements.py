"""The test pictures on which the best run and the others differ.

The test pictures with several labels on which the best run and the others differ.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from distingo.evaluation.comparison import Comparison
from distingo.runs.predictions import Predicted, PredictionRow

MOST_SHOWN = 12


@dataclass(frozen=True, slots=True)
class Disagreement:
    """One test picture with what each run said.

    Attributes:
        best: The best run's answer.
        others: Each other answer with the names of the runs that gave it, the commonest first.
    """

    best: PredictionRow
    others: tuple[tuple[str, tuple[str, ...]], ...]

    @property
    def file(self) -> str:
        """The picture."""
        return self.best.file


@dataclass(frozen=True, slots=True)
class Disagreements:
    """Pictures that the best run got right, or wrong, unlike at least one other run.

    Attributes:
        shown: Those where most others differ first, then those where the best run was surest; at most `MOST_SHOWN`.
        total: How many there are.
    """

    shown: tuple[Disagreement, ...]
    total: int


def find_disagreements(comparison: Comparison, *, best_is_right: bool) -> Disagreements:
    """Find the pictures on which the best run is right and others are wrong, or the reverse.

    Args:
        comparison: Of runs with one label per picture; others have none here.
        best_is_right: Which of the two.
    """
    if comparison.score != "accuracy":
        return Disagreements((), 0)
    others = {run.name: {row.file: row.predicted for row in run.records.predictions} for run in comparison.runs[1:]}
    ranked = []
    for row in comparison.best.records.predictions:
        unlike = sum((said[row.file] == row.truth) != best_is_right for said in others.values())
        if (row.predicted == row.truth) == best_is_right and unlike:
            ranked.append((-unlike, -row.confidence, row.file, row))
    ranked.sort(key=lambda entry: entry[:3])
    shown = (row for *_, row in ranked[:MOST_SHOWN])
    return Disagreements(tuple(Disagreement(row, _answers(row, others)) for row in shown), len(ranked))


def _answers(row: PredictionRow, others: dict[str, dict[str, str]]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    names = defaultdict(list)
    for name, said in others.items():
        names[said[row.file]].append(name)
    return tuple((answer, tuple(names[answer])) for answer in sorted(names, key=lambda answer: -len(names[answer])))


Labels = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LabelDisagreement:
    """One test picture with what each run gave it.

    Attributes:
        file: The picture.
        truth: Its labels.
        best: The best run's.
        others: Each other answer with the names of the runs that gave it, the commonest first.
    """

    file: str
    truth: Labels
    best: Labels
    others: tuple[tuple[Labels, Labels], ...]


@dataclass(frozen=True, slots=True)
class LabelDisagreements:
    """Pictures on which the best run has fewer wrong labels, or more, than at least one other.

    Attributes:
        shown: Those with the largest difference first, at most `distingo.report.disagreements.MOST_SHOWN`.
        total: How many there are.
    """

    shown: tuple[LabelDisagreement, ...]
    total: int


def find_label_disagreements(comparison: Comparison) -> tuple[LabelDisagreements, LabelDisagreements]:
    """Find the pictures on which the best run is nearer to the truth than others, and the reverse.

    Args:
        comparison: Of runs with several labels per picture.

    Raises:
        RunError: A run's predictions are missing or damaged.
    """
    files = [row.file for row in comparison.best.records.split if row.side == "test"]
    runs = [run.records.predicted_on(files) for run in comparison.runs]
    wrong = np.stack([(run.said != run.truth).sum(axis=1) for run in runs])
    behind = wrong[1:] - wrong[0]
    names = [run.name for run in comparison.runs[1:]]
    return (
        _largest(np.maximum(behind, 0).sum(axis=0), runs, names, comparison.best.records.classes),
        _largest(np.maximum(-behind, 0).sum(axis=0), runs, names, comparison.best.records.classes),
    )


def _largest(
    sizes: npt.NDArray[np.int64], runs: Sequence[Predicted], names: Sequence[str], classes: Labels
) -> LabelDisagreements:
    order = np.argsort(-sizes, kind="stable")[: min(MOST_SHOWN, int((sizes > 0).sum()))]
    shown = []
    for row in order.tolist():
        answers = defaultdict(list)
        for run, name in zip(runs[1:], names, strict=True):
            answers[_named(run.said[row], classes)].append(name)
        others = sorted(answers.items(), key=lambda item: -len(item[1]))
        best = runs[0]
        shown.append(
            LabelDisagreement(
                file=best.files[row],
                truth=_named(best.truth[row], classes),
                best=_named(best.said[row], classes),
                others=tuple((answer, tuple(who)) for answer, who in others),
            )
        )
    return LabelDisagreements(tuple(shown), int((sizes > 0).sum()))


def _named(row: npt.NDArray[np.bool_], classes: Labels) -> Labels:
    return tuple(classes[place] for place in np.flatnonzero(row))
