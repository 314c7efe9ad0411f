from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distingo.download.table_streaming import WantedLines, matching_lines
from distingo.errors import DataError
from raising import raises

WANTED = frozenset({b"a", b"c"})


def pieces(text: bytes, size: int) -> list[bytes]:
    return [text[start : start + size] for start in range(0, len(text), size)]


def rows_of(text: bytes, column: str, size: int = 7) -> list[list[str]]:
    kept = b"".join(matching_lines(pieces(text, size), WantedLines("table.csv", column, WANTED)))
    return list(csv.reader(io.StringIO(kept.decode("utf-8"), newline="")))


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_wanted_lines_by_the_first_and_by_a_later_column(size: int) -> None:
    text = b"ImageID,Label\na,x\nb,a\nc,y\nab,c\n"
    assert rows_of(text, "ImageID", size) == [["ImageID", "Label"], ["a", "x"], ["c", "y"]]
    assert rows_of(text, "Label", size) == [["ImageID", "Label"], ["b", "a"], ["ab", "c"]]


def test_windows_ends_a_byte_order_mark_empty_lines_and_no_end_at_the_end() -> None:
    text = b"\xef\xbb\xbfImageID,Label\r\n\r\nb,a\r\nshort\r\nx,c"
    assert rows_of(text, "Label") == [["ImageID", "Label"], ["b", "a"], ["x", "c"]]


@pytest.mark.parametrize("size", [1, 5, 1000])
def test_quoted_commas_and_line_breaks_come_whole(size: int) -> None:
    text = b'ImageID,Title,License\na,"one, ""two""\nb,three",free\nb,"x\ny",free\nc,"last\n\nline",free\n'
    assert rows_of(text, "ImageID", size) == [
        ["ImageID", "Title", "License"],
        ["a", 'one, "two"\nb,three', "free"],
        ["c", "last\n\nline", "free"],
    ]


@given(
    st.lists(
        st.tuples(st.sampled_from("abcd"), st.text('xä", \n', max_size=8), st.sampled_from(["1", "0"])), max_size=12
    ),
    st.integers(1, 40),
)
def test_what_comes_is_what_the_csv_module_finds(rows: list[tuple[str, str, str]], size: int) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([("ImageID", "Title", "Flag"), *rows])
    found = rows_of(text.getvalue().encode("utf-8"), "ImageID", size)[1:]
    # a line inside an unwanted row's quotes that begins like a wanted one would be taken: none of these does
    assert found == [list(row) for row in rows if row[0] in {"a", "c"}]


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"<!DOCTYPE html>\n<p>Sign in\n",
        b'ImageID,Title\na,"open\n',
        b"ImageID" + b"x" * (3 << 20),
    ],
)
def test_what_is_no_such_table_is_refused(text: bytes) -> None:
    with raises(DataError, code="unexpected_answer"):
        rows_of(text, "ImageID", 1 << 20)
