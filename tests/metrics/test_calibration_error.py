from __future__ import annotations

import numpy as np
import pytest

from distingo.metrics.calibration import judge_calibration


def sigmoid(values: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-values))


def draw(n: int, seed: int, *, slope: float) -> tuple[np.ndarray, np.ndarray, float]:
    generator = np.random.default_rng(seed)
    logits = np.abs(generator.normal(2, 1.5, n))
    said, true = sigmoid(logits), sigmoid(logits / slope)
    return said, generator.random(n) < true, float(np.abs(said - true).mean())


def test_perfect_probabilities_have_no_error_however_few_pictures() -> None:
    found = [judge_calibration(*draw(150, seed, slope=1.0)[:2], draws=300).error for seed in range(40)]
    assert np.median([score.value for score in found]) < 0.02
    assert np.mean([score.low == 0 for score in found]) > 0.9


def test_the_interval_holds_the_true_error() -> None:
    inside = []
    for seed in range(40):
        said, right, true = draw(300, seed, slope=2.0)
        score = judge_calibration(said, right, draws=300).error
        inside.append(score.low <= true <= score.high)
    assert np.mean(inside) >= 0.85


def test_many_pictures_show_the_error_itself() -> None:
    said, right, true = draw(20_000, 0, slope=2.0)
    score = judge_calibration(said, right).error
    assert score.value == pytest.approx(true, abs=0.01)
    assert score.n == 20_000


def test_bins_hold_equally_many_and_equal_probabilities_stay_together() -> None:
    said, right, _ = draw(600, 0, slope=1.0)
    bins = judge_calibration(said, right).bins
    assert [entry.count for entry in bins] == [40] * 15
    assert all(entry.low <= entry.frequency <= entry.high for entry in bins)
    (one,) = judge_calibration(np.full(100, 0.7), np.arange(100) < 60).bins
    assert (one.count, one.probability, one.frequency) == (100, pytest.approx(0.7), 0.6)
    assert len(judge_calibration(said[:5], right[:5]).bins) == 1


def test_labels_of_one_picture_count_as_one_piece_of_news() -> None:
    """Ten copies of the same label are no better known than one."""
    said, right, _ = draw(200, 0, slope=2.0)
    once = judge_calibration(said, right).error
    often = judge_calibration(np.tile(said[:, None], 10), np.tile(right[:, None], 10)).error
    assert often.n == 200
    assert often.high - often.low == pytest.approx(once.high - once.low, rel=0.35)


def test_arrays_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="truth of shape"):
        judge_calibration(np.ones(3), np.ones(2, bool))
