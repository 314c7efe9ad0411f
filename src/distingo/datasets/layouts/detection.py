"""Detect a folder's layout and list its candidates; tables may add labels, splits and groups."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from distingo.datasets.corrections import mark_own_files, require_finished
from distingo.datasets.layouts.folder_questions import ask_about_classes
from distingo.datasets.layouts.folder_splits import find_splits
from distingo.datasets.layouts.folders import (
    CLASS_FOLDERS_HINT,
    check_classes,
    check_no_class_is_empty,
    class_layout,
    describe_unlabeled,
    idx_images,
    idx_layout,
    split_layout,
    unlabeled_layout,
)
from distingo.datasets.layouts.split_folders import Folder, FolderSplits, build_tree, class_name, find_wrapper
from distingo.datasets.layouts.split_tables import layout_of_split_tables
from distingo.datasets.tables.columns import TABLE_SPLITS, names_images, recognize_image_column, recognize_split_column
from distingo.datasets.tables.finding import (
    FoundTable,
    find_table,
    is_table_file,
    layout_in_folder,
    layout_of_file,
    tables_in,
)
from distingo.datasets.tables.image_files import ImageFinder
from distingo.datasets.tables.labels import merge_layout
from distingo.datasets.tables.matching import match_names
from distingo.datasets.tables.reading import read_labels_table
from distingo.datasets.tables.table import Table, TableOptions, text_of
from distingo.datasets.walking import (
    FoundFile,
    Layout,
    are_numbered_parts,
    display_name,
    is_part_name,
    walk,
)
from distingo.errors import DataError, UsageError, option, suggest_names
from distingo.messages.notes import Note, name_first, note
from distingo.records import HOLDS_PROVENANCE, SplitName


def find_layout(
    root: Path,
    table: TableOptions | None = None,
    *,
    allow_missing: bool = False,
    lenient: bool = False,
    known_classes: Collection[str] = (),
) -> Layout:
    """Recognize a folder's layout and list its candidates.

    Args:
        root: The dataset's folder: one folder per class; or split folders (``train``, ``val`` and ``test``, or other
            common names) with class folders or a table of labels in each; or the IDX files of the MNIST family; or a
            table of labels next to images. Or the table itself.
        table: The options about splits and the table; everything else is detected.
        allow_missing: Accept that half or more of the images that the table names are missing.
        lenient: Accept data that can't be trained on: one class, empty class folders, images without a class.
        known_classes: The classes of a model that is to be evaluated: a single one of them suffices, and `root` may be
            its class folder itself.

    Returns:
        Every file, either as a candidate or as ignored, and with a table every row of it.

    Raises:
        DataError: The folder does not exist, is empty, has an unfinished download, has no class or one only, its IDX
            files don't match, its table can't be read, or it is ambiguous whether its folders are splits or classes.
        UsageError: An option does not apply to the table or the folders, or there is no table.
    """
    options = table or TableOptions()
    min_classes = 1 if known_classes else 2
    if is_table_file(root):
        _refuse_folder_options(root, options, "is a table")
        return layout_of_file(root, options, allow_missing=allow_missing, min_classes=min_classes)
    files = _find_files(root)
    if images := idx_images(files):
        _refuse_folder_options(root, options, "holds IDX files")
        layout = idx_layout(root, files, images)
        check_classes(root, layout, known_classes)
    else:
        folders = _Folders(root, files, options)
        layout = folders.by_tables(allow_missing=allow_missing, min_classes=min_classes) or folders.by_names(
            lenient=lenient, known_classes=known_classes
        )
    return replace(layout, notes=(*layout.notes, *_describe_unopened(files)))


class _Folders:
    """A data set in folders: its split folders, and the ways to read its labels."""

    def __init__(self, root: Path, files: Sequence[FoundFile], options: TableOptions) -> None:
        self._root, self._files, self._options = root, files, options
        self._tree = build_tree(files)
        corrected = any(file.ignored is not None and file.ignored.code == HOLDS_PROVENANCE for file in files)
        if corrected and options.splits is None:
            self._splits = FolderSplits()  # classes of a served model, whatever their names
        else:
            self._splits = find_splits(root, self._tree, options.splits)
        wrapped = not self._splits.folders and not corrected
        self._wrapper = find_wrapper(self._tree, files) if wrapped else None
        self._found_table: FoundTable | None = None
        self._notes: tuple[Note, ...] = ()

    def by_tables(self, *, allow_missing: bool, min_classes: int) -> Layout | None:
        """Read the labels from a table, or one for each split; None if the folders' names are the labels."""
        root, files, options = self._root, self._files, self._options
        if options.labels_from == "folders":
            return None
        if self._splits.folders and options.image_folder is None:
            layout, self._notes = layout_of_split_tables(
                root, self._tree, files, self._splits, options, allow_missing=allow_missing
            )
            if layout is not None:
                if layout.task == "single-label":
                    check_classes(root, layout, layout.classes if min_classes < 2 else ())
                return merge_layout(layout, options.merge_labels)
        # a column of groups alone gives no labels: these still come from the folders
        self._found_table = find_table(root, files, options, classes=self._class_names())
        if self._found_table is None or self._found_table.source.labels_from == "folders":
            return None
        layout = layout_in_folder(
            root, self._found_table.table, files, options, allow_missing=allow_missing, min_classes=min_classes
        )
        return self._on_requested_splits(replace(layout, notes=(*self._found_table.source.notes, *layout.notes)))

    def by_names(self, *, lenient: bool, known_classes: Collection[str]) -> Layout:
        """Read the labels from the names of the class folders."""
        root, files, splits = self._root, self._files, self._splits
        tables = tables_in(files)
        if splits.question and (splits.folders or not _are_known(self._tree, known_classes)):
            if not (lenient and splits.folders and not splits.have_classes):
                raise DataError(f"{root}: {splits.question}", code="ambiguous_folders")
            return replace(unlabeled_layout(root, files, tables, splits), notes=splits.notes)
        wrapper = self._wrapper_of_classes(known_classes)
        wrapper_parts = wrapper.parts if wrapper else ()
        layout = (
            split_layout(root, files, splits)
            if splits.folders
            else class_layout(root, files, known_classes, wrapper_parts)
        )
        if wrapper:
            layout = replace(layout, notes=(note("wrapped-class-folders", folder=wrapper.display_path),))
        if not lenient:
            check_no_class_is_empty(root, layout, splits, wrapper_parts)
            check_classes(root, layout, known_classes, None if wrapper else self._tree)
        elif not layout.candidates:
            return unlabeled_layout(root, files, tables, splits)
        unlabeled = [folder for folder in splits.folders if not folder.has_classes]
        layout = replace(
            layout, notes=(*layout.notes, *splits.notes, *describe_unlabeled(self._tree, unlabeled), *self._notes)
        )
        layout = merge_layout(layout, self._options.merge_labels)
        if self._options.group_column is not None:
            return _with_groups(layout, files, self._options.group_column, self._options.image_column)
        return self._with_metadata(layout, tables)

    def _with_metadata(self, layout: Layout, tables: Sequence[FoundFile]) -> Layout:
        """Add the splits of a table next to class folders, and a note that nothing else is read from it."""
        if self._found_table is not None:
            layout = _with_splits(layout, self._files, self._found_table.table)
            return replace(layout, notes=(*layout.notes, *self._found_table.source.notes))
        if not tables:
            return layout
        names = tuple(file.path.name for file in tables)
        return replace(layout, notes=(*layout.notes, note("tables-not-read", tables=names)))

    def _wrapper_of_classes(self, known_classes: Collection[str]) -> Folder | None:
        """The folder around the class folders; None if it is a class of the model itself, or has none of its classes.

        Raises:
            DataError: The folders in it may also be splits.
        """
        wrapper = self._wrapper
        if wrapper is None:
            return None
        outer_names = {class_name(name) for name in (self._root.resolve().name, *wrapper.parts)}
        if known_classes and (
            not outer_names.isdisjoint(known_classes) or set(map(class_name, wrapper.folders)).isdisjoint(known_classes)
        ):
            return None
        is_open = self._options.splits is None and not _are_known(wrapper, known_classes)
        if is_open and (ambiguity := ask_about_classes(wrapper)):
            raise DataError(f"{self._root}: {ambiguity.question}", code="ambiguous_folders")
        return wrapper

    def _class_names(self) -> frozenset[str]:
        """The names of the folders that may be classes; none if the labels have to come from a table."""
        if not self._splits.folders:
            folder, tables = self._tree, tables_in(self._files)
            if self._wrapper and all(self._wrapper.parts == file.parts[:-1] for file in tables):
                folder = self._wrapper
            is_plausible = len(folder.folders) > 1 and not self._are_parts()
            return frozenset(map(class_name, folder.folders)) if is_plausible else frozenset()
        class_parents = [
            self._tree.find(each.parts[: each.class_at]) for each in self._splits.folders if each.has_classes
        ]
        return frozenset(class_name(name) for folder in class_parents if folder for name in folder.folders)

    def _are_parts(self) -> bool:
        """Whether the folders are only parts of one set, which a table describes.

        Examples are ``images_001`` and ``images_002``, or ``images`` and ``masks``.
        """
        names = [folder.name for folder in self._tree]
        if not are_numbered_parts(names) and not all(map(is_part_name, names)):
            return False
        tables = tables_in(self._files)
        images = ImageFinder(self._root, [file for file in self._files if file not in tables])
        return any(names_images(read_labels_table(file.path, header=self._options.header), images) for file in tables)

    def _on_requested_splits(self, layout: Layout) -> Layout:
        """Assign the images of a table to the splits that the user specified for their folders."""
        if not self._splits.is_requested or any(each.split for each in layout.candidates):
            return layout
        by_file = {display_name(file.parts): self._splits.folder_of(file.parts) for file in self._files}
        splits = {file: folder.split for file, folder in by_file.items() if folder}
        candidates = tuple(replace(each, split=splits.get(each.source.file)) for each in layout.candidates)
        return replace(layout, candidates=candidates, notes=(*layout.notes, *self._splits.notes))


