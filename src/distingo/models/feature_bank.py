"""A bank of features of training images, which is stored next to the weights.

A new image's distance to it shows whether the image is out of distribution (Sun et al., Out-of-distribution detection
with deep nearest neighbors, 2022), and its rows are the training images most like the new one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

NEIGHBORS = 3
"""The distance to the bank is that to the third nearest: one odd training image guarantees nothing, and classes may
have few. Of 1 to 20 none was better at telling aerial images, posters and ball sports apart."""

_SIMILARITIES_AT_ONCE = 1 << 23
"""Similarities between images and the bank in memory at a time: 64 MB."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class FeatureBank:
    """Features of training images.

    Attributes:
        rows: float16 (m, features), float32 once `widened`: features less `center`, divided by `scale`; of networks
            then at unit length.
        contents: The content hash of each row's image, as in ``manifest.csv``.
        center: float32 (features,).
        scale: float32 (features,), above 0.
        unit: Whether rows have unit length, so that distances come from cosines.
    """

    rows: npt.NDArray[np.float16] | npt.NDArray[np.float32]
    contents: tuple[str, ...]
    center: npt.NDArray[np.float32]
    scale: npt.NDArray[np.float32]
    unit: bool

    def widened(self) -> FeatureBank:
        """Return the bank with rows in float32, to avoid converting them for every query."""
        return replace(self, rows=self.rows.astype(np.float32))

    def place(self, features: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Bring features of images, float (n, features) as the model gives them, to where the rows are."""
        return _place(features, self.center, self.scale, unit=self.unit)

    def nearest(self, features: npt.NDArray[Any], count: int) -> tuple[npt.NDArray[np.int64], Floats]:
        """Find the most similar rows for each image.

        Args:
            features: Float (n, features), as the model gives them.
            count: How many rows for each image; no more are given than there are.

        Returns:
            Positions in `rows` and Euclidean distances, each (n, count), the nearest first.

        Raises:
            ValueError: The features are not as wide as the bank's.
        """
        if features.ndim != 2 or features.shape[1] != self.rows.shape[1]:
            raise ValueError(f"features of shape {features.shape} for a bank of {self.rows.shape[1]} features")
        placed, bank = self.place(features), np.asarray(self.rows, np.float32)
        squares = np.einsum("ij,ij->i", bank, bank)
        count = min(count, len(bank))
        at_once = max(1, _SIMILARITIES_AT_ONCE // len(bank))
        found = [
            _nearest(placed[start : start + at_once], bank, squares, count) for start in range(0, len(placed), at_once)
        ]
        if not found:
            return np.zeros((0, count), np.int64), np.zeros((0, count))
        return np.concatenate([rows for rows, _ in found]), np.concatenate([distances for _, distances in found])

    def distances(self, features: npt.NDArray[Any]) -> Floats:
        """Return each image's distance to the `NEIGHBORS`-th nearest row of the bank, float64 (n,)."""
        return self.nearest(features, NEIGHBORS)[1][:, -1]


def check_bank(bank: FeatureBank) -> FeatureBank:
    """Build a bank from the arrays of an untrusted file, after validating them.

    Raises:
        ValueError: They are of other types or shapes, hold what is no number, or do not fit each other.
    """
    width = bank.center.shape
    if bank.rows.ndim != 2 or not bank.rows.size or bank.rows.dtype not in (np.float16, np.float32):
        raise ValueError(f"rows are {bank.rows.dtype} of shape {bank.rows.shape}")
    if bank.rows.shape[1:] != width or width != bank.scale.shape or len(bank.contents) != len(bank.rows):
        raise ValueError("rows, hashes and scale do not fit each other")
    if any(array.dtype != np.float32 for array in (bank.center, bank.scale)):
        raise ValueError(f"center and scale are {bank.center.dtype} and {bank.scale.dtype}")
    if not all(np.isfinite(array).all() for array in (bank.rows, bank.center, bank.scale)) or bank.scale.min() <= 0:
        raise ValueError("values that are no numbers, or a scale that is not above 0")
    return bank


def build_bank(
    features: npt.NDArray[Any],
    contents: tuple[str, ...],
    *,
    unit: bool,
) -> FeatureBank:
    """Make a bank of training images' features.

    Args:
        features: Float (m, features), m at least 1.
        contents: The images' content hashes.
        unit: Whether to compare directions, as for a network's features; else each feature is standardized.

    Raises:
        ValueError: No rows, or not one hash for each.
    """
    if not len(features) or len(features) != len(contents):
        raise ValueError(f"{len(features)} rows of features for {len(contents)} pictures; give one for each")
    width = features.shape[1]
    center, scale = np.zeros(width, np.float32), np.ones(width, np.float32)
    if not unit:
        center, spread = features.mean(axis=0).astype(np.float32), features.std(axis=0).astype(np.float32)
        scale = np.where(spread > 0, spread, np.float32(1))
    rows = _place(features, center, scale, unit=unit)
    return FeatureBank(rows.astype(np.float16), contents, center, scale, unit)


def _place(features: npt.NDArray[Any], center: Any, scale: Any, *, unit: bool) -> npt.NDArray[np.float32]:
    placed = (features.astype(np.float32) - center) / scale
    if unit:
        placed /= np.maximum(np.linalg.norm(placed, axis=1, keepdims=True), np.float32(1e-12))
    return np.asarray(placed, np.float32)


def _nearest(
    placed: npt.NDArray[np.float32], bank: npt.NDArray[np.float32], squares: npt.NDArray[np.float32], count: int
) -> tuple[npt.NDArray[np.int64], Floats]:
    own = np.einsum("ij,ij->i", placed, placed)
    squared = own[:, None] + squares - 2 * (placed @ bank.T)
    some = np.argpartition(squared, count - 1, axis=1)[:, :count]
    order = np.argsort(np.take_along_axis(squared, some, axis=1), axis=1, kind="stable")
    rows = np.take_along_axis(some, order, axis=1).astype(np.int64)
    distances = np.sqrt(np.maximum(np.take_along_axis(squared, rows, axis=1).astype(np.float64), 0))
    return rows, distances
