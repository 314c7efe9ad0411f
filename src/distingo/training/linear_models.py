"""Logistic regression and linear SVM, solved to convergence over a path of regularizations.

The solver works along the principal axes of the rows, scaled so that the objective is nearly round: few steps find its
optimum.
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
"""Rows times outputs must exceed this times the rank, or plain steps are cheaper than finding the axes."""

_ROUNDING = 1e-7
"""Share of all variance below which an axis is nothing but float32's rounding."""


@dataclass(frozen=True, slots=True)
class PrincipalAxes:
    """The directions in which centered rows vary, and how much.

    A classifier with a ridge has no weight along any other direction, so it can be solved in these alone: with fewer
    rows than features in as many numbers as there are rows.

    Attributes:
        directions: Float32 (features, axes), orthonormal columns.
        products: Float64 (axes,): the rows' summed squares along each.
    """

    directions: Floats32
    products: Floats

    def rotate(self, rows: Floats32) -> Floats32:
        """Rows float32 (n, features) along the axes, (n, axes)."""
        rotated: Floats32 = rows @ self.directions
        return rotated

    def weights(self, along: Floats) -> Floats:
        """Weights of features (outputs, features) from weights of axes (outputs, axes)."""
        weights: Floats = along @ self.directions.T.astype(np.float64)
        return weights


def axes_where_worthwhile(rows: Floats32, outputs: int) -> PrincipalAxes | None:
    """The axes of centered rows float32 (n, features), or None where finding them takes longer than it saves."""
    from scipy.linalg import eigh

    n, features = rows.shape
    if n * outputs <= _WORTHWHILE * min(n, features):
        return None
    if n >= features:
        products, directions = eigh(rows.T @ rows, overwrite_a=True, check_finite=False)
    else:
        products, mixtures = eigh(rows @ rows.T, overwrite_a=True, check_finite=False)
        directions = rows.T @ mixtures
    kept = products > _ROUNDING * max(float(products.sum()), 0.0)
    if not kept.any():
        return None
    chosen = np.ascontiguousarray(directions[:, kept], np.float32)
    chosen /= np.linalg.norm(chosen, axis=0)
    return PrincipalAxes(chosen, products[kept].astype(np.float64))


@dataclass(frozen=True, slots=True)
class Coordinates:
    """A scale for every number, the same for every output.

    Attributes:
        scales: Float64 (axes,): the roots of about the Hessian along the axes; None for plain coordinates.
        intercept: The root of about the intercept's second derivative.
    """

    scales: Floats | None = None
    intercept: float = 1.0

    def to_weights(self, point: Floats) -> Floats:
        """Weights and intercepts (outputs, axes + 1) from these coordinates of the same shape."""
        return point if self.scales is None else point / self._all

    def pull_gradient(self, gradient: Floats) -> Floats:
        """The gradient by these coordinates from that by weights and intercepts; (outputs, axes + 1) both."""
        return gradient if self.scales is None else gradient / self._all

    def to_point(self, weights: Floats) -> Floats:
        """These coordinates (outputs, axes + 1) of weights and intercepts."""
        return weights if self.scales is None else weights * self._all

    @property
    def _all(self) -> npt.NDArray[Any]:
        return np.append(self.scales if self.scales is not None else 1.0, self.intercept)


def precondition(axes: PrincipalAxes | None, *, curvature: float, ridge: float, n: int) -> Coordinates:
    """Coordinates that make ``curvature * products + ridge`` the identity.

    Args:
        axes: Of the centered rows; None for plain coordinates.
        curvature: The loss's mean second derivative by a logit.
        ridge: The penalty's second derivative.
        n: How many rows there are.
    """
    if axes is None:
        return Coordinates()
    return Coordinates(np.sqrt(curvature * axes.products + ridge), float(np.sqrt(curvature * n + ridge)))


Loss = Literal["softmax", "sigmoid", "squared-hinge"]

REGULARISATIONS = tuple(float(f"{10 ** (step / 2):.3g}") for step in range(-8, 5))
"""scikit-learn's C from strong to weak regularization, two values a decade."""

ITERATIONS = 1000

_DECREASE = 1e-9
"""A step that gains less than this share of what the objective was at first finds the solution."""

