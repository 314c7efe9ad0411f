"""The cells of Open Images' tables as records.

Where Open Images V7 keeps its tables and pictures, as its download page says.
"""

from __future__ import annotations

import csv
import io
from array import array
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar, get_args

from distingo.download.names import KnownClass
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
        raise DataError(f"{url}: is no list of classes ({error})", code="unexpected_answer") from error
    known = tuple(KnownClass(row[0], (row[1],)) for row in rows if len(row) >= 2 and row[0].startswith("/"))
    if not known:
        begins = content[:60].decode("utf-8", "replace")
        raise DataError(f"{url}: is no list of classes; it begins {begins!r}", code="unexpected_answer")
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
        raise DataError(
            f"{path}: is not the table that was expected ({reason}); remove it and try again", code="unexpected_answer"
        ) from error


OpenImagesSplit = Literal["train", "validation", "test"]

OPEN_IMAGES_SPLITS: tuple[OpenImagesSplit, ...] = get_args(OpenImagesSplit)

LICENCE = """Open Images Dataset V7, https://storage.googleapis.com/openimages/web/index.html

The annotations are licensed by Google LLC under CC BY 4.0 (https://creativecommons.org/licenses/by/4.0/). The pictures
are listed as having a CC BY 2.0 licence (https://creativecommons.org/licenses/by/2.0/); nobody vouches for that: verify
the licence of each picture yourself. metadata.csv names the licence, the author and the source of each.

A. Kuznetsova, H. Rom, N. Alldrin, J. Uijlings, I. Krasin, J. Pont-Tuset, S. Kamali, S. Popov, M. Malloci,
A. Kolesnikov, T. Duerig, V. Ferrari: The Open Images Dataset V4: Unified image classification, object detection, and
visual relationship detection at scale. International Journal of Computer Vision, 2020.
"""

_LABELS = "v7/oidv7-{}-annotations-human-imagelabels.csv"

_LABEL_TABLES: dict[OpenImagesSplit, str] = {
    "train": _LABELS.format("train"),
    "validation": _LABELS.format("val"),
    "test": _LABELS.format("test"),
}

_BOX_TABLES: dict[OpenImagesSplit, str] = {
    "train": "v6/oidv6-train-annotations-bbox.csv",
    "validation": "v5/validation-annotations-bbox.csv",
    "test": "v5/test-annotations-bbox.csv",
}

_IMAGE_TABLES: dict[OpenImagesSplit, str] = {
    "train": "v6/oidv6-train-images-with-labels-with-rotation.csv",
    "validation": "2018_04/validation/validation-images-with-rotation.csv",
    "test": "2018_04/test/test-images-with-rotation.csv",
}

_BOXABLE_TRAINING_IMAGES = "2018_04/train/train-images-boxable-with-rotation.csv"


@dataclass(frozen=True, slots=True)
class OpenImagesAddresses:
    """The roots of the two stores; a mirror has the same paths below them.

    Attributes:
        tables: Class lists, labels, boxes, and where each picture comes from.
        pictures: The pictures of the Common Visual Data Foundation, of which the training ones without boxes are
            missing.
    """

    tables: str = "https://storage.googleapis.com/openimages"
    pictures: str = "https://open-images-dataset.s3.amazonaws.com"

    def classes(self, *, boxable: bool) -> str:
        """The list of classes: LabelName,DisplayName."""
        return f"{self.tables}/v7/oidv7-class-descriptions{'-boxable' if boxable else ''}.csv"

    def labels(self, split: OpenImagesSplit) -> str:
        """The labels that people verified: ImageID,Source,LabelName,Confidence."""
        return f"{self.tables}/{_LABEL_TABLES[split]}"

    def boxes(self, split: OpenImagesSplit) -> str:
        """The boxes: ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,..."""
        return f"{self.tables}/{_BOX_TABLES[split]}"

    def images(self, split: OpenImagesSplit, *, boxable: bool) -> str:
        """Where the pictures come from: ImageID,Subset,OriginalURL,OriginalLandingURL,License,AuthorProfileURL,..."""
        table = _BOXABLE_TRAINING_IMAGES if boxable and split == "train" else _IMAGE_TABLES[split]
        return f"{self.tables}/{table}"

    def picture(self, split: OpenImagesSplit, identifier: str) -> str:
        """One picture, its longer side at most 1024 pixels."""
        return f"{self.pictures}/{split}/{identifier}.jpg"
