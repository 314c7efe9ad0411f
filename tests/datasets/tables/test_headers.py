"""Tables with and without a line of names, and lists of paths and labels."""

from __future__ import annotations

from pathlib import Path

import pytest

from distingo.datasets.tables.columns import with_first_row
from distingo.datasets.tables.headers import has_names
from distingo.datasets.tables.image_files import ImageFinder
from distingo.datasets.tables.reading import is_list, read_labels_table
from distingo.datasets.walking import FoundFile
from distingo.errors import DataError
from raising import raises


def rows(text: str) -> list[list[str]]:
    return [line.split(",") for line in text.splitlines()]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("file,label\n1.png,cat\n2.png,dog", True),
        ("1.png,cat\n2.png,dog", False),
        ("IMG/1.JPEG,cat\n2.png,dog", False),
        ("tt01,Drama\ntt02,War\ntt03,Drama", False),  # a label occurs again
        ("tt01,Horror\ntt02,War\ntt03,Drama", True),  # nothing tells
        ("poster,mood\ntt01,Drama\ntt02,War", True),
        ("5,0\n6,1\n7,0", False),
        ("0,1\n1.png,cat\n2.png,dog", True),  # pandas without names
        ("0,1,2\n5,1,0\n6,0,1", True),
        (",Id\n0,a\n1,b", True),
        ("where,what\na,x\nwhere,what\nb,y", True),  # two tables, one after the other
        ("a,b", True),
    ],
)
def test_a_line_of_names_is_recognized(text: str, names: bool) -> None:
    assert has_names(rows(text)) is names


def test_a_table_without_names_keeps_its_first_row(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("img/1.png,cat\nimg/2.png,dog\n", encoding="utf-8")
    table = read_labels_table(path)
    assert table.columns == ("column 1", "column 2")
    assert table.cells == (("img/1.png", "img/2.png"), ("cat", "dog"))
    assert table.lines == (1, 2)
    assert table.form == "CSV with commas, UTF-8, without a line of names"
    table = read_labels_table(path, header=True)
    assert (table.columns, table.lines) == (("img/1.png", "cat"), (2,))
    path.write_text("file,label\n1.png,cat\n", encoding="utf-8")
    assert read_labels_table(path, header=False).cells == (("file", "1.png"), ("label", "cat"))


def test_names_of_images_tell_where_the_text_does_not(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("tt01,Horror\ntt02,War\ntt03,Drama\n", encoding="utf-8")
    files = [FoundFile((f"tt0{at}.jpg",), tmp_path / f"tt0{at}.jpg") for at in (1, 2, 3)]
    table = read_labels_table(path)
    assert with_first_row(table, ImageFinder(tmp_path, [])).columns == ("tt01", "Horror")
    table = with_first_row(table, ImageFinder(tmp_path, files))
    assert table.cells == (("tt01", "tt02", "tt03"), ("Horror", "War", "Drama"))
    assert table.lines == (1, 2, 3)
    said = read_labels_table(path, header=True)
    assert with_first_row(said, ImageFinder(tmp_path, files)) == said


LISTS = {
    "img/0.png 0\nimg/1.png 1\n": (("img/0.png", "img/1.png"), ("0", "1")),
    "my photo.jpg 3\nb.JPEG 4\n": (("my photo.jpg", "b.JPEG"), ("3", "4")),
    '"my photo.jpg" golden retriever\nb.png  cat \n': (("my photo.jpg", "b.png"), ("golden retriever", "cat")),
    "a.jpg 0,3\nb.jpg 1,2\n": (("a.jpg", "b.jpg"), ("0,3", "1,2")),
    "a.jpg 1 0 1\nb.jpg 0 0 1\n": (("a.jpg", "b.jpg"), ("1", "0"), ("0", "0"), ("1", "1")),
    "a.jpg 0 3\nb.jpg 1\n": (("a.jpg", "b.jpg"), ("0 3", "1")),
    "path label\na.jpg cat\nb.jpg dog\n": (("a.jpg", "b.jpg"), ("cat", "dog")),
    "0001 3\r\n0002 4\r\n": (("0001", "0002"), ("3", "4")),
    "a.jpg\t3\nb.jpg\t4\n": (("a.jpg", "b.jpg"), ("3", "4")),
}


@pytest.mark.parametrize("text", LISTS)
def test_a_list_is_read(tmp_path: Path, text: str) -> None:
    (tmp_path / "train.txt").write_text(text, encoding="utf-8", newline="")
    table = read_labels_table(tmp_path / "train.txt")
    assert table.cells == LISTS[text]
    assert table.lines[0] == (2 if text.startswith("path") else 1)


def test_other_texts_are_no_lists(tmp_path: Path) -> None:
    assert not is_list(["img/0 1.png,cat", "img/0 2.png,dog"], any_name=True)
    assert not is_list(['"a.png", "cat"', '"b.png", "dog"'], any_name=True)
    assert not is_list(["Some words about", "these images, taken in 2019"], any_name=True)
    assert not is_list(["0001 3", "0002 4"], any_name=False)


def test_empty_fields_at_the_end_are_no_more_fields(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("file,label\n1.png,cat,,\n2.png,dog,\n", encoding="utf-8")
    assert read_labels_table(tmp_path / "a.csv").cells == (("1.png", "2.png"), ("cat", "dog"))
    (tmp_path / "a.csv").write_text("file,label\n1.png,cat,,\n2.png,dog,x\n", encoding="utf-8")
    with raises(DataError, code="damaged_line", naming="line 3"):
        read_labels_table(tmp_path / "a.csv")
