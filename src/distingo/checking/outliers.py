"""Pictures unlike all others: far from their nearest neighbours among embeddings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from distingo.checking.thresholds import KEPT_FROM
from distingo.findings import Finding
from distingo.records import Picture

NEIGHBOURS = 10
_FAR = 3.5
"""Robust standard deviations that make a score of one half."""

Floats = npt.NDArray[np.float32]


def comparable(embeddings: Floats, *, deep: bool) -> Floats:
    """Bring embeddings to where distances mean likeness.

    Args:
        embeddings: Float32 (n, features).
        deep: Of a network: rows are scaled to length 1, which found pictures of another kind best in all that was
            tried; classic descriptors: each column is centred and scaled to deviation 1.

    Returns:
        Float32 (n, features).
    """
    if deep:
        scaled: Floats = embeddings / np.maximum(np.linalg.norm(embeddings, axis=1, keepdims=True), 1e-12)
        return scaled
    deviation = embeddings.std(axis=0)
    centred: Floats = (embeddings - embeddings.mean(axis=0)) / np.where(deviation > 0, deviation, 1)
    return centred


def nearest(embeddings: Floats, count: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.intp]]:
    """The nearest neighbours of each picture among the others.

    Args:
        embeddings: Float32 (n, features), at least two.
        count: How many neighbours, fewer where there are fewer pictures.

    Returns:
        Distances float (n, count) and positions (n, count), the nearest first.
    """
    from sklearn.neighbors import NearestNeighbors

    search = NearestNeighbors(n_neighbors=min(count, len(embeddings) - 1), algorithm="brute").fit(embeddings)
    distances, places = search.kneighbors()
    return distances, places


def judge_outliers(
    pictures: Sequence[Picture], distances: npt.NDArray[np.float64], threshold: float
) -> Iterator[Finding]:
    """Pictures whose nearest are far away.

    The mean distance to the nearest (Ramaswamy, Rastogi and Shim, Efficient algorithms for mining outliers from large
    data sets, 2000), on a logarithmic scale, in robust standard deviations from its median: z.

    Args:
        pictures: The usable ones.
        distances: To the nearest neighbours (n, count).
        threshold: From which score on one counts.

    Yields:
        ``outlier`` with score 1 - 2^(-z / 3.5), from which they are kept.
    """
    if len(pictures) <= NEIGHBOURS:
        return
    mean = np.maximum(distances.mean(axis=1), 1e-9)
    usual = float(np.median(mean))
    away = np.log(mean / usual)
    deviation = 1.4826 * max(float(np.median(np.abs(away))), 1e-3)
    scores = 1 - 2.0 ** -(np.maximum(away / deviation, 0) / _FAR)
    for at in np.flatnonzero(scores >= KEPT_FROM["outlier"]).tolist():
        picture = pictures[at]
        reason = f"{away[at] / deviation:.1f} deviations further from its nearest pictures than is usual"
        found = (picture.labels, picture.given_side or "", picture.content)
        yield Finding("outlier", picture.source.file, float(scores[at]), threshold, *found, reason=reason)


def near_pairs(places: npt.NDArray[np.intp], count: int = 2) -> list[tuple[int, int]]:
    """Pairs of each picture with its first few neighbours, each once, for a close look."""
    pairs = {(min(at, int(place)), max(at, int(place))) for at, row in enumerate(places[:, :count]) for place in row}
    return sorted(pairs)
