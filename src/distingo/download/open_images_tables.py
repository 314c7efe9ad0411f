"""The cells of Open Images' tables as records."""

from __future__ import annotations

import csv
import io
from array import array
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from distingo.download.naming_classes import KnownClass
from distingo.errors import DataError

_Parsed = TypeVar("_Parsed")

BOX_FLAGS = ("IsOccluded", "IsTruncated", "IsGroupOf", "IsDepiction", "IsInside")


@dataclass(frozen=True, slots=True)
class Box:
    """One box, in shares of the picture's width and height, as the table has it.

    Attributes:
        identifier: Of the picture.
        label: Position of its class among those asked for.
        edges: Left, right, top and bottom, each from 0 to 1.
        flags: In the order of `BOX_FLAGS`: 1 yes, 0 no, -1 unknown.
    """

    identifier: str
    label: int
    edges: tuple[float, float, float, float]
    flags: tuple[str, ...]

    def shorter_side(self, width: int, height: int) -> float:
        """In pixels of a picture of that size."""
        left, right, top, bottom = self.edges
        return min((right - left) * width, (bottom - top) * height)


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """Where a picture comes from.

    Attributes:
        source: Address of the original.
        landing_page: Address of the page that shows it.
        licence: Address of the licence.
        author: The author's name.
        author_profile: Address of the author's page.
        title: As the author gave it.
        rotation: By how many degrees counter-clockwise it is to be turned to be upright; empty where unknown.
    """

    source: str = ""
    landing_page: str = ""
    licence: str = ""
    author: str = ""
    author_profile: str = ""
    title: str = ""
    rotation: str = ""


def read_class_list(content: bytes, url: str) -> tuple[KnownClass, ...]:
    """Read LabelName,DisplayName.

    Raises:
        DataError: It is no such list.
    """
    try:
        rows = list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")))
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{url}: is no list of classes ({error})") from error
    known = tuple(KnownClass(row[0], (row[1],)) for row in rows if len(row) >= 2 and row[0].startswith("/"))
    if not known:
        begins = content[:60].decode("utf-8", "replace")
        raise DataError(f"{url}: is no list of classes; it begins {begins!r}")
    return known


def read_labels(path: Path, classes: Mapping[str, int]) -> dict[int, array[int]]:
    """Read which pictures people say show a class, eight bytes each.

    Args:
        path: Lines of a table of labels or of boxes.
        classes: From identifier to position among those asked for.

    Returns:
        By position of the class, the pictures' identifiers as integers; repeats are possible.

    Raises:
        DataError: A line is not understood.
    """
    found: defaultdict[int, array[int]] = defaultdict(lambda: array("Q"))

    def parse(row: dict[str, str]) -> None:
        if float(row["Confidence"]) == 1:
            found[classes[row["LabelName"]]].append(int(row["ImageID"], 16))

    for _ in _each(path, parse):
        pass
    return dict(found)


def read_boxes(path: Path, classes: Mapping[str, int], pictures: Collection[str]) -> Iterator[Box]:
    """Read the boxes of some pictures.

    Raises:
        DataError: A line is not understood.
    """

    def parse(row: dict[str, str]) -> Box | None:
        if row["ImageID"] not in pictures or float(row["Confidence"]) != 1:
            return None
        left, right, top, bottom = (float(row[name]) for name in ("XMin", "XMax", "YMin", "YMax"))
        flags = tuple(row[name] for name in BOX_FLAGS)
        return Box(row["ImageID"], classes[row["LabelName"]], (left, right, top, bottom), flags)

    return (box for box in _each(path, parse) if box is not None)


def read_images(path: Path) -> dict[str, ImageFacts]:
    """Read where pictures come from, by identifier.

    Raises:
        DataError: A line is not understood.
    """

    def parse(row: dict[str, str]) -> tuple[str, ImageFacts]:
        return row["ImageID"], ImageFacts(
            source=row["OriginalURL"],
            landing_page=row["OriginalLandingURL"],
            licence=row["License"],
            author=row["Author"],
            author_profile=row["AuthorProfileURL"],
            title=row["Title"],
            rotation=row["Rotation"] or "",
        )

    return dict(_each(path, parse))


def _each(path: Path, parse: Callable[[dict[str, str]], _Parsed]) -> Iterator[_Parsed]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                yield parse(row)
    except (csv.Error, KeyError, ValueError, TypeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise DataError(f"{path}: is not the table that was expected ({reason}); remove it and try again") from error
