"""The splits of a run, by class and seed or from a split file.

Near-duplicates are kept in one split if distingo divides the images, and counted if a split file does.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from distingo.datasets.splits.files import WantedSplit, apply_split_file, read_split_file, require_unchanged
from distingo.datasets.splits.splitting import split_dataset
from distingo.errors import UsageError, option
from distingo.messages.notes import note
from distingo.near_duplicates.keeping import FoundNearDuplicates, count_straddling, keep_together
from distingo.records import Dataset, Split
from distingo.runs.near_duplicates import NearDuplicateCounts
from distingo.training.recipe import Recipe


def divide(
    dataset: Dataset, recipe: Recipe, split: WantedSplit | None, found: FoundNearDuplicates
) -> tuple[Split, NearDuplicateCounts]:
    """Divide a run's images into the three splits.

    Args:
        dataset: All images.
        recipe: Recipe with the split fractions and the seed, used without a split file.
        split: The split file, or None.
        found: The near-duplicates among the images.

    Returns:
        The split, and the counts of near-duplicates.

    Raises:
        DataError: A class has too few images, or the split file does not fit them.
        UsageError: The split file's fold is missing or out of range.
    """
    if split is None:
        is_frozen = recipe.mode == "frozen"
        random_split = split_dataset(
            dataset, seed=recipe.seed, validation=recipe.validation, test=recipe.test, few=is_frozen
        )
        return keep_together(dataset, random_split, found, seed=recipe.seed)
    require_unchanged(split)
    file_split = apply_split_file(
        read_split_file(split.file), dataset, fold=split.fold, validation=recipe.validation, seed=recipe.seed
    )
    file_split = replace(file_split, notes=(note("split-file", file=str(split.file)), *file_split.notes))
    return count_straddling(dataset, file_split, found)


def check_wishes(split: WantedSplit | None, options: Collection[str]) -> None:
    """Raise an error if split fractions are set that a split file already determines.

    Args:
        split: The split file, or None.
        options: Names of the recipe's fields that the user set.

    Raises:
        UsageError: ``test`` or, without folds, ``validation`` is among them.
    """
    if split is None:
        return
    excluded = ("test",) if split.fold is not None else ("test", "validation")
    if conflicts := [option(name) for name in excluded if name in options]:
        raise UsageError(
            f"{' and '.join(conflicts)}: {split.file} says who is on which split; leave out one of the two",
            code="options_conflict",
            parameter="split",
        )
