"""Which column of a table holds addresses, which labels, and what its rows say."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from distingo.datasets.known_columns import known_label_column
from distingo.datasets.label_cells import split_labels_of, tidy_labels
from distingo.datasets.table_reading import read_labels_table
from distingo.datasets.table_shapes import text_labels
from distingo.datasets.tables import Cell, Table, text_of
from distingo.errors import DataError, UsageError

_URL_NAMES = ("url", "imageurl", "photourl", "pictureurl", "originalurl", "address", "link", "href", "uri", "src")
_NAME_NAMES = ("filename", "file", "name", "imagename", "filepath", "id", "imageid")
_MOSTLY = 0.5
_ADDRESS = re.compile(r"https?://", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class UrlColumns:
    """What a person says about a table of addresses; what is None is recognised.

    Attributes:
        url: The column of addresses.
        label: The column of labels.
        name: The column of file names.
        delimiter: Between the labels of one cell; empty: every cell is one label.
    """

    url: str | None = None
    label: str | None = None
    name: str | None = None
    delimiter: str | None = None


@dataclass(frozen=True, slots=True)
class ListedPicture:
    """One address of a table.

    Attributes:
        line: Where it first stands.
        url: The address.
        labels: Sorted, each once; of all rows with that address.
        name: The file name that the table gives it, or empty.
    """

    line: int
    url: str
    labels: tuple[str, ...]
    name: str


def read_url_table(path: Path, columns: UrlColumns) -> tuple[tuple[ListedPicture, ...], tuple[str, ...]]:
    """Read a table of addresses.

    Args:
        path: CSV and its kin, JSON Lines, Parquet.
        columns: What is known about it.

    Returns:
        One entry per different address, in the table's order; and what was recognised, in words.

    Raises:
        DataError: It is damaged, or no column holds addresses or labels.
        UsageError: It has no column of a name that was given.
    """
    table = read_labels_table(path)
    url, label, name = _columns(table, columns)
    labels = _labels(table, label, columns.delimiter)
    names = table.column(name) if name else ("",) * len(table.lines)
    found: dict[str, ListedPicture] = {}
    empty = 0
    for line, cell, row_labels, file_name in zip(table.lines, table.column(url), labels, names, strict=True):
        address = text_of(cell)
        if not address:
            empty += 1
            continue
        known = found.get(address)
        both = tidy_labels([*row_labels, *(known.labels if known else ())])
        first, given = (known.line, known.name) if known else (line, text_of(file_name))
        found[address] = ListedPicture(first, address, both, given)
    if not found:
        raise DataError(f"{path}: column {url!r} holds no address; name the column of addresses by --url-column")
    said = f"addresses in column {url!r}, labels in {label!r}" + (f", file names in {name!r}" if name else "")
    repeated = len(table.lines) - empty - len(found)
    notes = [f"{table.form}: {said}"]
    notes += [f"{empty:,} rows without an address"] if empty else []
    notes += [f"{repeated:,} rows repeat an address; their labels are taken together"] if repeated else []
    return tuple(found.values()), tuple(notes)


def _columns(table: Table, columns: UrlColumns) -> tuple[str, str, str | None]:
    for given in (columns.url, columns.label, columns.name):
        if given is not None:
            table.column(given)
    url = columns.url or _url_column(table)
    rest = [name for name in table.columns if name != url]
    label = columns.label or known_label_column(rest)
    if label is None:
        left = [name for name in rest if _key(name) not in _NAME_NAMES]
        if len(left) != 1:
            raise DataError(
                f"{table.path}: can't tell which column holds the labels; beside {url!r} it has "
                f"{', '.join(rest) or 'nothing'}; give --label-column"
            )
        label = left[0]
    if url == label:
        raise UsageError(f"{table.path}: column {url!r} can't hold both addresses and labels")
    known = (name for wanted in _NAME_NAMES for name in rest if _key(name) == wanted and name != label)
    return url, label, columns.name or next(known, None)


def _url_column(table: Table) -> str:
    with_addresses = [name for name in table.columns if _share_of_addresses(table.column(name)) >= _MOSTLY]
    named = [name for wanted in _URL_NAMES for name in with_addresses if _key(name) == wanted]
    if named or len(with_addresses) == 1:
        return (named or with_addresses)[0]
    saw = f"columns {', '.join(with_addresses)} all do" if with_addresses else f"it has {', '.join(table.columns)}"
    raise DataError(
        f"{table.path}: can't tell which column holds addresses that begin with http:// or https:// ({saw}); "
        "give --url-column"
    )


def _share_of_addresses(cells: tuple[Cell, ...]) -> float:
    filled = [text_of(cell) for cell in cells if cell]
    return sum(bool(_ADDRESS.match(cell)) for cell in filled) / max(1, len(filled))


def _labels(table: Table, column: str, delimiter: str | None) -> list[tuple[str, ...]]:
    cells = table.column(column)
    if delimiter is not None:
        return [split_labels_of(cell, delimiter) for cell in cells]
    labels = []
    for line, cell, found in zip(table.lines, cells, text_labels(cells), strict=True):
        if found is None:
            raise DataError(
                f"{table.path}: {table.place(line)}: {text_of(cell)[:60]!r} in column {column!r} is no list; "
                "write it like ['Comedy', 'Drama'], or give --delimiter"
            )
        labels.append(found)
    return labels


def _key(name: str) -> str:
    return re.sub(r"[\W_]", "", name).lower()
