"""Write-ahead journals of file operations, and moves and copies that never lose a file.

A journal has one JSON object per line, written to disk before the operation that it describes, so that moving, copying
or linking files can be undone even after a crash. A move never overwrites a file, and the file exists in at least one
of the two places at every moment.
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
    """Appends lines to a journal."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def write(self, line: Line, *, durable: bool = True) -> None:
        """Append a line; if `durable`, it is on disk when this returns."""
        self._file.write(json.dumps(line).encode("ascii") + b"\n")
        self._file.flush()
        if durable:
            self.sync()

    def sync(self) -> None:
        """Flush all lines so far to disk."""
        os.fsync(self._file.fileno())


@contextmanager
def journal_writer(path: Path) -> Iterator[JournalWriter]:
    """Open a journal to append lines; its folder is created if missing.

    Raises:
        DataError: The path is a link or not a regular file.
        ResourceError: The journal can't be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if os.path.lexists(path):
            _require_regular(path)
        with path.open("ab") as file:
            file.truncate(path.read_bytes().rfind(b"\n") + 1)  # drop an incomplete last line
            yield JournalWriter(file)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ResourceError(
            f"{path}: can't be written ({reason}); choose another folder", code="cannot_write"
        ) from error


def read_lines(path: Path) -> list[bytes]:
    """Read the complete lines of a journal; an incomplete last line is ignored.

    Raises:
        DataError: The path is a link or not a regular file.
        OSError: The journal can't be read.
    """
    if path.is_symlink() or path.exists():
        _require_regular(path)
    return path.read_bytes().split(b"\n")[:-1]


def parse_first(path: Path, line: bytes, key: str, newest: int) -> Line:
    """Parse the first line of a journal, which contains its format number.

    Args:
        path: The journal, for error messages.
        line: The line.
        key: The key of the format number.
        newest: The newest format that this version reads.

    Raises:
        DataError: The line is damaged, or was written by a newer distingo.
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
    """Parse a line; returns its object, or the reason why it is damaged."""
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
    """Move a file without overwriting; the target folder is created if missing.

    Within a file system the file gets a second hard link before the first is removed. Between file systems it is
    copied, the copy is read back and compared, and the source is removed last. A crash leaves the file in at least one
    place, at most in both.

    Args:
        source: A regular file.
        target: The new path.
        before_removal: Called after the file was copied and before the source is removed.

    Raises:
        FileExistsError: The target exists.
        OSError: The file can't be moved; it stays where it was.
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
    """Copy a file with its timestamps and permissions, and verify the copy.

    Args:
        source: A regular file.
        target: The copy's path, in an existing folder.
        durable: Whether the copy must be on disk when this returns, as is needed before the source is removed.

    Raises:
        FileExistsError: The target exists.
        OSError: The file can't be copied, or the copy differs; no target is left.
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
    """Remove temporary files that `copy_file` left behind for a target when its process was killed."""
    unfinished = re.compile(re.escape(f".{target.name[:100]}.") + "[a-z0-9_]{8}" + re.escape(_PARTIAL))
    with contextlib.suppress(OSError), os.scandir(target.parent) as entries:
        for entry in entries:
            if unfinished.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                Path(entry.path).unlink(missing_ok=True)


def _rename(source: Path, target: Path) -> None:
    """Rename without overwriting; the check and the rename are two steps, so this is not atomic."""
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, "something exists there already", str(target))
    source.rename(target)


def _make_durable(folder: Path) -> None:
    """Flush a folder's entries to disk, if the system supports it."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