def _are_known(tree: Folder, known_classes: Collection[str]) -> bool:
    """Whether all folders in a folder are classes of the model."""
    return bool(known_classes) and {class_name(folder.name) for folder in tree}.issubset(known_classes)


def _find_files(root: Path) -> list[FoundFile]:
    try:
        if not root.exists():
            raise DataError(f"{root}: no such folder; check the spelling", code="not_found", parameter="data")
        if not root.is_dir():
            raise DataError(
                f"{root}: is a file; give the folder with the pictures, one folder per class, or a table",
                code="not_a_folder",
                parameter="data",
            )
        require_finished(root)
        files = mark_own_files(walk(root))
        if not files and not any(root.iterdir()):
            raise DataError(f"{root}: is empty; {CLASS_FOLDERS_HINT}", code="empty_folder", parameter="data")
    except OSError as error:
        raise DataError(
            f"{root}: can't be opened ({error.strerror}); check the permissions", code="cannot_read", parameter="data"
        ) from error
    return files


def _refuse_folder_options(root: Path, options: TableOptions, problem: str) -> None:
    specified = [option(name) for name in ("splits", "labels_from") if getattr(options, name) is not None]
    if specified:
        raise UsageError(
            f"{', '.join(specified)}: is about folders, and {root} {problem}; leave it out",
            code="option_not_applicable",
        )


