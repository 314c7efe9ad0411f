"""The cache: rows in, the same rows out, whatever happens to its files in between."""

from __future__ import annotations

import errno
import multiprocessing
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from distingo.datasets.cache import segments, store
from distingo.datasets.cache.store import Cache, load_bytes, store_bytes
from distingo.errors import ResourceError, UsageError
from distingo.files import content_hash
from raising import raises


def key(number: int) -> str:
    return content_hash(b"%d" % number)


def row(number: int, shape: tuple[int, ...] = (4, 3)) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, shape, np.uint8)


def fill(cache: Cache, numbers: range, kind: str = "test") -> None:
    with cache.store(kind, (4, 3), "uint8").writer() as writer:
        for number in numbers:
            writer.add(key(number), row(number))


def test_rows_come_back_in_the_order_asked_for(tmp_path: Path) -> None:
    fill(Cache(tmp_path), range(20))
    array_store = Cache(tmp_path).store("test", (4, 3), "uint8")
    order = [7, 3, 19, 3, 0]
    rows = array_store.rows([key(number) for number in order])
    assert (rows.shape, rows.dtype, len(rows)) == ((5, 4, 3), np.uint8, 5)
    taken = rows.take(np.array([4, 0, 0, 2]))
    assert np.array_equal(taken, np.stack([row(0), row(7), row(7), row(19)]))
    taken[:] = 0
    assert np.array_equal(rows.take(slice(0, 1)), row(7)[None])
    assert array_store.rows([]).take(np.array([], np.int64)).shape == (0, 4, 3)


def test_missing_names_each_absent_key_once(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    array_store = cache.store("test", (4, 3), "uint8")
    assert array_store.missing([key(1), key(2), key(1)]) == [key(1), key(2)]
    fill(cache, range(2))
    assert array_store.missing([key(1), key(2), key(1)]) == [key(2)]
    with raises(ResourceError, code="changed_meanwhile"):
        array_store.rows([key(1), key(2)])


def test_batches_gather_over_several_segments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "_SEGMENT_BYTES", 60)
    fill(Cache(tmp_path), range(23))
    cache = Cache(tmp_path)
    assert len(cache.list_segments()) == 5
    rows = cache.store("test", (4, 3), "uint8").rows([key(number) for number in range(23)])
    order = np.random.default_rng(1).permutation(23)
    assert np.array_equal(rows.take(order), np.stack([row(number) for number in order]))


@pytest.mark.parametrize("dtype", ["float32", "int64", "float16"])
def test_other_types_are_kept_exactly(tmp_path: Path, dtype: str) -> None:
    values = np.random.default_rng(3).normal(size=(5, 7)).astype(dtype)
    with Cache(tmp_path).store("vectors", (7,), dtype).writer() as writer:
        for number in range(5):
            writer.add(key(number), values[number])
    rows = Cache(tmp_path).store("vectors", (7,), dtype).rows([key(number) for number in range(5)])
    assert rows.dtype == np.dtype(dtype)
    assert np.array_equal(rows.take(np.arange(5)), values)


def test_a_row_of_another_shape_is_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(ValueError, match=r"a row of shape \(3, 4\)"),
        Cache(tmp_path).store("test", (4, 3), "uint8").writer() as writer,
    ):
        writer.add(key(1), np.zeros((3, 4), np.uint8))


