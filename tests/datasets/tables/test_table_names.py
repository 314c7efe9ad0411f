"""What a name in a table says before any file is looked at."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distingo.datasets.tables.image_files import is_absolute, is_web_address, leads_outside, other_readings, path_of


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("a.jpg", "a.jpg"),
        (" ./a.jpg ", "a.jpg"),
        (".\\x\\a.jpg", "x/a.jpg"),
        ("x//y/./a.jpg", "x/y/a.jpg"),
        ("x/../a.jpg", "a.jpg"),
        ("../x/a.jpg", "../x/a.jpg"),
        ("C:\\Users\\me\\a.jpg", "C:/Users/me/a.jpg"),
        ("\\\\server\\share\\a.jpg", "//server/share/a.jpg"),
        ("file:///home/me/my%20photo.jpg", "/home/me/my photo.jpg"),
        ("file://localhost/home/a.jpg", "/home/a.jpg"),
        ("file:///C:/Users/me/a%20b.jpg", "C:/Users/me/a b.jpg"),
        ("file:x/a.jpg", "x/a.jpg"),
        ("my%20photo.jpg", "my%20photo.jpg"),
        (unicodedata.normalize("NFD", "Ünder.png"), "Ünder.png"),
        ("...jpg", "...jpg"),
        (".", ""),
        ("", ""),
    ],
)
def test_a_name_becomes_a_path(name: str, path: str) -> None:
    assert path_of(name) == path


def test_other_readings_are_tried_in_order() -> None:
    assert other_readings("a.jpg") == ()
    assert other_readings("my%20photo.jpg") == ("my photo.jpg",)
    assert other_readings("x\\my%20photo.jpg") == ("x\\my%20photo.jpg", "x/my photo.jpg")
    assert other_readings("100%.jpg") == ()
    assert other_readings("'x\\a.jpg'") == ("'x\\a.jpg'", "x/a.jpg")


def test_where_a_path_begins_is_known() -> None:
    assert [is_absolute(path) for path in ("/a", "//s/a", "C:/a", "C:a", "../a", "a")] == [True] * 3 + [False] * 3
    assert [leads_outside(path) for path in ("/a", "C:/a", "../a", "..a", "a/b")] == [True] * 3 + [False] * 2
    assert is_web_address(" HTTPS://x/a.jpg") and not is_web_address("http.jpg")


@given(st.lists(st.text("ab. %", min_size=1).filter(lambda part: part.strip() not in {".", "..", ""}), min_size=1))
def test_a_plain_path_stays_as_it_is(parts: list[str]) -> None:
    path = "/".join(parts).strip()
    assert path_of(path) == path
    assert path_of("./" + path.replace("/", "\\")) == path
