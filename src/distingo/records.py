"""Immutable records that several packages share: images, data sets, splits and preprocessing."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from distingo.errors import CONTROLS
from distingo.messages.notes import Note

if TYPE_CHECKING:
    import numpy as np

SplitName = Literal["train", "validation", "test"]
"""Names of the three splits, as used in every file."""

SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")

Task = Literal["single-label", "multi-label"]

ManifestStatus = Literal["used", "unusable", "duplicate", "conflict", "ignored", "missing"]
"""Outcome for a file: used; not decodable; a redundant copy; found under two classes; not a candidate; listed in a
table, but missing."""

DEFAULT_MAX_PIXELS = 178_956_970
"""Maximum width times height of an image to decode: 512 MiB of RGB, which is Pillow's own limit."""

ImageNote = Literal["missing-end-marker", "profile-ignored", "decoder-warning", "unsupported", "too-many-pixels"]
"""Details of a file besides its status. For a used file, a small fault: all pixels are there but the end marker is
missing; its color profile is broken or for another type of image; the decoder gave a warning but decoded all pixels.
For an unusable file, why it may be undamaged: its type is not supported; it exceeds the pixel limit."""

HOLDS_CORRECTIONS = "holds-corrections"
HOLDS_PROVENANCE = "holds-provenance"
KEPT_BY_DOWNLOAD = "kept-by-download"
LABELS_OF_DOWNLOAD = "holds-labels-of-download"

OWN_REASONS = frozenset({HOLDS_CORRECTIONS, HOLDS_PROVENANCE, KEPT_BY_DOWNLOAD, LABELS_OF_DOWNLOAD})
"""Reason codes with which distingo's own files are ignored; no other file has one of these codes."""


ValueKind = Literal["unsigned", "signed", "floating"]
"""Kinds of deep images: unsigned and signed integers of more than 8 bits, and floating-point numbers."""


@dataclass(frozen=True, slots=True)
class ValueRange:
    """The stored values shown as black (0) and as white (255); values outside are clipped.

    Attributes:
        black: In the file's own units.
        white: In the file's own units, above `black`.
    """

    black: float
    white: float


@dataclass(frozen=True, slots=True)
class ValueRanges:
    """The value range of each kind of deep image (more than 8 bits, signed or float); 8-bit images are never scaled.

    Each kind has its own range, since files of different types rarely use the same units.

    Attributes:
        unsigned: Range of unsigned integers of more than 8 bits; None if unknown.
        signed: Range of signed integers; None if unknown.
        floating: Range of floating-point numbers; None if unknown.
    """

    unsigned: ValueRange | None = None
    signed: ValueRange | None = None
    floating: ValueRange | None = None

    def find(self, dtype: str) -> ValueRange | None:
        """Find the range for a dtype.

        Args:
            dtype: NumPy's name of the stored type, for example ``uint16``.

        Returns:
            The range of its kind; None if unknown. Signed and unsigned integers fall back to each other's range, since
            readers of the same file differ in the signedness they report.
        """
        if dtype.startswith("float"):
            return self.floating
        if dtype.startswith("uint"):
            return self.unsigned or self.signed
        return self.signed or self.unsigned

    @property
    def known(self) -> dict[ValueKind, ValueRange]:
        """The ranges that are not None, by kind."""
        ranges: dict[ValueKind, ValueRange | None] = {
            "unsigned": self.unsigned,
            "signed": self.signed,
            "floating": self.floating,
        }
        return {kind: value_range for kind, value_range in ranges.items() if value_range is not None}

    def to_json(self) -> dict[ValueKind, list[float]]:
        """Return ``[black, white]`` by kind, for a JSON file."""
        return {kind: [value_range.black, value_range.white] for kind, value_range in self.known.items()}

    @classmethod
    def from_json(cls, content: Mapping[Any, Sequence[float]] | None) -> ValueRanges:
        """Create the ranges from the output of `to_json`; None gives no ranges.

        Raises:
            TypeError: A kind is unknown, or the content has another type.
            ValueError: An entry is not a pair of finite numbers with black below white.
        """
        ranges = {}
        for kind, pair in (content or {}).items():
            black, white = map(float, pair)
            if not -math.inf < black < white < math.inf:
                raise ValueError(f"value range {black:g} to {white:g}: black must be below white")
            ranges[kind] = ValueRange(black, white)
        return cls(**ranges)


