"""From the names of classes to the pictures of Open Images that are to be fetched.

Which pictures of Open Images are taken: by class, at most so many, with all of their labels.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from distingo.download.names import KnownClass, find_classes, folder_names
from distingo.download.open_images_tables import (
    Box,
    ImageFacts,
    OpenImagesAddresses,
    OpenImagesSplit,
    read_boxes,
    read_class_list,
    read_images,
    read_labels,
)
from distingo.download.table_streaming import TableSource, WantedLines
from distingo.errors import DataError, UsageError, option
from distingo.files import content_hash

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
    pictures = tuple(_describe(every, has, chosen, _splits(found, every)))
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


def _describe(
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
