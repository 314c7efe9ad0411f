"""A search for a recipe: heads on frozen features first, then training, by a number of trials or a stretch of time."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from distingo.errors import DistingoError, UsageError
from distingo.models.catalogue import find_model
from distingo.models.machine import prepare_process
from distingo.training.preparing import TrainRequest, resume, start
from distingo.training.recipe import Recipe
from distingo.tuning.folder import SearchFolder, open_search, write_search
from distingo.tuning.material import Material, gather_material
from distingo.tuning.records import Search, Trial
from distingo.tuning.stages import StagePlan, plan_stages
from distingo.tuning.study import require_optuna
from distingo.tuning.summing_up import sum_up
from distingo.tuning.trying import GiveUpTrial, Outcome, StopTrial, place_of, tidy, try_head, try_training

log = logging.getLogger("distingo")

_CHEAP_SHARE = 1 / 3
"""Of the trials and of the time, what heads may take when training follows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TuneRequest:
    """What a person asked for.

    Attributes:
        train: Data, wishes, cache and machine, as for a training; its output is of no account.
        output: The folder of the search.
        trials: How many there are to be, earlier ones in the folder counted; None for no limit.
        seconds: How long they may take together, likewise.
        on_trial: Told every finished trial and the best so far.
    """

    train: TrainRequest
    output: Path
    trials: int | None = None
    seconds: float | None = None
    on_trial: Callable[[Trial, Search], None] | None = None


def tune_run(request: TuneRequest) -> Search:
    """Search until the trials or the time are used up; Ctrl-C ends with what was found.

    Args:
        request: What a person asked for.

    Returns:
        The search; `Search.is_finished` is False where Ctrl-C ended it.

    Raises:
        DistingoError: Of the kind that fits the mistake or hindrance.
        KeyboardInterrupt: Before the first trial was asked for.
    """
    _check(request)
    require_optuna()
    prepare_process()
    with open_search(request.output, _wanted(request.train)) as folder:
        order = replace(request.train, output=folder.prepared.path)
        if folder.prepared.config.is_file():
            kept = replace(order, wishes={}, table=None, corrections=None, split=None, resume=True)
            prepared, order = resume(kept)
        else:
            prepared, order = start(order)
        material = gather_material(prepared, replace(order, resume=False))
        plans = plan_stages(material, request.train.wishes, folder)
        search = _Searcher(request, folder, material, plans)
        search.run()
        return search.found(explain=True)


def _check(request: TuneRequest) -> None:
    if request.trials is None and request.seconds is None:
        raise UsageError("a search needs an end: give --trials 30, --budget 30m, or both")
    if request.trials is not None and request.trials < 2:
        raise UsageError(f"--trials {request.trials}: the first trial is the default recipe; give at least 2")
    if request.seconds is not None and request.seconds <= 0:
        raise UsageError(f"--budget {request.seconds:g}: give a stretch of time such as 30m")
    model = request.train.wishes.get("model")
    if model is not None and find_model(model).kind == "classic":
        raise UsageError(f"--model {model}: its recipe has nothing to search; name a network or a backbone")


def _wanted(train: TrainRequest) -> dict[str, Any]:
    split = train.split
    return {
        "data": str(train.data.resolve()),
        "wishes": train.wishes,
        "split": None if split is None else {"file": str(split.path.resolve()), "fold": split.fold},
        "table": None if train.table is None else list(map(str, train.table.given)),
        "corrections": None if train.corrections is None else str(train.corrections),
    }


@dataclass(slots=True)
class _Searcher:
    request: TuneRequest
    folder: SearchFolder
    material: Material
    plans: tuple[StagePlan, ...]
    is_finished: bool = False

    def run(self) -> None:
        try:
            for place, plan in enumerate(self.plans):
                self._run_stage(plan, followed=place + 1 < len(self.plans))
            self.is_finished = True
        except KeyboardInterrupt:
            log.info("stopped; the trial under way goes on from its last epoch when the same command is given again")

    def found(self, *, explain: bool) -> Search:
        search = sum_up(self.material, self.plans, is_finished=self.is_finished, explain=explain)
        write_search(self.folder, search)
        return search

    def _run_stage(self, plan: StagePlan, *, followed: bool) -> None:
        if followed and self.plans[-1].has_begun:
            return  # what training goes on from is settled
        while not self._is_used_up(followed=followed) or self._owes_default(plan):
            if not self._run_trial(plan):
                return

    def _is_used_up(self, *, followed: bool) -> bool:
        """Whether trials or time are over; of a stage that another follows, its share of them."""
        share = _CHEAP_SHARE if followed else 1.0
        trials, seconds = self.request.trials, self.request.seconds
        done = sum(len(plan.finished) for plan in self.plans)
        return (trials is not None and done >= max(1, int(trials * share))) or (
            seconds is not None and self._spent >= seconds * share
        )

    @property
    def _spent(self) -> float:
        return sum(plan.seconds for plan in self.plans)

    def _owes_default(self, plan: StagePlan) -> bool:
        """The default recipe is tried whatever the time: everything is compared with it."""
        return plan.holds_default and not plan.finished

    def _run_trial(self, plan: StagePlan) -> bool:
        study = plan.study
        asked = study.ask()
        if asked is None:
            return False
        recipe = plan.recipe_of(dict(asked.params), is_default=bool(asked.user_attrs.get("default")))
        place, before, began = place_of(self.folder.epochs, recipe), self._spent, time.perf_counter()

        def spent() -> float:
            return time.perf_counter() - began

        def tell(epoch: int, score: float) -> None:
            asked.report(score, epoch)
            if asked.user_attrs.get("default"):
                return
            if asked.should_prune():
                raise GiveUpTrial
            if self.request.seconds is not None and before + spent() >= self.request.seconds:
                raise StopTrial

        try:
            outcome = self._try(plan, recipe, tell)
            study.finish(asked, outcome.score, seconds=spent(), loss=outcome.loss)
        except GiveUpTrial:
            study.finish(asked, None, seconds=spent())
        except (StopTrial, KeyboardInterrupt) as stop:
            study.put_off(asked, seconds=spent())
            if isinstance(stop, KeyboardInterrupt):
                raise
            return False
        except DistingoError as error:
            study.finish(asked, None, seconds=spent(), reason=str(error))
            if plan.holds_default and asked.user_attrs.get("default"):
                raise
        tidy(place)
        self._announce()
        return True

    def _try(self, plan: StagePlan, recipe: Recipe, tell: Callable[[int, float], None]) -> Outcome:
        if plan.space.stage == "head":
            return try_head(self.material, recipe)
        return try_training(self.material, recipe, place_of(self.folder.epochs, recipe), tell)

    def _announce(self) -> None:
        search = self.found(explain=False)
        if self.request.on_trial is not None:
            self.request.on_trial(search.trials[-1], search)
