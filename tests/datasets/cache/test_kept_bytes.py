"""Bytes in the cache: whole or not at all, and evicted with the rest."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from distingo.datasets.cache.store import Cache, keep_bytes, recall_bytes

KEY = "0123456789abcdef" * 2


def test_bytes_come_back(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    assert recall_bytes(cache, "kind", KEY) is None
    assert keep_bytes(cache, "kind", KEY, b"\x00some bytes")
    found = recall_bytes(cache, "kind", KEY)
    assert found is not None
    assert found.tobytes() == b"\x00some bytes"
    assert recall_bytes(cache, "kind", KEY[::-1]) is None
    assert recall_bytes(cache, "another", KEY) is None


@pytest.mark.parametrize("size", range(0, 100, 7))
def test_a_file_that_breaks_off_is_removed(tmp_path: Path, size: int) -> None:
    cache = Cache(tmp_path)
    keep_bytes(cache, "kind", KEY, bytes(range(64)))
    (path,) = cache.list_segments()
    os.truncate(path, size)
    assert recall_bytes(cache, "kind", KEY) is None
    assert not path.exists()


def test_it_counts_for_the_cache_s_limit(tmp_path: Path) -> None:
    cache = Cache(tmp_path, limit_bytes=2500)
    for at in range(4):
        keep_bytes(cache, "kind", f"{at:032x}", bytes(1000))
        os.utime(tmp_path / "kind" / f"{at:032x}.segment", (at, at))
    keep_bytes(cache, "kind", KEY, bytes(1000))
    assert len(cache.list_segments()) == 2
    assert recall_bytes(cache, "kind", KEY) is not None


def test_a_place_that_can_t_be_written_keeps_nothing(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("in the way")
    assert not keep_bytes(Cache(tmp_path / "cache"), "kind", KEY, b"x")
    assert recall_bytes(Cache(tmp_path / "cache"), "kind", KEY) is None
