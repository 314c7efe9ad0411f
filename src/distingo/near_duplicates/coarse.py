"""Select candidate pairs for a close comparison: images with similar coarse structure under any symmetry.

Every image is described by its lowest frequencies, like a perceptual hash before it is rounded to bits (Zauner,
Implementation and benchmarking of perceptual image hash functions, 2010): once for the entire image, and once for its
middle. An image that was cropped a little resembles the other's middle more than the entire image.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from distingo.near_duplicates.signatures import SIDE, SYMMETRIES, transform_frequencies
from distingo.progress import progress_bar

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.intp]

_FREQUENCIES = 8
_MIDDLE = 0.94
"""Width of the middle as a share of the image's, between that of an image and that of a crop by a tenth."""

_BLOCK = 512
"""Number of images compared with as many others at once, so that the results fit into a processor's cache."""


@dataclass(frozen=True, slots=True)
class Described:
    """Images described by their lowest frequencies except the mean, scaled to length 1.

    Attributes:
        whole: Float32 (n, 8, 8).
        middle: The same for their middles.
    """

    whole: Floats
    middle: Floats

    def similarity(self, first: Indices, second: Indices, symmetry: int) -> Floats:
        """Similarity of pairs with the first image transformed, float32 (pairs,): the cosine, up to 1."""
        combinations = ((self.middle, self.whole), (self.whole, self.middle), (self.whole, self.whole))
        cosines = [
            np.einsum("nij,nij->n", transform_frequencies(one[first], symmetry), other[second], dtype=np.float32)
            for one, other in combinations
        ]
        similarity: Floats = np.maximum.reduce(cosines)
        return similarity


def describe(signatures: npt.NDArray[np.uint8]) -> Described:
    """Compute the descriptions of signatures, uint8 (n, 64, 64)."""
    values = signatures.astype(np.float32)
    return Described(_frequencies(values, 1.0), _frequencies(values, _MIDDLE))


