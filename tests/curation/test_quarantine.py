"""Moving files to a quarantine and back: nothing is lost on errors and interruptions."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distingo import journals as moving
from distingo.curation.findings import write_findings
from distingo.curation.planning import plan_cleaning
from distingo.curation.quarantine import JOURNAL_NAME, apply_plan, choose_quarantine, read_journal, undo
from distingo.errors import DataError, ResourceError, UsageError
from distingo.messages.notes import note
from raising import raises
from trees import draw, found, snapshot

NAMES = ("a/1.png", "a/2.png", "Übung/3 ü.png", "b/deep/4.png")


def clean(root: Path, *files: str) -> Path:
    place = choose_quarantine(root)
    apply_plan(plan_cleaning(root, [found(root, "dark", file) for file in files]), place)
    return place


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = draw(tmp_path / "data", *NAMES)
    (folder / "a/1.png").chmod(0o640)
    os.utime(folder / "a/1.png", (1e9, 1e9))
    return folder


def other_file_system(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(source: Path, target: Path) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)


def test_files_go_and_come_back(root: Path) -> None:
    before = snapshot(root)
    place = clean(root, *NAMES[:3])
    assert place.parent == root.parent / "data-quarantine"
    assert set(snapshot(root)) == {NAMES[3]}
    assert snapshot(place) == {name: before[name] for name in NAMES[:3]} | {
        JOURNAL_NAME: snapshot(place)[JOURNAL_NAME],
    }
    restored = undo(place)
    assert (sorted(restored.returned), restored.in_place, restored.left) == (sorted(NAMES[:3]), (), ())
    assert snapshot(root) == before
    assert [path.name for path in place.iterdir()] == [JOURNAL_NAME]
    again = undo(place)
    assert (again.returned, len(again.in_place)) == ((), 3)
    assert snapshot(root) == before


def test_names_that_are_no_text_go_and_come_back(tmp_path: Path) -> None:
    root = draw(tmp_path / "data", "a/1.png")
    (root / "a" / os.fsdecode(b"\xff.png")).write_bytes(b"odd")
    before = snapshot(root)
    place = clean(root, "a/\\xff.png")
    assert set(snapshot(root)) == {"a/1.png"}
    assert undo(place).returned == ("a/\\xff.png",)
    assert snapshot(root) == before


def test_between_file_systems_files_are_copied_first(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other_file_system(monkeypatch)
    before = snapshot(root)
    place = clean(root, *NAMES)
    assert snapshot(root) == {}
    lines = [json.loads(line) for line in (place / JOURNAL_NAME).read_text().splitlines()]
    assert [next(iter(line)) for line in lines[1:4]] == ["moving", "copied", "moved"]
    undo(place)
    assert snapshot(root) == before


def test_really_between_file_systems(root: Path) -> None:
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == root.stat().st_dev:
        pytest.skip("no second file system here")
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        before = snapshot(root)
        place = choose_quarantine(root, Path(folder) / "quarantine")
        apply_plan(plan_cleaning(root, [found(root, "dark", name) for name in NAMES]), place)
        assert snapshot(root) == {}
        undo(place, root)
        assert snapshot(root) == before


def test_a_copy_that_differs_is_not_trusted(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other_file_system(monkeypatch)
    before = snapshot(root)
    copystat = moving.shutil.copystat

    def damage(source: Path, target: Path) -> None:
        target.write_bytes(target.read_bytes()[:-1] + b"!")
        copystat(source, target)

    monkeypatch.setattr(moving.shutil, "copystat", damage)
    place = choose_quarantine(root)
    done = apply_plan(plan_cleaning(root, [found(root, "dark", NAMES[0])]), place)
    assert [entry.reason for entry in done.unmoved] == [note("cannot-move", error="the copy differs from the file")]
    assert snapshot(root) == before
    assert set(snapshot(place)) == {JOURNAL_NAME}


def test_a_full_disk_stops_with_all_of_it_recoverable(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = snapshot(root)
    link, calls = os.link, []

    def fill(source: Path, target: Path) -> None:
        calls.append(source)
        if len(calls) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        link(source, target)

    monkeypatch.setattr(os, "link", fill)
    place = choose_quarantine(root)
    with raises(ResourceError, code="disk_full"):
        apply_plan(plan_cleaning(root, [found(root, "dark", name) for name in NAMES]), place)
    undo(place)
    assert snapshot(root) == before


def test_where_there_are_no_links_files_are_renamed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(source: Path, target: Path) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    before = snapshot(root)
    place = clean(root, *NAMES)
    (root / NAMES[0]).write_bytes(b"new")
    assert [entry.reason for entry in undo(place).left] == [note("place-taken")]
    assert {**snapshot(root), NAMES[0]: before[NAMES[0]]} == before


def test_what_was_put_in_a_files_place_is_not_overwritten(root: Path) -> None:
    place = clean(root, *NAMES)
    (root / NAMES[0]).write_bytes(b"new")
    (root / "Übung").rmdir()
    (root / "Übung").write_bytes(b"a file where a folder was")
    (place / NAMES[1]).unlink()
    restored = undo(place)
    assert {entry.file: entry.reason for entry in restored.left} == {
        NAMES[0]: note("place-taken"),
        NAMES[1]: note("in-neither-place"),
        NAMES[2]: note("cannot-put-back", error="File exists"),
    }
    assert restored.returned == (NAMES[3],)
    assert (root / NAMES[0]).read_bytes() == b"new"
    assert (place / NAMES[0]).is_file()


def test_a_data_set_that_was_moved_gets_its_files_back(root: Path) -> None:
    before = snapshot(root)
    place = clean(root, *NAMES)
    root.rename(root.with_name("elsewhere"))
    with raises(UsageError, code="not_a_folder", parameter="data"):
        undo(place)
    undo(place, root.with_name("elsewhere"))
    assert snapshot(root.with_name("elsewhere")) == before


def test_a_quarantine_is_outside_and_new(root: Path) -> None:
    with raises(UsageError, code="overlapping_folders", parameter="quarantine"):
        choose_quarantine(root, root / "quarantine")
    with raises(UsageError, code="not_empty", parameter="quarantine"):
        choose_quarantine(root, root.parent)
    first = clean(root, NAMES[0])
    assert clean(root, NAMES[1]) != first


def test_a_folder_without_a_journal_is_refused(tmp_path: Path) -> None:
    with raises(DataError, code="cannot_read", naming="journal.jsonl"):
        undo(tmp_path)
    (tmp_path / JOURNAL_NAME).write_text('{"format": 1, "ro')
    with raises(DataError, code="damaged_file"):
        undo(tmp_path)
    (tmp_path / JOURNAL_NAME).write_text('{"format": 9, "root": "/x"}\n')
    with raises(DataError, code="newer_version"):
        undo(tmp_path)
    (tmp_path / JOURNAL_NAME).write_text('{"format": 1, "root": "/x"}\nnoise\n')
    with raises(DataError, code="damaged_file", naming="line 2"):
        undo(tmp_path)


def test_a_line_that_was_cut_off_is_no_hindrance(root: Path) -> None:
    before = snapshot(root)
    place = clean(root, *NAMES)
    with (place / JOURNAL_NAME).open("ab") as file:
        file.write(b'{"moving": "a/5')
    assert len(undo(place).returned) == 4
    assert len(undo(place).in_place) == 4
    assert snapshot(root) == before


@pytest.mark.parametrize("across", [False, True])
@pytest.mark.parametrize("moment", ["linked", "before unlinking"])
def test_a_kill_between_the_two_names(root: Path, monkeypatch: pytest.MonkeyPatch, across: bool, moment: str) -> None:
    """At the worst moment the file has both names; undo leaves it with its own."""
    before = snapshot(root)
    if across:
        other_file_system(monkeypatch)

    class Killed(BaseException):
        pass

    def die(*arguments: object, **options: object) -> None:
        raise Killed

    monkeypatch.setattr(moving, "_make_durable", die) if moment == "linked" else monkeypatch.setattr(
        Path, "unlink", die
    )
    place = choose_quarantine(root)
    with pytest.raises(Killed):
        apply_plan(plan_cleaning(root, [found(root, "dark", NAMES[0])]), place)
    monkeypatch.undo()
    assert snapshot(root) == before
    restored = undo(place)
    assert restored.in_place == (NAMES[0],)
    assert len(restored.copies) == across
    assert snapshot(root) == before


_NAME = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\0\\#"), min_size=1, max_size=8).filter(
    lambda name: name not in {".", ".."} and len(name.encode()) < 100
)


@settings(max_examples=40)
@given(
    st.dictionaries(st.tuples(st.sampled_from(["a", "b", "ü/deep"]), _NAME), st.binary(max_size=20), min_size=1),
    st.data(),
)
def test_undoing_is_the_identity(files: dict[tuple[str, str], bytes], data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder).resolve() / "data"
        for (parent, name), content in files.items():
            (root / parent).mkdir(parents=True, exist_ok=True)
            (root / parent / name).write_bytes(content)
        names = sorted(snapshot(root))
        findings = [found(root, "blurred", name) for name in data.draw(st.lists(st.sampled_from(names)))]
        pairs = data.draw(st.lists(st.tuples(st.sampled_from(names), st.sampled_from(names))))
        findings += [found(root, "near-duplicate", one, other) for one, other in pairs if one != other]
        before = snapshot(root)
        plan = plan_cleaning(root, findings)
        place = choose_quarantine(root)
        done = apply_plan(plan, place)
        assert done.moves == plan.moves
        assert set(snapshot(root)) == set(before) - {move.file for move in plan.moves}
        if plan.moves:
            assert len(undo(place).returned) == len(plan.moves)
        assert snapshot(root) == before


def test_a_killed_clean_is_undone(tmp_path: Path) -> None:
    """SIGKILL in the middle of a real process; afterwards every byte is where it was."""
    root = draw(tmp_path / "data", *[f"{'ab'[number % 2]}/{number:04}.png" for number in range(600)])
    write_findings([found(root, "dark", name) for name in snapshot(root)], tmp_path / "findings.csv")
    before = snapshot(root)
    place = tmp_path / "quarantine"
    words = ["clean", str(root), "--findings", str(tmp_path / "findings.csv"), "--dark", "--apply"]
    command = [sys.executable, "-m", "distingo", *words, "--quarantine", str(place)]
    for wanted in (1, 250):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            _wait_for_moves(place, wanted, process)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
        left = snapshot(root)
        assert 0 < len(left) < 600
        assert len(read_journal(place).entries) >= wanted
        subprocess.run([sys.executable, "-m", "distingo", "clean", str(root), "--undo", str(place)], check=True)
        assert snapshot(root) == before
        place.rename(tmp_path / f"quarantine {wanted}")


def _wait_for_moves(place: Path, wanted: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(4000):
        assert process.poll() is None, process.stderr.read()
        try:
            if (place / JOURNAL_NAME).read_bytes().count(b'"moved"') >= wanted:
                return
        except FileNotFoundError:
            pass
        time.sleep(0.005)
    raise AssertionError("it never began")
