"""Runs of one recipe with other seeds, and recipes beside each other by all their runs."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from distingo.evaluation.reading import RunRecords
from distingo.metrics.multiple_comparisons import LEVEL
from distingo.metrics.paired_recipes import RecipeDifference, recipe_difference

NamedRun = tuple[str, RunRecords]


@dataclass(frozen=True, slots=True)
class ComparedRecipes:
    """The best recipe beside another, luck in training included.

    Attributes:
        best: Names of the best recipe's runs.
        other: Names of the other's; one of the two has several.
        result: The best one's accuracy first.
        adjusted_p_value: The p-value times the number of pairs of recipes, at most 1 (Bonferroni).
    """

    best: tuple[str, ...]
    other: tuple[str, ...]
    result: RecipeDifference
    adjusted_p_value: float

    @property
    def is_clear(self) -> bool:
        """Whether the recipes differ by more than chance and luck explain."""
        return self.adjusted_p_value < LEVEL


def group_by_recipe(runs: Sequence[NamedRun]) -> tuple[tuple[NamedRun, ...], ...]:
    """Put runs together whose recipes differ in nothing but the seed, and that learned from the same pictures.

    Args:
        runs: Of one comparison.

    Returns:
        One group for each recipe, in the given order.
    """
    groups = defaultdict(list)
    for name, run in runs:
        recipe = {setting: value for setting, value in run.recipe.items() if setting != "seed"}
        groups[json.dumps(recipe, sort_keys=True, default=str), training_files(run)].append((name, run))
    return tuple(tuple(group) for group in groups.values())


def compare_recipes(groups: Sequence[Sequence[NamedRun]]) -> tuple[ComparedRecipes, ...]:
    """Set the recipe that is best on average beside each other one, where either was trained more than once.

    Args:
        groups: As from `group_by_recipe`, of runs with one label per picture that were judged on the same ones.
    """
    files = [row.file for row in groups[0][0][1].predictions]
    right = {_names(group): np.stack([_right(run, files) for _, run in group]) for group in groups}
    ranked = sorted(right, key=lambda names: -right[names].mean())
    pairs = len(ranked) * (len(ranked) - 1) // 2
    found = []
    for names in ranked[1:]:
        if len(names) + len(ranked[0]) > 2:
            result = recipe_difference(right[ranked[0]], right[names])
            found.append(ComparedRecipes(ranked[0], names, result, min(1.0, pairs * result.p_value)))
    return tuple(found)


def training_files(run: RunRecords) -> frozenset[str]:
    """The pictures that a run learned from."""
    return frozenset(row.file for row in run.split if row.side == "train")


def _names(group: Sequence[NamedRun]) -> tuple[str, ...]:
    return tuple(name for name, _ in group)


def _right(run: RunRecords, files: Sequence[str]) -> npt.NDArray[np.bool_]:
    right = {row.file: row.truth == row.predicted for row in run.predictions}
    return np.array([right[file] for file in files], dtype=np.bool_)
