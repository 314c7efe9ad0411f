"""A search for a recipe: heads on frozen features first, then training, up to a number of trials or a time budget."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from distingo.errors import DistingoError, UsageError, option
from distingo.experiments.tuning_records import (
    Search,
    SearchFolder,
    Stage,
    Trial,
    choose_best,
    find_tied,
    open_search,
    write_search,
)
from distingo.experiments.tuning_study import require_optuna
from distingo.experiments.tuning_trials import (
    PruneTrial,
    SearchData,
    StagePlan,
    StopTrial,
    folder_of,
    plan_stages,
    prepare_search_data,
    tidy,
    try_head,
    try_training,
)
from distingo.machine.process import configure_process, prepare_process
from distingo.models.catalog import find_model
from distingo.runs.fields import Plain
from distingo.training.preparing import resume, start
from distingo.training.recipe import Recipe
from distingo.training.request import TrainRequest


def sum_up(search_data: SearchData, plans: Sequence[StagePlan], *, is_finished: bool, explain: bool) -> Search:
    """Summarize the results of a search so far.

    Args:
        search_data: Images and default recipe of the search.
        plans: Stages of the search.
        is_finished: Whether the search is finished.
        explain: Whether to compute the importance of each field, which takes seconds.
    """
    prepared = search_data.prepared
    stages = tuple(
        Stage(plan.space.stage, plan.space.dimensions, plan.finished, plan.study.importances() if explain else {})
        for plan in plans
    )
    counted = [trial for plan in plans if plan.counts for trial in plan.finished]
    best = choose_best(counted)
    return Search(
        data=prepared.dataset.root.name or "data",
        model=prepared.recipe.model,
        task=prepared.dataset.task,
        monitor=prepared.recipe.monitor,
        train=len(prepared.split.train),
        validation=len(prepared.split.validation),
        test=search_data.test_images,
        stages=stages,
        default=prepared.recipe.as_dict(),
        best=None if best is None else _recipe(best, plans),
        best_trial=best,
        is_finished=is_finished,
        tied=find_tied(counted),
    )


def _recipe(best: Trial, plans: Sequence[StagePlan]) -> dict[str, Plain]:
    plan = next(plan for plan in plans if plan.space.stage == best.stage)
    return plan.recipe_of(best.values, is_default=best.is_default).as_dict()


log = logging.getLogger("distingo")

_CHEAP_SHARE = 1 / 3
"""Fraction of the trials and of the time for heads if training follows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TuneRequest:
    """The options of a search.

    Attributes:
        train: Data, options and cache, as for a training; its output is ignored.
        output: The folder of the search.
        trials: Number of trials, including earlier ones in the folder; None for no limit.
        seconds: Time budget of all trials, including earlier ones; None for no limit.
        on_trial: Callback that receives every finished trial and the best one so far.
    """

    train: TrainRequest
    output: Path
    trials: int | None = None
    seconds: float | None = None
    on_trial: Callable[[Trial, Search], None] | None = None


def tune_run(request: TuneRequest) -> Search:
    """Search until the trials or the time are used up; Ctrl-C ends the search and keeps its results.

    Args:
        request: Options of the search.

    Returns:
        The search; `Search.is_finished` is False if Ctrl-C ended it.

    Raises:
        DistingoError: The specific subclass for the failure.
        KeyboardInterrupt: Ctrl-C was pressed before the first trial started.
    """
    _check(request)
    require_optuna()
    configure_process()
    prepare_process()
    with open_search(request.output, _identity(request.train)) as folder:
        order = replace(request.train, output=folder.prepared.path)
        if folder.prepared.config.is_file():
            reading = replace(order.reading, table=None, corrections=None, value_range=None, max_pixels=None)
            resumed = replace(order, options={}, reading=reading, split=None, near_duplicates=None, resume=True)
            prepared, order = resume(resumed)
        else:
            prepared, order = start(order)
        search_data = prepare_search_data(prepared, replace(order, resume=False))
        plans = plan_stages(search_data, request.train.options, folder)
        search = _Searcher(request, folder, search_data, plans)
        search.run()
        return search.summarize(explain=True)


def _check(request: TuneRequest) -> None:
    if request.trials is None and request.seconds is None:
        raise UsageError(
            f"a search needs an end: give {option('trials')} 30, {option('budget')} 30m, or both",
            code="missing_argument",
            parameter="trials",
        )
    if request.trials is not None and request.trials < 2:
        raise UsageError(
            f"{option('trials')} {request.trials}: the first trial is the default recipe; give at least 2",
            code="out_of_range",
            parameter="trials",
        )
    if request.seconds is not None and request.seconds <= 0:
        raise UsageError(
            f"{option('budget')} {request.seconds:g}: give a stretch of time such as 30m",
            code="out_of_range",
            parameter="budget",
        )
    model = request.train.options.get("model")
    if model is not None and find_model(model).kind == "classic":
        raise UsageError(
            f"{option('model')} {model}: its recipe has nothing to search; name a network or a backbone",
            code="option_not_applicable",
            parameter="model",
        )


