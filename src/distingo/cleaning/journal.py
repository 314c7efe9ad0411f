"""The journal of a quarantine: JSON lines, each on the disk before what it announces is done.

One file from one place to another: never over something else, and in one of the two places at every moment.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from distingo.contained_paths import find_path_fault
from distingo.errors import DataError, ResourceError, join_faults, quote
from distingo.files import content_hash

JOURNAL_NAME = "journal.jsonl"

FORMAT = 1

_HASH = re.compile("[0-9a-f]{32}|")

_BESIDE_MOVING = ("copied", "moved", "returning", "returned")
"""What other lines tell of; a kill may come before them, so that nothing follows from them."""


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
    """What a journal tells.

    Attributes:
        root: The folder that the files were moved from, as the journal has it: not to be trusted by itself.
        entries: The moves that were begun, in their order.
    """

    root: Path
    entries: tuple[JournalEntry, ...]


class JournalWriter:
    """Appends to a journal."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def write(self, *, durable: bool = True, **said: Any) -> None:
        """Add a line; a durable one is on the disk when this returns."""
        self._file.write(json.dumps(said).encode("ascii") + b"\n")
        self._file.flush()
        if durable:
            self.sync()

    def sync(self) -> None:
        """Bring all lines so far to the disk."""
        os.fsync(self._file.fileno())


@contextmanager
def journal_writer(quarantine: Path, name: str = JOURNAL_NAME) -> Iterator[JournalWriter]:
    """Open the journal of a quarantine, or of another folder, for further lines; the folder is made if missing.

    Args:
        quarantine: The folder.
        name: Of the journal in it.

    Raises:
        ResourceError: It can't be written.
    """
    path = quarantine / name
    try:
        quarantine.mkdir(parents=True, exist_ok=True)
        if os.path.lexists(path) and (path.is_symlink() or not path.is_file()):
            raise DataError(
                f"{path}: is no regular file; a journal is never reached through a link", code="not_regular_file"
            )
        with path.open("ab") as file:
            file.truncate(path.read_bytes().rfind(b"\n") + 1)  # a line that a kill cut off announced nothing
            yield JournalWriter(file)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ResourceError(
            f"{path}: can't be written ({reason}); choose another folder", code="cannot_write"
        ) from error


def read_journal(quarantine: Path) -> Journal:
    """Read what was moved into a quarantine.

    Raises:
        DataError: There is no journal, it is damaged (a last line that a kill cut off is not), names paths that lead
            elsewhere (one line for each), or a newer distingo wrote it.
    """
    path = quarantine / JOURNAL_NAME
    lines = _read_lines(path)
    if not lines:
        raise DataError(f"{path}: breaks off in its first line; nothing was moved", code="damaged_file")
    root = _read_root(path, lines[0])
    entries: dict[str, JournalEntry] = {}
    faults: list[str] = []
    for number, line in enumerate(lines[1:], start=2):
        found = _read_line(line)
        if isinstance(found, JournalEntry):
            if found.path in entries:
                found = f"{quote(found.path)} is named twice"
            else:
                entries[found.path] = found
        if isinstance(found, str):
            faults.append(f"{path}: line {number} is damaged ({found})")
    folders = {above for name in entries for above in _folders_above(name)}
    faults += [f"{path}: is damaged ({quote(name)} is a file and a folder)" for name in entries if name in folders]
    if faults:
        raise DataError(join_faults(faults, "nothing was moved"), code="damaged_file")
    return Journal(root, tuple(entries.values()))


def _read_lines(path: Path) -> list[bytes]:
    """The finished lines; what follows the last line break was never announced."""
    try:
        if path.is_symlink() or (path.exists() and not path.is_file()):
            raise DataError(
                f"{path}: is no regular file; a journal is never reached through a link", code="not_regular_file"
            )
        return path.read_bytes().split(b"\n")[:-1]
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise DataError(
            f"{path}: can't be read ({reason}); name a folder that `distingo clean --apply` made", code="cannot_read"
        ) from error


