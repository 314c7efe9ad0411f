"""What was sorted into class folders taken out again, by the journal; what a person changed or added stays."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from distingo.cleaning.moving import remove_unfinished_copies
from distingo.errors import DataError
from distingo.files import content_hash
from distingo.prediction.sort_journal import SORT_JOURNAL, Placement, SortJournal, read_sort_journal
from distingo.progress import progress_bar


@dataclass(frozen=True, slots=True)
class Unsorting:
    """What taking sorted pictures back came to.

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
    """Take away what a journal names: links to their pictures, and copies of pictures that are still in their place.

    Folders that were made are removed once empty, and the journal with them once nothing is left. Interrupted, it is
    begun again.

    Args:
        folder: That pictures were sorted into.

    Raises:
        DataError: There is no journal in it, it is damaged, or it names what does not lie in a class folder; nothing
            was touched then.
    """
    journal = read_sort_journal(folder)
    if journal is None and not (folder / SORT_JOURNAL).is_file():
        raise DataError(f"{folder / SORT_JOURNAL}: no such file; name a folder that pictures were sorted into")
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
