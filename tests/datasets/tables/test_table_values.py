"""One table in every kind of file: the same labels come out."""

from __future__ import annotations

import datetime
import io
import json
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import csv, parquet

from distingo.datasets.tables.reading import read_labels_table
from distingo.errors import DataError, UsageError
from raising import raises

DAY, OTHER_DAY = datetime.date(2024, 1, 31), datetime.date(2023, 12, 1)
MIDNIGHT, OTHER_MIDNIGHT = datetime.datetime(2024, 1, 31), datetime.datetime(2023, 12, 1)
MOMENT = datetime.datetime(2024, 1, 31, 12, 30)

COLUMNS: dict[str, tuple[pyarrow.DataType, list[Any], tuple[Any, ...]]] = {
    "texts": (pyarrow.string(), ["cat", "dög", None], ("cat", "dög", "")),
    "large texts": (pyarrow.large_string(), ["cat", "dog", None], ("cat", "dog", "")),
    "whole numbers": (pyarrow.int64(), [1, 0, 10], ("1", "0", "10")),
    "small whole numbers": (pyarrow.uint8(), [1, 0, 255], ("1", "0", "255")),
    "whole numbers with a gap": (pyarrow.float64(), [1.0, None, 10.0], ("1", "", "10")),
    "not a number": (pyarrow.float64(), [1.0, float("nan"), 0.0], ("1", "", "0")),
    "fractions": (pyarrow.float64(), [1.0, 1.5, -0.25], ("1", "1.5", "-0.25")),
    "short fractions": (pyarrow.float32(), [0.1, 2.0, None], ("0.1", "2", "")),
    "truth values": (pyarrow.bool_(), [True, False, None], ("true", "false", "")),
    "categories": (pyarrow.dictionary(pyarrow.int8(), pyarrow.string()), ["a", "b", "a"], ("a", "b", "a")),
    "numbered categories": (pyarrow.dictionary(pyarrow.int8(), pyarrow.int64()), [3, 4, 3], ("3", "4", "3")),
    "days": (pyarrow.date32(), [DAY, OTHER_DAY, None], ("2024-01-31", "2023-12-01", "")),
    "days as moments": (
        pyarrow.timestamp("ns"),
        [MIDNIGHT, OTHER_MIDNIGHT, MIDNIGHT],
        ("2024-01-31", "2023-12-01", "2024-01-31"),
    ),
    "moments": (pyarrow.timestamp("ms"), [MOMENT, MOMENT, MOMENT], ("2024-01-31 12:30:00",) * 3),
    "exact numbers": (pyarrow.decimal128(6, 2), [Decimal("1.50"), Decimal("2.00"), None], ("1.5", "2", "")),
    "nothing": (pyarrow.null(), [None, None, None], ("", "", "")),
}


def in_python(values: list[Any]) -> list[Any]:
    """As a spreadsheet or a JSON file holds them."""
    return [float(value) if isinstance(value, Decimal) else value for value in values]


def written_by_pandas(values: list[Any]) -> list[str]:
    """As pandas writes them to CSV; moments that are all midnight as dates."""
    texts = ["" if value is None or value != value else str(value) for value in in_python(values)]
    return [text.removesuffix(" 00:00:00") for text in texts]