NO_VALUE_RANGES = ValueRanges()
"""No ranges: every deep image is scaled by its own values."""


@dataclass(frozen=True, slots=True)
class Source:
    """Location of one image's pixels.

    Attributes:
        file: Name of the image for people: the path relative to the data set's root, with forward slashes. An image
            inside an IDX file is ``train-images-idx3-ubyte.gz#17``.
        path: The file on disk.
        index: The image's index in a container file (IDX), or None if the file is a single image.
        value_range: The range by which a deep image's stored values are scaled; None uses the image's own values.
    """

    file: str
    path: Path
    index: int | None = None
    value_range: ValueRange | ValueRanges | None = None


def row_key(content: str, value_range: ValueRange | ValueRanges | None) -> str:
    """Compute the cache key of data derived from an image.

    Args:
        content: Hash of the file's bytes, as in `LabeledImage.content`.
        value_range: As in `Source.value_range`; None for an 8-bit image.

    Returns:
        32 hexadecimal digits; `content` itself if there is no range.
    """
    if value_range is None:
        return content
    return hashlib.blake2b(f"{content} {value_range!r}".encode(), digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True)
class LabeledImage:
    """One usable image of a dataset.

    Attributes:
        source: Where its pixels come from.
        labels: The names of its classes; exactly one for a single-label task.
        content: Hash of the file's bytes (hexadecimal).
        pixels: Hash of the decoded pixels, or of a deep image's stored values (hexadecimal); equal for the same image
            in two file formats.
        width: In pixels, after EXIF rotation.
        height: In pixels, after EXIF rotation.
        predefined_split: The split that the data set itself assigns to the image, or None.
    """

    source: Source
    labels: tuple[str, ...]
    content: str
    pixels: str
    width: int
    height: int
    predefined_split: SplitName | None = None

    @property
    def row_key(self) -> str:
        """The cache key, computed from the content and, for a deep image, the value range."""
        return row_key(self.content, self.source.value_range)

    @property
    def label(self) -> str:
        """The label of a single-label image; raises `ValueError` unless there is exactly one."""
        (label,) = self.labels
        return label


@dataclass(frozen=True, slots=True)
class ManifestRow:
    """Outcome for one file of a data set.

    Attributes:
        file: As in `Source.file`.
        status: See `ManifestStatus`.
        reason: Why the file is not used (for the codes see `distingo.messages.notes`); for a used file its
            small faults, usually None.
        labels: The class names that the file was found under.
        split: The split that the data set itself assigns, or None.
        format: The actual format (``JPEG``, ``PNG``, ``HTML``, ...), whatever the file's extension is.
        width: In pixels, 0 if unknown.
        height: In pixels, 0 if unknown.
        content: Hash of the file's bytes, empty if unreadable.
        same_as: The file that a duplicate or conflict is a copy of.
        lines: Line numbers (Parquet: row numbers) in a table that name the file, counted from 1.
        notes: Details for code, as in `ImageNote`.
    """

    file: str
    status: ManifestStatus
    reason: Note | None
    labels: tuple[str, ...]
    split: SplitName | None
    format: str
    width: int
    height: int
    content: str
    same_as: str = ""
    lines: tuple[int, ...] = ()
    notes: tuple[ImageNote, ...] = ()

    @property
    def is_own(self) -> bool:
        """Whether this is one of distingo's own files, which are not part of the data."""
        return self.status == "ignored" and self.reason is not None and self.reason.code in OWN_REASONS


VariantKind = Literal[
    "case",
    "spaces",
    "Unicode form",
    "case and spaces",
    "case, spaces and Unicode form",
    "number format",
    "missing value",
]


