"""Open Images V7: URLs of tables and images, parsing of the tables, and selection of images."""

from __future__ import annotations

import csv
import io
from array import array
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar, get_args

import numpy as np

from distingo.download.records import CatalogClass
from distingo.errors import DataError
from distingo.options.fields import Option

if TYPE_CHECKING:
    Identifiers = np.ndarray[tuple[int], np.dtype[np.uint64]]
    Flags = np.ndarray[tuple[int, ...], np.dtype[np.bool_]]

_Parsed = TypeVar("_Parsed")

OpenImagesSplit = Literal["train", "validation", "test"]

OPEN_IMAGES_SPLITS: tuple[OpenImagesSplit, ...] = get_args(OpenImagesSplit)

BOX_FLAGS = ("IsOccluded", "IsTruncated", "IsGroupOf", "IsDepiction", "IsInside")

_FACT_COLUMNS = ("OriginalURL", "OriginalLandingURL", "License", "Author", "AuthorProfileURL", "Title", "Rotation")
"""Columns in the order of the fields of `ImageFacts`."""


@dataclass(frozen=True, slots=True)
class Box:
    """A bounding box.

    Attributes:
        identifier: Identifier of the image.
        label: Index of the class among the requested ones.
        edges: Left, right, top and bottom as fractions of the image's width and height.
        flags: Values in the order of `BOX_FLAGS`: 1 yes, 0 no, -1 unknown.
    """

    identifier: str
    label: int
    edges: tuple[float, float, float, float]
    flags: tuple[str, ...]

    def shorter_side(self, width: int, height: int) -> float:
        """Return the length of the shorter side in pixels, for an image of this size."""
        left, right, top, bottom = self.edges
        return min((right - left) * width, (bottom - top) * height)


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """Source and license of an image.

    Attributes:
        source: URL of the original.
        landing_page: URL of the page that shows it.
        license: URL of the license.
        author: The author's name.
        author_profile: URL of the author's page.
        title: The author's title of the image.
        rotation: Counterclockwise rotation in degrees that makes the image upright; empty if unknown.
    """

    source: str = ""
    landing_page: str = ""
    license: str = ""
    author: str = ""
    author_profile: str = ""
    title: str = ""
    rotation: str = ""


def read_class_list(content: bytes, url: str) -> tuple[CatalogClass, ...]:
    """Parse the list of classes, a CSV file with the columns LabelName and DisplayName but no header.

    Args:
        content: The file.
        url: Its URL, for error messages.

    Raises:
        DataError: The content is not such a list.
    """
    try:
        rows = list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")))
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{url}: is no list of classes ({error})", code="unexpected_answer") from error
    classes = tuple(CatalogClass(row[0], (row[1],)) for row in rows if len(row) >= 2 and row[0].startswith("/"))
    if not classes:
        begins = content[:60].decode("utf-8", "replace")
        raise DataError(f"{url}: is no list of classes; it begins {begins!r}", code="unexpected_answer")
    return classes


def read_labels(path: Path, classes: Mapping[str, int]) -> dict[int, array[int]]:
    """Read the images of each class, with labels that people verified.

    Args:
        path: Lines of a table of labels or of boxes.
        classes: Indices of the requested classes by identifier.

    Returns:
        Image identifiers as 64-bit integers, perhaps with repetitions, by index of the class.

    Raises:
        DataError: A line can't be parsed.
    """
    images_by_class: defaultdict[int, array[int]] = defaultdict(lambda: array("Q"))

    def parse(row: dict[str, str]) -> None:
        if float(row["Confidence"]) == 1:
            images_by_class[classes[row["LabelName"]]].append(int(row["ImageID"], 16))

    for _ in _each(path, parse):
        pass
    return dict(images_by_class)


def read_boxes(path: Path, classes: Mapping[str, int], images: Collection[str]) -> Iterator[Box]:
    """Read the boxes of some images.

    Args:
        path: Lines of a table of boxes.
        classes: Indices of the requested classes by identifier.
        images: Identifiers of the images.

    Raises:
        DataError: A line can't be parsed.
    """

    def parse(row: dict[str, str]) -> Box | None:
        if row["ImageID"] not in images or float(row["Confidence"]) != 1:
            return None
        left, right, top, bottom = (float(row[name]) for name in ("XMin", "XMax", "YMin", "YMax"))
        flags = tuple(row[name] for name in BOX_FLAGS)
        return Box(row["ImageID"], classes[row["LabelName"]], (left, right, top, bottom), flags)

    return (box for box in _each(path, parse) if box is not None)


def read_images(path: Path) -> dict[str, ImageFacts]:
    """Read the sources of images by identifier.

    Raises:
        DataError: A line can't be parsed.
    """

    def parse(row: dict[str, str]) -> tuple[str, ImageFacts]:
        return row["ImageID"], ImageFacts(*(row[column] or "" for column in _FACT_COLUMNS))

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


