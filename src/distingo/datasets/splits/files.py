"""Split files: the split or fold of each image, determined once and used by every training."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from distingo.csv_files import join_labels, read_split_name, read_table, split_labels, write_table
from distingo.datasets.splits.dividing import divide_groups
from distingo.datasets.splits.group_splitting import Division
from distingo.datasets.splits.splitting import RequestedSplit, order_split
from distingo.errors import DataError, RunError, UsageError, name_some, option
from distingo.files import content_hash
from distingo.messages.notes import Note, name_first, note
from distingo.records import SPLITS, Dataset, LabeledImage, Split, SplitName, encode_labels


@dataclass(frozen=True, slots=True)
class SplitLine:
    """A split file's entry for one image.

    Attributes:
        file: As in `Source.file`.
        part: Its split, or its fold's number.
        group: Its group; images of a group are in the same split.
        labels: Its class names at that time; None if the file does not contain them.
        content: Hash of the image file's bytes; empty if the file does not contain it.
    """

    file: str
    part: str
    group: str
    labels: tuple[str, ...] | None
    content: str


@dataclass(frozen=True, slots=True)
class SplitFile:
    """The contents of a split file.

    Attributes:
        path: The file.
        folds: Number of folds; 0 if it has splits.
        lines: One per image.
    """

    path: Path
    folds: int
    lines: tuple[SplitLine, ...]


def write_split_file(dataset: Dataset, division: Division, path: Path, *, recorded: bool = False) -> None:
    """Write a division as UTF-8 CSV, optionally with a checksum: file, split (or fold), group, why, labels, content.

    Groups are counted from 1; ``why`` lists what links a group's images, and is empty for a single image.

    Raises:
        ResourceError: The file can't be written.
    """
    grouping = division.grouping
    rows = [
        (
            image.source.file,
            division.parts[part],
            group + 1,
            " ".join(grouping.kinds[group]),
            join_labels(image.labels),
            image.content,
        )
        for image, part, group in zip(dataset.images, division.numbers, grouping.numbers, strict=True)
    ]
    columns = ["file", "fold" if division.folds else "split", "group", "why", "labels", "content"]
    write_table(path, columns, rows, recorded=recorded)


def read_split_file(path: Path) -> SplitFile:
    """Read a file from `write_split_file`, or any table with the columns file and split (or fold).

    A run's ``split.csv`` is an example. Without a column ``content``, changed images are not detected, and without
    ``group``, each image is a group of its own.

    Raises:
        DataError: The file is missing or damaged, or names a file twice.
    """
    if not path.exists():
        raise DataError(
            f"{path}: no such file; check the spelling, or write one by `distingo split DATA -o FILE`",
            code="not_found",
            parameter="split",
        )
    try:
        rows = list(read_table(path, ["file"], renamed={"side": "split"}))
        columns = rows[0][1].keys() if rows else set()
        if not columns & {"split", "fold"}:
            raise RunError(
                f"{path}: names no picture, or has neither a column 'split' nor 'fold'",
                code="wrong_format",
                parameter="split",
            )
        lines = [_line(path, number, row) for number, row in rows]
    except RunError as error:
        raise DataError(
            f"{error}; `distingo split DATA -o FILE` writes a split file", code=error.code, parameter=error.parameter
        ) from error
    counts = Counter(line.file for line in lines)
    if duplicates := [file for file, count in counts.items() if count > 1]:
        raise DataError(
            f"{path}: names {name_some(duplicates, 3)} twice; keep one line for each",
            code="duplicate_entry",
            parameter="split",
        )
    folds = 0 if "split" in columns else max(int(line.part) for line in lines)
    return SplitFile(path, folds, tuple(lines))


def _line(path: Path, number: int, row: dict[str, str]) -> SplitLine:
    if "split" in row:
        part: str = read_split_name(row["split"], path, number)
    else:
        part = row["fold"]
        if not (part.isascii() and part.isdecimal() and int(part) >= 1):
            raise RunError(
                f"{path}: line {number}: {part!r} is no fold; folds are counted from 1",
                code="damaged_line",
                parameter="split",
            )
    labels = split_labels(row["labels"]) if "labels" in row else None
    group = f"group {row['group']}" if row.get("group") else f"file {row['file']}"
    return SplitLine(row["file"], part, group, labels, row.get("content", ""))


def apply_split_file(
    split_file: SplitFile, dataset: Dataset, *, fold: int | None = None, validation: float = 0.15, seed: int = 0
) -> Split:
    """Assign a data set's images to the splits of a split file.

    An image is matched by its name, or else by its content (if it was renamed, or another copy of it is used now). With
    folds, one of them is the test split, and validation is split off the others by whole groups.

    Args:
        split_file: As read.
        dataset: The images; those that the file does not name are in no split, which a note reports.
        fold: Which fold is the test split; only for files with folds.
        validation: Share of the other folds' images for validation, for files with folds.
        seed: Seed for choosing these.

    Returns:
        The split, with notes on mismatches.

    Raises:
        DataError: An image's content differs from the file's hash, a split is empty, or a class has no images to train
            on.
        UsageError: The fold is missing or out of range, or the file has no folds.
    """
    _check_fold(split_file, fold)
    matches, notes = _find_images(split_file, dataset)
    splits: dict[SplitName, list[LabeledImage]] = {split: [] for split in SPLITS}
    if fold is None:
        for line, image in matches:
            splits[_as_split_name(line.part)].append(image)
    else:
        splits["test"] = [image for line, image in matches if int(line.part) == fold]
        rest = [(line, image) for line, image in matches if int(line.part) != fold]
        for (_, image), split in zip(rest, _cut_validation(dataset, rest, validation, seed), strict=True):
            splits[split].append(image)
        notes.append(note("test-fold", fold=fold, folds=split_file.folds, file=split_file.path.name))
    _check_splits(split_file, dataset, splits)
    notes += _lacking(dataset, splits)
    return order_split(splits, tuple(notes))


def match_folds(
    split_file: SplitFile, dataset: Dataset
) -> tuple[tuple[LabeledImage, ...], np.ndarray, np.ndarray, tuple[Note, ...]]:
    """Match a data set's images to a split file with folds, as `apply_split_file` does.

    Returns:
        The images that it names, in the data set's order; the fold of each, from 1, and its group, int64 (n,) each; and
        notes on mismatches.

    Raises:
        DataError: An image's content differs from the file's hash.
        UsageError: The file has no folds.
    """
    if not split_file.folds:
        raise UsageError(
            f"{split_file.path}: has splits, not folds; `distingo split DATA --folds 5` makes some",
            code="option_not_applicable",
            parameter="split",
        )
    matches, notes = _find_images(split_file, dataset)
    folds = np.array([int(line.part) for line, _ in matches], np.int64)
    groups = _group_numbers([line for line, _ in matches])
    return tuple(image for _, image in matches), folds, groups, tuple(notes)


def _check_fold(split_file: SplitFile, fold: int | None) -> None:
    path, folds = split_file.path, split_file.folds
    if not folds and fold is not None:
        raise UsageError(
            f"{option('fold')} {fold}: {path} has splits, not folds; leave {option('fold')} out",
            code="option_not_applicable",
            parameter="fold",
        )
    if folds and fold is None:
        raise UsageError(
            f"{path}: has {folds} folds; say by {option('fold')} 1 to {folds} which one is the test split",
            code="missing_argument",
            parameter="fold",
        )
    if folds and fold is not None and not 1 <= fold <= folds:
        raise UsageError(
            f"{option('fold')} {fold}: {path} has {folds} folds; choose 1 to {folds}",
            code="out_of_range",
            parameter="fold",
        )


def _find_images(split_file: SplitFile, dataset: Dataset) -> tuple[list[tuple[SplitLine, LabeledImage]], list[Note]]:
    """Match the images that the file names, in the data set's order; with notes on mismatches."""
    lines = {line.file: line for line in split_file.lines}
    names = {image.source.file for image in dataset.images}
    unmatched = {line.content or line.file: line for line in split_file.lines if line.file not in names}
    matches, renamed, unnamed, changed, relabeled = [], [], [], [], []
    for image in dataset.images:
        file = image.source.file
        line = lines.get(file) or unmatched.pop(image.content, None)
        if line is None:
            unnamed.append(file)
            continue
        matches.append((line, image))
        if line.file != file:
            renamed.append(file)
        if line.content not in {"", image.content}:
            changed.append(file)
        if line.labels is not None and set(line.labels) != set(image.labels):
            relabeled.append(file)
    if changed:
        raise DataError(
            f"{split_file.path}: {name_some(changed, 3)}: other bytes than when the split was made; make a new split",
            code="split_differs",
            parameter="split",
        )
    return matches, _account(split_file, unnamed, [line.file for line in unmatched.values()], renamed, relabeled)


