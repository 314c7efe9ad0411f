"""Pictures of Open Images by class, each with its labels, licence and author."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from distingo.datasets.own_files import BOXES_NAME, LICENCE_NAME, METADATA_NAME
from distingo.download.connections import Connections
from distingo.download.fetching import fetch
from distingo.download.folder import DownloadFolder, open_folder
from distingo.download.gathered import Gathered
from distingo.download.naming_classes import KnownClass
from distingo.download.open_images_addresses import LICENCE, OpenImagesAddresses
from distingo.download.open_images_judging import KeptPicture, judge_pictures
from distingo.download.open_images_planning import (
    OpenImagesRequest,
    OpenImagesTables,
    Plan,
    find_open_images_classes,
    make_plan,
)
from distingo.download.open_images_selecting import SelectedPicture
from distingo.download.open_images_writing import write_boxes, write_metadata
from distingo.download.records import PICTURES, Limits, WantedFile
from distingo.download.table_streaming import TableSource
from distingo.download.url_lists import removed_since
from distingo.files import write_text


def gather_open_images(
    request: OpenImagesRequest,
    output: Path,
    limits: Limits | None = None,
    *,
    addresses: OpenImagesAddresses | None = None,
    try_refused: bool = False,
    allow_private: bool = False,
) -> Gathered:
    """Fetch the pictures of some classes, with ``metadata.csv`` beside them.

    Where no picture has several of the classes they go into class folders, else all into ``images``. The tables go by;
    their lines about the classes are kept in the folder, so that a run that goes on does not need the tables again. A
    picture is taken from the store of the Common Visual Data Foundation; where that has none, from the address of the
    original.

    Args:
        request: Which pictures.
        output: New, empty, or begun by the same request.
        limits: How politely, how patiently and how much; None takes the defaults.
        addresses: Of the tables and pictures; None takes the official ones.
        try_refused: As in `fetch`.
        allow_private: Whether the addresses, and those that the tables name, may be on a private network.

    Returns:
        One outcome per picture that was chosen.

    Raises:
        DataError: A table can't be had, or no picture fits.
        ResourceError: The folder can't be written.
        UsageError: A class is unknown, or the folder holds something else.
    """
    limits, addresses = limits or Limits(), addresses or OpenImagesAddresses()
    with closing(Connections(limits)) as connections:
        source = TableSource(connections, limits, allow_private=allow_private)
        classes = find_open_images_classes(request, source, addresses)
        with open_folder(output, _describe(request, classes)) as folder:
            plan = make_plan(request, classes, OpenImagesTables(folder.own / "tables", source, addresses))
            _fetch(plan, folder, addresses, limits, try_refused=try_refused, allow_private=allow_private)
            kept = judge_pictures(plan, folder, request.smallest)
            write_metadata(output / METADATA_NAME, kept, plan)
            if request.boxes:
                write_boxes(output / BOXES_NAME, kept, plan)
            write_text(output / LICENCE_NAME, LICENCE)
            folder.write_manifest()
            folder.finish()
            outcomes = [folder.outcome_of(plan.place(picture)) for picture in plan.selection.pictures]
    known = tuple(filter(None, outcomes))
    return Gathered(output, known, (*_notes(plan, kept), *removed_since(output, known)), folder.arrived)


def _notes(plan: Plan, kept: Sequence[KeptPicture]) -> Iterator[str]:
    counts = Counter(at for each in kept for at in each.labels)
    for at, (name, found) in enumerate(zip(plan.names, plan.selection.found, strict=True)):
        yield f"{name}: {counts[at]:,} of the {found:,} pictures that the tables name"
    if plan.selection.has_several:
        yield "some pictures have several of the classes: all are in images/, their labels in metadata.csv"
    if plan.selection.dropped:
        yield f"left out for having several of the classes (--single): {plan.selection.dropped:,}"
    if turned := sum(_is_turned(plan, each) for each in kept):
        yield f"not upright: {turned:,}; metadata.csv says by how many degrees each is to be turned"


def _is_turned(plan: Plan, kept: KeptPicture) -> bool:
    facts = plan.facts.get(kept.picture.identifier)
    return facts is not None and facts.rotation not in {"", "0", "0.0"}


def _describe(request: OpenImagesRequest, classes: Sequence[KnownClass]) -> dict[str, Any]:
    """What fills the folder: the same for every way to write the same request."""
    identifiers = sorted(each.identifier for each in classes)
    command = " ".join(["distingo download open-images", *(f"--class {each.name!r}" for each in classes)])
    settings = asdict(request) | {"classes": identifiers, "splits": sorted(request.splits)}
    return {"command": command, "open-images": settings}


def _fetch(
    plan: Plan,
    folder: DownloadFolder,
    addresses: OpenImagesAddresses,
    limits: Limits,
    *,
    try_refused: bool,
    allow_private: bool,
) -> None:
    """Fetch every picture from the store, and what that has not from where it was found."""

    def original(picture: SelectedPicture) -> str:
        facts = plan.facts.get(picture.identifier)
        return facts.source if facts is not None else ""

    def first_choice(picture: SelectedPicture) -> str:
        known = folder.outcome_of(plan.place(picture))
        if known is not None and known.url and known.url == original(picture):
            return known.url  # where an earlier run had to turn to
        return addresses.picture(picture.split, picture.identifier)

    settings = {"try_refused": try_refused, "allow_private": allow_private}
    pictures = {plan.place(picture): picture for picture in plan.selection.pictures}
    wanted = [WantedFile(first_choice(picture), place, PICTURES, ending=True) for place, picture in pictures.items()]
    outcomes = fetch(wanted, folder, limits, description="pictures", **settings)
    missing = [
        replace(file, url=original(pictures[file.name]))
        for file, outcome in zip(wanted, outcomes, strict=True)
        if outcome.status == "absent" and original(pictures[file.name]) not in {"", file.url}
    ]
    fetch(missing, folder, limits, description="originals", **settings)
