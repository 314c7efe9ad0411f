"""The quarantine: files of a plan are moved into it, with a journal, and back out of it by that journal.

The journal has a line for each move, on the disk before the move is made, so that a kill loses nothing. A quarantine
may come from anywhere: what its journal names is checked as a whole before the first file is moved back.
"""

from __future__ import annotations

import contextlib
import datetime
import errno
import os
import re
import shlex
import stat
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from distingo.contained_paths import find_link_above, find_path_fault
from distingo.curation.planning import CleaningPlan, LeftAlone, Move
from distingo.datasets.walking import display_name
from distingo.errors import DataError, InterruptionError, ResourceError, UsageError, join_faults, option, quote
from distingo.files import content_hash
from distingo.journals import JournalWriter, journal_writer, move_file, parse_first, parse_line, read_lines
from distingo.progress import progress_bar
from distingo.version import __version__

JOURNAL_NAME = "journal.jsonl"

FORMAT = 1

_FULL_DISK = {errno.ENOSPC, errno.EDQUOT}

_HASH = re.compile("[0-9a-f]{32}|")

_OTHER_LINES = ("copied", "moved", "returning", "returned")
"""Lines that a kill may have left out, so that nothing follows from them."""


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One move that was begun.

    Attributes:
        path: Relative to the data set's root, with forward slashes.
        content: Hash of the file's bytes; empty where it could not be read.
    """

    path: str
    content: str


@dataclass(frozen=True, slots=True)
class Journal:
    """What a journal contains.

    Attributes:
        root: The folder that the files were moved from, as the journal has it: not to be trusted by itself.
        entries: The moves that were begun, in their order.
    """

    root: Path
    entries: tuple[JournalEntry, ...]


@dataclass(frozen=True, slots=True)
class Restoration:
    """What putting files back came to.

    Attributes:
        root: The folder that they were put back into.
        returned: Files that were put back.
        in_place: Files that had not left their place, or were back already.
        copies: Those of them of which a kill left a copy in the quarantine too, where it stays.
        left: Files that can't be put back, and why.
    """

    root: Path
    returned: tuple[str, ...]
    in_place: tuple[str, ...]
    copies: tuple[str, ...]
    left: tuple[LeftAlone, ...]


def choose_quarantine(root: Path, chosen: Path | None = None) -> Path:
    """Where files go: a new folder with the time as its name, next to the data set.

    Args:
        root: The data set's root, resolved.
        chosen: A folder to use instead; new or empty.

    Raises:
        UsageError: It is inside the data set, or holds something.
    """
    if chosen is not None:
        place = chosen.resolve()
        if place.is_relative_to(root):
            raise UsageError(
                f"{option('quarantine')} {chosen}: lies inside {root}, where it would be read as data; choose another",
                code="overlapping_folders",
                parameter="quarantine",
            )
        if place.exists() and (not place.is_dir() or any(place.iterdir())):
            raise UsageError(
                f"{option('quarantine')} {chosen}: exists and is no empty folder; choose another",
                code="not_empty",
                parameter="quarantine",
            )
        return place
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H-%M-%SZ")
    place = _usual_place(root) / now
    number = 2
    while place.exists():
        place = place.with_name(f"{now}-{number}")
        number += 1
    return place


def _usual_place(root: Path) -> Path:
    return root.parent / f"{root.name}-quarantine"


def undo_command(root: Path, quarantine: Path) -> str:
    """What puts everything back; it names the data set where the quarantine's place does not."""
    words = ["distingo", "clean", *([] if quarantine.parent == _usual_place(root) else [str(root)])]
    return shlex.join([*words, "--undo", str(quarantine)])


def apply_plan(plan: CleaningPlan, quarantine: Path) -> CleaningPlan:
    """Move the files of a plan.

    Args:
        plan: As from `plan_cleaning`.
        quarantine: As from `choose_quarantine`.

    Returns:
        What was done: a file that could not be moved is among those left alone.

    Raises:
        ResourceError: The quarantine can't be written or its disk is full; what was moved is in the journal.
        InterruptionError: Ctrl-C; what was moved is in the journal.
    """
    if not plan.moves:
        return plan
    moved: list[Move] = []
    left = list(plan.left_alone)
    with journal_writer(quarantine / JOURNAL_NAME) as journal, progress_bar("Moving", len(plan.moves)) as advance:
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        journal.write({"format": FORMAT, "distingo": __version__, "root": str(plan.root), "at": now})
        try:
            for move in plan.moves:
                if why := _move(plan.root, move, quarantine, journal):
                    left.append(LeftAlone(move.file, move.kinds, why))
                else:
                    moved.append(move)
                advance()
        except KeyboardInterrupt:
            raise InterruptionError(
                f"stopped after {len(moved):,} files; `{undo_command(plan.root, quarantine)}` puts them back",
                code="interrupted",
            ) from None
    return replace(plan, moves=tuple(moved), left_alone=tuple(left))


