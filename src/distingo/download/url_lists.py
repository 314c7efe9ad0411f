"""A table of addresses and labels to pictures in folders."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from distingo.datasets.label_cells import recognise_delimiter
from distingo.datasets.manifest import write_table
from distingo.datasets.own_files import METADATA_NAME
from distingo.download.fetching import fetch
from distingo.download.file_names import distinct_names, safe_name, stem_of_address
from distingo.download.folder import DownloadFolder, open_folder
from distingo.download.gathered import Gathered
from distingo.download.records import PICTURES, Limits, Outcome, WantedFile
from distingo.download.url_tables import ListedPicture, UrlColumns, read_url_table

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
    return (f"{count:,} were removed since they were fetched; --try-refused fetches them again",) if count else ()


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
