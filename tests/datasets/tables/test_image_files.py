"""What a name in a table may mean."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distingo.datasets.tables.image_files import (
    ImageFinder,
    is_absolute,
    is_web_address,
    leads_outside,
    other_readings,
    path_of,
)
from distingo.datasets.walking import walk

FILES = ("a.jpg", "Images/b.jpg", "Images/sub/c.d.png", "x/1.png", "y/1.png", "e.jpg", "e.txt", "Ünder.png", "f.jpg")
FILES = (*FILES, "f.png")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in FILES:
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / name).write_bytes(b"x")
    return tmp_path / "data"


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("a.jpg", ["a.jpg"]),
        (" ./a ", ["a.jpg"]),
        ("b", ["Images/b.jpg"]),
        ("Images/b", ["Images/b.jpg"]),
        ("Images\\b.jpg", ["Images/b.jpg"]),
        ("c.d", ["Images/sub/c.d.png"]),
        ("c.d.png", ["Images/sub/c.d.png"]),
        ("sub/c.d.png", []),
        ("y/a.jpg", []),
        ("Images/1.png", []),
        ("Images/../x/./1.png", ["x/1.png"]),
        ("x%2F1.png", ["x/1.png"]),
        ("'x/1.png'", ["x/1.png"]),
        ("IMAGES/B.JPG", ["Images/b.jpg"]),
        ("1.png", ["x/1.png", "y/1.png"]),
        ("x/1", ["x/1.png"]),
        ("e", ["e.jpg"]),
        ("e.txt", ["e.txt"]),
        ("f", ["f.jpg", "f.png"]),
        (unicodedata.normalize("NFD", "Ünder"), ["Ünder.png"]),
        ("/elsewhere/data/Images/b.jpg", []),
        ("C:\\pictures\\b.jpg", []),
        ("../Images/b.jpg", []),
        ("gone.jpg", []),
        ("", []),
    ],
)
def test_a_name_is_found(root: Path, name: str, found: list[str]) -> None:
    images = ImageFinder(root, walk(root))
    assert sorted("/".join(file.parts) for file in images.find(name)) == found


def test_absolute_names_are_taken_as_they_are(root: Path, tmp_path: Path) -> None:
    (tmp_path / "outside.png").write_bytes(b"x")
    images = ImageFinder(root, walk(root))
    assert [file.parts for file in images.find(str(root / "y" / "1.png"))] == [("y", "1.png")]
    (outside,) = images.find(str(tmp_path / "outside.png"))
    assert outside.path == tmp_path / "outside.png"
    (outside,) = images.find("../outside.png")
    assert outside.path.resolve() == tmp_path / "outside.png"


def test_an_image_folder_narrows_the_search(root: Path) -> None:
    images = ImageFinder(root, walk(root), below=("x",))
    assert [file.parts for file in images.find("1")] == [("x", "1.png")]
    assert [file.parts for file in images.find("x/1.png")] == [("x", "1.png")]
    assert images.find("a.jpg") == []


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("a.jpg", "a.jpg"),
        (" ./a.jpg ", "a.jpg"),
        (".\\x\\a.jpg", "x/a.jpg"),
        ("x//y/./a.jpg", "x/y/a.jpg"),
        ("x/../a.jpg", "a.jpg"),
        ("../x/a.jpg", "../x/a.jpg"),
        ("C:\\Users\\me\\a.jpg", "C:/Users/me/a.jpg"),
        ("\\\\server\\share\\a.jpg", "//server/share/a.jpg"),
        ("file:///home/me/my%20photo.jpg", "/home/me/my photo.jpg"),
        ("file://localhost/home/a.jpg", "/home/a.jpg"),
        ("file:///C:/Users/me/a%20b.jpg", "C:/Users/me/a b.jpg"),
        ("file:x/a.jpg", "x/a.jpg"),
        ("my%20photo.jpg", "my%20photo.jpg"),
        (unicodedata.normalize("NFD", "Ünder.png"), "Ünder.png"),
        ("...jpg", "...jpg"),
        (".", ""),
        ("", ""),
    ],
)
def test_a_name_becomes_a_path(name: str, path: str) -> None:
    assert path_of(name) == path


def test_other_readings_are_tried_in_order() -> None:
    assert other_readings("a.jpg") == ()
    assert other_readings("my%20photo.jpg") == ("my photo.jpg",)
    assert other_readings("x\\my%20photo.jpg") == ("x\\my%20photo.jpg", "x/my photo.jpg")
    assert other_readings("100%.jpg") == ()
    assert other_readings("'x\\a.jpg'") == ("'x\\a.jpg'", "x/a.jpg")


def test_where_a_path_begins_is_known() -> None:
    assert [is_absolute(path) for path in ("/a", "//s/a", "C:/a", "C:a", "../a", "a")] == [True] * 3 + [False] * 3
    assert [leads_outside(path) for path in ("/a", "C:/a", "../a", "..a", "a/b")] == [True] * 3 + [False] * 2
    assert is_web_address(" HTTPS://x/a.jpg") and not is_web_address("http.jpg")


@given(st.lists(st.text("ab. %", min_size=1).filter(lambda part: part.strip() not in {".", "..", ""}), min_size=1))
def test_a_plain_path_stays_as_it_is(parts: list[str]) -> None:
    path = "/".join(parts).strip()
    assert path_of(path) == path
    assert path_of("./" + path.replace("/", "\\")) == path
