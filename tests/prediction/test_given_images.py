"""Folders, patterns, tables and standard input to files, one after another."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path

import pytest

from distingo.errors import DataError, ErrorCode, UsageError
from distingo.prediction.given_images import GivenImages
from raising import raises


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("b/2.jpg", "b/1.jpg", "a.jpg", "c.txt", ".hidden.jpg", ".cache/x.jpg", "猫/é.jpg"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path / "photos"


def names(*paths: str, **options: object) -> list[str]:
    return [path.as_posix() for path in GivenImages(paths, **options)]  # type: ignore[arg-type]


def test_folders_patterns_and_files_in_the_order_given(photos: Path) -> None:
    every = ["photos/a.jpg", "photos/b/1.jpg", "photos/b/2.jpg", "photos/c.txt", "photos/猫/é.jpg"]
    assert names("photos") == every
    assert names("photos/b", "photos/a.jpg", "gone.jpg") == ["photos/b/1.jpg", "photos/b/2.jpg", every[0], "gone.jpg"]
    assert names("photos/**/*.jpg") == [*every[:3], every[4]]
    assert names(f"{photos.as_posix()}/?.jpg") == [f"{photos.as_posix()}/a.jpg"]
    assert names("photos/.*.jpg") == ["photos/.hidden.jpg"]
    assert GivenImages(("photos", "photos/*/1.jpg")).count() == 6


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(photos: Path) -> None:
    (photos / "[1].jpg").touch()
    assert names("photos/[1].jpg") == ["photos/[1].jpg"]


def test_what_is_being_written_is_no_image(photos: Path) -> None:
    (photos / "out.csv").touch()
    (photos / "b" / "out.csv").touch()
    found = names("photos", left_out=(Path("photos/out.csv"),))
    assert "photos/out.csv" not in found
    assert "photos/b/out.csv" in found


def test_nothing_at_all_is_an_error(photos: Path) -> None:
    (photos / "empty").mkdir()
    cases: tuple[tuple[list[str], ErrorCode], ...] = (
        (["gone", "gone too"], "not_found"),
        (["photos/empty"], "empty_folder"),
        (["photos/*.png"], "empty_folder"),
    )
    for paths, code in cases:
        with raises(UsageError, code=code):
            GivenImages(paths).require_any()
    GivenImages(["gone", "photos/a.jpg"]).require_any()


def test_paths_from_standard_input(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = b"photos/a.jpg\r\n\nphotos/" + "猫".encode() + b"/\xff.jpg\nlast"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines)))
    given = GivenImages(["-"])
    given.require_any()
    assert given.count() is None
    assert [os.fsencode(path) for path in given] == [
        b"photos/a.jpg",
        b"photos/" + "猫".encode() + b"/\xff.jpg",
        b"last",
    ]


@pytest.mark.parametrize(("came", "code"), [(b"", "empty_file"), (b"a.jpg\0b.jpg\0", "invalid_path")])
def test_no_path_a_line_on_standard_input_is_reported(
    monkeypatch: pytest.MonkeyPatch, came: bytes, code: ErrorCode
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(came)))
    with raises(UsageError, code=code):
        list(GivenImages(["-"]))


def test_options_about_tables_want_a_table(photos: Path) -> None:
    for given in (GivenImages(["photos"], image_column="file"), GivenImages(["photos"], image_folder="photos")):
        with raises(UsageError, code="option_not_applicable"):
            given.require_any()


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "parquet", "json", "xlsx"])
def test_a_table_s_column_of_paths_is_found(photos: Path, ending: str) -> None:
    rows = [{"n": str(at), "Poster": name} for at, name in enumerate(["b/1.jpg", "猫/é.jpg", "gone.jpg"])]
    table = photos / f"list.{ending}"
    if ending == "parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.Table.from_pylist(rows), table)
    elif ending == "xlsx":
        openpyxl = pytest.importorskip("openpyxl", reason="openpyxl, which writes workbooks, is not installed")
        book = openpyxl.Workbook()
        for cells in (("n", "Poster"), *(tuple(row.values()) for row in rows)):
            book.active.append(cells)
        book.save(table)
    elif ending == "json":
        table.write_text(json.dumps(rows), "utf-8")
    elif ending == "jsonl":
        table.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    else:
        mark = "\t" if ending == "tsv" else ";"
        lines = [mark.join(row.values()) for row in [{"n": "n", "p": "Poster"}, *rows]]
        table.write_text("\n".join(lines), "utf-8-sig")
    assert names(str(table.relative_to(photos.parent))) == ["photos/b/1.jpg", "photos/猫/é.jpg", "photos/gone.jpg"]
    assert names(f"photos/list.{ending}", image_column="Poster", image_folder="x") == [
        "x/b/1.jpg",
        "x/猫/é.jpg",
        "x/gone.jpg",
    ]


@pytest.mark.parametrize(("ending", "mark"), [("csv", ","), ("csv", ";"), ("tsv", "\t")])
def test_a_table_without_a_line_of_names_loses_no_image(photos: Path, ending: str, mark: str) -> None:
    (photos / f"list.{ending}").write_text(f"b/1.jpg{mark}red\n\na.jpg{mark}blue\nb/2.jpg{mark}red\n")
    every = ["photos/b/1.jpg", "photos/a.jpg", "photos/b/2.jpg"]
    assert names(f"photos/list.{ending}") == every
    assert names(f"photos/list.{ending}", image_column="column 1") == every
    (photos / "long.csv").write_text("a.jpg,1\n" * 5 + "b/1.jpg\n" + "b/2.jpg,1\n" * 5)
    with raises(DataError, code="damaged_line", naming="line 6"):
        names("photos/long.csv")


def test_a_table_s_paths_may_start_at_the_working_folder(photos: Path) -> None:
    (photos / "out.csv").write_text("file,label\nphotos/a.jpg,red\n,\nphotos/b/1.jpg,blue\n")
    assert names("photos/out.csv") == ["photos/a.jpg", "photos/b/1.jpg"]


def test_a_table_without_paths_suggests_what_to_do(photos: Path) -> None:
    table = photos / "t.csv"
    table.write_text("colour,size\nred,3\n")
    with raises(UsageError, code="missing_column", parameter="image_column"):
        names("photos/t.csv")
    with raises(UsageError, code="unknown_column", parameter="image_column"):
        names("photos/t.csv", image_column="color")
    table.write_text("file,size\na.jpg,3\nb/1.jpg\n")
    with raises(DataError, code="damaged_line", naming="line 3"):
        names("photos/t.csv")
    table.write_text("file,size\n")
    with raises(DataError, code="empty_file"):
        GivenImages(["photos/t.csv"]).require_any()


def test_a_large_table_goes_by_row_by_row(photos: Path) -> None:
    """Beyond the part by which encoding and column are recognized."""
    table = photos / "large.csv"
    with table.open("w", encoding="latin-1") as file:
        file.write("name,path\n")
        for at in range(60_000):
            file.write(f"écran {at},b/{at}.jpg\n")
    assert table.stat().st_size > 1 << 20
    found = GivenImages(["photos/large.csv"])
    assert found.count() == 60_000
    assert next(iter(found)) == Path("photos/b/0.jpg")
