"""Which layout a folder has, and which files are candidates for pictures of which class."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path

from distingo.datasets import idx
from distingo.datasets.candidates import SIDE_NAMES, Candidate, Layout, ignored_row
from distingo.datasets.group_column import with_groups
from distingo.datasets.own_files import mark_own_files, require_finished
from distingo.datasets.table_finding import find_table, is_table_file, layout_in_folder, layout_of_file, tables_in
from distingo.datasets.tables import TableOptions
from distingo.datasets.walking import FoundFile, display_name, is_hidden_folder, walk
from distingo.errors import DataError
from distingo.records import Side, Source, ValueRanges

_IDX_IMAGES = re.compile(r"(?P<prefix>.*?)(?P<side>train|t10k|test)-images[-.]idx3-ubyte(?P<gz>\.gz)?", re.IGNORECASE)
_ENTRY = re.compile(r"(?P<file>.+)#(?P<index>\d+)", re.DOTALL)
_HOW = "put the pictures of each class in a folder of its own"


def find_layout(
    root: Path, table: TableOptions | None = None, *, allow_missing: bool = False, as_it_comes: bool = False
) -> Layout:
    """Recognise a folder's layout and list its candidates.

    Args:
        root: The dataset's folder: one folder per class; or ``train``, ``val`` (``valid``, ``validation``)
            and ``test``, any of them, with class folders; or the IDX files of the MNIST family; or a table of
            labels beside pictures. Or the table itself.
        table: What a person says about the table; what is left out is recognised.
        allow_missing: Go on even if half of the pictures that the table names are missing.
        as_it_comes: Take what nothing can be trained on too: one class, empty class folders, pictures without any.

    Returns:
        Every file found, either as a candidate or as ignored, and with a table every row of it.

    Raises:
        DataError: There is no such folder, it is empty, a download has not finished filling it, it has no or one
            class only, its IDX files do not fit, or its table can't be understood.
        UsageError: An option does not fit the table, or there is none.
    """
    options = table or TableOptions()
    if is_table_file(root):
        return layout_of_file(root, options, allow_missing=allow_missing)
    files = _find_files(root)
    images = [
        file for file in files if len(file.parts) == 1 and not file.ignored and _IDX_IMAGES.fullmatch(file.parts[0])
    ]
    if images:
        layout = _idx_layout(root, files, images)
        _check_classes(root, layout)
        return layout
    other = (
        _has_split_folders(files)
        or len({file.parts[0] for file in files if len(file.parts) > 1 and not file.ignored}) > 1
    )
    # a column of groups alone says nothing about labels: folders go on saying them
    about_labels = TableOptions() if other and options.given == ("--group-column",) else options
    if found := find_table(root, files, about_labels, other=other):
        return layout_in_folder(root, found, files, options, allow_missing=allow_missing)
    layout = _folders(root, files, as_it_comes=as_it_comes)
    if options.group_column is not None:
        return with_groups(layout, files, options.group_column)
    tables = ", ".join(file.path.name for file in tables_in(files))
    note = f"the labels are the folders' names; {tables} is not read (give it as DATA for the labels in it)"
    return replace(layout, notes=(note,)) if tables else layout


def _folders(root: Path, files: list[FoundFile], *, as_it_comes: bool) -> Layout:
    if _has_split_folders(files):
        layout = _folder_layout("split folders", root, files, depth=1)
    else:
        layout = _folder_layout("class folders", root, files, depth=0)
    if not as_it_comes:
        _check_no_class_is_empty(root, layout)
        _check_classes(root, layout)
    elif not layout.candidates:
        return _unlabelled(root, files)
    return layout


def _unlabelled(root: Path, files: list[FoundFile]) -> Layout:
    tables = {file.parts for file in tables_in(files)}
    left = [file for file in files if file.ignored or file.parts in tables]
    reasons = {file.parts: file.ignored or "a table, not a picture" for file in left}
    candidates = [
        Candidate(Source(display_name(file.parts), file.path), (), None) for file in files if file.parts not in reasons
    ]
    if not candidates:
        raise DataError(f"{root}: holds no file that may be a picture")
    candidates.sort(key=lambda candidate: candidate.source.file)
    ignored = tuple(ignored_row(file, reasons[file.parts]) for file in files if file.parts in reasons)
    return Layout("pictures without classes", (), tuple(candidates), ignored, root)


def source_of(root: Path, file: str, value_ranges: ValueRanges | None = None) -> Source:
    """Turn the ``file`` of a manifest or split back into a source.

    Args:
        root: The dataset's folder.
        file: As in `Source.file`.
        value_ranges: As in `Source.value_range`: those of the data set or of a model.

    Returns:
        The source; whether the file is still there shows when it is opened.
    """
    path = root / file
    if path.exists():
        return Source(file, path, value_range=value_ranges)
    entry = _ENTRY.fullmatch(file)
    if entry and _IDX_IMAGES.fullmatch(entry["file"].rpartition("/")[2]):
        return Source(file, root / entry["file"], int(entry["index"]))
    if "\\x" in file:
        written = re.sub(r"\\x([0-9a-f]{2})", lambda match: chr(0xDC00 + int(match[1], 16)), file)
        return Source(file, root / written, value_range=value_ranges)
    return Source(file, path, value_range=value_ranges)


def _find_files(root: Path) -> list[FoundFile]:
    try:
        if not root.exists():
            raise DataError(f"{root}: no such folder; check the spelling")
        if not root.is_dir():
            raise DataError(f"{root}: is a file; give the folder with the pictures, one folder per class, or a table")
        require_finished(root)
        files = mark_own_files(walk(root))
        if not files and not any(root.iterdir()):
            raise DataError(f"{root}: is empty; {_HOW}")
    except OSError as error:
        raise DataError(f"{root}: can't be opened ({error.strerror}); check the permissions") from error
    return files


def _has_split_folders(files: list[FoundFile]) -> bool:
    # A folder "test" with pictures and no folders in it may as well be a class of that name.
    return any(len(file.parts) > 2 and file.parts[0].lower() in SIDE_NAMES and not file.ignored for file in files)


def _folder_layout(name: str, root: Path, files: list[FoundFile], *, depth: int) -> Layout:
    candidates, ignored = [], []
    for file in files:
        side = SIDE_NAMES.get(file.parts[0].lower()) if depth else None
        why = file.ignored
        if not why and depth and side is None:
            why = "lies outside train, validation and test"
        if not why and len(file.parts) <= depth + 1:
            why = "lies in no class folder"
        if why:
            ignored.append(ignored_row(file, why, side))
        else:
            label = _class_name(file.parts[depth])
            candidates.append(Candidate(Source(display_name(file.parts), file.path), (label,), side))
    candidates.sort(key=lambda candidate: candidate.source.file)
    classes = sorted({label for candidate in candidates for label in candidate.labels})
    return Layout(name, tuple(classes), tuple(candidates), tuple(ignored), root)


def _check_no_class_is_empty(root: Path, layout: Layout) -> None:
    parents = [root]
    if layout.name == "split folders":
        parents = [path for path in root.iterdir() if path.name.lower() in SIDE_NAMES and path.is_dir()]
    for folder in sorted(folder for parent in parents for folder in _folders_in(parent)):
        label = _class_name(folder.name)
        if label not in layout.classes and not is_hidden_folder(folder.name) and not _has_files(folder):
            raise DataError(f"{root}: class folder {label!r} is empty; put pictures in it or move it away")


def _folders_in(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if path.is_dir()]
    except OSError:
        return []  # listed as a folder that can't be opened


def _has_files(folder: Path) -> bool:
    try:
        return next(walk(folder), None) is not None
    except OSError:
        return True  # listed as a folder that can't be opened


def _class_name(folder: str) -> str:
    # One name may come in two Unicode forms, for example from a Mac and from Linux.
    return unicodedata.normalize("NFC", display_name((folder,)))


def _check_classes(root: Path, layout: Layout) -> None:
    count = len(layout.candidates)
    if not layout.classes:
        lying = sum(not row.is_own for row in layout.ignored)
        found = f"its {lying:,} files lie in no class folder" if lying else "it holds no file"
        raise DataError(f"{root}: no class folders with files in them ({found}); {_HOW}")
    if len(layout.classes) == 1:
        hint = "a classifier needs at least two"
        only = root / layout.classes[0]
        below = _folders_in(only)
        if len(below) > 1 and not any(is_hidden_folder(path.name) for path in below):
            hint += f"; if the folders inside it are the classes, give {only}"
        raise DataError(f"{root}: one class only ({layout.classes[0]}, {count} files); {hint}")


def _idx_layout(root: Path, files: list[FoundFile], images: list[FoundFile]) -> Layout:
    present = {file.parts[0]: file for file in files if len(file.parts) == 1}
    used: dict[Side, FoundFile] = {}
    candidates: list[Candidate] = []
    reasons: dict[tuple[str, ...], str] = {}
    prefixes = defaultdict(set)
    for file in images:
        match = _IDX_IMAGES.fullmatch(file.parts[0])
        assert match is not None
        prefixes[match["prefix"]].add(file.parts[0])
        side: Side = "train" if match["side"].lower() == "train" else "test"
        if side in used and used[side].parts[0].removesuffix(".gz") == file.parts[0].removesuffix(".gz"):
            reasons[file.parts] = f"the packed form of {used[side].parts[0]}"
            continue
        used.setdefault(side, file)
    if len(prefixes) > 1:
        raise DataError(f"{root}: IDX files of several datasets ({', '.join(sorted(prefixes))}); keep one per folder")
    for side, file in used.items():
        labels = _labels_beside(root, file, present)
        reasons[labels.parts] = f"holds the labels of {file.parts[0]}"
        candidates += _idx_candidates(file, labels, side)
    taken = {file.parts for file in used.values()}
    ignored = [
        ignored_row(file, file.ignored or reasons.get(file.parts, "not one of the IDX files in use"))
        for file in files
        if file.parts not in taken
    ]
    classes = sorted({candidate.labels[0] for candidate in candidates})
    return Layout("IDX files", tuple(classes), tuple(candidates), tuple(ignored), root)


def _labels_beside(root: Path, images: FoundFile, present: dict[str, FoundFile]) -> FoundFile:
    plain = re.sub(r"images([-.])idx3", r"labels\1idx1", images.parts[0], flags=re.IGNORECASE).removesuffix(".gz")
    for name in (plain, plain + ".gz", plain.replace(".idx1", "-idx1"), plain.replace("-idx1", ".idx1")):
        if name in present:
            return present[name]
    raise DataError(f"{root}: {images.parts[0]} has no labels beside it; put {plain}.gz in the same folder")


def _idx_candidates(images: FoundFile, labels: FoundFile, side: Side) -> list[Candidate]:
    count = idx.read_shape(images.path)[0]
    values = idx.load_labels(labels.path)
    if len(values) != count:
        raise DataError(
            f"{images.path}: {count} pictures, but {labels.path.name} holds {len(values)} labels; fetch both again"
        )
    name = display_name(images.parts)
    names = {value: (str(value),) for value in Counter(values.tolist())}
    return [
        Candidate(Source(f"{name}#{index}", images.path, index), names[value], side)
        for index, value in enumerate(values.tolist())
    ]
