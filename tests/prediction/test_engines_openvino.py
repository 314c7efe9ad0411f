"""A network that was converted once is kept, and read again instead of being converted."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from distingo.datasets.cache.store import Cache
from distingo.prediction import engines as openvino_engine
from distingo.prediction.engines import openvino_runner

pytest.importorskip("openvino")

SHAPE = (16, 12, 3)
PIXELS = np.random.default_rng(0).integers(0, 256, (37, *SHAPE), dtype=np.uint8)


def network(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()


def run(seed: int, cache: Cache | None, precision: str = "float32") -> np.ndarray:
    return openvino_runner(network(seed), SHAPE, precision, cache=cache, identity=str(seed))(PIXELS)


def test_a_later_start_neither_traces_nor_converts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = Cache(tmp_path / "cache")
    first = {precision: run(0, cache, precision) for precision in ("bfloat16", "float32")}
    monkeypatch.setattr(openvino_engine, "_convert", lambda *_: pytest.fail("converted again"))
    for precision, numbers in first.items():
        assert np.array_equal(run(0, cache, precision), numbers)
    monkeypatch.undo()
    assert not np.allclose(run(1, cache), first["float32"])
    assert np.array_equal(run(0, None), first["float32"])


@pytest.mark.parametrize("harm", ["cut", "flipped", "empty"])
def test_a_damaged_one_is_converted_anew(tmp_path: Path, harm: str) -> None:
    cache = Cache(tmp_path / "cache")
    expected = run(0, cache)
    (kept,) = cache.list_segments()
    content = bytearray(kept.read_bytes())
    content[100] ^= 1
    kept.write_bytes({"cut": content[:-30], "flipped": content, "empty": b""}[harm])
    assert np.array_equal(run(0, cache), expected)
    assert len(cache.list_segments()) == 1
    assert np.array_equal(run(0, cache), expected)


def test_a_cache_that_can_t_be_written_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("in the way")
    assert np.array_equal(run(0, Cache(tmp_path / "cache")), run(0, None))


def test_threads_do_not_mix_up_their_images() -> None:
    runner = openvino_runner(network(0), SHAPE, "float32", cache=None, identity="")
    expected = runner(PIXELS)
    with ThreadPoolExecutor(8) as pool:
        parts = list(pool.map(lambda at: runner(PIXELS[at : at + 1 + at % 5]), range(32)))
    for at, part in enumerate(parts):
        assert np.array_equal(part, expected[at : at + 1 + at % 5])
