"""Pictures of Open Images by class, each with its labels, licence and author."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from distingo.download.connections import Connections
from distingo.download.fetching import fetch
from distingo.download.folder import DownloadFolder, open_folder
from distingo.download.naming_classes import KnownClass
from distingo.download.open_images_addresses import LICENCE, OpenImagesAddresses
from distingo.download.open_images_judging import judge_pictures
from distingo.download.open_images_planning import (
    OpenImagesRequest,
    OpenImagesTables,
    Plan,
    find_open_images_classes,
    make_plan,
)
from distingo.download.open_images_selecting import SelectedPicture
from distingo.download.open_images_writing import write_boxes, write_metadata
from distingo.download.records import PICTURES, FetchStatus, Limits, Outcome, WantedFile
from distingo.download.table_streaming import TableSource
from distingo.files import write_text

LIMITS = Limits(per_host=16)
"""One store holds nearly all of the pictures, and is made for many connections at once."""


@dataclass(frozen=True, slots=True)
class OpenImagesDownload:
    """What came of a request.

    Attributes:
        folder: Where the pictures are.
        found: By class, how many pictures the tables name.
        kept: By class, how many are in the folder.
        outcomes: How many of the chosen pictures had which outcome.
        dropped: How many were left out for having several of the classes.
        several: Whether some pictures have several labels: then all are in ``images``, else in class folders.
    """

    folder: Path
    found: dict[str, int]
    kept: dict[str, int]
    outcomes: dict[FetchStatus, int]
    dropped: int
    several: bool


def download_open_images(
    request: OpenImagesRequest,
    output: Path,
    *,
    addresses: OpenImagesAddresses | None = None,
    limits: Limits = LIMITS,
    allow_private: bool = False,
) -> OpenImagesDownload:
    """Fetch the pictures of some classes into a folder, with ``metadata.csv`` beside them.

    The tables go by; their lines about the classes are kept in the folder, so that a run that goes on does not need
    the tables again. A picture is taken from the store of the Common Visual Data Foundation; where that has none, from
    the address of the original.

    Args:
        request: Which pictures.
        output: New, empty, or begun by the same request.
        addresses: Of the tables and pictures; None takes the official ones.
        limits: How politely and how patiently.
        allow_private: Whether `addresses` may be on a private network.

    Returns:
        What came of it.

    Raises:
        DataError: A table can't be had, or no picture fits.
        ResourceError: The folder can't be written.
        UsageError: A class is unknown, or the folder holds something else.
    """
    addresses = addresses or OpenImagesAddresses()
    with closing(Connections(limits)) as connections:
        source = TableSource(connections, limits, allow_private=allow_private)
        classes = find_open_images_classes(request, source, addresses)
        with open_folder(output, _describe(request, classes)) as folder:
            plan = make_plan(request, classes, OpenImagesTables(folder.own / "tables", source, addresses))
            outcomes = _fetch(plan, folder, addresses, limits, allow_private=allow_private)
            kept = judge_pictures(plan, {each.name: each for each in outcomes}, folder, request.smallest)
            write_metadata(output / "metadata.csv", kept, plan)
            if request.boxes:
                write_boxes(output / "boxes.csv", kept, plan)
            write_text(output / "LICENSE.txt", LICENCE)
            folder.write_manifest()
            folder.finish()
            final = [folder.outcome_of(plan.place(picture)) for picture in plan.selection.pictures]
    counts = Counter(at for each in kept for at in each.labels)
    return OpenImagesDownload(
        folder=output,
        found=dict(zip(plan.names, plan.selection.found, strict=True)),
        kept={name: counts[at] for at, name in enumerate(plan.names)},
        outcomes=dict(Counter(outcome.status for outcome in final if outcome is not None)),
        dropped=plan.selection.dropped,
        several=plan.selection.has_several,
    )


def _describe(request: OpenImagesRequest, classes: Sequence[KnownClass]) -> dict[str, Any]:
    """What fills the folder: the same for every way to write the same request."""
    identifiers = sorted(each.identifier for each in classes)
    command = " ".join(["distingo download open-images", *(f"--class {each.name!r}" for each in classes)])
    settings = asdict(request) | {"classes": identifiers, "splits": sorted(request.splits)}
    return {"command": command, "open-images": settings}


def _fetch(
    plan: Plan, folder: DownloadFolder, addresses: OpenImagesAddresses, limits: Limits, *, allow_private: bool
) -> tuple[Outcome, ...]:
    """Fetch every picture from the store, and what that has not from where it was found."""

    def original(picture: SelectedPicture) -> str:
        facts = plan.facts.get(picture.identifier)
        return facts.source if facts is not None else ""

    def first_choice(picture: SelectedPicture) -> str:
        known = folder.outcome_of(plan.place(picture))  # what an earlier run had from the original stays so
        if known is not None and known.url and known.url == original(picture):
            return known.url
        return addresses.picture(picture.split, picture.identifier)

    pictures = {plan.place(picture): picture for picture in plan.selection.pictures}
    wanted = [WantedFile(first_choice(picture), place, PICTURES, ending=True) for place, picture in pictures.items()]
    outcomes = fetch(wanted, folder, limits, description="fetching pictures", allow_private=allow_private)
    missing = [
        replace(file, url=original(pictures[file.name]))
        for file, outcome in zip(wanted, outcomes, strict=True)
        if outcome.status == "absent" and original(pictures[file.name]) not in {"", file.url}
    ]
    later = fetch(missing, folder, limits, description="fetching originals", allow_private=allow_private)
    return tuple({each.name: each for each in (*outcomes, *later)}.values())
