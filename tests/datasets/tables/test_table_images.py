"""What a name in a table may mean."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from distingo.datasets.tables.image_files import ImageFinder
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
