"""The journal of a quarantine: JSON lines, each on the disk before what it announces is done."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from distingo.contained_paths import find_path_fault
from distingo.errors import DataError, ResourceError, join_faults, quote

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
            raise DataError(f"{path}: is no regular file; a journal is never reached through a link")
        with path.open("ab") as file:
            file.truncate(path.read_bytes().rfind(b"\n") + 1)  # a line that a kill cut off announced nothing
            yield JournalWriter(file)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ResourceError(f"{path}: can't be written ({reason}); choose another folder") from error


def read_journal(quarantine: Path) -> Journal:
    """Read what was moved into a quarantine.

    Raises:
        DataError: There is no journal, it is damaged (a last line that a kill cut off is not), names paths that lead
            elsewhere (one line for each), or a newer distingo wrote it.
    """
    path = quarantine / JOURNAL_NAME
    lines = _read_lines(path)
    if not lines:
        raise DataError(f"{path}: breaks off in its first line; nothing was moved")
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
        raise DataError(join_faults(faults, "nothing was moved"))
    return Journal(root, tuple(entries.values()))


def _read_lines(path: Path) -> list[bytes]:
    """The finished lines; what follows the last line break was never announced."""
    try:
        if path.is_symlink() or (path.exists() and not path.is_file()):
            raise DataError(f"{path}: is no regular file; a journal is never reached through a link")
        return path.read_bytes().split(b"\n")[:-1]
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise DataError(
            f"{path}: can't be read ({reason}); name a folder that `distingo clean --apply` made"
        ) from error


def _read_root(path: Path, line: bytes) -> Path:
    said = _parse(line)
    number = said.get("format") if isinstance(said, dict) else None
    if not isinstance(said, dict) or type(number) is not int:
        why = said if isinstance(said, str) else "no format number"
        raise DataError(f"{path}: line 1 is damaged ({why}); nothing was moved")
    if number > FORMAT:
        raise DataError(f"{path}: written by a newer distingo; `pip install --upgrade distingo`")
    root = said.get("root")
    if not isinstance(root, str) or "\0" in root:
        raise DataError(f"{path}: line 1 is damaged (names no folder); nothing was moved")
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
