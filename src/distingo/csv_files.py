"""Reading and writing of CSV files whose cells are never evaluated as formulas by a spreadsheet.

Spreadsheets evaluate a cell that begins with ``=``, ``+``, ``-``, ``@``, a tab or a carriage return, and names of files
and classes are untrusted (CWE-1236). Such a text is written with a leading apostrophe, which spreadsheets read as the
mark of a text. A text that already has apostrophes before one of these characters gets one more, so that removing one
always restores the original. Numbers stay unchanged, including numbers written as text.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from distingo.errors import RunError
from distingo.files import require_intact, write_text
from distingo.records import SPLITS, SplitName

_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_ESCAPED = re.compile(r"'+[=+\-@\t\r]")
_END = "\r\n"
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def escape_cell(value: object) -> object:
    """Prefix a text that would begin a formula with an apostrophe; return any other value unchanged."""
    if isinstance(value, str) and _FORMULA.match(value) and not _NUMBER.fullmatch(value):
        return f"'{value}"
    return value


def restore_cell(text: str) -> str:
    """Undo `escape_cell`."""
    return text[1:] if _ESCAPED.match(text) else text


def restore_cells(row: Sequence[str]) -> list[str]:
    """Undo `escape_cell` for all cells of a row."""
    return [restore_cell(cell) for cell in row]


class CsvWriter:
    r"""Writes rows of escaped cells, each ended by ``\n``; all CSV files of distingo are written by it.

    Args:
        file: A text file opened without newline translation.
    """

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self._line = io.StringIO(newline="")
        self._writer = csv.writer(self._line, lineterminator=_END)  # quotes cells that contain either character

    def write(self, row: Iterable[object]) -> None:
        """Write one row."""
        self._writer.writerow([escape_cell(cell) for cell in row])
        self._file.write(self._line.getvalue().removesuffix(_END) + "\n")
        self._line.seek(0)
        self._line.truncate()


def read_split_name(text: str, path: Path, line: int) -> SplitName:
    """Check the name of a split.

    Args:
        text: The cell's text.
        path: The table, for the error message.
        line: The line number, for the error message.

    Raises:
        RunError: The text is not ``train``, ``validation`` or ``test``.
    """
    for split in SPLITS:
        if split == text:
            return split
    raise RunError(f"{path}: line {line}: {text!r} is no split; choose one of {', '.join(SPLITS)}", code="damaged_line")


def join_labels(labels: Sequence[str]) -> str:
    """Join class names with ``|``; a ``|`` or backslash inside a name is escaped with a backslash."""
    return "|".join(re.sub(r"([\\|])", r"\\\1", label) for label in labels)


def split_labels(text: str) -> tuple[str, ...]:
    """Undo `join_labels`; an empty text gives no labels."""
    if not text:
        return ()
    labels = re.findall(r"(?:[^\\|]|\\.)*", text, re.DOTALL)
    # findall also reports the empty match at the end of every name
    names = [label for index, label in enumerate(labels) if label or (index > 0 and not labels[index - 1])]
    return tuple(re.sub(r"\\(.)", r"\1", name, flags=re.DOTALL) for name in names)


def write_table(
    path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]], *, recorded: bool = False
) -> None:
    """Write a UTF-8 CSV file with a header line atomically, with cells as `CsvWriter` writes them.

    Args:
        path: The file to write.
        columns: The header.
        rows: Rows with one cell per column.
        recorded: Whether to record the file's checksum in the folder's ``checksums.json``.

    Raises:
        ResourceError: The file can't be written.
    """
    text = io.StringIO()
    writer = CsvWriter(text)
    for row in (columns, *rows):
        writer.write(row)
    write_text(path, text.getvalue(), recorded=recorded)


def read_table(
    path: Path, columns: Sequence[str], *, renamed: Mapping[str, str] | None = None
) -> Iterator[tuple[int, dict[str, str]]]:
    """Read a CSV file that an earlier command wrote.

    Args:
        path: The file.
        columns: Columns that the header must have.
        renamed: Current names of columns by their names in older versions.

    Yields:
        Line number and cells by column name, row by row.

    Raises:
        RunError: The file is missing, damaged or lacks a column.
    """
    try:
        content = path.read_bytes()
        require_intact(path, content)
        text = content.decode("utf-8-sig")
    except FileNotFoundError as error:
        raise RunError(f"{path}: no such file; is this a finished run folder?", code="not_found") from error
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: damaged or unreadable ({error})", code="damaged_file") from error
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [(renamed or {}).get(name, name) for name in restore_cells(next(reader, []))]
        if missing := [name for name in columns if name not in header]:
            raise RunError(
                f"{path}: has no column {missing[0]!r}; it needs {', '.join(columns)}", code="missing_column"
            )
        for row in reader:
            if len(row) != len(header):
                raise RunError(
                    f"{path}: line {reader.line_num} has {len(row)} fields instead of {len(header)}",
                    code="damaged_line",
                )
            yield reader.line_num, dict(zip(header, restore_cells(row), strict=True))
    except csv.Error as error:
        raise RunError(f"{path}: line {reader.line_num} is damaged ({error})", code="damaged_line") from error
