"""Shapes are found again in curves that were made of them."""

from __future__ import annotations

import numpy as np
import pytest

from distingo.experiments.forecasting import SHAPES, fit_shape

X = np.geomspace(1 / 24, 1, 8)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_a_shape_without_noise_is_found_again(shape: object) -> None:
    rate = shape.rates[len(shape.rates) // 2]  # type: ignore[attr-defined]
    level = 0.05 if shape.asymptote else 0.0  # type: ignore[attr-defined]
    errors = level + 0.1 * shape.fall(X, rate)  # type: ignore[attr-defined]
    fitted = fit_shape(shape, X, np.stack([errors, errors + 0.01]), np.ones(8))  # type: ignore[arg-type]
    assert fitted.rate[0] == pytest.approx(rate)
    assert fitted.squared_error[0] == pytest.approx(0, abs=1e-12)
    further = np.array([2.0, 5.0])
    np.testing.assert_allclose(fitted.at(further)[0], level + 0.1 * shape.fall(further, rate), rtol=1e-6)  # type: ignore[attr-defined]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_errors_never_grow_and_never_fall_below_nothing(shape: object) -> None:
    curves = np.random.default_rng(0).uniform(0, 0.5, (50, 8))
    fitted = fit_shape(shape, X, curves, np.ones(8))  # type: ignore[arg-type]
    told = fitted.at(np.geomspace(1 / 24, 100, 40))
    assert (told >= 0).all()
    assert (np.diff(told, axis=1) <= 1e-12).all()


def test_the_best_level_and_height_are_least_squares() -> None:
    errors = np.random.default_rng(1).uniform(0.2, 0.3, (1, 8)) + 0.1 * X**-0.5
    weights = np.linspace(1, 3, 8)
    root = next(shape for shape in SHAPES if shape.name == "root with asymptote")
    fitted = fit_shape(root, X, errors, weights)
    design = np.stack([np.ones(8), X**-0.5], axis=1) * np.sqrt(weights)[:, None]
    expected, *_ = np.linalg.lstsq(design, errors[0] * np.sqrt(weights), rcond=None)
    assert (fitted.level[0], fitted.height[0]) == pytest.approx(tuple(expected))