def _move(root: Path, move: Move, quarantine: Path, journal: JournalWriter) -> str:
    """Move one file; returns why not, in words."""
    path = move.path.relative_to(root).as_posix()
    if path == JOURNAL_NAME:
        return "has the name of the quarantine's journal; rename it"
    if find_path_fault(path):
        return "has a name that is read as a drive's; rename it"
    try:
        if move.content and content_hash(move.path.read_bytes()) != move.content:
            return "has changed since the check"
        journal.write(
            {"moving": path, "content": move.content, "kinds": move.kinds, "reason": move.reason, "stays": move.stays}
        )
        move_file(move.path, quarantine / path, before_removal=lambda: journal.write({"copied": path}))
        journal.write({"moved": path}, durable=False)
    except OSError as error:
        if error.errno in _FULL_DISK:
            raise ResourceError(
                f"{quarantine}: the disk is full; `{undo_command(root, quarantine)}` puts back what was moved",
                code="disk_full",
            ) from error
        return f"can't be moved ({error.strerror or type(error).__name__})"
    return ""


def undo(quarantine: Path, root: Path | None = None) -> Restoration:
    """Put everything back that a quarantine's journal names; nothing is overwritten.

    A journal may come from anywhere: the whole of it is checked before the first file is moved, and no file is moved
    or removed but from the quarantine and into the data set.

    Args:
        quarantine: The folder with the journal.
        root: Where the data set is now. None takes the folder next to which the quarantine is, as `choose_quarantine`
            chooses it, if the journal names the same; what the journal names alone is not trusted.

    Raises:
        DataError: There is no journal, it is damaged, or what it names is not a regular file in the quarantine or
            leads through a link; one line for each fault.
        UsageError: There is no such data set any more, or it must be named.
        ResourceError: The journal can't be written.
    """
    quarantine = quarantine.resolve()
    journal = read_journal(quarantine)
    root = _settle_root(quarantine, journal, root)
    faults = [
        f"{quarantine / JOURNAL_NAME}: {why}"
        for entry in journal.entries
        if (why := _find_fault(entry, root, quarantine))
    ]
    if faults:
        raise DataError(join_faults(faults, "nothing was moved"), code="cannot_undo")
    sorted_out: dict[str, list[str]] = {"returned": [], "in place": [], "copies": []}
    left: list[LeftAlone] = []
    with (
        journal_writer(quarantine / JOURNAL_NAME) as writer,
        progress_bar("Putting back", len(journal.entries)) as advance,
    ):
        for entry in reversed(journal.entries):
            name = display_name(tuple(entry.path.split("/")))
            became = _put_back(entry, root, quarantine, writer)
            if became in sorted_out:
                sorted_out[became].append(name)
            else:
                left.append(LeftAlone(name, (), became))
            advance()
    _remove_empty_folders(quarantine, [entry.path for entry in journal.entries])
    in_place = (*sorted_out["in place"], *sorted_out["copies"])
    return Restoration(root, tuple(sorted_out["returned"]), in_place, tuple(sorted_out["copies"]), tuple(left))


def read_journal(quarantine: Path) -> Journal:
    """Read what was moved into a quarantine.

    Raises:
        DataError: There is no journal, it is damaged (a last line that a kill cut off is not), names paths that lead
            elsewhere (one line for each), or a newer distingo wrote it.
    """
    path = quarantine / JOURNAL_NAME
    try:
        lines = read_lines(path)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise DataError(
            f"{path}: can't be read ({reason}); name a folder that `distingo clean --apply` made", code="cannot_read"
        ) from error
    if not lines:
        raise DataError(f"{path}: breaks off in its first line; nothing was moved", code="damaged_file")
    root = parse_first(path, lines[0], "format", FORMAT).get("root")
    if not isinstance(root, str) or "\0" in root:
        raise DataError(f"{path}: line 1 is damaged (names no folder); nothing was moved", code="damaged_file")
    entries: dict[str, JournalEntry] = {}
    faults: list[str] = []
    for number, line in enumerate(lines[1:], start=2):
        entry = _parse_entry(line)
        if isinstance(entry, JournalEntry) and entry.path in entries:
            entry = f"{quote(entry.path)} is named twice"
        if isinstance(entry, JournalEntry):
            entries[entry.path] = entry
        elif entry:
            faults.append(f"{path}: line {number} is damaged ({entry})")
    folders = {str(folder) for name in entries for folder in PurePosixPath(name).parents}
    faults += [f"{path}: is damaged ({quote(name)} is a file and a folder)" for name in entries if name in folders]
    if faults:
        raise DataError(join_faults(faults, "nothing was moved"), code="damaged_file")
    return Journal(Path(root), tuple(entries.values()))


