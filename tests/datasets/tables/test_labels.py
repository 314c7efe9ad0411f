"""The labels in one cell."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distingo.datasets.tables.labels import parse_list, recognize_delimiter, split_labels_of


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("['Drama', 'Comedy']", ("Comedy", "Drama")),
        ('["Comedy", "Dra\\u006da"]', ("Comedy", "Drama")),
        ("('Comedy',)", ("Comedy",)),
        ("{'b', 'a'}", ("a", "b")),
        ("['a' 'b']", ("a", "b")),
        ("[Comedy, Drama ]", ("Comedy", "Drama")),
        ("[1, 20]", ("1", "20")),
        ("[]", ()),
        ("[\"Ocean's\", 'x']", ("Ocean's", "x")),
    ],
)
def test_lists_are_read(text: str, labels: tuple[str, ...]) -> None:
    assert parse_list(text) == labels


@pytest.mark.parametrize("text", ["['a', 'b'", "['a', ['b']]", "['a, b]", "a", "", "[" * 9000 + "]" * 9000])
def test_what_is_no_list_is_said(text: str) -> None:
    assert parse_list(text) is None


def test_a_list_is_never_run_as_code() -> None:
    assert parse_list("[__import__('os').getcwd()]") is None


@given(st.lists(st.text(st.characters(codec="utf-8"), min_size=1).filter(str.strip), max_size=5))
def test_lists_of_any_names_come_back(labels: list[str]) -> None:
    expected = parse_list(tuple(labels))
    assert parse_list(json.dumps(labels)) == expected
    assert parse_list(json.dumps(labels, ensure_ascii=False)) == expected


@pytest.mark.parametrize(
    ("cells", "delimiter"),
    [
        (["a|b", "c"], "|"),
        (["a; b", "c"], ";"),
        (["a,b", "b", "a"], ","),
        (["Smith, John", "Doe, Jane"], None),
        (["a b", "a c", "b c", "a b c", "a", "b"], " "),
        (["golf ball", "tennis ball", "racket"], None),
        (["a", ""], None),
    ],
)
def test_a_delimiter_is_recognized(cells: list[str], delimiter: str | None) -> None:
    assert recognize_delimiter(cells) == delimiter


def test_cells_are_split() -> None:
    assert split_labels_of(" b | a|b|", "|") == ("a", "b")
    assert split_labels_of("b  a", " ") == ("a", "b")
    assert split_labels_of("b, a", None) == ("b, a",)
    assert split_labels_of("", "|") == ()
