"""Atomic writes of files, JSON, recorded checksums, and hashes."""

from __future__ import annotations

import contextlib
import errno
import glob
import hashlib
import json
import math
import mmap
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from distingo.checksums import CHECKSUM, are_tensors_intact, checksum_file, compute_checksum, is_json_intact, seal_json
from distingo.errors import ResourceError, RunError

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows has no flock
    fcntl = None  # type: ignore[assignment]

CHECKSUMS_FILE = "checksums.json"
"""File with the CRC-32 by name of the files next to it that can't contain a checksum themselves."""

_HALF_WRITTEN = re.compile(r"\..+\.(csv|html|json|parquet|safetensors|txt)\.[a-z0-9_]{8}")
_FULL_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}

_DEEPEST = 64
_LARGEST = 1 << 30
"""Limits of nesting levels and bytes, far above those of any JSON file that distingo writes."""

_MAY_BE_INFINITE = re.compile(r"[eE]\+?\d{3}|\d{300}")
_MAY_BE_HALF = re.compile(r"\\u[dD][89abABc-fC-F]")


@contextlib.contextmanager
def atomic_writer(path: Path) -> Iterator[IO[bytes]]:
    """Open a binary file that gets its name only when the block ends without an error.

    Args:
        path: The finished file; its folder is created if missing.

    Yields:
        A binary file open for writing.

    Raises:
        ResourceError: The disk is full or the file can't be written; no file is left behind.
    """
    if "\0" in str(path):
        raise ResourceError(
            f"{str(path)!r}: a path can't hold a NUL character; choose another place", code="invalid_path"
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            temporary = Path(file.name)
            _try_lock(file.fileno())
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
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> ResourceError:
    if error.errno in _FULL_DISK:
        return ResourceError(
            f"{path}: the disk is full; free some space and run the same command again", code="disk_full"
        )
    reason = error.strerror or type(error).__name__
    return ResourceError(f"{path}: can't be written ({reason}); choose another place", code="cannot_write")


def remove_half_written(folder: Path, *, below: bool = True) -> None:
    """Remove temporary files that `atomic_writer` left behind in a folder when its process was killed.

    Args:
        folder: A folder that only distingo writes to.
        below: Whether to search subfolders too.
    """
    for path in folder.rglob(".*") if below else folder.glob(".*"):
        _remove_unless_locked(path)


def remove_half_written_file(path: Path) -> None:
    """Remove temporary files that `atomic_writer` left behind for one file when its process was killed.

    Args:
        path: The finished file.
    """
    with contextlib.suppress(OSError):
        for each in path.parent.glob(f".{glob.escape(path.name)}.*"):
            _remove_unless_locked(each)


def _remove_unless_locked(path: Path) -> None:
    """Remove a temporary file unless a running process is writing it."""
    if not is_half_written(path):
        return
    try:
        with path.open("rb") as file:
            if not _try_lock(file.fileno()):
                return
            path.unlink(missing_ok=True)
    except FileNotFoundError:  # it was renamed in the meantime
        return


def _try_lock(handle: int) -> bool:
    """Lock an open file; False if another process holds the lock, True also if the file system has no locks."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # some network file systems don't support locks
        return True
    return True


def is_half_written(path: Path) -> bool:
    """Whether a file is a temporary file of `atomic_writer`, abandoned or being written."""
    return bool(_HALF_WRITTEN.fullmatch(path.name)) and path.is_file() and not path.is_symlink()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_bytes(path: Path, content: bytes, *, recorded: bool = False) -> None:
    """Write a file atomically.

    Args:
        path: The file to write.
        content: Its bytes.
        recorded: Whether to record its checksum in the folder's ``checksums.json``, for `require_intact`.
    """
    if recorded:
        record_checksums(path.parent, {path.name: compute_checksum([content])})
    with atomic_writer(path) as file:
        file.write(content)


def write_text(path: Path, content: str, *, recorded: bool = False) -> None:
    """Write a UTF-8 file atomically; the arguments are those of `write_bytes`."""
    write_bytes(path, content.encode("utf-8"), recorded=recorded)


def write_json(path: Path, content: Any, *, sealed: bool = True) -> None:
    """Write readable UTF-8 JSON (two-space indent, no ASCII escapes, no NaN) atomically.

    Args:
        path: The file to write.
        content: Any JSON value; the member ``checksum`` of an object is left out.
        sealed: Whether to add a checksum to an object; use False for files that people are meant to edit.
    """
    if isinstance(content, dict):
        content = {name: value for name, value in content.items() if name != CHECKSUM}
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    write_text(path, seal_json(text) if sealed else text)


def read_json(path: Path) -> Any:
    """Read a JSON file, which may be untrusted, and remove its checksum.

    Raises:
        RunError: The file is missing, damaged, changed since it was written, or refused by `parse_json`.
    """
    try:
        if path.exists() and not path.is_file():
            raise RunError(f"{path}: is no regular file", code="not_regular_file")
        if path.stat().st_size > _LARGEST:
            raise RunError(
                f"{path}: too large for a file of distingo's ({path.stat().st_size:,} bytes)", code="damaged_file"
            )
        data = path.read_bytes()
        content = parse_json(data)
    except FileNotFoundError as error:
        raise RunError(f"{path}: no such file; is this a finished run folder?", code="not_found") from error
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: damaged or unreadable ({error})", code="damaged_file") from error
    require_sealed(path, data)
    if isinstance(content, dict):
        content.pop(CHECKSUM, None)
    return content


def require_sealed(path: Path, content: bytes) -> None:
    """Raise an error if a JSON file does not match its checksum.

    Raises:
        RunError: The bytes differ from those that were written.
    """
    if not is_json_intact(content):
        raise RunError(
            f"{path}: damaged: its checksum does not fit; restore it, or remove its last member, "
            f"{CHECKSUM!r}, if you changed it yourself",
            code="checksum_differs",
        )


def record_checksums(folder: Path, checksums: dict[str, str]) -> None:
    """Record the checksums of files before they are written.

    A file's previous checksum stays valid too, so that a crash before the file is written does no harm.

    Args:
        folder: The files' folder; created if missing.
        checksums: Checksums by file name.

    Raises:
        ResourceError: ``checksums.json`` can't be written.
        RunError: ``checksums.json`` is damaged.
    """
    path = folder / CHECKSUMS_FILE
    with _locked_folder(folder):
        recorded = read_checksums(folder)
        for name, checksum in checksums.items():
            recorded[name] = list(dict.fromkeys([*recorded.get(name, ())[-1:], checksum]))
        write_json(path, {"format": 1, "crc32": recorded})


def read_checksums(folder: Path) -> dict[str, list[str]]:
    """Read the one or two valid checksums of each file of a folder, by file name.

    Empty if the folder has no ``checksums.json``, or one of another program.

    Raises:
        RunError: ``checksums.json`` is damaged.
    """
    path = folder / CHECKSUMS_FILE
    if not path.is_file():
        return {}
    content = read_json(path)
    checksums = content.get("crc32") if isinstance(content, dict) else None
    if not isinstance(checksums, dict) or not all(isinstance(each, list) for each in checksums.values()):
        return {}  # another program's file of that name
    return checksums


def require_intact(path: Path, content: bytes | None = None) -> None:
    """Raise an error if a file does not match ``checksums.json`` next to it; an unlisted file counts as intact.

    Args:
        path: The file.
        content: Its bytes if they have already been read.

    Raises:
        RunError: The file is damaged.
        OSError: It can't be read.
    """
    expected = read_checksums(path.parent).get(path.name)
    if expected is None:
        return
    actual = checksum_file(path) if content is None else compute_checksum([content])
    if actual not in expected:
        raise RunError(
            f"{path}: damaged: its checksum does not fit; restore it or create it again, or remove its line from "
            f"{CHECKSUMS_FILE} if you changed it yourself",
            code="checksum_differs",
        )


def require_intact_tensors(path: Path) -> None:
    """Raise an error if a safetensors file does not match its checksum; one without a checksum counts as intact.

    Raises:
        RunError: The file is damaged.
        OSError: It can't be read.
    """
    with path.open("rb") as file:
        if not os.fstat(file.fileno()).st_size:
            return  # the reader refuses an empty file
        content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    if not are_tensors_intact(content):
        raise RunError(
            f"{path}: damaged: its checksum does not fit; restore it or create it again", code="checksum_differs"
        )


@contextlib.contextmanager
def _locked_folder(folder: Path) -> Iterator[None]:
    """Lock a folder, so that one process at a time changes its ``checksums.json``."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise _unwritable(folder, error) from error
    try:
        if fcntl is not None:
            with contextlib.suppress(OSError):  # some network file systems don't support locks
                fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def parse_json(content: bytes | str, *, strict: bool = True) -> Any:
    """Parse standard JSON: no NaN, no infinity, no lone surrogates.

    Args:
        content: JSON text; bytes are decoded as UTF-8.
        strict: If False, anything that Python's `json` accepts is allowed, as in label files of other programs.

    Returns:
        The parsed value; if `strict`, nested at most 64 levels deep, so that recursion over it is safe.

    Raises:
        ValueError: The content is not such JSON; the message explains why in one line.
    """
    text = content.decode("utf-8") if isinstance(content, bytes) else content
    try:
        parsed = json.loads(text, parse_constant=_refuse_constant if strict else None)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not strict:
        return parsed
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
    pending = [parsed]
    while pending:
        each = pending.pop()
        if isinstance(each, dict | list):
            pending += each.values() if isinstance(each, dict) else each
        elif isinstance(each, float) and not math.isfinite(each):
            return False
    return True


def content_hash(*parts: bytes | memoryview) -> str:
    """Compute the BLAKE2b hash (128 bits, hexadecimal) of the concatenated parts."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(part)
    return digest.hexdigest()
