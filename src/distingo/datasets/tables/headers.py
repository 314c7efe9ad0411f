"""The names of columns: those that many tables use, and whether a table's first row holds them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from distingo.datasets.decoding.formats import IMAGE_ENDINGS
from distingo.datasets.tables.table import Cell, Table, text_of
from distingo.errors import DataError

# The likeliest first, in lower case and without punctuation: "File_Name" is "filename".
IMAGE_NAMES = (
    *("filename", "file", "filepath", "filepaths", "path", "imagepath", "imagename", "imagefile", "image", "images"),
    *("imageid", "img", "imgname", "imgid", "imgpath", "picture", "photo", "poster", "fname", "id", "name"),
)


LABEL_NAMES = (
    *("label", "labels", "class", "classes", "classname", "category", "categories", "target", "targets", "tag", "tags"),
    *("genre", "genres", "species", "breed"),
)


SPLIT_NAMES = frozenset({"split", "set", "subset", "partition", "dataset", "side", "phase"})


def names_labels(columns: Sequence[str]) -> bool:
    """Whether a table has, by the column names, one column for images and one for labels."""
    keys = {column_key(name) for name in columns}
    return not keys.isdisjoint(IMAGE_NAMES) and not keys.isdisjoint(LABEL_NAMES)


def named_like_images(columns: Sequence[str]) -> list[str]:
    """The columns that hold images according to their names, the likeliest first."""
    matching = [name for name in columns if column_key(name) in IMAGE_NAMES]
    return sorted(matching, key=lambda name: name_rank(name, IMAGE_NAMES))


def is_common_column(name: str) -> bool:
    """Whether a text is a common name of a column of images, labels or splits."""
    key = column_key(name)
    return key in IMAGE_NAMES or key in LABEL_NAMES or key in SPLIT_NAMES


def find_label_column(names: Sequence[str]) -> str | None:
    """The column that is most likely the label's, by its name alone; None if no name is a common one."""
    ranked = sorted(
        (name for name in names if column_key(name) in LABEL_NAMES), key=lambda name: name_rank(name, LABEL_NAMES)
    )
    return ranked[0] if ranked else None


def column_key(name: str) -> str:
    """Normalize a column's name to lower case without punctuation, as the common names are written here."""
    return re.sub(r"[\W_]", "", name).lower()


def name_rank(name: str, common: Sequence[str]) -> int:
    """The index of a column's name among common ones; their number if it is none of them."""
    return common.index(column_key(name)) if column_key(name) in common else len(common)


_HEADER_ROWS = 1000


_DECIMAL = re.compile(r"-?[0-9]+(\.[0-9]+)?")


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
    names = has_names([cells for _, cells in rows[:_HEADER_ROWS]]) if header is None else header
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
    if any(not cell or is_common_column(cell) for cell in stripped) or not body:
        return True
    numbers = [_DECIMAL.fullmatch(cell) is not None for cell in stripped]
    if all(numbers):
        is_counter = stripped == [str(at) for at in range(len(stripped))]
        return is_counter or not all(_DECIMAL.fullmatch(cell.strip()) for row in body for cell in row if cell.strip())
    repeated = [cell in {row[at].strip() for row in body if at < len(row)} for at, cell in enumerate(stripped)]
    return not any(repeated) or all(repeated)


YES = frozenset({"1", "1.0", "true", "yes"})


NO = frozenset({"0", "0.0", "false", "no"})


SPARSE_NO = frozenset({"", "-1", "-1.0"})
"""Values that mean no in a column without any 0."""


_SWITCHES = YES | NO | SPARSE_NO


MOST_CELLS = 0.9


def is_switch(cells: Sequence[Cell]) -> bool:
    """Whether a column holds 0 and 1, except for a few unknown values."""
    counts = Counter(cells)
    filled = {cell: count for cell, count in counts.items() if cell}
    switch_count = sum(count for cell, count in filled.items() if text_of(cell).lower() in _SWITCHES)
    return bool(filled) and switch_count >= MOST_CELLS * sum(filled.values())
