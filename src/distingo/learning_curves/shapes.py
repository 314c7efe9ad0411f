"""Shapes that the error takes over the number of training pictures, fitted to many curves at once.

Measured curves mostly follow a power law, perhaps towards an error that no number of pictures mends (Hestness et al.,
Deep learning scaling is predictable, empirically, 2017; Viering and Loog, The shape of learning curves, 2022).
Which shape it is can't be told from a few noisy sizes, and the shapes differ most where there is no size yet, so
several are fitted. Exponentials, which fit measured curves worse (Viering and Loog) and promise nothing from more
pictures whatever the curve, are not among them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Shape:
    """The error as ``a + b * fall(x, c)`` with a, b >= 0; x is the size as a share of the largest one.

    Attributes:
        name: For a person.
        fall: Falls with x.
        rates: The values of c that are tried.
        asymptote: Whether a may differ from 0.
    """

    name: str
    fall: Callable[[Floats, Any], Floats]
    rates: tuple[float, ...]
    asymptote: bool


def _power(x: Floats, rate: Any) -> Floats:
    return np.asarray(x ** (-rate))


SHAPES = (
    Shape("power law", _power, tuple(np.geomspace(0.01, 3.0, 60).tolist()), asymptote=False),
    Shape("power law with asymptote", _power, tuple(np.geomspace(0.05, 3.0, 45).tolist()), asymptote=True),
    Shape("root with asymptote", _power, (0.5,), asymptote=True),
)


@dataclass(frozen=True, slots=True)
class FittedShape:
    """One shape fitted to m curves.

    Attributes:
        shape: Which one.
        level: a of each, float64 (m,).
        height: b of each.
        rate: c of each.
        misfit: Weighted sum of squared differences of each.
    """

    shape: Shape
    level: Floats
    height: Floats
    rate: Floats
    misfit: Floats

    def at(self, x: Floats) -> Floats:
        """The errors at sizes (k,) as shares of the largest one, float64 (m, k)."""
        fallen = self.shape.fall(x[None, :], self.rate[:, None])
        return np.asarray(self.level[:, None] + self.height[:, None] * fallen)


def fit_shape(shape: Shape, x: Floats, errors: Floats, weights: Floats) -> FittedShape:
    """Fit one shape to many curves by weighted least squares: every rate is tried, level and height are solved.

    Args:
        shape: To fit.
        x: Sizes as shares of the largest one, (sizes,).
        errors: Of m curves, (m, sizes).
        weights: How much each size counts, (sizes,).
    """
    best: tuple[Floats, ...] | None = None
    for rate in shape.rates:
        found = _solve(shape.fall(x, rate), errors, weights, asymptote=shape.asymptote)
        tried = (*found, np.full(len(errors), rate))
        if best is None:
            best = tried
        else:
            better = tried[2] < best[2]
            best = tuple(np.where(better, new, old) for new, old in zip(tried, best, strict=True))
    assert best is not None
    level, height, misfit, rates = best
    return FittedShape(shape, level, height, rates, misfit)


def _solve(fallen: Floats, errors: Floats, weights: Floats, *, asymptote: bool) -> tuple[Floats, Floats, Floats]:
    """Level, height and misfit of the best ``level + height * fallen`` for each curve; neither is negative."""
    share = weights / weights.sum()
    alone = np.maximum((errors * fallen) @ share / (fallen**2 @ share), 0.0)
    level, height = np.zeros(len(errors)), alone
    if asymptote:
        middle, mean = float(fallen @ share), errors @ share
        spread = float((fallen - middle) ** 2 @ share)
        slope = ((errors - mean[:, None]) * (fallen - middle)) @ share / max(spread, 1e-300)
        slope = np.maximum(slope, 0.0)
        ground = mean - slope * middle
        free = ground >= 0
        level, height = np.where(free, ground, 0.0), np.where(free, slope, alone)
    misfit = (errors - level[:, None] - height[:, None] * fallen) ** 2 @ weights
    return level, height, np.asarray(misfit)