LICENSE = """Open Images Dataset V7, https://storage.googleapis.com/openimages/web/index.html

The annotations are licensed by Google LLC under CC BY 4.0 (https://creativecommons.org/licenses/by/4.0/). The pictures
are listed as having a CC BY 2.0 license (https://creativecommons.org/licenses/by/2.0/); nobody guarantees that: verify
the license of each picture yourself. metadata.csv names the license, the author and the source of each.

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
    """Base URLs of the tables and of the images; a mirror must have the same paths below them."""

    tables: Annotated[
        str,
        Option(
            help="address below which class lists, labels, boxes and sources are", metavar="URL", flag="--tables-mirror"
        ),
    ] = "https://storage.googleapis.com/openimages"
    images: Annotated[
        str,
        Option(
            help="address below which the images are (training images without boxes are missing in the official one)",
            metavar="URL",
            flag="--images-mirror",
            flags=("--pictures-mirror",),
        ),
    ] = "https://open-images-dataset.s3.amazonaws.com"

    def classes(self, *, boxable: bool) -> str:
        """Return the URL of the list of classes: LabelName,DisplayName."""
        return f"{self.tables}/v7/oidv7-class-descriptions{'-boxable' if boxable else ''}.csv"

    def labels(self, split: OpenImagesSplit) -> str:
        """Return the URL of the labels that people verified: ImageID,Source,LabelName,Confidence."""
        return f"{self.tables}/{_LABEL_TABLES[split]}"

    def boxes(self, split: OpenImagesSplit) -> str:
        """Return the URL of the boxes: ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,..."""
        return f"{self.tables}/{_BOX_TABLES[split]}"

    def image_table(self, split: OpenImagesSplit, *, boxable: bool) -> str:
        """Return the URL of the images' sources: ImageID,Subset,OriginalURL,OriginalLandingURL,License,..."""
        table = _BOXABLE_TRAINING_IMAGES if boxable and split == "train" else _IMAGE_TABLES[split]
        return f"{self.tables}/{table}"

    def image(self, split: OpenImagesSplit, identifier: str) -> str:
        """Return the URL of an image, whose longer side has at most 1024 pixels."""
        return f"{self.images}/{split}/{identifier}.jpg"


@dataclass(frozen=True, slots=True)
class SelectedImage:
    """An image to download.

    Attributes:
        identifier: 16 hexadecimal digits.
        split: The split of Open Images that it is in.
        classes: Indices of its classes among the requested ones, ascending; never empty.
    """

    identifier: str
    split: OpenImagesSplit
    classes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Selection:
    """The images to download.

    Attributes:
        images: The images, sorted by identifier.
        counts: Number of images in the tables for each class.
        dropped: Number of images that were left out because they have several of the classes.
    """

    images: tuple[SelectedImage, ...]
    counts: tuple[int, ...]
    dropped: int

    @property
    def has_several(self) -> bool:
        """Whether any image has more than one of the classes."""
        return any(len(image.classes) > 1 for image in self.images)


def select_images(
    identifiers: Mapping[tuple[OpenImagesSplit, int], Iterable[int]],
    classes: int,
    *,
    limit: int | None = None,
    seed: int = 0,
    single: bool = False,
) -> Selection:
    """Select the images to download.

    With a limit, the selection depends on the seed and the identifiers only, not on the order of the tables: images are
    ranked by a hash of both (the finalizer of SplitMix64; Steele, Lea and Flood, 2014), and the first are taken. A
    larger limit selects a superset.

    Args:
        identifiers: Identifiers of images as integers, by split and index of the class; repetitions are allowed.
        classes: Number of classes.
        limit: Maximum number of images per class. An image that was selected for one class counts for its other
            classes too, so that these may get more images.
        seed: Seed of the selection.
        single: Whether to leave out images that have several of the classes.

    Returns:
        The selected images, and the numbers of images in the tables.
    """
    sets = {key: np.unique(np.asarray(ids, np.uint64)) for key, ids in identifiers.items()}
    by_class = [_union([ids for (_, index), ids in sets.items() if index == at]) for at in range(classes)]
    every = _union(by_class)
    has: Flags = np.stack([np.isin(every, each, assume_unique=True) for each in by_class], axis=1)
    allowed: Flags = has.sum(axis=1) == 1 if single else np.ones(len(every), np.bool_)
    is_selected: Flags = np.zeros(len(every), np.bool_)
    order = np.argsort(_scatter(every, seed), kind="stable")
    for at in range(classes):
        ranked = order[(has[:, at] & allowed)[order]]
        is_selected[ranked[:limit]] = True
    names = sorted({split for split, _ in sets})
    splits = np.zeros(len(every), np.uint8)
    for (split, _), ids in sets.items():
        splits[np.searchsorted(every, ids)] = names.index(split)
    images = tuple(
        SelectedImage(f"{int(every[at]):016x}", names[splits[at]], tuple(np.flatnonzero(has[at]).tolist()))
        for at in np.flatnonzero(is_selected)
    )
    return Selection(images, tuple(len(each) for each in by_class), int((~allowed).sum()))


def _union(parts: Sequence[Identifiers]) -> Identifiers:
    return np.unique(np.concatenate([*parts, np.empty(0, np.uint64)]))


def _scatter(ids: Identifiers, seed: int) -> Identifiers:
    offset = (0x9E3779B97F4A7C15 * (seed + 1)) % (1 << 64)
    value = ids + np.uint64(offset)  # wraps around intentionally
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))
