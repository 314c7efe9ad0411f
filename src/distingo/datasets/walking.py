"""Walk a folder in an order that does not depend on the file system, and describe its contents before decoding."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from distingo.messages.notes import Note, note
from distingo.records import LabelVariants, ManifestRow, Source, SplitName, Task

_HIDDEN_FILES = {"thumbs.db", "desktop.ini", "ehthumbs.db"}

_HIDDEN_FOLDERS = {
    "__macosx",
    "@eadir",
    "$recycle.bin",
    "system volume information",
    "lost+found",
    "__pycache__",
}

_OWN_FOLDERS = {
    ("check.json", "findings.csv"): "in-check-folder",
    ("config.json", "manifest.csv"): "in-run-folder",
}
"""Files that together occur only in distingo's own folders, and the code of the reason for ignoring them."""


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file that the walk found.

    Attributes:
        parts: The names of the folders below the root and of the file itself, as the system spells them.
        path: The file on disk.
        ignored: Why it is not a candidate; None for a candidate.
        is_unopened: Whether it is a folder that can't be opened, so that its files are unknown.
    """

    parts: tuple[str, ...]
    path: Path
    ignored: Note | None = None
    is_unopened: bool = False


@dataclass(frozen=True, slots=True)
class _Folder:
    """A folder that is still to be opened, with the device and inode numbers of its parents."""

    parts: tuple[str, ...]
    path: Path
    ignored: Note | None = None
    above: tuple[tuple[int, int], ...] = ()


def is_hidden_folder(name: str) -> bool:
    """Whether a folder is hidden or one that programs create for themselves."""
    return name.startswith(".") or name.lower() in _HIDDEN_FOLDERS


def walk(root: Path) -> Iterator[FoundFile]:
    """Find every file below a folder; links are followed, but not in cycles.

    Args:
        root: The folder.

    Yields:
        Every file; also one entry for a link that is broken or forms a cycle, and for a folder that can't be opened.

    Raises:
        OSError: The root itself can't be opened.
    """
    # An explicit stack, as folders may be nested deeper than Python's recursion limit.
    pending: list[FoundFile | _Folder] = _open(_Folder((), root))
    while pending:
        entry = pending.pop()
        if isinstance(entry, FoundFile):
            yield entry
            continue
        try:
            pending += _open(entry)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            why = note("unopened-folder", error=reason)
            yield FoundFile(entry.parts, entry.path, entry.ignored or why, is_unopened=not entry.ignored)


def _open(folder: _Folder) -> list[FoundFile | _Folder]:
    """The entries of a folder, last name first; the folder itself, ignored, if it is one of its own parents."""
    status = folder.path.stat()
    identity = (status.st_dev, status.st_ino)
    if identity in folder.above:
        return [FoundFile(folder.parts, folder.path, note("link-in-a-circle"))]
    with os.scandir(folder.path) as entries:
        sorted_entries = sorted(entries, key=lambda entry: entry.name, reverse=True)
    return [_entry(folder, entry, (*folder.above, identity)) for entry in sorted_entries]


def _entry(folder: _Folder, entry: os.DirEntry[str], above: tuple[tuple[int, int], ...]) -> FoundFile | _Folder:
    parts, path = (*folder.parts, entry.name), folder.path / entry.name
    try:
        is_folder, is_file = entry.is_dir(), entry.is_file()
    except OSError:
        is_folder = is_file = False
    if not is_folder:
        return FoundFile(parts, path, folder.ignored or _why_ignored(entry, is_file=is_file))
    why = folder.ignored or (note("in-hidden-folder") if is_hidden_folder(entry.name) else _why_own(path))
    return _Folder(parts, path, why, above)


def _why_own(folder: Path) -> Note | None:
    for names, why in _OWN_FOLDERS.items():
        # unlike Path.is_file, this returns False also without permission
        if all(os.path.isfile(folder / name) for name in names):  # noqa: PTH113
            return note(why)
    return None


def _why_ignored(entry: os.DirEntry[str], *, is_file: bool) -> Note | None:
    if entry.name.startswith(".") or entry.name.lower() in _HIDDEN_FILES:
        return note("hidden-file")
    if is_file:
        return None
    return note("link-to-nowhere" if entry.is_symlink() else "no-regular-file")


def display_name(parts: tuple[str, ...]) -> str:
    r"""Write a path with forward slashes, and bytes that are not UTF-8 as ``\xNN``."""
    return os.fsencode("/".join(parts)).decode("utf-8", "backslashreplace")


SPLIT_LABELS: dict[str, SplitName] = {
    "train": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
}
"""Folder names, in lower case, that stand for splits."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file (or an entry of an IDX file) that may be an image.

    Attributes:
        source: The file or entry.
        labels: The classes of its folder or table row.
        split: The split that the dataset's author assigned, or None.
        lines: The lines of a table that refer to it.
    """

    source: Source
    labels: tuple[str, ...]
    split: SplitName | None
    lines: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Layout:
    """The contents of a folder before any image is decoded.

    Attributes:
        name: The kind of layout: class folders, split folders, IDX files, or a table with one 0/1 column per label.
        classes: All class names, sorted.
        candidates: Sorted by name.
        ignored: One row per file that is not a candidate, and per table row without a usable image.
        root: The folder that file names are relative to.
        task: Whether an image has exactly one label or any number.
        notes: What was recognized, and what users should know about it.
        groups: As in `Dataset.groups`.
        label_variants: As in `Dataset.label_variants`.
    """

    name: Note
    classes: tuple[str, ...]
    candidates: tuple[Candidate, ...]
    ignored: tuple[ManifestRow, ...]
    root: Path
    task: Task = "single-label"
    notes: tuple[Note, ...] = ()
    groups: dict[str, tuple[str, ...]] = field(default_factory=dict)
    label_variants: tuple[LabelVariants, ...] = ()


def ignored_row(file: FoundFile, why: Note, split: SplitName | None = None) -> ManifestRow:
    """The manifest row of a file that is not a candidate."""
    return ManifestRow(display_name(file.parts), "ignored", why, (), split, "", 0, 0, "")
