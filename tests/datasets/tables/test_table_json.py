"""JSON files of labels in the forms that people keep them in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from distingo.datasets.tables.reading import read_labels_table
from distingo.errors import DataError, ErrorCode
from raising import raises

COCO = {
    "info": {},
    "images": [{"id": 7, "file_name": "a.jpg"}, {"id": 8, "file_name": "b.jpg"}],
    "categories": [{"id": 1, "name": "cat"}, {"id": 3, "name": "dog"}],
    "annotations": [
        {"id": 1, "image_id": 7, "category_id": 3},
        {"id": 2, "image_id": 7, "category_id": 3},
        {"id": 3, "image_id": 8, "category_id": 1},
    ],
}
FORMS: dict[str, tuple[Any, dict[str, Any]]] = {
    "JSON, a label for each file": (
        {"a.jpg": "cat", "b.jpg": 1},
        {"file": ("a.jpg", "b.jpg"), "label": ("cat", "1")},
    ),
    "JSON, labels by file": (
        {"a.jpg": ["x", "y"], "b.jpg": []},
        {"file": ("a.jpg", "b.jpg"), "label": (("x", "y"), ())},
    ),
    "JSON, a record for each file": (
        {"a.jpg": {"label": "cat", "n": 2.0}, "b.jpg": {"label": "dog"}},
        {"file": ("a.jpg", "b.jpg"), "label": ("cat", "dog"), "n": ("2", "")},
    ),
    "JSON, files by label": (
        {"cat": ["a.jpg"], "dog": ["b.jpg", "c.jpg"]},
        {"file": ("a.jpg", "b.jpg", "c.jpg"), "label": ("cat", "dog", "dog")},
    ),
    "JSON, a list of records": (
        [{"file_name": "a.jpg", "label": "cat"}, {"file_name": "b.jpg", "label": None}],
        {"file_name": ("a.jpg", "b.jpg"), "label": ("cat", "")},
    ),
    "JSON, a list of files and labels": (
        {"labels": [["a.jpg", 0], ["b.jpg", 1]]},
        {"file": ("a.jpg", "b.jpg"), "label": ("0", "1")},
    ),
    "JSON, columns": (
        {"file": {"0": "a.jpg", "1": "b.jpg"}, "label": {"0": "cat", "1": "dog"}},
        {"file": ("a.jpg", "b.jpg"), "label": ("cat", "dog")},
    ),
    "COCO": (COCO, {"file_name": ("a.jpg", "b.jpg"), "label": ("dog", "cat")}),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_form_is_read(tmp_path: Path, form: str) -> None:
    content, columns = FORMS[form]
    (tmp_path / "labels.json").write_text(json.dumps(content, indent=1), encoding="utf-8")
    table = read_labels_table(tmp_path / "labels.json")
    assert dict(zip(table.columns, table.cells, strict=True)) == columns
    assert (table.form, table.unit, table.lines[0]) == (f"{form}, UTF-8", "entry", 1)


def test_boxes_of_several_categories_are_several_labels(tmp_path: Path) -> None:
    more = {**COCO, "annotations": [*COCO["annotations"], {"id": 4, "image_id": 7, "category_id": 1}]}
    (tmp_path / "a.json").write_text(json.dumps(more), encoding="utf-8")
    assert read_labels_table(tmp_path / "a.json").column("label") == (("cat", "dog"), ("cat",))


def test_numbers_of_classes_get_the_names_in_the_file(tmp_path: Path) -> None:
    content = {
        "metainfo": {"classes": ["cat", "dog"]},
        "data_list": [{"img_path": "a.jpg", "gt_label": 1}, {"img_path": "b.jpg", "gt_label": [0, 1]}],
    }
    (tmp_path / "a.json").write_text(json.dumps(content), encoding="utf-8")
    table = read_labels_table(tmp_path / "a.json")
    assert dict(zip(table.columns, table.cells, strict=True)) == {
        "img_path": ("a.jpg", "b.jpg"),
        "label": ("dog", ("cat", "dog")),
    }


def test_lines_of_json_may_end_in_json(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"file": "a.jpg", "label": 1}\n{"file": "b.jpg", "label": 2}\n', encoding="utf-8")
    table = read_labels_table(tmp_path / "a.json")
    assert (table.form, table.column("label")) == ("JSON Lines, UTF-8", ("1", "2"))


@pytest.mark.parametrize(
    "content, code",
    [
        ("3", "wrong_format"),
        ("[]", "empty_file"),
        ("{}", "empty_file"),
        ("[1, 2]", "wrong_format"),
        ('{"a.jpg": ', "damaged_file"),
        ('{"a.jpg": {"x": 1}, "b.jpg": 3}', "wrong_format"),
        ('"text"', "wrong_format"),
    ],
)
def test_other_json_is_refused_with_what_helps(tmp_path: Path, content: str, code: ErrorCode) -> None:
    (tmp_path / "a.json").write_text(content, encoding="utf-8")
    with raises(DataError, code=code) as caught:
        read_labels_table(tmp_path / "a.json")
    assert "\n" not in str(caught.value)
