"""The change of variables is exact, and makes the quadratic it was made for round."""

from __future__ import annotations

import numpy as np
import pytest

from distingo.training.linear_models import solve_path
from distingo.training.preconditioning import Coordinates, precondition, products_where_worthwhile


def made_for(features: int = 12) -> tuple[np.ndarray, Coordinates]:
    generator = np.random.default_rng(0)
    rows = (generator.normal(size=(100, features)) * np.geomspace(10, 0.1, features)).astype(np.float32)
    products = products_where_worthwhile(rows, 3)
    assert products is not None
    return 0.2 * products + 0.5 * np.eye(features), precondition(products, curvature=0.2, ridge=0.5, n=100)


def test_there_and_back_is_where_it_began() -> None:
    _, coordinates = made_for()
    weights = np.random.default_rng(1).normal(size=(3, 13))
    np.testing.assert_allclose(coordinates.to_weights(coordinates.to_point(weights)), weights, rtol=1e-9)
    plain = Coordinates()
    assert plain.to_weights(plain.to_point(weights)) is weights


def test_the_gradient_is_that_of_the_function_in_the_new_coordinates() -> None:
    _, coordinates = made_for()
    generator = np.random.default_rng(1)
    slope, step = generator.normal(size=(3, 13)), generator.normal(size=(3, 13))
    along = (slope * coordinates.to_weights(step)).sum()  # a linear function's rise over a step
    assert (coordinates.pull_gradient(slope) * step).sum() == pytest.approx(along)


def test_the_quadratic_becomes_round() -> None:
    hessian, coordinates = made_for()
    axes = coordinates.to_weights(np.eye(13))[:12, :12]
    np.testing.assert_allclose(axes @ hessian @ axes.T, np.eye(12), atol=1e-3)


def test_a_small_problem_is_left_as_it_is() -> None:
    assert products_where_worthwhile(np.zeros((20, 50), np.float32), 2) is None
    assert precondition(None, curvature=1.0, ridge=1.0, n=20).factor is None


def test_products_of_fewer_pictures_than_features_can_be_factorised() -> None:
    rows = np.random.default_rng(0).normal(size=(5, 40)).astype(np.float32)
    coordinates = precondition(rows.T @ rows, curvature=1e3, ridge=1e-3, n=5)
    assert coordinates.factor is not None
    assert np.isfinite(coordinates.factor).all()


def test_it_saves_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    features = (generator.normal(size=(400, 40)) * np.geomspace(30, 0.1, 40)).astype(np.float32)
    targets = (features @ generator.normal(size=(40, 5)) / 20 + generator.normal(size=(400, 5)) > 0).argmax(axis=1)

    def steps() -> int:
        return sum(solution.iterations for solution in solve_path(features, targets, loss="softmax"))

    with_it = steps()
    monkeypatch.setattr("distingo.training.preconditioning._WORTHWHILE", 10**9)
    assert with_it < 0.6 * steps()