_GRADIENT = 1e-7
"""So does a gradient of that objective with no entry above this."""

_LIMIT_REACHED = 1
"""SciPy's status for it; 2 says that no step whatever gains any more, for float32's rounding: as good as found."""


@dataclass(frozen=True, slots=True)
class Solution:
    """A linear classifier of raw features: ``features @ weight.T + intercept``.

    Attributes:
        regularisation: scikit-learn's C.
        weight: Float32 (outputs, features).
        intercept: Float32 (outputs,).
        converged: Whether the optimum was reached within the limit of iterations.
        iterations: How many it took.
    """

    regularisation: float
    weight: Floats32
    intercept: Floats32
    converged: bool
    iterations: int

    def decide(self, features: Floats32) -> Floats32:
        """Margins or logits, float32 (n, outputs), of features float32 (n, features)."""
        margins: Floats32 = features @ self.weight.T + self.intercept
        return margins


@dataclass(frozen=True, slots=True)
class Standardisation:
    """Centering, and one scale for all features: what regularization is meant in terms of.

    Each feature has its own deviation in common practice; from few images that is a guess. One scale keeps the
    embedding's geometry and was as good or better in all that was tried, by ten points with one image a class.

    Attributes:
        mean: Float32 (features,).
        scale: The root of the features' mean variance; 1 where nothing varies.
    """

    mean: Floats32
    scale: float

    def apply(self, features: Floats32) -> Floats32:
        """The standardized features, float32 (n, features)."""
        standardized = features - self.mean
        standardized /= np.float32(self.scale)
        return standardized

    def fold(self, weight: Floats, intercept: Floats) -> tuple[Floats32, Floats32]:
        """The same classifier for raw features."""
        raw = weight / self.scale
        return raw.astype(np.float32), (intercept - raw @ self.mean.astype(np.float64)).astype(np.float32)


def fit_standardisation(features: Floats32) -> Standardisation:
    """Mean and common scale of the rows of features (n, features), summed in float64."""
    mean = features.mean(axis=0, dtype=np.float64)
    scale = float(np.sqrt(features.var(axis=0, dtype=np.float64).mean()))
    return Standardisation(mean.astype(np.float32), scale if scale > 0 else 1.0)


def solve_path(
    features: Floats32,
    targets: npt.NDArray[Any],
    *,
    loss: Loss,
    weights: Floats32 | None = None,
    regularisations: tuple[float, ...] = REGULARISATIONS,
    iterations: int = ITERATIONS,
    axes: PrincipalAxes | None = None,
) -> Iterator[Solution]:
    """Solve for one regularization after another, each from the solution before.

    Minimises scikit-learn's ``C * sum(weight * loss) + ||coefficients||^2 / 2`` over the standardized features, the
    intercept free (`Standardisation`), with L-BFGS (Byrd, Lu, Nocedal and Zhu 1995) along the rows' principal axes,
    scaled so that the objective is nearly round (`distingo.training.linear_models`). Features are float32; the
    objective and the steps are summed in float64.

    Args:
        features: Float32 (n, features).
        targets: For ``softmax`` int64 class numbers (n,); else 0/1 of shape (n, outputs), each output a problem of
            its own.
        loss: ``softmax`` is multinomial, ``sigmoid`` binary cross-entropy, ``squared-hinge`` that of a linear SVM.
        weights: Float32 of the targets' shape: how much each counts; all alike without.
        regularisations: Values of C, ascending.
        iterations: Limit for each.
        axes: Of more rows, with these among them, in place of their own (`common_axes`): they span these as well.

    Yields:
        One solution for each regularization.
    """
    from scipy.optimize import minimize
    from threadpoolctl import threadpool_limits

    standardisation = fit_standardisation(features)
    rows = standardisation.apply(features)
    outputs = int(targets.max()) + 1 if targets.ndim == 1 else targets.shape[1]
    measure = _bind_loss(loss, targets, weights)
    with threadpool_limits(1, user_api="blas"):
        axes = axes or axes_where_worthwhile(rows, outputs)
        rows = rows if axes is None else axes.rotate(rows)
    matrix = np.zeros((outputs, rows.shape[1] + 1))
    for regularisation in regularisations:
        # numpy and SciPy bring a pool of threads each, and those of one wait at full speed where the other's compute
        with threadpool_limits(1, user_api="blas"):
            curvature = _mean_curvature(loss, _logits(rows, matrix), targets, weights)
            coordinates = precondition(axes, curvature=curvature, ridge=1 / regularisation, n=len(rows))
            objective = _Objective(rows, measure, 1 / regularisation, coordinates, outputs)
            start = coordinates.to_point(matrix).ravel()
            objective = replace(objective, unit=max(objective(start)[0], 1e-300))
            limits = {"maxiter": iterations, "maxfun": 2 * iterations}
            options = {**limits, "gtol": _GRADIENT, "ftol": _DECREASE, "maxcor": 10}
            found = minimize(objective, start, jac=True, method="L-BFGS-B", options=options)
            matrix = coordinates.to_weights(found.x.reshape(outputs, -1))
        weight = matrix[:, :-1] if axes is None else axes.weights(matrix[:, :-1])
        raw, intercept = standardisation.fold(weight, matrix[:, -1])
        converged = bool(found.status != _LIMIT_REACHED and np.isfinite(found.fun))
        yield Solution(regularisation, raw, intercept, converged, int(found.nit))


