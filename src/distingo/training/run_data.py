"""The splits of a run, by class and seed or from a split file.

Near-duplicates stay on one split where distingo divides the images, and are counted where a file does.
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
    """Divide a run's images over the three splits.

    Args:
        dataset: All of them.
        recipe: Says the shares and the seed where there is no split file.
        split: The file that says the sides, or None.
        found: The near-duplicates among the images.

    Returns:
        The split; and what became of near-duplicates.

    Raises:
        DataError: A class has too few images, or the split file does not fit them.
        UsageError: The split file's fold is missing or out of range.
    """
    if split is None:
        few = recipe.mode == "frozen"
        cut = split_dataset(dataset, seed=recipe.seed, validation=recipe.validation, test=recipe.test, few=few)
        return keep_together(dataset, cut, found, seed=recipe.seed)
    require_unchanged(split)
    divided = apply_split_file(
        read_split_file(split.file), dataset, fold=split.fold, validation=recipe.validation, seed=recipe.seed
    )
    divided = replace(divided, notes=(note("split-file", file=str(split.file)), *divided.notes))
    return count_straddling(dataset, divided, found)


def check_wishes(split: WantedSplit | None, options: Collection[str]) -> None:
    """Refuse shares that a split file has decided already.

    Args:
        split: The file that is to be honored, or None.
        options: Names of the recipe's fields that the user set.

    Raises:
        UsageError: ``test`` or, without folds, ``validation`` is among them.
    """
    if split is None:
        return
    decided = ("test",) if split.fold is not None else ("test", "validation")
    if said := [option(name) for name in decided if name in options]:
        raise UsageError(
            f"{' and '.join(said)}: {split.file} says who is on which side; leave out one of the two",
            code="options_conflict",
            parameter="split",
        )
