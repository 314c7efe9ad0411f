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

from distingo.near_duplicates.signatures import SIDE, SYMMETRIES, turn_frequencies
from distingo.progress import progress_bar

Floats = npt.NDArray[np.float32]
Places = npt.NDArray[np.intp]

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

    def likeness(self, first: Places, second: Places, symmetry: int) -> Floats:
        """Similarity of pairs with the first image transformed, float32 (pairs,): the cosine, up to 1."""
        combinations = ((self.middle, self.whole), (self.whole, self.middle), (self.whole, self.whole))
        cosines = [
            np.einsum("nij,nij->n", turn_frequencies(one[first], symmetry), other[second], dtype=np.float32)
            for one, other in combinations
        ]
        likeness: Floats = np.maximum.reduce(cosines)
        return likeness


def describe(signatures: npt.NDArray[np.uint8]) -> Described:
    """Compute the descriptions of signatures, uint8 (n, 64, 64)."""
    values = signatures.astype(np.float32)
    return Described(_frequencies(values, 1.0), _frequencies(values, _MIDDLE))


def nearest_pairs(asked: Floats, known: Floats, own: Places, *, count: int, least: float, workers: int) -> Places:
    """Find the most similar images under any symmetry, both for each query and for each known image.

    The cosine of two descriptions is a sum of four parts, for even and odd frequencies in each direction, of which
    mirroring only changes the signs. So the best of four symmetries costs four small matrix products, and all eight
    cost twice that, with rows and columns exchanged.

    Args:
        asked: Descriptions of the query images (m, 8, 8).
        known: Descriptions of the known images (n, 8, 8).
        own: Index of each query among the known images (m,), as no image is its own neighbor.
        count: Number of neighbors for each image.
        least: Minimum cosine.
        workers: Number of threads; the result does not depend on it.

    Returns:
        Pairs of indices of known images, intp (pairs, 2), the smaller one first, sorted and without duplicates.
    """
    if not len(asked) or not len(known):
        return np.empty((0, 2), np.intp)
    rows, columns = _Nearest(len(asked), count, least), _Nearest(len(known), count, least)
    parts = _parts(known)
    blocks = -(-len(asked) // _BLOCK) * -(-len(known) // _BLOCK)
    with progress_bar("Searching", blocks) as advance:
        for block in _compare_blocks(asked, parts, own, (rows, columns), workers):
            rows.add(block.rows, block.columns, block.likeness)
            columns.add(block.columns, block.rows, block.likeness)
            advance()
    row, column = rows.pairs()
    other_column, other_row = columns.pairs()
    pairs = np.stack([own[np.concatenate([row, other_row])], np.concatenate([column, other_column])], axis=1)
    pairs.sort(axis=1)
    unique: Places = np.unique(pairs, axis=0)
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
    """Pairs found in a block of query and known images."""

    rows: Places
    columns: Places
    likeness: Floats


class _Nearest:
    """The nearest neighbors of every image found so far."""

    def __init__(self, images: int, count: int, least: float) -> None:
        self._likeness = np.full((images, count), least, np.float32)
        self._places = np.full((images, count), -1, np.intp)

    def bars(self, part: slice) -> Floats:
        """The similarity that another image must exceed to be among these images' neighbors, float32 (n,)."""
        return self._likeness[part, -1]

    def add(self, images: Places, places: Places, likeness: Floats) -> None:
        """Add candidate pairs; among equally similar ones the lower index is kept."""
        better = likeness > self._likeness[images, -1]
        images, places, likeness = images[better], places[better], likeness[better]
        if not len(images):
            return
        changed = np.unique(images)
        count = self._places.shape[1]
        owners = np.concatenate([np.repeat(changed, count), images])
        all_places = np.concatenate([self._places[changed].ravel(), places])
        all_likeness = np.concatenate([self._likeness[changed].ravel(), likeness])
        order = np.lexsort((all_places, -all_likeness, owners))
        first = np.searchsorted(owners[order], changed)
        selected = order[(first[:, None] + np.arange(count)).ravel()]
        self._places[changed] = all_places[selected].reshape(-1, count)
        self._likeness[changed] = all_likeness[selected].reshape(-1, count)

    def pairs(self) -> tuple[Places, Places]:
        """All images with neighbors, one entry per neighbor, and these neighbors."""
        images, numbers = np.nonzero(self._places >= 0)
        return images, self._places[images, numbers]


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
    asked: Floats, known: tuple[Floats, ...], own: Places, nearest: tuple[_Nearest, _Nearest], workers: int
) -> Iterator[_Block]:
    """Compare all images block by block, in a fixed order."""
    from threadpoolctl import threadpool_limits

    rows, columns = nearest
    total = len(known[0])
    pending: deque[Future[_Block]] = deque()
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(workers) as pool:
        for start in range(0, len(asked), _BLOCK):
            part = slice(start, min(start + _BLOCK, len(asked)))
            untransposed = _parts(asked[part])
            orientations = (untransposed, _parts(turn_frequencies(asked[part], SYMMETRIES[4])))
            for column in range(0, total, _BLOCK):
                other = slice(column, min(column + _BLOCK, total))
                bars = rows.bars(part).copy(), columns.bars(other).copy()
                pending.append(pool.submit(_compare_block, orientations, known, (part, other), own[part], bars))
                if len(pending) > 2 * workers:
                    yield pending.popleft().result()
        for future in pending:
            yield future.result()


def _compare_block(
    ways: tuple[tuple[Floats, ...], ...],
    known: tuple[Floats, ...],
    block: tuple[slice, slice],
    own: Places,
    bars: tuple[Floats, Floats],
) -> _Block:
    """Find the pairs of a block that exceed the thresholds of either image."""
    part, other = block
    best = np.maximum(*(_best_of_four(way, [each[other] for each in known]) for way in ways))
    with_self = np.flatnonzero((own >= other.start) & (own < other.stop))
    best[with_self, own[with_self] - other.start] = -1
    exceeds = best > bars[0][:, None]
    exceeds |= best > bars[1][None, :]
    rows, columns = np.nonzero(exceeds)
    return _Block(rows + part.start, columns + other.start, best[rows, columns])


def _best_of_four(one: tuple[Floats, ...], other: list[Floats]) -> Floats:
    """The largest cosine (m, n) over mirroring in either direction, in both and in none."""
    both_even, odd_across, odd_down, both_odd = (mine @ yours.T for mine, yours in zip(one, other, strict=True))
    # mirroring in both directions keeps both_even and both_odd, mirroring in one changes the sign of both_odd
    turned = both_even - both_odd
    both_even += both_odd
    np.subtract(odd_across, odd_down, out=both_odd)
    odd_across += odd_down
    both_even += np.abs(odd_across, out=odd_across)
    turned += np.abs(both_odd, out=both_odd)
    best: Floats = np.maximum(both_even, turned, out=both_even)
    return best
