"""Names for classes that a table numbers: ``classes.txt`` and its kin next to it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from distingo.datasets.label_cells import tidy_labels
from distingo.datasets.table_reading import decode_text
from distingo.datasets.table_rows import LabelledRow
from distingo.datasets.tables import NO_CLASS_NAMES, Table, TableOptions
from distingo.errors import DataError, UsageError

_USUAL_NAMES = (
    *("classes.txt", "class_names.txt", "classnames.txt", "labels.txt", "label_list.txt", "label_names.txt"),
    *("names.txt", "categories.txt", "synset.txt", "synsets.txt", "synset_words.txt"),
)
_NUMBER = re.compile(r"[0-9]+")
_NUMBERED = re.compile(r"([0-9]+)\s*[:,;]?\s+(\S.*)")


@dataclass(frozen=True, slots=True)
class ClassNames:
    """The names that a table's numbers stand for.

    Attributes:
        path: The file with the names.
        by_number: The name of every number.
        used: Whether the numbers are replaced.
        first: The lowest number, 0 or 1.
    """

    path: Path
    by_number: dict[str, str]
    used: bool
    first: int = 0


def find_class_names(table: Table, rows: Sequence[LabelledRow], options: TableOptions) -> ClassNames | None:
    """Find the names of classes for a table whose labels are all whole numbers.

    Args:
        table: As read.
        rows: Its labels.
        options: `TableOptions.class_names` names the file. Otherwise it has a usual name and is in the table's
            folder, with one name per class: as many as there are numbers up to the highest, counted from 0, or from 1
            if no label is 0.

    Returns:
        The names; with `ClassNames.used` false where a file of a usual name has another number of names, so that
        nobody knows where it begins to count. None where there is no such file, or labels are no numbers.

    Raises:
        UsageError: The file that is named is not there, or labels are no numbers.
        DataError: It has too few names, or one twice.
    """
    if options.class_names == NO_CLASS_NAMES:
        return None
    labels = {label for row in rows for label in row.labels}
    numbers = {int(label) for label in labels if _NUMBER.fullmatch(label) and str(int(label)) == label}
    whole = bool(labels) and len(numbers) == len(labels)
    if options.class_names is not None:
        return _named_by_option(table, options.class_names, numbers if whole else set())
    return _usual(table, numbers) if whole else None


def _usual(table: Table, numbers: set[int]) -> ClassNames | None:
    for name in _USUAL_NAMES:
        path = table.path.parent / name
        try:
            names = _read_names(path) if path != table.path and path.is_file() else []
        except (DataError, OSError):
            continue
        if len(names) == max(numbers) + 1:
            return _numbered(path, names, 0)
        if 0 not in numbers and len(names) == max(numbers):
            return _numbered(path, names, 1)
        if len(names) > max(numbers):
            return ClassNames(path, {}, used=False)
    return None


def with_class_names(rows: Sequence[LabelledRow], names: ClassNames | None) -> list[LabelledRow]:
    """Put names in place of numbers."""
    if names is None or not names.used:
        return list(rows)
    return [replace(row, labels=tidy_labels([names.by_number[label] for label in row.labels])) for row in rows]


def _named_by_option(table: Table, name: str, numbers: set[int]) -> ClassNames:
    path = next((path for path in (table.path.parent / name, Path(name)) if path.is_file()), None)
    if path is None:
        raise UsageError(f"--class-names {name}: no such file, neither next to {table.path.name} nor here")
    if not numbers:
        raise UsageError(f"--class-names {name}: the labels of {table.path} are no numbers; leave it out")
    names = _read_names(path)
    first = 1 if 0 not in numbers and len(names) == max(numbers) else 0
    if max(numbers) - first >= len(names):
        raise DataError(f"{path}: has {len(names):,} names, but {table.path.name} has label {max(numbers)}; add names")
    return _numbered(path, names, first)


def _numbered(path: Path, names: Sequence[str], first: int) -> ClassNames:
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"{path}: names {twice!r} twice; give every class a name of its own, or --class-names none")
    return ClassNames(path, {str(at): name for at, name in enumerate(names, first)}, used=True, first=first)


def _read_names(path: Path) -> list[str]:
    """One name a line; numbers that count the lines are left away."""
    text, _ = decode_text(path, path.read_bytes())
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    numbered = [_NUMBERED.fullmatch(line) for line in lines]
    counted = [int(match[1]) for match in numbered if match]
    if lines and len(counted) == len(lines) and counted == list(range(counted[0], counted[0] + len(lines))):
        lines = [match[2] for match in numbered if match]
    return [name for line in lines for name in tidy_labels([line])]