def _read_root(path: Path, line: bytes) -> Path:
    said = _parse(line)
    number = said.get("format") if isinstance(said, dict) else None
    if not isinstance(said, dict) or type(number) is not int:
        why = said if isinstance(said, str) else "no format number"
        raise DataError(f"{path}: line 1 is damaged ({why}); nothing was moved", code="damaged_file")
    if number > FORMAT:
        raise DataError(f"{path}: written by a newer distingo; `pip install --upgrade distingo`", code="newer_version")
    root = said.get("root")
    if not isinstance(root, str) or "\0" in root:
        raise DataError(f"{path}: line 1 is damaged (names no folder); nothing was moved", code="damaged_file")
    return Path(root)


def _read_line(line: bytes) -> JournalEntry | str | None:
    """A move that was begun, None of another line, or in words what is wrong."""
    said = _parse(line)
    if not isinstance(said, dict):
        return said
    if "moving" not in said:
        return None if any(name in said for name in _BESIDE_MOVING) else "tells of nothing known"
    if why := find_path_fault(said["moving"]):
        return why
    content = said.get("content")
    if not isinstance(content, str) or not _HASH.fullmatch(content):
        return f"{quote(content)} is no hash"
    if said["moving"] == JOURNAL_NAME:
        return "names the journal itself"
    return JournalEntry(said["moving"], content)


def _parse(line: bytes) -> dict[str, Any] | str:
    """A line's object, or in words what is wrong."""
    try:
        said = json.loads(line)
    except RecursionError:
        return "is nested too deeply"
    except ValueError as error:
        return f"is no JSON: {quote(str(error))}"
    return said if isinstance(said, dict) else "is no JSON object"


def _folders_above(path: str) -> Iterator[str]:
    parts = path.split("/")
    return ("/".join(parts[:count]) for count in range(1, len(parts)))


_PARTIAL = ".partial"

_NO_LINKS = {errno.EPERM, errno.EACCES, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EINVAL}


def _nothing() -> None: ...


def move_file(source: Path, target: Path, *, before_removal: Callable[[], None] = _nothing) -> None:
    """Move a file; its folder is made if missing.

    On one file system the file gets its second name before it loses the first. Between two it is copied, the copy is
    read again and compared, and the source is removed last. A kill leaves it in both places at most.

    Args:
        source: A regular file.
        target: Where it shall be.
        before_removal: Called once a copy is complete and before the source is removed.

    Raises:
        FileExistsError: Something is at the target.
        OSError: It can't be moved; it is where it was.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno == errno.EXDEV:
            copy_file(source, target)
            before_removal()
        elif error.errno in _NO_LINKS:
            _rename(source, target)
            return
        else:
            raise
    _make_durable(target.parent)
    source.unlink()
    _make_durable(source.parent)


def copy_file(source: Path, target: Path, *, durable: bool = True) -> None:
    """Copy a file with its times and permissions, and compare the copy with it.

    Args:
        source: A regular file.
        target: Where the copy shall be, in a folder that exists.
        durable: Whether it is to be on the disk when this returns, as must be before the source is removed.

    Raises:
        FileExistsError: Something is at the target.
        OSError: It can't be copied, or the copy differs; nothing is at the target.
    """
    content = source.read_bytes()
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name[:100]}.", suffix=_PARTIAL)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        shutil.copystat(source, temporary)
        if content_hash(temporary.read_bytes()) != content_hash(content):
            raise OSError(errno.EIO, "the copy differs from the file")
        _rename(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if durable:
        _make_durable(target.parent)


def remove_unfinished_copies(target: Path) -> None:
    """Remove what `copy_file` had begun for a target when its process was killed."""
    unfinished = re.compile(re.escape(f".{target.name[:100]}.") + "[a-z0-9_]{8}" + re.escape(_PARTIAL))
    with contextlib.suppress(OSError), os.scandir(target.parent) as entries:
        for entry in entries:
            if unfinished.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                Path(entry.path).unlink(missing_ok=True)


def _rename(source: Path, target: Path) -> None:
    """Rename where a file system knows no hard links; there, looking and renaming are two steps."""
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, "something is there already", str(target))
    source.rename(target)


def _make_durable(folder: Path) -> None:
    """Bring a folder's names to the disk, where the system can."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
