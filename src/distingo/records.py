"""The frozen records that rooms hand each other."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from distingo.messages.notes import Note
from distingo.score import Score as Score  # noqa: PLC0414  the same name, for those that import it from here

if TYPE_CHECKING:
    import pandas as pd

SplitName = Literal["train", "validation", "test"]
"""The three sides of a split, spelled this way in every file."""

SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")

Task = Literal["single-label", "multi-label"]

ManifestStatus = Literal["used", "unusable", "duplicate", "conflict", "ignored", "missing"]
"""What became of a file: used; not decodable; a redundant copy; found under two classes; not a candidate; named by a
table, but not there."""

DEFAULT_MAX_PIXELS = 178_956_970
"""Width times height above which an image is not decoded: 512 MiB of RGB, Pillow's own limit."""

ImageNote = Literal["missing-end-marker", "profile-ignored", "decoder-warning", "unsupported", "too-many-pixels"]
"""What code needs to know of a file besides its status. Of a used file, a small fault that it is used in spite of: all
pixels are there, but not the marker that ends the file; its color profile is broken or for another kind of image; the
decoder complained, but gave all pixels. Of an unusable file, that it need not be damaged: of a kind that is not read;
over the pixel limit."""

HOLDS_CORRECTIONS = "holds-corrections"
HOLDS_PROVENANCE = "holds-provenance"
KEPT_BY_DOWNLOAD = "kept-by-download"
LABELS_OF_DOWNLOAD = "holds-labels-of-download"

OWN_REASONS = frozenset({HOLDS_CORRECTIONS, HOLDS_PROVENANCE, KEPT_BY_DOWNLOAD, LABELS_OF_DOWNLOAD})
"""The codes of why distingo's own files are ignored; no other file is ignored for one of these reasons."""


