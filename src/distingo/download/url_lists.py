"""A table of addresses and labels to pictures in folders.

Which column of a table holds addresses, which labels, and what its rows say.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from distingo.datasets.manifest import write_table
from distingo.datasets.own_files import METADATA_NAME
from distingo.datasets.tables.columns import text_labels
from distingo.datasets.tables.image_column import known_label_column
from distingo.datasets.tables.labels import recognise_delimiter, split_labels_of, tidy_labels
from distingo.datasets.tables.reading import read_labels_table
from distingo.datasets.tables.table import Cell, Table, text_of
from distingo.download.fetching import fetch
from distingo.download.folder import DownloadFolder, Gathered, open_folder
from distingo.download.names import distinct_names, safe_name, stem_of_address
from distingo.download.records import PICTURES, Limits, Outcome, WantedFile
from distingo.errors import DataError, UsageError, option

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
        raise DataError(
            f"{path}: column {url!r} holds no address; name the column of addresses by {option('url_column')}",
            code="nothing_matches",
            parameter="url_column",
        )
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
                f"{', '.join(rest) or 'nothing'}; give {option('label_column')}",
                code="ambiguous_column",
                parameter="label_column",
            )
        label = left[0]
    if url == label:
        raise UsageError(
            f"{table.path}: column {url!r} can't hold both addresses and labels",
            code="options_conflict",
            parameter="url_column",
        )
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
        f"give {option('url_column')}",
        code="ambiguous_column",
        parameter="url_column",
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
                f"write it like ['Comedy', 'Drama'], or give {option('delimiter')}",
                code="damaged_line",
            )
        labels.append(found)
    return labels


def _key(name: str) -> str:
    return re.sub(r"[\W_]", "", name).lower()


IMAGES_FOLDER = "images"


@dataclass(frozen=True, slots=True)
class _Plan:
    """Where each picture goes.

    Attributes:
        several: Whether a picture may have several labels: then all go into one folder.
        pictures: In the table's order.
        wanted: The same pictures as files to fetch; None for one that can't be placed.
    """

    several: bool
    pictures: tuple[ListedPicture, ...]
    wanted: tuple[WantedFile | None, ...]


def gather_urls(
    table: Path,
    output: Path,
    columns: UrlColumns | None = None,
    limits: Limits | None = None,
    *,
    try_refused: bool = False,
    allow_private: bool = False,
) -> Gathered:
    """Fetch what a table lists.

    Args:
        table: The file.
        output: The folder to fill.
        columns: What is known about the table.
        limits: How politely, how patiently and how much.
        try_refused: As in `fetch`.
        allow_private: As in `fetch`.

    Returns:
        One outcome per different address, in the table's order.

    Raises:
        DataError: The table can't be understood.
        UsageError: It has no such column, or the folder holds something else.
        ResourceError: The folder can't be written.
    """
    pictures, notes = read_url_table(table, columns or UrlColumns())
    plan = _plan(pictures)
    with open_folder(output, {"command": f"distingo download urls {table.name}"}) as folder:
        wanted = [file for file in plan.wanted if file is not None]
        fetched = fetch(
            wanted, folder, limits, description=table.name, allow_private=allow_private, try_refused=try_refused
        )
        outcomes = _with_unplaced(plan, fetched, folder)
        _write_metadata_of(plan, outcomes, output / METADATA_NAME)
        folder.finish()
    return Gathered(output, tuple(outcomes), (*notes, *removed_since(output, outcomes)), folder.arrived)


def _plan(pictures: Sequence[ListedPicture]) -> _Plan:
    """Several labels on any picture: one folder and a table; else a folder per class."""
    several = any(len(picture.labels) > 1 for picture in pictures)
    classes = sorted({picture.labels[0] for picture in pictures if picture.labels})
    folders = dict(zip(classes, distinct_names([safe_name(name) for name in classes], classes), strict=True))
    names: dict[int, str] = {}
    by_folder: dict[str, list[int]] = {}
    for at, picture in enumerate(pictures):
        if several or picture.labels:
            place = IMAGES_FOLDER if several else folders[picture.labels[0]]
            by_folder.setdefault(place, []).append(at)
    for place, members in by_folder.items():
        stems = [_stem(pictures[at]) for at in members]
        distinct = distinct_names(stems, [pictures[at].url for at in members])
        names |= {at: f"{place}/{name}" for at, name in zip(members, distinct, strict=True)}
    wanted = tuple(
        WantedFile(picture.url, names[at], PICTURES, ending=True) if at in names else None
        for at, picture in enumerate(pictures)
    )
    return _Plan(several, tuple(pictures), wanted)


def _stem(picture: ListedPicture) -> str:
    return stem_of_address(f"http://h/{picture.name}") if picture.name else stem_of_address(picture.url)


def _with_unplaced(plan: _Plan, fetched: Sequence[Outcome], folder: DownloadFolder) -> list[Outcome]:
    outcomes, following = [], iter(fetched)
    for picture, wanted in zip(plan.pictures, plan.wanted, strict=True):
        if wanted is not None:
            outcomes.append(next(following))
            continue
        name = f"line {picture.line}"
        outcomes.append(Outcome(name, "refused", f"{name} of the table gives no label", "", picture.url, attempts=0))
        folder.record(outcomes[-1])
    if len(fetched) != len(outcomes):
        folder.write_manifest()
    return outcomes


def _write_metadata_of(plan: _Plan, outcomes: Sequence[Outcome], path: Path) -> None:
    labels = [picture.labels for picture in plan.pictures]
    write_metadata(path, outcomes, labels, several=plan.several)


def removed_since(folder: Path, outcomes: Sequence[Outcome]) -> tuple[str, ...]:
    """A note where pictures that were fetched are no longer in the folder."""
    count = sum(outcome.status == "fetched" and not (folder / outcome.file).exists() for outcome in outcomes)
    return (
        (f"{count:,} were removed since they were fetched; {option('try_refused', value=True)} fetches them again",)
        if count
        else ()
    )


def write_metadata(
    path: Path,
    outcomes: Sequence[Outcome],
    labels: Sequence[tuple[str, ...]],
    *,
    several: bool,
    more: dict[str, Sequence[str]] | None = None,
) -> None:
    """Write the table of the pictures that are there, which distingo and Hugging Face's ``imagefolder`` read.

    Args:
        path: Where to.
        outcomes: Of every picture that was wanted; those that are not in `path`'s folder are left to
            ``manifest.csv``.
        labels: Of every picture.
        several: Whether a picture may have several labels; they are then written as a JSON list.
        more: Further columns by name: their cells for every picture.
    """
    more = more or {}
    listed = several or recognise_delimiter([label for each in labels for label in each]) is not None
    heading = ["file_name", "labels" if several else "label", "url", "final_url", "sha256", *more]
    rows = [
        [
            outcome.file,
            json.dumps(list(names), ensure_ascii=False) if listed else "".join(names),
            outcome.url,
            outcome.final_url,
            outcome.sha256,
            *(cells[at] for cells in more.values()),
        ]
        for at, (outcome, names) in enumerate(zip(outcomes, labels, strict=True))
        if outcome.status == "fetched" and (path.parent / outcome.file).exists()
    ]
    write_table(path, heading, rows)
