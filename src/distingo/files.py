"""Writes that finish or vanish, and hashes."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from distingo.errors import ResourceError, RunError, UsageError

_HALF_WRITTEN = re.compile(r"\..+\.(csv|html|json|parquet|safetensors|txt)\.[a-z0-9_]{8}")
_FULL_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def as_paths(given: object, argument: str, *, instead: str = "") -> tuple[str | Path, ...]:
    """One path or several, as a tuple: a single text is one path, not a series of letters.

    Args:
        given: What was passed for `argument`.
        argument: Its name.
        instead: What takes other things, for the refusal.

    Raises:
        UsageError: It, or one of them, is no path.
    """
    if isinstance(given, str | os.PathLike):
        return (Path(given) if not isinstance(given, str) else given,)
    several = isinstance(given, Iterable) and not isinstance(given, bytes | bytearray | memoryview)
    members = tuple(given) if isinstance(given, Iterable) and several else (given,)
    for member in members:
        if not isinstance(member, str | os.PathLike):
            raise UsageError(f"{argument}: {type(member).__name__} is no path; give a path or a list of paths{instead}")
    return tuple(member if isinstance(member, str) else Path(member) for member in members)


def as_names(given: object, argument: str) -> tuple[str, ...]:
    """One name or several, as a tuple.

    Raises:
        UsageError: It, or one of them, is no text.
    """
    members = (given,) if isinstance(given, str) or not isinstance(given, Iterable) else tuple(given)
    for member in members:
        if not isinstance(member, str):
            raise UsageError(f"{argument}: {type(member).__name__} is no name; give a name or a list of names")
    return tuple(str(member) for member in members)


@contextlib.contextmanager
def atomic_writer(path: Path) -> Iterator[IO[bytes]]:
    """Open a binary file that appears under its name only when the block ends without an error.

    Args:
        path: Where the finished file shall be; its folder is made if missing.

    Yields:
        A binary file open for writing.

    Raises:
        ResourceError: The disk is full or the place can't be written; nothing is left behind.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            temporary = Path(file.name)
            try:
                yield file
                file.flush()
                os.fsync(file.fileno())
                file.close()
                temporary.chmod(0o666 & ~_umask())
                temporary.replace(path)
            except BaseException:
                file.close()
                temporary.unlink(missing_ok=True)
                raise
    except OSError as error:
        if error.errno in _FULL_DISK:
            raise ResourceError(f"{path}: the disk is full; free some space and run the same command again") from error
        if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST}:
            reason = error.strerror or type(error).__name__
            raise ResourceError(f"{path}: can't be written ({reason}); choose another place") from error
        raise


def remove_half_written(folder: Path) -> None:
    """Remove what `atomic_writer` had begun below a folder of ours when its process was killed.

    Args:
        folder: One that only distingo writes to, and nobody does now.
    """
    for path in folder.rglob(".*"):
        if _HALF_WRITTEN.fullmatch(path.name) and path.is_file() and not path.is_symlink():
            path.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_bytes(path: Path, content: bytes) -> None:
    """Write a whole file, or nothing."""
    with atomic_writer(path) as file:
        file.write(content)


def write_text(path: Path, content: str) -> None:
    """Write a whole UTF-8 file, or nothing."""
    write_bytes(path, content.encode("utf-8"))


def write_json(path: Path, content: Any) -> None:
    """Write readable UTF-8 JSON (two-space indent, no ASCII escapes, no NaN), or nothing."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file that an earlier command wrote.

    Raises:
        RunError: The file is missing or damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RunError(f"{path}: no such file; is this a finished run folder?") from error
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: damaged or unreadable ({error})") from error


def content_hash(*parts: bytes | memoryview) -> str:
    """BLAKE2b hash (128 bits, hexadecimal) of the parts one after another."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(part)
    return digest.hexdigest()
