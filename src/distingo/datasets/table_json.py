"""JSON files to tables: maps of files to labels, lists of records, COCO and its kin."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from distingo.datasets.endings import PICTURE_ENDINGS
from distingo.datasets.known_columns import named_like_pictures
from distingo.datasets.table_values import cells_of
from distingo.datasets.tables import Table
from distingo.errors import DataError
from distingo.files import parse_json

FILE, LABEL = "file", "label"
"""The columns of a table that is made of a map."""

_ENDINGS = tuple(PICTURE_ENDINGS)
_WRAPPERS = ("data_list", "data", "annotations", "images", "samples", "labels", "items", "records", "rows")
_HOW = (
    'write {"a.jpg": "cat", ...} or [{"file_name": "a.jpg", "label": "cat"}, ...], or one such object per line (.jsonl)'
)


def read_json(path: Path, text: str, encoding: str) -> Table:
    """Read a JSON file of labels.

    Args:
        path: The file.
        text: Its content.
        encoding: In words.

    Returns:
        One row per entry. Read are ``{file: label}``, ``{file: [labels]}``, ``{file: {record}}``, ``{label: [files]}``,
        lists of records or of pairs, records in one of the usual wrappers, columns, and COCO, whose boxes become labels
        of their image.

    Raises:
        DataError: It is none of these, or damaged.
    """
    try:
        content = parse_json(text, strict=False)
    except ValueError as error:
        raise DataError(f"{path}: is no JSON ({error}); {_HOW}") from error
    form, records = _records(path, content)
    if not records:
        raise DataError(f"{path}: holds no entry; {_HOW}")
    columns = tuple(dict.fromkeys(str(name) for record in records for name in record))
    cells = tuple(cells_of(_plain(record.get(name)) for record in records) for name in columns)
    return Table(path, f"{form}, {encoding}", "entry", columns, cells, tuple(range(1, len(records) + 1)))


def _records(path: Path, content: Any) -> tuple[str, Sequence[Mapping[str, Any]]]:
    if isinstance(content, list):
        return _of_list(path, content)
    if isinstance(content, dict):
        if _is_coco(content):
            return "COCO", _of_coco(path, content)
        if _are_columns(content):
            return "JSON, columns", _of_columns(content)
        wrapper = next((name for name in _WRAPPERS if isinstance(content.get(name), list | dict)), None)
        if wrapper is not None and not any(_is_image(name) for name in content):
            form, records = _records(path, content[wrapper])
            return form, _with_class_names(records, content)
        return _of_map(path, content)
    raise DataError(f"{path}: is JSON, but no table of labels; {_HOW}")


def _of_list(path: Path, content: list[Any]) -> tuple[str, Sequence[Mapping[str, Any]]]:
    if all(isinstance(entry, dict) for entry in content):
        return "JSON, a list of records", content
    if all(isinstance(entry, list) and len(entry) == 2 and isinstance(entry[0], str) for entry in content):
        return "JSON, a list of files and labels", [{FILE: name, LABEL: label} for name, label in content]
    raise DataError(f"{path}: is a JSON list, but neither of records nor of pairs; {_HOW}")


def _of_map(path: Path, content: dict[str, Any]) -> tuple[str, Sequence[Mapping[str, Any]]]:
    values = list(content.values())
    if values and all(isinstance(value, dict) for value in values):
        return "JSON, a record for each file", [{FILE: name, **value} for name, value in content.items()]
    lists = bool(values) and all(isinstance(value, list) for value in values)
    if (
        lists
        and not any(_is_image(name) for name in content)
        and any(_is_image(item) for each in values for item in each)
    ):
        labels: dict[str, list[str]] = defaultdict(list)
        for label, files in content.items():
            for file in files:
                labels[str(file)].append(label)
        several = any(len(each) > 1 for each in labels.values())
        return "JSON, files by label", [
            {FILE: file, LABEL: each if several else each[0]} for file, each in labels.items()
        ]
    if lists and all(not isinstance(item, dict | list) for each in values for item in each):
        return "JSON, labels by file", [{FILE: name, LABEL: value} for name, value in content.items()]
    if all(not isinstance(value, dict | list) for value in values):
        return "JSON, a label for each file", [{FILE: name, LABEL: value} for name, value in content.items()]
    raise DataError(f"{path}: is JSON, but no table of labels; {_HOW}")


def _are_columns(content: dict[str, Any]) -> bool:
    """Whether it holds columns: lists of one length, or as pandas writes them, by the number of the row."""
    if not named_like_pictures(list(content)) or not all(isinstance(value, list | dict) for value in content.values()):
        return False
    if len({type(value) for value in content.values()}) > 1 or len(content) < 2:
        return False
    return len({tuple(value) if isinstance(value, dict) else len(value) for value in content.values()}) == 1


def _of_columns(content: dict[str, Any]) -> list[dict[str, Any]]:
    columns = [list(value.values()) if isinstance(value, dict) else value for value in content.values()]
    return [dict(zip(content, row, strict=True)) for row in zip(*columns, strict=True)]


def _is_coco(content: dict[str, Any]) -> bool:
    return (
        isinstance(content.get("images"), list)
        and isinstance(content.get("annotations"), list)
        and all(isinstance(image, dict) and "file_name" in image for image in content["images"])
        and all(isinstance(each, dict) and "image_id" in each for each in content["annotations"])
    )


def _of_coco(path: Path, content: dict[str, Any]) -> list[dict[str, Any]]:
    try:
        names = {each["id"]: str(each["name"]) for each in content.get("categories", ())}
        found: dict[Any, set[str]] = defaultdict(set)
        for each in content["annotations"]:
            category = each["category_id"]
            found[each["image_id"]].add(names.get(category, str(category)))
        ids = [image["id"] for image in content["images"]]
    except (KeyError, TypeError) as error:
        raise DataError(f"{path}: is no complete COCO file ({error} is missing or odd); {_HOW}") from error
    several = any(len(found[each]) != 1 for each in ids)
    return [
        {"file_name": image["file_name"], LABEL: sorted(found[each]) if several else next(iter(found[each]))}
        for image, each in zip(content["images"], ids, strict=True)
    ]


def _with_class_names(records: Sequence[Mapping[str, Any]], content: dict[str, Any]) -> list[Mapping[str, Any]]:
    """Names instead of the numbers of classes, where the file lists them (OpenMMLab's ``metainfo``)."""
    about = content.get("metainfo", content)
    names = about.get("classes", about.get("CLASSES")) if isinstance(about, dict) else None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return list(records)

    def named(value: Any) -> Any:
        if isinstance(value, list):
            return [named(item) for item in value]
        whole = isinstance(value, int) and not isinstance(value, bool)
        return names[value] if whole and 0 <= value < len(names) else value

    labels = {"gt_label", "label", "labels", "target", "category_id", "class_id"}
    return [
        {
            LABEL if name == "gt_label" else name: named(value) if name in labels else value
            for name, value in each.items()
        }
        for each in records
    ]


def _plain(value: Any) -> Any:
    """A value as a cell holds it; what is nested deeper is no label."""
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
        return json.dumps(value, ensure_ascii=False)
    return value


def _is_image(name: Any) -> bool:
    return isinstance(name, str) and name.lower().endswith(_ENDINGS)
