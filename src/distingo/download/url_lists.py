"""Download of the images that a table of URLs and labels lists, into class folders.

The columns of URLs, labels and file names are detected.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from urllib.parse import unquote, urlsplit

from distingo.csv_files import write_table
from distingo.datasets.corrections import METADATA_NAME
from distingo.datasets.tables.columns import text_labels
from distingo.datasets.tables.headers import column_key, find_label_column
from distingo.datasets.tables.labels import recognize_delimiter, split_labels_of, tidy_labels
from distingo.datasets.tables.reading import read_labels_table
from distingo.datasets.tables.table import Cell, Table, text_of
from distingo.download.fetching import fetch
from distingo.download.folder import DownloadFolder, Gathered, open_folder
from distingo.download.records import IMAGES, Limits, Outcome, RemoteFile
from distingo.errors import DataError, UsageError, option
from distingo.messages.notes import Note, note
from distingo.options.fields import Option
from distingo.safe_paths import distinct_names, safe_name

IMAGES_FOLDER = "images"
"""The folder of all images if any of them has several labels."""

_URL_NAMES = ("url", "imageurl", "photourl", "pictureurl", "originalurl", "address", "link", "href", "uri", "src")
_NAME_NAMES = ("filename", "file", "name", "imagename", "filepath", "id", "imageid")
_MOSTLY = 0.5
_ADDRESS = re.compile(r"https?://", re.IGNORECASE)
_ENDING = re.compile(r"\.(jpe?g|jpe|jfif|png|gif|webp|tiff?|bmp|avif|hei[cf]|jp2|ppm|php|aspx?|html?)$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class UrlColumns:
    """Columns and label format of a table of URLs; values that are None are detected."""

    url: Annotated[
        str | None, Option(help="column of addresses", default="detected", metavar="NAME", flag="--url-column")
    ] = None
    label: Annotated[
        str | None, Option(help="column of labels", default="detected", metavar="NAME", flag="--label-column")
    ] = None
    name: Annotated[
        str | None, Option(help="column of file names", default="detected", metavar="NAME", flag="--name-column")
    ] = None
    delimiter: Annotated[
        str | None,
        Option(
            help="text between the labels of one cell; empty: each cell is one label",
            default="detected",
            metavar="TEXT",
        ),
    ] = None


@dataclass(frozen=True, slots=True)
class ListedImage:
    """A URL of a table.

    Attributes:
        line: Number of the first line with the URL.
        url: The URL.
        labels: The labels in all rows with that URL, sorted, without repetitions.
        name: The file name in the table, or empty.
    """

    line: int
    url: str
    labels: tuple[str, ...]
    name: str


def gather_urls(
    table: Path,
    output: Path,
    columns: UrlColumns | None = None,
    limits: Limits | None = None,
    *,
    try_refused: bool = False,
    allow_private: bool = False,
) -> Gathered:
    """Download the images that a table lists.

    If any image has several labels, all images are written to one folder, with a table of labels next to it; else there
    is a folder for each label.

    Args:
        table: The file.
        output: A folder: new, empty, or started by the same request.
        columns: Columns of the table; None detects them.
        limits: Limits of the download; None takes the defaults.
        try_refused: As in `fetch`.
        allow_private: As in `fetch`.

    Returns:
        One outcome per unique URL, in the table's order.

    Raises:
        DataError: The table can't be parsed.
        UsageError: The table lacks a column, or the folder contains something else.
        ResourceError: The folder can't be written.
    """
    images, notes = read_url_table(table, columns or UrlColumns())
    names = _choose_paths(images)
    with open_folder(output, {"command": f"distingo download urls {table.name}"}) as folder:
        named = zip(images, names, strict=True)
        files = [RemoteFile(image.url, name, IMAGES, ending=True) for image, name in named if name]
        fetched = fetch(
            files, folder, limits, description=table.name, allow_private=allow_private, try_refused=try_refused
        )
        outcomes = _with_refused(images, names, fetched, folder)
        _write_metadata(output / METADATA_NAME, images, outcomes)
        folder.finish()
    return Gathered(output, tuple(outcomes), (*notes, *removed_since(output, outcomes)), folder.arrived)


def removed_since(folder: Path, outcomes: Sequence[Outcome]) -> tuple[Note, ...]:
    """Create a note if downloaded images are no longer in the folder."""
    count = sum(outcome.status == "fetched" and not (folder / outcome.file).exists() for outcome in outcomes)
    again = option("try_refused", value=True)
    return (note("removed-since-fetched", count=count, option=again),) if count else ()


def read_url_table(path: Path, columns: UrlColumns) -> tuple[tuple[ListedImage, ...], tuple[Note, ...]]:
    """Read a table of URLs.

    Args:
        path: CSV, TSV, JSON Lines or Parquet file.
        columns: Columns of the table; those that are None are detected.

    Returns:
        One entry per unique URL, in the table's order; and notes on what was detected.

    Raises:
        DataError: The table is damaged, or has no column of URLs or labels.
        UsageError: The table lacks a column.
    """
    table = read_labels_table(path)
    url, label, name = _columns(table, columns)
    labels = _labels(table, label, columns.delimiter)
    names = table.column(name) if name else ("",) * len(table.lines)
    images_by_url: dict[str, ListedImage] = {}
    empty = 0
    for line, cell, row_labels, file_name in zip(table.lines, table.column(url), labels, names, strict=True):
        address = text_of(cell)
        if not address:
            empty += 1
            continue
        earlier = images_by_url.get(address)
        merged_labels = tidy_labels([*row_labels, *(earlier.labels if earlier else ())])
        first, file_name_given = (earlier.line, earlier.name) if earlier else (line, text_of(file_name))
        images_by_url[address] = ListedImage(first, address, merged_labels, file_name_given)
    if not images_by_url:
        raise DataError(
            f"{path}: column {url!r} holds no address; name the column of addresses by {option('url_column')}",
            code="nothing_matches",
            parameter="url_column",
        )
    notes = [note("columns-of-addresses", form=table.form, addresses=url, labels=label)]
    if name:
        notes = [note("columns-of-addresses-and-names", **notes[0].values, names=name)]
    repeated = len(table.lines) - empty - len(images_by_url)
    notes += [note("rows-without-address", count=empty)] if empty else []
    notes += [note("rows-with-same-address", count=repeated)] if repeated else []
    return tuple(images_by_url.values()), tuple(notes)


def _columns(table: Table, columns: UrlColumns) -> tuple[str, str, str | None]:
    for requested in (columns.url, columns.label, columns.name):
        if requested is not None:
            table.column(requested)
    url = columns.url or _url_column(table)
    rest = [name for name in table.columns if name != url]
    label = columns.label or find_label_column(rest)
    if label is None:
        candidates = [name for name in rest if column_key(name) not in _NAME_NAMES]
        if len(candidates) != 1:
            raise DataError(
                f"{table.path}: can't tell which column holds the labels; besides {url!r} it has "
                f"{', '.join(rest) or 'nothing'}; give {option('label_column')}",
                code="ambiguous_column",
                parameter="label_column",
            )
        label = candidates[0]
    if url == label:
        raise UsageError(
            f"{table.path}: column {url!r} can't hold both addresses and labels",
            code="options_conflict",
            parameter="url_column",
        )
    name_columns = (
        name for usual_name in _NAME_NAMES for name in rest if column_key(name) == usual_name and name != label
    )
    return url, label, columns.name or next(name_columns, None)


def _url_column(table: Table) -> str:
    with_addresses = [name for name in table.columns if _share_of_addresses(table.column(name)) >= _MOSTLY]
    named = [name for usual_name in _URL_NAMES for name in with_addresses if column_key(name) == usual_name]
    if named or len(with_addresses) == 1:
        return (named or with_addresses)[0]
    reason = f"columns {', '.join(with_addresses)} all do" if with_addresses else f"it has {', '.join(table.columns)}"
    raise DataError(
        f"{table.path}: can't tell which column holds addresses that begin with http:// or https:// ({reason}); "
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
    for line, cell, row_labels in zip(table.lines, cells, text_labels(cells), strict=True):
        if row_labels is None:
            raise DataError(
                f"{table.path}: {table.place(line)}: {text_of(cell)[:60]!r} in column {column!r} is no list; "
                f"write it like ['Comedy', 'Drama'], or give {option('delimiter')}",
                code="damaged_line",
            )
        labels.append(row_labels)
    return labels


def _several(images: Sequence[ListedImage]) -> bool:
    return any(len(image.labels) > 1 for image in images)


def _choose_paths(images: Sequence[ListedImage]) -> list[str]:
    """Choose the path of each image in the folder, without extension; empty for an image without a label."""
    several = _several(images)
    classes = sorted({image.labels[0] for image in images if image.labels})
    folders = dict(zip(classes, distinct_names([safe_name(name) for name in classes], classes), strict=True))
    by_folder: dict[str, list[int]] = {}
    for index, image in enumerate(images):
        if several or image.labels:
            by_folder.setdefault(IMAGES_FOLDER if several else folders[image.labels[0]], []).append(index)
    paths = [""] * len(images)
    for folder, members in by_folder.items():
        stems = [
            stem_of_address(f"http://h/{images[index].name}" if images[index].name else images[index].url)
            for index in members
        ]
        for index, name in zip(members, distinct_names(stems, [images[index].url for index in members]), strict=True):
            paths[index] = f"{folder}/{name}"
    return paths


def stem_of_address(url: str) -> str:
    """Derive a file name without extension from a URL: the last part of its path, else its host."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "unnamed"
    last = unquote(parts.path, errors="replace").rstrip("/").rpartition("/")[2]
    return safe_name(_ENDING.sub("", last) or parts.hostname or "")