@pytest.mark.parametrize("name", COLUMNS)
def test_every_kind_of_file_gives_the_same_labels(tmp_path: Path, name: str) -> None:
    from openpyxl import Workbook

    kind, values, labels = COLUMNS[name]
    files = ["a.png", "b.png", "c.png"]
    parquet.write_table(pyarrow.table({"file": files, "label": pyarrow.array(values, kind)}), tmp_path / "a.parquet")
    lines = [f"{file},{text}\n" for file, text in zip(files, written_by_pandas(values), strict=True)]
    (tmp_path / "a.csv").write_text("file,label\n" + "".join(lines), encoding="utf-8")
    book = Workbook()
    book.active.append(["file", "label"])
    for file, value in zip(files, in_python(values), strict=True):
        book.active.append([file, None if value is None or value != value else value])
    book.save(tmp_path / "a.xlsx")
    records = [
        {"file": file, "label": text if isinstance(value, datetime.date) else value}
        for file, value, text in zip(files, in_python(values), written_by_pandas(values), strict=True)
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    (tmp_path / "a.json").write_text(json.dumps(records), encoding="utf-8")
    read = {
        ending: read_labels_table(tmp_path / f"a.{ending}").column("label")
        for ending in ("parquet", "csv", "jsonl", "json")
    }
    assert read == dict.fromkeys(read, labels)
    if name != "nothing":
        assert read_labels_table(tmp_path / "a.xlsx").column("label") == labels


def test_arrow_writes_what_is_read_alike(tmp_path: Path) -> None:
    table = pyarrow.table({"file": ["a.png", "b.png"], "n": [1.0, None], "t": [True, False], "d": [DAY, OTHER_DAY]})
    parquet.write_table(table, tmp_path / "a.parquet")
    stream = io.BytesIO()
    csv.write_csv(table, stream)
    (tmp_path / "a.csv").write_bytes(stream.getvalue())
    assert read_labels_table(tmp_path / "a.csv").cells == read_labels_table(tmp_path / "a.parquet").cells


def test_mixed_ways_of_writing_numbers_are_kept(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("file,label\na,1\nb,1.0\nc,01\n", encoding="utf-8")
    assert read_labels_table(tmp_path / "a.csv").column("label") == ("1", "1.0", "01")
    (tmp_path / "a.csv").write_text("file,label\na,True\nb,true\nc,FALSE\n", encoding="utf-8")
    assert read_labels_table(tmp_path / "a.csv").column("label") == ("True", "true", "FALSE")


def test_bytes_and_nested_values_are_no_columns(tmp_path: Path) -> None:
    table = pyarrow.table(
        {
            "file": ["a.png"],
            "small": pyarrow.array([b"x"], pyarrow.binary()),
            "large": pyarrow.array([b"x"], pyarrow.large_binary()),
            "fixed": pyarrow.array([b"xy"], pyarrow.binary(2)),
            "image": [{"bytes": b"x", "path": "a"}],
            "label": ["cat"],
        }
    )
    parquet.write_table(table, tmp_path / "a.parquet")
    assert read_labels_table(tmp_path / "a.parquet").columns == ("file", "label")


def test_a_sheet_is_read_as_it_is_shown(tmp_path: Path) -> None:
    from openpyxl import Workbook

    book = Workbook()
    book.active.title = "Notes"
    sheet = book.create_sheet("Labels")
    sheet.append([None, None])
    sheet.append(["Id", "label", None])
    sheet.append([7, "cat"])
    sheet["A3"].number_format = "000"
    sheet.append(["008", "dog"])
    book.save(tmp_path / "a.xlsx")
    table = read_labels_table(tmp_path / "a.xlsx")
    assert (table.columns, table.cells) == (("Id", "label"), (("007", "008"), ("cat", "dog")))
    assert (table.form, table.unit, table.lines) == ("Excel, sheet 'Labels'", "row", (3, 4))
    sheet.delete_rows(1, 2)
    sheet["A1"] = "a.png"
    book["Notes"]["A1"] = "about"
    book.move_sheet("Labels", -1)
    book.save(tmp_path / "a.xlsx")
    table = read_labels_table(tmp_path / "a.xlsx")
    assert table.form == "Excel, sheet 'Labels' of 2, without a line of names"
    assert table.lines == (1, 2)


def test_workbooks_that_can_not_be_read_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.xlsx"
    path.write_bytes(b"PK and more")
    with raises(DataError, code="damaged_file") as caught:
        read_labels_table(path)
    assert "\n" not in str(caught.value)
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with raises(UsageError, code="missing_extra"):
        read_labels_table(path)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("a.xls", "an old Excel workbook; save it as .xlsx or .csv"),
        ("a.ods", "a sheet of LibreOffice; save it as .csv"),
        ("a.pkl", "a Python pickle, which may run any code; write it as .parquet or .csv"),
    ],
)
def test_files_of_other_programs_are_refused_by_name(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    with raises(DataError, code="wrong_format"):
        read_labels_table(tmp_path / name)
