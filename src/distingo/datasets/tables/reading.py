"""Read a table file of any supported kind into cells, including text lists of a path and a label on each line."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from distingo.csv_files import restore_cells
from distingo.datasets.decoding.formats import IMAGE_ENDINGS
from distingo.datasets.tables.headers import table_of_rows
from distingo.datasets.tables.kinds import EXCEL_ENDINGS, read_excel, read_json, read_parquet
from distingo.datasets.tables.table import OTHER_PROGRAMS, READ_ENDINGS, Table, cells_of, cells_of_texts, decode_text
from distingo.errors import DataError
from distingo.files import parse_json

_ENDINGS = "|".join(sorted(re.escape(ending) for ending in IMAGE_ENDINGS))

_QUOTED = r"""(?P<quote>["'])(?P<quoted>.+?)(?P=quote)"""

_LINE = re.compile(rf"\s*(?:{_QUOTED}|(?P<plain>\S.*?(?:{_ENDINGS})))[ \t]+(?P<rest>\S.*)", re.IGNORECASE)

_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")

_SAMPLE_SIZE = 64


def is_list(lines: Sequence[str], *, any_name: bool) -> bool:
    """Whether each line holds a path and a label.

    Args:
        lines: Lines of a text.
        any_name: Also accept names without an image's extension; then each line must hold exactly two words.
    """
    sample = list(islice((line for line in lines if line.strip()), _SAMPLE_SIZE))
    if not sample or any("\t" in line.strip() for line in sample):
        return False  # tabs indicate a table
    body = sample[1:] or sample  # the first line may hold names
    if all(_LINE.fullmatch(line) for line in body):
        return len(sample[0].split()) > 1
    return any_name and all(len(line.split()) == 2 and not set(line) & set(",;|") for line in sample)


def split_list(lines: Sequence[str]) -> list[tuple[int, list[str]]]:
    """Split a list into rows.

    Args:
        lines: Lines for which `is_list` is True.

    Returns:
        The number of each nonempty line, with the path and what follows it: one label, or, if the same number of
        numbers follows every path, each of them.
    """
    rows = [(at, _halves(line)) for at, line in enumerate(lines, 1) if line.strip()]
    words = [row[1].split() if len(row) > 1 else [] for _, row in rows]
    word_count = len(words[-1])
    all_numbers = all(len(each) == word_count and all(map(_NUMBER.fullmatch, each)) for each in words[1:] or words)
    if word_count > 1 and all_numbers and len(words[0]) == word_count:
        return [(at, [row[0], *each]) for (at, row), each in zip(rows, words, strict=True)]
    return rows


def _halves(line: str) -> list[str]:
    match = _LINE.fullmatch(line.rstrip())
    if match is None:
        return line.strip().split(maxsplit=1)
    return [match["quoted"] or match["plain"], match["rest"].rstrip()]


_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}

_TAB_ENDINGS = frozenset({".tsv", ".tab"})

_PLAIN_ENDINGS = frozenset({".txt", ".lst", ".list"})

_SAMPLE = 1_000_000


def read_labels_table(path: Path, *, header: bool | None = None) -> Table:
    """Read a table in any encoding and with any delimiter.

    Args:
        path: ``.csv``, ``.tsv``, ``.tab``, ``.txt``, ``.lst`` or ``.list``; ``.jsonl`` or ``.ndjson``; ``.json``;
            ``.parquet``; ``.xlsx`` or ``.xlsm``.
        header: Whether the first line of a text or a sheet holds the column names; None detects it.

    Returns:
        Its cells as texts; whole numbers without a decimal point, missing values as empty texts.

    Raises:
        DataError: It is empty or damaged (the message names the line), or of an unsupported kind.
        UsageError: It is an Excel workbook, and openpyxl is not installed.
    """
    ending = path.suffix.lower()
    if ending in OTHER_PROGRAMS:
        raise DataError(f"{path}: is {OTHER_PROGRAMS[ending]}", code="wrong_format")
    if ending not in READ_ENDINGS:
        raise DataError(
            f"{path}: is no table; give a file that ends in {', '.join(sorted(READ_ENDINGS))}", code="wrong_format"
        )
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; check the spelling", code="not_found") from error
    except OSError as error:
        raise DataError(f"{path}: can't be opened ({error.strerror})", code="cannot_read") from error
    table = _read(path, data, header=header)
    if not table.lines:
        raise DataError(
            f"{path}: has no row below its line of names, if it is a table; give one with a row for each picture",
            code="empty_file",
        )
    return table


def _read(path: Path, data: bytes, *, header: bool | None) -> Table:
    ending = path.suffix.lower()
    if ending == ".parquet":
        return read_parquet(path, data)
    if ending in EXCEL_ENDINGS:
        return read_excel(path, header=header)
    text, encoding = decode_text(path, data)
    if ending == ".json" and not _are_json_lines(text):
        return read_json(path, text, encoding)
    if ending in {".json", ".jsonl", ".ndjson"}:
        return _read_json_lines(path, text, encoding)
    return _read_csv(path, text, encoding, header=header)


def _are_json_lines(text: str) -> bool:
    """Whether each of the first two lines of a text is an object."""
    lines = [line.strip() for line in text[:_SAMPLE].split("\n") if line.strip()][:2]
    return len(lines) == 2 and all(line[0] == "{" and line[-1] == "}" for line in lines)


def _read_csv(path: Path, text: str, encoding: str, *, header: bool | None) -> Table:
    lines = text[:_SAMPLE].split("\n")
    any_name = path.suffix.lower() in _PLAIN_ENDINGS
    if path.suffix.lower() not in _TAB_ENDINGS and is_list(lines, any_name=any_name):
        rows = split_list(text.split("\n"))
        return table_of_rows(
            path, f"a list of paths and labels, {encoding}", "line", rows, header=header, finish=cells_of_texts
        )
    delimiter = find_column_delimiter(path, text)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True, skipinitialspace=True)
    records, start = [], 1
    try:
        for row in reader:
            if row:
                records.append((start, restore_cells(row)))
            start = reader.line_num + 1
    except csv.Error as error:
        raise DataError(
            f"{path}: line {start}: broken quoting ({error}); close the quote, and write a quote inside quotes twice",
            code="damaged_line",
        ) from error
    if not records:
        raise DataError(
            f"{path}: is empty; give a table with a line of column names and one row per picture", code="empty_file"
        )
    form = f"CSV with {_DELIMITERS[delimiter]}, {encoding}"
    return table_of_rows(path, form, "line", records, header=header, finish=cells_of_texts)


