"""One file from one place to another: never over something else, and in one of the two places at every moment."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from distingo.files import content_hash

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
