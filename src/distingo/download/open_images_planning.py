"""From the names of classes to the pictures of Open Images that are to be fetched."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from distingo.download.naming_classes import KnownClass, find_classes, folder_names
from distingo.download.open_images_addresses import OpenImagesAddresses, OpenImagesSplit
from distingo.download.open_images_selecting import SelectedPicture, Selection, select_pictures
from distingo.download.open_images_tables import Box, ImageFacts, read_boxes, read_class_list, read_images, read_labels
from distingo.download.table_lines import WantedLines
from distingo.download.table_streaming import TableSource
from distingo.errors import DataError, UsageError
from distingo.files import content_hash

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
        raise UsageError(f"{error} (of its 20,000 classes 600 have boxes; --labels takes the others)") from error


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
        raise DataError(f"Open Images has no such pictures of {names} in {sides}; try other classes or --split")
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
