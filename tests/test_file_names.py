from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distingo.safe_paths import distinct_names, safe_name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("T-shirt/top", "T-shirt-top"),
        ("../../etc/passwd", "-..-etc-passwd".strip("-.")),
        ("con", "_con"),
        ("  ", "unnamed"),
        ("pink-yellow dahlia?", "pink-yellow dahlia"),
        ("Bär", "Bär"),
        (".hidden", "hidden"),
        ("名前", "名前"),
    ],
)
def test_labels_become_names_that_every_system_takes(text: str, name: str) -> None:
    assert safe_name(text) == name


@given(st.text())
def test_names_are_always_safe(text: str) -> None:
    name = safe_name(text)
    assert name and len(name.encode()) <= 121
    assert not set(name) & set('<>:"/\\|?*\x00\n')
    assert not name.startswith(".") and name == name.strip()


def test_the_same_name_is_told_apart_by_what_it_stands_for() -> None:
    first = distinct_names(["a", "A", "a"], ["1", "2", "3"])
    assert first[0] == "a" and len({name.casefold() for name in first}) == 3
    assert distinct_names(["a", "A", "a", "b"], ["1", "2", "3", "4"]) == [*first, "b"]
    assert distinct_names(["a", "A"], ["3", "2"])[1] == first[1]
