"""The splits of a run, by class and seed or from a split file, and the corrections that it is trained under.

Near-duplicates stay on one split where distingo divides the images, and are counted where a file does. The run keeps a
copy of the corrections, so that it can be resumed and evaluated under the same ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from distingo.datasets.corrections import NO_CORRECTIONS, Corrections, find_corrections, write_corrections
from distingo.datasets.run_options import WantedSplit, require_unchanged
from distingo.datasets.splits.files import apply_split_file, read_split_file
from distingo.datasets.splits.splitting import split_dataset
from distingo.errors import DataError, UsageError, option
from distingo.messages.notes import Note, note
from distingo.near_duplicates.keeping import FoundNearDuplicates, count_straddling, keep_together
from distingo.near_duplicates.records import NearDuplicateCounts
from distingo.records import Dataset, Split
from distingo.run_folder import RunFolder
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
        read_split_file(split.path), dataset, fold=split.fold, validation=recipe.validation, seed=recipe.seed
    )
    divided = replace(divided, notes=(note("split-file", file=str(split.path)), *divided.notes))
    return count_straddling(dataset, divided, found)


def check_wishes(split: WantedSplit | None, wishes: Mapping[str, Any]) -> None:
    """Refuse shares that a split file has decided already.

    Args:
        split: The file that is to be honoured, or None.
        wishes: What the user set of the recipe.

    Raises:
        UsageError: ``test`` or, without folds, ``validation`` is among them.
    """
    if split is None:
        return
    decided = ("test",) if split.fold is not None else ("test", "validation")
    if said := [option(name) for name in decided if name in wishes]:
        raise UsageError(
            f"{' and '.join(said)}: {split.path} says who is on which side; leave out one of the two",
            code="options_conflict",
            parameter="split",
        )


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


def corrections_to_config(said: str | Path | None, corrections: Corrections | None) -> dict[str, object]:
    """The section ``corrections`` of ``config.json``; empty where none were said or found."""
    section: dict[str, object] = {}
    if said is not None:
        section["said"] = settle_corrections(said)
    if corrections is not None:
        section["file"] = str(corrections.path.resolve())
        section["changes"] = len(corrections.effective)
        section["fingerprint"] = corrections.fingerprint
    return section


def said_in_config(config: Mapping[str, Any]) -> str | None:
    """What an older run was told about corrections."""
    section = config.get("corrections")
    return section.get("said") if isinstance(section, dict) else None


def describe_change(config: Mapping[str, Any], root: Path, said: str | Path | None) -> tuple[Note, ...]:
    """Note whether the corrections of a data set are other ones now than when a run read them.

    Args:
        config: The run's ``config.json``.
        root: The data set's root.
        said: As for `find_corrections`.

    Returns:
        A note, or none where the same images are relabelled and set aside.
    """
    section = config.get("corrections") or {}
    try:
        now = find_corrections(root, said)
    except DataError as error:
        return (note("corrections-unknown", error=str(error)),)
    before = section.get("fingerprint", Corrections(root, ()).fingerprint)
    if before == (now or Corrections(root, ())).fingerprint:
        return ()
    count = len(now.effective) if now else 0
    return (note("corrections-changed", before=section.get("changes", 0), now=count),)
