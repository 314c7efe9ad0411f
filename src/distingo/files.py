"""Writes that finish or vanish, and hashes."""

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
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from distingo.checksums import CHECKSUM, are_tensors_intact, compute_checksum, is_json_intact, seal_json
from distingo.errors import ResourceError, RunError, UsageError

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows has no flock
    fcntl = None  # type: ignore[assignment]

CHECKSUMS_FILE = "checksums.json"
"""Next to files that can't hold a checksum themselves: their names and CRC-32."""

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
            raise UsageError(
                f"{argument}: {type(member).__name__} is no path; give a path or a list of paths{instead}",
                code="invalid_type",
                parameter=argument,
            )
    return tuple(member if isinstance(member, str) else Path(member) for member in members)


def as_names(given: object, argument: str) -> tuple[str, ...]:
    """One name or several, as a tuple.

    Raises:
        UsageError: It, or one of them, is no text.
    """
    members = (given,) if isinstance(given, str) or not isinstance(given, Iterable) else tuple(given)
    for member in members:
        if not isinstance(member, str):
            raise UsageError(
                f"{argument}: {type(member).__name__} is no name; give a name or a list of names",
                code="invalid_type",
                parameter=argument,
            )
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
    if "\0" in str(path):
        raise ResourceError(
            f"{str(path)!r}: a path can't hold a NUL character; choose another place", code="invalid_path"
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            temporary = Path(file.name)
            _hold(file.fileno())
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
    """Remove what `atomic_writer` had begun below a folder of ours when its process was killed.

    Args:
        folder: One that only distingo writes to.
        below: Also in the folders in it.
    """
    for path in folder.rglob(".*") if below else folder.glob(".*"):
        _remove_unless_held(path)


def remove_half_written_beside(path: Path) -> None:
    """Remove what `atomic_writer` had begun for one file when its process was killed; other files stay.

    Args:
        path: The file.
    """
    with contextlib.suppress(OSError):
        for each in path.parent.glob(f".{glob.escape(path.name)}.*"):
            _remove_unless_held(each)


def _remove_unless_held(path: Path) -> None:
    """Remove a half-written file unless a living process is writing it."""
    if not is_half_written(path):
        return
    try:
        with path.open("rb") as file:
            if not _hold(file.fileno()):
                return
            path.unlink(missing_ok=True)
    except FileNotFoundError:  # it has got its name meanwhile
        return


def _hold(handle: int) -> bool:
    """Lock an open file; whether nobody else holds it, as far as the file system knows locks."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # some network file systems know no locks
        return True
    return True


def is_half_written(path: Path) -> bool:
    """Whether a file is what `atomic_writer` had begun when its process was killed, or is writing now."""
    return bool(_HALF_WRITTEN.fullmatch(path.name)) and path.is_file() and not path.is_symlink()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_bytes(path: Path, content: bytes, *, recorded: bool = False) -> None:
    """Write a whole file, or nothing.

    Args:
        path: Where to.
        content: All of it.
        recorded: Whether its checksum goes to the folder's ``checksums.json``, for `require_intact`.
    """
    if recorded:
        record_checksums(path.parent, {path.name: compute_checksum([content])})
    with atomic_writer(path) as file:
        file.write(content)


def write_text(path: Path, content: str, *, recorded: bool = False) -> None:
    """Write a whole UTF-8 file, or nothing; the arguments are those of `write_bytes`."""
    write_bytes(path, content.encode("utf-8"), recorded=recorded)


def write_json(path: Path, content: Any, *, sealed: bool = True) -> None:
    """Write readable UTF-8 JSON (two-space indent, no ASCII escapes, no NaN), or nothing.

    Args:
        path: Where to.
        content: Anything that JSON has; a member ``checksum`` of an object is left out.
        sealed: Whether an object gets its checksum; not where people are meant to edit the file.
    """
    if isinstance(content, dict):
        content = {name: value for name, value in content.items() if name != CHECKSUM}
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    write_text(path, seal_json(text) if sealed else text)


def read_json(path: Path) -> Any:
    """Read a JSON file that an earlier command wrote, or that comes from anywhere, without its checksum.

    Raises:
        RunError: The file is missing, is damaged, was changed since it was written, or is as `parse_json` refuses it.
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
    """Refuse a JSON file whose bytes are others than were written.

    Raises:
        RunError: They are.
    """
    if not is_json_intact(content):
        raise RunError(
            f"{path}: damaged: its checksum does not fit; restore it, or remove its last member, "
            f"{CHECKSUM!r}, if you changed it yourself",
            code="checksum_differs",
        )


def record_checksums(folder: Path, checksums: dict[str, str]) -> None:
    """Note the checksums that files of a folder are about to have.

    A file's checksum until now stays valid, so that a kill between this and the writing harms nothing.

    Args:
        folder: The files' folder; made if missing.
        checksums: By file name.

    Raises:
        ResourceError: ``checksums.json`` can't be written.
        RunError: It is damaged.
    """
    path = folder / CHECKSUMS_FILE
    with _locked_folder(folder):
        noted = read_checksums(folder)
        for name, checksum in checksums.items():
            noted[name] = list(dict.fromkeys([*noted.get(name, ())[-1:], checksum]))
        write_json(path, {"format": 1, "crc32": noted})


def read_checksums(folder: Path) -> dict[str, list[str]]:
    """What `record_checksums` noted: one or two checksums by file name; nothing where no such file of ours is.

    Raises:
        RunError: ``checksums.json`` is damaged.
    """
    path = folder / CHECKSUMS_FILE
    if not path.is_file():
        return {}
    content = read_json(path)
    noted = content.get("crc32") if isinstance(content, dict) else None
    if not isinstance(noted, dict) or not all(isinstance(each, list) for each in noted.values()):
        return {}  # somebody else's file of that name
    return noted


def require_intact(path: Path, content: bytes | None = None) -> None:
    """Refuse a file whose bytes are others than ``checksums.json`` next to it has; one not noted counts as intact.

    Args:
        path: The file.
        content: Its bytes where they have been read already.

    Raises:
        RunError: The file is damaged.
        OSError: It can't be read.
    """
    noted = read_checksums(path.parent).get(path.name)
    if noted is None:
        return
    found = checksum_file(path) if content is None else compute_checksum([content])
    if found not in noted:
        raise RunError(
            f"{path}: damaged: its checksum does not fit; restore it or make it anew, or remove its line from "
            f"{CHECKSUMS_FILE} if you changed it yourself",
            code="checksum_differs",
        )


def require_intact_tensors(path: Path) -> None:
    """Refuse a safetensors file whose bytes are others than were written; one without a checksum counts as intact.

    Raises:
        RunError: The file is damaged.
        OSError: It can't be read.
    """
    with path.open("rb") as file:
        if not os.fstat(file.fileno()).st_size:
            return  # what reads it refuses an empty file
        content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    if not are_tensors_intact(content):
        raise RunError(
            f"{path}: damaged: its checksum does not fit; restore it or make it anew", code="checksum_differs"
        )


def checksum_file(path: Path) -> str:
    """The checksum of a file, in steady memory."""
    with path.open("rb") as file:
        return compute_checksum(iter(lambda: file.read(1 << 20), b""))


@contextlib.contextmanager
def _locked_folder(folder: Path) -> Iterator[None]:
    """Let one process at a time change a folder's ``checksums.json``."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise _unwritable(folder, error) from error
    try:
        if fcntl is not None:
            with contextlib.suppress(OSError):  # some network file systems know no locks
                fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def parse_json(content: bytes | str, *, strict: bool = True) -> Any:
    """Parse JSON as we write it, which is what the standard allows: no NaN, no infinity, no half of a character.

    Args:
        content: Of a file; bytes are UTF-8.
        strict: Else whatever Python takes for JSON is allowed, as other programs write labels.

    Returns:
        Values nested at most 64 levels deep, so that whoever walks through them never runs out of stack.

    Raises:
        ValueError: It is no such JSON; says in one line why.
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
