"""Extract the labels of each row of a table, and names for numbered classes from ``classes.txt`` and similar.

Tables of several splits are read in the same way, even if their columns have different names.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from distingo.datasets.tables.columns import TABLE_SPLITS, recognize_shape, text_labels
from distingo.datasets.tables.headers import NO, SPARSE_NO, YES, find_label_column
from distingo.datasets.tables.image_files import ImageFinder
from distingo.datasets.tables.labels import find_variants, merged_labels, parse_list, split_labels_of, tidy_labels
from distingo.datasets.tables.table import (
    NO_CLASS_NAMES,
    Cell,
    ClassNames,
    MergeLabels,
    Shape,
    Table,
    TableOptions,
    decode_text,
    text_of,
)
from distingo.errors import DataError, UsageError, option
from distingo.messages.notes import Note, note
from distingo.records import LabelVariants, SplitName


@dataclass(frozen=True, slots=True)
class LabeledRow:
    """One row of a table.

    Attributes:
        line: Line or row number at which it begins.
        name: The image's name as written; may be empty.
        labels: Sorted, without duplicates.
        split: The image's split, or None.
        problem: Why its labels are unknown; None if they are known.
    """

    line: int
    name: str
    labels: tuple[str, ...]
    split: SplitName | None
    problem: Note | None = None


def read_rows(table: Table, shape: Shape) -> list[LabeledRow]:
    """Read every row.

    Args:
        table: As read.
        shape: As recognized.

    Returns:
        One entry per row, in the table's order.

    Raises:
        DataError: A list is damaged; the message names the line.
    """
    if shape.kind == "0/1 columns":
        labels, problems = _read_switches(table, shape.label_columns)
    else:
        labels, problems = _read_texts(table, shape), [None] * len(table.lines)
    splits: Sequence[Cell] = table.column(shape.split_column) if shape.split_column else [""] * len(table.lines)
    names = table.column(shape.image_column)
    return [
        LabeledRow(line, text_of(name), row_labels, TABLE_SPLITS.get(text_of(split).lower()), problem)
        for line, name, row_labels, split, problem in zip(table.lines, names, labels, splits, problems, strict=True)
    ]


def merge_variants(
    rows: Sequence[LabeledRow], merge: MergeLabels | None
) -> tuple[list[LabeledRow], tuple[LabelVariants, ...]]:
    """Find labels that differ only in spelling, and merge them if requested.

    Args:
        rows: As read.
        merge: As for `TableOptions.merge_labels`.

    Returns:
        The rows, and the variants that were found before merging.
    """
    counts = Counter(label for row in rows for label in row.labels)
    variants = find_variants(counts)
    replacements = merged_labels(variants, merge)
    if not replacements:
        return list(rows), variants
    return [
        row
        if replacements.keys().isdisjoint(row.labels)
        else replace(row, labels=tidy_labels([replacements.get(label, label) for label in row.labels]))
        for row in rows
    ], variants


def find_disagreements(table: Table, shape: Shape, rows: Sequence[LabeledRow]) -> list[int]:
    """The lines where the 0/1 columns and the text column differ about a label that both have."""
    if shape.list_column is None:
        return []
    column_labels = set(tidy_labels(shape.label_columns))
    texts = text_labels(table.column(shape.list_column))
    return [
        row.line
        for row, labels in zip(rows, texts, strict=True)
        if not row.problem and set(row.labels) != column_labels.intersection(labels or ())
    ]


def _read_texts(table: Table, shape: Shape) -> list[tuple[str, ...]]:
    cells = table.column(shape.label_columns[0])
    if shape.kind != "lists":
        return [split_labels_of(cell, shape.delimiter) for cell in cells]
    labels = []
    for line, cell in zip(table.lines, cells, strict=True):
        items = parse_list(cell) if cell else ()
        if items is None:
            raise DataError(
                f"{table.path}: {table.place(line)}: {text_of(cell)[:60]!r} in column {shape.label_columns[0]!r} is no "
                f"list; write it like ['Comedy', 'Drama']",
                code="damaged_line",
            )
        labels.append(items)
    return labels


def _read_switches(table: Table, columns: Sequence[str]) -> tuple[list[tuple[str, ...]], list[Note | None]]:
    """The labels of every row, and the reason if they are unknown."""
    labels: list[list[str]] = [[] for _ in table.lines]
    problems: list[Note | None] = [None] * len(table.lines)
    for column in columns:
        cells = table.column(column)
        texts = {cell: text_of(cell).lower() for cell in set(cells)}
        values = [texts[cell] for cell in cells]
        no_values = NO if any(value in NO for value in values) else NO | SPARSE_NO
        for row, value in enumerate(values):
            if value in YES:
                labels[row].append(column)
            elif value not in no_values and not problems[row]:
                place = table.place(table.lines[row])
                problems[row] = note("neither-0-nor-1", said_place=place, value=value, column=column)
    return [tidy_labels(each) for each in labels], problems


_USUAL_NAMES = (
    *("classes.txt", "class_names.txt", "classnames.txt", "labels.txt", "label_list.txt", "label_names.txt"),
    *("names.txt", "categories.txt", "synset.txt", "synsets.txt", "synset_words.txt"),
)

_NUMBER = re.compile(r"[0-9]+")

_NUMBERED = re.compile(r"([0-9]+)\s*[:,;]?\s+(\S.*)")


def find_class_names(table: Table, rows: Sequence[LabeledRow], options: TableOptions) -> ClassNames | None:
    """Find the names of classes for a table whose labels are all whole numbers.

    Args:
        table: As read.
        rows: Its labels.
        options: `TableOptions.class_names` names the file. Otherwise a file with a common name in the table's folder is
            used, with one name per class: as many as there are numbers up to the highest, counted from 0, or from 1 if
            no label is 0.

    Returns:
        The names, with `ClassNames.used` False if a file with a common name has another number of names, so that it is
        unclear where counting starts. None if there is no such file, or labels are not numbers.

    Raises:
        UsageError: The named file does not exist, or labels are not numbers.
        DataError: It has too few names, or duplicates.
    """
    if options.class_names == NO_CLASS_NAMES:
        return None
    labels = {label for row in rows for label in row.labels}
    numbers = {int(label) for label in labels if _NUMBER.fullmatch(label) and str(int(label)) == label}
    all_numbers = bool(labels) and len(numbers) == len(labels)
    if options.class_names is not None:
        return _named_by_option(table, options.class_names, numbers if all_numbers else set())
    return _usual(table, numbers) if all_numbers else None


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


def with_class_names(rows: Sequence[LabeledRow], names: ClassNames | None) -> list[LabeledRow]:
    """Replace numbers by class names."""
    if names is None or not names.used:
        return list(rows)
    return [replace(row, labels=tidy_labels([names.by_number[label] for label in row.labels])) for row in rows]


def _named_by_option(table: Table, name: str, numbers: set[int]) -> ClassNames:
    path = next((path for path in (table.path.parent / name, Path(name)) if path.is_file()), None)
    if path is None:
        raise UsageError(
            f"{option('class_names')} {name}: no such file, neither next to {table.path.name} nor here",
            code="not_found",
            parameter="class_names",
        )
    if not numbers:
        raise UsageError(
            f"{option('class_names')} {name}: the labels of {table.path} are no numbers; leave it out",
            code="option_not_applicable",
            parameter="class_names",
        )
    names = _read_names(path)
    first = 1 if 0 not in numbers and len(names) == max(numbers) else 0
    if max(numbers) - first >= len(names):
        raise DataError(
            f"{path}: has {len(names):,} names, but {table.path.name} has label {max(numbers)}; add names",
            code="too_few_names",
            parameter="class_names",
        )
    return _numbered(path, names, first)


def _numbered(path: Path, names: Sequence[str], first: int) -> ClassNames:
    if len(set(names)) < len(names):
        repeated = next(name for name in names if names.count(name) > 1)
        raise DataError(
            f"{path}: names {repeated!r} twice; give every class a name of its own, or {option('class_names', 'none')}",
            code="duplicate_entry",
            parameter="class_names",
        )
    return ClassNames(path, {str(at): name for at, name in enumerate(names, first)}, used=True, first=first)


def _read_names(path: Path) -> list[str]:
    """Read one name per line; line numbers are removed."""
    text, _ = decode_text(path, path.read_bytes())
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    numbered = [_NUMBERED.fullmatch(line) for line in lines]
    line_numbers = [int(match[1]) for match in numbered if match]
    if (
        lines
        and len(line_numbers) == len(lines)
        and line_numbers == list(range(line_numbers[0], line_numbers[0] + len(lines)))
    ):
        lines = [match[2] for match in numbered if match]
    return [name for line in lines for name in tidy_labels([line])]


_MIN_SHARED = 0.5
"""For a column to count as one of labels, at least this share of its labels must occur in the other table."""


def options_like(
    first: Table, shape: Shape, table: Table, images: ImageFinder, options: TableOptions
) -> TableOptions | None:
    """Options for reading one split's table like another split's.

    Args:
        first: The table whose columns were recognized.
        shape: The shape of `first`.
        table: The table of another split.
        images: Finds the files that names in `table` refer to.
        options: What the user specified about the tables.

    Returns:
        The options; None if `table` has no labels, as is common for test splits.

    Raises:
        DataError: The table has a column that is named like labels, but with another name and other labels than
            `first`.
    """
    group = options.group_column if options.group_column in table.columns else None
    adapted = replace(options, group_column=group)
    if shape.kind == "0/1 columns" and set(shape.label_columns) <= set(table.columns):
        adapted = replace(adapted, label_columns=shape.label_columns, label_column=None)
        return adapted if _are_filled(table, shape.label_columns) else None
    if shape.kind != "0/1 columns" and shape.label_columns[0] in table.columns:
        delimiter = "" if shape.kind == "plain" else shape.delimiter
        adapted = replace(adapted, label_column=shape.label_columns[0], delimiter=delimiter)
        return adapted if _are_filled(table, shape.label_columns) else None
    return _options_of_its_own(first, shape, table, images, adapted)


def _options_of_its_own(
    first: Table, shape: Shape, table: Table, images: ImageFinder, options: TableOptions
) -> TableOptions | None:
    """Read a table by its own label columns, if they hold labels of the other table."""
    detected = replace(options, label_column=None, label_columns=())
    if shape.kind == "plain":
        detected = replace(detected, delimiter="")
    own_shape = _shape_of(table, detected, images)
    first_labels = _labels(first, shape)
    if own_shape is not None:
        labels = _labels(table, own_shape)
        if labels and len(labels & first_labels) >= _MIN_SHARED * len(labels):
            columns = own_shape.label_columns
            has_one_column = own_shape.kind != "0/1 columns"
            return replace(
                detected,
                label_column=columns[0] if has_one_column else None,
                label_columns=() if has_one_column else columns,
            )
    image = own_shape.image_column if own_shape else options.image_column
    column = find_label_column([name for name in table.columns if name != image])
    if column is None or not _are_filled(table, (column,)):
        return None
    names = shape.label_columns
    expected = f"column {names[0]!r}" if len(names) == 1 else f"{len(names)} columns from {names[0]!r} to {names[-1]!r}"
    raise DataError(
        f"{table.path}: its column {column!r} may hold labels, but not those of {expected} of {first.path}; give these "
        f"columns the same name, or clear the one that holds no labels",
        code="ambiguous_column",
    )


def _shape_of(table: Table, options: TableOptions, images: ImageFinder) -> Shape | None:
    try:
        return recognize_shape(table, options, images)
    except DataError:
        return None  # no column that may hold labels


def _labels(table: Table, shape: Shape) -> set[str]:
    return {label for row in read_rows(table, shape) for label in row.labels}


def _are_filled(table: Table, columns: tuple[str, ...]) -> bool:
    return any(text_of(cell) for name in columns for cell in table.column(name))
