from __future__ import annotations

from pathlib import Path

import pytest

from distingo.errors import join_faults, quote
from distingo.safe_paths import find_link_above, find_path_fault


@pytest.mark.parametrize("path", ["a", "a/b.png", "Übung/3 ü.png", "a/..b", "...", "a\udcff.png", "a/C:x", " ", "a\\b"])
def test_names_that_lead_down_are_fine(path: str) -> None:
    assert find_path_fault(path, windows=False) == ""


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/etc/passwd", "is no relative path"),
        ("//host/share", "is no relative path"),
        ("C:/x", "is no relative path"),
        ("c:x", "is no relative path"),
        ("../x", "does not lead straight down"),
        ("a/../../x", "does not lead straight down"),
        ("a/./x", "does not lead straight down"),
        ("a//x", "does not lead straight down"),
        ("a/", "does not lead straight down"),
        ("", "does not lead straight down"),
        ("a\0b", "can be no file's name"),
        ("a\ud800", "can be no file's name"),
        (None, "None is no path"),
        (7, "7 is no path"),
        (["a"], "['a'] is no path"),
    ],
)
def test_others_are_refused(path: object, why: str) -> None:
    for windows in (False, True):
        assert find_path_fault(path, windows=windows).endswith(why)


@pytest.mark.parametrize("path", ["..\\x", "a\\..\\..\\x", "\\\\host\\x", "a/b:stream"])
def test_on_windows_more_leads_elsewhere(path: str) -> None:
    assert find_path_fault(path, windows=True).endswith("is no relative path")


def test_links_on_the_way_are_found(tmp_path: Path) -> None:
    (tmp_path / "real" / "deep").mkdir(parents=True)
    (tmp_path / "real" / "link").symlink_to(tmp_path)
    (tmp_path / "real" / "file").symlink_to("x")
    assert find_link_above(tmp_path, "real/deep/x.png") == ""
    assert find_link_above(tmp_path, "real/file") == ""
    assert find_link_above(tmp_path, "real/link/real/x.png") == "real/link"
    assert find_link_above(tmp_path, "gone/x.png") == ""


def test_values_are_quoted_on_one_line() -> None:
    assert quote("a\n\x1b[31m\u202eü") == r"'a\n\x1b[31m\u202e\xfc'"
    assert quote(10**9) == "1000000000"
    assert len(quote("x" * 10**6)) == 80
    assert quote("x" * 10**6).endswith("...'")


def test_many_faults_are_counted() -> None:
    assert join_faults(["a"], "do it") == "a; do it"
    text = join_faults([str(number) for number in range(25)], "do it")
    assert text.splitlines()[-2:] == ["19", "and 5 faults more; do it"]
