"""``history.csv``: one line per epoch."""

from __future__ import annotations

import csv
import io
from dataclasses import asdict, fields
from pathlib import Path

from distingo.files import write_text
from distingo.training.checkpoint import EpochRecord


def write_history(path: Path, history: tuple[EpochRecord, ...]) -> None:
    """Write all epochs so far, or nothing.

    Args:
        path: The CSV file.
        history: Oldest first.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(EpochRecord)], lineterminator="\n")
    writer.writeheader()
    for record in history:
        writer.writerow({name: _rounded(value) for name, value in asdict(record).items()})
    write_text(path, text.getvalue())


def _rounded(value: float) -> float | str:
    return value if isinstance(value, int) else f"{value:.6g}"
