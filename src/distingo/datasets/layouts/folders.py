"""Turn folders into candidates, labeled by the names of class folders, with or without splits; and IDX files."""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from distingo.datasets.decoding import idx
from distingo.datasets.layouts.split_folders import Folder, FolderSplits, SplitFolder, class_name
from distingo.datasets.walking import (
    IDX_IMAGES,
    Candidate,
    FoundFile,
    Layout,
    display_name,
    ignored_row,
    is_hidden_folder,
    walk,
)
from distingo.errors import DataError, name_some
from distingo.messages.notes import Note, note
from distingo.records import Source, SplitName

CLASS_FOLDERS_HINT = "put the pictures of each class in a folder of its own"

OUTSIDE_SPLITS = note("outside-splits")

NO_CLASS_FOLDER = note("outside-classes")


def class_layout(
    root: Path, files: Sequence[FoundFile], known_classes: Collection[str] = (), wrapper: tuple[str, ...] = ()
) -> Layout:
    """Read the folders at the top of a data set, or in the folder wrapped around them, as its classes.

    Args:
        root: The data set's folder.
        files: Every file in it.
        known_classes: The classes of a model: if the data set's folder is named like one of them, and none of its
            folders is, it holds this class only.
        wrapper: The path of the folder that holds the class folders; empty if that is the root.
    """
    root_class = class_name(root.resolve().name)
    tops = {class_name(file.parts[0]) for file in files if len(file.parts) > 1 and not file.ignored}
    if not wrapper and root_class in known_classes and tops.isdisjoint(known_classes):
        reasons = [file.ignored for file in files]
        return _layout("one-class-folder", root, files, reasons, [root_class] * len(files))
    at = len(wrapper)
    reasons = [file.ignored or (NO_CLASS_FOLDER if len(file.parts) < at + 2 else None) for file in files]
    labels = ["" if reason else file.parts[at] for file, reason in zip(files, reasons, strict=True)]
    return _layout("class-folders", root, files, reasons, labels)


def split_layout(root: Path, files: Sequence[FoundFile], splits: FolderSplits) -> Layout:
    """Read the folders in split folders as classes; files elsewhere are ignored."""
    folders = [splits.folder_of(file.parts) for file in files]
    reasons = [file.ignored or exclusion_reason(file, folder) for file, folder in zip(files, folders, strict=True)]
    labels = [
        file.parts[folder.class_at] if folder and not reason else ""
        for file, folder, reason in zip(files, folders, reasons, strict=True)
    ]
    return _layout("split-folders", root, files, reasons, labels, folders)


def exclusion_reason(file: FoundFile, folder: SplitFolder | None) -> Note | None:
    """Explain why a file is not a candidate in its split folder, apart from its own reason; None if it is one."""
    if folder is None:
        return OUTSIDE_SPLITS
    if not folder.has_classes or len(file.parts) <= max(folder.class_at + 1, len(folder.parts)):
        return NO_CLASS_FOLDER
    return None


def unlabeled_layout(
    root: Path, files: Sequence[FoundFile], tables: Iterable[FoundFile], splits: FolderSplits
) -> Layout:
    """Read every file that may be an image, without a class.

    Raises:
        DataError: There is no such file.
    """
    table_parts = {file.parts for file in tables}
    reasons = [file.ignored or (note("a-table") if file.parts in table_parts else None) for file in files]
    if all(reasons):
        raise DataError(f"{root}: holds no file that may be a picture", code="no_images")
    folders = [splits.folder_of(file.parts) for file in files]
    return _layout("images-without-classes", root, files, reasons, None, folders)


def _layout(
    code: str,
    root: Path,
    files: Sequence[FoundFile],
    reasons: Sequence[Note | None],
    labels: Sequence[str] | None,
    folders: Sequence[SplitFolder | None] | None = None,
) -> Layout:
    candidates, ignored = [], []
    for at, (file, reason) in enumerate(zip(files, reasons, strict=True)):
        folder = folders[at] if folders else None
        split = folder.split if folder else None
        if reason:
            ignored.append(ignored_row(file, reason, split))
        else:
            file_labels = () if labels is None else (class_name(labels[at]),)
            candidates.append(Candidate(Source(display_name(file.parts), file.path), file_labels, split))
    candidates.sort(key=lambda candidate: candidate.source.file)
    classes = sorted({label for candidate in candidates for label in candidate.labels})
    return Layout(note(code), tuple(classes), tuple(candidates), tuple(ignored), root)


def check_no_class_is_empty(root: Path, layout: Layout, splits: FolderSplits, wrapper: tuple[str, ...] = ()) -> None:
    """Refuse an empty class folder, unless the class has images in another split.

    Raises:
        DataError: There is an empty class folder.
    """
    parents = {root.joinpath(*each.parts[: each.class_at]) for each in splits.folders if each.has_classes}
    parents = parents or {root.joinpath(*wrapper)}
    for folder in sorted(folder for parent in parents for folder in folders_in(parent)):
        label = class_name(folder.name)
        if label not in layout.classes and not is_hidden_folder(folder.name) and not _has_files(folder):
            raise DataError(
                f"{root}: class folder {label!r} is empty; put pictures in it or move it away", code="empty_class"
            )


