"""What a search for a recipe leaves behind, as frozen records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

StageName = Literal["head", "training"]
TrialState = Literal["complete", "pruned", "failed"]
Value = str | int | float | None


@dataclass(frozen=True, slots=True)
class Options:
    """A recipe field that takes one of some values."""

    name: str
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class LogRange:
    """A recipe field that takes any number in a range, each ratio as likely as another."""

    name: str
    low: float
    high: float


Dimension = Options | LogRange


@dataclass(frozen=True, slots=True)
class Trial:
    """One recipe, tried.

    Attributes:
        number: Counted from 1 over all stages, in the order in which they were tried.
        stage: Which kind of trial.
        values: The searched fields and what they were.
        state: Whether it came to its end, was given up as worse than others, or could not be trained.
        score: The best monitored validation score, more is better; None for one that failed before any.
        loss: Cross-entropy on validation at that point, which decides between equal scores; None likewise.
        curve: The monitored score after each epoch; empty for a head.
        seconds: It took, of the process that finished it.
        is_default: Whether it is the recipe that one gets who asks for nothing.
        reason: Why it failed; else empty.
    """

    number: int
    stage: StageName
    values: dict[str, Value]
    state: TrialState
    score: float | None
    loss: float | None
    curve: tuple[float, ...]
    seconds: float
    is_default: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Stage:
    """One kind of trials.

    Attributes:
        name: ``head`` solves heads on frozen features, ``training`` trains by epochs.
        dimensions: What was searched.
        trials: In order.
        importances: Share of the scores' variance that each field explains (fANOVA), largest first; empty where the
            trials are too few to say.
    """

    name: StageName
    dimensions: tuple[Dimension, ...]
    trials: tuple[Trial, ...]
    importances: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Search:
    """A search for a recipe, as far as it has come.

    Attributes:
        data: Name of the data set's folder.
        model: Of the recipes.
        task: One label per picture, or several.
        monitor: The validation score that decides, as in `distingo.training.recipe.Recipe.monitor`.
        train: How many pictures every trial learned from.
        validation: How many judged it.
        test: How many were left alone.
        stages: In order; the cheap one first.
        default: The recipe that one gets who asks for nothing, by field.
        best: The best recipe found, by field; None before a trial is complete.
        best_trial: That trial.
        is_finished: Whether it came to the end that was asked for.
    """

    data: str
    model: str
    task: str
    monitor: str
    train: int
    validation: int
    test: int
    stages: tuple[Stage, ...]
    default: dict[str, Any]
    best: dict[str, Any] | None
    best_trial: Trial | None
    is_finished: bool

    @property
    def trials(self) -> tuple[Trial, ...]:
        """All trials of all stages."""
        return tuple(trial for stage in self.stages for trial in stage.trials)

    @property
    def default_trial(self) -> Trial | None:
        """What the default recipe was worth."""
        return next((trial for trial in self.trials if trial.is_default and trial.score is not None), None)

    @property
    def gain(self) -> float | None:
        """By how much the best trial's score is above the default's; None before both are known."""
        best, default = self.best_trial, self.default_trial
        if best is None or default is None or best.score is None or default.score is None:
            return None
        return best.score - default.score


def choose_best(trials: Sequence[Trial]) -> Trial | None:
    """The complete trial with the highest score; of equal ones the default, then that with the lowest loss."""
    complete = [trial for trial in trials if trial.state == "complete" and trial.score is not None]

    def rank(trial: Trial) -> tuple[float, bool, float, int]:
        return -(trial.score or 0.0), not trial.is_default, trial.loss or 0.0, trial.number

    return min(complete, key=rank, default=None)
