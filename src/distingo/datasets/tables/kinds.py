"""Read labels from JSON (maps, lists of records, COCO and similar), Excel and Parquet files into tables."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from distingo.datasets.decoding.formats import IMAGE_ENDINGS
from distingo.datasets.tables.headers import column_names, named_like_images, table_of_rows
from distingo.datasets.tables.table import Table, cells_of
from distingo.errors import DataError, UsageError
from distingo.files import parse_json

FILE, LABEL = "file", "label"
"""The columns of a table that is built from a map."""

_ENDINGS = tuple(IMAGE_ENDINGS)

_WRAPPERS = ("data_list", "data", "annotations", "images", "samples", "labels", "items", "records", "rows")

_FORMATS_HINT = (
    'write {"a.jpg": "cat", ...} or [{"file_name": "a.jpg", "label": "cat"}, ...], or one such object per line (.jsonl)'
)


def read_json(path: Path, text: str, encoding: str) -> Table:
    """Read a JSON file of labels.

    Args:
        path: The file.
        text: Its content.
        encoding: Its encoding, for messages.

    Returns:
        One row per entry. Supported are ``{file: label}``, ``{file: [labels]}``, ``{file: {record}}``, ``{label:
        [files]}``, lists of records or of pairs, records in one of the common wrappers, columns, and COCO, whose boxes
        become labels of their image.

    Raises:
        DataError: It is none of these, or damaged.
    """
    try:
        content = parse_json(text, strict=False)
    except ValueError as error:
        raise DataError(f"{path}: is no JSON ({error}); {_FORMATS_HINT}", code="damaged_file") from error
    form, records = _records(path, content)
    if not records:
        raise DataError(f"{path}: holds no entry; {_FORMATS_HINT}", code="empty_file")
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
    raise DataError(f"{path}: is JSON, but no table of labels; {_FORMATS_HINT}", code="wrong_format")


def _of_list(path: Path, content: list[Any]) -> tuple[str, Sequence[Mapping[str, Any]]]:
    if all(isinstance(entry, dict) for entry in content):
        return "JSON, a list of records", content
    if all(isinstance(entry, list) and len(entry) == 2 and isinstance(entry[0], str) for entry in content):
        return "JSON, a list of files and labels", [{FILE: name, LABEL: label} for name, label in content]
    raise DataError(
        f"{path}: is a JSON list, but neither of records nor of pairs; {_FORMATS_HINT}", code="wrong_format"
    )


def _of_map(path: Path, content: dict[str, Any]) -> tuple[str, Sequence[Mapping[str, Any]]]:
    values = list(content.values())
    if values and all(isinstance(value, dict) for value in values):
        return "JSON, a record for each file", [{FILE: name, **value} for name, value in content.items()]
    all_lists = bool(values) and all(isinstance(value, list) for value in values)
    if (
        all_lists
        and not any(_is_image(name) for name in content)
        and any(_is_image(item) for each in values for item in each)
    ):
        labels: dict[str, list[str]] = defaultdict(list)
        for label, files in content.items():
            for file in files:
                labels[str(file)].append(label)
        multi_label = any(len(each) > 1 for each in labels.values())
        return "JSON, files by label", [
            {FILE: file, LABEL: each if multi_label else each[0]} for file, each in labels.items()
        ]
    if all_lists and all(not isinstance(item, dict | list) for each in values for item in each):
        return "JSON, labels by file", [{FILE: name, LABEL: value} for name, value in content.items()]
    if all(not isinstance(value, dict | list) for value in values):
        return "JSON, a label for each file", [{FILE: name, LABEL: value} for name, value in content.items()]
    raise DataError(f"{path}: is JSON, but no table of labels; {_FORMATS_HINT}", code="wrong_format")


def _are_columns(content: dict[str, Any]) -> bool:
    """Whether it holds columns: lists of the same length, or as pandas writes them, maps from the row's number."""
    if not named_like_images(list(content)) or not all(isinstance(value, list | dict) for value in content.values()):
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
        names = {item["id"]: str(item["name"]) for item in content.get("categories", ())}
        labels_by_image: dict[Any, set[str]] = defaultdict(set)
        for item in content["annotations"]:
            category = item["category_id"]
            labels_by_image[item["image_id"]].add(names.get(category, str(category)))
        ids = [image["id"] for image in content["images"]]
    except (KeyError, TypeError) as error:
        raise DataError(
            f"{path}: is no complete COCO file ({error} is missing or odd); {_FORMATS_HINT}", code="damaged_file"
        ) from error
    multi_label = any(len(labels_by_image[item]) != 1 for item in ids)
    return [
        {
            "file_name": image["file_name"],
            LABEL: sorted(labels_by_image[item]) if multi_label else next(iter(labels_by_image[item])),
        }
        for image, item in zip(content["images"], ids, strict=True)
    ]