@dataclass(frozen=True, slots=True)
class LabelVariants:
    """Labels that differ only in spelling, or that stand for a missing value.

    Attributes:
        kind: How the spellings differ; ``missing value`` for ``NA``, ``nan``, ``None`` and similar.
        spellings: Pairs of spelling and number of table rows (or files, without a table), the most frequent first.
    """

    kind: VariantKind
    spellings: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Dataset:
    """Images with labels, and the outcome for every file found.

    Attributes:
        root: The folder that file names are relative to.
        layout: The detected layout: class folders, split folders, IDX files, or a table with one 0/1 column per label.
        task: Whether images have exactly one label or any number.
        classes: All class names, sorted; a model's outputs are in this order.
        images: The usable images.
        manifest: One row per file found or listed in a table.
        notes: What was detected, and warnings.
        groups: Values of the table's group column by file, from all its rows; empty cells are left out.
        value_ranges: The ranges by which deep images are scaled; empty if there are no deep images.
        label_variants: Labels that differ only in spelling, merged or not; each also has a note.
        range_warnings: The subset of `notes` about a requested value range that does not match the data.
    """

    root: Path
    layout: Note
    task: Task
    classes: tuple[str, ...]
    images: tuple[LabeledImage, ...]
    manifest: tuple[ManifestRow, ...]
    notes: tuple[Note, ...] = ()
    groups: dict[str, tuple[str, ...]] = field(default_factory=dict)
    value_ranges: ValueRanges = NO_VALUE_RANGES
    label_variants: tuple[LabelVariants, ...] = ()
    range_warnings: tuple[Note, ...] = ()

    def __repr__(self) -> str:
        counts = f"{len(self.classes)} classes, {len(self.images):,} usable images of {self.file_count:,} files"
        return f"Dataset({str(self.root)!r}, {self.layout}, {counts})"

    @property
    def file_count(self) -> int:
        """Number of files found, without distingo's own files."""
        return sum(row.status != "missing" and not row.is_own for row in self.manifest)

    @property
    def left_out(self) -> tuple[ManifestRow, ...]:
        """The files that are not used, including missing ones, without distingo's own files."""
        return tuple(row for row in self.manifest if row.status != "used" and not row.is_own)


@dataclass(frozen=True, slots=True)
class Split:
    """The images of a data set, divided into splits.

    Attributes:
        train: The images to train on.
        validation: The images for model selection.
        test: The images for the final evaluation; no choice depends on them.
        notes: Warnings, for example about classes too small to stratify.
    """

    train: tuple[LabeledImage, ...]
    validation: tuple[LabeledImage, ...]
    test: tuple[LabeledImage, ...]
    notes: tuple[Note, ...] = ()

    def split(self, name: SplitName) -> tuple[LabeledImage, ...]:
        """Return the images of a split by its name."""
        splits: dict[SplitName, tuple[LabeledImage, ...]] = {
            "train": self.train,
            "validation": self.validation,
            "test": self.test,
        }
        return splits[name]


@dataclass(frozen=True, slots=True)
class ImageSpec:
    """How a decoded image is converted to an array: the part of preprocessing that happens before training.

    Attributes:
        height: In pixels.
        width: In pixels.
        channels: 3 for RGB, 1 for gray.
        fit: ``stretch`` resizes to the exact size; ``crop`` resizes the shorter side by `crop_fraction` and takes a
            center crop.
        crop_fraction: Share of the shorter side that the center crop keeps; 1.0 for ``stretch``.
        interpolation: ``bilinear``, ``bicubic`` or ``lanczos``, always with anti-aliasing.
    """

    height: int
    width: int
    channels: int
    fit: Literal["stretch", "crop"] = "stretch"
    crop_fraction: float = 1.0
    interpolation: Literal["bilinear", "bicubic", "lanczos"] = "bilinear"


LONGEST_NAME = 1000
"""Maximum number of characters in a class name."""


def find_name_fault(name: str) -> str:
    """Explain why a text can't be a class name; empty if it can."""
    if len(name) > LONGEST_NAME:
        return f"has {len(name):,} characters, {LONGEST_NAME:,} are allowed"
    if re.search(f"[{CONTROLS}]", name):
        return "holds a control character"
    try:
        name.encode()
    except UnicodeEncodeError:
        return "holds half of a character"
    return ""


def encode_labels(images: Sequence[LabeledImage], classes: Sequence[str], task: Task) -> np.ndarray:
    """Encode the labels of images as training targets.

    Args:
        images: n of them.
        classes: Names in the order of the model's outputs; every label is one of them.
        task: Single-label or multi-label.

    Returns:
        Class indices, int64 of shape (n,); for multi-label bool of shape (n, classes), with a row of False for an image
        without labels.
    """
    import numpy as np  # takes longer to import than everything else here

    position = {name: index for index, name in enumerate(classes)}
    if task == "single-label":
        return np.array([position[image.label] for image in images], dtype=np.int64)
    table = np.zeros((len(images), len(classes)), dtype=np.bool_)
    for row, image in zip(table, images, strict=True):
        row[[position[label] for label in image.labels]] = True
    return table
