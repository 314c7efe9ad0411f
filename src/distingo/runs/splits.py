"""``split.csv``: which split each image is on."""

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
    """Write a split as UTF-8 CSV: file, side, labels.

    Args:
        split: What to write.
        path: Where to.

    Raises:
        ResourceError: It can't be written.
    """
    rows = (
        (image.source.file, split_name, join_labels(image.labels))
        for split_name in SPLITS
        for image in split.split(split_name)
    )
    write_table(path, _COLUMNS, rows, recorded=True)


def read_split_rows(path: Path) -> tuple[SplitRow, ...]:
    """Read a split without its data set; nothing where there is no such file.

    Raises:
        RunError: It is damaged.
    """
    if not path.exists():
        return ()
    return tuple(
        SplitRow(row["file"], read_split_name(row["side"], path, line), split_labels(row["labels"]))
        for line, row in read_table(path, _COLUMNS)
    )


def read_split(path: Path, dataset: Dataset) -> Split:
    """Read a split and find its images in the data set.

    Args:
        path: A CSV with the columns file, side and labels.
        dataset: What it divides; images that the file does not name are on no split, which a note states.

    Returns:
        The splits, each in order of file names.

    Raises:
        RunError: It is missing or damaged, names a file twice or one that the dataset does not hold, or a
            file has another class there.
    """
    known = {image.source.file: image for image in dataset.images}
    splits: dict[SplitName, list[LabeledImage]] = {split: [] for split in SPLITS}
    seen: set[str] = set()
    for line, fields in read_table(path, _COLUMNS):
        file = fields["file"]
        image = known.get(file)
        if image is None:
            raise RunError(
                f"{path}: line {line}: {file} is no usable picture of {dataset.root}{_what_became(dataset, file)}",
                code="split_differs",
            )
        if file in seen:
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
        seen.add(file)
        splits[read_split_name(fields["side"], path, line)].append(image)
    left = len(known) - len(seen)
    return order_split(splits, (note("images-on-no-split", count=left, file=path.name),) if left else ())


def _named(labels: Sequence[str]) -> str:
    return ", ".join(labels) or "(none)"


def _what_became(dataset: Dataset, file: str) -> str:
    for row in dataset.manifest:
        if row.file == file:
            return f" any more ({row.status}: {row.reason}); make a new split"
    return "; has it been renamed or removed?"
