"""Read the tables of several splits in the same way, even if their columns have different names."""

from __future__ import annotations

from dataclasses import replace

from distingo.datasets.tables.columns import Shape, recognize_shape
from distingo.datasets.tables.image_column import known_label_column
from distingo.datasets.tables.image_files import ImageFinder
from distingo.datasets.tables.rows import read_rows
from distingo.datasets.tables.table import Table, TableOptions, text_of
from distingo.errors import DataError

_ALIKE = 0.5
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
        if labels and len(labels & first_labels) >= _ALIKE * len(labels):
            columns = own_shape.label_columns
            has_one_column = own_shape.kind != "0/1 columns"
            return replace(
                detected,
                label_column=columns[0] if has_one_column else None,
                label_columns=() if has_one_column else columns,
            )
    image = own_shape.image_column if own_shape else options.image_column
    column = known_label_column([name for name in table.columns if name != image])
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
