"""Predictions that another command made of pictures its models never saw, taken to doubt labels by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from distingo.checking.labels import OutOfFold, score_out_of_fold
from distingo.datasets.manifest import read_manifest
from distingo.errors import DataError, RunError, UsageError
from distingo.files import read_json, require_intact
from distingo.records import Dataset, Picture


@dataclass(frozen=True, slots=True)
class GivenPredictions:
    """What models say of pictures of a data set that they never saw.

    Attributes:
        pictures: The pictures that it is known of.
        told: What is said of them.
        note: Where it is from and of how many pictures, in words.
    """

    pictures: tuple[Picture, ...]
    told: OutOfFold
    note: str


def read_given_predictions(folder: Path, dataset: Dataset) -> GivenPredictions:
    """Find a data set's pictures among the predictions of a cross-validation, or of a run's test side.

    A picture counts where its file's content is still the same; labels may have been changed since.

    Args:
        folder: Holds ``predictions.parquet`` and ``manifest.csv``.
        dataset: The pictures to check.

    Raises:
        RunError: A file is missing or damaged.
        UsageError: The predictions are of another kind of labels.
        DataError: None of the pictures is among them.
    """
    files, classes, probabilities = _read_table(folder / "predictions.parquet")
    _require_task(folder, dataset)
    contents = {row.file: row.content for row in read_manifest(folder / "manifest.csv")}
    rows = {contents[file]: row for row, file in enumerate(files) if contents.get(file)}
    known = tuple(picture for picture in dataset.pictures if picture.content in rows)
    if not known:
        raise DataError(f"{folder}: none of its {len(files):,} predictions is of a picture of {dataset.root}")
    chosen = probabilities[[rows[picture.content] for picture in known]].astype(np.float64)
    having = np.array([[name in picture.labels for name in classes] for picture in known], bool)
    told = OutOfFold(chosen, classes, score_out_of_fold(chosen, having, dataset.task))
    left = len(dataset.pictures) - len(known)
    words = f"; of {left:,} there is none, so their labels are not doubted" if left else ""
    return GivenPredictions(known, told, f"labels are doubted by the predictions in {folder}{words}")


def _require_task(folder: Path, dataset: Dataset) -> None:
    plans = [folder / name for name in ("plan.json", "config.json") if (folder / name).is_file()]
    task = read_json(plans[0]).get("task", dataset.task) if plans else dataset.task
    if task != dataset.task:
        raise UsageError(f"--predictions {folder}: is {task}, and {dataset.root} is {dataset.task}")


def _read_table(path: Path) -> tuple[Sequence[str], tuple[str, ...], np.ndarray]:
    """Files, classes, and probabilities float32 (n, classes)."""
    import pyarrow as arrow
    from pyarrow import parquet

    if not path.is_file():
        raise RunError(f"{path}: no such file; `distingo crossval DATA -o {path.parent}` makes one")
    try:
        require_intact(path)
        table = parquet.read_table(path, columns=["file", "probabilities"])
        told: Any = table.column("probabilities").combine_chunks()
        classes = tuple(field.name for field in told.type)
        columns = [told.field(at).to_numpy(zero_copy_only=False) for at in range(len(classes))]
        return table.column("file").to_pylist(), classes, np.stack(columns, axis=1)
    except (OSError, KeyError, ValueError, arrow.ArrowException) as error:
        raise RunError(f"{path}: damaged or unreadable ({error}); make it again") from error
