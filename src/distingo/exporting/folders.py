"""A folder that appears whole or not at all."""

from __future__ import annotations

import errno
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from distingo.errors import ResourceError


def require_free(place: Path) -> None:
    """Refuse a place where something is.

    Raises:
        ResourceError: There is.
    """
    if place.exists() or place.is_symlink():
        raise ResourceError(f"{place}: exists already; choose another -o")


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
        with tempfile.TemporaryDirectory(dir=place.parent, prefix=f".{place.name}.") as temporary:
            folder = Path(temporary) / place.name
            folder.mkdir()
            yield folder
            require_free(place)
            folder.rename(place)
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            raise ResourceError(f"{place}: the disk is full; free some space and run the same command again") from error
        if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST}:
            raise ResourceError(f"{place}: can't be written ({error.strerror}); choose another place") from error
        raise
