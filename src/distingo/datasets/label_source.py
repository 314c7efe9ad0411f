"""Whether labels come from class folders or from the table beside them, where there are both."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from distingo.datasets.known_columns import known_label_column
from distingo.datasets.switches import is_switch
from distingo.datasets.table_shapes import recognise_side_column
from distingo.datasets.tables import LabelsFrom, Table, TableOptions, text_of
from distingo.errors import DataError, name_some

_LABEL_ITSELF = frozenset({"label", "labels"})
_OPTIONS = "say by --labels-from table or --labels-from folders which are meant"


@dataclass(frozen=True, slots=True)
class LabelSource:
    """Where labels come from.

    Attributes:
        labels_from: The class folders or the table.
        note: Why, for a person; empty where there is no doubt.
    """

    labels_from: LabelsFrom
    note: str = ""


def choose_label_source(
    table: Table, image_column: str, classes: Collection[str], options: TableOptions
) -> LabelSource:
    """Choose between class folders and a table of metadata.

    Hugging Face's rule: a column ``label`` goes before the folders' names. Without any column that is named like a
    label the folders' names are the labels.

    Args:
        table: Of metadata, beside or above class folders.
        image_column: The one that names the images.
        classes: The names of the class folders; none where folders are no classes, and the table is all there is.
        options: What a person asked for goes first.

    Raises:
        DataError: It can't be told; the text names the options that decide.
    """
    if not classes:
        return LabelSource("table")
    if options.labels_from or options.about_labels:
        return LabelSource(options.labels_from or "table")
    name = table.path.name
    rest = [each for each in table.columns if each not in {image_column, options.group_column}]
    side = recognise_side_column(table, rest)
    rest = [each for each in rest if each != side]
    column = known_label_column(rest)
    if column is None:
        if len(switches := [each for each in rest if is_switch(table.column(each))]) > 1:
            raise DataError(
                f"{table.path}: its images lie in class folders ({name_some(sorted(classes), 3)}), and it has columns "
                f"of 0 and 1 ({name_some(switches, 3)}); {_OPTIONS}"
            )
        other = f"{name_some(rest, 5)}; " if rest else ""
        return LabelSource(
            "folders",
            f"the labels are the folders' names: {name} has no label column ({other}--label-column NAME would take "
            f"them from it)",
        )
    values = {text_of(cell) for cell in table.column(column)} - {""}
    folded = {each.casefold() for each in classes}
    alike = sum(value.casefold() in folded for value in values)
    if column.lower().strip() in _LABEL_ITSELF or 2 * alike >= len(values):
        return from_table(f"column {column!r}", table)
    raise DataError(
        f"{table.path}: its images lie in class folders ({name_some(sorted(classes), 3)}), and its column {column!r} "
        f"may hold labels too ({name_some(sorted(values), 3)}); {_OPTIONS}"
    )


def from_table(columns: str, table: Table) -> LabelSource:
    """Labels that are taken from a table although there are folders.

    Args:
        columns: Those of the labels, in words.
        table: As read.
    """
    return LabelSource(
        "table",
        f"the labels are {columns} of {table.path.name}, not the folders' names (--labels-from folders would take "
        f"those)",
    )
