"""Recognize which columns of a table name the images, their labels and their splits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from distingo.datasets.tables.image_column import (
    LABEL_NAMES,
    SPLIT_NAMES,
    column_key,
    describe_columns,
    is_switch,
    known_label_column,
    recognize_image_column,
)
from distingo.datasets.tables.image_files import ImageFinder
from distingo.datasets.tables.labels import looks_listed, parse_list, recognize_delimiter, split_labels_of
from distingo.datasets.tables.table import Cell, Table, TableOptions, text_of
from distingo.datasets.walking import SPLIT_LABELS
from distingo.errors import DataError, UsageError, option
from distingo.records import SplitName

ShapeKind = Literal["0/1 columns", "lists", "joined", "plain"]

TABLE_SPLITS: dict[str, SplitName] = SPLIT_LABELS | {
    "dev": "validation",
    "eval": "validation",
    "training": "train",
    "testing": "test",
}

_LOOKED_AT = 500

_MOST_LABELS = 1000

_FEW_ROWS = 20


@dataclass(frozen=True, slots=True)
class Shape:
    """How a table assigns labels to images.

    Attributes:
        kind: One 0/1 column per label; a list per row; labels joined by a delimiter; or one label per row.
        image_column: The column that names the images.
        label_columns: One per label for 0/1 columns, else a single one.
        list_column: For 0/1 columns: the column that holds the same labels as text, or None.
        delimiter: For joined labels.
        split_column: The column that names the splits, or None.
        unused: 0/1 columns that are not read as labels, because another column holds the labels.
    """

    kind: ShapeKind
    image_column: str
    label_columns: tuple[str, ...]
    list_column: str | None = None
    delimiter: str | None = None
    split_column: str | None = None
    unused: tuple[str, ...] = ()


def recognize_shape(table: Table, options: TableOptions, images: ImageFinder) -> Shape:
    """Recognize which column has which role.

    Args:
        table: As read.
        options: What the user specified about it.
        images: Finds the files that its cells refer to.

    Returns:
        The roles of the columns.

    Raises:
        DataError: No column is recognized, or the label column appears to be an identifier.
        UsageError: An option names a column that the table does not have.
    """
    for name in (options.image_column, options.label_column, *options.label_columns, options.group_column):
        if name is not None:
            table.column(name)
    image = options.image_column or recognize_image_column(table, options, images)
    label_names = {options.label_column, *options.label_columns}
    other = {image, options.group_column, *label_names}
    split = recognize_split_column(table, [name for name in table.columns if name not in other])
    rest = [name for name in table.columns if name not in {image, split, options.group_column}]
    if image in label_names:
        raise UsageError(
            f"{table.path}: column {image!r} can't name both the pictures and their labels",
            code="options_conflict",
            parameter="image_column",
        )
    if options.label_columns:
        list_column = options.label_column or _twin(table, rest, options.label_columns)
        return Shape("0/1 columns", image, options.label_columns, list_column, split_column=split)
    if options.label_column is not None:
        return _text_shape(table, image, options.label_column, split, options)
    switches = tuple(name for name in rest if column_key(name) not in LABEL_NAMES and is_switch(table.column(name)))
    if len(switches) >= 2:
        list_column = _twin(table, rest, switches)
        if list_column or not (label_column := known_label_column(rest)):
            return Shape("0/1 columns", image, switches, list_column, split_column=split)
        return _text_shape(table, image, label_column, split, options, unused=switches)
    return _text_shape(table, image, _recognize_label_column(table, image, rest), split, options)


def recognize_split_column(table: Table, columns: Sequence[str]) -> str | None:
    """The first column that is named like a split and holds only split names; None if there is none.

    Raises:
        DataError: A column ``split`` has other values among the split names.
    """
    return next((name for name in columns if _is_split(table, name)), None)


def _is_split(table: Table, name: str) -> bool:
    if column_key(name) not in SPLIT_NAMES:
        return False
    values = {text_of(cell).lower() for cell in table.column(name)} - {""}
    unknown = sorted(values - TABLE_SPLITS.keys())
    if name.lower() == "split" and unknown and values & TABLE_SPLITS.keys():
        at = next(at for at, cell in enumerate(table.column(name)) if text_of(cell).lower() == unknown[0])
        raise DataError(
            f"{table.path}: {table.place(table.lines[at])}: {unknown[0]!r} is no split; "
            f"write train, validation or test (or nothing) in column {name!r}",
            code="damaged_line",
        )
    return bool(values) and not unknown


def _recognize_label_column(table: Table, image: str, rest: Sequence[str]) -> str:
    if label_column := known_label_column(rest):
        return label_column
    listed = [name for name in rest if any(looks_listed(cell) for cell in table.column(name))]
    for names in (rest, listed, _groupings(table, rest)):
        if len(names) == 1:
            return names[0]
    found = f"beside {image!r} it has {describe_columns(table, rest)}" if rest else f"it has the column {image!r} only"
    raise DataError(
        f"{table.path}: can't tell which column holds the labels; {found}; "
        f"give {option('label_column')}, or {option('label_columns')} for columns of 0 and 1",
        code="ambiguous_column",
        parameter="label_column",
    )


def _groupings(table: Table, names: Sequence[str]) -> list[str]:
    """The columns whose values repeat, as labels do."""
    counts = {name: len({text_of(cell) for cell in table.column(name)}) for name in names}
    return [name for name in names if 2 <= counts[name] <= min(_MOST_LABELS, len(table.lines) / 2)]


def _twin(table: Table, names: Sequence[str], switches: Sequence[str]) -> str | None:
    """The column that holds the 0/1 columns' labels as text: most of its labels are their names."""
    keys = {switch.casefold() for switch in switches}
    for name in names:
        if name in switches or is_switch(table.column(name)):
            continue
        labels = {label for labels in text_labels(table.column(name)[:_LOOKED_AT]) for label in labels or ()}
        if labels and 2 * sum(label.casefold() in keys for label in labels) > len(labels):
            return name
    return None


