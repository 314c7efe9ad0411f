"""Pictures of Open Images by class, each with its labels, licence and author.

What is written beside the pictures of Open Images: labels, origins and boxes.

Which of the fetched pictures of Open Images are kept: those that are large enough, and are pictures still.

From the names of classes to the pictures of Open Images that are to be fetched.

Which pictures of Open Images are taken: by class, at most so many, with all of their labels.
"""

from __future__ import annotations

import json
from array import array
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from distingo.datasets.manifest import write_table
from distingo.datasets.own_files import BOXES_NAME, LICENCE_NAME, METADATA_NAME
from distingo.download.connections import Connections
from distingo.download.fetching import fetch
from distingo.download.folder import DownloadFolder, Gathered, open_folder
from distingo.download.names import KnownClass, find_classes, folder_names
from distingo.download.open_images_tables import (
    BOX_FLAGS,
    LICENCE,
    Box,
    ImageFacts,
    OpenImagesAddresses,
    OpenImagesSplit,
    read_boxes,
    read_class_list,
    read_images,
    read_labels,
)
from distingo.download.records import PICTURES, Limits, Outcome, WantedFile
from distingo.download.table_streaming import TableSource, WantedLines
from distingo.download.url_lists import removed_since
from distingo.errors import DataError, UsageError, option
from distingo.files import content_hash, write_text

if TYPE_CHECKING:
    Identifiers = np.ndarray[tuple[int], np.dtype[np.uint64]]
    Flags = np.ndarray[tuple[int, ...], np.dtype[np.bool_]]


@dataclass(frozen=True, slots=True)
class SelectedPicture:
    """One picture that is to be fetched.

    Attributes:
        identifier: 16 hexadecimal digits.
        split: The side that its author put it on.
        classes: Positions of its classes among those asked for, ascending; never empty.
    """

    identifier: str
    split: OpenImagesSplit
    classes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Selection:
    """The pictures that are to be fetched.

    Attributes:
        pictures: Sorted by identifier.
        found: For each class, how many pictures the tables name.
        dropped: How many were left out for having several of the classes.
    """

    pictures: tuple[SelectedPicture, ...]
    found: tuple[int, ...]
    dropped: int

    @property
    def has_several(self) -> bool:
        """Whether some picture has more than one of the classes."""
        return any(len(picture.classes) > 1 for picture in self.pictures)


def select_pictures(
    found: Mapping[tuple[OpenImagesSplit, int], Iterable[int]],
    classes: int,
    *,
    limit: int | None = None,
    seed: int = 0,
    single: bool = False,
) -> Selection:
    """Choose pictures.

    The choice under a limit follows from the seed and the identifiers alone, not from the order of the tables: pictures
    are ranked by a hash of both (the finaliser of SplitMix64; Steele, Lea and Flood, 2014), and the first are taken. A
    larger limit takes the same ones and more.

    Args:
        found: For a side and a class, the identifiers of the pictures that show it, as integers; repeats are allowed.
        classes: How many there are.
        limit: At most so many pictures for each class. A picture taken for one class keeps the others that it has, so
            that a class may end up with more.
        seed: Of the choice.
        single: Leave out pictures that have several of the classes.

    Returns:
        The choice, and what it was made from.
    """
    by_class = [_joined(found, at) for at in range(classes)]
    every = np.unique(np.concatenate([*by_class, np.empty(0, np.uint64)]))
    has: Flags = np.stack([np.isin(every, each, assume_unique=True) for each in by_class], axis=1)
    allowed: Flags = has.sum(axis=1) == 1 if single else np.ones(len(every), np.bool_)
    chosen: Flags = np.zeros(len(every), np.bool_)
    order = np.argsort(_scatter(every, seed), kind="stable")
    for at in range(classes):
        ranked = order[(has[:, at] & allowed)[order]]
        chosen[ranked[:limit]] = True
    pictures = tuple(_as_selected(every, has, chosen, _splits(found, every)))
    return Selection(pictures, tuple(len(each) for each in by_class), int((~allowed).sum()))


def _joined(found: Mapping[tuple[OpenImagesSplit, int], Iterable[int]], at: int) -> Identifiers:
    parts = [np.asarray(ids, np.uint64) for (_, index), ids in found.items() if index == at]
    return np.unique(np.concatenate([*parts, np.empty(0, np.uint64)]))


def _splits(found: Mapping[tuple[OpenImagesSplit, int], Iterable[int]], every: Identifiers) -> list[OpenImagesSplit]:
    names = sorted({split for split, _ in found})
    numbers = np.zeros(len(every), np.uint8)
    for (split, _), ids in found.items():
        numbers[np.searchsorted(every, np.unique(np.asarray(ids, np.uint64)))] = names.index(split)
    return [names[number] for number in numbers]


def _scatter(ids: Identifiers, seed: int) -> Identifiers:
    offset = (0x9E3779B97F4A7C15 * (seed + 1)) % (1 << 64)
    value = ids + np.uint64(offset)  # wraps around, as meant
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


