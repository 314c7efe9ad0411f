"""What a place that runs are tracked in must be able to take."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from distingo.evaluation.reading import RunRecords

Ending = Literal["finished", "failed", "stopped"]


@dataclass(frozen=True, slots=True)
class EpochPoint:
    """One epoch of a run.

    Attributes:
        epoch: Counted from 1.
        values: What was measured, by its column in ``history.csv``.
    """

    epoch: int
    values: dict[str, float]


class Destination(Protocol):
    """A place that runs are tracked in; any call may raise any error, as libraries and servers do."""

    @property
    def where(self) -> str:
        """The place in words; tells it from others of its kind."""

    def begin(self, records: RunRecords, known: str) -> str:
        """Open the run there, and write its parameters.

        Args:
            records: What is known before training.
            known: As an earlier process of the same run was given it, to go on there; else empty.

        Returns:
            What finds it again.
        """

    def send_epochs(self, points: Sequence[EpochPoint]) -> None:
        """Write epochs; one that came before may come again."""

    def send_result(self, records: RunRecords) -> None:
        """Write scores with intervals, plots, the report and the model."""

    def end(self, ending: Ending) -> None:
        """Say how the run ended, and let go of the place."""


def in_one_line(error: Exception) -> str:
    """What a library or server said, short, and without the password of an address."""
    text = re.sub(r"//[^/@\s]+@", "//", " ".join(str(error).split()))
    return text[:240] or type(error).__name__


def parameters(records: RunRecords) -> dict[str, str | int | float | bool]:
    """What a run's table of parameters shows: the recipe, the data and how it was divided."""
    sides = [row.side for row in records.split]
    counts = {f"{side}_pictures": sides.count(side) for side in ("train", "validation", "test")}
    data: dict[str, str | int] = {"data": records.data_name, "task": records.task, "classes": len(records.classes)}
    recipe = {name: "own" if value is None else value for name, value in records.recipe.items()}
    return {**recipe, **data, **counts}


def final_scores(records: RunRecords) -> dict[str, float]:
    """Every score with both ends of its 95 % interval, and the baselines', by a name such as ``test/accuracy``."""
    evaluation = records.evaluation
    if evaluation is None:
        return {}
    found: dict[str, float] = {}
    for name, score in evaluation.scores.items():
        found[f"{evaluation.side}/{name}"] = score.value
        found[f"{evaluation.side}/{name}_low"], found[f"{evaluation.side}/{name}_high"] = score.low, score.high
    for baseline, scores in evaluation.baselines.items():
        found |= {f"baseline_{baseline}/{name}": score.value for name, score in scores.items()}
    return found
