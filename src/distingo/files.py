"""Writes that finish or vanish, and hashes."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import math
import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from distingo.errors import ResourceError, RunError, UsageError

_HALF_WRITTEN = re.compile(r"\..+\.(csv|html|json|parquet|safetensors|txt)\.[a-z0-9_]{8}")
_FULL_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}

_DEEPEST = 64
_LARGEST = 1 << 30
"""Levels of nesting and bytes that a JSON file of ours never comes near."""

_MAY_BE_INFINITE = re.compile(r"[eE]\+?\d{3}|\d{300}")
_MAY_BE_HALF = re.compile(r"\\u[dD][89abABc-fC-F]")


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
    """Read a JSON file that an earlier command wrote, or that comes from anywhere.

    Raises:
        RunError: The file is missing, is damaged, or is as `parse_json` refuses it.
    """
    try:
        if path.exists() and not path.is_file():
            raise RunError(f"{path}: is no regular file")
        if path.stat().st_size > _LARGEST:
            raise RunError(f"{path}: too large for a file of distingo's ({path.stat().st_size:,} bytes)")
        return parse_json(path.read_bytes())
    except FileNotFoundError as error:
        raise RunError(f"{path}: no such file; is this a finished run folder?") from error
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: damaged or unreadable ({error})") from error


def parse_json(content: bytes | str) -> Any:
    """Parse JSON as we write it, which is what the standard allows: no NaN, no infinity, no half of a character.

    Args:
        content: Of a file; bytes are UTF-8.

    Returns:
        Values nested at most 64 levels deep, so that whoever walks through them never runs out of stack.

    Raises:
        ValueError: It is no such JSON; says in one line why.
    """
    text = content.decode("utf-8") if isinstance(content, bytes) else content
    try:
        parsed = json.loads(text, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if text.count("[") + text.count("{") > _DEEPEST and not _is_shallow(parsed):
        raise ValueError(f"nested more than {_DEEPEST} levels deep")
    if _MAY_BE_INFINITE.search(text) and not _is_finite(parsed):
        raise ValueError("a number too large to be one")
    if _MAY_BE_HALF.search(text):
        try:
            json.dumps(parsed, ensure_ascii=False).encode("utf-8")
        except UnicodeEncodeError:
            raise ValueError("half of a character (a lone surrogate)") from None
    return parsed


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number")


def _is_shallow(parsed: Any) -> bool:
    level = [parsed] if isinstance(parsed, dict | list) else []
    for _ in range(_DEEPEST):
        entries = (entry for each in level for entry in (each.values() if isinstance(each, dict) else each))
        level = [entry for entry in entries if isinstance(entry, dict | list)]
    return not level


def _is_finite(parsed: Any) -> bool:
    waiting = [parsed]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict | list):
            waiting += each.values() if isinstance(each, dict) else each
        elif isinstance(each, float) and not math.isfinite(each):
            return False
    return True


def content_hash(*parts: bytes | memoryview) -> str:
    """BLAKE2b hash (128 bits, hexadecimal) of the parts one after another."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(part)
    return digest.hexdigest()
