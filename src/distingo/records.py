"""The frozen records that rooms hand each other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Side = Literal["train", "validation", "test"]
"""The three sides of a split, spelled this way in every file."""

SIDES: tuple[Side, ...] = ("train", "validation", "test")

Task = Literal["single-label", "multi-label"]

ManifestStatus = Literal["used", "unusable", "duplicate", "conflict", "ignored"]
"""What became of a file: used; not decodable; a redundant copy; found under two classes; not a candidate."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where one picture's pixels come from.

    Attributes:
        file: The file as a person knows it: relative to the dataset's root, with forward slashes. A picture inside
            an IDX file is ``train-images-idx3-ubyte.gz#17``.
        path: The file on disk.
        index: The picture's position inside a container file (IDX), or None for a file of its own.
    """

    file: str
    path: Path
    index: int | None = None


@dataclass(frozen=True, slots=True)
class Picture:
    """One usable picture of a dataset.

    Attributes:
        source: Where its pixels come from.
        labels: The names of its classes; exactly one for a single-label task.
        content: Hash of the file's bytes (hexadecimal); the key of every cache.
        pixels: Hash of the decoded pixels (hexadecimal), equal for the same picture in two file formats.
        width: In pixels, after EXIF rotation.
        height: In pixels, after EXIF rotation.
        given_side: The side the dataset's author put it on, or None.
    """

    source: Source
    labels: tuple[str, ...]
    content: str
    pixels: str
    width: int
    height: int
    given_side: Side | None = None

    @property
    def label(self) -> str:
        """The only label of a single-label picture."""
        (label,) = self.labels
        return label


@dataclass(frozen=True, slots=True)
class ManifestRow:
    """What became of one file that was found.

    Attributes:
        file: As in `Source.file`.
        status: See `ManifestStatus`.
        reason: Why it is not used, in words for a person; empty for a used file.
        labels: The class names it was found under.
        side: The side its author put it on, or None.
        format: What it really is (``JPEG``, ``PNG``, ``HTML``, ...), whatever its name ends in.
        width: In pixels, 0 where unknown.
        height: In pixels, 0 where unknown.
        content: Hash of the file's bytes, empty where unreadable.
        same_as: For a duplicate or conflict, the file it repeats.
    """

    file: str
    status: ManifestStatus
    reason: str
    labels: tuple[str, ...]
    side: Side | None
    format: str
    width: int
    height: int
    content: str
    same_as: str = ""


@dataclass(frozen=True, slots=True)
class Dataset:
    """Pictures with labels, and an account of every file found.

    Attributes:
        root: The folder it was read from.
        layout: How it was laid out, in words (``class folders``, ``split folders``, ``IDX files``).
        task: Whether a picture carries exactly one label or any number.
        classes: All class names, sorted; a model's outputs are in this order.
        pictures: The usable pictures.
        manifest: One row per file found, each file exactly once.
    """

    root: Path
    layout: str
    task: Task
    classes: tuple[str, ...]
    pictures: tuple[Picture, ...]
    manifest: tuple[ManifestRow, ...]


@dataclass(frozen=True, slots=True)
class Split:
    """Which side each picture falls on.

    Attributes:
        train: The pictures to learn from.
        validation: The pictures to choose by.
        test: The pictures that nothing is chosen by.
        notes: What a person should know, for example classes too small to stratify.
    """

    train: tuple[Picture, ...]
    validation: tuple[Picture, ...]
    test: tuple[Picture, ...]
    notes: tuple[str, ...] = ()

    def side(self, name: Side) -> tuple[Picture, ...]:
        """The pictures of one side, by its name."""
        sides: dict[Side, tuple[Picture, ...]] = {
            "train": self.train,
            "validation": self.validation,
            "test": self.test,
        }
        return sides[name]


@dataclass(frozen=True, slots=True)
class Rendition:
    """How a decoded picture becomes an array: the part of preprocessing that happens before training.

    Attributes:
        height: In pixels.
        width: In pixels.
        channels: 3 for RGB, 1 for grey.
        fit: ``stretch`` resizes to the exact size; ``crop`` resizes the shorter side by `crop_fraction` and cuts the
            middle.
        crop_fraction: Share of the shorter side that the middle cut keeps; 1.0 for ``stretch``.
        interpolation: ``bilinear``, ``bicubic`` or ``lanczos``, always with anti-aliasing.
    """

    height: int
    width: int
    channels: int
    fit: Literal["stretch", "crop"] = "stretch"
    crop_fraction: float = 1.0
    interpolation: Literal["bilinear", "bicubic", "lanczos"] = "bilinear"


@dataclass(frozen=True, slots=True)
class Score:
    """One score with its n and its 95 % interval.

    Attributes:
        value: The score.
        low: Lower end of the 95 % interval.
        high: Upper end of the 95 % interval.
        n: How many pictures it was computed on.
    """

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True)
class ClassScores:
    """Precision, recall, F1 and support of one class (scikit-learn's definitions)."""

    name: str
    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a model is worth on one side of a dataset (the content of ``evaluation.json``).

    Attributes:
        side: Which pictures were judged.
        n: How many.
        classes: Class names, in the order of the confusion matrix.
        scores: By name: ``accuracy``, ``top_5_accuracy``, ``f1_macro``, ``precision_macro``, ``loss`` ...
        per_class: One entry per class.
        confusion: Rows are the truth, columns the prediction; counts.
        baselines: By model name, then by score name.
        notes: What a reader should know before trusting a score.
    """

    side: Side
    n: int
    classes: tuple[str, ...]
    scores: dict[str, Score]
    per_class: tuple[ClassScores, ...]
    confusion: tuple[tuple[int, ...], ...]
    baselines: dict[str, dict[str, Score]]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a model says about one picture.

    Attributes:
        file: The picture, as the caller named it.
        labels: Class names, most probable first.
        probabilities: One per label in `labels`; all of a single-label model's sum to 1.
        error: Why the picture could not be read; empty when it could. Then labels and probabilities are empty.
    """

    file: str
    labels: tuple[str, ...]
    probabilities: tuple[float, ...]
    error: str = ""

    @property
    def label(self) -> str:
        """The most probable class, or an empty text for a picture that could not be read."""
        return self.labels[0] if self.labels else ""

    @property
    def confidence(self) -> float:
        """The probability of the most probable class, or 0.0."""
        return self.probabilities[0] if self.probabilities else 0.0
