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
"""Rows of a Parquet file that are in memory at a time."""


@dataclass(slots=True)
class Columns:
    """Which columns predictions fill, found out as they go by.

    Attributes:
        most_labels: Of any of them.
        given: Whether they are of a model for several labels.
        certainty: Which of ``abstained``, ``prediction_set`` and ``unlike`` any of them has.
    """

    most_labels: int = 0
    given: bool = False
    certainty: frozenset[str] = frozenset()

    def take_in(self, prediction: Prediction) -> None:
        """Count a prediction in."""
        self.most_labels = max(self.most_labels, len(prediction.labels))
        self.given = self.given or prediction.given is not None
        self.certainty |= {name for name in _CERTAINTY if getattr(prediction, name) is not None}

    @property
    def names(self) -> list[str]:
        """In the order in which they are written."""
        ranked = [name for rank in range(1, self.most_labels + 1) for name in _names(rank)]
        sure = [name for name in _CERTAINTY if name in self.certainty]
        return ["file", *(["labels"] if self.given else []), *ranked, *sure, "error"]


def check_table(path: Path) -> None:
    """Refuse an output that can't be written, before any work is done.

    Raises:
        UsageError: The ending is unknown.
        ResourceError: The file exists.
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

    Of a model for several labels per image the column ``labels`` comes after the file: those that reach their
    thresholds, a list, in CSV joined by ``|`` as in ``split.csv``. Where they were requested or the model has them,
    ``abstained``, ``prediction_set`` (a list likewise) and ``unlike`` stand before the error; truth values are
    ``yes`` and ``no`` in CSV.

    Args:
        predictions: With any number of labels each; taken one after another.
        columns: That have taken all of them in.
        path: Ends in ``.csv``, ``.jsonl`` or ``.parquet``; appears when all is written.
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
        name, chance = _names(rank)
        row[name], row[chance] = label, probability
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
