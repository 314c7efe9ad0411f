"""Logistic regression and linear SVM, solved to convergence over a path of regularizations.

The solver works along the principal axes of the rows, scaled so that the objective is well conditioned and converges in
few steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from distingo.metrics.logits import softmax

Floats32 = npt.NDArray[np.float32]

Floats = npt.NDArray[np.float64]

_WORTHWHILE = 4
"""Finding the axes pays off if rows times outputs exceed this multiple of the rank."""

_ROUNDING = 1e-7
"""Fraction of the total variance below which an axis is only float32 rounding error."""


@dataclass(frozen=True, slots=True)
class PrincipalAxes:
    """Principal axes of centered rows.

    An L2-regularized classifier has no weight along any other direction, so it can be solved in these coordinates
    alone.
    If there are fewer rows than features, there are only as many axes as rows.

    Attributes:
        directions: Float32 (features, axes), orthonormal columns.
        products: Float64 (axes,): the rows' sum of squares along each axis.
    """

    directions: Floats32
    products: Floats

    def rotate(self, rows: Floats32) -> Floats32:
        """Project rows, float32 (n, features), onto the axes: (n, axes)."""
        rotated: Floats32 = rows @ self.directions
        return rotated

    def weights(self, along: Floats) -> Floats:
        """Convert weights of axes (outputs, axes) to weights of features (outputs, features)."""
        weights: Floats = along @ self.directions.T.astype(np.float64)
        return weights


def axes_where_worthwhile(rows: Floats32, outputs: int) -> PrincipalAxes | None:
    """Return the axes of centered rows, float32 (n, features), or None if finding them costs more than it saves."""
    from scipy.linalg import eigh

    n, features = rows.shape
    if n * outputs <= _WORTHWHILE * min(n, features):
        return None
    if n >= features:
        products, directions = eigh(rows.T @ rows, overwrite_a=True, check_finite=False)
    else:
        products, mixtures = eigh(rows @ rows.T, overwrite_a=True, check_finite=False)
        directions = rows.T @ mixtures
    is_significant = products > _ROUNDING * max(float(products.sum()), 0.0)
    if not is_significant.any():
        return None
    significant_directions = np.ascontiguousarray(directions[:, is_significant], np.float32)
    significant_directions /= np.linalg.norm(significant_directions, axis=0)
    return PrincipalAxes(significant_directions, products[is_significant].astype(np.float64))


@dataclass(frozen=True, slots=True)
class Coordinates:
    """Scaled coordinates of weights and intercept, with the same scales for every output.

    Attributes:
        scales: Float64 (axes,): approximate square roots of the Hessian along the axes; None for unscaled coordinates.
        intercept: Approximate square root of the second derivative by the intercept.
    """

    scales: Floats | None = None
    intercept: float = 1.0

    def to_weights(self, point: Floats) -> Floats:
        """Convert a point in these coordinates to weights and intercepts; both (outputs, axes + 1)."""
        return point if self.scales is None else point / self._all

    def pull_gradient(self, gradient: Floats) -> Floats:
        """Convert the gradient by weights and intercepts to these coordinates; both (outputs, axes + 1)."""
        return gradient if self.scales is None else gradient / self._all

    def to_point(self, weights: Floats) -> Floats:
        """Convert weights and intercepts to these coordinates; both (outputs, axes + 1)."""
        return weights if self.scales is None else weights * self._all

    @property
    def _all(self) -> npt.NDArray[Any]:
        return np.append(self.scales if self.scales is not None else 1.0, self.intercept)


def precondition(axes: PrincipalAxes | None, *, curvature: float, ridge: float, n: int) -> Coordinates:
    """Return coordinates in which ``curvature * products + ridge`` becomes the identity.

    Args:
        axes: Axes of the centered rows; None for unscaled coordinates.
        curvature: Mean second derivative of the loss by a logit.
        ridge: Second derivative of the penalty.
        n: Number of rows.
    """
    if axes is None:
        return Coordinates()
    return Coordinates(np.sqrt(curvature * axes.products + ridge), float(np.sqrt(curvature * n + ridge)))


Loss = Literal["softmax", "sigmoid", "squared-hinge"]

REGULARIZATIONS = tuple(float(f"{10 ** (step / 2):.3g}") for step in range(-8, 5))
"""scikit-learn's C from strong to weak regularization, with two values per decade."""

ITERATIONS = 1000

_DECREASE = 1e-9
"""The solver has converged if a step reduces the objective by less than this fraction of its initial value."""

_GRADIENT = 1e-7
"""The solver has also converged if no entry of the scaled objective's gradient exceeds this."""

_LIMIT_REACHED = 1
"""SciPy's status if the limit is reached. Status 2 counts as converged: float32's rounding prevents a better step."""


