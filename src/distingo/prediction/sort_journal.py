"""The journal of a folder of sorted images, and undoing the sorting.

A line is written to the journal before the action that it describes. Journals are untrusted: the complete journal is
validated before anything is removed, and files that were changed or added later are kept.
"""

from __future__ import annotations

import contextlib
import os
import re
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Literal, get_args

from distingo.errors import DataError, join_faults, quote
from distingo.files import content_hash
from distingo.journals import Line, parse_first, parse_line, read_lines, remove_unfinished_copies
from distingo.messages.notes import Note, note
from distingo.progress import progress_bar
from distingo.safe_paths import find_link_above, find_path_fault

SORT_JOURNAL = "distingo-sorted.jsonl"
FORMAT, FORMAT_KEY = 2, "distingo sorting"
"""Version 1 stored the number of created folders, which can be forged; version 2 stores their inodes."""

_HASH = re.compile("[0-9a-f]{32}")

SortAs = Literal["copy", "link"]


@dataclass(frozen=True, slots=True)
class Placement:
    """One image in one class folder.

    Attributes:
        source: The image, an absolute path.
        path: Target path relative to the sorted folder, with forward slashes.
        label: Class or special folder for which it was put there.
        content: Content hash of a copy; empty for a link.
    """

    source: str
    path: str
    label: str
    content: str


@dataclass(slots=True)
class SortJournal:
    """Contents of a journal.

    Attributes:
        sort_as: Whether images were copied or linked.
        model: Identifies the model and the options that they were sorted with.
        created_inodes: Inodes of the created folders above the class folders (the sorted folder and missing parents).
        folders: The created class folders.
        placements: The placements in order.
    """

    sort_as: SortAs
    model: str
    created_inodes: tuple[int, ...]
    folders: list[str] = field(default_factory=list)
    placements: list[Placement] = field(default_factory=list)


