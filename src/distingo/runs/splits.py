"""``split.csv``: the split of each image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from distingo.csv_files import join_labels, read_split_name, read_table, split_labels, write_table
from distingo.datasets.splits.splitting import order_split
from distingo.errors import RunError
from distingo.messages.notes import note
from distingo.records import SPLITS, Dataset, LabeledImage, Split, SplitName

_COLUMNS = ("file", "side", "labels")


@dataclass(frozen=True, slots=True)
class SplitRow:
    """One line of ``split.csv``: an image, its split and its classes."""

    file: str
    split: SplitName
    labels: tuple[str, ...]


def write_split(split: Split, path: Path) -> None:
    """Write the splits as a UTF-8 CSV file with the columns ``file``, ``side`` and ``labels``.

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
    write_table(path, _COLUMNS, rows, recorded=True)


def read_split_rows(path: Path) -> tuple[SplitRow, ...]:
    """Read the splits without their data set; empty if the file does not exist.

    Raises:
        RunError: The file is damaged.
    """
    if not path.exists():
        return ()
    return tuple(
        SplitRow(row["file"], read_split_name(row["side"], path, line), split_labels(row["labels"]))
        for line, row in read_table(path, _COLUMNS)
    )


def read_split(path: Path, dataset: Dataset) -> Split:
    """Read the splits and look up their images in the data set.

    Args:
        path: A CSV file with the columns ``file``, ``side`` and ``labels``.
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
    for line, fields in read_table(path, _COLUMNS):
        file = fields["file"]
        image = images_by_file.get(file)
        if image is None:
            raise RunError(
                f"{path}: line {line}: {file} is no usable picture of {dataset.root}{_what_became(dataset, file)}",
                code="split_differs",
            )
        if file in listed_files:
            raise RunError(
                f"{path}: line {line}: {file} is named twice; keep one of the two lines", code="duplicate_entry"
            )
        labels = split_labels(fields["labels"])
        if labels != image.labels:
            raise RunError(
                f"{path}: line {line}: {file} has the class {_named(labels)} here and "
                f"{_named(image.labels)} in {dataset.root}; make a new split",
                code="split_differs",
            )
        listed_files.add(file)
        splits[read_split_name(fields["side"], path, line)].append(image)
    unlisted = len(images_by_file) - len(listed_files)
    return order_split(splits, (note("images-on-no-split", count=unlisted, file=path.name),) if unlisted else ())


def _named(labels: Sequence[str]) -> str:
    return ", ".join(labels) or "(none)"


def _what_became(dataset: Dataset, file: str) -> str:
    for row in dataset.manifest:
        if row.file == file:
            return f" any more ({row.status}: {row.reason}); make a new split"
    return "; has it been renamed or removed?"
