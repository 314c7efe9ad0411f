"""Embeddings laid out in two dimensions, and who is whose neighbour."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from distingo.exploration.records import Neighbourhood

COMPONENTS = 50
NEAREST = 10
_PERPLEXITY = 30.0


def reduce(features: np.ndarray, *, seed: int) -> np.ndarray:
    """The first principal components, at most 50.

    Args:
        features: float (n, d), n and d at least 2, finite.
        seed: Of the randomised solver.

    Returns:
        float64 (n, components).
    """
    from sklearn.decomposition import PCA

    components = min(COMPONENTS, *features.shape)
    if not np.ptp(features, axis=0).any():
        return np.zeros((len(features), components))
    reduced: np.ndarray = PCA(components, random_state=seed).fit_transform(features.astype(np.float64))
    return reduced


def choose_perplexity(n: int) -> float:
    """About how many neighbours each picture is to be laid out beside: 30, with few pictures a third of them."""
    return min(_PERPLEXITY, (n - 1) / 3)


def project(reduced: np.ndarray, *, seed: int) -> np.ndarray:
    """Lay points out in two dimensions by t-SNE (van der Maaten and Hinton, 2008), neighbours beside each other.

    On one thread: scikit-learn's sums over several come out otherwise from run to run, and t-SNE makes another picture
    of the least difference.

    Args:
        reduced: float (n, components), n at least 4.
        seed: Of the descent.

    Returns:
        float64 (n, 2): right and down from 0, in the longer direction to 1, with the same scale in both.
    """
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    if not np.ptp(reduced, axis=0).any():
        return np.zeros((len(reduced), 2))
    with threadpool_limits(limits=1):
        layout = TSNE(2, perplexity=choose_perplexity(len(reduced)), init="pca", random_state=seed)
        places: np.ndarray = layout.fit_transform(reduced).astype(np.float64)
    low, high = places.min(axis=0), places.max(axis=0)
    laid_out: np.ndarray = (places - low) / max(float((high - low).max()), 1e-12)
    return laid_out


def find_neighbourhoods(
    reduced: np.ndarray, labels: np.ndarray, classes: Sequence[str], *, nearest: int = NEAREST
) -> tuple[Neighbourhood, ...]:
    """Count whose pictures the nearest of each class's pictures are, in the space before the projection.

    Args:
        reduced: float (n, components), n at least 2.
        labels: bool (n, classes).
        classes: Names.
        nearest: How many neighbours count, at most.

    Returns:
        One entry per class that has a picture, those first that are least more among themselves than by chance.
    """
    from sklearn.neighbors import NearestNeighbors

    count = min(nearest, len(reduced) - 1)
    places = NearestNeighbors(n_neighbors=count).fit(reduced).kneighbors(return_distance=False)
    shares = labels[places].mean(axis=1)  # (n, classes): of each picture's nearest
    found = []
    for column in np.flatnonzero(labels.any(axis=0)).tolist():
        members = labels[:, column]
        mean = shares[members].mean(axis=0)
        expected = (int(members.sum()) - 1) / (len(labels) - 1)
        others = np.where(np.arange(len(classes)) == column, -1.0, mean)
        other = int(others.argmax())
        there = others[other] > 0
        found.append(
            Neighbourhood(
                classes[column],
                int(members.sum()),
                float(mean[column]),
                expected,
                classes[other] if there else "",
                float(others[other]) if there else 0.0,
            )
        )
    return tuple(sorted(found, key=lambda each: (each.own - each.expected, each.name)))
