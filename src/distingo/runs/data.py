"""What a run records about its images.

- ``manifest.csv``: the outcome for every file of a data set, one row each.
- ``split.csv``: the split of each image.
- ``near_duplicates.json``: the result of the search for near-duplicates, including those in different splits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from distingo.csv_files import join_labels, read_split_name, read_table, split_labels, write_table
from distingo.datasets.splits.splitting import order_split
from distingo.errors import RunError
from distingo.messages.notes import Note, note, read_cells, write_values
from distingo.records import (
    HOLDS_CORRECTIONS,
    HOLDS_PROVENANCE,
    KEPT_BY_DOWNLOAD,
    LABELS_OF_DOWNLOAD,
    SPLITS,
    Dataset,
    ImageNote,
    LabeledImage,
    ManifestRow,
    ManifestStatus,
    Split,
    SplitName,
)
from distingo.runs.fields import read_record, write_record

_RENAMED = {"side": "split"}
"""Columns of version 0.1."""

_MANIFEST_COLUMNS = ["file", "status", "reason", "labels", "split", "format", "width", "height", "content", "same_as"]

_LINES, _NOTES = "lines", "notes"  # missing in some manifests of version 0.1

_VALUES = "values"  # missing in version 0.1, whose reasons are sentences

_OWN_IN_0_1 = {
    "holds corrections": HOLDS_CORRECTIONS,
    "says where corrected pictures come from": HOLDS_PROVENANCE,
    "kept by `distingo download`": KEPT_BY_DOWNLOAD,
    "holds the labels that `distingo download` wrote": LABELS_OF_DOWNLOAD,
}
"""Codes of the reasons for distingo's own files, by their sentences in manifests of version 0.1."""


def write_manifest(rows: Iterable[ManifestRow], path: Path) -> None:
    """Write a manifest as a UTF-8 CSV file, with the code of each reason and, in another column, its values as JSON.

    Args:
        rows: One row per file.
        path: The file to write.

    Raises:
        ResourceError: The file can't be written.
    """
    table = (
        (
            row.file,
            row.status,
            row.reason.code if row.reason else "",
            join_labels(row.labels),
            row.split or "",
            row.format,
            row.width,
            row.height,
            row.content,
            row.same_as,
            " ".join(map(str, row.lines)),
            " ".join(row.notes),
            write_values(row.reason),
        )
        for row in rows
    )
    write_table(path, [*_MANIFEST_COLUMNS, _LINES, _NOTES, _VALUES], table, recorded=True)


def read_manifest(path: Path) -> tuple[ManifestRow, ...]:
    """Read a manifest.

    Args:
        path: A file that `write_manifest` wrote.

    Returns:
        Its rows, in the file's order.

    Raises:
        RunError: The file is missing or damaged.
    """
    rows = read_table(path, _MANIFEST_COLUMNS, renamed=_RENAMED)
    return tuple(_manifest_row(path, line, fields) for line, fields in rows)


def summarize_unused_files(dataset: Dataset, where: str) -> tuple[str, ...]:
    """Summarize the files that are not used in one sentence; empty if all files are used.

    Args:
        dataset: The data set.
        where: Name of the command or page that lists the reasons.
    """
    status_counts = Counter(row.status for row in dataset.left_out)
    if not status_counts:
        return ()
    kinds = ", ".join(f"{count:,} {status}" for status, count in status_counts.most_common())
    return (f"of {dataset.file_count:,} files found {len(dataset.images):,} are used; {kinds}: {where} says why",)


def _manifest_row(path: Path, line: int, fields: dict[str, str]) -> ManifestRow:
    status = next((name for name in get_args(ManifestStatus) if name == fields["status"]), None)
    if status is None or not (fields["width"].isdecimal() and fields["height"].isdecimal()):
        raise RunError(
            f"{path}: line {line} is damaged ({fields['status']!r} is no status or a size is no number)",
            code="damaged_line",
        )
    lines = fields.get(_LINES, "").split()
    if not all(each.isdecimal() for each in lines):
        raise RunError(f"{path}: line {line} is damaged ({fields[_LINES]!r} are no line numbers)", code="damaged_line")
    return ManifestRow(
        file=fields["file"],
        status=status,
        reason=_reason(path, line, fields),
        labels=split_labels(fields["labels"]),
        split=read_split_name(fields["split"], path, line) if fields["split"] else None,
        format=fields["format"],
        width=int(fields["width"]),
        height=int(fields["height"]),
        content=fields["content"],
        same_as=fields["same_as"],
        lines=tuple(int(each) for each in lines),
        notes=tuple(each for each in get_args(ImageNote) if each in fields.get(_NOTES, "").split()),
    )


def _reason(path: Path, line: int, fields: dict[str, str]) -> Note | None:
    reason, values = fields["reason"], fields.get(_VALUES)
    if values is None and reason in _OWN_IN_0_1:
        return Note(_OWN_IN_0_1[reason])
    try:
        return read_cells(reason, values)
    except (TypeError, ValueError, RecursionError) as error:
        why = f"{path}: line {line} is damaged (the values of its reason: {error})"
        raise RunError(why, code="damaged_line") from error


_SPLIT_COLUMNS = ("file", "split", "labels")


@dataclass(frozen=True, slots=True)
class SplitRow:
    """One line of ``split.csv``: an image, its split and its classes."""

    file: str
    split: SplitName
    labels: tuple[str, ...]