ValueKind = Literal["unsigned", "signed", "floating"]
"""The kinds of deep images: integers of more than 8 bits without and with a sign, and floating-point numbers."""


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

    Kinds have ranges of their own, since files of different types rarely hold the same units.

    Attributes:
        unsigned: Of unsigned integers of more than 8 bits; None where nothing is known of them.
        signed: Of signed integers.
        floating: Of floating-point numbers.
    """

    unsigned: ValueRange | None = None
    signed: ValueRange | None = None
    floating: ValueRange | None = None

    def find(self, dtype: str) -> ValueRange | None:
        """The range of a stored type.

        Args:
            dtype: NumPy's name of it, for example ``uint16``.

        Returns:
            That of its kind; integers of one sign go by the other's where that alone is known, since readers of the
            same file differ in the sign they give. None where nothing is known.
        """
        if dtype.startswith("float"):
            return self.floating
        if dtype.startswith("uint"):
            return self.unsigned or self.signed
        return self.signed or self.unsigned

    @property
    def known(self) -> dict[ValueKind, ValueRange]:
        """The ranges that are known, by the names of their kinds."""
        ranges: dict[ValueKind, ValueRange | None] = {
            "unsigned": self.unsigned,
            "signed": self.signed,
            "floating": self.floating,
        }
        return {kind: value_range for kind, value_range in ranges.items() if value_range is not None}

    def to_json(self) -> dict[ValueKind, list[float]]:
        """By kind, black and white, for a JSON file."""
        return {kind: [value_range.black, value_range.white] for kind, value_range in self.known.items()}

    @classmethod
    def from_json(cls, content: Mapping[Any, Sequence[float]] | None) -> ValueRanges:
        """Read back what `to_json` made; None gives no range.

        Raises:
            TypeError: A kind is unknown, or the content is no such dictionary.
            ValueError: An entry is no pair of finite numbers, black below white.
        """
        ranges = {}
        for kind, pair in (content or {}).items():
            black, white = map(float, pair)
            if not -math.inf < black < white < math.inf:
                raise ValueError(f"value range {black:g} to {white:g}: black must be below white")
            ranges[kind] = ValueRange(black, white)
        return cls(**ranges)


NO_VALUE_RANGES = ValueRanges()
"""Nothing is known: every deep image is scaled by itself."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where one image's pixels come from.

    Attributes:
        file: The file as a person knows it: relative to the dataset's root, with forward slashes. An image inside
            an IDX file is ``train-images-idx3-ubyte.gz#17``.
        path: The file on disk.
        index: The image's position inside a container file (IDX), or None for a file of its own.
        value_range: What a deep image's stored values are scaled by; None decides by the image alone.
    """

    file: str
    path: Path
    index: int | None = None
    value_range: ValueRange | ValueRanges | None = None


def row_key(content: str, value_range: ValueRange | ValueRanges | None) -> str:
    """Where the cache keeps what was computed from a content that was scaled by a range.

    Args:
        content: As in `Image.content`.
        value_range: As in `Source.value_range`; None for an 8-bit image.

    Returns:
        32 hexadecimal digits; the content's own where there is no range.
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
        pixels: Hash of the decoded pixels, of a deep image of its stored values (hexadecimal), equal for the same
            image in two file formats.
        width: In pixels, after EXIF rotation.
        height: In pixels, after EXIF rotation.
        given_split: The side the dataset's author put it on, or None.
    """

    source: Source
    labels: tuple[str, ...]
    content: str
    pixels: str
    width: int
    height: int
    given_split: SplitName | None = None

    @property
    def row_key(self) -> str:
        """The key of its rows in the cache: that of its content and, of a deep image, of its value range."""
        return row_key(self.content, self.source.value_range)

    @property
    def label(self) -> str:
        """The only label of a single-label image."""
        (label,) = self.labels
        return label


@dataclass(frozen=True, slots=True)
class ManifestRow:
    """What became of one file that was found.

    Attributes:
        file: As in `Source.file`.
        status: See `ManifestStatus`.
        reason: Why it is not used (the codes are in `distingo.messages.reason_sentences`); of a used file the faults
            that it is used in spite of, mostly None.
        labels: The class names it was found under.
        split: The side its author put it on, or None.
        format: What it really is (``JPEG``, ``PNG``, ``HTML``, ...), whatever its name ends in.
        width: In pixels, 0 where unknown.
        height: In pixels, 0 where unknown.
        content: Hash of the file's bytes, empty where unreadable.
        same_as: For a duplicate or conflict, the file it repeats.
        lines: The lines (Parquet: rows) of a table that name it, counted from 1.
        notes: As in `ImageNote`.
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
        """Whether distingo made the file for itself; it is then no part of a person's data."""
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
    """Labels that differ only in how they are written, or that mean no value.

    Attributes:
        kind: In what they differ; ``missing value`` for ``NA``, ``nan``, ``None`` and their kin.
        spellings: Each with how many rows of a table (without a table: files) have it, the most frequent first.
    """

    kind: VariantKind
    spellings: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Dataset:
    """Images with labels, and an account of every file found.

    Attributes:
        root: The folder that the names of files are relative to.
        layout: How it was laid out: class folders, split folders, IDX files, or a table with one 0/1 column per label.
        task: Whether an image carries exactly one label or any number.
        classes: All class names, sorted; a model's outputs are in this order.
        images: The usable images.
        manifest: One row per file found, and per image that a table names; each exactly once.
        notes: What was recognized and what a person should know about it.
        groups: By file, what the group column of its table says in all its rows; nothing for empty cells.
        value_ranges: What the stored values of its deep images are scaled by; none are known where it has no such.
        label_variants: Labels that differ only in how they are written, merged or not; a note tells of each.
        range_warnings: Those of the notes that say that a value range that was given does not fit.
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
        """How many files were found, not counting those that distingo keeps for itself."""
        return sum(row.status != "missing" and not row.is_own for row in self.manifest)

    @property
    def left_out(self) -> tuple[ManifestRow, ...]:
        """The files that are not used, missing ones too, without those that distingo keeps for itself."""
        return tuple(row for row in self.manifest if row.status != "used" and not row.is_own)


@dataclass(frozen=True, slots=True)
class Split:
    """Which side each image falls on.

    Attributes:
        train: The images to learn from.
        validation: The images to choose by.
        test: The images that nothing is chosen by.
        notes: What a person should know, for example classes too small to stratify.
    """

    train: tuple[LabeledImage, ...]
    validation: tuple[LabeledImage, ...]
    test: tuple[LabeledImage, ...]
    notes: tuple[Note, ...] = ()

    def split(self, name: SplitName) -> tuple[LabeledImage, ...]:
        """The images of one side, by its name."""
        splits: dict[SplitName, tuple[LabeledImage, ...]] = {
            "train": self.train,
            "validation": self.validation,
            "test": self.test,
        }
        return splits[name]


@dataclass(frozen=True, slots=True)
class ImageSpec:
    """How a decoded image becomes an array: the part of preprocessing that happens before training.

    Attributes:
        height: In pixels.
        width: In pixels.
        channels: 3 for RGB, 1 for gray.
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
class ClassScores:
    """Precision, recall, F1 and support of one class (scikit-learn's definitions)."""

    name: str
    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True, slots=True)
