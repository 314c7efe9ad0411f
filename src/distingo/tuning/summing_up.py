"""The trials of all stages to one record: what was best, by how much, and what mattered."""

from __future__ import annotations

from collections.abc import Sequence

from distingo.tuning.material import Material
from distingo.tuning.records import Search, Stage, Trial, choose_best, find_tied
from distingo.tuning.stages import StagePlan


def sum_up(material: Material, plans: Sequence[StagePlan], *, is_finished: bool, explain: bool) -> Search:
    """All that a search has found so far.

    Args:
        material: The pictures and the default recipe.
        plans: Its stages.
        is_finished: Whether it came to its end.
        explain: Whether to find out how much each field mattered, which takes seconds.
    """
    prepared = material.prepared
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
        test=material.left_alone,
        stages=stages,
        default=prepared.recipe.as_dict(),
        best=None if best is None else _recipe(best, plans),
        best_trial=best,
        is_finished=is_finished,
        tied=find_tied(counted),
    )


def _recipe(best: Trial, plans: Sequence[StagePlan]) -> dict[str, object]:
    plan = next(plan for plan in plans if plan.space.stage == best.stage)
    return plan.recipe_of(best.values, is_default=best.is_default).as_dict()
