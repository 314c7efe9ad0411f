"""Detect whether the first row of a table holds its column names, and build a table from rows."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from distingo.datasets.decoding.formats import IMAGE_ENDINGS
from distingo.datasets.tables.image_column import is_known_column
from distingo.datasets.tables.image_files import ImageFinder
from distingo.datasets.tables.matching import match_names
from distingo.datasets.tables.table import Cell, Table, text_of
from distingo.errors import DataError

_LOOKED_AT = 1000

_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")

_ENDING = tuple(IMAGE_ENDINGS)


def table_of_rows(
    path: Path,
    form: str,
    unit: str,
    rows: Sequence[tuple[int, Sequence[str]]],
    *,
    header: bool | None = None,
    finish: Callable[[Sequence[str]], tuple[Cell, ...]] = tuple,
) -> Table:
    """Build a table from rows with the same columns.

    Args:
        path: The file.
        form: The file's format, for messages.
        unit: The unit that rows are counted in: ``line`` or ``row``.
        rows: The line of each row, and its cells; not empty.
        header: Whether the first row holds names; None detects it.
        finish: Converts the texts of a column into cells.

    Returns:
        The table; columns without names are called ``column 1``, ``column 2`` and so on.

    Raises:
        DataError: Two columns have the same name, or a row has more filled cells than there are columns, or fewer.
    """
    names = has_names([cells for _, cells in rows[:_LOOKED_AT]]) if header is None else header
    first = rows[0][1]
    columns = column_names(path, first if names else [""] * len(first))
    body = rows[1:] if names else rows
    width = len(columns)
    even = []
    for line, cells in body:
        if len(cells) != width:
            if len(cells) < width or any(cell.strip() for cell in cells[width:]):
                raise DataError(
                    f"{path}: {unit} {line} has {len(cells)} fields instead of {width}; put quotes around a field that "
                    "holds what separates fields",
                    code="damaged_line",
                )
            even.append(cells[:width])
        else:
            even.append(cells)
    cells_by_column = tuple(map(finish, zip(*even, strict=True))) or tuple(() for _ in columns)
    return Table(
        path,
        form if names else f"{form}, without a line of names",
        unit,
        columns,
        cells_by_column,
        tuple(line for line, _ in body),
        header_line=rows[0][0] if names and header is None else 0,
    )


def column_names(path: Path, names: Sequence[str]) -> tuple[str, ...]:
    """Fill in missing column names as ``column`` and a number; pandas leaves the index without a name.

    Raises:
        DataError: Two columns have the same name.
    """
    columns = tuple(name.strip() or f"column {at}" for at, name in enumerate(names, 1))
    for name in columns:
        if columns.count(name) > 1:
            raise DataError(f"{path}: two columns are called {name!r}; rename one of them", code="duplicate_entry")
    return columns


def has_names(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first row holds column names.

    It does not if one of its cells ends like the name of an image file, if all rows are numbers, or if one of its cells
    recurs below it, as labels do. A cell that is a common column name, or is empty, shows that it does.
    """
    first, *body = rows
    stripped = [cell.strip() for cell in first]
    if any(cell.lower().endswith(_ENDING) for cell in stripped):
        return False
    if any(not cell or is_known_column(cell) for cell in stripped) or not body:
        return True
    numbers = [_NUMBER.fullmatch(cell) is not None for cell in stripped]
    if all(numbers):
        is_counter = stripped == [str(at) for at in range(len(stripped))]
        return is_counter or not all(_NUMBER.fullmatch(cell.strip()) for row in body for cell in row if cell.strip())
    repeated = [cell in {row[at].strip() for row in body if at < len(row)} for at, cell in enumerate(stripped)]
    return not any(repeated) or all(repeated)


def with_first_row(table: Table, images: ImageFinder) -> Table:
    """Turn the header into the first row if it names an image as the rows below do.

    Args:
        table: As read; it stays unchanged if the user specified whether it has a header.
        images: Finds the files that cells refer to.
    """
    if not table.header_line:
        return table
    for name, column in zip(table.columns, table.cells, strict=True):
        if is_known_column(name) or len(images.find(name)) != 1:
            continue
        sample = [text_of(cell) for cell in column[:_LOOKED_AT]]
        matches = match_names(sample, images)
        if 2 * sum(bool(matches.files(cell)) for cell in sample) >= len(sample):
            return replace(
                table,
                form=f"{table.form}, without a line of names",
                columns=tuple(f"column {at}" for at in range(1, len(table.columns) + 1)),
                cells=tuple((name, *cells) for name, cells in zip(table.columns, table.cells, strict=True)),
                lines=(table.header_line, *table.lines),
                header_line=0,
            )
    return table