def _describe_unopened(files: Sequence[FoundFile]) -> tuple[Note, ...]:
    names = [display_name(file.parts) for file in files if file.is_unopened]
    if not names:
        return ()
    return (note("unopened-folders", count=len(names), folders=name_first(names, 5)),)


def _with_splits(layout: Layout, files: Sequence[FoundFile], table: Table) -> Layout:
    """Add the splits of a metadata table to class folders, unless split folders define them already.

    An image with several splits in the table, or none, gets none.
    """
    column = recognize_split_column(table, [name for name in table.columns if name != "file_name"])
    if column is None or any(candidate.split for candidate in layout.candidates):
        return layout
    named_splits: dict[str, set[SplitName]] = {}
    for file, value in _cells_by_file(layout, files, table, "file_name", column):
        if file and (split := TABLE_SPLITS.get(value.lower())):
            named_splits.setdefault(file, set()).add(split)
    unambiguous = {file: next(iter(file_splits)) for file, file_splits in named_splits.items() if len(file_splits) == 1}
    candidates = tuple(replace(each, split=unambiguous.get(each.source.file)) for each in layout.candidates)
    splits = note("splits-from-column", column=column, table=table.path.name)
    return replace(layout, candidates=candidates, notes=(*layout.notes, splits))


def _with_groups(layout: Layout, files: Sequence[FoundFile], column: str, image_column: str | None) -> Layout:
    """Add the groups of a table's column to class folders; the image column is detected if None."""
    tables = tables_in(files)
    table = _table_of_groups(layout, [read_labels_table(file.path) for file in tables], column)
    images = ImageFinder(layout.root, [file for file in files if file not in tables])
    image = image_column or recognize_image_column(table, TableOptions(group_column=column), images)
    groups: dict[str, set[str]] = defaultdict(set)
    unmatched_rows = 0
    for file, value in _cells_by_file(layout, files, table, image, column):
        unmatched_rows += not file
        if file and value:
            groups[file].add(value)
    ungrouped = sum(candidate.source.file not in groups for candidate in layout.candidates)
    gaps = (
        *([note("images-without-group", count=ungrouped)] if ungrouped else []),
        *([note("rows-without-image", count=unmatched_rows)] if unmatched_rows else []),
    )
    rest = note("groups-incomplete", gaps=gaps) if gaps else ""
    summary = note("groups-from-column", column=column, table=table.path.name, rest=rest)
    return replace(
        layout, groups={file: tuple(sorted(values)) for file, values in groups.items()}, notes=(summary, *layout.notes)
    )


