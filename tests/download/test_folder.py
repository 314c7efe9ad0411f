from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from distingo.datasets.corrections import DOWNLOAD_FOLDER
from distingo.download.folder import open_folder, read_outcomes
from distingo.download.records import Outcome
from distingo.errors import DataError, UsageError
from raising import raises

SOURCE = {"command": "distingo download mnist"}
OUTCOME = Outcome('ä, "b"', "fetched", "", 'ä, "b".png', "http://h/a", "http://h/b", 3, "PNG", "00", 2)


def test_a_folder_of_a_persons_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with raises(UsageError, code="not_empty", parameter="output"), open_folder(tmp_path, SOURCE):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_another_download_is_not_mixed_in(tmp_path: Path) -> None:
    with open_folder(tmp_path / "out", SOURCE):
        pass
    with (
        raises(UsageError, code="not_empty", parameter="output"),
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


def test_a_manifest_without_codes_of_reasons_is_read(tmp_path: Path) -> None:
    outcome = replace(OUTCOME, code="private_address")
    with open_folder(tmp_path / "out", SOURCE) as folder:
        folder.record(outcome)
        manifest = folder.write_manifest()
    assert list(read_outcomes(manifest)) == [outcome]
    text = manifest.read_text(encoding="utf-8")
    manifest.write_text(text.replace(",code\n", "\n").replace(",private_address\n", "\n"), encoding="utf-8")
    assert list(read_outcomes(manifest)) == [OUTCOME]


def test_a_manifest_of_another_kind_is_said(tmp_path: Path) -> None:
    with open_folder(tmp_path / "out", SOURCE):
        pass
    (tmp_path / "out" / "manifest.csv").write_text("a,b\n1,2\n")
    with raises(DataError, code="damaged_file", parameter="output"), open_folder(tmp_path / "out", SOURCE):
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


@pytest.mark.parametrize("where", ["journal", "manifest"])
@pytest.mark.parametrize(
    "file", ["../mine.png", "/tmp/mine.png", "a/../../mine.png", "C:/mine.png", "link/mine.png", "a\0"]
)
def test_a_file_outside_is_refused(tmp_path: Path, file: str, where: str) -> None:
    """A partial file would be moved to where the journal or the manifest says that it belongs."""
    with open_folder(tmp_path / "out", SOURCE) as folder:
        folder.record(replace(OUTCOME, file=file))
        if where == "manifest" and "\0" not in file:
            folder.write_manifest()
    (tmp_path / "out" / "link").symlink_to(tmp_path)
    with raises(DataError, code="cannot_write", parameter="output") as caught, open_folder(tmp_path / "out", SOURCE):
        pass
    assert "\n" not in str(caught.value)


def test_lines_of_other_types_tell_nothing(tmp_path: Path) -> None:
    with open_folder(tmp_path / "out", SOURCE) as folder:
        folder.record(OUTCOME)
    journal = tmp_path / "out" / DOWNLOAD_FOLDER / "journal.jsonl"
    good = json.loads(journal.read_text())
    bad = [
        {**good, "name": f"n{at}", name: value}
        for at, (name, value) in enumerate(
            [("file", 7), ("status", "x"), ("size", "1"), ("size", True), ("attempts", None), ("name", []), ("url", {})]
        )
    ]
    journal.write_text("\n".join([json.dumps(good), *map(json.dumps, bad), "7", "[" * 100_000]) + "\n")
    with open_folder(tmp_path / "out", SOURCE) as folder:
        assert folder.outcome_of(OUTCOME.name) == OUTCOME
        assert all(folder.outcome_of(f"n{at}") is None for at in range(len(bad)))


def test_a_linked_folder_of_its_own_is_refused(tmp_path: Path) -> None:
    with open_folder(tmp_path / "out", SOURCE):
        pass
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "x").write_text("mine")
    (tmp_path / "out" / DOWNLOAD_FOLDER / "parts").symlink_to(tmp_path / "mine")
    with raises(DataError, code="is_link", parameter="output"), open_folder(tmp_path / "out", SOURCE) as folder:
        folder.finish()
    assert (tmp_path / "mine" / "x").read_text() == "mine"
