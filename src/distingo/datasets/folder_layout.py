"""Folders to candidates: the names of class folders are the labels, in split folders or without."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from distingo.datasets.candidates import Candidate, Layout, ignored_row
from distingo.datasets.folder_tree import Folder, class_name
from distingo.datasets.split_folders import FolderSplits, SplitFolder
from distingo.datasets.walking import FoundFile, display_name, is_hidden_folder, walk
from distingo.errors import DataError, name_some
from distingo.records import Source

HOW = "put the pictures of each class in a folder of its own"
OUTSIDE_SPLITS = "lies outside train, validation and test"
NO_CLASS_FOLDER = "lies in no class folder"


def class_layout(
    root: Path, files: Sequence[FoundFile], known: Collection[str] = (), wrapper: tuple[str, ...] = ()
) -> Layout:
    """Take the folders at the top of a data set, or in the folder wrapped around them, for its classes.

    Args:
        root: The data set's folder.
        files: Every file in it.
        known: The classes that a model knows: a folder called like one of them, with no folder inside of it that is,
            holds this class only.
        wrapper: The path of the folder that holds the class folders; empty where that is the root.
    """
    own = class_name(root.resolve().name)
    tops = {class_name(file.parts[0]) for file in files if len(file.parts) > 1 and not file.ignored}
    if not wrapper and own in known and tops.isdisjoint(known):
        reasons = [file.ignored for file in files]
        return _layout("one class folder", root, files, reasons, [own] * len(files))
    at = len(wrapper)
    reasons = [file.ignored or (NO_CLASS_FOLDER if len(file.parts) < at + 2 else "") for file in files]
    labels = ["" if reason else file.parts[at] for file, reason in zip(files, reasons, strict=True)]
    return _layout("class folders", root, files, reasons, labels)


def split_layout(root: Path, files: Sequence[FoundFile], splits: FolderSplits) -> Layout:
    """Take the folders in split folders for classes; what lies elsewhere is ignored."""
    folders = [splits.folder_of(file.parts) for file in files]
    reasons = [file.ignored or why_no_candidate(file, folder) for file, folder in zip(files, folders, strict=True)]
    labels = [
        file.parts[folder.class_at] if folder and not reason else ""
        for file, folder, reason in zip(files, folders, reasons, strict=True)
    ]
    return _layout("split folders", root, files, reasons, labels, folders)


def why_no_candidate(file: FoundFile, folder: SplitFolder | None) -> str:
    """Why a file that is not ignored by itself is no candidate in its split folder; empty if it is one."""
    if folder is None:
        return OUTSIDE_SPLITS
    if not folder.has_classes or len(file.parts) <= max(folder.class_at + 1, len(folder.parts)):
        return NO_CLASS_FOLDER
    return ""


def unlabelled_layout(
    root: Path, files: Sequence[FoundFile], tables: Iterable[FoundFile], splits: FolderSplits
) -> Layout:
    """Take every file that may be an image, without any class.

    Raises:
        DataError: There is none.
    """
    parts = {file.parts for file in tables}
    reasons = [file.ignored or ("a table, not a picture" if file.parts in parts else "") for file in files]
    if all(reasons):
        raise DataError(f"{root}: holds no file that may be a picture")
    folders = [splits.folder_of(file.parts) for file in files]
    return _layout("pictures without classes", root, files, reasons, None, folders)


def _layout(
    name: str,
    root: Path,
    files: Sequence[FoundFile],
    reasons: Sequence[str],
    labels: Sequence[str] | None,
    folders: Sequence[SplitFolder | None] | None = None,
) -> Layout:
    candidates, ignored = [], []
    for at, (file, reason) in enumerate(zip(files, reasons, strict=True)):
        folder = folders[at] if folders else None
        side = folder.side if folder else None
        if reason:
            ignored.append(ignored_row(file, reason, side))
        else:
            given = () if labels is None else (class_name(labels[at]),)
            candidates.append(Candidate(Source(display_name(file.parts), file.path), given, side))
    candidates.sort(key=lambda candidate: candidate.source.file)
    classes = sorted({label for candidate in candidates for label in candidate.labels})
    return Layout(name, tuple(classes), tuple(candidates), tuple(ignored), root)


def check_no_class_is_empty(root: Path, layout: Layout, splits: FolderSplits, wrapper: tuple[str, ...] = ()) -> None:
    """Refuse a class folder without a file in it, unless the class has images on another split.

    Raises:
        DataError: There is one.
    """
    parents = {root.joinpath(*each.parts[: each.class_at]) for each in splits.folders if each.has_classes}
    parents = parents or {root.joinpath(*wrapper)}
    for folder in sorted(folder for parent in parents for folder in folders_in(parent)):
        label = class_name(folder.name)
        if label not in layout.classes and not is_hidden_folder(folder.name) and not _has_files(folder):
            raise DataError(f"{root}: class folder {label!r} is empty; put pictures in it or move it away")


def check_classes(root: Path, layout: Layout, known: Collection[str] = (), tree: Folder | None = None) -> None:
    """Refuse a data set without classes, or with one only that is not among the known ones.

    Raises:
        DataError: It has none, or one.
    """
    if not layout.classes:
        lying = sum(not row.is_own for row in layout.ignored)
        found = f"its {lying:,} files lie in no class folder" if lying else "it holds no file"
        raise DataError(f"{root}: no class folders with files in them ({found}); {HOW}")
    _refuse_companions(root, layout, tree)
    if len(layout.classes) > 1 or layout.classes[0] in known:
        return
    hint = "the model does not know it" if known else "a classifier needs at least two"
    only = root / layout.classes[0]
    below = folders_in(only)
    if len(below) > 1 and not any(is_hidden_folder(path.name) for path in below):
        hint += f"; if the folders inside it are the classes, give {only}"
    elif known:
        return  # evaluation says which classes the model knows
    raise DataError(f"{root}: one class only ({layout.classes[0]}, {len(layout.candidates)} files); {hint}")


def _refuse_companions(root: Path, layout: Layout, tree: Folder | None) -> None:
    """Refuse ``images/`` with class folders in it, beside ``annotations/`` without any image."""
    if (
        tree is None
        or len(tree.folders) != 1
        or len(layout.classes) < 2
        or any(each.side for each in layout.candidates)
    ):
        return
    (only,) = tree
    others = sorted(set(layout.classes) - {class_name(only.name)})
    if len(only.folders) > 1 and others:
        raise DataError(
            f"{root}: its folders {name_some(others, 3)} hold no file that may be an image; if the folders inside "
            f"{only.name} are the classes, give {root / only.name}"
        )


def describe_unlabelled(tree: Folder, folders: Iterable[SplitFolder]) -> list[str]:
    """Say which split folders hold images without labels."""
    notes = []
    for folder in folders:
        found = tree.find(folder.parts)
        count = found.total if found else 0
        images = "1 image" if count == 1 else f"{count:,} images"
        notes.append(f"not used: {images} without a label in {folder.shown}")
    return notes


def folders_in(folder: Path) -> list[Path]:
    """The folders in a folder; none where it can't be opened."""
    try:
        return [path for path in folder.iterdir() if os.path.isdir(path)]  # noqa: PTH112 - False where nobody may look
    except OSError:
        return []  # listed as a folder that can't be opened


def _has_files(folder: Path) -> bool:
    try:
        return next(walk(folder), None) is not None
    except OSError:
        return True  # listed as a folder that can't be opened