class TwoByTwo:
    """How often one label was rightly and wrongly given and left away, in images."""

    true_positives: int
    false_positives: int
    false_negatives: int
    true_negatives: int


@dataclass(frozen=True, slots=True)
class LabelScores:
    """What a multi-label model is worth on one label (scikit-learn's definitions, with ``zero_division=0``).

    Attributes:
        name: Of the label.
        average_precision: From the probabilities alone; None where no evaluated image has the label.
        precision: At the threshold.
        recall: At the threshold.
        f1: At the threshold.
        support: How many evaluated images have the label.
        threshold: From which probability on the label is given.
        two_by_two: The counts at the threshold.
    """

    name: str
    average_precision: Score | None
    precision: float
    recall: float
    f1: float
    support: int
    threshold: float
    two_by_two: TwoByTwo


ThresholdAim = Literal["f1", "precision", "recall"]


@dataclass(frozen=True, slots=True)
class Thresholds:
    """From which probability on each label is given.

    Attributes:
        values: One per label, in the order of the model's classes; a probability at or above it gives the label.
        aim: What they were chosen for on the validation split.
        wanted: The precision or recall that was requested; None for ``f1``.
        notes: What a person should know: labels with too few positives for a threshold of their own, or that
            do not reach what was wanted.
    """

    values: tuple[float, ...]
    aim: ThresholdAim
    wanted: float | None = None
    notes: tuple[Note, ...] = ()