def test_kinds_and_shapes_do_not_mix(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    fill(cache, range(1), kind="pixels a/ü")
    assert cache.store("pixels a/ü", (4, 3), "uint8").missing([key(0)]) == []
    assert cache.store("pixels a/ö", (4, 3), "uint8").missing([key(0)]) == [key(0)]
    assert cache.store("pixels a/ü", (3, 4), "uint8").missing([key(0)]) == [key(0)]
    assert all(path.parent.parent == tmp_path for path in cache.list_segments())


@pytest.mark.parametrize("place", ["first row", "last row", "keys", "checksums", "footer", "cut", "emptied"])
def test_a_damaged_segment_is_noticed_and_its_rows_are_missing(tmp_path: Path, place: str) -> None:
    fill(Cache(tmp_path), range(10))
    (path,) = Cache(tmp_path).list_segments()
    content = bytearray(path.read_bytes())
    at = {"first row": 0, "last row": 119, "keys": 125, "checksums": 285, "footer": len(content) - 20}.get(place)
    if at is not None:
        content[at] ^= 4
    path.write_bytes(content[: {"cut": 200, "emptied": 0}.get(place, len(content))])
    cache = Cache(tmp_path)
    array_store = cache.store("test", (4, 3), "uint8")
    keys = [key(number) for number in range(10)]
    assert array_store.missing(keys) == keys
    fill(cache, range(10))
    assert np.array_equal(array_store.rows(keys).take(np.arange(10)), np.stack([row(number) for number in range(10)]))
    assert len(cache.list_segments()) == 1


def test_what_was_added_survives_an_error_of_the_callers(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), Cache(tmp_path).store("test", (4, 3), "uint8").writer() as writer:
        writer.add(key(1), row(1))
        raise KeyboardInterrupt
    assert Cache(tmp_path).store("test", (4, 3), "uint8").missing([key(1)]) == []


def _fill_and_check(folder: Path) -> None:
    cache = Cache(folder)
    array_store = cache.store("test", (4, 3), "uint8")
    for start in range(0, 60, 10):
        numbers = range(start, start + 10)
        with array_store.writer() as writer:
            for number in numbers:
                writer.add(key(number), row(number))
        rows = array_store.rows([key(number) for number in numbers])
        assert np.array_equal(rows.take(np.arange(10)), np.stack([row(number) for number in numbers]))


def test_processes_writing_at_the_same_time_do_no_harm(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_fill_and_check, args=(tmp_path,)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    rows = Cache(tmp_path).store("test", (4, 3), "uint8").rows([key(number) for number in range(60)])
    assert np.array_equal(rows.take(np.arange(60)), np.stack([row(number) for number in range(60)]))


def test_least_recently_used_segments_are_evicted_first(tmp_path: Path) -> None:
    for number in range(4):
        fill(Cache(tmp_path), range(number, number + 1))
    size = sum(path.stat().st_size for path in Cache(tmp_path).list_segments())
    now = time.time()
    for path in Cache(tmp_path).list_segments():
        segment = segments.open_segment(path, 12)
        assert segment is not None
        number = [key(number) for number in range(4)].index(segment.keys[0])
        os.utime(path, (now - 100 + number, now - 100 + number))
    del segment
    # Using the oldest makes it the newest.
    assert Cache(tmp_path).store("test", (4, 3), "uint8").missing([key(0)]) == []
    Cache(tmp_path, limit_bytes=size // 2).evict()
    missing = Cache(tmp_path).store("test", (4, 3), "uint8").missing([key(number) for number in range(4)])
    assert missing == [key(1), key(2)]


def test_what_is_in_use_is_never_evicted(tmp_path: Path) -> None:
    cache = Cache(tmp_path, limit_bytes=1)
    fill(cache, range(5))
    rows = cache.store("test", (4, 3), "uint8").rows([key(number) for number in range(5)])
    other = Cache(tmp_path, limit_bytes=1)
    in_use = other.store("other", (4, 3), "uint8")
    fill(other, range(5, 8), kind="other")
    other.evict()
    assert len(other.list_segments()) == 2
    assert in_use.missing([key(5)]) == []
    assert np.array_equal(rows.take(np.array([4])), row(4)[None])
    del cache, rows, other, in_use
    Cache(tmp_path, limit_bytes=1).evict()
    assert Cache(tmp_path).list_segments() == []


def test_unfinished_files_of_killed_processes_are_removed_after_a_day(tmp_path: Path) -> None:
    fill(Cache(tmp_path), range(1))
    (path,) = Cache(tmp_path).list_segments()
    old, new = (path.with_name(f".{name}{segments.ENDING}.tmp") for name in ("old", "new"))
    for unfinished in (old, new):
        unfinished.write_bytes(b"rows")
    os.utime(old, (time.time() - 90_000,) * 2)
    Cache(tmp_path).evict()
    assert (old.exists(), new.exists(), path.exists()) == (False, True, True)


def test_a_killed_writer_leaves_the_store_whole(tmp_path: Path) -> None:
    fill(Cache(tmp_path), range(3))
    script = (
        "import os, signal, sys, numpy as np; from pathlib import Path\n"
        "from distingo.datasets.cache.store import Cache\n"
        "with Cache(Path(sys.argv[1])).store('test', (4, 3), 'uint8').writer() as writer:\n"
        "    writer.add('0' * 32, np.zeros((4, 3), np.uint8)); os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False).returncode == -9
    keys = [key(number) for number in range(3)]
    assert Cache(tmp_path).store("test", (4, 3), "uint8").missing([*keys, "0" * 32]) == ["0" * 32]


def test_a_full_disk_is_said_in_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    array_store = cache.store("test", (1000,), "uint8")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
        with raises(ResourceError, code="disk_full"), array_store.writer() as writer:
            for number in range(100):
                writer.add(key(number), row(number, (1000,)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with raises(ResourceError, code="cannot_write"):
        fill(Cache(tmp_path / "file" / "cache"), range(1))
    assert (tmp_path / "file").read_text() == "in the way"


def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(Cache(tmp_path), range(1))

    def refuse(place: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(place))

    monkeypatch.setattr(store.os, "scandir", refuse)
    with raises(ResourceError, code="cannot_read"):
        Cache(tmp_path).store("test", (4, 3), "uint8").missing([key(0)])


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1000", 1000),
        ("20GB", 20 * 10**9),
        ("1.5 MiB", 3 * 2**19),
        ("7 b", 7),
        ("2kb", 2000),
        ("", 50 * 10**9),
    ],
)
def test_the_limit_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch, text: str, size: int) -> None:
    monkeypatch.setenv("DISTINGO_CACHE_LIMIT", text)
    assert Cache().limit_bytes == size


@pytest.mark.parametrize("text", ["much", "-3", "20 apples", "GB"])
def test_a_limit_that_is_no_size_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("DISTINGO_CACHE_LIMIT", text)
    with raises(UsageError, code="invalid_value"):
        Cache()


def test_the_place_follows_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISTINGO_CACHE", str(tmp_path / "own"))
    assert Cache().folder == tmp_path / "own"
    monkeypatch.delenv("DISTINGO_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert Cache().folder == tmp_path / "distingo"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert Cache().folder == tmp_path / "home" / ".cache" / "distingo"


def test_a_batch_is_gathered_as_fast_as_memory_is_copied(tmp_path: Path) -> None:
    shape = (224, 224, 3)
    array_store = Cache(tmp_path).store("pixels", shape, "uint8")
    with array_store.writer() as writer:
        for number in range(64):
            writer.add(key(number), np.full(shape, number, np.uint8))
    rows = array_store.rows([key(number) for number in range(64)])
    indices = np.random.default_rng(0).permutation(64)[:32]
    rows.take(indices)
    plain = np.stack([np.full(shape, number, np.uint8) for number in range(64)])

    def best(action: object) -> float:
        times = []
        for _ in range(15):
            start = time.perf_counter()
            action()  # type: ignore[operator]
            times.append(time.perf_counter() - start)
        return min(times)

    assert best(lambda: rows.take(indices)) < 4 * best(lambda: plain[indices]) + 1e-3


def test_rows_that_took_long_are_sealed_as_they_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("distingo.datasets.cache.store._SEGMENT_SECONDS", 0.0)
    store = Cache(tmp_path).store("slow", (2,), "float32")
    with store.writer() as writer:
        for number in range(3):
            writer.add(f"{number:032x}", np.full(2, number, np.float32))
            assert not Cache(tmp_path).store("slow", (2,), "float32").missing([f"{number:032x}"])
    assert store.rows([f"{2:032x}"]).take([0]).tolist() == [[2, 2]]


KEY = "0123456789abcdef" * 2


def test_bytes_come_back(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    assert load_bytes(cache, "kind", KEY) is None
    assert store_bytes(cache, "kind", KEY, b"\x00some bytes")
    found = load_bytes(cache, "kind", KEY)
    assert found is not None
    assert found.tobytes() == b"\x00some bytes"
    assert load_bytes(cache, "kind", KEY[::-1]) is None
    assert load_bytes(cache, "another", KEY) is None


@pytest.mark.parametrize("size", range(0, 100, 7))
def test_a_file_that_breaks_off_is_removed(tmp_path: Path, size: int) -> None:
    cache = Cache(tmp_path)
    store_bytes(cache, "kind", KEY, bytes(range(64)))
    (path,) = cache.list_segments()
    os.truncate(path, size)
    assert load_bytes(cache, "kind", KEY) is None
    assert not path.exists()


def test_it_counts_for_the_cache_s_limit(tmp_path: Path) -> None:
    cache = Cache(tmp_path, limit_bytes=2500)
    for at in range(4):
        store_bytes(cache, "kind", f"{at:032x}", bytes(1000))
        os.utime(tmp_path / "kind" / f"{at:032x}.segment", (at, at))
    store_bytes(cache, "kind", KEY, bytes(1000))
    assert len(cache.list_segments()) == 2
    assert load_bytes(cache, "kind", KEY) is not None


def test_a_place_that_can_t_be_written_keeps_nothing(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("in the way")
    assert not store_bytes(Cache(tmp_path / "cache"), "kind", KEY, b"x")
    assert load_bytes(Cache(tmp_path / "cache"), "kind", KEY) is None