def text_labels(cells: Sequence[Cell]) -> list[tuple[str, ...] | None]:
    """The labels of every cell, parsed as a list if it is written like one; None for a damaged list."""
    if any(looks_listed(cell) for cell in cells):
        return [parse_list(cell) if cell else () for cell in cells]
    delimiter = recognize_delimiter([text_of(cell) for cell in cells])
    return [split_labels_of(cell, delimiter) for cell in cells]


def _text_shape(
    table: Table,
    image: str,
    column: str,
    split: str | None,
    options: TableOptions,
    *,
    unused: tuple[str, ...] = (),
) -> Shape:
    cells = table.column(column)
    kind: ShapeKind = "plain"
    delimiter = options.delimiter
    if delimiter is None and any(looks_listed(cell) for cell in cells):
        kind = "lists"
        labels = [parse_list(cell) or () for cell in cells]
    else:
        if delimiter is None:
            delimiter = recognize_delimiter([text_of(cell) for cell in cells])
        kind = "joined" if delimiter else "plain"
        labels = [split_labels_of(cell, delimiter) for cell in cells]
    _check_no_identifier(table, image, column, labels, named=options.label_column == column)
    return Shape(kind, image, (column,), None, delimiter or None, split, unused)


def _check_no_identifier(
    table: Table, image: str, column: str, labels: Sequence[tuple[str, ...]], *, named: bool
) -> None:
    counts = Counter(label for each in labels for label in each)
    nearly_all = 2 * len(counts) > counts.total() >= _FEW_ROWS
    if not nearly_all and (named or len(counts) <= _MOST_LABELS):
        return
    others = [name for name in _groupings(table, table.columns) if name not in {column, image}]
    candidates = f"perhaps the labels are in {' or '.join(others[:5])}; " if others else ""
    raise DataError(
        f"{table.path}: column {column!r} has {len(counts):,} different labels in {len(labels):,} rows; is it an "
        f"identifier? {candidates}name the column of the labels by {option('label_column')}",
        code="unlikely_labels",
        parameter="label_column",
    )
