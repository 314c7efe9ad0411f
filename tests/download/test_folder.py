from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from distingo.datasets.own_files import DOWNLOAD_FOLDER
from distingo.download.folder import open_folder, read_outcomes
from distingo.download.records import Outcome
from distingo.errors import DataError, UsageError

SOURCE = {"command": "distingo download mnist"}
OUTCOME = Outcome('ä, "b"', "fetched", "", 'ä, "b".png', "http://h/a", "http://h/b", 3, "PNG", "00", 2)


def test_a_folder_of_a_persons_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="already holds other files"), open_folder(tmp_path, SOURCE):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_another_download_is_not_mixed_in(tmp_path: Path) -> None:
    with open_folder(tmp_path / "out", SOURCE):
        pass
    with (
        pytest.raises(UsageError, match="holds what `distingo download mnist` fetched"),
        open_folder(tmp_path / "out", {"command": "other"}),
    ):
        pass


def test_what_was_noted_outlives_a_kill_and_a_line_that_was_cut_off(tmp_path: Path) -> None:
    with open_folder(tmp_path / "out", SOURCE) as folder:
        folder.record(OUTCOME)
    journal = tmp_path / "out" / DOWNLOAD_FOLDER / "journal.jsonl"
    with journal.open("a") as file:
        file.write('{"name": "c", "stat')
    with open_folder(tmp_path / "out", SOURCE) as folder:
        assert folder.outcome_of(OUTCOME.name) == OUTCOME
        assert folder.outcome_of("c") is None
        folder.record(Outcome("d", "absent", "gone", "", "http://h/d"))
    with open_folder(tmp_path / "out", SOURCE) as folder:
        assert folder.outcome_of("d") is not None
        manifest = folder.write_manifest()
    assert journal.read_text() == ""
    assert [outcome.name for outcome in read_outcomes(manifest)] == [OUTCOME.name, "d"]
    with open_folder(tmp_path / "out", SOURCE) as folder:
        assert folder.outcome_of(OUTCOME.name) == OUTCOME


def test_a_manifest_of_another_kind_is_said(tmp_path: Path) -> None:
    with open_folder(tmp_path / "out", SOURCE):
        pass
    (tmp_path / "out" / "manifest.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="is no manifest of a download"), open_folder(tmp_path / "out", SOURCE):
        pass


def test_only_one_process_fills_a_folder(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib\nfrom distingo.download.folder import open_folder\n"
        "from distingo.errors import UsageError\n"
        "try:\n    with open_folder(pathlib.Path(sys.argv[1]), {'command': 'distingo download mnist'}): print('in')\n"
        "except UsageError as error: print(error)"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "out")]
    with open_folder(tmp_path / "out", SOURCE):
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert "another process is filling it" in done.stdout
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "in\n"
