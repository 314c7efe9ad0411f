"""A folder that appears whole or not at all."""

from __future__ import annotations

import errno
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from distingo.errors import ResourceError

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows has no flock
    fcntl = None  # type: ignore[assignment]


def require_free(place: Path) -> None:
    """Refuse a place where something is.

    Raises:
        ResourceError: There is.
    """
    if place.exists() or place.is_symlink():
        raise ResourceError(f"{place}: exists already; choose another -o")


def _remove_abandoned(place: Path) -> None:
    """Remove what killed processes had begun for this place; a living one holds a lock on its own."""
    name = re.compile(re.escape(f".{place.name}.") + "[a-z0-9_]{8}")
    for path in place.parent.iterdir():
        if not name.fullmatch(path.name) or path.is_symlink() or not path.is_dir():
            continue
        if {entry.name for entry in path.iterdir()} <= {place.name}:
            with suppress(OSError), _held(path):
                shutil.rmtree(path)


@contextmanager
def _held(folder: str | Path) -> Iterator[None]:
    """Hold a lock on a folder.

    Raises:
        OSError: Another process holds it.
    """
    if fcntl is None:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)


@contextmanager
def appearing_folder(place: Path) -> Iterator[Path]:
    """A folder to fill, which gets its name when the block ends without an error.

    Args:
        place: Where it shall be; nothing may be there.

    Raises:
        ResourceError: Something is there, the disk is full or the place can't be written.
    """
    require_free(place)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(place)
        with tempfile.TemporaryDirectory(dir=place.parent, prefix=f".{place.name}.") as temporary, _held(temporary):
            folder = Path(temporary) / place.name
            folder.mkdir()
            yield folder
            require_free(place)
            folder.rename(place)
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            raise ResourceError(f"{place}: the disk is full; free some space and run the same command again") from error
        reason = error.strerror or type(error).__name__
        raise ResourceError(f"{place}: can't be written ({reason}); choose another place") from error
