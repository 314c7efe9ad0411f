"""Manifests and tables on disk."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distingo.csv_files import join_labels, split_labels
from distingo.errors import ErrorCode, RunError
from distingo.messages.notes import note, text_note
from distingo.records import ManifestRow
from distingo.runs.data import read_manifest, write_manifest
from raising import raises
from tiny_runs import forget_checksums

_FAULTS = (note("missing-end-marker"), text_note("w"))
_USED = note("used-despite", faults=_FAULTS)
_SAME = note("same-pixels", file='犬/"d".png')
_GONE = note("no-such-file", table="t.csv")

ROWS = (
    ManifestRow('katze/ß, "x"\n1.png', "used", None, ("katze",), "train", "PNG", 3, 4, "ab" * 16),
    ManifestRow(
        "犬/a.jpg",
        "used",
        _USED,
        ("犬",),
        None,
        "JPEG",
        3,
        4,
        "aa",
        notes=("missing-end-marker",),
    ),
    ManifestRow("犬/b.html", "unusable", note("html"), ("犬",), None, "HTML", 0, 0, "cd" * 16),
    ManifestRow(
        "a|b/c.png",
        "duplicate",
        note("same-pixels", file='犬/"d".png'),
        ("a|b", "c\\"),
        "test",
        "PNG",
        1,
        1,
        "ef" * 16,
        "犬/d.png",
    ),
    ManifestRow("tt1", "missing", _GONE, ("a|b", "N/A"), None, "", 0, 0, "", lines=(3, 17)),
    ManifestRow(".DS_Store", "ignored", note("hidden-file"), (), None, "", 0, 0, ""),
)


def test_a_manifest_comes_back_as_it_was(tmp_path: Path) -> None:
    write_manifest(ROWS, tmp_path / "manifest.csv")
    assert read_manifest(tmp_path / "manifest.csv") == ROWS
    first = (tmp_path / "manifest.csv").read_text(encoding="utf-8").splitlines()[0]
    assert first == "file,status,reason,labels,split,format,width,height,content,same_as,lines,notes,values"


def test_a_manifest_without_lines_is_still_read(tmp_path: Path) -> None:
    path = tmp_path / "manifest.csv"
    columns = "file,status,reason,labels,split,format,width,height,content,same_as"
    path.write_text(f"{columns}\na.png,used,,a,train,PNG,1,1,ab,\n", encoding="utf-8")
    (row,) = read_manifest(path)
    assert (row.file, row.lines) == ("a.png", ())


@given(st.lists(st.text(min_size=1), max_size=5))
def test_any_class_names_can_be_joined(labels: list[str]) -> None:
    assert split_labels(join_labels(labels)) == tuple(labels)


def test_plain_names_are_joined_plainly() -> None:
    assert join_labels(["Action", "Drama"]) == "Action|Drama"


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("used", "eaten", "damaged_line"),
        (",3,4,", ",three,4,", "damaged_line"),
        ("train", "trian", "damaged_line"),
        ("file,status", "name,status", "missing_column"),
        ("犬/d.png", "犬/d.png,x", "damaged_line"),
        (",3 17", ",3 x", "damaged_line"),
        ('"katze', 'katze"x', "damaged_line"),
    ],
)
def test_damage_is_named_with_its_line(tmp_path: Path, old: str, new: str, code: ErrorCode) -> None:
    path = tmp_path / "manifest.csv"
    write_manifest(ROWS, path)
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    forget_checksums(tmp_path)
    with raises(RunError, code=code) as caught:
        read_manifest(path)
    assert "\n" not in str(caught.value)


def test_a_missing_or_binary_file_is_named(tmp_path: Path) -> None:
    with raises(RunError, code="not_found"):
        read_manifest(tmp_path / "manifest.csv")
    (tmp_path / "manifest.csv").write_bytes(b"\xff\xfe\x00\x80")
    with raises(RunError, code="damaged_file"):
        read_manifest(tmp_path / "manifest.csv")
