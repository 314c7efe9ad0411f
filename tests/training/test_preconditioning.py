"""The change of variables is exact, and makes the quadratic it was made for round."""

from __future__ import annotations

import numpy as np
import pytest

from distingo.training.linear_models import Coordinates, axes_where_worthwhile, precondition, solve_path


def made_for(features: int = 12) -> tuple[np.ndarray, Coordinates]:
    generator = np.random.default_rng(0)
    rows = (generator.normal(size=(100, features)) * np.geomspace(10, 0.1, features)).astype(np.float32)
    axes = axes_where_worthwhile(rows, 3)
    assert axes is not None
    rotated = axes.rotate(rows)
    hessian = 0.2 * rotated.T @ rotated + 0.5 * np.eye(features)
    return hessian, precondition(axes, curvature=0.2, ridge=0.5, n=100)


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
    assert axes_where_worthwhile(np.zeros((20, 50), np.float32), 2) is None
    assert precondition(None, curvature=1.0, ridge=1.0, n=20).scales is None


def test_rows_that_never_vary_have_no_axes() -> None:
    assert axes_where_worthwhile(np.zeros((20, 4), np.float32), 5) is None


@pytest.mark.parametrize(("n", "features", "rank"), [(12, 40, 11), (40, 12, 12)])
def test_the_axes_span_all_that_the_rows_tell(n: int, features: int, rank: int) -> None:
    rows = np.random.default_rng(0).normal(size=(n, features)).astype(np.float32)
    rows -= rows.mean(axis=0)
    axes = axes_where_worthwhile(rows, 6)
    assert axes is not None
    assert axes.directions.shape == (features, rank)
    np.testing.assert_allclose(axes.directions.T @ axes.directions, np.eye(rank), atol=1e-5)
    rotated = axes.rotate(rows)
    np.testing.assert_allclose(axes.weights(rotated.astype(np.float64)), rows, atol=1e-4)
    np.testing.assert_allclose((rotated**2).sum(axis=0), axes.products, rtol=1e-4)


def test_it_saves_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    features = (generator.normal(size=(400, 40)) * np.geomspace(30, 0.1, 40)).astype(np.float32)
    targets = (features @ generator.normal(size=(40, 5)) / 20 + generator.normal(size=(400, 5)) > 0).argmax(axis=1)

    def steps() -> int:
        return sum(solution.iterations for solution in solve_path(features, targets, loss="softmax"))

    with_it = steps()
    monkeypatch.setattr("distingo.training.linear_models._WORTHWHILE", 10**9)
    assert with_it < 0.6 * steps()
