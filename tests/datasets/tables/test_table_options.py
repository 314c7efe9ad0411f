"""Options for a table: their names, and paths that survive a change of the working folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from distingo.datasets.tables.table import TableOptions, resolve_paths


def test_a_folder_of_the_working_folder_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data" / "inside").mkdir(parents=True)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path)
    data = tmp_path / "data"
    inside = resolve_paths(TableOptions(image_folder="inside"), data)
    here = resolve_paths(TableOptions(image_folder="here"), data)
    assert inside == TableOptions(image_folder="inside")
    assert here == TableOptions(image_folder=str(tmp_path / "here"))
    assert resolve_paths(TableOptions(image_folder="inside"), data / "labels.csv") == inside
    assert resolve_paths(None, data) is None


def test_options_are_named_as_on_the_command_line() -> None:
    options = TableOptions(header=False, class_names="a.txt", merge_labels="all", group_column="site")
    assert options.flags == ("--group-column", "--no-header", "--class-names", "--merge-labels")
    assert options.about_labels == ("--no-header", "--class-names")
    assert TableOptions(header=True).flags == ("--header",)


def test_a_file_of_class_names_in_the_working_folder_becomes_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, here = tmp_path / "data", tmp_path / "here"
    for folder, name in ((data, "inside.txt"), (here, "outside.txt")):
        folder.mkdir()
        (folder / name).write_text("cat", encoding="utf-8")
    monkeypatch.chdir(here)
    for name, settled in (("inside.txt", "inside.txt"), ("none", "none"), ("outside.txt", str(here / "outside.txt"))):
        assert resolve_paths(TableOptions(class_names=name), data) == TableOptions(class_names=settled)
