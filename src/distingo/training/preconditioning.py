"""Coordinates in which a linear classifier's objective is nearly round, so that few steps find its optimum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats32 = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]

_WORTHWHILE = 4
"""Rows times outputs must exceed this times the rank, or plain steps are cheaper than finding the axes."""
_ROUNDING = 1e-7
"""Share of all variance below which an axis is nothing but float32's rounding."""


@dataclass(frozen=True, slots=True)
class PrincipalAxes:
    """The directions in which centred rows vary, and how much.

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
    """The axes of centred rows float32 (n, features), or None where finding them takes longer than it saves."""
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
        axes: Of the centred rows; None for plain coordinates.
        curvature: The loss's mean second derivative by a logit.
        ridge: The penalty's second derivative.
        n: How many rows there are.
    """
    if axes is None:
        return Coordinates()
    return Coordinates(np.sqrt(curvature * axes.products + ridge), float(np.sqrt(curvature * n + ridge)))