def _with_refused(
    images: Sequence[ListedImage], names: Sequence[str], fetched: Sequence[Outcome], folder: DownloadFolder
) -> list[Outcome]:
    """Return the outcomes of all images, in which those without a label are refused."""
    outcomes, remaining = [], iter(fetched)
    for image, name in zip(images, names, strict=True):
        if name:
            outcomes.append(next(remaining))
            continue
        line = f"line {image.line}"
        outcomes.append(Outcome(line, "refused", f"{line} of the table gives no label", "", image.url, attempts=0))
        folder.record(outcomes[-1])
    if len(fetched) != len(outcomes):
        folder.write_manifest()
    return outcomes


def _write_metadata(path: Path, images: Sequence[ListedImage], outcomes: Sequence[Outcome]) -> None:
    """Write the table of the downloaded images, which distingo and Hugging Face's ``imagefolder`` can read.

    Labels are JSON lists if an image may have several, or if a single label could be parsed as several.
    """
    several = _several(images)
    listed = several or recognize_delimiter([label for image in images for label in image.labels]) is not None
    rows = [
        [
            outcome.file,
            json.dumps(list(image.labels), ensure_ascii=False) if listed else "".join(image.labels),
            outcome.url,
            outcome.final_url,
            outcome.sha256,
        ]
        for image, outcome in zip(images, outcomes, strict=True)
        if outcome.status == "fetched" and (path.parent / outcome.file).exists()
    ]
    write_table(path, ["file_name", "labels" if several else "label", "url", "final_url", "sha256"], rows)