def _account(
    split_file: SplitFile,
    unnamed: Sequence[str],
    gone: Sequence[str],
    renamed: Sequence[str],
    relabeled: Sequence[str],
) -> list[Note]:
    listed = (
        (unnamed, "images-not-in-split-file"),
        (gone, "images-only-in-split-file"),
        (renamed, "images-renamed"),
        (relabeled, "images-relabelled"),
    )
    name = split_file.path.name
    return [note(code, count=len(files), file=name, names=name_first(files, 3)) for files, code in listed if files]


def _as_split_name(part: str) -> SplitName:
    return next(split for split in SPLITS if split == part)


def _cut_validation(
    dataset: Dataset, rest: Sequence[tuple[SplitLine, LabeledImage]], validation: float, seed: int
) -> list[SplitName]:
    numbers = _group_numbers([line for line, _ in rest])
    table = encode_labels([image for _, image in rest], dataset.classes, "multi-label")
    divided = divide_groups(table, numbers, [1 - validation, validation], seed=seed, needed=0)
    return ["validation" if part else "train" for part in divided.tolist()]


def _group_numbers(lines: Sequence[SplitLine]) -> np.ndarray:
    groups: dict[str, int] = defaultdict(lambda: len(groups))
    return np.array([groups[line.group] for line in lines], np.int64)


