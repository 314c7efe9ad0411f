"""The quarantine: moving the files of a cleaning plan into it, and restoring them from its journal.

Each move is written to the journal before it is made, so that nothing is lost on interruption. Quarantines are
untrusted: the complete journal is validated before the first file is restored.
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
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Literal

from distingo.curation.planning import CleaningPlan, Move, UnmovedFile
from distingo.datasets.walking import display_name
from distingo.errors import DataError, InterruptionError, ResourceError, UsageError, join_faults, option, quote
from distingo.files import content_hash
from distingo.journals import JournalWriter, journal_writer, move_file, parse_first, parse_line, read_lines
from distingo.messages.notes import Note, note
from distingo.progress import progress_bar
from distingo.safe_paths import find_link_above, find_path_fault
from distingo.version import __version__

JOURNAL_NAME = "journal.jsonl"

FORMAT = 1

_FULL_DISK = {errno.ENOSPC, errno.EDQUOT}

_HASH = re.compile("[0-9a-f]{32}|")

_EVENTS = ("copied", "moved", "returning", "returned")
"""Journal lines that may be missing after an interruption, and are ignored."""


_Outcome = Literal["returned", "in place", "copies"]
"""A file was restored; it was in its original place already; it has a copy in the quarantine too."""


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One started move.

    Attributes:
        path: Path relative to the data set's root, with forward slashes.
        content: Content hash of the file; empty if it could not be read.
    """

    path: str
    content: str


@dataclass(frozen=True, slots=True)
class Journal:
    """Contents of a journal.

    Attributes:
        root: The folder that the files were moved from according to the journal, which is untrusted.
        entries: The started moves in order.
    """

    root: Path
    entries: tuple[JournalEntry, ...]


@dataclass(frozen=True, slots=True)
class Restoration:
    """Result of restoring files from a quarantine.

    Attributes:
        root: The folder that they were restored to.
        returned: Restored files.
        in_place: Files that were already in their original place.
        copies: Those of them that also have a copy in the quarantine after an interruption; the copy is kept.
        left: Files that can't be restored, with the reason.
    """

    root: Path
    returned: tuple[str, ...]
    in_place: tuple[str, ...]
    copies: tuple[str, ...]
    left: tuple[UnmovedFile, ...]


def choose_quarantine(root: Path, chosen: Path | None = None) -> Path:
    """Choose the quarantine folder: by default a new folder named by the time, next to the data set.

    Args:
        root: Resolved root of the data set.
        chosen: A new or empty folder to use instead.

    Raises:
        UsageError: The chosen folder is inside the data set, or is not empty.
    """
    if chosen is not None:
        folder = chosen.resolve()
        if folder.is_relative_to(root):
            raise UsageError(
                f"{option('quarantine')} {chosen}: is inside {root}, where it would be read as data; choose another",
                code="overlapping_folders",
                parameter="quarantine",
            )
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UsageError(
                f"{option('quarantine')} {chosen}: exists and is no empty folder; choose another",
                code="not_empty",
                parameter="quarantine",
            )
        return folder
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H-%M-%SZ")
    folder = _default_folder(root) / now
    number = 2
    while folder.exists():
        folder = folder.with_name(f"{now}-{number}")
        number += 1
    return folder


def _default_folder(root: Path) -> Path:
    return root.parent / f"{root.name}-quarantine"


def undo_command(root: Path, quarantine: Path) -> str:
    """Command that restores the files; it contains the data set unless the quarantine is in its usual place."""
    arguments = ["distingo", "clean", *([] if quarantine.parent == _default_folder(root) else [str(root)])]
    return shlex.join([*arguments, "--undo", str(quarantine)])


