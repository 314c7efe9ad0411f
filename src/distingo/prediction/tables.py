"""Predictions as CSV, JSON Lines or Parquet."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from distingo.datasets.manifest import join_labels
from distingo.errors import ResourceError, UsageError
from distingo.files import write_bytes
from distingo.records import Prediction

ENDINGS = (".csv", ".jsonl", ".parquet")

_CERTAINTY = ("abstained", "prediction_set", "unlike")


def check_table(path: Path) -> None:
    """Refuse an output that can't be written, before any work is done.

    Raises:
        UsageError: The ending is unknown.
        ResourceError: The file exists.
    """
    if path.suffix.lower() not in ENDINGS:
        raise UsageError(f"{path}: ends in {path.suffix or 'nothing'!r}; choose {', '.join(ENDINGS)}")
    if path.exists():
        raise ResourceError(f"{path}: exists already; choose another -o")


def write_table(predictions: Sequence[Prediction], path: Path) -> None:
    """Write one row per picture: file, label, probability, then the next labels, then the error.

    Of a model for several labels per picture the column ``labels`` comes after the file: those that reach their
    thresholds, a list, in CSV joined by ``|`` as in ``split.csv``. Where they were asked for or the model can tell,
    ``abstained``, ``prediction_set`` (a list likewise) and ``unlike`` stand before the error; truth values are
    ``yes`` and ``no`` in CSV.

    Args:
        predictions: With any number of labels each.
        path: Ends in ``.csv``, ``.jsonl`` or ``.parquet``.
    """
    rows = [_as_row(prediction) for prediction in predictions]
    most = max((len(prediction.labels) for prediction in predictions), default=0)
    given = ["labels"] if any(prediction.given is not None for prediction in predictions) else []
    names = ["file", *given, *(name for rank in range(1, most + 1) for name in _names(rank))]
    names += [name for name in _CERTAINTY if any(getattr(prediction, name) is not None for prediction in predictions)]
    names.append("error")
    write_bytes(path, _WRITERS[path.suffix.lower()](rows, names))


def _names(rank: int) -> tuple[str, str]:
    return ("label", "probability") if rank == 1 else (f"label_{rank}", f"probability_{rank}")


def _as_row(prediction: Prediction) -> dict[str, Any]:
    row: dict[str, Any] = {"file": prediction.file}
    if prediction.given is not None:
        row["labels"] = list(prediction.given)
    for rank, (label, probability) in enumerate(zip(prediction.labels, prediction.probabilities, strict=True), 1):
        name, chance = _names(rank)
        row[name], row[chance] = label, probability
    for name in _CERTAINTY:
        value = getattr(prediction, name)
        if value is not None:
            row[name] = list(value) if isinstance(value, tuple) else value
    row["error"] = prediction.error
    return row


def _as_csv(rows: list[dict[str, Any]], names: list[str]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: _as_text(value) for name, value in row.items()})
    return text.getvalue().encode("utf-8")


def _as_text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return join_labels(value)
    return f"{value:.6f}" if isinstance(value, float) else str(value)


def _as_json_lines(rows: list[dict[str, Any]], names: list[str]) -> bytes:
    del names
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode("utf-8")


def _as_parquet(rows: list[dict[str, Any]], names: list[str]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({name: _column([row.get(name) for row in rows], name) for name in names})
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()


def _column(values: list[Any], name: str) -> Any:
    import pyarrow as pa

    if name in {"labels", "prediction_set"}:
        return pa.array(values, pa.list_(pa.string()))
    if name in _CERTAINTY:
        return pa.array(values, pa.bool_())
    return pa.array(values, pa.float32() if name.startswith("probability") else pa.string())


_WRITERS = {".csv": _as_csv, ".jsonl": _as_json_lines, ".parquet": _as_parquet}
