from __future__ import annotations

import os
import signal
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from distingo.errors import ResourceError, RunError, UsageError
from distingo.files import (
    as_names,
    as_paths,
    atomic_writer,
    content_hash,
    parse_json,
    read_checksums,
    read_json,
    record_checksums,
    remove_half_written,
    remove_half_written_file,
    require_intact,
    write_bytes,
    write_json,
    write_text,
)
from raising import raises


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
    with raises(ResourceError, code="cannot_write"):
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
    with raises(RunError, code="damaged_file", naming="a.json"):
        read_json(tmp_path / "a.json")


def test_a_single_text_is_one_path() -> None:
    assert as_paths("photos/a.png", "paths") == ("photos/a.png",)
    assert as_paths(Path("a.png"), "paths") == (Path("a.png"),)
    assert as_paths(["a.png", Path("b.png")], "paths") == ("a.png", Path("b.png"))
    assert as_names("cat", "classes") == ("cat",)
    assert as_names((name for name in ("cat", "dog")), "classes") == ("cat", "dog")


@pytest.mark.parametrize("given", [b"x", [b"x"], 7, [None], {"a.png": 1}.values()])
def test_what_is_no_path_is_refused(given: object) -> None:
    with raises(UsageError, code="invalid_type", parameter="paths"):
        as_paths(given, "paths", instead="; or x")
    with raises(UsageError, code="invalid_type", parameter="classes"):
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


def test_what_a_living_process_is_writing_is_left_alone(tmp_path: Path) -> None:
    with atomic_writer(tmp_path / "history.csv") as file:
        file.write(b"half")
        remove_half_written(tmp_path)
        remove_half_written_file(tmp_path / "history.csv")
    assert (tmp_path / "history.csv").read_bytes() == b"half"
    (tmp_path / ".history.csv.abcd0123").touch()
    (tmp_path / ".other.csv.abcd0123").touch()
    remove_half_written_file(tmp_path / "history.csv")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".other.csv.abcd0123", "history.csv"]


def test_json_is_sealed_and_read_without_the_seal(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"b": [1, 2.5], "ü": None})
    text = path.read_text("utf-8")
    head, _, end = text.rpartition(",\n")
    assert end == f'  "checksum": "{zlib.crc32(head.encode()):08x}"\n}}\n'
    assert read_json(path) == {"b": [1, 2.5], "ü": None}
    write_json(path, {**read_json(path), "checksum": "of an older time"})
    assert path.read_text("utf-8") == text
    content = path.read_bytes()
    for at in range(len(content)):
        for change in (1, 4, 32):
            path.write_bytes(content[:at] + bytes([content[at] ^ change]) + content[at + 1 :])
            try:
                found = read_json(path)
            except RunError as error:
                assert "damaged" in str(error)
                continue
            known = {name: value for name, value in found.items() if name in {"b", "ü"}}
            assert known == {"b": [1, 2.5], "ü": None}  # the seal itself was hit


def test_empty_objects_and_lists_have_no_seal(tmp_path: Path) -> None:
    for content in ({}, [], [1], "text"):
        write_json(tmp_path / "a.json", content)
        assert "checksum" not in (tmp_path / "a.json").read_text()
        assert read_json(tmp_path / "a.json") == content


def test_a_recorded_file_is_checked_and_its_last_state_too(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    write_bytes(path, b"123456789", recorded=True)
    assert read_checksums(tmp_path) == {"a.csv": ["cbf43926"]}  # the check value of CRC-32
    require_intact(path)
    record_checksums(tmp_path, {"a.csv": "00000000"})  # killed before the file was written
    require_intact(path)
    write_bytes(path, b"next", recorded=True)
    require_intact(path)
    path.write_bytes(b"nexu")
    with raises(RunError, code="checksum_differs", naming="a.csv"):
        require_intact(path)
    (tmp_path / "checksums.json").write_text('{"files": ["of somebody else"]}')
    require_intact(path)


def test_json_nested_too_deeply_is_refused() -> None:
    with pytest.raises(ValueError, match="nested too deeply"):
        parse_json("[" * 100_000)
