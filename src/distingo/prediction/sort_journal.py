"""The journal of a folder that images were sorted into: what was put where, and taking it back.

A line is on the disk before what it announces is done. A journal may come from anywhere: all of it is checked before
anything is removed, and what a person changed or added stays.
"""

from __future__ import annotations

import contextlib
import os
import re
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Literal, get_args

from distingo.contained_paths import find_link_above, find_path_fault
from distingo.errors import DataError, join_faults, quote
from distingo.files import content_hash
from distingo.journals import Line, parse_first, parse_line, read_lines, remove_unfinished_copies
from distingo.progress import progress_bar

SORT_JOURNAL = "distingo-sorted.jsonl"
FORMAT, FORMAT_KEY = 2, "distingo sorting"
"""1 counted the folders that were made, which anybody can write; 2 names their inodes."""

_HASH = re.compile("[0-9a-f]{32}")

Way = Literal["copy", "link"]


@dataclass(frozen=True, slots=True)
class Placement:
    """One image in one class folder.

    Attributes:
        source: The image, an absolute path.
        path: Where it was put, relative to the sorted folder, with forward slashes.
        label: What it was put there as.
        content: Hash of a copy's bytes; empty of a link.
    """

    source: str
    path: str
    label: str
    content: str


@dataclass(slots=True)
class SortJournal:
    """What a journal contains.

    Attributes:
        way: Whether images were copied or linked.
        model: Names the model by which they were sorted.
        made: The inodes of the folders that were made for the class folders: this one, and missing ones above it.
        folders: The class folders that were made.
        placements: In their order.
    """

    way: Way
    model: str
    made: tuple[int, ...]
    folders: list[str] = field(default_factory=list)
    placements: list[Placement] = field(default_factory=list)


def read_sort_journal(folder: Path) -> SortJournal | None:
    """Read what was sorted into a folder; None where there is no journal, or one without a finished line.

    Raises:
        DataError: It is damaged (a last line that a kill cut off is not), names what is not in a class folder (one
            line for each), or a newer distingo wrote it.
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
    way: Way | None = next((each for each in get_args(Way) if each == first.get("way")), None)
    model, made = first.get("model"), first.get("made")
    inodes = made if isinstance(made, list) else [0] * bool(made)  # of format 1, the folders above stay
    if way is None or not isinstance(model, str) or any(type(each) is not int for each in inodes):
        raise DataError(
            f"{path}: line 1 is damaged (way {quote(first.get('way'))}, model {quote(model)}, made {quote(made)})",
            code="damaged_file",
        )
    return SortJournal(way, model, tuple(inodes))


def _add_line(folder: Path, journal: SortJournal, line: Line | str) -> str:
    """Add a line to a journal; returns what is wrong, or nothing."""
    if isinstance(line, str):
        return line
    if "folder" in line:
        if not (why := _path_fault(folder, line["folder"], 1)):
            journal.folders.append(str(line["folder"]))
        return why
    texts = {name: text for name, text in line.items() if isinstance(text, str)}
    if set(line) != {each.name for each in fields(Placement)} or len(texts) < len(line):
        return "is neither a folder nor a placement"
    placement = Placement(**texts)
    why = _path_fault(folder, placement.path, 2) or _placement_fault(journal, placement)
    if not why:
        journal.placements.append(placement)
    return why


def _placement_fault(journal: SortJournal, placement: Placement) -> str:
    if bool(placement.content) != (journal.way == "copy") or not _HASH.fullmatch(placement.content or "0" * 32):
        return f"{quote(placement.content)} is no hash of a {journal.way}"
    if not Path(placement.source).is_absolute() or "\0" in placement.source:
        return f"{quote(placement.source)} is no absolute path of a picture"
    return ""


def _path_fault(folder: Path, path: object, depth: int) -> str:
    """Why a path is not so deep below the folder; a journal may come from anywhere."""
    if why := find_path_fault(path):
        return why
    assert isinstance(path, str)
    if path.count("/") != depth - 1:
        return f"{quote(path)} is not in a class folder"
    link = find_link_above(folder, path)
    return f"{quote(path)} leads through a link, {quote(link)}" if link else ""


@dataclass(frozen=True, slots=True)
class Unsorting:
    """What taking sorted images back came to.

    Attributes:
        folder: That they had been sorted into.
        removed: How many copies or links were taken away.
        gone: How many were not there, or not yet.
        left: Files that stay, and why.
    """

    folder: Path
    removed: int
    gone: int
    left: tuple[tuple[str, str], ...]


def undo_sorting(folder: Path) -> Unsorting:
    """Take away what a journal names: links to their images, and copies of images that are still in their place.

    Folders that were made are removed once empty, and the journal with them once nothing is left. Interrupted, it is
    begun again.

    Args:
        folder: That images were sorted into.

    Raises:
        DataError: There is no journal in it, it is damaged, or it names what does not lie in a class folder; nothing
            was touched then.
    """
    journal = read_sort_journal(folder)
    if journal is None and not (folder / SORT_JOURNAL).is_file():
        raise DataError(
            f"{folder / SORT_JOURNAL}: no such file; name a folder that pictures were sorted into", code="not_found"
        )
    journal = journal or SortJournal("link", "", ())
    removed = gone = 0
    left: list[tuple[str, str]] = []
    with progress_bar("Taking back", len(journal.placements)) as advance:
        for placement in reversed(journal.placements):
            became = _take_back(folder, placement)
            removed += became == "removed"
            gone += became == "gone"
            if became not in {"removed", "gone"}:
                left.append((placement.path, became))
            advance()
    _clear(folder, journal, keep_journal=bool(left))
    return Unsorting(folder, removed, gone, tuple(left))


def _take_back(folder: Path, placement: Placement) -> str:
    """Remove one copy or link; returns ``removed``, ``gone``, or why it stays, in words."""
    target = folder / placement.path
    try:
        if not os.path.lexists(target):
            remove_unfinished_copies(target)
            return "gone"
        if why := _why_it_stays(placement, target):
            return why
        target.unlink()
    except OSError as error:
        return f"can't be taken away ({error.strerror or type(error).__name__})"
    return "removed"


def _why_it_stays(placement: Placement, target: Path) -> str:
    source = Path(placement.source)
    if target.is_symlink():
        return "is another link now" if placement.content or target.readlink() != source else ""
    if not placement.content or not target.is_file() or content_hash(target.read_bytes()) != placement.content:
        return "has changed since it was put there"
    if source.exists() and source.samefile(target):
        return f"is the only copy: {placement.source} is the same file"
    if not source.is_file() or content_hash(source.read_bytes()) != placement.content:
        return f"is the only copy: {placement.source} has changed or is gone"
    return ""


def _clear(folder: Path, journal: SortJournal, *, keep_journal: bool) -> None:
    for name in reversed(journal.folders):
        with contextlib.suppress(OSError):
            (folder / name).rmdir()
    if keep_journal:
        return
    (folder / SORT_JOURNAL).unlink(missing_ok=True)
    places = (folder.absolute(), *folder.absolute().parents)
    for number, (made, inode) in enumerate(zip(places, journal.made, strict=False)):
        with contextlib.suppress(OSError):
            if number == 0 or made.lstat().st_ino == inode:  # a journal from elsewhere can't know what is above
                made.rmdir()