def apply_plan(plan: CleaningPlan, quarantine: Path) -> CleaningPlan:
    """Move the files of a plan.

    Args:
        plan: Plan from `plan_cleaning`.
        quarantine: Folder from `choose_quarantine`.

    Returns:
        The plan as it was carried out; files that could not be moved are in `unmoved`.

    Raises:
        ResourceError: The quarantine can't be written or its disk is full; what was moved is in the journal.
        InterruptionError: Ctrl-C; what was moved is in the journal.
    """
    if not plan.moves:
        return plan
    moved: list[Move] = []
    left = list(plan.unmoved)
    with journal_writer(quarantine / JOURNAL_NAME) as journal, progress_bar("Moving", len(plan.moves)) as advance:
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        journal.write({"format": FORMAT, "distingo": __version__, "root": str(plan.root), "at": now})
        try:
            for move in plan.moves:
                if reason := _move(plan.root, move, quarantine, journal):
                    left.append(UnmovedFile(move.file, move.kinds, reason))
                else:
                    moved.append(move)
                advance()
        except KeyboardInterrupt:
            raise InterruptionError(
                f"stopped after {len(moved):,} files; `{undo_command(plan.root, quarantine)}` puts them back",
                code="interrupted",
            ) from None
    return replace(plan, moves=tuple(moved), unmoved=tuple(left))


def _move(root: Path, move: Move, quarantine: Path, journal: JournalWriter) -> Note | None:
    """Move one file; return None, or the reason why it was not moved."""
    path = move.path.relative_to(root).as_posix()
    if path == JOURNAL_NAME:
        return note("named-as-journal")
    if find_path_fault(path):
        return note("named-as-drive")
    try:
        if move.content and content_hash(move.path.read_bytes()) != move.content:
            return note("changed-since-check")
        about = {"kinds": move.kinds, "reason": asdict(move.reason), "stays": move.stays}
        journal.write({"moving": path, "content": move.content, **about})
        move_file(move.path, quarantine / path, before_removal=lambda: journal.write({"copied": path}))
        journal.write({"moved": path}, durable=False)
    except OSError as error:
        if error.errno in _FULL_DISK:
            raise ResourceError(
                f"{quarantine}: the disk is full; `{undo_command(root, quarantine)}` puts back what was moved",
                code="disk_full",
            ) from error
        return note("cannot-move", error=error.strerror or type(error).__name__)
    return None


def undo(quarantine: Path, root: Path | None = None) -> Restoration:
    """Restore all files of a quarantine without overwriting anything.

    The journal is untrusted: it is validated completely before the first file is moved, and files are only moved from
    the quarantine into the data set.

    Args:
        quarantine: The folder with the journal.
        root: Current root of the data set. None uses the root in the journal if the quarantine is in its usual place
            next to it, as from `choose_quarantine`; otherwise the journal's root is not trusted.

    Raises:
        DataError: The journal is missing or damaged, or contains paths that are not regular files in the quarantine or
            lead through links; the message has one line per fault.
        UsageError: The data set does not exist, or must be given explicitly.
        ResourceError: The journal can't be written.
    """
    quarantine = quarantine.resolve()
    journal = read_journal(quarantine)
    root = _find_root(quarantine, journal, root)
    faults = [
        f"{quarantine / JOURNAL_NAME}: {reason}"
        for entry in journal.entries
        if (reason := _find_fault(entry, root, quarantine))
    ]
    if faults:
        raise DataError(join_faults(faults, "nothing was moved"), code="cannot_undo")
    outcomes: dict[_Outcome, list[str]] = {"returned": [], "in place": [], "copies": []}
    left: list[UnmovedFile] = []
    with (
        journal_writer(quarantine / JOURNAL_NAME) as writer,
        progress_bar("Putting back", len(journal.entries)) as advance,
    ):
        for entry in reversed(journal.entries):
            name = display_name(tuple(entry.path.split("/")))
            outcome = _put_back(entry, root, quarantine, writer)
            if isinstance(outcome, Note):
                left.append(UnmovedFile(name, (), outcome))
            else:
                outcomes[outcome].append(name)
            advance()
    _remove_empty_folders(quarantine, [entry.path for entry in journal.entries])
    in_place = (*outcomes["in place"], *outcomes["copies"])
    return Restoration(root, tuple(outcomes["returned"]), in_place, tuple(outcomes["copies"]), tuple(left))


