"""Every file once, links followed, circles broken."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from distingo.datasets.layouts.detection import find_layout
from distingo.datasets.walking import display_name, walk
from distingo.messages.notes import note


def found(root: Path) -> dict[str, str]:
    files = list(walk(root))
    names = [display_name(file.parts) for file in files]
    assert len(set(names)) == len(names)
    return dict(zip(names, (str(file.ignored or "") for file in files), strict=True))


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


@pytest.fixture
def deep(tmp_path: Path) -> Iterator[Path]:
    """A folder that is removed by what does not mind how deep it is."""
    yield tmp_path
    subprocess.run(["rm", "-rf", *map(str, tmp_path.iterdir())], check=True)


def test_folders_may_be_nested_deeper_than_functions(deep: Path) -> None:
    here = os.open(deep, os.O_RDONLY)
    try:
        for _ in range(1500):
            os.mkdir("d", dir_fd=here)
            below = os.open("d", os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = below
        os.close(os.open("1.png", os.O_CREAT | os.O_WRONLY, dir_fd=here))
    finally:
        os.close(here)
    assert [(len(file.parts), file.parts[-1]) for file in walk(deep)] == [(1501, "1.png")]


def test_a_folder_whose_path_is_too_long_is_listed(deep: Path) -> None:
    touch(deep / "a" / "1.png")
    here = os.open(deep, os.O_RDONLY)
    try:
        for _ in range(20):
            os.mkdir("n" * 250, dir_fd=here)
            below = os.open("n" * 250, os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = below
        os.close(os.open("2.png", os.O_CREAT | os.O_WRONLY, dir_fd=here))
    finally:
        os.close(here)
    files = list(walk(deep))
    assert [(file.parts[-1], file.is_unopened) for file in files] == [("1.png", False), ("n" * 250, True)]
    assert files[1].ignored == note("unopened-folder", error="File name too long")


_AS_NOBODY = """
import json, os, sys
from pathlib import Path
root = Path(sys.argv[1])
import distingo.datasets.layouts.detection as layouts
if os.getuid() == 0:
    os.setgid(65534), os.setuid(65534)
layout = layouts.find_layout(root)
ignored = [[row.file, str(row.reason)] for row in layout.ignored]
print(json.dumps([layout.classes, ignored, list(map(str, layout.notes))]))
"""


def test_a_folder_that_nobody_may_open_is_a_row_and_a_note() -> None:
    with tempfile.TemporaryDirectory() as place:  # where another user may look, unlike in tmp_path
        Path(place).chmod(0o755)
        root = Path(place) / "data"
        for name in ("a/1.png", "b/2.png", "c/3.png", "b/deep/4.png"):
            touch(root / name)
        for name in ("c", "b/deep"):
            (root / name).chmod(0)
        try:
            command = [sys.executable, "-c", _AS_NOBODY, str(root)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
        finally:
            for name in ("c", "b/deep"):
                (root / name).chmod(0o755)
    assert json.loads(done.stdout) == [
        ["a", "b"],
        [
            ["b/deep", "a folder that can't be opened (Permission denied)"],
            ["c", "a folder that can't be opened (Permission denied)"],
        ],
        ["2 folders can't be opened, and no file in there is known: b/deep, c"],
    ]


def test_a_folder_that_vanishes_is_listed(tmp_path: Path) -> None:
    touch(tmp_path / "a" / "1.png")
    touch(tmp_path / "b" / "2.png")
    files = walk(tmp_path)
    first = next(files)
    (tmp_path / "b" / "2.png").unlink()
    (tmp_path / "b").rmdir()
    assert [(file.parts, file.ignored) for file in (first, *files)] == [
        (("a", "1.png"), None),
        (("b",), note("unopened-folder", error="No such file or directory")),
    ]


def test_a_folder_whose_name_is_no_utf8_is_walked(tmp_path: Path) -> None:
    touch(tmp_path / "a" / "1.png")
    touch(tmp_path / os.fsdecode(b"caf\xe9") / "2.png")
    layout = find_layout(tmp_path)
    assert [each.source.file for each in layout.candidates] == ["a/1.png", "caf\\xe9/2.png"]
    assert layout.classes == ("a", "caf\\xe9")