def find_column_delimiter(path: Path, text: str) -> str:
    """The delimiter that splits every record into the same number of fields, preferring the largest number."""
    if path.suffix.lower() in _TAB_ENDINGS:
        return "\t"
    ranks = {}
    for delimiter in _DELIMITERS:
        reader = csv.reader(io.StringIO(text[:_SAMPLE], newline=""), delimiter=delimiter, skipinitialspace=True)
        try:
            widths = [len(row) for row in islice(reader, _SAMPLE_SIZE) if row]
        except csv.Error:
            widths = []
        width = widths[0] if widths else 1
        ranks[delimiter] = (width > 1 and len(set(widths)) == 1, width)
    return max(ranks, key=lambda delimiter: ranks[delimiter])


def json_records(path: Path, lines: Iterable[str], *, example: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Parse the objects of JSON Lines, each with its line number; empty lines are skipped.

    Args:
        path: The file, for error messages.
        lines: Lines of the file.
        example: What a line should look like, for error messages.

    Raises:
        DataError: A line is not a JSON object.
    """
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            record = parse_json(line, strict=False)
        except ValueError as error:
            raise DataError(
                f"{path}: line {number} is no JSON ({error}); write one object per line", code="damaged_line"
            ) from error
        if not isinstance(record, dict):
            raise DataError(f"{path}: line {number} is no JSON object; write {example}", code="damaged_line")
        yield number, record


def _read_json_lines(path: Path, text: str, encoding: str) -> Table:
    numbered = tuple(json_records(path, text.split("\n"), example='{"file_name": ..., "label": ...}'))
    lines, records = [number for number, _ in numbered], [record for _, record in numbered]
    columns = tuple(dict.fromkeys(name for record in records for name in record))
    cells = tuple(cells_of(record.get(name) for record in records) for name in columns)
    return Table(path, f"JSON Lines, {encoding}", "line", columns, cells, tuple(lines))
