"""The test pictures on which the best run and the others differ."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from distingo.evaluation.comparison import Comparison
from distingo.evaluation.reading import PredictionRow

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
