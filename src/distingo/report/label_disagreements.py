"""The test pictures with several labels on which the best run and the others differ."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from distingo.evaluation.comparison import Comparison
from distingo.evaluation.predicted import Predicted, predicted_on
from distingo.report.disagreements import MOST_SHOWN

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
    runs = [predicted_on(run.records, files) for run in comparison.runs]
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
