"""One cell to the labels in it: a list as text, labels with a delimiter between them, or one label."""

from __future__ import annotations

import ast
import json
import re
import unicodedata
from collections.abc import Sequence

from distingo.datasets.tables import Cell

DELIMITER_NAMES = {"|": "'|'", ";": "';'", ",": "commas", " ": "spaces", "\t": "tabs"}
_LONGEST = 100_000


def looks_listed(cell: Cell) -> bool:
    """Whether a cell is a list, or a text that is written like one."""
    if not isinstance(cell, str):
        return True
    text = cell.strip()
    return text[:1] + text[-1:] in {"[]", "()", "{}"} and len(text) > 1


def parse_list(cell: Cell) -> tuple[str, ...] | None:
    """Read a list: of JSON, of Python, as numpy prints it, or without quotes.

    Args:
        cell: For example ``['Comedy', 'Drama']``.

    Returns:
        Its items as texts, or None for what is no list of texts or numbers.
    """
    if not isinstance(cell, str):
        return tidy_labels(cell)
    text = cell.strip()
    if not looks_listed(text) or len(text) > _LONGEST:
        return None
    if re.search(r"""['"]\s+['"]""", text) and "," not in text:
        # numpy writes no commas, and Python would join the neighbours into one
        return tidy_labels([first or second for first, second in re.findall(r"""'([^']*)'|"([^"]*)\"""", text)])
    items = _parse_literal(text)
    if items is None:
        inner = text[1:-1]
        return None if re.search(r"""['"\[\](){}]""", inner) else tidy_labels(inner.split(","))
    if any(isinstance(item, list | tuple | dict | set) for item in items):
        return None
    return tidy_labels([str(item) for item in items if item is not None])


def _parse_literal(text: str) -> list[object] | None:
    for parse in (json.loads, ast.literal_eval):
        try:
            value = parse(text)
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            continue
        if isinstance(value, list | tuple | set):
            return sorted(value, key=str) if isinstance(value, set) else list(value)
    return None


def split_labels_of(cell: Cell, delimiter: str | None) -> tuple[str, ...]:
    """Split a cell at a delimiter (None or empty: it is one label).

    Args:
        cell: A text, or a list of which every item is a label already.
        delimiter: What stands between two labels; a space stands for any white space.

    Returns:
        The labels, sorted, each once.
    """
    if not isinstance(cell, str):
        return tidy_labels(cell)
    if not delimiter:
        return tidy_labels([cell])
    return tidy_labels(cell.split() if delimiter == " " else cell.split(delimiter))


def tidy_labels(labels: Sequence[str]) -> tuple[str, ...]:
    """Strip labels and bring them into one Unicode form; sorted, each once, without empty ones."""
    stripped = (unicodedata.normalize("NFC", label.strip()) for label in labels)
    return tuple(sorted({label for label in stripped if label}))


def recognise_delimiter(cells: Sequence[str]) -> str | None:
    """Find out what stands between the labels of a cell.

    A comma or a space may as well be part of a name (``golf ball``). It counts as a delimiter only where
    splitting at it makes few labels out of many different cells.

    Args:
        cells: A column.

    Returns:
        The delimiter, or None where every cell is one label.
    """
    different = {cell.strip() for cell in cells if cell.strip()}
    for delimiter in ("|", ";", "\t"):
        if any(delimiter in cell for cell in different):
            return delimiter
    commas = {label for cell in different for label in split_labels_of(cell, ",")}
    if any("," in cell for cell in different) and len(commas) <= len(different):
        return ","
    words = {label for cell in different for label in cell.split()}
    if any(" " in cell for cell in different) and 2 * len(words) <= len(different):
        return " "
    return None
