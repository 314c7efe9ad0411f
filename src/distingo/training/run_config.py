"""The content of a run's ``config.json``, and the run's splits.

Splits come from class and seed, or from a split file. Near-duplicates are kept in one split if distingo divides the
images, and counted if a split file does.
"""

from __future__ import annotations

import datetime
import os
import platform
from collections.abc import Collection, Sequence
from dataclasses import asdict, fields, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from distingo.datasets.corrections import Corrections
from distingo.datasets.splits.files import apply_split_file, hashed, read_split_file, require_unchanged
from distingo.datasets.splits.splitting import RequestedSplit, split_dataset
from distingo.datasets.tables.table import TableOptions
from distingo.errors import DataError, UsageError, join_faults, option
from distingo.files import content_hash
from distingo.machine.device import choose_device
from distingo.messages.notes import Note, note
from distingo.near_duplicates.keeping import NearDuplicates, count_straddling, keep_together, resolve_similarity
from distingo.records import Dataset, Split
from distingo.runs.config import RunConfig, TableSection, describe_corrections, find_config_faults
from distingo.runs.data import NearDuplicateCounts
from distingo.training.recipe import Recipe, is_auto
from distingo.training.step import resolve_precision
from distingo.version import __version__

if TYPE_CHECKING:
    from distingo.training.request import TrainRequest


def describe_environment(device: torch.device) -> dict[str, str]:
    """Return package versions and facts about the machine, JSON-serializable.

    Args:
        device: Device that the run uses.
    """
    packages = ("numpy", "pillow", "scikit-learn", "safetensors")
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        **{name: version(name) for name in packages},
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "threads": str(torch.get_num_threads()),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
    }


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"


def describe_run(
    request: TrainRequest,
    dataset: Dataset,
    recipe: Recipe,
    choices: Sequence[Note],
    corrections: Corrections | None,
) -> RunConfig:
    """Build the content of ``config.json``, without the identity of the request."""
    device = choose_device(recipe.device)
    precision, reason = resolve_precision(recipe, device)
    choices = [*choices, note("precision", precision=precision, device=device.type, said=reason)]
    data, root = request.data.resolve(), dataset.root.resolve()
    similarity = resolve_similarity(request.near_duplicates)
    reading = request.reading
    options = reading.table or TableOptions()
    table = TableSection(
        **{each.name: getattr(options, each.name) for each in fields(options)},
        allow_missing=reading.allow_missing,
    )
    return RunConfig(
        distingo=__version__,
        data=str(data),
        root=None if root == data else str(root),
        max_pixels=reading.max_pixels,
        value_ranges=dataset.value_ranges.to_json() or None,
        corrections=describe_corrections(reading.corrections, corrections),
        table=None if table == TableSection() else table,
        near_duplicates="none" if similarity is None else similarity,
        split=None if request.split is None else hashed(request.split),
        recipe_file=None if request.recipe_file is None else request.recipe_file.section,
        layout=dataset.layout,
        task=dataset.task,
        classes=dataset.classes,
        recipe=recipe.as_dict(),
        requested={"batch_size": request.options["batch_size"]} if is_auto(request.options) else None,
        choices=tuple(choices),
        environment={**describe_environment(device)},
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    )


def require_readable(config: RunConfig, folder: Path) -> None:
    """Raise an error, before anything is written, if ``config.json`` could not be read again.

    Args:
        config: Config as returned by `describe_run`.
        folder: Folder to write, for the error message.

    Raises:
        DataError: A field is invalid, such as a path that contains a line break; the message has one line per field.
    """
    if faults := find_config_faults(config):
        raise DataError(
            join_faults([f"{folder}: can't be written down ({fault})" for fault in faults], "rename it"),
            code="invalid_name",
        )


def describe_provenance(dataset: Dataset, split: Split, recipe: Recipe) -> dict[str, object]:
    """Return data, seed, versions and date of a model's training."""
    contents = "".join(sorted(image.content for image in split.train))
    return {
        "distingo": __version__,
        "torch": torch.__version__,
        "data": dataset.root.name,
        "layout": asdict(dataset.layout),
        "seed": recipe.seed,
        "train_pictures": len(split.train),
        "validation_pictures": len(split.validation),
        "test_pictures": len(split.test),
        "train_content_hash": content_hash(contents.encode()),
        "trained": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def divide(
    dataset: Dataset, recipe: Recipe, split: RequestedSplit | None, near_duplicates: NearDuplicates
) -> tuple[Split, NearDuplicateCounts]:
    """Divide a run's images into the three splits.

    Args:
        dataset: All images.
        recipe: Recipe with the split fractions and the seed, used without a split file.
        split: The split file, or None.
        near_duplicates: The near-duplicates among the images.

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
        return keep_together(dataset, random_split, near_duplicates, seed=recipe.seed)
    require_unchanged(split)
    file_split = apply_split_file(
        read_split_file(split.file), dataset, fold=split.fold, validation=recipe.validation, seed=recipe.seed
    )
    file_split = replace(file_split, notes=(note("split-file", file=str(split.file)), *file_split.notes))
    return count_straddling(dataset, file_split, near_duplicates)


def check_split_options(split: RequestedSplit | None, options: Collection[str]) -> None:
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
