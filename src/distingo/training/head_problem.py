"""What a head is fitted to: two sides of embeddings and targets, checked, and how much each picture counts.

Coordinates in which a linear classifier's objective is nearly round, so that few steps find its optimum.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from distingo.errors import DataError, option
from distingo.messages.notes import Note, note
from distingo.records import Task

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


Side = tuple[Floats32, npt.NDArray[Any]]
"""Embeddings float32 (n, features) and targets: int64 (n,), or float32 0/1 (n, labels)."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What is to be fitted, whatever the pictures.

    Attributes:
        classes: How many logits are wanted.
        task: One label per picture, or several.
        balanced: Whether classes weigh the same however frequent they are.
        iterations: Limit of a linear solver, for each regularisation.
        axes: Of more embeddings that those of each side are among; None has a linear solver find a side's own.
    """

    classes: int
    task: Task
    balanced: bool
    iterations: int
    axes: PrincipalAxes | None = None


def checked_side(side: tuple[npt.ArrayLike, npt.ArrayLike], problem: Problem) -> Side:
    """Embeddings and targets as the solvers take them.

    Args:
        side: Embeddings (n, features) and targets: class numbers (n,), or 0/1 (n, labels).
        problem: Says which targets are wanted.

    Raises:
        DataError: An embedding is not finite.
        ValueError: The arrays don't fit each other, or a target is no class.
    """
    embeddings = np.ascontiguousarray(side[0], dtype=np.float32)
    targets = np.asarray(side[1])
    several = problem.task == "multi-label"
    wanted = (len(embeddings), problem.classes) if several else (len(embeddings),)
    if embeddings.ndim != 2 or targets.shape != wanted:
        raise ValueError(f"embeddings {embeddings.shape} with targets {targets.shape}; give (n, features), {wanted}")
    if not np.isfinite(embeddings).all():
        broken = int((~np.isfinite(embeddings)).any(axis=1).sum())
        raise DataError(
            f"the embeddings of {broken} of {len(embeddings)} pictures are not finite numbers; "
            f"take another backbone, or {option('precision', 'float32')}",
            code="not_finite",
        )
    if several:
        if not np.isin(targets, (0, 1)).all():
            raise ValueError("targets of several labels must be 0 or 1")
        return embeddings, targets.astype(np.float32)
    if targets.size and (not np.issubdtype(targets.dtype, np.integer) or targets.min() < 0):
        raise ValueError(f"targets of type {targets.dtype} from {targets.min()}; give class numbers")
    if targets.size and targets.max() >= problem.classes:
        raise ValueError(
            f"class number {targets.max()}; with {problem.classes} classes give 0 .. {problem.classes - 1}"
        )
    return embeddings, targets.astype(np.int64)


def require_every_class(targets: npt.NDArray[Any], problem: Problem) -> tuple[Note, ...]:
    """Refuse a training side that says nothing about a class; of several labels some may be silent, which is noted.

    Args:
        targets: Of the training side.
        problem: Says which targets they are.

    Returns:
        Notes for the person.

    Raises:
        DataError: A class without a training picture, or no label that tells pictures apart.
    """
    if problem.task == "single-label":
        counts = np.bincount(targets, minlength=problem.classes)
        empty = np.flatnonzero(counts == 0)
        if len(empty) or problem.classes < 2:
            raise DataError(
                f"{len(empty)} of {problem.classes} classes have no training picture (first: class number "
                f"{empty[0] if len(empty) else 0}); a head needs two classes and a picture of each",
                code="empty_class",
            )
        return ()
    if not len(targets):
        raise DataError("no training pictures; a head needs some to be solved on", code="too_few_images")
    having = (targets > 0).sum(axis=0)
    alike = int(((having == 0) | (having == len(targets))).sum())
    if alike == problem.classes:
        raise DataError(
            "no label tells the training pictures apart: each is on all of them or on none", code="too_few_classes"
        )
    return (note("labels-not-learned", count=alike, total=problem.classes),) if alike else ()


def balancing_weights(targets: npt.NDArray[Any], classes: int) -> Floats32:
    """scikit-learn's ``balanced``: each class, with several labels each label's yes and no, weighs the same.

    Args:
        targets: int64 (n,), or 0/1 (n, labels).
        classes: How many classes or labels there are.

    Returns:
        Float32 of the targets' shape.
    """
    if targets.ndim == 1:
        counts = np.bincount(targets, minlength=classes)
        by_class: Floats32 = (len(targets) / (classes * np.maximum(counts, 1))).astype(np.float32)
        return np.take(by_class, targets)
    having = np.maximum((targets > 0).sum(axis=0), 1)
    lacking = np.maximum((targets == 0).sum(axis=0), 1)
    weights: Floats32 = np.where(targets > 0, len(targets) / (2 * having), len(targets) / (2 * lacking))
    return weights.astype(np.float32)
