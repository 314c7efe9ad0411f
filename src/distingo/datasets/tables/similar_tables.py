"""The tables of several splits: how one is read like another, whose columns may bear other names."""

from __future__ import annotations

from dataclasses import replace

from distingo.datasets.tables.columns import Shape, recognize_shape
from distingo.datasets.tables.image_column import known_label_column
from distingo.datasets.tables.image_files import ImageFinder
from distingo.datasets.tables.rows import read_rows
from distingo.datasets.tables.table import Table, TableOptions, text_of
from distingo.errors import DataError

_ALIKE = 0.5
"""This share of a table's labels must be known from the other for its columns to be those of labels."""


def options_like(
    first: Table, shape: Shape, table: Table, images: ImageFinder, options: TableOptions
) -> TableOptions | None:
    """Options that make one split's table be read as another split's was.

    Args:
        first: The table that was recognized.
        shape: Of `first`.
        table: Of another split.
        images: What the names in `table` may mean.
        options: What a person says about the tables.

    Returns:
        The options; None where `table` has no labels, as those of many test splits.

    Raises:
        DataError: The table has a column of labels by its name, but of another name and with other labels.
    """
    group = options.group_column if options.group_column in table.columns else None
    settled = replace(options, group_column=group)
    if shape.kind == "0/1 columns" and set(shape.label_columns) <= set(table.columns):
        settled = replace(settled, label_columns=shape.label_columns, label_column=None)
        return settled if _are_filled(table, shape.label_columns) else None
    if shape.kind != "0/1 columns" and shape.label_columns[0] in table.columns:
        joined = "" if shape.kind == "plain" else shape.delimiter
        settled = replace(settled, label_column=shape.label_columns[0], delimiter=joined)
        return settled if _are_filled(table, shape.label_columns) else None
    return _options_of_its_own(first, shape, table, images, settled)


def _options_of_its_own(
    first: Table, shape: Shape, table: Table, images: ImageFinder, options: TableOptions
) -> TableOptions | None:
    """Read a table by its own columns of labels, if they hold labels of the other one."""
    plain = replace(options, label_column=None, label_columns=())
    if shape.kind == "plain":
        plain = replace(plain, delimiter="")
    own = _shape_of(table, plain, images)
    known = _labels(first, shape)
    if own is not None:
        labels = _labels(table, own)
        if labels and len(labels & known) >= _ALIKE * len(labels):
            columns = own.label_columns
            one = own.kind != "0/1 columns"
            return replace(plain, label_column=columns[0] if one else None, label_columns=() if one else columns)
    image = own.image_column if own else options.image_column
    column = known_label_column([name for name in table.columns if name != image])
    if column is None or not _are_filled(table, (column,)):
        return None
    names = shape.label_columns
    shown = f"column {names[0]!r}" if len(names) == 1 else f"{len(names)} columns from {names[0]!r} to {names[-1]!r}"
    raise DataError(
        f"{table.path}: its column {column!r} may hold labels, but not those of {shown} of {first.path}; give these "
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