def nearest_pairs(
    queries: Floats, references: Floats, own: Indices, *, count: int, min_cosine: float, workers: int
) -> Indices:
    """Find the most similar images under any symmetry, both for each query and for each reference image.

    The cosine of two descriptions is a sum of four parts, for even and odd frequencies in each direction, of which
    mirroring only changes the signs. So the best of four symmetries costs four small matrix products, and all eight
    cost twice that, with rows and columns exchanged.

    Args:
        queries: Descriptions of the query images (m, 8, 8).
        references: Descriptions of the reference images (n, 8, 8).
        own: Index of each query among the reference images (m,), as no image is its own neighbor.
        count: Number of neighbors for each image.
        min_cosine: Minimum cosine.
        workers: Number of threads; the result does not depend on it.

    Returns:
        Pairs of indices of reference images, intp (pairs, 2), the smaller one first, sorted and without duplicates.
    """
    if not len(queries) or not len(references):
        return np.empty((0, 2), np.intp)
    rows, columns = _Nearest(len(queries), count, min_cosine), _Nearest(len(references), count, min_cosine)
    parts = _parts(references)
    blocks = -(-len(queries) // _BLOCK) * -(-len(references) // _BLOCK)
    with progress_bar("Searching", blocks) as advance:
        for block in _compare_blocks(queries, parts, own, (rows, columns), workers):
            rows.add(block.rows, block.columns, block.similarity)
            columns.add(block.columns, block.rows, block.similarity)
            advance()
    row, column = rows.pairs()
    other_column, other_row = columns.pairs()
    pairs = np.stack([own[np.concatenate([row, other_row])], np.concatenate([column, other_column])], axis=1)
    pairs.sort(axis=1)
    unique: Indices = np.unique(pairs, axis=0)
    return unique


def _frequencies(values: Floats, share: float) -> Floats:
    basis = _basis(share)
    lowest = basis @ values @ basis.T
    lowest[:, 0, 0] = 0
    lengths = np.linalg.norm(lowest, axis=(1, 2), keepdims=True)
    scaled: Floats = (lowest / np.maximum(lengths, 1e-3)).astype(np.float32)
    return scaled


def _basis(share: float) -> Floats:
    """The lowest cosines over the middle `share` of the pixels, integrated over each pixel: float32 (8, 64)."""
    edges = np.clip((np.arange(SIDE + 1) / SIDE - 0.5) / share + 0.5, 0, 1)
    numbers = np.arange(_FREQUENCIES)[:, None]
    angles = np.pi * np.maximum(numbers, 1)
    sums = np.where(numbers == 0, edges, np.sin(angles * edges) / angles)
    scale = np.where(numbers == 0, 1.0, np.sqrt(2.0))
    basis: Floats = (scale * np.diff(sums, axis=1)).astype(np.float32)
    return basis


@dataclass(frozen=True, slots=True)
class _Block:
    """Pairs found in a block of query and reference images."""

    rows: Indices
    columns: Indices
    similarity: Floats


class _Nearest:
    """The nearest neighbors of every image found so far."""

    def __init__(self, images: int, count: int, min_cosine: float) -> None:
        self._similarity = np.full((images, count), min_cosine, np.float32)
        self._neighbors = np.full((images, count), -1, np.intp)

    def bars(self, part: slice) -> Floats:
        """The similarity that another image must exceed to be among these images' neighbors, float32 (n,)."""
        return self._similarity[part, -1]

    def add(self, images: Indices, neighbors: Indices, similarity: Floats) -> None:
        """Add candidate pairs; among equally similar ones the lower index is kept."""
        better = similarity > self._similarity[images, -1]
        images, neighbors, similarity = images[better], neighbors[better], similarity[better]
        if not len(images):
            return
        changed = np.unique(images)
        count = self._neighbors.shape[1]
        owners = np.concatenate([np.repeat(changed, count), images])
        all_neighbors = np.concatenate([self._neighbors[changed].ravel(), neighbors])
        all_similarity = np.concatenate([self._similarity[changed].ravel(), similarity])
        order = np.lexsort((all_neighbors, -all_similarity, owners))
        first = np.searchsorted(owners[order], changed)
        selected = order[(first[:, None] + np.arange(count)).ravel()]
        self._neighbors[changed] = all_neighbors[selected].reshape(-1, count)
        self._similarity[changed] = all_similarity[selected].reshape(-1, count)

    def pairs(self) -> tuple[Indices, Indices]:
        """All images with neighbors, one entry per neighbor, and these neighbors."""
        images, numbers = np.nonzero(self._neighbors >= 0)
        return images, self._neighbors[images, numbers]


def _parts(described: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Split descriptions into the four parts that mirroring affects: even and odd frequencies in each direction."""
    even, odd = slice(0, None, 2), slice(1, None, 2)
    first, second, third, fourth = (
        np.ascontiguousarray(described[:, down, across].reshape(len(described), -1))
        for down in (even, odd)
        for across in (even, odd)
    )
    return first, second, third, fourth


def _compare_blocks(
    queries: Floats, references: tuple[Floats, ...], own: Indices, nearest: tuple[_Nearest, _Nearest], workers: int
) -> Iterator[_Block]:
    """Compare all images block by block, in a fixed order."""
    from threadpoolctl import threadpool_limits

    rows, columns = nearest
    total = len(references[0])
    pending: deque[Future[_Block]] = deque()
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(workers) as pool:
        for start in range(0, len(queries), _BLOCK):
            part = slice(start, min(start + _BLOCK, len(queries)))
            untransposed = _parts(queries[part])
            orientations = (untransposed, _parts(transform_frequencies(queries[part], SYMMETRIES[4])))
            for column in range(0, total, _BLOCK):
                other = slice(column, min(column + _BLOCK, total))
                bars = rows.bars(part).copy(), columns.bars(other).copy()
                pending.append(pool.submit(_compare_block, orientations, references, (part, other), own[part], bars))
                if len(pending) > 2 * workers:
                    yield pending.popleft().result()
        for future in pending:
            yield future.result()


def _compare_block(
    orientations: tuple[tuple[Floats, ...], ...],
    references: tuple[Floats, ...],
    block: tuple[slice, slice],
    own: Indices,
    bars: tuple[Floats, Floats],
) -> _Block:
    """Find the pairs of a block that exceed the thresholds of either image."""
    part, other = block
    best = np.maximum(
        *(_best_of_four(orientation, [each[other] for each in references]) for orientation in orientations)
    )
    with_self = np.flatnonzero((own >= other.start) & (own < other.stop))
    best[with_self, own[with_self] - other.start] = -1
    exceeds = best > bars[0][:, None]
    exceeds |= best > bars[1][None, :]
    rows, columns = np.nonzero(exceeds)
    return _Block(rows + part.start, columns + other.start, best[rows, columns])


def _best_of_four(one: tuple[Floats, ...], other: list[Floats]) -> Floats:
    """The largest cosine (m, n) over mirroring in either direction, in both and in none."""
    both_even, odd_across, odd_down, both_odd = (first @ second.T for first, second in zip(one, other, strict=True))
    # mirroring in both directions keeps both_even and both_odd, mirroring in one changes the sign of both_odd
    turned = both_even - both_odd
    both_even += both_odd
    np.subtract(odd_across, odd_down, out=both_odd)
    odd_across += odd_down
    both_even += np.abs(odd_across, out=odd_across)
    turned += np.abs(both_odd, out=both_odd)
    best: Floats = np.maximum(both_even, turned, out=both_even)
    return best