def _parse_entry(text: bytes) -> JournalEntry | str | None:
    """A move that was begun, None of another line, or what is wrong."""
    line = parse_line(text)
    if isinstance(line, str):
        return line
    if "moving" not in line:
        return None if any(name in line for name in _OTHER_LINES) else "is of no known kind"
    path, content = line["moving"], line.get("content")
    if why := find_path_fault(path):
        return why
    assert isinstance(path, str)
    if not isinstance(content, str) or not _HASH.fullmatch(content):
        return f"{quote(content)} is no hash"
    return "names the journal itself" if path == JOURNAL_NAME else JournalEntry(path, content)


def _settle_root(quarantine: Path, journal: Journal, named: Path | None) -> Path:
    """Where files go back to: what a person named, or where they put the quarantine."""
    if named is None:
        _require_own_root(quarantine, journal.root)
    root = (named or journal.root).resolve()
    if not root.is_dir():
        raise UsageError(
            f"{root}: is no folder; name where the pictures came from: distingo clean DATA --undo ...",
            code="not_a_folder",
            parameter="data",
        )
    if root.is_relative_to(quarantine) or quarantine.is_relative_to(root):
        raise UsageError(
            f"{quarantine}: one of it and {root} lies in the other; name where the pictures came from",
            code="overlapping_folders",
            parameter="data",
        )
    return root


def _require_own_root(quarantine: Path, root: Path) -> None:
    """Refuse a root that only the journal names, unless it is the very folder next to the quarantine.

    An archive can hold a link of the data set's name next to its quarantine: nobody named what is behind it.
    """
    if quarantine.parent != _usual_place(root):
        why = f"its journal names {quote(str(root))}, beside which it does not lie"
    elif root != root.resolve():  # a link, a junction, or `..`
        why = f"its journal names {quote(str(root))}, which leads elsewhere, to {quote(str(root.resolve()))}"
    else:
        return
    raise UsageError(
        f"{quarantine}: {why}; name where the pictures came from: distingo clean DATA --undo ...",
        code="missing_argument",
        parameter="data",
    )


def _find_fault(entry: JournalEntry, root: Path, quarantine: Path) -> str:
    """Why a file must not be put back, in words; empty if it may."""
    for folder in (root, quarantine):
        if link := find_link_above(folder, entry.path):
            return f"{quote(entry.path)} leads through a link, {quote(link)} in {folder}"
    try:
        mode = (quarantine / entry.path).lstat().st_mode
    except (OSError, ValueError):
        return ""  # not there (any more)
    return "" if stat.S_ISREG(mode) else f"{quote(entry.path)} is no regular file in the quarantine"


def _put_back(entry: JournalEntry, root: Path, quarantine: Path, journal: JournalWriter) -> str:
    """Put one file back; returns ``returned``, ``in place``, ``copies``, or why it can't be, in words."""
    here, there = root / entry.path, quarantine / entry.path
    try:
        if not os.path.lexists(there):
            return "in place" if os.path.lexists(here) else "is neither in its place nor in the quarantine"
        if _find_fault(entry, root, quarantine):
            return "is reached through a link now; it stays in the quarantine"
        if not os.path.lexists(here):
            journal.write({"returning": entry.path})
            move_file(there, here)
            journal.write({"returned": entry.path}, durable=False)
            return "returned"
        return _compare_with_place(here, there)
    except OSError as error:
        return f"can't be put back ({error.strerror or type(error).__name__}); it stays in the quarantine"


def _compare_with_place(here: Path, there: Path) -> str:
    """What a file in the quarantine is next to what is in its place: as `_put_back`."""
    if _has_both_names(here, there):
        there.unlink()  # a kill between its two names; the file itself is in its place
        return "in place"
    if here.is_file() and not here.is_symlink() and here.read_bytes() == there.read_bytes():
        return "copies"
    return "something else is in its place now; it stays in the quarantine"


def _has_both_names(here: Path, there: Path) -> bool:
    """Whether two names are those of one file that is left when one of them goes; a link to the other is no such."""
    one, other = here.lstat(), there.lstat()
    return stat.S_ISREG(one.st_mode) and os.path.samestat(one, other) and one.st_nlink > 1


def _remove_empty_folders(quarantine: Path, paths: Sequence[str]) -> None:
    """Remove the folders that were made for what is back in its place; a folder with anything in it stays."""
    folders = {parent for path in paths for parent in (quarantine / path).parents if parent != quarantine}
    for folder in sorted(folders, key=lambda each: len(each.parts), reverse=True):
        if folder.is_relative_to(quarantine):
            with contextlib.suppress(OSError):
                folder.rmdir()