@dataclass(frozen=True, slots=True)
class Solution:
    """A linear classifier of raw features: ``features @ weight.T + intercept``.

    Attributes:
        regularization: scikit-learn's C.
        weight: Float32 (outputs, features).
        intercept: Float32 (outputs,).
        converged: Whether the optimum was reached within the iteration limit.
        iterations: Number of iterations.
    """

    regularization: float
    weight: Floats32
    intercept: Floats32
    converged: bool
    iterations: int

    def decide(self, features: Floats32) -> Floats32:
        """Compute margins or logits, float32 (n, outputs), of features, float32 (n, features)."""
        margins: Floats32 = features @ self.weight.T + self.intercept
        return margins


@dataclass(frozen=True, slots=True)
class Standardization:
    """Centering and a common scale for all features, applied before regularization.

    Usually each feature is divided by its own standard deviation, but few images estimate it badly. A common scale
    keeps the embedding's geometry. It was as good or better in all experiments, by ten points with one image per class.

    Attributes:
        mean: Float32 (features,).
        scale: Square root of the features' mean variance; 1 if nothing varies.
    """

    mean: Floats32
    scale: float

    def apply(self, features: Floats32) -> Floats32:
        """Standardize features; returns float32 (n, features)."""
        standardized = features - self.mean
        standardized /= np.float32(self.scale)
        return standardized

    def fold(self, weight: Floats, intercept: Floats) -> tuple[Floats32, Floats32]:
        """Convert a classifier of standardized features to the same classifier of raw features."""
        raw = weight / self.scale
        return raw.astype(np.float32), (intercept - raw @ self.mean.astype(np.float64)).astype(np.float32)


def fit_standardization(features: Floats32) -> Standardization:
    """Compute the mean and common scale of features (n, features), with sums in float64."""
    mean = features.mean(axis=0, dtype=np.float64)
    scale = float(np.sqrt(features.var(axis=0, dtype=np.float64).mean()))
    return Standardization(mean.astype(np.float32), scale if scale > 0 else 1.0)


def solve_path(
    features: Floats32,
    targets: npt.NDArray[Any],
    *,
    loss: Loss,
    weights: Floats32 | None = None,
    regularizations: tuple[float, ...] = REGULARIZATIONS,
    iterations: int = ITERATIONS,
    axes: PrincipalAxes | None = None,
) -> Iterator[Solution]:
    """Solve for one regularization after another, each starting from the previous solution.

    Minimizes scikit-learn's ``C * sum(weight * loss) + ||coefficients||^2 / 2`` over the standardized features, without
    a penalty on the intercept (`Standardization`), with L-BFGS (Byrd, Lu, Nocedal and Zhu 1995) along the rows'
    principal axes,
    scaled so that the objective is well conditioned. Features are float32; the objective and the steps are summed in
    float64.

    Args:
        features: Float32 (n, features).
        targets: int64 class numbers (n,) for ``softmax``; otherwise 0/1 (n, outputs), where each output is a separate
            problem.
        loss: ``softmax`` (multinomial), ``sigmoid`` (binary cross-entropy) or ``squared-hinge`` (linear SVM).
        weights: Sample weights, float32, of the targets' shape; None weights all equally.
        regularizations: Values of C, ascending.
        iterations: Iteration limit for each value of C.
        axes: Axes of a set of rows that includes these (`common_axes`), instead of the axes of these rows.

    Yields:
        One solution for each regularization.
    """
    from scipy.optimize import minimize
    from threadpoolctl import threadpool_limits

    standardization = fit_standardization(features)
    rows = standardization.apply(features)
    outputs = int(targets.max()) + 1 if targets.ndim == 1 else targets.shape[1]
    measure = _bind_loss(loss, targets, weights)
    with threadpool_limits(1, user_api="blas"):
        axes = axes or axes_where_worthwhile(rows, outputs)
        rows = rows if axes is None else axes.rotate(rows)
    matrix = np.zeros((outputs, rows.shape[1] + 1))
    for regularization in regularizations:
        # numpy and SciPy have separate thread pools, and the idle threads of one busy-wait while the other computes
        with threadpool_limits(1, user_api="blas"):
            curvature = _mean_curvature(loss, _logits(rows, matrix), targets, weights)
            coordinates = precondition(axes, curvature=curvature, ridge=1 / regularization, n=len(rows))
            objective = _Objective(rows, measure, 1 / regularization, coordinates, outputs)
            start = coordinates.to_point(matrix).ravel()
            objective = replace(objective, unit=max(objective(start)[0], 1e-300))
            iteration_limits = {"maxiter": iterations, "maxfun": 2 * iterations}
            options = {**iteration_limits, "gtol": _GRADIENT, "ftol": _DECREASE, "maxcor": 10}
            result = minimize(objective, start, jac=True, method="L-BFGS-B", options=options)
            matrix = coordinates.to_weights(result.x.reshape(outputs, -1))
        weight = matrix[:, :-1] if axes is None else axes.weights(matrix[:, :-1])
        raw, intercept = standardization.fold(weight, matrix[:, -1])
        converged = bool(result.status != _LIMIT_REACHED and np.isfinite(result.fun))
        yield Solution(regularization, raw, intercept, converged, int(result.nit))


