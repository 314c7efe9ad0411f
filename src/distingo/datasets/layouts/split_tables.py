"""Read split folders whose labels are in tables: one in each folder, or one for each split next to them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from distingo.datasets.corrections import describe_labels_table
from distingo.datasets.layouts.folders import describe_unlabeled, split_layout
from distingo.datasets.layouts.label_source import LabelSource, choose_label_source
from distingo.datasets.layouts.split_folders import Folder, FolderSplits, SplitFolder, class_name
from distingo.datasets.tables.columns import names_images, recognize_shape, with_first_row
from distingo.datasets.tables.image_files import ImageFinder
from distingo.datasets.tables.layout import table_layout
from distingo.datasets.tables.reading import read_labels_table
from distingo.datasets.tables.rows import options_like
from distingo.datasets.tables.table import FOLDER_ENDINGS, Table, TableOptions, text_of
from distingo.datasets.walking import FoundFile, Layout, display_name, ignored_row, is_unlabeled_name, split_of_name
from distingo.errors import DataError
from distingo.messages.notes import Note, note
from distingo.records import SPLITS, ManifestRow

GIVES_NO_LABELS = note("gives-no-labels")

METADATA = "metadata"

_LIST_ENDINGS = frozenset({".txt", ".lst", ".list"})


@dataclass(frozen=True, slots=True, eq=False)
class _Assigned:
    """A split folder and the table that may hold its labels.

    Attributes:
        folder: The split folder.
        file: The table.
        table: As read.
        base: The folder that the names in the table are relative to.
    """

    folder: SplitFolder
    file: FoundFile
    table: Table
    base: tuple[str, ...]

    @property
    def display_path(self) -> str:
        return display_name(self.file.parts)


def layout_of_split_tables(
    root: Path,
    tree: Folder,
    files: Sequence[FoundFile],
    splits: FolderSplits,
    options: TableOptions,
    *,
    allow_missing: bool = False,
) -> tuple[Layout | None, tuple[Note, ...]]:
    """Read split folders with tables of their own.

    A folder's table is ``metadata`` or the only table in it; or else one next to it that is named like its split
    (``train.csv``); or else a text list in it with images and the class names of other splits, whatever other columns
    it has (Tiny ImageNet's ``val_annotations.txt``). Folders without a table keep the names of their class folders as
    labels; folders with neither are not used.

    Args:
        root: The data set's folder.
        tree: The tree of its folders.
        files: Every file in it.
        splits: The split folders.
        options: What the user specified about the tables.
        allow_missing: Accept that half or more of the images that a table names are missing.

    Returns:
        The layout, or None if no split folder has a table with its labels; and the reasons why tables were not read,
        for the user.

    Raises:
        DataError: A table can't be read, or it is ambiguous whether it holds the labels.
        UsageError: An option does not apply to a table.
    """
    classes = _classes_of(tree, splits)
    assigned = [
        each
        for folder in splits.folders
        if (each := _assign(root, files, folder, splits, options) or _assign_list(root, files, folder, splits, classes))
    ]
    notes: list[Note] = []
    used: list[_Assigned] = []
    for each in sorted(assigned, key=lambda one: SPLITS.index(one.folder.split)):
        source = _source_of(tree, each, options)
        notes += [note("of-folder", folder=each.display_path, note=one) for one in source.notes]
        if source.labels_from == "table":
            used.append(replace(each, table=with_first_row(each.table, _images(root, files, each))))
    if not used:
        return None, tuple(notes)
    first = used[0]
    shape = recognize_shape(first.table, options, _images(root, files, first))
    options_by_table = {first: options}
    for each in used[1:]:
        if table_options := options_like(first.table, shape, each.table, _images(root, files, each), options):
            options_by_table[each] = table_options
    labeled = list(options_by_table)
    layouts = {
        each.folder: table_layout(
            root,
            each.table,
            _part_of(files, each),
            options_by_table[each],
            below=each.base,
            allow_missing=allow_missing,
            min_classes=1,
        )
        for each in labeled
    }
    unlabeled = [each for each in splits.folders if each not in layouts and not each.has_classes]
    notes += describe_unlabeled(tree, unlabeled)
    rest = _rest(root, files, splits, used, layouts)
    return _combine(layouts, rest, labeled, [*splits.notes, *notes]), ()


def _rest(
    root: Path,
    files: Sequence[FoundFile],
    splits: FolderSplits,
    used: Sequence[_Assigned],
    layouts: Mapping[SplitFolder, Layout],
) -> Layout:
    """The layout of what no table describes: the tables themselves, split folders without one, and other files."""
    prefixes = [each.base for each in used if each.folder in layouts]
    rest = [file for file in files if not any(file.parts[: len(prefix)] == prefix for prefix in prefixes)]
    by_file = {each.file.parts: each for each in used}
    described = [by_file[file.parts] for file in files if file.parts in by_file]
    layout = split_layout(root, [file for file in rest if file.parts not in by_file], splits)
    rows = [ignored_row(each.file, _ignored_reason(each, layouts), each.folder.split) for each in described]
    return replace(layout, ignored=(*rows, *layout.ignored))


def _ignored_reason(each: _Assigned, layouts: Mapping[SplitFolder, Layout]) -> Note:
    return describe_labels_table(each.file.path) if each.folder in layouts else GIVES_NO_LABELS


def _assign(
    root: Path, files: Sequence[FoundFile], folder: SplitFolder, splits: FolderSplits, options: TableOptions
) -> _Assigned | None:
    """Find the table of a split folder: the deepest one in it, or one next to it that is named like its split."""
    base = min(_common(splits.folders), len(folder.parts) - 1)
    for depth in range(len(folder.parts), base - 1, -1):
        parts = folder.parts[:depth]
        tables = [file for file in files if _is_table_in(file, parts)]
        if depth > base:
            assigned = _choose_own(root, files, folder, [_read(folder, file, parts, options) for file in tables])
        else:
            candidates = [file for file in tables if split_of_name(file.path.stem, loose=True) == folder.split]
            candidates = [] if folder.has_classes else candidates
            assigned = _choose(root, files, [_read(folder, file, folder.parts, options) for file in candidates])
        if assigned:
            return assigned
    return None


def _classes_of(tree: Folder, splits: FolderSplits) -> frozenset[str]:
    """The names of the class folders in all splits."""
    class_parents = [tree.find(folder.parts) for folder in splits.folders if folder.has_classes]
    return frozenset(class_name(name) for folder in class_parents if folder for name in folder.folders)


def _assign_list(
    root: Path, files: Sequence[FoundFile], folder: SplitFolder, splits: FolderSplits, classes: Collection[str]
) -> _Assigned | None:
    """Find a text list in a split folder without classes that labels its images with the classes of other splits."""
    base = min(_common(splits.folders), len(folder.parts) - 1)
    if folder.has_classes or not classes:
        return None
    for depth in range(len(folder.parts), base, -1):
        parts = folder.parts[:depth]
        lists = [file for file in files if file.parts[:-1] == parts and not file.ignored]
        lists = [file for file in lists if file.path.suffix.lower() in _LIST_ENDINGS]
        matching = [each for file in lists if (each := _read_list(root, files, folder, file, parts, classes))]
        if len(matching) == 1:
            return matching[0]
    return None


def _read_list(
    root: Path,
    files: Sequence[FoundFile],
    folder: SplitFolder,
    file: FoundFile,
    base: tuple[str, ...],
    classes: Collection[str],
) -> _Assigned | None:
    """Read the columns of images and of classes; None if there are none, or several."""
    try:
        each = _Assigned(folder, file, read_labels_table(file.path), base)
    except DataError:
        return None  # another kind of text
    finder = _images(root, files, each)
    table = with_first_row(each.table, finder)
    labels = [name for name in table.columns if {text_of(cell) for cell in table.column(name)} <= set(classes)]
    images = [name for name in table.columns if names_images(_narrowed(table, name), finder)]
    if len(labels) != 1 or len(images) != 1 or labels == images:
        return None
    return replace(each, table=_narrowed(table, images[0], labels[0]))


def _narrowed(table: Table, *names: str) -> Table:
    return replace(table, columns=names, cells=tuple(table.column(name) for name in names))


def _common(folders: Sequence[SplitFolder]) -> int:
    """Number of leading parts that the paths of all split folders share."""
    first, last = min(each.parts for each in folders), max(each.parts for each in folders)
    return next((at for at, (one, other) in enumerate(zip(first, last, strict=False)) if one != other), len(first))


def _is_table_in(file: FoundFile, base: tuple[str, ...]) -> bool:
    return (
        file.parts[:-1] == base
        and not file.ignored
        and file.path.suffix.lower() in FOLDER_ENDINGS
        and not is_unlabeled_name(file.path.stem)
    )


def _read(folder: SplitFolder, file: FoundFile, base: tuple[str, ...], options: TableOptions) -> _Assigned:
    return _Assigned(folder, file, read_labels_table(file.path, header=options.header), base)


def _choose_own(
    root: Path, files: Sequence[FoundFile], folder: SplitFolder, tables: Sequence[_Assigned]
) -> _Assigned | None:
    metadata = [
        each for each in tables if each.file.path.stem.lower() == METADATA and "file_name" in each.table.columns
    ]
    if metadata or folder.has_classes:
        return _choose(root, files, metadata)
    return _choose(root, files, tables)


def _choose(root: Path, files: Sequence[FoundFile], tables: Sequence[_Assigned]) -> _Assigned | None:
    """The only table, or of several the only one that names images of its folder."""
    if len(tables) < 2:
        return tables[0] if tables else None
    with_images = [each for each in tables if names_images(each.table, _images(root, files, each))]
    if len(with_images) == 1:
        return with_images[0]
    names = ", ".join(each.display_path for each in with_images or tables)
    problem = "several tables name pictures" if with_images else "none of its tables names its pictures"
    raise DataError(f"{root}: {problem} ({names}); move all but the one with the labels away", code="ambiguous_table")


def _part_of(files: Sequence[FoundFile], each: _Assigned) -> list[FoundFile]:
    return [file for file in files if file.parts[: len(each.base)] == each.base and file is not each.file]


def _images(root: Path, files: Sequence[FoundFile], each: _Assigned) -> ImageFinder:
    return ImageFinder(root, _part_of(files, each), below=each.base)


def _source_of(tree: Folder, each: _Assigned, options: TableOptions) -> LabelSource:
    split_folder = tree.find(each.folder.parts)
    if not each.folder.has_classes or split_folder is None:
        return LabelSource("table")
    classes = [class_name(name) for name in split_folder.folders]
    return choose_label_source(each.table, "file_name", classes, options)


def _combine(
    layouts: Mapping[SplitFolder, Layout], folders: Layout, labeled: Sequence[_Assigned], notes: Sequence[Note]
) -> Layout:
    """Combine the layouts of all splits and of the folders whose names are their labels."""
    parts = [*layouts.items()]
    candidates = [replace(one, split=folder.split) for folder, layout in parts for one in layout.candidates]
    candidates = sorted([*candidates, *folders.candidates], key=lambda candidate: candidate.source.file)
    ignored = [_with_folder(row, folder) for folder, layout in parts for row in layout.ignored]
    layout_notes = [
        one if len(labeled) == 1 else note("of-folder", folder=each.folder.display_path, note=one)
        for each in labeled
        for one in layouts[each.folder].notes
    ]
    return Layout(
        note("split-folders-with-tables", tables=tuple(dict.fromkeys(each.display_path for each in labeled))),
        tuple(sorted({label for candidate in candidates for label in candidate.labels})),
        tuple(candidates),
        (*ignored, *folders.ignored),
        folders.root,
        "multi-label" if any(layout.task == "multi-label" for layout in layouts.values()) else "single-label",
        (*notes, *layout_notes),
        {file: values for layout in layouts.values() for file, values in layout.groups.items()},
    )


def _with_folder(row: ManifestRow, folder: SplitFolder) -> ManifestRow:
    """Convert a split folder's row to one of the whole data set; missing files of two splits may have the same name."""
    name = (
        row.file
        if row.status != "missing" or row.file.startswith(f"{folder.display_path}/")
        else f"{folder.display_path}/{row.file}"
    )
    return replace(row, file=name, split=folder.split)
