"""Find the table in a folder that holds the labels, and the images that it refers to."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from distingo.datasets.corrections import is_corrections, mark_own_files
from distingo.datasets.decoding.formats import IMAGE_ENDINGS
from distingo.datasets.layouts.label_source import LabelSource, choose_label_source, find_table_next_to_folders
from distingo.datasets.tables.columns import names_images
from distingo.datasets.tables.image_files import ImageFinder
from distingo.datasets.tables.layout import table_layout
from distingo.datasets.tables.reading import read_labels_table
from distingo.datasets.tables.table import (
    FILE_ENDINGS,
    FOLDER_ENDINGS,
    OTHER_PROGRAMS,
    SECOND_ENDINGS,
    Table,
    TableOptions,
)
from distingo.datasets.walking import FoundFile, Layout, is_unlabeled_name, split_of_name, walk
from distingo.errors import DataError, UsageError, option

_SPREADSHEETS = frozenset({".xls", ".xlsb", ".ods", ".numbers"})


def find_second_table(root: Path, files: Sequence[FoundFile], options: TableOptions) -> Table | None:
    """Find the only workbook, JSON file or text list at the top of a folder that names its images.

    Args:
        root: The folder, which holds no CSV or similar file.
        files: Every file in it.
        options: What the user specified about a table.

    Returns:
        The table; None if none names images.

    Raises:
        DataError: Several do; or none does, but there is another program's spreadsheet.
        UsageError: There is an Excel workbook, and openpyxl is not installed.
    """
    top = [file for file in files if len(file.parts) == 1 and not file.ignored]
    others = [file for file in files if file.path.suffix.lower() in IMAGE_ENDINGS]
    images = ImageFinder(root, others)
    tables = []
    for file in top:
        if file.path.suffix.lower() in SECOND_ENDINGS:
            try:
                table = read_labels_table(file.path, header=options.header)
            except DataError:
                continue  # a text or JSON file may hold anything
            if len(table.columns) > 1 and names_images(table, images, min_files=2):
                tables.append(table)
    if len(tables) > 1:
        names = ", ".join(table.path.name for table in tables)
        raise DataError(
            f"{root}: several tables name images ({names}); give the one with the labels as {option('data')}",
            code="ambiguous_table",
        )
    sheet = next((file.path for file in top if file.path.suffix.lower() in _SPREADSHEETS), None)
    if not tables and sheet is not None:
        raise DataError(f"{sheet}: is {OTHER_PROGRAMS[sheet.suffix.lower()]}", code="wrong_format")
    return tables[0] if tables else None


@dataclass(frozen=True, slots=True)
class FoundTable:
    """A table that may hold the labels of a folder.

    Attributes:
        table: As read.
        source: Whether it does, and why.
    """

    table: Table
    source: LabelSource


def is_table_file(path: Path) -> bool:
    """Whether a path is a file that may be a table."""
    return path.suffix.lower() in FILE_ENDINGS and os.path.isfile(path)  # noqa: PTH113 - False without permission


def tables_in(files: Sequence[FoundFile]) -> list[FoundFile]:
    """The table files at the top of a folder."""
    return [
        file
        for file in files
        if len(file.parts) == 1 and not file.ignored and file.path.suffix.lower() in FOLDER_ENDINGS
    ]


def find_table(
    root: Path, files: Sequence[FoundFile], options: TableOptions, *, classes: Collection[str]
) -> FoundTable | None:
    """Choose the table that holds the labels of a folder.

    Args:
        root: The folder.
        files: Every file in it.
        options: What the user specified about a table.
        classes: Names of class folders that could be the labels instead of a table; empty if there are none.

    Returns:
        The Hugging Face ``metadata`` file; else, unless class folders suffice, the only table that names images and is
        not a table of predictions to submit; else, next to folders that may be classes, the table of
        `find_table_next_to_folders`; else None.

    Raises:
        DataError: Several tables name images, a table is damaged, or it is ambiguous whether the table or the folders
            hold the labels.
        UsageError: Options for a table are set, but there is none.
    """
    table_files = [file for file in tables_in(files) if options.about_labels or not is_unlabeled_name(file.path.stem)]
    required = options.about_labels or ((option("labels_from", "table"),) if options.labels_from == "table" else ())
    if not table_files:
        if (not classes or required) and (table := find_second_table(root, files, options)):
            return FoundTable(table, LabelSource("table"))
        if required:
            raise UsageError(
                f"{root}: holds no table for {', '.join(required)}; give the table as {option('data')}", code="no_table"
            )
        return _table_next_to_folders(root, files, classes, options)
    metadata = [
        read_labels_table(file.path, header=options.header)
        for file in table_files
        if file.path.stem.lower() == "metadata"
    ]
    candidates = [table for table in metadata if "file_name" in table.columns]
    if len(candidates) == 1:
        return FoundTable(candidates[0], choose_label_source(candidates[0], "file_name", classes, options))
    if not candidates:
        if classes and not required:
            return _table_next_to_folders(root, files, classes, options)
        candidates = _tables_of_images(root, files, table_files, options)
    if len(candidates) == 1:
        return FoundTable(candidates[0], LabelSource("table"))
    names = ", ".join(table.path.name for table in candidates) or ", ".join(file.path.name for file in table_files)
    problem = "several tables name pictures" if candidates else "none of its tables names its pictures"
    raise DataError(
        f"{root}: {problem} ({names}); give the one with the labels as {option('data')}", code="ambiguous_table"
    )


def _table_next_to_folders(
    root: Path, files: Sequence[FoundFile], classes: Collection[str], options: TableOptions
) -> FoundTable | None:
    found = find_table_next_to_folders(root, files, classes, options) if classes else None
    return FoundTable(*found) if found else None


def _tables_of_images(
    root: Path, files: Sequence[FoundFile], table_files: Sequence[FoundFile], options: TableOptions
) -> list[Table]:
    """The tables that name images; a train table takes precedence over other splits' tables without its labels."""
    tables = [read_labels_table(file.path, header=options.header) for file in table_files]
    if len(tables) == 1:
        return tables
    images = ImageFinder(root, [file for file in files if file not in table_files])
    tables = [table for table in tables if names_images(table, images)]
    train = [table for table in tables if split_of_name(table.path.stem, loose=True) == "train"]
    if len(train) != 1:
        return tables
    others = [table for table in tables if table is not train[0] and _may_hold_labels(table, train[0])]
    return [*train, *others]


