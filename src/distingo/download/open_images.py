"""Pictures of Open Images by class, each with its labels, licence and author.

What is written beside the pictures of Open Images: labels, origins and boxes.

Which of the fetched pictures of Open Images are kept: those that are large enough, and are pictures still.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from distingo.datasets.manifest import write_table
from distingo.datasets.own_files import BOXES_NAME, LICENCE_NAME, METADATA_NAME
from distingo.download.connections import Connections
from distingo.download.fetching import fetch
from distingo.download.folder import DownloadFolder, Gathered, open_folder
from distingo.download.names import KnownClass
from distingo.download.open_images_planning import (
    OpenImagesRequest,
    OpenImagesTables,
    Plan,
    SelectedPicture,
    find_open_images_classes,
    make_plan,
)
from distingo.download.open_images_tables import BOX_FLAGS, LICENCE, Box, ImageFacts, OpenImagesAddresses
from distingo.download.records import PICTURES, Limits, Outcome, WantedFile
from distingo.download.table_streaming import TableSource
from distingo.download.url_lists import removed_since
from distingo.errors import option
from distingo.files import write_text

_TAKEN_DOWN = "photo_unavailable"
"""In the address that Flickr redirects to, which shows that its author took a picture down."""


@dataclass(frozen=True, slots=True)
class KeptPicture:
    """A picture that is in the folder.

    Attributes:
        picture: As it was chosen.
        outcome: Of its fetching.
        labels: Positions of the classes that it has here, ascending.
        boxes: Those that are large enough.
    """

    picture: SelectedPicture
    outcome: Outcome
    labels: tuple[int, ...]
    boxes: tuple[Box, ...] = ()


def judge_pictures(plan: Plan, folder: DownloadFolder, smallest: int) -> tuple[KeptPicture, ...]:
    """Look at what was fetched; what is not to be kept is taken out of the folder again and noted in its manifest.

    Args:
        plan: What was to be fetched.
        folder: Where it is, with what became of each.
        smallest: Pixels, as in `OpenImagesRequest`.

    Returns:
        The pictures that stay, in the plan's order.

    Raises:
        OSError: A file can't be removed.
    """
    kept = []
    for picture in plan.selection.pictures:
        outcome = folder.outcome_of(plan.place(picture))
        if outcome is None or outcome.status != "fetched":
            continue
        path = folder.root / outcome.file
        if not path.is_file():
            continue  # a person took it out
        if _TAKEN_DOWN in outcome.final_url:
            _take_out(path, folder, replace(outcome, status="absent", reason="its author took it down"))
            continue
        boxes = tuple(plan.boxes.get(picture.identifier, ()))
        stays, reason = _judge(picture, outcome, path, boxes, smallest)
        if path.stat().st_size != outcome.size:
            reason = ""  # a person changed it, and it is theirs now
        if reason:
            _take_out(path, folder, replace(outcome, status="refused", reason=reason))
        else:
            kept.append(stays)
    return tuple(kept)


def _judge(
    picture: SelectedPicture, outcome: Outcome, path: Path, boxes: Sequence[Box], smallest: int
) -> tuple[KeptPicture, str]:
    """What stays of a picture, and why nothing does."""
    everything = KeptPicture(picture, outcome, picture.classes, tuple(boxes))
    if not smallest:
        return everything, ""
    size = _size(path)
    if size is None:
        return everything, "can't be read as a picture"
    if min(size) < smallest:
        return everything, f"{size[0]} x {size[1]} pixels, smaller than {smallest}"
    if not boxes:
        return everything, ""
    large = tuple(box for box in boxes if box.shorter_side(*size) >= smallest)
    labels = tuple(sorted({box.label for box in large}))
    return KeptPicture(
        picture, outcome, labels, large
    ), "" if large else f"its boxes are smaller than {smallest} pixels"


def _size(path: Path) -> tuple[int, int] | None:
    """Width and height as the file has them, before any rotation: that is what boxes are measured in."""
    from PIL import Image

    try:
        with Image.open(path) as picture:
            return picture.size
    except (OSError, ValueError, Image.DecompressionBombError):
        return None


def _take_out(path: Path, folder: DownloadFolder, outcome: Outcome) -> None:
    """Remove a file that this very download brought, and say why it is not there."""
    path.unlink()
    folder.record(replace(outcome, file="", size=0, sha256=""))


_METADATA = (
    *("file_name", "labels", "split", "image_id", "source", "landing_page", "licence", "author", "author_profile"),
    *("title", "rotation", "fetched_from"),
)

_BOXES = ("file_name", "box_label", "left", "right", "top", "bottom", *BOX_FLAGS)


def write_metadata(path: Path, kept: Sequence[KeptPicture], plan: Plan) -> None:
    """Write ``metadata.csv``: labels (a JSON list), side, origin, licence and author of every picture.

    It is named and laid out so that distingo, and Hugging Face's ``imagefolder``, take the labels from it.

    Raises:
        ResourceError: It can't be written.
    """
    nothing = ImageFacts()

    def row(each: KeptPicture) -> tuple[str, ...]:
        identifier = each.picture.identifier
        facts = plan.facts.get(identifier, nothing)
        labels = json.dumps([plan.names[at] for at in each.labels], ensure_ascii=False)
        named = (each.outcome.file, labels, each.picture.split, identifier)
        origin = (facts.source, facts.landing_page, facts.licence, facts.author, facts.author_profile, facts.title)
        return (*named, *origin, facts.rotation, each.outcome.final_url)

    write_table(path, _METADATA, (row(each) for each in kept))


def write_boxes(path: Path, kept: Sequence[KeptPicture], plan: Plan) -> None:
    """Write ``boxes.csv``: a line for every box, in shares of the width and height of the picture as it is stored.

    Raises:
        ResourceError: It can't be written.
    """
    write_table(
        path,
        _BOXES,
        (
            (each.outcome.file, plan.names[box.label], *(f"{edge:.6f}" for edge in box.edges), *box.flags)
            for each in kept
            for box in each.boxes
        ),
    )


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
        yield f"left out for having several of the classes ({option('single', value=True)}): {plan.selection.dropped:,}"
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
