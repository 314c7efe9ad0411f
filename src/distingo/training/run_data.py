"""Which pictures a run is trained, chosen and judged on: cut by class and seed, or as a split file says.

Near-duplicates stay on one split where distingo divides, and are counted where others did.

The corrections that a run was trained under, kept in its folder so that it can be gone on with and judged alike.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from distingo.datasets.corrections import NO_CORRECTIONS, Corrections, find_corrections, write_corrections
from distingo.datasets.splits.files import WantedSplit, apply_split_file, read_split_file, require_unchanged
from distingo.datasets.splits.splitting import split_dataset
from distingo.errors import DataError, UsageError
from distingo.near_duplicates.keeping import FoundNearDuplicates, count_straddling, keep_together
from distingo.records import Dataset, Split
from distingo.runs.config import CorrectionsSection, RunConfig
from distingo.runs.folder import RunFolder
from distingo.runs.near_duplicates import NearDuplicateCounts
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
        read_split_file(split.file), dataset, fold=split.fold, validation=recipe.validation, seed=recipe.seed
    )
    divided = replace(divided, notes=(f"split: as {split.file} says", *divided.notes))
    return count_straddling(dataset, divided, found)


def check_wishes(split: WantedSplit | None, wishes: Collection[str]) -> None:
    """Refuse shares that a split file has decided already.

    Args:
        split: The file that is to be honoured, or None.
        wishes: Names of the recipe's fields that the user set.

    Raises:
        UsageError: ``test`` or, without folds, ``validation`` is among them.
    """
    if split is None:
        return
    decided = ("test",) if split.fold is not None else ("test", "validation")
    if said := [f"--{name}" for name in decided if name in wishes]:
        raise UsageError(f"{' and '.join(said)}: {split.file} says who is on which side; leave out one of the two")


def settle_corrections(said: str | Path | None) -> str | None:
    """Make a table that was named absolute: the working folder is another one tomorrow."""
    return None if said is None else NO_CORRECTIONS if str(said) == NO_CORRECTIONS else str(Path(said).resolve())


def keep_corrections(folder: RunFolder, corrections: Corrections | None) -> None:
    """Write the run's own copy, where corrections change what is trained on.

    Raises:
        ResourceError: It can't be written.
    """
    if corrections is not None and corrections.effective:
        write_corrections(replace(corrections, path=folder.corrections), recorded=True)


def kept_corrections(folder: RunFolder) -> str:
    """What `distingo.datasets.gathering.read_dataset` takes to read the data as the run did."""
    return str(folder.corrections) if folder.corrections.is_file() else NO_CORRECTIONS


def describe_corrections(said: str | Path | None, corrections: Corrections | None) -> CorrectionsSection | None:
    """The section ``corrections`` of ``config.json``; None where none were requested or found."""
    said = settle_corrections(said)
    if corrections is None:
        return None if said is None else CorrectionsSection(said)
    return CorrectionsSection(
        said, str(corrections.path.resolve()), len(corrections.effective), corrections.fingerprint
    )


def describe_change(config: RunConfig, root: Path, said: str | Path | None) -> tuple[str, ...]:
    """Say whether the corrections of a data set are other ones now than when a run read them.

    Args:
        config: The run's.
        root: The data set's root.
        said: As for `find_corrections`.

    Returns:
        A sentence, or none where the same pictures are relabelled and set aside.
    """
    earlier = config.corrections or CorrectionsSection()
    try:
        now = find_corrections(root, said)
    except DataError as error:
        return (f"the corrections can't be compared with those of the earlier run ({error})",)
    none = Corrections(root, ())
    if (earlier.fingerprint or none.fingerprint) == (now or none).fingerprint:
        return ()
    count = len(now.effective) if now else 0
    return (f"the corrections have changed since the earlier run: {earlier.changes or 0} then, {count} now",)
