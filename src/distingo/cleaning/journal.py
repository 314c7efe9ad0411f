"""The journal of a quarantine: JSON lines, each on the disk before what it announces is done."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from distingo.errors import DataError, ResourceError

JOURNAL_NAME = "journal.jsonl"
FORMAT = 1


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
        root: The folder that the files were moved from.
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
        with path.open("ab") as file:
            file.truncate(path.read_bytes().rfind(b"\n") + 1)  # a line that a kill cut off announced nothing
            yield JournalWriter(file)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ResourceError(f"{path}: can't be written ({reason}); choose another folder") from error


def read_journal(quarantine: Path) -> Journal:
    """Read what was moved into a quarantine.

    Raises:
        DataError: There is no journal, it is damaged (a last line that a kill cut off is not), or a newer distingo
            wrote it.
    """
    path = quarantine / JOURNAL_NAME
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise DataError(
            f"{path}: can't be read ({reason}); name a folder that `distingo clean --apply` made"
        ) from error
    root: Path | None = None
    entries: dict[str, JournalEntry] = {}
    for number, line in enumerate(lines[:-1], start=1):  # what follows the last line break was never finished
        try:
            said = json.loads(line)
            if number == 1:
                _check_format(path, said)
                root = Path(said["root"])
            elif "moving" in said:
                entries.setdefault(said["moving"], JournalEntry(said["moving"], said["content"]))
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path}: line {number} is damaged ({error})") from error
    if root is None:
        raise DataError(f"{path}: breaks off in its first line; nothing was moved")
    return Journal(root, tuple(entries.values()))


def _check_format(path: Path, said: dict[str, Any]) -> None:
    if said["format"] > FORMAT:
        raise DataError(f"{path}: written by a newer distingo; `pip install --upgrade distingo`")
