"""Coordinates in which a linear classifier's objective is nearly round, so that few steps find its optimum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_WORTHWHILE = 4
"""Rows times outputs must exceed this times the features, or plain steps are cheaper than a factorisation."""
_ROUNDING = 1e-7
"""Share of its trace by which a matrix of float32 products may miss being positive."""


@dataclass(frozen=True, slots=True)
class Coordinates:
    """A linear change of variables, the same for every output.

    Attributes:
        factor: Float64 (features, features), the lower Cholesky factor of about the Hessian; None for none.
        intercept: The root of about the intercept's second derivative.
    """

    factor: Floats | None = None
    intercept: float = 1.0

    def to_weights(self, point: Floats) -> Floats:
        """Weights and intercepts (outputs, features + 1) from these coordinates of the same shape."""
        return self._solve(point, transposed=True)

    def pull_gradient(self, gradient: Floats) -> Floats:
        """The gradient by these coordinates from that by weights and intercepts; (outputs, features + 1) both."""
        return self._solve(gradient, transposed=False)

    def to_point(self, weights: Floats) -> Floats:
        """These coordinates (outputs, features + 1) of weights and intercepts."""
        if self.factor is None:
            return weights
        return np.column_stack([weights[:, :-1] @ self.factor, weights[:, -1] * self.intercept])

    def _solve(self, matrix: Floats, *, transposed: bool) -> Floats:
        if self.factor is None:
            return matrix
        from scipy.linalg import solve_triangular

        solved = solve_triangular(
            self.factor, matrix[:, :-1].T, lower=True, trans=1 if transposed else 0, check_finite=False
        )
        return np.column_stack([solved.T, matrix[:, -1] / self.intercept])


def products_where_worthwhile(rows: npt.NDArray[np.float32], outputs: int) -> npt.NDArray[Any] | None:
    """The features' products ``rows.T @ rows``, float32, or None where factorising them takes longer than it saves."""
    n, features = rows.shape
    return rows.T @ rows if n * outputs > _WORTHWHILE * features else None


def precondition(products: npt.NDArray[Any] | None, *, curvature: float, ridge: float, n: int) -> Coordinates:
    """Coordinates that make ``curvature * products + ridge`` the identity.

    Args:
        products: Of centred features, (features, features); None for plain coordinates.
        curvature: The loss's mean second derivative by a logit.
        ridge: The penalty's second derivative.
        n: How many rows the products were summed over.
    """
    if products is None:
        return Coordinates()
    from scipy.linalg import cholesky

    hessian = curvature * products.astype(np.float64)
    diagonal = np.einsum("ii->i", hessian)
    diagonal += ridge + _ROUNDING * float(diagonal.sum())
    factor = cholesky(hessian, lower=True, overwrite_a=True, check_finite=False)
    return Coordinates(factor, float(np.sqrt(curvature * n + ridge)))
