"""What ``config.json`` records about a run: data, choices, environment, and the provenance of its model."""

from __future__ import annotations

import datetime
import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from distingo.datasets.corrections import Corrections
from distingo.datasets.run_options import split_to_config, table_to_config
from distingo.errors import DataError, join_faults
from distingo.files import content_hash
from distingo.machine.device import choose_device
from distingo.messages.notes import Note, note
from distingo.near_duplicates.keeping import settle_similarity
from distingo.records import Dataset, Split
from distingo.stored_fields import find_config_faults
from distingo.training.recipe import Recipe, is_auto
from distingo.training.recipe_file import recipe_file_to_config
from distingo.training.run_data import corrections_to_config
from distingo.training.step import resolve_precision
from distingo.version import __version__

if TYPE_CHECKING:
    from distingo.training.request import TrainRequest


def describe_environment(device: torch.device) -> dict[str, str]:
    """Versions and machine, ready for JSON.

    Args:
        device: Where the run computes.
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
) -> dict[str, Any]:
    """Everything of ``config.json`` but the format's number."""
    device = choose_device(recipe.device)
    precision, reason = resolve_precision(recipe, device)
    choices = [*choices, note("precision", precision=precision, device=device.type, said=reason)]
    return {
        "distingo": __version__,
        **_data_config(request, dataset, corrections),
        "layout": asdict(dataset.layout),
        "task": dataset.task,
        "classes": list(dataset.classes),
        "recipe": recipe.as_dict(),
        **_requested(request),
        "choices": [asdict(choice) for choice in choices],
        "environment": describe_environment(device),
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def require_readable(described: dict[str, Any], place: Path) -> None:
    """Refuse, before anything is written, what could not be read out of ``config.json`` again.

    Args:
        described: As from `describe_run`, or a plan with the same fields.
        place: The folder that is to be written, for the error.

    Raises:
        DataError: One line for each field, such as a path that holds a line break.
    """
    if faults := find_config_faults(json.loads(json.dumps(described))):
        raise DataError(
            join_faults([f"{place}: can't be written down ({fault})" for fault in faults], "rename it"),
            code="invalid_name",
        )


def _requested(request: TrainRequest) -> dict[str, Any]:
    """What the user typed where the recipe holds the number that was found for it."""
    return {"requested": {"batch_size": request.wishes["batch_size"]}} if is_auto(request.wishes) else {}


def _data_config(request: TrainRequest, dataset: Dataset, corrections: Corrections | None) -> dict[str, Any]:
    """Where and how the images are read, and of a table the folder that file names are relative to."""
    section: dict[str, Any] = {"data": str(request.data.resolve())}
    if dataset.root.resolve() != request.data.resolve():
        section["root"] = str(dataset.root.resolve())
    if request.reading.max_pixels is not None:
        section["max_pixels"] = request.reading.max_pixels
    if dataset.value_ranges.known:
        section["value_ranges"] = dataset.value_ranges.to_json()
    if said := corrections_to_config(request.reading.corrections, corrections):
        section["corrections"] = said
    if table := table_to_config(request.reading.table, allow_missing=request.reading.allow_missing):
        section["table"] = table
    similarity = settle_similarity(request.near_duplicates)
    section["near_duplicates"] = "none" if similarity is None else similarity
    return {**section, **split_to_config(request.split), **recipe_file_to_config(request.recipe_file)}


def describe_provenance(dataset: Dataset, split: Split, recipe: Recipe) -> dict[str, Any]:
    """Data, seed, versions and date that a model is trained with."""
    contents = "".join(sorted(picture.content for picture in split.train))
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
