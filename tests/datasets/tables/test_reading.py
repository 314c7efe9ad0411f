"""Tables on disk: encodings, delimiters, damage with its line."""

from __future__ import annotations

from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from distingo.datasets.tables.reading import read_labels_table
from distingo.errors import DataError, ErrorCode
from raising import raises

TEXT = 'Id,Genre\nä1,"Comédie, noire"\nb2,Drama\n'


@pytest.mark.parametrize(
    ("codec", "name"),
    [
        ("utf-8", "UTF-8"),
        ("utf-8-sig", "UTF-8 with byte order mark"),
        ("utf-16", "UTF-16"),
        ("utf-32", "UTF-32"),
        ("latin-1", "Latin-1"),
    ],
)
def test_an_encoding_is_recognized_and_stated(tmp_path: Path, codec: str, name: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(TEXT.encode(codec))
    table = read_labels_table(path)
    assert table.form == f"CSV with commas, {name}"
    assert table.columns == ("Id", "Genre")
    assert table.cells == (("ä1", "b2"), ("Comédie, noire", "Drama"))
    assert table.lines == (2, 3)


def test_windows_and_big_endian_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("a,b\nx,“€”\n".encode("cp1252"))
    assert read_labels_table(path).form == "CSV with commas, Windows-1252"
    assert read_labels_table(path).column("b") == ("“€”",)
    path.write_bytes(b"\xfe\xff" + TEXT.encode("utf-16-be"))
    assert read_labels_table(path).column("Id") == ("ä1", "b2")


@pytest.mark.parametrize(
    ("name", "text", "form"),
    [
        ("a.csv", "Id;Genre\na;x, y\nb;z\n", "CSV with semicolons, UTF-8"),
        ("a.csv", "Id\tGenre\na\tx, y\nb\tz\n", "CSV with tabs, UTF-8"),
        ("a.tsv", "Id\tGenre\r\na\tx, y\r\nb\tz\r\n", "CSV with tabs, UTF-8"),
        ("a.txt", "Id|Genre\na|x, y\n\nb|z", "CSV with vertical bars, UTF-8"),
        ("a.csv", 'Id,Genre\na, "x, y"\nb,z\n', "CSV with commas, UTF-8"),
    ],
)
def test_a_delimiter_is_recognized(tmp_path: Path, name: str, text: str, form: str) -> None:
    (tmp_path / name).write_bytes(text.encode())
    table = read_labels_table(tmp_path / name)
    assert table.form == form
    assert table.cells == (("a", "b"), ("x, y", "z"))


def test_delimiters_inside_cells_are_not_taken_for_columns(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("Id,Genre\na,x|y\nb,z|x|y\n", encoding="utf-8")
    assert read_labels_table(tmp_path / "a.csv").columns == ("Id", "Genre")


def test_lines_count_breaks_inside_quotes(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('Id,Text\na,"one\ntwo"\n\nb,x\n', encoding="utf-8")
    assert read_labels_table(tmp_path / "a.csv").lines == (2, 5)


def test_the_index_of_pandas_gets_a_name(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(",Id\n0,a\n", encoding="utf-8")
    assert read_labels_table(tmp_path / "a.csv").columns == ("column 1", "Id")


def test_json_lines_and_parquet_keep_lists(tmp_path: Path) -> None:
    lines = '{"file_name": "a.png", "tags": ["x", "y"], "n": 1.0}\n\n{"file_name": "b.png", "tags": [], "ok": true}\n'
    (tmp_path / "a.jsonl").write_text(lines, encoding="utf-8")
    table = read_labels_table(tmp_path / "a.jsonl")
    assert table.columns == ("file_name", "tags", "n", "ok")
    assert table.cells == (("a.png", "b.png"), (("x", "y"), ()), ("1", ""), ("", "true"))
    assert table.lines == (1, 3)
    columns = {"file_name": ["a.png", None], "tags": [["x", "y"], []], "n": [1, 0], "image": [{"bytes": b"x"}] * 2}
    parquet.write_table(pyarrow.table(columns), tmp_path / "a.parquet")
    table = read_labels_table(tmp_path / "a.parquet")
    assert table.columns == ("file_name", "tags", "n")
    assert table.cells == (("a.png", ""), (("x", "y"), ()), ("1", "0"))
    assert (table.unit, table.lines) == ("row", (1, 2))


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("a.csv", b'a,b\n1,2\n"3,4\n5,6\n', "damaged_line"),
        ("a.csv", b'a,b\n1,2\n1,"x" y\n', "damaged_line"),
        ("a.csv", b"a,b\n1,2\n1,2,3\n", "damaged_line"),
        ("a.csv", b"a,b\n1\n", "damaged_line"),
        ("a.csv", b"a,b\n1,\x00\n", "wrong_encoding"),
        ("a.csv", "a,b\n1,2\n".encode("utf-16-le"), "wrong_encoding"),
        ("a.csv", b"\xff\xfea", "wrong_encoding"),
        ("a.csv", b"", "empty_file"),
        ("a.csv", b"a,b\n", "empty_file"),
        ("a.csv", b"a,a\n1,2\n", "duplicate_entry"),
        ("a.jsonl", b'{"a": 1}\n{"a": \n', "damaged_line"),
        ("a.jsonl", b"[1]\n", "damaged_line"),
        ("a.parquet", b"PAR1 and more", "damaged_file"),
        ("a.png", b"x", "wrong_format"),
    ],
)
def test_damage_is_named_with_its_line(tmp_path: Path, name: str, content: bytes, code: ErrorCode) -> None:
    (tmp_path / name).write_bytes(content)
    with raises(DataError, code=code) as caught:
        read_labels_table(tmp_path / name)
    assert str(caught.value).startswith(str(tmp_path / name))
    assert "\n" not in str(caught.value)