def _with_class_names(records: Sequence[Mapping[str, Any]], content: dict[str, Any]) -> list[Mapping[str, Any]]:
    """Replace class numbers by names if the file lists them (OpenMMLab's ``metainfo``)."""
    metadata = content.get("metainfo", content)
    names = metadata.get("classes", metadata.get("CLASSES")) if isinstance(metadata, dict) else None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return list(records)

    def named(value: Any) -> Any:
        if isinstance(value, list):
            return [named(item) for item in value]
        is_index = isinstance(value, int) and not isinstance(value, bool)
        return names[value] if is_index and 0 <= value < len(names) else value

    labels = {"gt_label", "label", "labels", "target", "category_id", "class_id"}
    return [
        {
            LABEL if name == "gt_label" else name: named(value) if name in labels else value
            for name, value in each.items()
        }
        for each in records
    ]


def _plain(value: Any) -> Any:
    """A value as a cell contains it; nested values are no labels and become JSON text."""
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
        return json.dumps(value, ensure_ascii=False)
    return value


def _is_image(name: Any) -> bool:
    return isinstance(name, str) and name.lower().endswith(_ENDINGS)


EXCEL_ENDINGS = frozenset({".xlsx", ".xlsm"})


def read_excel(path: Path, *, header: bool | None = None) -> Table:
    """Read the first non-empty sheet of a workbook.

    Args:
        path: ``.xlsx`` or ``.xlsm``.
        header: As for `distingo.datasets.tables.headers.table_of_rows`.

    Returns:
        Its cells as texts; formulas as the values that Excel stored with them. A number that is displayed with leading
        zeros keeps them.

    Raises:
        DataError: It is damaged or empty.
        UsageError: openpyxl is not installed.
    """
    try:
        from openpyxl import load_workbook
    except ImportError as error:
        raise UsageError(
            f"{path}: reading Excel needs openpyxl: `pip install 'distingo[excel]'`, or save the sheet as CSV",
            code="missing_extra",
        ) from error
    try:
        book = load_workbook(path, read_only=True, data_only=True)
        sheets = {
            sheet.title: [(at, [_value(cell) for cell in row]) for at, row in enumerate(sheet.iter_rows(), 1)]
            for sheet in book.worksheets
        }
        book.close()
    except Exception as error:  # besides its own errors, openpyxl raises zipfile's and the XML parser's
        raise DataError(
            f"{path}: is no readable Excel workbook ({error}); save it again, or as CSV", code="damaged_file"
        ) from error
    filled = {
        title: [row for row in rows if any(value is not None for value in row[1])] for title, rows in sheets.items()
    }
    filled = {title: rows for title, rows in filled.items() if rows}
    if not filled:
        raise DataError(
            f"{path}: is empty; give a table with a line of column names and one row per image", code="empty_file"
        )
    title, rows = next(iter(filled.items()))
    width = max(at for _, row in rows for at, value in enumerate(row, 1) if value is not None)
    columns = [cells_of(row[at] if at < len(row) else None for _, row in rows) for at in range(width)]
    texts = [(line, [str(column[at]) for column in columns]) for at, (line, _) in enumerate(rows)]
    form = f"Excel, sheet {title!r}" + (f" of {len(filled)}" if len(filled) > 1 else "")
    return table_of_rows(path, form, "row", texts, header=header)


def _value(cell: Any) -> Any:
    value = cell.value
    if isinstance(value, int) and not isinstance(value, bool):
        number_format = cell.number_format
        if len(number_format) > 1 and set(number_format) == {"0"}:
            return str(value).zfill(len(number_format))
    return value


def read_parquet(path: Path, data: bytes) -> Table:
    """Read a Parquet file.

    Args:
        path: The file.
        data: Its content.

    Returns:
        Its columns, without those of bytes and nested values, such as embedded images. Floats of 16 and 32 bits are
        converted by their shortest representation (0.1, not 0.10000000149).

    Raises:
        DataError: It is damaged, or two columns have the same name.
    """
    import pyarrow
    from pyarrow import parquet, types

    try:
        content = parquet.read_table(pyarrow.BufferReader(data))
    except (pyarrow.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(
            f"{path}: is no readable Parquet file ({reason}); write it again", code="damaged_file"
        ) from error
    # Embedded images and other nested values are no labels.
    no_labels = (types.is_struct, types.is_map, types.is_binary, types.is_large_binary, types.is_fixed_size_binary)
    field_names = [field.name for field in content.schema if not any(is_one(field.type) for is_one in no_labels)]
    columns = column_names(path, field_names)
    cells = tuple(cells_of(_values(content.column(name))) for name in field_names)
    return Table(path, "Parquet", "row", columns, cells, tuple(range(1, content.num_rows + 1)))


def _values(column: Any) -> list[Any]:
    import pyarrow
    from pyarrow import types

    kind = column.type
    if types.is_float16(kind) or types.is_float32(kind):
        import numpy as np

        single = np.float16 if types.is_float16(kind) else np.float32
        return [None if value is None else float(str(single(value))) for value in column.to_pylist()]
    if types.is_timestamp(kind) and kind.unit == "ns":  # Python's datetimes have microseconds
        column = column.cast(pyarrow.timestamp("us", kind.tz), safe=False)
    values: list[Any] = column.to_pylist()
    return values
