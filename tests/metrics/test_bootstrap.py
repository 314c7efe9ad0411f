"""Resampling draws pictures evenly, and intervals stay honest where it has nothing to vary."""

from __future__ import annotations

import numpy as np
import pytest

from distingo.metrics.intervals import chunks, with_interval


@pytest.mark.parametrize(("resamples", "each"), [(1000, 1), (1000, 3_000_000), (7, 1_900_000), (0, 5)])
def test_chunks_cover_all_resamples(resamples: int, each: int) -> None:
    sizes = list(chunks(resamples, each))
    assert sum(sizes) == resamples
    assert all(size * each <= max(each, 4_000_000) for size in sizes)


def test_an_interval_contains_its_score_and_ignores_undefined_resamples() -> None:
    score = with_interval(0.9, np.append(np.linspace(0, 0.8, 101), np.nan), 10)
    assert (score.low, score.value, score.high, score.n) == (pytest.approx(0.02), 0.9, 0.9, 10)
    nothing = with_interval(0.4, np.full(3, np.nan), 10)
    assert (nothing.low, nothing.high) == (0.0, 1.0)