def _identity(train: TrainRequest) -> dict[str, object]:
    split, reading, ranges = train.split, train.reading, train.reading.ranges
    identity: dict[str, object] = {
        "data": str(train.data.resolve()),
        "options": train.options,
        "split": None if split is None else {"file": str(split.file.resolve()), "fold": split.fold},
        "table": None if reading.table is None else list(map(str, reading.table.flags)),
        "corrections": None if reading.corrections is None else str(reading.corrections),
        "near_duplicates": train.near_duplicates,
    }
    limit = {} if reading.max_pixels is None else {"max_pixels": reading.max_pixels}
    return {**identity, **limit, **({} if ranges is None else {"value_ranges": ranges.to_json()})}


@dataclass(slots=True)
class _Searcher:
    request: TuneRequest
    folder: SearchFolder
    search_data: SearchData
    plans: tuple[StagePlan, ...]
    is_finished: bool = False

    def run(self) -> None:
        try:
            for index, plan in enumerate(self.plans):
                self._run_stage(plan, followed=index + 1 < len(self.plans))
            self.is_finished = True
        except KeyboardInterrupt:
            log.info("stopped; the current trial continues from its last epoch when the same command is given again")

    def summarize(self, *, explain: bool) -> Search:
        search = sum_up(self.search_data, self.plans, is_finished=self.is_finished, explain=explain)
        write_search(self.folder, search)
        return search

    def _run_stage(self, plan: StagePlan, *, followed: bool) -> None:
        if followed and self.plans[-1].has_begun:
            return  # what training resumes from is settled
        while not self._is_used_up(followed=followed) or self._default_is_missing(plan):
            if not self._run_trial(plan):
                return

    def _is_used_up(self, *, followed: bool) -> bool:
        """Return whether the trials or the time are used up; a stage that another one follows has a share of them."""
        share = _CHEAP_SHARE if followed else 1.0
        trials, seconds = self.request.trials, self.request.seconds
        done = sum(len(plan.finished) for plan in self.plans)
        return (trials is not None and done >= max(1, int(trials * share))) or (
            seconds is not None and self._spent >= seconds * share
        )

    @property
    def _spent(self) -> float:
        return sum(plan.seconds for plan in self.plans)

    def _default_is_missing(self, plan: StagePlan) -> bool:
        """Return whether the default recipe still has to be tried, which is done regardless of the time budget."""
        return plan.has_default and not plan.finished

    def _run_trial(self, plan: StagePlan) -> bool:
        """Try one recipe, and return whether the stage continues."""
        optuna_trial = plan.study.ask()
        if optuna_trial is None:
            return False
        is_first = bool(optuna_trial.user_attrs.get("default"))
        recipe = plan.recipe_of(dict(optuna_trial.params), is_default=is_first)
        seconds = self.request.seconds
        attempt = _Attempt(
            optuna_trial, None if is_first or seconds is None else seconds - self._spent, is_first=is_first
        )
        try:
            self._attempt(plan, recipe, attempt)
        except (StopTrial, KeyboardInterrupt) as stop:
            plan.study.postpone(optuna_trial, seconds=attempt.seconds)
            if isinstance(stop, KeyboardInterrupt):
                raise
            return False
        tidy(folder_of(self.folder.epochs, recipe))
        self._notify()
        return True

    def _attempt(self, plan: StagePlan, recipe: Recipe, attempt: _Attempt) -> None:
        """Try a recipe and record its result or failure."""
        optuna_trial = attempt.optuna_trial
        try:
            if plan.space.stage == "head":
                outcome = try_head(self.search_data, recipe)
            else:
                outcome = try_training(self.search_data, recipe, folder_of(self.folder.epochs, recipe), attempt.report)
            plan.study.finish(optuna_trial, outcome.score, seconds=attempt.seconds, loss=outcome.loss)
        except PruneTrial:
            plan.study.finish(optuna_trial, None, seconds=attempt.seconds)
        except DistingoError as error:
            if attempt.is_first and plan.has_default:
                raise
            plan.study.finish(optuna_trial, None, seconds=attempt.seconds, reason=str(error))

    def _notify(self) -> None:
        search = self.summarize(explain=False)
        if self.request.on_trial is not None:
            self.request.on_trial(search.trials[-1], search)


class _Attempt:
    """A running trial.

    Attributes:
        optuna_trial: Optuna's trial.
        is_first: Whether it is the first trial, which others are compared with and which is never pruned.
    """

    def __init__(self, optuna_trial: Any, seconds_left: float | None, *, is_first: bool) -> None:
        self.optuna_trial = optuna_trial
        self.is_first = is_first
        self._seconds_left = seconds_left
        self._began = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Seconds since the trial began."""
        return time.perf_counter() - self._began

    def report(self, epoch: int, score: float) -> None:
        """Record an epoch's score; raises to end the trial if it should be pruned or time is up."""
        self.optuna_trial.report(score, epoch)
        if not self.is_first and self.optuna_trial.should_prune():
            raise PruneTrial
        if self._seconds_left is not None and self.seconds >= self._seconds_left:
            raise StopTrial
