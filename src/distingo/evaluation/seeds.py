"""Runs of one recipe with other seeds: what sets them apart is luck in training."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence

from distingo.evaluation.reading import RunRecords


def group_by_recipe(runs: Sequence[RunRecords]) -> tuple[tuple[int, ...], ...]:
    """Find runs whose recipes differ in nothing but the seed, and whose training pictures are the same.

    Args:
        runs: Of one comparison.

    Returns:
        The places of the runs of each such group, in the given order; only groups of two and more.
    """
    groups = defaultdict(list)
    for place, run in enumerate(runs):
        recipe = {name: value for name, value in run.recipe.items() if name != "seed"}
        groups[json.dumps(recipe, sort_keys=True, default=str), training_files(run)].append(place)
    return tuple(tuple(places) for places in groups.values() if len(places) > 1)


def training_files(run: RunRecords) -> frozenset[str]:
    """The pictures that a run learned from."""
    return frozenset(row.file for row in run.split if row.side == "train")
