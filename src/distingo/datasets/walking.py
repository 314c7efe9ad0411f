"""Every file below a folder, each once, in an order that does not depend on the file system.

What a folder holds before any image is decoded.
"""

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
"""Files that only a folder of distingo's own has together, and the code of why its files are ignored."""


@dataclass(frozen=True, slots=True)
class FoundFile:
    """One file as the walk met it.

    Attributes:
        parts: The names of the folders below the root and of the file itself, as the system spells them.
        path: The file on disk.
        ignored: Why it is no candidate; None for a candidate.
        is_unopened: Whether it is a folder whose files are unknown because it can't be opened.
    """

    parts: tuple[str, ...]
    path: Path
    ignored: Note | None = None
    is_unopened: bool = False


@dataclass(frozen=True, slots=True)
class _Folder:
    """A folder that is still to be opened, with the identities of those that it lies in."""

    parts: tuple[str, ...]
    path: Path
    ignored: Note | None = None
    above: tuple[tuple[int, int], ...] = ()


def is_hidden_folder(name: str) -> bool:
    """Whether a folder is one that programs make for themselves."""
    return name.startswith(".") or name.lower() in _HIDDEN_FOLDERS


def walk(root: Path) -> Iterator[FoundFile]:
    """Find every file below a folder; links are followed, but never round in a circle.

    Args:
        root: The folder.

    Yields:
        Every file; also one entry for a link that leads nowhere or in a circle, or for a folder that can't be
        opened.

    Raises:
        OSError: The root itself can't be opened.
    """
    # A stack of our own: folders may be nested deeper than functions may.
    waiting: list[FoundFile | _Folder] = _open(_Folder((), root))
    while waiting:
        entry = waiting.pop()
        if isinstance(entry, FoundFile):
            yield entry
            continue
        try:
            waiting += _open(entry)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            why = note("unopened-folder", error=reason)
            yield FoundFile(entry.parts, entry.path, entry.ignored or why, is_unopened=not entry.ignored)


def _open(folder: _Folder) -> list[FoundFile | _Folder]:
    """What is in a folder, the last by name first; the folder itself if it is one that it lies in."""
    status = folder.path.stat()
    identity = (status.st_dev, status.st_ino)
    if identity in folder.above:
        return [FoundFile(folder.parts, folder.path, note("link-in-a-circle"))]
    with os.scandir(folder.path) as entries:
        found = sorted(entries, key=lambda entry: entry.name, reverse=True)
    return [_entry(folder, entry, (*folder.above, identity)) for entry in found]


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
        # unlike Path.is_file, this is False also where nobody may look
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
    r"""Write a path with forward slashes, and bytes that are no UTF-8 as ``\xNN``."""
    return os.fsencode("/".join(parts)).decode("utf-8", "backslashreplace")


SPLIT_LABELS: dict[str, SplitName] = {
    "train": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
}
"""The names of folders that are sides of a split, in lower case."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file (or an entry of an IDX file) that may be an image.

    Attributes:
        source: Where it is.
        labels: The classes it was found under.
        split: The side its author put it on, or None.
        lines: The lines of a table that name it.
    """

    source: Source
    labels: tuple[str, ...]
    split: SplitName | None
    lines: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Layout:
    """What a folder holds before any image is decoded.

    Attributes:
        name: What it is: class folders, split folders, IDX files, or a table with one 0/1 column per label.
        classes: All class names, sorted.
        candidates: In order of their names.
        ignored: One row per file that is no candidate, and per image of a table that can't be one.
        root: The folder that the names of files are relative to.
        task: Whether an image carries exactly one label or any number.
        notes: What was recognized and what a person should know about it.
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
    """Account for a file that is no candidate."""
    return ManifestRow(display_name(file.parts), "ignored", why, (), split, "", 0, 0, "")
