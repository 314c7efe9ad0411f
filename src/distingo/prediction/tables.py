"""Predictions as CSV, JSON Lines or Parquet, written row by row."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from distingo.csv_files import CsvWriter, join_labels
from distingo.datasets.walking import display_name
from distingo.errors import ResourceError, UsageError, option
from distingo.files import atomic_writer
from distingo.prediction.networks import chunked
from distingo.records import Prediction

ENDINGS = (".csv", ".jsonl", ".parquet")

_CERTAINTY = ("abstained", "prediction_set", "unlike")
Row = dict[str, object]
"""The cells of a row by the names of their columns."""

_ROW_GROUP = 10_000
"""Rows of a Parquet file that are held in memory at a time."""


@dataclass(slots=True)
class Columns:
    """The columns of a table of predictions, collected one prediction at a time.

    Attributes:
        most_labels: Highest number of labels of a prediction.
        given: Whether the predictions come from a multi-label model.
        certainty: Which of ``abstained``, ``prediction_set`` and ``unlike`` occur.
    """

    most_labels: int = 0
    given: bool = False
    certainty: frozenset[str] = frozenset()

    def take_in(self, prediction: Prediction) -> None:
        """Add the columns of a prediction."""
        self.most_labels = max(self.most_labels, len(prediction.labels))
        self.given = self.given or prediction.given is not None
        self.certainty |= {name for name in _CERTAINTY if getattr(prediction, name) is not None}

    @property
    def names(self) -> list[str]:
        """Column names in the order of the table."""
        ranked = [name for rank in range(1, self.most_labels + 1) for name in _names(rank)]
        certainty_columns = [name for name in _CERTAINTY if name in self.certainty]
        return ["file", *(["labels"] if self.given else []), *ranked, *certainty_columns, "error"]


def check_table(path: Path) -> None:
    """Check that a table can be written to a path, before any work is done.

    Raises:
        UsageError: The file extension is unknown.
        ResourceError: The file already exists.
    """
    if path.suffix.lower() not in ENDINGS:
        raise UsageError(
            f"{path}: ends in {path.suffix or 'nothing'!r}; choose {', '.join(ENDINGS)}",
            code="invalid_file_name",
            parameter="output",
        )
    if os.path.lexists(path):
        raise ResourceError(
            f"{path}: exists already; choose another {option('output')}", code="already_exists", parameter="output"
        )


def write_table(predictions: Sequence[Prediction], path: Path) -> None:
    """Write one row per image; see `write_rows`."""
    columns = Columns()
    for prediction in predictions:
        columns.take_in(prediction)
    write_rows(predictions, columns, path)


def write_rows(predictions: Iterable[Prediction], columns: Columns, path: Path) -> None:
    """Write one row per image: file, label, probability, then the next labels, then the error.

    For a multi-label model, the column ``labels`` follows the file: the list of labels that reach their thresholds,
    joined by ``|`` in CSV as in ``split.csv``. The optional columns ``abstained``, ``prediction_set`` (also a list) and
    ``unlike`` precede the error; booleans are ``yes`` and ``no`` in CSV.

    Args:
        predictions: Predictions with any number of labels each; may be an iterator.
        columns: The columns of all predictions.
        path: Path with the extension ``.csv``, ``.jsonl`` or ``.parquet``; the file appears when it is complete.
    """
    with atomic_writer(path) as file:
        _WRITERS[path.suffix.lower()](map(_as_row, predictions), columns.names, file)


def _names(rank: int) -> tuple[str, str]:
    return ("label", "probability") if rank == 1 else (f"label_{rank}", f"probability_{rank}")


def _as_row(prediction: Prediction) -> Row:
    row: Row = {"file": display_name((prediction.file,))}
    if prediction.given is not None:
        row["labels"] = list(prediction.given)
    for rank, (label, probability) in enumerate(zip(prediction.labels, prediction.probabilities, strict=True), 1):
        name, probability_column = _names(rank)
        row[name], row[probability_column] = label, probability
    for name in _CERTAINTY:
        value = getattr(prediction, name)
        if value is not None:
            row[name] = list(value) if isinstance(value, tuple) else value
    row["error"] = display_name((prediction.error,))
    return row


def _write_csv(rows: Iterator[Row], names: list[str], file: IO[bytes]) -> None:
    text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=False)
    writer = CsvWriter(text)
    writer.write(names)
    for row in rows:
        writer.write(_as_text(row[name]) if name in row else "" for name in names)
    text.detach()


def _as_text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return join_labels(value)
    return f"{value:.6f}" if isinstance(value, float) else str(value)


def _write_json_lines(rows: Iterator[Row], names: list[str], file: IO[bytes]) -> None:
    del names
    for row in rows:
        file.write((json.dumps(row, ensure_ascii=False) + "\n").encode("utf-8"))


def _write_parquet(rows: Iterator[Row], names: list[str], file: IO[bytes]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([(name, _type_of(name)) for name in names])
    with pq.ParquetWriter(file, schema) as writer:
        for group in chunked(rows, _ROW_GROUP):
            writer.write_table(pa.Table.from_pylist(group, schema))


def _type_of(name: str) -> Any:
    import pyarrow as pa

    if name in {"labels", "prediction_set"}:
        return pa.list_(pa.string())
    if name in _CERTAINTY:
        return pa.bool_()
    return pa.float32() if name.startswith("probability") else pa.string()


_WRITERS = {".csv": _write_csv, ".jsonl": _write_json_lines, ".parquet": _write_parquet}