def check_classes(root: Path, layout: Layout, known_classes: Collection[str] = (), tree: Folder | None = None) -> None:
    """Refuse a data set without classes, or with a single one that is not among the known ones.

    Raises:
        DataError: There is no class, or only one.
    """
    if not layout.classes:
        file_count = sum(not row.is_own for row in layout.ignored)
        problem = f"its {file_count:,} files lie in no class folder" if file_count else "it holds no file"
        raise DataError(
            f"{root}: no class folders with files in them ({problem}); {CLASS_FOLDERS_HINT}", code="no_images"
        )
    _refuse_companions(root, layout, tree)
    if len(layout.classes) > 1 or layout.classes[0] in known_classes:
        return
    hint = "the model does not know it" if known_classes else "a classifier needs at least two"
    class_folder = root / layout.classes[0]
    subfolders = folders_in(class_folder)
    if len(subfolders) > 1 and not any(is_hidden_folder(path.name) for path in subfolders):
        hint += f"; if the folders inside it are the classes, give {class_folder}"
    elif known_classes:
        return  # evaluation reports which classes the model has
    raise DataError(
        f"{root}: one class only ({layout.classes[0]}, {len(layout.candidates)} files); {hint}", code="too_few_classes"
    )


def _refuse_companions(root: Path, layout: Layout, tree: Folder | None) -> None:
    """Refuse ``images/`` with class folders in it, next to ``annotations/`` without any image."""
    if (
        tree is None
        or len(tree.folders) != 1
        or len(layout.classes) < 2
        or any(each.split for each in layout.candidates)
    ):
        return
    (image_folder,) = tree
    others = sorted(set(layout.classes) - {class_name(image_folder.name)})
    if len(image_folder.folders) > 1 and others:
        raise DataError(
            f"{root}: its folders {name_some(others, 3)} hold no file that may be an image; if the folders inside "
            f"{image_folder.name} are the classes, give {root / image_folder.name}",
            code="empty_class",
        )


def describe_unlabeled(tree: Folder, folders: Iterable[SplitFolder]) -> list[Note]:
    """Note which split folders hold images without labels."""
    notes = []
    for folder in folders:
        node = tree.find(folder.parts)
        count = node.total if node else 0
        notes.append(note("unlabelled-folder", count=count, folder=folder.display_path))
    return notes


def folders_in(folder: Path) -> list[Path]:
    """The folders in a folder; none if it can't be opened."""
    try:
        return [path for path in folder.iterdir() if os.path.isdir(path)]  # noqa: PTH112 - False without permission
    except OSError:
        return []  # listed as a folder that can't be opened


def _has_files(folder: Path) -> bool:
    try:
        return next(walk(folder), None) is not None
    except OSError:
        return True  # listed as a folder that can't be opened


def idx_images(files: Sequence[FoundFile]) -> list[FoundFile]:
    """The image files of IDX data sets at the top of a folder."""
    return [file for file in files if len(file.parts) == 1 and not file.ignored and IDX_IMAGES.fullmatch(file.parts[0])]


def idx_layout(root: Path, files: Sequence[FoundFile], images: Sequence[FoundFile]) -> Layout:
    """List the entries of IDX files as candidates.

    Args:
        root: The folder.
        files: Every file in it.
        images: As returned by `idx_images`.

    Raises:
        DataError: There are files of several data sets, or labels are missing or don't match.
    """
    files_by_name = {file.parts[0]: file for file in files if len(file.parts) == 1}
    used: dict[SplitName, FoundFile] = {}
    candidates: list[Candidate] = []
    reasons: dict[tuple[str, ...], Note] = {}
    prefixes = defaultdict(set)
    for file in images:
        match = IDX_IMAGES.fullmatch(file.parts[0])
        assert match is not None
        prefixes[match["prefix"]].add(file.parts[0])
        split: SplitName = "train" if match["side"].lower() == "train" else "test"
        if split in used and used[split].parts[0].removesuffix(".gz") == file.parts[0].removesuffix(".gz"):
            reasons[file.parts] = note("packed-form", file=used[split].parts[0])
            continue
        used.setdefault(split, file)
    if len(prefixes) > 1:
        raise DataError(
            f"{root}: IDX files of several datasets ({', '.join(sorted(prefixes))}); keep one per folder",
            code="ambiguous_folders",
        )
    for split, file in used.items():
        labels = _find_label_file(root, file, files_by_name)
        reasons[labels.parts] = note("holds-labels-of", file=file.parts[0])
        candidates += _idx_candidates(file, labels, split)
    used_parts = {file.parts for file in used.values()}
    ignored = [
        ignored_row(file, file.ignored or reasons.get(file.parts, note("unused-idx-file")))
        for file in files
        if file.parts not in used_parts
    ]
    classes = sorted({candidate.labels[0] for candidate in candidates})
    return Layout(note("idx-files"), tuple(classes), tuple(candidates), tuple(ignored), root)


def _find_label_file(root: Path, images: FoundFile, present: dict[str, FoundFile]) -> FoundFile:
    label_name = re.sub(r"images([-.])idx3", r"labels\1idx1", images.parts[0], flags=re.IGNORECASE).removesuffix(".gz")
    for name in (
        label_name,
        label_name + ".gz",
        label_name.replace(".idx1", "-idx1"),
        label_name.replace("-idx1", ".idx1"),
    ):
        if name in present:
            return present[name]
    raise DataError(
        f"{root}: {images.parts[0]} has no labels next to it; put {label_name}.gz in the same folder",
        code="missing_labels",
    )


def _idx_candidates(images: FoundFile, labels: FoundFile, split: SplitName) -> list[Candidate]:
    count = idx.read_shape(images.path)[0]
    values = idx.load_labels(labels.path)
    if len(values) != count:
        raise DataError(
            f"{images.path}: {count} pictures, but {labels.path.name} holds {len(values)} labels; fetch both again",
            code="labels_differ",
        )
    name = display_name(images.parts)
    names = {value: (str(value),) for value in Counter(values.tolist())}
    return [
        Candidate(Source(f"{name}#{index}", images.path, index), names[value], split)
        for index, value in enumerate(values.tolist())
    ]
