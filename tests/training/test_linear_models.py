from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, softmax
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC
from threadpoolctl import threadpool_info, threadpool_limits

from distingo.training import linear_models
from distingo.training.linear_models import (
    Coordinates,
    Solution,
    axes_where_worthwhile,
    fit_standardization,
    precondition,
    solve_path,
)


def clusters(n: int, classes: int, features: int = 30, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    means = np.random.default_rng(99).normal(size=(classes, features))
    targets = np.arange(n) % classes
    rows = means[targets] + 2 * generator.normal(size=(n, features)) * np.geomspace(3, 0.1, features) + 5
    return rows.astype(np.float32), targets


def last(path: object) -> Solution:
    return list(path)[-1]  # type: ignore[call-overload]


@pytest.mark.parametrize("regularization", [1e-3, 0.1, 10.0])
@pytest.mark.parametrize(("classes", "n"), [(3, 200), (5, 25)])
def test_multinomial_regression_is_scikit_learns(classes: int, n: int, regularization: float) -> None:
    features, targets = clusters(n, classes)
    unseen, _ = clusters(100, classes, seed=1)
    standardize = fit_standardization(features).apply
    expected = LogisticRegression(C=regularization, tol=1e-8, max_iter=10_000)
    expected.fit(standardize(features).astype(np.float64), targets)

    solution = next(solve_path(features, targets, loss="softmax", regularizations=(regularization,)))

    assert solution.converged
    probabilities = softmax(solution.decide(unseen), axis=1)
    np.testing.assert_allclose(probabilities, expected.predict_proba(standardize(unseen)), atol=2e-3)
    scale = fit_standardization(features).scale

    def objective(chances: np.ndarray, weight: np.ndarray) -> float:
        return float(-regularization * np.log(chances[np.arange(n), targets]).sum() + (weight**2).sum() / 2)

    best = objective(expected.predict_proba(standardize(features)), expected.coef_)
    ours = objective(softmax(solution.decide(features).astype(np.float64), axis=1), solution.weight * scale)
    assert ours == pytest.approx(best, rel=1e-4)


def test_labels_solved_together_are_labels_solved_alone() -> None:
    features, _ = clusters(150, 3)
    generator = np.random.default_rng(4)
    targets = (features[:, :6] + generator.normal(size=(150, 6)) > [5, 5, 6, 7, 8, 10]).astype(np.float32)
    weights = generator.uniform(0.5, 2, targets.shape).astype(np.float32)
    rows = fit_standardization(features).apply(features).astype(np.float64)

    solution = next(solve_path(features, targets, loss="sigmoid", weights=weights, regularizations=(0.3,)))

    for label in range(6):
        alone = LogisticRegression(C=0.3, tol=1e-8, max_iter=10_000)
        alone.fit(rows, targets[:, label], sample_weight=weights[:, label])
        expected = alone.predict_proba(rows)[:, 1]
        np.testing.assert_allclose(expit(solution.decide(features)[:, label]), expected, atol=3e-3)


def test_the_svm_is_scikit_learns() -> None:
    features, targets = clusters(120, 3)
    rows = fit_standardization(features).apply(features).astype(np.float64)
    # liblinear penalises the intercept; scaled so, hardly.
    expected = LinearSVC(C=0.05, intercept_scaling=100, tol=1e-8, max_iter=200_000, dual=False).fit(rows, targets)
    one_hot = np.eye(3, dtype=np.float32)[targets]
    solution = next(solve_path(features, one_hot, loss="squared-hinge", regularizations=(0.05,)))
    np.testing.assert_allclose(solution.decide(features), expected.decision_function(rows), atol=5e-3)


def test_the_path_ends_where_a_cold_start_does() -> None:
    features, targets = clusters(100, 4)
    warm = last(solve_path(features, targets, loss="softmax", regularizations=(1e-3, 1e-2, 1e-1, 1.0)))
    cold = last(solve_path(features, targets, loss="softmax", regularizations=(1.0,)))
    chances = [softmax(solution.decide(features), axis=1) for solution in (warm, cold)]
    np.testing.assert_allclose(*chances, atol=3e-3)


def test_the_limit_of_iterations_is_owned_up_to() -> None:
    features, targets = clusters(100, 4)
    stopped = next(solve_path(features, targets, loss="softmax", regularizations=(1.0,), iterations=2))
    assert not stopped.converged
    assert stopped.iterations == 2


def test_equal_input_gives_equal_bytes() -> None:
    features, targets = clusters(100, 4)
    first, again = (last(solve_path(features, targets, loss="softmax")) for _ in range(2))
    assert first.weight.tobytes() == again.weight.tobytes()
    assert first.intercept.tobytes() == again.intercept.tobytes()


@pytest.mark.parametrize("loss", ["sigmoid", "squared-hinge"])
def test_features_that_never_vary_leave_the_intercept(loss: str) -> None:
    features = np.full((10, 4), 3.0, np.float32)
    targets = (np.arange(10) < 5).astype(np.float32)[:, None]
    solution = next(solve_path(features, targets, loss=loss, regularizations=(1.0,)))  # type: ignore[arg-type]
    np.testing.assert_allclose(solution.decide(features), 0, atol=1e-3)


def test_pools_of_threads_do_not_wait_for_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """numpy's idle threads spun while SciPy's computed: ten times the seconds on two cores."""
    seen: set[int] = set()
    plain = linear_models._softmax_loss

    def watched(*inputs: np.ndarray) -> linear_models.Measured:
        seen.update(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas")
        return plain(*inputs)

    monkeypatch.setattr(linear_models, "_softmax_loss", watched)
    with threadpool_limits(2, user_api="blas"):
        before = threadpool_info()
        last(solve_path(*clusters(60, 3), loss="softmax"))
        assert threadpool_info() == before
    assert seen == {1}


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