_FIRST_SCORES = ("accuracy", "mean_average_precision_macro")


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a model is worth on one side of a dataset (the content of ``evaluation.json``).

    Attributes:
        split: Which images were evaluated.
        n: How many.
        classes: Class names, in the order of the confusion matrix.
        scores: By name: ``accuracy``, ``top_5_accuracy``, ``f1_macro``, ``precision_macro``, ``log_loss`` ...;
            with several labels ``mean_average_precision_macro``, ``f1_samples``, ``hamming_loss`` ...
        per_class: One entry per class; empty with several labels.
        confusion: Rows are the truth, columns the prediction; counts. Empty with several labels.
        baselines: By model name, then by score name.
        notes: What a reader should know before trusting a score.
        task: One label per image, or several.
        per_label: With several labels, one entry for each.
        left_out: With several labels, those with too few positives to evaluate: they are in no macro score.
        thresholds: With several labels, from which probability on each was given.
        accuracy_gains: With one label, by how much the accuracy is above each baseline's (below, where negative); its
            interval is of the difference, image by image.
    """

    split: SplitName
    n: int
    classes: tuple[str, ...]
    scores: dict[str, Score]
    per_class: tuple[ClassScores, ...]
    confusion: tuple[tuple[int, ...], ...]
    baselines: dict[str, dict[str, Score]]
    notes: tuple[Note, ...] = ()
    task: Task = "single-label"
    per_label: tuple[LabelScores, ...] = ()
    left_out: tuple[str, ...] = ()
    thresholds: Thresholds | None = None
    accuracy_gains: dict[str, Score] = field(default_factory=dict)

    @property
    def headline(self) -> str:
        """The first score that a person looks at, with its interval; empty where there is none."""
        name = next((name for name in _FIRST_SCORES if name in self.scores), next(iter(self.scores), None))
        if name is None:
            return ""
        score = self.scores[name]
        interval = "" if score.too_few else f" ({score.low:.1%} to {score.high:.1%})"
        return f"{name} {score:.1%}{interval}" if name in _FIRST_SCORES else f"{name} {score:.4g}"

    def to_pandas(self, what: Literal["scores", "classes", "confusion"] = "scores") -> pd.DataFrame:
        """A pandas table.

        Args:
            what: ``scores``: a row for each score of the model and then of each baseline (columns ``model``, ``score``,
                ``value``, ``low``, ``high``, ``n``, ``too_few``); ``classes``: a row for each class (with several
                labels with average precision and threshold); ``confusion``: counts, truth down, prediction across.

        Raises:
            UsageError: There is no such table, or pandas is not installed.
        """
        from distingo.data_frames import evaluation_to_pandas

        return evaluation_to_pandas(self, what)

    def __repr__(self) -> str:
        return f"Evaluation({self._summary})"

    def _repr_html_(self) -> str:
        from distingo.notebooks import show_evaluation

        return show_evaluation(self, self._summary)

    @property
    def _summary(self) -> str:
        kind = "classes" if self.task == "single-label" else "labels"
        parts = [f"{self.split} split", f"n={self.n}", f"{len(self.classes)} {kind}", self.headline]
        return ", ".join(filter(None, parts))


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a model says about one image.

    Attributes:
        file: The image, as the caller named it.
        labels: Class names, most probable first: as many as were requested. Where no number was requested, all of
            a single-label model, and with several labels those that reach their thresholds, perhaps none.
        probabilities: One per label in `labels`; all of a single-label model's sum to 1.
        error: Why the image could not be read; empty when it could. Then labels and probabilities are empty.
        given: With several labels those that reach their thresholds, most probable first, however many were asked
            for; None with one label per image. Where a share of wrong answers was requested, without labels of
            which the model is not that sure.
        abstained: Whether the model does not know: it is not sure enough for the share of wrong answers that was asked
            for; with several labels, of none of those that reach their thresholds. None where none was requested.
        prediction_set: The labels that hold as large a share of the true ones as was requested, most probable first,
            perhaps none; None where no coverage was requested.
        unlike: Whether the image is unlike anything in training; None where the model can't tell.
    """

    file: str
    labels: tuple[str, ...]
    probabilities: tuple[float, ...]
    error: str = ""
    given: tuple[str, ...] | None = None
    abstained: bool | None = None
    prediction_set: tuple[str, ...] | None = None
    unlike: bool | None = None

    @property
    def label(self) -> str:
        """The most probable class; an empty text where there is none or the image could not be read."""
        return self.labels[0] if self.labels else ""

    @property
    def confidence(self) -> float:
        """The probability of the most probable class, or 0.0."""
        return self.probabilities[0] if self.probabilities else 0.0

    def __repr__(self) -> str:
        name = repr(_shorten(self.file))
        if self.error:
            return f"Prediction({name}, error={_shorten(self.error)!r})"
        ranked = [
            f"{_shorten(label)!r} {probability:.1%}"
            for label, probability in zip(self.labels[:_REPR_LABELS], self.probabilities, strict=False)
        ]
        left = len(self.labels) - _REPR_LABELS
        marks = [f"{left:,} more"] if left > 0 else []
        marks += ["abstained"] if self.abstained else []
        marks += ["unlike training"] if self.unlike else []
        return f"Prediction({', '.join([name, *(ranked or ['no label']), *marks])})"


_REPR_LABELS = 3


def _shorten(text: str, most: int = 60) -> str:
    return text if len(text) <= most else f"...{text[3 - most :]}"
