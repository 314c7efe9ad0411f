from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from distingo.errors import RunError
from distingo.models.reference_data import NEIGHBORS, build_bank
from distingo.models.saved import load_bank, save_bank
from raising import raises


def hashes(count: int) -> tuple[str, ...]:
    return tuple(f"{number:032x}" for number in range(count))


def clouds(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, 12)).astype(np.float32)


def test_nearest_rows_are_those_of_a_plain_search() -> None:
    bank = build_bank(clouds(50, 0), hashes(50), unit=False)
    asked = clouds(7, 1)
    rows, distances = bank.nearest(asked, 5)
    stored = bank.rows.astype(np.float64)
    plain = np.linalg.norm(bank.place(asked).astype(np.float64)[:, None] - stored, axis=2)
    np.testing.assert_array_equal(rows, plain.argsort(axis=1)[:, :5])
    np.testing.assert_allclose(distances, np.sort(plain, axis=1)[:, :5], atol=1e-3)
    np.testing.assert_allclose(bank.distances(asked), distances[:, NEIGHBORS - 1])


def test_a_network_s_features_are_compared_by_direction() -> None:
    features = clouds(30, 0)
    bank = build_bank(features, hashes(30), unit=True)
    np.testing.assert_allclose(np.linalg.norm(bank.rows.astype(np.float32), axis=1), 1, atol=2e-3)
    rows, distances = bank.nearest(100 * features, 1)
    np.testing.assert_array_equal(rows[:, 0], np.arange(30))
    assert distances.max() < 2e-3


def test_a_constant_feature_is_left_alone() -> None:
    features = clouds(20, 0)
    features[:, 3] = 7
    bank = build_bank(features, hashes(20), unit=False)
    assert np.isfinite(bank.rows).all()
    assert bank.rows[:, 3].max() == 0


def test_fewer_rows_than_neighbors_are_enough() -> None:
    bank = build_bank(clouds(2, 0), hashes(2), unit=True)
    assert bank.nearest(clouds(4, 1), 3)[0].shape == (4, 2)
    assert bank.distances(clouds(4, 1)).shape == (4,)
    assert bank.distances(clouds(0, 1)).shape == (0,)


def test_a_bank_comes_back_with_its_hashes(tmp_path: Path) -> None:
    bank = build_bank(clouds(9, 0), hashes(9), unit=False)
    save_bank(tmp_path, bank)
    loaded = load_bank(tmp_path)
    assert loaded is not None
    assert (loaded.contents, loaded.unit) == (bank.contents, bank.unit)
    for name in ("rows", "center", "scale"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(bank, name))


def test_no_bank_is_none_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    assert load_bank(tmp_path) is None
    save_bank(tmp_path, build_bank(clouds(9, 0), hashes(9), unit=False))
    path = tmp_path / "bank.safetensors"
    path.write_bytes(path.read_bytes()[:-40])
    with raises(RunError, code="checksum_differs", naming="bank.safetensors"):
        load_bank(tmp_path)


def test_other_features_and_missing_hashes_are_refused() -> None:
    bank = build_bank(clouds(9, 0), hashes(9), unit=False)
    with pytest.raises(ValueError, match="12 features"):
        bank.distances(np.zeros((1, 3), np.float32))
    with pytest.raises(ValueError, match="9 rows of features for 8 pictures"):
        build_bank(clouds(9, 0), hashes(8), unit=False)
