"""Journals: JSON lines, each on the disk before what it announces is done; and files moved so that none is ever lost.

A journal is written while files are moved, copied or linked, so that everything can be undone after a kill too. A file
goes from one place to another, never over something else, and is in one of the two at every moment.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from distingo.errors import DataError, ResourceError, quote
from distingo.files import content_hash, parse_json

Line = Mapping[str, object]
"""One line of a journal: a JSON object."""


class JournalWriter:
    """Appends to a journal."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def write(self, line: Line, *, durable: bool = True) -> None:
        """Add a line; a durable one is on the disk when this returns."""
        self._file.write(json.dumps(line).encode("ascii") + b"\n")
        self._file.flush()
        if durable:
            self.sync()

    def sync(self) -> None:
        """Bring all lines so far to the disk."""
        os.fsync(self._file.fileno())


@contextmanager
def journal_writer(path: Path) -> Iterator[JournalWriter]:
    """Open a journal for further lines; its folder is made if missing.

    Raises:
        DataError: Something else has its name.
        ResourceError: It can't be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if os.path.lexists(path):
            _require_regular(path)
        with path.open("ab") as file:
            file.truncate(path.read_bytes().rfind(b"\n") + 1)  # a line that a kill cut off announced nothing
            yield JournalWriter(file)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ResourceError(
            f"{path}: can't be written ({reason}); choose another folder", code="cannot_write"
        ) from error


def read_lines(path: Path) -> list[bytes]:
    """The finished lines of a journal; what follows the last line break was never announced.

    Raises:
        DataError: It is a link, or no file.
        OSError: It can't be read.
    """
    if path.is_symlink() or path.exists():
        _require_regular(path)
    return path.read_bytes().split(b"\n")[:-1]


def parse_first(path: Path, line: bytes, key: str, newest: int) -> Line:
    """The first line of a journal, which has the number of its format.

    Args:
        path: Of the journal, for messages.
        line: The line.
        key: Under which the number is stored.
        newest: The newest format that this version reads.

    Raises:
        DataError: The line is damaged, or a newer distingo wrote it.
    """
    first = parse_line(line)
    number = first if isinstance(first, str) else first.get(key)
    if isinstance(first, str) or type(number) is not int:
        reason = first if isinstance(first, str) else "no format number"
        raise DataError(f"{path}: line 1 is damaged ({reason}); nothing was changed", code="damaged_file")
    if number > newest:
        raise DataError(f"{path}: written by a newer distingo; `pip install --upgrade distingo`", code="newer_version")
    return first


def parse_line(line: bytes) -> Line | str:
    """A line's object, or why there is none."""
    try:
        content = parse_json(line, strict=False)
    except ValueError as error:
        return f"is no JSON: {quote(str(error))}"
    return content if isinstance(content, dict) else "is no JSON object"


def _require_regular(path: Path) -> None:
    if path.is_symlink() or not path.is_file():
        raise DataError(
            f"{path}: is no regular file; a journal is never reached through a link", code="not_regular_file"
        )


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