def read_sort_journal(folder: Path) -> SortJournal | None:
    """Read the journal of a folder; None if there is none, or it has no complete line.

    Raises:
        DataError: The journal is damaged (an incomplete last line is allowed), contains paths outside class folders
            (reported one per line), or was written by a newer version.
    """
    path = folder / SORT_JOURNAL
    try:
        lines = read_lines(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DataError(
            f"{path}: can't be read ({error.strerror or type(error).__name__})", code="cannot_read"
        ) from error
    if not lines:
        return None
    journal = _start_journal(path, parse_first(path, lines[0], FORMAT_KEY, FORMAT))
    faults = [
        f"{path}: line {number} is damaged ({why})"
        for number, line in enumerate(lines[1:], start=2)
        if (why := _add_line(folder, journal, parse_line(line)))
    ]
    if faults:
        raise DataError(join_faults(faults, "nothing was touched"), code="damaged_file")
    return journal


def _start_journal(path: Path, first: Line) -> SortJournal:
    sort_as: SortAs | None = next((each for each in get_args(SortAs) if each == first.get("way")), None)
    model, stored = first.get("model"), first.get("made")
    inodes = stored if isinstance(stored, list) else [0] * bool(stored)  # format 1: the parent folders are kept
    if sort_as is None or not isinstance(model, str) or any(type(each) is not int for each in inodes):
        raise DataError(
            f"{path}: line 1 is damaged (way {quote(first.get('way'))}, model {quote(model)}, made {quote(stored)})",
            code="damaged_file",
        )
    return SortJournal(sort_as, model, tuple(inodes))


def _add_line(folder: Path, journal: SortJournal, line: Line | str) -> str:
    """Add a line to a journal; return a description of the fault, or an empty string."""
    if isinstance(line, str):
        return line
    if "folder" in line:
        if not (fault := _path_fault(folder, line["folder"], 1)):
            journal.folders.append(str(line["folder"]))
        return fault
    texts = {name: text for name, text in line.items() if isinstance(text, str)}
    if set(line) != {each.name for each in fields(Placement)} or len(texts) < len(line):
        return "is neither a folder nor a placement"
    placement = Placement(**texts)
    fault = _path_fault(folder, placement.path, 2) or _placement_fault(journal, placement)
    if not fault:
        journal.placements.append(placement)
    return fault


def _placement_fault(journal: SortJournal, placement: Placement) -> str:
    if bool(placement.content) != (journal.sort_as == "copy") or not _HASH.fullmatch(placement.content or "0" * 32):
        return f"{quote(placement.content)} is no hash of a {journal.sort_as}"
    if not Path(placement.source).is_absolute() or "\0" in placement.source:
        return f"{quote(placement.source)} is no absolute path of a picture"
    return ""


def _path_fault(folder: Path, path: object, depth: int) -> str:
    """Describe why a path is not `depth` levels below the folder; empty if it is. Journals are untrusted."""
    if why := find_path_fault(path):
        return why
    assert isinstance(path, str)
    if path.count("/") != depth - 1:
        return f"{quote(path)} is not in a class folder"
    link = find_link_above(folder, path)
    return f"{quote(path)} leads through a link, {quote(link)}" if link else ""


@dataclass(frozen=True, slots=True)
class Unsorting:
    """Result of undoing a sorting.

    Attributes:
        folder: The folder of sorted images.
        removed: Number of removed copies and links.
        gone: Number of copies and links that did not exist.
        left: Files that were kept, with the reason.
    """

    folder: Path
    removed: int
    gone: int
    left: tuple[tuple[str, Note], ...]


def undo_sorting(folder: Path) -> Unsorting:
    """Undo a sorting: remove its links, and its copies of images whose originals still exist.

    Created folders are removed if they are empty, and so is the journal if nothing is left. An interrupted call can be
    repeated.

    Args:
        folder: The folder of sorted images.

    Raises:
        DataError: The journal is missing or damaged, or contains paths outside class folders; nothing was changed.
    """
    journal = read_sort_journal(folder)
    if journal is None and not (folder / SORT_JOURNAL).is_file():
        raise DataError(
            f"{folder / SORT_JOURNAL}: no such file; name a folder that pictures were sorted into", code="not_found"
        )
    journal = journal or SortJournal("link", "", ())
    removed = gone = 0
    left: list[tuple[str, Note]] = []
    with progress_bar("Taking back", len(journal.placements)) as advance:
        for placement in reversed(journal.placements):
            outcome = _remove_placement(folder, placement)
            removed += outcome == "removed"
            gone += outcome == "gone"
            if isinstance(outcome, Note):
                left.append((placement.path, outcome))
            advance()
    _clear(folder, journal, keep_journal=bool(left))
    return Unsorting(folder, removed, gone, tuple(left))


def _remove_placement(folder: Path, placement: Placement) -> Literal["removed", "gone"] | Note:
    """Remove one copy or link; return the reason if it is kept."""
    target = folder / placement.path
    try:
        if not os.path.lexists(target):
            remove_unfinished_copies(target)
            return "gone"
        if why := _reason_to_keep(placement, target):
            return why
        target.unlink()
    except OSError as error:
        return note("cannot-remove", error=error.strerror or type(error).__name__)
    return "removed"


def _reason_to_keep(placement: Placement, target: Path) -> Note | None:
    source = Path(placement.source)
    if target.is_symlink():
        return note("another-link-now") if placement.content or target.readlink() != source else None
    if not placement.content or not target.is_file() or content_hash(target.read_bytes()) != placement.content:
        return note("changed-since-placed")
    if source.exists() and source.samefile(target):
        return note("only-copy-same-file", file=placement.source)
    if not source.is_file() or content_hash(source.read_bytes()) != placement.content:
        return note("only-copy", file=placement.source)
    return None


def _clear(folder: Path, journal: SortJournal, *, keep_journal: bool) -> None:
    for name in reversed(journal.folders):
        with contextlib.suppress(OSError):
            (folder / name).rmdir()
    if keep_journal:
        return
    (folder / SORT_JOURNAL).unlink(missing_ok=True)
    created_folders = (folder.absolute(), *folder.absolute().parents)
    for number, (created, inode) in enumerate(zip(created_folders, journal.created_inodes, strict=False)):
        with contextlib.suppress(OSError):
            if number == 0 or created.lstat().st_ino == inode:  # the inode of a parent can't be guessed
                created.rmdir()