def write_split(split: Split, path: Path) -> None:
    """Write the splits as a UTF-8 CSV file with the columns ``file``, ``split`` and ``labels``.

    Args:
        split: The splits.
        path: The file to write.

    Raises:
        ResourceError: The file can't be written.
    """
    rows = (
        (image.source.file, split_name, join_labels(image.labels))
        for split_name in SPLITS
        for image in split.split(split_name)
    )
    write_table(path, _SPLIT_COLUMNS, rows, recorded=True)


def read_split_rows(path: Path) -> tuple[SplitRow, ...]:
    """Read the splits without their data set; empty if the file does not exist.

    Raises:
        RunError: The file is damaged.
    """
    if not path.exists():
        return ()
    return tuple(
        SplitRow(row["file"], read_split_name(row["split"], path, line), split_labels(row["labels"]))
        for line, row in read_table(path, _SPLIT_COLUMNS, renamed=_RENAMED)
    )


def read_split(path: Path, dataset: Dataset) -> Split:
    """Read the splits and look up their images in the data set.

    Args:
        path: A CSV file with the columns ``file``, ``split`` and ``labels``.
        dataset: The data set; images that the file does not list are in no split, and a note gives their number.

    Returns:
        The splits, each in order of file names.

    Raises:
        RunError: The file is missing or damaged, lists a file twice, one that is not in the data set, or one with
            another class.
    """
    images_by_file = {image.source.file: image for image in dataset.images}
    splits: dict[SplitName, list[LabeledImage]] = {split: [] for split in SPLITS}
    listed_files: set[str] = set()
    for line, fields in read_table(path, _SPLIT_COLUMNS, renamed=_RENAMED):
        file = fields["file"]
        image = images_by_file.get(file)
        if image is None:
            raise RunError(
                f"{path}: line {line}: {file} is no usable picture of {dataset.root}{_describe_status(dataset, file)}",
                code="split_differs",
            )
        if file in listed_files:
            raise RunError(
                f"{path}: line {line}: {file} is named twice; keep one of the two lines", code="duplicate_entry"
            )
        labels = split_labels(fields["labels"])
        if labels != image.labels:
            raise RunError(
                f"{path}: line {line}: {file} has the class {_describe_labels(labels)} here and "
                f"{_describe_labels(image.labels)} in {dataset.root}; make a new split",
                code="split_differs",
            )
        listed_files.add(file)
        splits[read_split_name(fields["split"], path, line)].append(image)
    unlisted = len(images_by_file) - len(listed_files)
    return order_split(splits, (note("images-on-no-split", count=unlisted, file=path.name),) if unlisted else ())


def _describe_labels(labels: Sequence[str]) -> str:
    return ", ".join(labels) or "(none)"


def _describe_status(dataset: Dataset, file: str) -> str:
    for row in dataset.manifest:
        if row.file == file:
            return f" any more ({row.status}: {row.reason}); make a new split"
    return "; has it been renamed or removed?"


NotSearched = Literal["", "off", "small-images"]
"""Why no search took place: it was switched off, or the images are too small; empty if there was a search."""

DividedBy = Literal["distingo", "data", "split-file"]
"""What determined the splits: distingo alone, the data (at least in part), or a split file."""


@dataclass(frozen=True, slots=True)
class NearDuplicateCounts:
    """The content of ``near_duplicates.json``, without the format number.

    Attributes:
        images: Number of images in the data set.
        searched: Number of images that were compared with each other.
        too_small: Number of images that were not compared, since their shorter side is below `smallest_side`.
        not_searched: Why no images were compared, or empty.
        similarity: Similarity threshold of near-duplicates; None if there was no search.
        smallest_side: Minimum length of the shorter side in pixels.
        symmetries: Number of rotations and reflections under which images were compared: 8, or 0 without a search.
        pairs: Number of pairs of near-duplicates.
        groups: Number of groups, which are the connected components of the pairs.
        grouped: Number of images in groups.
        largest: Number of images in the largest group; 0 if there are no groups.
        divided_by: What determined the splits.
        moved: Number of images in another split than without groups.
        too_large: Number of groups that were too large to be kept in one split.
        straddling_pairs: Number of pairs whose images are in different splits.
        straddling_groups: Number of groups whose images are in different splits.
        contradicting_pairs: Number of pairs with different labels; 0 for multi-label.
        files: The files of each group, as in `distingo.records.Source.file`.
    """

    images: int
    searched: int = 0
    too_small: int = 0
    not_searched: NotSearched = ""
    similarity: float | None = None
    smallest_side: int = 0
    symmetries: int = 0
    pairs: int = 0
    groups: int = 0
    grouped: int = 0
    largest: int = 0
    divided_by: DividedBy = "distingo"
    moved: int = 0
    too_large: int = 0
    straddling_pairs: int = 0
    straddling_groups: int = 0
    contradicting_pairs: int = 0
    files: tuple[tuple[str, ...], ...] = ()


def write_counts(counts: NearDuplicateCounts, path: Path) -> None:
    """Write the counts as JSON.

    Raises:
        ResourceError: The file can't be written.
    """
    write_record(path, counts)


def read_counts(path: Path) -> NearDuplicateCounts | None:
    """Read the counts; None if the file does not exist, as in runs of older versions.

    Raises:
        RunError: The file is damaged or from a newer version.
    """
    if not path.exists():
        return None
    return read_record(path, NearDuplicateCounts, advice="train again, or restore it")
