"""``history.csv``: metrics of training, one line per epoch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from distingo.csv_files import read_table, write_table
from distingo.errors import RunError


@dataclass(frozen=True, slots=True)
class EpochRecord:
    """One line of ``history.csv``; missing or non-finite values are read as None.

    Attributes:
        epoch: Number of the epoch, counted from 1.
        train_loss: Mean over the epoch's batches, with augmentation, label smoothing and dropout.
        train_accuracy: Mean over the epoch's batches; None for multi-label.
        validation_loss: Cross-entropy of the validated weights, independent of the training loss.
        validation_accuracy: Accuracy on the validation split; None for multi-label.
        learning_rate: Learning rate of the epoch's last step.
        images_per_second: Training images per second, without validation.
        seconds: Duration of the epoch, including validation.
        train_mean_average_precision: Mean over labels, only for multi-label.
        validation_mean_average_precision: Mean over labels that occur in the validation split, only for multi-label.
    """

    epoch: int
    train_loss: float | None
    train_accuracy: float | None
    validation_loss: float | None
    validation_accuracy: float | None
    learning_rate: float | None
    images_per_second: float | None
    seconds: float | None
    train_mean_average_precision: float | None = None
    validation_mean_average_precision: float | None = None


_COLUMNS = (
    "epoch",
    "train_loss",
    "train_accuracy",
    "train_mean_average_precision",
    "validation_loss",
    "validation_accuracy",
    "validation_mean_average_precision",
    "learning_rate",
    "images_per_second",
    "seconds",
)


def write_history(path: Path, history: Sequence[EpochRecord]) -> None:
    """Write all epochs so far atomically; a column without any value is left out.

    Args:
        path: The CSV file.
        history: The epochs, oldest first.
    """
    columns = [name for name in _COLUMNS if any(getattr(record, name) is not None for record in history)]
    rows = ([_rounded(getattr(record, name)) for name in columns] for record in history)
    write_table(path, columns, rows, recorded=True)


def _rounded(value: float | None) -> float | str:
    if value is None:
        return ""
    return value if isinstance(value, int) else f"{value:.6g}"


def read_history(path: Path) -> tuple[EpochRecord, ...]:
    """Read the epochs, oldest first; empty if the file does not exist, as for models without epochs.

    Raises:
        RunError: The file is damaged.
    """
    if not path.exists():
        return ()
    names = [field.name for field in fields(EpochRecord) if field.name != "epoch"]
    epochs = []
    for line, row in read_table(path, ("epoch",)):
        try:
            numbers = {name: _finite(row.get(name, "")) for name in names}
            epochs.append(EpochRecord(epoch=int(row["epoch"]), **numbers))
        except ValueError as error:
            raise RunError(f"{path}: line {line} is damaged ({error})", code="damaged_file") from error
    return tuple(epochs)


def _finite(text: str) -> float | None:
    number = float(text) if text else math.nan
    return number if math.isfinite(number) else None
