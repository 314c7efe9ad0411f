"""Which pictures a run is trained, chosen and judged on: cut by class and seed, or as a split file says.

Near-duplicates stay on one split where distingo divides, and are counted where others did.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from distingo.datasets.split_config import WantedSplit, require_unchanged
from distingo.datasets.split_files import apply_split_file, read_split_file
from distingo.datasets.splitting import split_dataset
from distingo.errors import UsageError
from distingo.near_duplicates.keeping import FoundNearDuplicates, count_straddling, keep_together
from distingo.near_duplicates.records import NearDuplicateCounts
from distingo.records import Dataset, Split
from distingo.training.recipe import Recipe


def divide(
    dataset: Dataset, recipe: Recipe, split: WantedSplit | None, found: FoundNearDuplicates
) -> tuple[Split, NearDuplicateCounts]:
    """Divide a run's pictures over the three sides.

    Args:
        dataset: All of them.
        recipe: Says the shares and the seed where there is no split file.
        split: The file that says the sides, or None.
        found: The near-duplicates among the pictures.

    Returns:
        The split; and what became of near-duplicates.

    Raises:
        DataError: A class has too few pictures, or the split file does not fit them.
        UsageError: The split file's fold is missing or out of range.
    """
    if split is None:
        few = recipe.mode == "frozen"
        cut = split_dataset(dataset, seed=recipe.seed, validation=recipe.validation, test=recipe.test, few=few)
        return keep_together(dataset, cut, found, seed=recipe.seed)
    require_unchanged(split)
    divided = apply_split_file(
        read_split_file(split.path), dataset, fold=split.fold, validation=recipe.validation, seed=recipe.seed
    )
    divided = replace(divided, notes=(f"split: as {split.path} says", *divided.notes))
    return count_straddling(dataset, divided, found)


def check_wishes(split: WantedSplit | None, wishes: dict[str, Any]) -> None:
    """Refuse shares that a split file has decided already.

    Args:
        split: The file that is to be honoured, or None.
        wishes: What the person set of the recipe.

    Raises:
        UsageError: ``test`` or, without folds, ``validation`` is among them.
    """
    if split is None:
        return
    decided = ("test",) if split.fold is not None else ("test", "validation")
    if said := [f"--{name}" for name in decided if name in wishes]:
        raise UsageError(f"{' and '.join(said)}: {split.path} says who is on which side; leave out one of the two")
