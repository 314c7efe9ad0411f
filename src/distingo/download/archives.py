"""Safe extraction of untrusted archives: no file outside the target folder, and limits on size and count."""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
import shutil
import stat
import tarfile
import tempfile
import unicodedata
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from distingo.errors import DataError

_CHUNK = 1 << 20
_SMALL = 16 << 20
_DAMAGED = (
    *(tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, lzma.LZMAError, EOFError, UnicodeDecodeError),
    RuntimeError,  # zipfile: an encrypted archive, or an unsupported compression method
)

_ZIP = {b"PK\x03\x04", b"PK\x05\x06"}
_OPENERS = {b"\x1f\x8b": gzip.open, b"BZ": bz2.open, b"\xfd7": lzma.open}


@dataclass(frozen=True, slots=True)
class ArchiveLimits:
    """Limits on the extracted content of an archive.

    Attributes:
        size: Maximum total size of the files in bytes.
        files: Maximum number of files.
        ratio: Maximum ratio of extracted to packed size, checked above 16 MiB.
    """

    size: int = 64 << 30
    files: int = 2_000_000
    ratio: float = 200.0


def extract_archive(archive: Path, folder: Path, limits: ArchiveLimits | None = None) -> int:
    """Extract a tar file (plain, gzip, bzip2, xz) or a ZIP file, detected by its first bytes.

    Args:
        archive: The archive.
        folder: The target folder, which must not exist; it is created atomically.
        limits: Limits on the extracted content.

    Returns:
        The number of extracted files.

    Raises:
        DataError: The archive is damaged, contains a path outside the folder, links, devices or the same name twice, or
            exceeds the limits. No extracted file is left.
        OSError: The folder can't be written.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as temporary:
        target = _Target(archive, Path(temporary) / "unpacked", limits or ArchiveLimits())
        try:
            with archive.open("rb") as file:
                head = file.read(4)
            if head in _ZIP:
                _extract_zip(archive, target)
            else:
                opener: Any = _OPENERS.get(head[:2], open)
                with opener(archive, "rb") as packed:
                    _extract_tar(_Counted(packed, target), target)
        except _DAMAGED as error:
            raise DataError(
                f"{archive}: is no archive, or damaged ({error}); fetch it again", code="damaged_file"
            ) from error
        if folder.exists():
            raise DataError(f"{folder}: exists already; move it away", code="already_exists")
        shutil.move(target.root, folder)
    return target.count


class _Target:
    """Target folder of an extraction, which counts and checks the extracted files."""

    def __init__(self, archive: Path, root: Path, limits: ArchiveLimits) -> None:
        self.archive = archive
        self.root = root
        self.count = 0
        self._limits = limits
        self._packed = max(1, archive.stat().st_size)
        self._size = 0
        self._names: set[str] = set()
        root.mkdir()

    def refuse(self, problem: str) -> DataError:
        return DataError(
            f"{self.archive}: {problem}; it is not unpacked, as no honest archive is made so", code="unsafe_archive"
        )

    def folder(self, name: str) -> None:
        self.root.joinpath(*self._parts(name)).mkdir(parents=True, exist_ok=True)

    def file(self, name: str, content: IO[bytes], *, counted: bool = False) -> None:
        parts = self._parts(name)
        key = "/".join(parts).casefold()
        if not parts or key in self._names:
            raise self.refuse(f"holds {name!r} twice")
        self._names.add(key)
        self.count += 1
        if self.count > self._limits.files:
            raise self.refuse(f"holds more than {self._limits.files:,} files")
        target = self.root.joinpath(*parts)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("xb") as file:
                while data := content.read(_CHUNK):
                    self.grow(0 if counted else len(data))
                    file.write(data)
        except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
            raise self.refuse(f"holds {name!r} as a file and as a folder") from error

    def grow(self, size: int) -> None:
        self._size += size
        if self._size > self._limits.size:
            raise self.refuse(f"holds more than {self._limits.size:,} bytes")
        if self._size > max(_SMALL, self._limits.ratio * self._packed):
            raise self.refuse(f"grows to more than {self._limits.ratio:g} times its size")

    def _parts(self, name: str) -> list[str]:
        parts = [part for part in re.split(r"[/\\]", unicodedata.normalize("NFC", name)) if part not in {"", "."}]
        outside = name.startswith(("/", "\\")) or re.match(r"[A-Za-z]:", name) or ".." in parts
        if outside or any(ord(letter) < 32 for letter in name):
            raise self.refuse(f"names {name[:200]!r}, a place outside its folder")
        return parts


def _extract_zip(archive: Path, target: _Target) -> None:
    with zipfile.ZipFile(archive) as unpacked:
        for member in unpacked.infolist():
            kind = stat.S_IFMT(member.external_attr >> 16)
            if kind not in {0, stat.S_IFREG, stat.S_IFDIR}:
                raise target.refuse(f"holds a link or a device ({member.filename!r})")
            if member.flag_bits & 1:
                raise DataError(f"{archive}: is encrypted; unpack it by hand", code="unsafe_archive")
            if member.is_dir():
                target.folder(member.filename)
                continue
            with unpacked.open(member) as content:
                target.file(member.filename, content)


def _extract_tar(stream: Any, target: _Target) -> None:
    """Extract from a stream, without seeking, so that every byte is counted before it is interpreted."""
    with tarfile.open(fileobj=stream, mode="r|") as unpacked:
        for member in unpacked:
            if member.isdir():
                target.folder(member.name)
            elif member.isreg():
                content = unpacked.extractfile(member)
                assert content is not None
                target.file(member.name, content, counted=True)
            else:
                raise target.refuse(f"holds a link or a device ({member.name!r})")


class _Counted:
    """A decompressed stream that counts every byte, including names and padding."""

    def __init__(self, stream: IO[bytes], target: _Target) -> None:
        self._stream = stream
        self._target = target

    def read(self, size: int) -> bytes:
        data = self._stream.read(size)
        self._target.grow(len(data))
        return data
