"""Archives that cannot write outside their folder, nor fill the disk."""

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
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from distingo.errors import DataError

_CHUNK = 1 << 20
_SMALL = 16 << 20
_DAMAGED = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError)
"""The last is zipfile's word for an archive that is encrypted or packed in a way it doesn't know."""

_ZIP = {b"PK\x03\x04", b"PK\x05\x06"}
_OPENERS = {b"\x1f\x8b": gzip.open, b"BZ": bz2.open, b"\xfd7": lzma.open}


@dataclass(frozen=True, slots=True)
class ArchiveLimits:
    """How much an archive may grow.

    Attributes:
        size: Bytes of all its files together.
        files: How many.
        ratio: How many bytes each of its own may become, on average, once there are 16 MiB.
    """

    size: int = 64 << 30
    files: int = 2_000_000
    ratio: float = 200.0


def extract_archive(archive: Path, folder: Path, limits: ArchiveLimits | None = None) -> int:
    """Unpack a tar file (plain, gzip, bzip2, xz) or a ZIP file; what it is, its first bytes say.

    Args:
        archive: The file.
        folder: Where to; must not exist. It appears whole or not at all.
        limits: How much it may grow.

    Returns:
        How many files it holds.

    Raises:
        DataError: It is damaged, names a place outside the folder, holds links or devices, the same name twice, or
            grows beyond the limits. Nothing of it is left.
        OSError: The folder can't be written.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as temporary:
        place = _Place(archive, Path(temporary) / "unpacked", limits or ArchiveLimits())
        try:
            if _head(archive, 4) in _ZIP:
                _extract_zip(archive, place)
            else:
                _extract_tar(archive, place)
        except _DAMAGED as error:
            raise DataError(
                f"{archive}: is no archive, or damaged ({error}); fetch it again", code="damaged_file"
            ) from error
        except (gzip.BadGzipFile, UnicodeDecodeError) as error:
            raise DataError(f"{archive}: is damaged ({error}); fetch it again", code="damaged_file") from error
        if folder.exists():
            raise DataError(f"{folder}: exists already; move it away", code="already_exists")
        shutil.move(place.root, folder)
    return place.count


class _Place:
    """The folder that an archive is unpacked into, and what has come into it."""

    def __init__(self, archive: Path, root: Path, limits: ArchiveLimits) -> None:
        self.archive = archive
        self.root = root
        self.count = 0
        self._limits = limits
        self._packed = max(1, archive.stat().st_size)
        self._size = 0
        self._names: set[str] = set()
        root.mkdir()

    def refuse(self, why: str) -> DataError:
        return DataError(
            f"{self.archive}: {why}; it is not unpacked, as no honest archive is made so", code="unsafe_archive"
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


def _extract_zip(archive: Path, place: _Place) -> None:
    with zipfile.ZipFile(archive) as unpacked:
        for member in unpacked.infolist():
            kind = stat.S_IFMT(member.external_attr >> 16)
            if kind not in {0, stat.S_IFREG, stat.S_IFDIR}:
                raise place.refuse(f"holds a link or a device ({member.filename!r})")
            if member.flag_bits & 1:
                raise DataError(f"{archive}: is encrypted; unpack it by hand", code="unsafe_archive")
            if member.is_dir():
                place.folder(member.filename)
                continue
            with unpacked.open(member) as content:
                place.file(member.filename, content)


def _extract_tar(archive: Path, place: _Place) -> None:
    # Read as a stream: nothing is sought, and what unpacks has been counted before it is understood.
    with _opened(archive) as packed:
        counted: Any = _Counted(packed, place)
        _extract_stream(counted, place)


def _extract_stream(stream: IO[bytes], place: _Place) -> None:
    with tarfile.open(fileobj=stream, mode="r|") as unpacked:
        for member in unpacked:
            if member.isdir():
                place.folder(member.name)
            elif member.isreg():
                content = unpacked.extractfile(member)
                assert content is not None
                place.file(member.name, content, counted=True)
            else:
                raise place.refuse(f"holds a link or a device ({member.name!r})")


class _Counted:
    """A decompressed stream whose every byte counts, also those of names and padding."""

    def __init__(self, stream: IO[bytes], place: _Place) -> None:
        self._stream = stream
        self._place = place

    def read(self, size: int) -> bytes:
        data = self._stream.read(size)
        self._place.grow(len(data))
        return data


@contextmanager
def _opened(archive: Path) -> Iterator[IO[bytes]]:
    opener: Any = _OPENERS.get(_head(archive, 2), open)
    with opener(archive, "rb") as stream:
        yield stream


def _head(archive: Path, size: int) -> bytes:
    with archive.open("rb") as file:
        return file.read(size)
