from __future__ import annotations

import os
from pathlib import Path

import pytest

from distingo.errors import ResourceError
from distingo.exporting.folders import appearing_folder
from raising import raises


def test_a_folder_appears_when_all_is_in_it(tmp_path: Path) -> None:
    with appearing_folder(tmp_path / "deep" / "one") as folder:
        (folder / "a").write_text("a")
        assert not (tmp_path / "deep" / "one").exists()
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["one"]
    assert (tmp_path / "deep" / "one" / "a").read_text() == "a"


def test_an_error_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyError), appearing_folder(tmp_path / "one") as folder:
        (folder / "a").write_text("a")
        raise KeyError
    assert not list(tmp_path.iterdir())


def test_what_is_there_stays(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "mine").write_text("mine")
    with raises(ResourceError, code="already_exists", parameter="output"), appearing_folder(tmp_path / "one"):
        pass
    assert (tmp_path / "one" / "mine").read_text() == "mine"


def test_what_comes_in_the_meantime_stays_too(tmp_path: Path) -> None:
    with raises(ResourceError, code="already_exists", parameter="output"), appearing_folder(tmp_path / "one"):
        (tmp_path / "one").write_text("mine")
    assert [path.name for path in tmp_path.iterdir()] == ["one"]
    assert (tmp_path / "one").read_text() == "mine"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_place_that_can_t_be_written_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with raises(ResourceError, code="cannot_write", parameter="output"), appearing_folder(tmp_path / "one"):
        pass


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with raises(ResourceError, code="cannot_write", parameter="output"), appearing_folder(tmp_path / "file" / "one"):
        pass
