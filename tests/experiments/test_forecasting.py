"""Forecasts of curves whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from distingo.experiments.forecasting import ResampledCurve, extrapolate, forecast

SIZES = np.geomspace(40, 960, 8).round()


def simulate(level: float, rate: float, seed: int, evaluated: int = 1000) -> tuple[ResampledCurve, np.ndarray]:
    """A curve measured on so many images, all sizes on the same ones, and the true scores at 2 and 5 times."""
    generator = np.random.default_rng(seed)

    def error(sizes: np.ndarray) -> np.ndarray:
        return level + 0.5 * (sizes / 40) ** -rate

    hardness = generator.uniform(size=evaluated)[:, None] + generator.normal(scale=0.05, size=(evaluated, len(SIZES)))
    right = hardness > error(SIZES)
    drawn = generator.multinomial(evaluated, np.full(evaluated, 1 / evaluated), size=300)
    curve = ResampledCurve(right.mean(axis=0), drawn @ right / evaluated)
    return curve, 1 - error(SIZES[-1] * np.array([2.0, 5.0]))


@pytest.mark.slow
@pytest.mark.parametrize(("level", "rate"), [(0.0, 0.3), (0.1, 0.5), (0.05, 1.0), (0.2, 0.7)])
def test_the_truth_is_inside_the_interval(level: float, rate: float) -> None:
    hits = []
    for seed in range(20):
        curve, truth = simulate(level, rate, seed)
        found = extrapolate(curve, SIZES, np.array([2.0, 5.0]))
        low, high = np.quantile(found.scores, (0.025, 0.975), axis=0)
        hits.append((low <= truth) & (truth <= high))
    assert np.mean(hits, axis=0)[0] >= 0.8
    assert np.mean(hits, axis=0)[1] >= 0.7


def test_a_forecast_is_ready_to_be_read() -> None:
    curve, _ = simulate(0.1, 0.5, 0)
    found = forecast("grass", 1000, curve, SIZES, np.array([2.0, 5.0]))
    assert (found.name, found.support) == ("grass", 1000)
    assert [entry.size for entry in found.measured] == SIZES.astype(int).tolist()
    assert [entry.size for entry in found.forecasts] == [1920, 4800]
    assert found.now.value == pytest.approx(curve.points[-1])
    for entry in found.forecasts:
        assert entry.score.low < entry.score.value < entry.score.high
        assert 0 <= entry.gain.low <= entry.gain.value
        assert entry.gain.high - entry.gain.low < entry.score.high - entry.score.low
    assert (found.band[0].size, found.band[-1].size) == (960, 4800)
    assert found.forecasts[1].score.value == pytest.approx(found.band[-1].score.value)


def test_what_does_not_grow_is_not_promised_to() -> None:
    generator = np.random.default_rng(0)
    flat = ResampledCurve(np.full(8, 0.7), 0.7 + 0.01 * generator.normal(size=(300, 1)) + np.zeros((1, 8)))
    found = forecast("", 500, flat, SIZES, np.array([2.0, 5.0]))
    assert found.forecasts[1].gain.value == pytest.approx(0, abs=2e-3)