def common_axes(features: Floats32, outputs: int) -> PrincipalAxes | None:
    """Axes of features float32 (n, features) to solve for parts of them with: finding them takes longest.

    None where plain steps are cheaper (`distingo.training.linear_models.axes_where_worthwhile`).
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, user_api="blas"):
        return axes_where_worthwhile(fit_standardisation(features).apply(features), outputs)


Measured = tuple[float, Floats32]
"""A loss summed over all rows, and its gradient by the logits, float32 (n, outputs)."""


@dataclass(frozen=True, slots=True)
class _Objective:
    """The objective over C and in some unit, and its gradient, both by the coordinates' packed numbers."""

    rows: Floats32
    measure: Callable[[Floats32], Measured]
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
    """The loss's second derivative by a logit, averaged; kept off 0, which it approaches where all are right."""
    counts = np.ones(1, np.float32) if weights is None else weights
    if loss == "squared-hinge":
        curvatures = 2.0 * (np.where(targets > 0, logits, -logits) < 1)
    else:
        shares = softmax(logits) if loss == "softmax" else 1 / (1 + np.exp(-np.abs(logits)))
        curvatures = shares * (1 - shares)
    if curvatures.ndim > counts.ndim:
        counts = counts[:, None]
    return max(float((curvatures * counts).mean()), 1e-4)


def _bind_loss(loss: Loss, targets: npt.NDArray[Any], weights: Floats32 | None) -> Callable[[Floats32], Measured]:
    counts = np.ones(targets.shape, np.float32) if weights is None else weights.astype(np.float32)
    if loss == "softmax":
        return lambda logits: _softmax_loss(logits, targets, counts)
    signs = np.where(targets > 0, np.float32(1), np.float32(-1))
    if loss == "sigmoid":
        return lambda logits: _sigmoid_loss(logits, signs, counts)
    return lambda logits: _squared_hinge(logits, signs, counts)


def _softmax_loss(logits: Floats32, targets: npt.NDArray[Any], counts: Floats32) -> Measured:
    rows = np.arange(len(logits))
    shifted = logits - logits.max(axis=1, keepdims=True)
    of_truth = shifted[rows, targets]
    shares = np.exp(shifted)
    total = shares.sum(axis=1)
    loss = float(((np.log(total) - of_truth) * counts).sum(dtype=np.float64))
    shares *= (counts / total)[:, None]
    shares[rows, targets] -= counts
    return loss, shares


def _sigmoid_loss(logits: Floats32, signs: Floats32, counts: Floats32) -> Measured:
    margins = signs * logits
    small = np.exp(-np.abs(margins))
    losses = np.log1p(small) + np.maximum(-margins, 0)
    wrong = np.where(margins >= 0, small, 1) / (1 + small)
    return float((losses * counts).sum(dtype=np.float64)), -signs * wrong * counts


def _squared_hinge(logits: Floats32, signs: Floats32, counts: Floats32) -> Measured:
    short = np.maximum(1 - signs * logits, 0)
    return float((short * short * counts).sum(dtype=np.float64)), -2 * signs * short * counts
