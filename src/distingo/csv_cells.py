"""Cells of CSV files that people open: none begins a formula in a spreadsheet, and each is read back as it was.

A spreadsheet computes a cell that begins with ``=``, ``+``, ``-``, ``@``, a tab or a carriage return, and the names of
files and classes may come from anybody (CWE-1236). Such a text gets an apostrophe before it, which spreadsheets take
for the mark of a text; one that begins so behind apostrophes gets one more, so that taking one away is the way back.
Numbers stay numbers, also those that are written as texts.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import IO

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
