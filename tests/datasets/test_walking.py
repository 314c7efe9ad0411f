"""Every file once, links followed, circles broken."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from distingo.datasets.walking import display_name, walk


def found(root: Path) -> dict[str, str]:
    files = list(walk(root))
    names = [display_name(file.parts) for file in files]
    assert len(set(names)) == len(names)
    return dict(zip(names, (file.ignored for file in files), strict=True))


def touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")


def test_every_file_once_with_hidden_ones_marked(tmp_path: Path) -> None:
    for name in ("a/b/c.png", "a/.DS_Store", "a/Thumbs.db", "ü/図.JPG", ".git/config", "__MACOSX/a/._c.png", "d.txt"):
        touch(tmp_path / name)
    assert found(tmp_path) == {
        ".git/config": "in a hidden folder",
        "__MACOSX/a/._c.png": "in a hidden folder",
        "a/.DS_Store": "a hidden file",
        "a/Thumbs.db": "a hidden file",
        "a/b/c.png": "",
        "d.txt": "",
        "ü/図.JPG": "",
    }


def test_links_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    root, other = tmp_path / "root", tmp_path / "other"
    touch(root / "a" / "1.png")
    touch(other / "2.png")
    (root / "linked").symlink_to(other)
    (root / "a" / "file").symlink_to(other / "2.png")
    (root / "a" / "up").symlink_to(root)
    (other / "itself").symlink_to(other)
    (root / "a" / "dead").symlink_to(tmp_path / "nowhere")
    (root / "a" / "knot").symlink_to(root / "a" / "knot")
    assert found(root) == {
        "a/1.png": "",
        "a/dead": "a link that leads nowhere",
        "a/file": "",
        "a/knot": "a link that leads nowhere",
        "a/up": "a link that leads back to a folder above it",
        "linked/2.png": "",
        "linked/itself": "a link that leads back to a folder above it",
    }


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert found(tmp_path) == {"pipe": "not a regular file"}


def test_a_folder_that_cannot_be_opened_is_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path / "open" / "1.png")
    touch(tmp_path / "shut" / "2.png")
    scandir = os.scandir

    def refuse(folder: Path) -> object:
        if Path(folder).name == "shut":
            raise PermissionError(13, "Permission denied")
        return scandir(folder)

    monkeypatch.setattr("distingo.datasets.walking.os.scandir", refuse)
    assert found(tmp_path) == {"open/1.png": "", "shut": "a folder that can't be opened (Permission denied)"}


def test_names_that_are_no_utf8_are_written_in_hexadecimal() -> None:
    assert display_name(("a", os.fsdecode(b"caf\xe9.png"))) == "a/caf\\xe9.png"
