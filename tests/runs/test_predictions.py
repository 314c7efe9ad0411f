from __future__ import annotations

from pathlib import Path

import numpy as np

from distingo.errors import RunError
from distingo.runs.predictions import StoredHeatMap, read_heat_maps, write_heat_maps
from raising import raises


def test_maps_come_back(tmp_path: Path) -> None:
    values = np.random.default_rng(0).random((3, 5)).astype(np.float32)
    kept = StoredHeatMap("猫/a|b.png", "chat, noir", (0.1, 0.0, 0.9, 1.0), values)
    write_heat_maps(
        [kept, StoredHeatMap("x", "y", (0, 0, 1, 1), np.zeros((1, 1), np.float32))], tmp_path / "maps.parquet"
    )
    found = read_heat_maps(tmp_path / "maps.parquet")
    assert list(found) == [("猫/a|b.png", "chat, noir"), ("x", "y")]
    again = found["猫/a|b.png", "chat, noir"]
    assert again.seen == kept.seen
    assert np.abs(again.values - values).max() <= 0.0006


def test_no_file_is_no_maps_and_a_damaged_one_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "heat_maps.parquet"
    assert read_heat_maps(path) == {}
    write_heat_maps([], path)
    assert read_heat_maps(path) == {}
    path.write_bytes(b"PAR1 and no more")
    with raises(RunError, code="checksum_differs"):
        read_heat_maps(path)
    (tmp_path / "checksums.json").unlink()
    with raises(RunError, code="damaged_file"):
        read_heat_maps(path)