def _as_selected(
    every: Identifiers, has: Flags, chosen: Flags, splits: list[OpenImagesSplit]
) -> Iterable[SelectedPicture]:
    for at in np.flatnonzero(chosen):
        classes = tuple(int(index) for index in np.flatnonzero(has[at]))
        yield SelectedPicture(f"{int(every[at]):016x}", splits[at], classes)


_SEVERAL = "images"


@dataclass(frozen=True, slots=True)
class OpenImagesRequest:
    """Which pictures are wanted.

    Attributes:
        classes: Names, or identifiers (``/m/...``).
        splits: Of these sides.
        limit: At most so many for each class; None takes all.
        boxes: Whether a picture must have a box of the class; else people must have said that it shows it.
        smallest: In pixels: the shorter side of a picture, with `boxes` that of a box, is at least this long.
        single: Leave out pictures that have several of the classes.
        seed: Of the choice under a limit.
    """

    classes: tuple[str, ...]
    splits: tuple[OpenImagesSplit, ...] = ("train",)
    limit: int | None = None
    boxes: bool = False
    smallest: int = 0
    single: bool = False
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be fetched.

    Attributes:
        names: Of the classes, as folders.
        selection: The pictures.
        facts: Where they come from, by identifier; a few may be missing.
        boxes: The boxes of the classes, by identifier of the picture.
    """

    names: tuple[str, ...]
    selection: Selection
    facts: Mapping[str, ImageFacts]
    boxes: Mapping[str, Sequence[Box]]

    def place(self, picture: SelectedPicture) -> str:
        """A picture's file without its ending, relative to the folder, with forward slashes."""
        folder = _SEVERAL if self.selection.has_several else self.names[picture.classes[0]]
        return f"{folder}/{picture.identifier}"


@dataclass(frozen=True, slots=True)
class OpenImagesTables:
    """The tables: each goes by once, and its wanted lines are kept.

    Attributes:
        folder: Where to keep them.
        source: How to ask.
        addresses: Where the tables are.
    """

    folder: Path
    source: TableSource
    addresses: OpenImagesAddresses = field(default_factory=OpenImagesAddresses)

    def lines(self, url: str, column: str, values: Collection[str]) -> Path:
        """The wanted lines of a table, from an earlier run where it had come to the table's end."""
        key = content_hash("\n".join([url, column, *sorted(values)]).encode("utf-8"))
        path = self.folder / f"{url.rpartition('/')[2].removesuffix('.csv')}-{key}.csv"
        if not path.exists():
            self.source.keep_lines(WantedLines(url, column, frozenset(value.encode() for value in values)), path)
        return path


def find_open_images_classes(
    request: OpenImagesRequest, source: TableSource, addresses: OpenImagesAddresses
) -> tuple[KnownClass, ...]:
    """Find the classes that a request names.

    Raises:
        DataError: The list of classes can't be had.
        UsageError: There is no such class, or none with boxes where boxes are wanted.
    """
    url = addresses.classes(boxable=request.boxes)
    known = read_class_list(source.read(url), url)
    if not request.boxes:
        return find_classes(request.classes, known, "Open Images")
    try:
        return find_classes(request.classes, known, "Open Images with boxes")
    except UsageError as error:
        raise UsageError(
            f"{error} (of its 20,000 classes 600 have boxes; {option('boxes', value=False)} takes the others)",
            code=error.code,
            parameter=error.parameter,
        ) from error


def make_plan(request: OpenImagesRequest, classes: Sequence[KnownClass], tables: OpenImagesTables) -> Plan:
    """Choose the pictures of some classes.

    Raises:
        DataError: A table can't be had or is another one than expected, or no picture fits.
    """
    positions = {each.identifier: at for at, each in enumerate(classes)}
    extracts = {split: _label_lines(request, split, positions, tables) for split in request.splits}
    found: dict[tuple[OpenImagesSplit, int], array[int]] = {}
    for split, path in extracts.items():
        found.update({(split, at): pictures for at, pictures in read_labels(path, positions).items()})
    selection = select_pictures(found, len(classes), limit=request.limit, seed=request.seed, single=request.single)
    if not selection.pictures:
        names, sides = ", ".join(each.name for each in classes), ", ".join(request.splits)
        raise DataError(
            f"Open Images has no such pictures of {names} in {sides}; try other classes or splits",
            code="nothing_matches",
            parameter="classes",
        )
    facts: dict[str, ImageFacts] = {}
    boxes: defaultdict[str, list[Box]] = defaultdict(list)
    for split, path in extracts.items():
        chosen = {picture.identifier for picture in selection.pictures if picture.split == split}
        if chosen:
            images = tables.addresses.images(split, boxable=request.boxes)
            facts.update(read_images(tables.lines(images, "ImageID", chosen)))
        for box in read_boxes(path, positions, chosen) if request.boxes else ():
            boxes[box.identifier].append(box)
    return Plan(folder_names(classes), selection, facts, dict(boxes))


def _label_lines(
    request: OpenImagesRequest, split: OpenImagesSplit, positions: Mapping[str, int], tables: OpenImagesTables
) -> Path:
    addresses = tables.addresses
    url = addresses.boxes(split) if request.boxes else addresses.labels(split)
    return tables.lines(url, "LabelName", positions.keys())


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
