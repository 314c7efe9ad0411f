"""Resampling draws pictures evenly, and intervals stay honest where it has nothing to vary."""

from __future__ import annotations

import numpy as np
import pytest

from distingo.metrics import bootstrap
from distingo.metrics.bootstrap import chunks, resampled_counts, wilson, with_interval


@pytest.mark.parametrize(("resamples", "each"), [(1000, 1), (1000, 3_000_000), (7, 1_900_000), (0, 5)])
def test_chunks_cover_all_resamples(resamples: int, each: int) -> None:
    sizes = list(chunks(resamples, each))
    assert sum(sizes) == resamples
    assert all(size * each <= max(each, 4_000_000) for size in sizes)


def test_every_picture_is_drawn_once_on_average(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "_NUMBERS_AT_ONCE", 700)
    parts = list(resampled_counts(50, np.random.default_rng(0), 2000, numbers_each=60))
    counts = np.concatenate(parts)
    assert counts.shape == (2000, 50)
    assert len(parts) == 182
    assert (counts.sum(axis=1) == 50).all()
    np.testing.assert_allclose(counts.mean(axis=0), 1, atol=0.1)
    assert counts.var(axis=0).mean() == pytest.approx(0.98, abs=0.03)  # of a multinomial: 1 - 1 / n


def test_an_interval_contains_its_score_and_ignores_undefined_resamples() -> None:
    score = with_interval(0.9, np.append(np.linspace(0, 0.8, 101), np.nan), 10)
    assert (score.low, score.value, score.high, score.n) == (pytest.approx(0.02), 0.9, 0.9, 10)
    nothing = with_interval(0.4, np.full(3, np.nan), 10)
    assert (nothing.low, nothing.high) == (0.0, 1.0)


def test_wilsons_interval() -> None:
    assert wilson(0, 10) == (0.0, pytest.approx(0.2775, abs=1e-4))
    assert wilson(10, 10) == (pytest.approx(0.7225, abs=1e-4), 1.0)
    assert wilson(5, 10) == (pytest.approx(0.2366, abs=1e-4), pytest.approx(0.7634, abs=1e-4))