def _may_hold_labels(table: Table, train: Table) -> bool:
    """Whether a table is more than another split's table without the train table's labels."""
    return split_of_name(table.path.stem, loose=True) is None or set(train.columns) <= set(table.columns)


def layout_of_file(path: Path, options: TableOptions, *, allow_missing: bool, min_classes: int = 2) -> Layout:
    """Read a table that was named directly; its images are in the image folder, or somewhere below its own folder.

    Raises:
        DataError: As for `table_layout`, or the folder can't be opened.
        UsageError: As for `table_layout`, or the image folder does not exist.
    """
    if is_corrections(path):
        raise DataError(
            f"{path}: holds corrections, no labels; give the folder it is in, or {option('corrections')} {path}",
            code="wrong_format",
            parameter="data",
        )
    table = read_labels_table(path, header=options.header)
    root, folder = path.parent, path.parent
    if options.image_folder is not None:
        folder = _image_folder(root, options.image_folder)
        root = root if folder.is_relative_to(root.resolve()) else folder
    image_parts = folder.relative_to(root.resolve()).parts if folder != root else ()
    try:
        files = [FoundFile((*image_parts, *file.parts), file.path, file.ignored) for file in walk(folder)]
    except OSError as error:
        raise DataError(
            f"{folder}: can't be opened ({error.strerror}); check the permissions", code="cannot_read"
        ) from error
    if image_parts:
        files.append(FoundFile((path.name,), path))
    return table_layout(
        root,
        table,
        mark_own_files(files),
        options,
        below=image_parts,
        allow_missing=allow_missing,
        min_classes=min_classes,
    )


def layout_in_folder(
    root: Path,
    table: Table,
    files: Sequence[FoundFile],
    options: TableOptions,
    *,
    allow_missing: bool,
    min_classes: int = 2,
) -> Layout:
    """Read a table that is in the folder of its images.

    Raises:
        DataError: As for `table_layout`.
        UsageError: As for `table_layout`, or the image folder does not exist.
    """
    image_parts: tuple[str, ...] = ()
    if options.image_folder is not None:
        folder = _image_folder(root, options.image_folder)
        if not folder.is_relative_to(root.resolve()):
            return layout_of_file(table.path, options, allow_missing=allow_missing, min_classes=min_classes)
        image_parts = folder.relative_to(root.resolve()).parts
    return table_layout(
        root, table, files, options, below=image_parts, allow_missing=allow_missing, min_classes=min_classes
    )


def _image_folder(root: Path, name: str) -> Path:
    for folder in (root / name, Path(name)):
        if folder.is_dir():
            return folder.resolve()
    raise UsageError(
        f"{option('image_folder')} {name}: no such folder, neither in {root} nor here; check the spelling",
        code="not_found",
        parameter="image_folder",
    )
