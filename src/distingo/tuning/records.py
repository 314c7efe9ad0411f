"""What a search for a recipe leaves behind, as frozen records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from distingo.runs.fields import Plain

StageName = Literal["head", "training"]
TrialState = Literal["complete", "pruned", "failed"]
Value = str | int | float | None

ChosenBy = Literal["score", "default", "loss", "order"]
"""What made a trial the chosen one: its score alone; of tied ones, that it is the default, has the lowest loss, or came
first."""

_SAME = 1e-12
"""Scores at most so far apart are tied."""


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
        best_trial: That trial; of tied ones the one that `choose_best` chooses.
        is_finished: Whether it came to the end that was asked for.
        tied: The trials that share the highest score, `best_trial` among them; empty where one has it alone.
    """

    data: str
    model: str
    task: str
    monitor: str
    train: int
    validation: int
    test: int
    stages: tuple[Stage, ...]
    default: dict[str, Plain]
    best: dict[str, Plain] | None
    best_trial: Trial | None
    is_finished: bool
    tied: tuple[Trial, ...] = ()

    def __repr__(self) -> str:
        best = self.best_trial
        if best is None or best.score is None:
            found = "none complete"
        else:
            found = f"best {self.monitor} {best.score:.4g} in trial {best.number}"
        return f"Search({self.model!r}, {len(self.trials)} trials, {found})"

    @property
    def chosen_by(self) -> ChosenBy | None:
        """What made `best_trial` the chosen one; None before there is one."""
        best = self.best_trial
        if best is None:
            return None
        others = [trial for trial in self.tied if trial.number != best.number]
        if not others:
            return "score"
        if best.is_default:
            return "default"
        return "order" if any((trial.loss or 0.0) == (best.loss or 0.0) for trial in others) else "loss"

    @property
    def leaders(self) -> tuple[Trial, ...]:
        """All trials with the highest score; empty before a trial is complete."""
        return self.tied or (() if self.best_trial is None else (self.best_trial,))

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

    def rank(trial: Trial) -> tuple[bool, float, int]:
        return not trial.is_default, trial.loss or 0.0, trial.number

    return min(_with_highest_score(trials), key=rank, default=None)


def find_tied(trials: Sequence[Trial]) -> tuple[Trial, ...]:
    """The complete trials that share the highest score, in their order; empty where one has it alone."""
    first = _with_highest_score(trials)
    return first if len(first) > 1 else ()


def _with_highest_score(trials: Sequence[Trial]) -> tuple[Trial, ...]:
    scored = [(trial, trial.score) for trial in trials if trial.state == "complete" and trial.score is not None]
    highest = max((score for _, score in scored), default=0.0)
    return tuple(trial for trial, score in scored if score >= highest - _SAME)