def _cells_by_file(
    layout: Layout, files: Sequence[FoundFile], table: Table, image_column: str, column: str
) -> Iterator[tuple[str, str]]:
    """Yield the image that each row names (empty for none or several) and the row's cell in a column."""
    tables = tables_in(files)
    images = ImageFinder(layout.root, [file for file in files if file not in tables])
    names = [text_of(cell) for cell in table.column(image_column)]
    matches = match_names(names, images)
    for name, value in zip(names, table.column(column), strict=True):
        matched = matches.files(name)
        yield display_name(matched[0].parts) if len(matched) == 1 else "", text_of(value)


def _table_of_groups(layout: Layout, tables: Sequence[Table], column: str) -> Table:
    if not tables:
        raise UsageError(
            f"{layout.root}: holds no table for {option('group_column')}; give the table as {option('data')}",
            code="no_table",
            parameter="group_column",
        )
    matching = [table for table in tables if column in table.columns]
    if len(matching) > 1:
        names = ", ".join(table.path.name for table in matching)
        raise UsageError(
            f"{layout.root}: several tables have a column {column!r} ({names}); move all but one away",
            code="ambiguous_table",
            parameter="group_column",
        )
    if not matching:
        names_of_columns = [name for table in tables for name in table.columns]
        names = ", ".join(table.path.name for table in tables)
        raise UsageError(
            f"{layout.root}: no column {column!r} in {names}; {suggest_names(column, names_of_columns)}",
            code="unknown_column",
            parameter="group_column",
        )
    return matching[0]
