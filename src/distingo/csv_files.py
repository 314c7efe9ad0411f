"""The CSV files that distingo writes and reads back, and that people open.

No cell begins a formula in a spreadsheet, and each is read back as it was.

A spreadsheet computes a cell that begins with ``=``, ``+``, ``-``, ``@``, a tab or a carriage return, and the names of
files and classes may come from anybody (CWE-1236). Such a text gets an apostrophe before it, which spreadsheets take
for the mark of a text; one that begins so behind apostrophes gets one more, so that taking one away is the way back.
Numbers stay numbers, also those that are written as texts.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
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
    """A cell as it is written: texts that would begin a formula with an apostrophe before them, all else as it is."""
    if isinstance(value, str) and _FORMULA.match(value) and not _NUMBER.fullmatch(value):
        return f"'{value}"
    return value


def restore_cell(text: str) -> str:
    """A cell's text as it was before `escape_cell`."""
    return text[1:] if _ESCAPED.match(text) else text


def restore_cells(row: Sequence[str]) -> list[str]:
    """All cells of a row as they were before `escape_cell`."""
    return [restore_cell(cell) for cell in row]


class CsvWriter:
    r"""Writes rows, each ended by ``\n``; the one place where distingo writes CSV.

    Args:
        file: A text file opened without translation of line ends.
    """

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self._line = io.StringIO(newline="")
        self._writer = csv.writer(self._line, lineterminator=_END)  # quotes cells that hold either of the two

    def write(self, row: Iterable[object]) -> None:
        """Add a row of cells."""
        self._writer.writerow([escape_cell(cell) for cell in row])
        self._file.write(self._line.getvalue().removesuffix(_END) + "\n")
        self._line.seek(0)
        self._line.truncate()


def read_split_name(text: str, path: Path, line: int) -> SplitName:
    """Read the name of a side.

    Raises:
        RunError: It is none.
    """
    for split in SPLITS:
        if split == text:
            return split
    raise RunError(f"{path}: line {line}: {text!r} is no side; choose one of {', '.join(SPLITS)}", code="damaged_line")


def join_labels(labels: Sequence[str]) -> str:
    """Join class names by ``|``; a ``|`` or backslash inside a name gets a backslash before it."""
    return "|".join(re.sub(r"([\\|])", r"\\\1", label) for label in labels)


def split_labels(text: str) -> tuple[str, ...]:
    """Undo `join_labels`."""
    if not text:
        return ()
    labels = re.findall(r"(?:[^\\|]|\\.)*", text, re.DOTALL)
    # findall also reports the empty match at the end of every name
    names = [label for at, label in enumerate(labels) if label or (at > 0 and not labels[at - 1])]
    return tuple(re.sub(r"\\(.)", r"\1", name, flags=re.DOTALL) for name in names)


def write_table(
    path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]], *, recorded: bool = False
) -> None:
    """Write a UTF-8 CSV with a header line, whole or not at all; each cell as `CsvWriter` writes it.

    Args:
        path: Where to.
        columns: The header.
        rows: As many cells each.
        recorded: Whether its checksum goes to the folder's ``checksums.json``.

    Raises:
        ResourceError: It can't be written.
    """
    text = io.StringIO()
    writer = CsvWriter(text)
    for row in (columns, *rows):
        writer.write(row)
    write_text(path, text.getvalue(), recorded=recorded)


def read_table(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Read a CSV of an earlier command, row by row with the number of its line.

    Raises:
        RunError: It is missing, damaged or lacks a column.
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
        header = restore_cells(next(reader, []))
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
