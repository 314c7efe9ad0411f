from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from distingo.errors import ResourceError, RunError, UsageError
from distingo.files import (
    as_names,
    as_paths,
    atomic_writer,
    content_hash,
    read_json,
    remove_half_written,
    write_json,
    write_text,
)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "old")
    with pytest.raises(ValueError, match="stop"), atomic_writer(tmp_path / "a.txt") as file:
        file.write(b"half")
        raise ValueError("stop")
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "old"


def test_a_killed_write_leaves_the_old_file(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "old")
    program = (
        "import os, sys; from pathlib import Path; from distingo.files import atomic_writer\n"
        "with atomic_writer(Path(sys.argv[1])) as file:\n"
        "    file.write(b'half'); file.flush(); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path / "a.txt")], check=False)
    assert done.returncode == -signal.SIGKILL
    assert (tmp_path / "a.txt").read_text() == "old"


def test_a_file_in_the_way_of_a_folder_is_named(tmp_path: Path) -> None:
    write_text(tmp_path / "a", "")
    with pytest.raises(ResourceError, match=r"a/b: can't be written"):
        write_text(tmp_path / "a" / "b", "x")


def test_new_files_get_the_persons_usual_permissions(tmp_path: Path) -> None:
    mask = os.umask(0o027)
    try:
        write_text(tmp_path / "a", "")
    finally:
        os.umask(mask)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


def test_json_keeps_unicode_readable_and_refuses_nan(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"class": "חתול"})
    assert "חתול" in (tmp_path / "a.json").read_text(encoding="utf-8")
    assert read_json(tmp_path / "a.json") == {"class": "חתול"}
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "b.json", float("nan"))
    assert not (tmp_path / "b.json").exists()


def test_damaged_json_is_named(tmp_path: Path) -> None:
    write_text(tmp_path / "a.json", "{")
    with pytest.raises(RunError, match=r"a.json: damaged"):
        read_json(tmp_path / "a.json")


def test_a_single_text_is_one_path() -> None:
    assert as_paths("photos/a.png", "paths") == ("photos/a.png",)
    assert as_paths(Path("a.png"), "paths") == (Path("a.png"),)
    assert as_paths(["a.png", Path("b.png")], "paths") == ("a.png", Path("b.png"))
    assert as_names("cat", "classes") == ("cat",)
    assert as_names((name for name in ("cat", "dog")), "classes") == ("cat", "dog")


@pytest.mark.parametrize("given", [b"x", [b"x"], 7, [None], {"a.png": 1}.values()])
def test_what_is_no_path_is_refused(given: object) -> None:
    with pytest.raises(
        UsageError, match=r"^paths: (bytes|int|NoneType) is no path; give a path or a list of paths; or x$"
    ):
        as_paths(given, "paths", instead="; or x")
    with pytest.raises(UsageError, match=r"classes: .* is no name"):
        as_names(given, "classes")


def test_the_hash_goes_over_all_parts() -> None:
    assert content_hash(b"ab", b"c") == content_hash(b"abc") != content_hash(b"abd")
    assert len(content_hash(b"")) == 32


def test_what_a_killed_process_had_begun_is_removed_and_nothing_else(tmp_path: Path) -> None:
    kept = [".history.csv", ".notes.csv.backup", "history.csv.abcdefgh", ".photo.jpg.abcdefgh", ".history.csv.ABCDEFGH"]
    program = (
        "import os, sys; from pathlib import Path; from distingo.files import atomic_writer\n"
        "with atomic_writer(Path(sys.argv[1])): os.kill(os.getpid(), 9)"
    )
    for name in ("history.csv", "model/model.safetensors"):
        subprocess.run([sys.executable, "-c", program, str(tmp_path / name)], check=False)
    assert len(list(tmp_path.rglob(".*"))) == 2
    for name in kept:
        (tmp_path / name).touch()
    remove_half_written(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*kept, "model"])
    assert not list((tmp_path / "model").iterdir())