def _check_splits(split_file: SplitFile, dataset: Dataset, splits: dict[SplitName, list[LabeledImage]]) -> None:
    if empty := [split for split in SPLITS if not splits[split]]:
        raise DataError(
            f"{split_file.path}: no picture of {dataset.root} is on the {' or '.join(empty)} split; training needs "
            f"all of {', '.join(SPLITS)}; make a new split with `distingo split`",
            code="split_incomplete",
            parameter="split",
        )
    trained = {label for image in splits["train"] for label in image.labels}
    if dataset.task == "single-label" and (lost := [name for name in dataset.classes if name not in trained]):
        raise DataError(
            f"{split_file.path}: class {name_some(lost, 3)} has no picture on the train split; make a new split, or "
            "move the class away",
            code="split_incomplete",
            parameter="split",
        )


def _lacking(dataset: Dataset, splits: dict[SplitName, list[LabeledImage]]) -> list[Note]:
    noun = "class" if dataset.task == "single-label" else "label"
    notes = []
    for split in SPLITS:
        present = {label for image in splits[split] for label in image.labels}
        notes += [note(f"{noun}-not-in-{split}", name=name) for name in dataset.classes if name not in present]
    return notes


def name_split(path: str | Path | None, fold: int | None) -> RequestedSplit | None:
    """Combine the options ``--split`` and ``--fold``.

    Raises:
        UsageError: There is a fold without a file.
    """
    if path is not None:
        return RequestedSplit(Path(path), fold)
    if fold is not None:
        raise UsageError(
            f"{option('fold')} {fold}: is about the folds of a split file; name that by {option('split')}",
            code="needs_other_option",
            parameter="fold",
        )
    return None


def require_unchanged(split: RequestedSplit) -> None:
    """Refuse a split file that changed since the run that is to be repeated.

    Raises:
        DataError: It has changed, or can't be read.
    """
    if split.content and hash_split(split.file) != split.content:
        raise DataError(
            f"{split.file}: was changed since the run that is to be repeated; name the one to use by {option('split')}",
            code="changed_meanwhile",
            parameter="split",
        )


def require_same_split(split: RequestedSplit, started: RequestedSplit | None, output: Path) -> None:
    """Refuse to resume a run with a different split file or fold.

    Raises:
        UsageError: The file or the fold differs.
        DataError: It can't be read.
    """
    if started is None or (hash_split(split.file), split.fold) != (started.content, started.fold):
        raise UsageError(
            f"{option('resume')}: {output} was started with another {option('split')} or {option('fold')}; leave them "
            "out",
            code="changed_options",
            parameter="split",
        )


def hashed(split: RequestedSplit) -> RequestedSplit:
    """Add the hash of the file's bytes, and make its path absolute.

    Raises:
        DataError: It can't be read.
    """
    return replace(split, file=split.file.resolve(), content=hash_split(split.file))


def hash_split(path: Path) -> str:
    """Hash of a split file's bytes.

    Raises:
        DataError: It can't be read.
    """
    try:
        return content_hash(path.read_bytes())
    except OSError as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else f"can't be opened ({error.strerror})"
        raise DataError(
            f"{path}: {reason}; `distingo split DATA -o FILE` writes a split file",
            code="cannot_read",
            parameter="split",
        ) from error
