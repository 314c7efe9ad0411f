"""``history.csv``: one line per epoch."""

from __future__ import annotations

import csv
import io
from dataclasses import asdict
from pathlib import Path

from distingo.files import write_text
from distingo.training.checkpoint import EpochRecord

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


def write_history(path: Path, history: tuple[EpochRecord, ...]) -> None:
    """Write all epochs so far, or nothing; a column that was never measured is left out.

    Args:
        path: The CSV file.
        history: Oldest first.
    """
    rows = [asdict(record) for record in history]
    columns = [name for name in _COLUMNS if any(row[name] is not None for row in rows)]
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: _rounded(value) for name, value in row.items()})
    write_text(path, text.getvalue(), recorded=True)


def _rounded(value: float | None) -> float | str:
    if value is None:
        return ""
    return value if isinstance(value, int) else f"{value:.6g}"