def common_axes(features: Floats32, outputs: int) -> PrincipalAxes | None:
    """Compute the axes of features, float32 (n, features), once, to solve for several subsets of them.

    Returns None if the axes would cost more than they save (see `axes_where_worthwhile`).
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, user_api="blas"):
        return axes_where_worthwhile(fit_standardization(features).apply(features), outputs)


LossAndGradient = tuple[float, Floats32]
"""A loss summed over all rows, and its gradient by the logits, float32 (n, outputs)."""


@dataclass(frozen=True, slots=True)
class _Objective:
    """The scaled objective divided by C, and its gradient, as functions of the flattened coordinates."""

    rows: Floats32
    measure: Callable[[Floats32], LossAndGradient]
    ridge: float
    coordinates: Coordinates
    outputs: int
    unit: float = 1.0

    def __call__(self, packed: Floats) -> tuple[float, Floats]:
        matrix = self.coordinates.to_weights(packed.reshape(self.outputs, -1))
        weight = matrix[:, :-1]
        loss, residuals = self.measure(_logits(self.rows, matrix))
        value = (loss + self.ridge * float(np.vdot(weight, weight)) / 2) / self.unit
        gradient = np.empty_like(matrix)
        gradient[:, :-1] = np.ascontiguousarray(residuals.T) @ self.rows
        gradient[:, :-1] += self.ridge * weight
        gradient[:, -1] = residuals.sum(axis=0, dtype=np.float64)
        gradient /= self.unit
        return value, self.coordinates.pull_gradient(gradient).ravel()


def _logits(rows: Floats32, matrix: Floats) -> Floats32:
    single = matrix.astype(np.float32)
    logits: Floats32 = rows @ np.ascontiguousarray(single[:, :-1].T)
    logits += single[:, -1]
    return logits


def _mean_curvature(loss: Loss, logits: Floats32, targets: npt.NDArray[Any], weights: Floats32 | None) -> float:
    """Return the mean second derivative of the loss by a logit, bounded away from 0 for fits without errors."""
    sample_weights = np.ones(1, np.float32) if weights is None else weights
    if loss == "squared-hinge":
        curvatures = 2.0 * (np.where(targets > 0, logits, -logits) < 1)
    else:
        shares = softmax(logits) if loss == "softmax" else 1 / (1 + np.exp(-np.abs(logits)))
        curvatures = shares * (1 - shares)
    if curvatures.ndim > sample_weights.ndim:
        sample_weights = sample_weights[:, None]
    return max(float((curvatures * sample_weights).mean()), 1e-4)


def _bind_loss(
    loss: Loss, targets: npt.NDArray[Any], weights: Floats32 | None
) -> Callable[[Floats32], LossAndGradient]:
    sample_weights = np.ones(targets.shape, np.float32) if weights is None else weights.astype(np.float32)
    if loss == "softmax":
        return lambda logits: _softmax_loss(logits, targets, sample_weights)
    signs = np.where(targets > 0, np.float32(1), np.float32(-1))
    if loss == "sigmoid":
        return lambda logits: _sigmoid_loss(logits, signs, sample_weights)
    return lambda logits: _squared_hinge(logits, signs, sample_weights)


def _softmax_loss(logits: Floats32, targets: npt.NDArray[Any], counts: Floats32) -> LossAndGradient:
    rows = np.arange(len(logits))
    shifted = logits - logits.max(axis=1, keepdims=True)
    true_logits = shifted[rows, targets]
    probabilities = np.exp(shifted)
    total = probabilities.sum(axis=1)
    loss = float(((np.log(total) - true_logits) * counts).sum(dtype=np.float64))
    probabilities *= (counts / total)[:, None]
    probabilities[rows, targets] -= counts
    return loss, probabilities


def _sigmoid_loss(logits: Floats32, signs: Floats32, counts: Floats32) -> LossAndGradient:
    margins = signs * logits
    small = np.exp(-np.abs(margins))
    losses = np.log1p(small) + np.maximum(-margins, 0)
    wrong = np.where(margins >= 0, small, 1) / (1 + small)
    return float((losses * counts).sum(dtype=np.float64)), -signs * wrong * counts


def _squared_hinge(logits: Floats32, signs: Floats32, counts: Floats32) -> LossAndGradient:
    violations = np.maximum(1 - signs * logits, 0)
    return float((violations * violations * counts).sum(dtype=np.float64)), -2 * signs * violations * counts
