"""The rows of a table to labels: what each row says about its picture, in one form for every shape."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from distingo.datasets.label_cells import parse_list, split_labels_of, tidy_labels
from distingo.datasets.label_variants import find_variants, merged_labels
from distingo.datasets.switches import NO, SPARSE_NO, YES
from distingo.datasets.table_shapes import TABLE_SIDES, Shape, text_labels
from distingo.datasets.tables import Cell, MergeLabels, Table, text_of
from distingo.errors import DataError
from distingo.records import LabelVariants, Side


@dataclass(frozen=True, slots=True)
class LabelledRow:
    """One row of a table.

    Attributes:
        line: Where it begins.
        name: The picture as the row names it; may be empty.
        labels: Sorted, each once.
        side: The side it puts the picture on, or None.
        problem: Why its labels can't be told; empty if they can.
    """

    line: int
    name: str
    labels: tuple[str, ...]
    side: Side | None
    problem: str = ""


def read_rows(table: Table, shape: Shape) -> list[LabelledRow]:
    """Read every row.

    Args:
        table: As read.
        shape: As recognised.

    Returns:
        One entry per row, in the table's order.

    Raises:
        DataError: A list is damaged; the line is named.
    """
    if shape.kind == "0/1 columns":
        labels, problems = _read_switches(table, shape.label_columns)
    else:
        labels, problems = _read_texts(table, shape), [""] * len(table.lines)
    sides: Sequence[Cell] = table.column(shape.side_column) if shape.side_column else [""] * len(table.lines)
    names = table.column(shape.image_column)
    return [
        LabelledRow(line, text_of(name), found, TABLE_SIDES.get(text_of(side).lower()), problem)
        for line, name, found, side, problem in zip(table.lines, names, labels, sides, problems, strict=True)
    ]


def merge_variants(
    rows: Sequence[LabelledRow], merge: MergeLabels | None
) -> tuple[list[LabelledRow], tuple[LabelVariants, ...]]:
    """Find labels that differ only in how they are written, and make them one where a person wants it.

    Args:
        rows: As read.
        merge: As `TableOptions.merge_labels`.

    Returns:
        The rows, and what was found in them before.
    """
    counts = Counter(label for row in rows for label in row.labels)
    variants = find_variants(counts)
    changed = merged_labels(variants, merge)
    if not changed:
        return list(rows), variants
    return [
        row
        if changed.keys().isdisjoint(row.labels)
        else replace(row, labels=tidy_labels([changed.get(label, label) for label in row.labels]))
        for row in rows
    ], variants


def find_disagreements(table: Table, shape: Shape, rows: Sequence[LabelledRow]) -> list[int]:
    """The lines where the 0/1 columns and the text beside them differ about a label that both know."""
    if shape.list_column is None:
        return []
    known = set(tidy_labels(shape.label_columns))
    said = text_labels(table.column(shape.list_column))
    return [
        row.line
        for row, labels in zip(rows, said, strict=True)
        if not row.problem and set(row.labels) != known.intersection(labels or ())
    ]


def _read_texts(table: Table, shape: Shape) -> list[tuple[str, ...]]:
    cells = table.column(shape.label_columns[0])
    if shape.kind != "lists":
        return [split_labels_of(cell, shape.delimiter) for cell in cells]
    labels = []
    for line, cell in zip(table.lines, cells, strict=True):
        found = parse_list(cell) if cell else ()
        if found is None:
            raise DataError(
                f"{table.path}: {table.place(line)}: {text_of(cell)[:60]!r} in column {shape.label_columns[0]!r} is no "
                f"list; write it like ['Comedy', 'Drama']"
            )
        labels.append(found)
    return labels


def _read_switches(table: Table, columns: Sequence[str]) -> tuple[list[tuple[str, ...]], list[str]]:
    """The labels of every row, and what can't be told about it."""
    labels: list[list[str]] = [[] for _ in table.lines]
    problems = [""] * len(table.lines)
    for column in columns:
        cells = table.column(column)
        texts = {cell: text_of(cell).lower() for cell in set(cells)}
        values = [texts[cell] for cell in cells]
        no = NO if any(value in NO for value in values) else NO | SPARSE_NO
        for at, value in enumerate(values):
            if value in YES:
                labels[at].append(column)
            elif value not in no and not problems[at]:
                problems[at] = f"{table.place(table.lines[at])} says {value!r} for {column}, neither 0 nor 1"
    return [tidy_labels(each) for each in labels], problems
