from __future__ import annotations

import io
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from distingo.download.archives import ArchiveLimits, extract_archive
from distingo.errors import DataError
from raising import raises

FILES = {"set/a/1.jpg": b"one", "set/ä/2.jpg": b"two", "readme.txt": b"three"}


def tar(path: Path, files: dict[str, bytes], mode: str = "w:gz", **changes: object) -> Path:
    with tarfile.open(path, mode) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            for key, value in changes.items():
                setattr(member, key, value)
            archive.addfile(member, io.BytesIO(content))
    return path


def zipped(path: Path, files: dict[str, bytes], kind: int = 0) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            member = zipfile.ZipInfo(name)
            member.compress_type = zipfile.ZIP_DEFLATED
            member.external_attr = (kind | 0o644) << 16
            archive.writestr(member, content)
    return path


def make(tmp_path: Path, kind: str, files: dict[str, bytes]) -> Path:
    if kind == "zip":
        return zipped(tmp_path / "x.zip", files)
    return tar(tmp_path / f"x.tar.{kind}", files, f"w:{kind}")


def read(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def left(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in tmp_path.iterdir() if not path.name.startswith("x."))


@pytest.mark.parametrize("kind", ["", "gz", "bz2", "xz", "zip"])
def test_archives_unpack_whatever_they_are_called(tmp_path: Path, kind: str) -> None:
    archive = make(tmp_path, kind, FILES).rename(tmp_path / "x.whatever")
    assert extract_archive(archive, tmp_path / "out") == 3
    assert read(tmp_path / "out") == FILES
    assert left(tmp_path) == ["out"]


@pytest.mark.parametrize("kind", ["gz", "zip"])
@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/etc/evil", "C:\\evil", "..\\evil", "a\nb"])
def test_nothing_is_written_outside_the_folder(tmp_path: Path, kind: str, name: str) -> None:
    (tmp_path / "sub").mkdir()
    archive = make(tmp_path, kind, {"good": b"1", name: b"2"})
    with raises(DataError, code="unsafe_archive"):
        extract_archive(archive, tmp_path / "sub" / "out")
    assert left(tmp_path) == ["sub"]
    assert list((tmp_path / "sub").iterdir()) == []


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_tar_files_are_refused(tmp_path: Path, kind: bytes) -> None:
    archive = tar(tmp_path / "x.tar", {"inside": b""}, "w", type=kind, linkname="/etc/passwd")
    with raises(DataError, code="unsafe_archive"):
        extract_archive(archive, tmp_path / "out")
    assert left(tmp_path) == []


def test_links_in_zip_files_are_refused(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "x.zip", {"inside": b"/etc/passwd"}, stat.S_IFLNK)
    with raises(DataError, code="unsafe_archive"):
        extract_archive(archive, tmp_path / "out")


@pytest.mark.parametrize("kind", ["gz", "bz2", "xz", "zip"])
def test_bombs_are_stopped_while_they_grow(tmp_path: Path, kind: str) -> None:
    archive = make(tmp_path, kind, {"bomb": bytes(40 << 20)})
    with raises(DataError, code="unsafe_archive"):
        extract_archive(archive, tmp_path / "out")
    assert left(tmp_path) == []


@pytest.mark.parametrize("kind", ["gz", "zip"])
def test_size_and_count_are_limited(tmp_path: Path, kind: str) -> None:
    archive = make(tmp_path, kind, {str(number): bytes(9000) for number in range(5)})
    with raises(DataError, code="unsafe_archive"):
        extract_archive(archive, tmp_path / "out", ArchiveLimits(size=30_000))
    with raises(DataError, code="unsafe_archive"):
        extract_archive(archive, tmp_path / "out", ArchiveLimits(files=4))
    assert left(tmp_path) == []


@pytest.mark.parametrize("kind", ["gz", "zip"])
def test_the_same_name_twice_is_refused(tmp_path: Path, kind: str) -> None:
    archive = make(tmp_path, kind, {"a/b": b"1", "A/./B": b"2"})
    with raises(DataError, code="unsafe_archive"):
        extract_archive(archive, tmp_path / "out")
    archive = make(tmp_path, kind, {"a": b"1", "a/b": b"2"})
    with raises(DataError, code="unsafe_archive"):
        extract_archive(archive, tmp_path / "out")


@pytest.mark.parametrize("kind", ["gz", "bz2", "xz", "zip"])
def test_damaged_archives_leave_nothing(tmp_path: Path, kind: str) -> None:
    import random

    archive = make(tmp_path, kind, {str(number): random.Random(number).randbytes(50_000) for number in range(4)})
    archive.write_bytes(archive.read_bytes()[:120_000])
    with raises(DataError, code="damaged_file"):
        extract_archive(archive, tmp_path / "out")
    (tmp_path / "x.txt").write_text("no archive at all")
    with raises(DataError, code="damaged_file"):
        extract_archive(tmp_path / "x.txt", tmp_path / "out")
    assert left(tmp_path) == []


def test_a_locked_zip_file_is_told(tmp_path: Path) -> None:
    archive = tmp_path / "locked.zip"
    with zipfile.ZipFile(archive, "w") as written:
        written.writestr("a.txt", "secret")
    content = bytearray(archive.read_bytes())
    for signature, flag in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + flag] |= 1  # encrypted
    archive.write_bytes(content)
    with raises(DataError, code="unsafe_archive", naming="locked.zip"):
        extract_archive(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()