def read_journal(quarantine: Path) -> Journal:
    """Read the journal of a quarantine.

    Raises:
        DataError: The journal is missing or damaged (an incomplete last line is allowed), contains paths that lead
            outside (reported one per line), or was written by a newer version.
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
    """Parse a started move; return None for other lines, or a description of the fault."""
    line = parse_line(text)
    if isinstance(line, str):
        return line
    if "moving" not in line:
        return None if any(name in line for name in _EVENTS) else "is of no known kind"
    path, content = line["moving"], line.get("content")
    if reason := find_path_fault(path):
        return reason
    assert isinstance(path, str)
    if not isinstance(content, str) or not _HASH.fullmatch(content):
        return f"{quote(content)} is no hash"
    return "names the journal itself" if path == JOURNAL_NAME else JournalEntry(path, content)


def _find_root(quarantine: Path, journal: Journal, requested: Path | None) -> Path:
    """Return the requested root, or that of the journal if the quarantine is in its usual place."""
    if requested is None:
        _require_own_root(quarantine, journal.root)
    root = (requested or journal.root).resolve()
    if not root.is_dir():
        raise UsageError(
            f"{root}: is no folder; name where the pictures came from: distingo clean DATA --undo ...",
            code="not_a_folder",
            parameter="data",
        )
    if root.is_relative_to(quarantine) or quarantine.is_relative_to(root):
        raise UsageError(
            f"{quarantine}: one of it and {root} is inside the other; name where the pictures came from",
            code="overlapping_folders",
            parameter="data",
        )
    return root


def _require_own_root(quarantine: Path, root: Path) -> None:
    """Refuse the journal's root unless it is the folder next to the quarantine.

    An untrusted archive could contain a link with the data set's name next to its quarantine.
    """
    if quarantine.parent != _default_folder(root):
        reason = f"its journal names {quote(str(root))}, but it is not next to that"
    elif root != root.resolve():  # a link, a junction, or `..`
        reason = f"its journal names {quote(str(root))}, which leads elsewhere, to {quote(str(root.resolve()))}"
    else:
        return
    raise UsageError(
        f"{quarantine}: {reason}; name where the pictures came from: distingo clean DATA --undo ...",
        code="missing_argument",
        parameter="data",
    )


def _find_fault(entry: JournalEntry, root: Path, quarantine: Path) -> str:
    """Describe why a file must not be restored; empty if it may."""
    for folder in (root, quarantine):
        if link := find_link_above(folder, entry.path):
            return f"{quote(entry.path)} leads through a link, {quote(link)} in {folder}"
    try:
        mode = (quarantine / entry.path).lstat().st_mode
    except (OSError, ValueError):
        return ""  # does not exist
    return "" if stat.S_ISREG(mode) else f"{quote(entry.path)} is no regular file in the quarantine"


def _put_back(entry: JournalEntry, root: Path, quarantine: Path, journal: JournalWriter) -> _Outcome | Note:
    """Restore one file; return the reason if it can't be restored."""
    original, quarantined = root / entry.path, quarantine / entry.path
    try:
        if not os.path.lexists(quarantined):
            return "in place" if os.path.lexists(original) else note("in-neither-place")
        if _find_fault(entry, root, quarantine):
            return note("reached-through-link-now")
        if not os.path.lexists(original):
            journal.write({"returning": entry.path})
            move_file(quarantined, original)
            journal.write({"returned": entry.path}, durable=False)
            return "returned"
        return _compare_with_original(original, quarantined)
    except OSError as error:
        return note("cannot-put-back", error=error.strerror or type(error).__name__)


def _compare_with_original(original: Path, quarantined: Path) -> _Outcome | Note:
    """Compare a file in the quarantine with the one in its original place; return values as for `_put_back`."""
    if _has_both_names(original, quarantined):
        quarantined.unlink()  # interrupted between link and unlink; the file is in its original place
        return "in place"
    if original.is_file() and not original.is_symlink() and original.read_bytes() == quarantined.read_bytes():
        return "copies"
    return note("place-taken")


def _has_both_names(original: Path, quarantined: Path) -> bool:
    """Whether two paths are hard links to the same file (not symbolic links)."""
    one, other = original.lstat(), quarantined.lstat()
    return stat.S_ISREG(one.st_mode) and os.path.samestat(one, other) and one.st_nlink > 1


def _remove_empty_folders(quarantine: Path, paths: Sequence[str]) -> None:
    """Remove the empty folders of restored files from the quarantine."""
    folders = {parent for path in paths for parent in (quarantine / path).parents if parent != quarantine}
    for folder in sorted(folders, key=lambda each: len(each.parts), reverse=True):
        if folder.is_relative_to(quarantine):
            with contextlib.suppress(OSError):
                folder.rmdir()
