"""Folders whose labels are in a workbook, a JSON file or a list."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from distingo.datasets.layouts.detection import find_layout
from distingo.datasets.tables.table import TableOptions
from distingo.errors import DataError
from raising import raises


@pytest.fixture
def flat(tmp_path: Path) -> Path:
    (tmp_path / "img").mkdir()
    for at in range(4):
        (tmp_path / "img" / f"{at}.png").write_bytes(b"x")
    (tmp_path / "README.txt").write_text("Some images,\nand what they show\n", encoding="utf-8")
    (tmp_path / "config.json").write_text('{"a": 1}', encoding="utf-8")
    return tmp_path


def write_json(folder: Path) -> str:
    (folder / "labels.json").write_text(json.dumps({f"img/{at}.png": "ab"[at % 2] for at in range(4)}), "utf-8")
    return "labels.json, one label per row"


def write_list(folder: Path) -> str:
    (folder / "train.txt").write_text("".join(f"img/{at}.png {'ab'[at % 2]}\n" for at in range(4)), "utf-8")
    return "train.txt, one label per row"


def write_workbook(folder: Path) -> str:
    from openpyxl import Workbook

    book = Workbook()
    for row in [("picture", "label"), *((at, "ab"[at % 2]) for at in range(4))]:
        book.active.append(row)
    book.save(folder / "labels.xlsx")
    return "labels.xlsx, one label per row"


@pytest.mark.parametrize("write", [write_json, write_list, write_workbook])
def test_a_folder_with_another_kind_of_table_is_read(flat: Path, write: Callable[[Path], str]) -> None:
    name = write(flat)
    layout = find_layout(flat)
    assert str(layout.name) == name
    assert [candidate.labels for candidate in layout.candidates] == [("a",), ("b",), ("a",), ("b",)]
    assert {row.file for row in layout.ignored} == {"README.txt", "config.json", name.partition(",")[0]}


def test_several_such_tables_are_asked_about(flat: Path) -> None:
    write_json(flat)
    write_list(flat)
    with raises(DataError, code="ambiguous_table", naming=("labels.json", "train.txt")):
        find_layout(flat)
    assert find_layout(flat / "train.txt").classes == ("a", "b")
    (flat / "train.csv").write_text("file,label\nimg/0.png,x\nimg/1.png,y\n", encoding="utf-8")
    assert find_layout(flat).classes == ("x", "y")


def test_a_table_counts_where_its_images_are_in_no_class_folder(flat: Path) -> None:
    write_json(flat)
    (flat / "more").mkdir()
    (flat / "more" / "4.png").write_bytes(b"x")
    assert find_layout(flat).classes == ("a", "b")
    assert find_layout(flat, TableOptions(labels_from="folders")).classes == ("img", "more")


def test_class_folders_do_without(class_folders: Callable[..., Path]) -> None:
    root = class_folders({"cat": 4, "dog": 4})
    (root / "labels.json").write_text(json.dumps({"cat/000.png": "x", "cat/001.png": "y"}), encoding="utf-8")
    assert find_layout(root).classes == ("cat", "dog")
    assert find_layout(root, TableOptions(label_column="label")).classes == ("x", "y")


def test_a_sheet_that_is_not_read_is_named(flat: Path) -> None:
    (flat / "labels.ods").write_bytes(b"PK")
    with raises(DataError, code="wrong_format"):
        find_layout(flat)
