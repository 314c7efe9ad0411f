"""The bytes of a table to its cells: CSV and its kin, JSON Lines, Parquet."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from distingo.datasets.tables import FILE_ENDINGS, Cell, Table
from distingo.errors import DataError

# UTF-32's mark begins with UTF-16's and is therefore asked for first.
_MARKS = (
    (b"\xff\xfe\x00\x00", "utf-32", "UTF-32"),
    (b"\x00\x00\xfe\xff", "utf-32", "UTF-32"),
    (b"\xef\xbb\xbf", "utf-8-sig", "UTF-8 with byte order mark"),
    (b"\xff\xfe", "utf-16", "UTF-16"),
    (b"\xfe\xff", "utf-16", "UTF-16"),
)
_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
_LOOKED_AT = 64
_SAMPLE = 1_000_000


def read_labels_table(path: Path) -> Table:
    """Read a table, whatever its encoding and delimiter.

    Args:
        path: ``.csv``, ``.tsv``, ``.tab`` or ``.txt`` with a line of names at the top; ``.jsonl`` or ``.ndjson``;
            ``.parquet``.

    Returns:
        Its cells as texts; whole numbers without a decimal point, nothing as an empty text.

    Raises:
        DataError: It is empty or damaged; the line is named.
    """
    ending = path.suffix.lower()
    if ending not in FILE_ENDINGS:
        raise DataError(f"{path}: is no table; give a file that ends in {', '.join(sorted(FILE_ENDINGS))}")
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; check the spelling") from error
    except OSError as error:
        raise DataError(f"{path}: can't be opened ({error.strerror})") from error
    if ending == ".parquet":
        table = _read_parquet(path, data)
    else:
        text, encoding = decode_text(path, data)
        table = (_read_json_lines if ending in {".jsonl", ".ndjson"} else _read_csv)(path, text, encoding)
    if not table.lines:
        raise DataError(
            f"{path}: has no row below its line of names, if it is a table; give one with a row for each picture"
        )
    return table


def decode_text(path: Path, data: bytes) -> tuple[str, str]:
    """The text of a table and the name of its encoding: UTF-8, what a byte order mark says, or Western European.

    Raises:
        DataError: It does not fit its byte order mark, or holds a NUL byte.
    """
    for mark, codec, name in _MARKS:
        if data.startswith(mark):
            try:
                return _without_nul(path, data.decode(codec)), name
            except UnicodeDecodeError as error:
                raise DataError(f"{path}: begins as {name}, but byte {error.start} does not fit; save it again") from (
                    error
                )
    try:
        return _without_nul(path, data.decode("utf-8")), "UTF-8"
    except UnicodeDecodeError:
        pass
    # Latin-1 has no printable characters from 80 to 9F, where Windows has its curly quotes and the euro.
    if any(0x80 <= byte <= 0x9F for byte in set(data)):
        try:
            return _without_nul(path, data.decode("cp1252")), "Windows-1252"
        except UnicodeDecodeError:
            pass
    return _without_nul(path, data.decode("latin-1")), "Latin-1"


def _without_nul(path: Path, text: str) -> str:
    at = text.find("\0")
    if at >= 0:
        line = text.count("\n", 0, at) + 1
        raise DataError(f"{path}: line {line} holds a NUL byte; it is no text, or UTF-16 without a byte order mark")
    return text


def _read_csv(path: Path, text: str, encoding: str) -> Table:
    delimiter = find_column_delimiter(path, text)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True, skipinitialspace=True)
    lines, rows, start = [], [], 1
    try:
        for row in reader:
            if row:
                lines.append(start)
                rows.append(row)
            start = reader.line_num + 1
    except csv.Error as error:
        raise DataError(
            f"{path}: line {start}: broken quoting ({error}); close the quote, and write a quote inside quotes twice"
        ) from error
    if not rows:
        raise DataError(f"{path}: is empty; give a table with a line of column names and one row per picture")
    columns = _column_names(path, rows[0])
    for line, row in zip(lines, rows, strict=True):
        if len(row) != len(columns):
            raise DataError(
                f"{path}: line {line} has {len(row)} fields instead of {len(columns)}; "
                f"put quotes around a field that holds {delimiter!r}"
            )
    cells = tuple(zip(*rows[1:], strict=True)) or tuple(() for _ in columns)
    return Table(path, f"CSV with {_DELIMITERS[delimiter]}, {encoding}", "line", columns, cells, tuple(lines[1:]))


def find_column_delimiter(path: Path, text: str) -> str:
    """The delimiter that gives every record of a text the same number of fields, the more the better."""
    if path.suffix.lower() in {".tsv", ".tab"}:
        return "\t"
    ranks = {}
    for delimiter in _DELIMITERS:
        reader = csv.reader(io.StringIO(text[:_SAMPLE], newline=""), delimiter=delimiter, skipinitialspace=True)
        try:
            widths = [len(row) for row in islice(reader, _LOOKED_AT) if row]
        except csv.Error:
            widths = []
        width = widths[0] if widths else 1
        ranks[delimiter] = (width > 1 and len(set(widths)) == 1, width)
    return max(ranks, key=lambda delimiter: ranks[delimiter])


def _column_names(path: Path, names: Sequence[str]) -> tuple[str, ...]:
    # pandas leaves the name of its index empty
    columns = tuple(name.strip() or f"column {at}" for at, name in enumerate(names, 1))
    for name in columns:
        if columns.count(name) > 1:
            raise DataError(f"{path}: two columns are called {name!r}; rename one of them")
    return columns


def json_records(path: Path, lines: Iterable[str], *, example: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of JSON lines, each with the number of its line; empty lines are passed over.

    Args:
        path: Of the file, for errors.
        lines: As they come.
        example: What a line should look like, for errors.

    Raises:
        DataError: A line is no JSON object.
    """
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}: line {number} is no JSON ({error}); write one object per line") from error
        if not isinstance(record, dict):
            raise DataError(f"{path}: line {number} is no JSON object; write {example}")
        yield number, record


def _read_json_lines(path: Path, text: str, encoding: str) -> Table:
    numbered = tuple(json_records(path, text.split("\n"), example='{"file_name": ..., "label": ...}'))
    lines, records = [number for number, _ in numbered], [record for _, record in numbered]
    columns = tuple(dict.fromkeys(name for record in records for name in record))
    cells = tuple(_cells(record.get(name) for record in records) for name in columns)
    return Table(path, f"JSON Lines, {encoding}", "line", columns, cells, tuple(lines))


def _read_parquet(path: Path, data: bytes) -> Table:
    import pyarrow
    from pyarrow import parquet, types

    try:
        content = parquet.read_table(pyarrow.BufferReader(data))
    except (pyarrow.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{path}: is no readable Parquet file ({reason}); write it again") from error
    # Embedded pictures and other nested values are no labels.
    plain = [
        field.name
        for field in content.schema
        if not (types.is_struct(field.type) or types.is_map(field.type) or types.is_binary(field.type))
    ]
    columns = _column_names(path, plain)
    cells = tuple(_cells(content.column(name).to_pylist()) for name in plain)
    return Table(path, "Parquet", "row", columns, cells, tuple(range(1, content.num_rows + 1)))


def _cells(values: Iterable[Any]) -> tuple[Cell, ...]:
    return tuple(
        tuple(_text(item) for item in value) if isinstance(value, list | tuple) else _text(value) for value in values
    )


def _text(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
