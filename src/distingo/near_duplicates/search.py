"""Find pairs of images that show the same scene: resized, recompressed, cropped, brightened, turned or mirrored.

`NearDuplicateSearch` records what was searched for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from distingo.datasets.cache.products import Product
from distingo.datasets.cache.store import Cache
from distingo.datasets.decoding.decode import DECODING
from distingo.datasets.options import count_processors
from distingo.near_duplicates.coarse import Described, describe, nearest_pairs
from distingo.near_duplicates.signatures import (
    COARSE,
    SIDE,
    SYMMETRIES,
    align,
    compare,
    low_frequencies,
    shrink,
    sign,
    smooth,
    turn,
)
from distingo.options.training import MIN_SIMILARITY
from distingo.progress import progress_bar
from distingo.records import LabeledImage

_NEIGHBORS = 3
"""Neighbors of each image: so many whose middle it resembles, and so many that resemble its own middle."""

_MIN_COSINE = 0.45
"""Minimum cosine of descriptions: 99 of 100 copies cropped by a tenth are above 0.57 (of 480), most other pairs
below."""

_NEIGHBORS_SMALL = 6

_MIN_COSINE_SMALL = 0.997
"""The same if one image is smaller than a signature, as different images are similar too at so little detail."""

_MIN_COSINE_PREFILTER = 0.99
"""Minimum cosine for smaller images before their signatures are read and compared more precisely."""

_RESIZED = 1.25
"""A copy that is larger than a small image by this factor shows detail that the small one has lost."""

_MIN_COSINE_RESIZED = 0.99

_SMOOTHED = 0.94
"""Minimum cosine for such pairs, and the Gaussian that smooths both before a close comparison, in pixels of the small
image: for copies of 100-pixel tiles at 50 pixels, this finds 98 in 100 instead of 7."""

_SYMMETRY_MARGIN = 0.1
"""Symmetries whose cosine is this close to the best one's are also compared: a round tank resembles itself turned."""

_BLOCK = 2048

_PAIRS = 512


class Rows(Protocol):
    """Signatures by index: a NumPy array or the rows of a store."""

    def __len__(self) -> int:
        """Number of signatures."""

    def take(self, indices: npt.NDArray[np.intp], /) -> npt.NDArray[np.uint8]:
        """The signatures at these indices, uint8 (n, 64, 64)."""


@dataclass(frozen=True, slots=True)
class CopyPair:
    """Two images of the same scene.

    Attributes:
        first: Index of one image, the smaller one.
        second: Index of the other.
        similarity: From 0 to 1, see `distingo.near_duplicates.signatures.compare`.
        symmetry: The symmetry that turns the first into the second (`distingo.near_duplicates.signatures`); 0 for none.
    """

    first: int
    second: int
    similarity: float
    symmetry: int = 0


@dataclass(frozen=True, slots=True)
class _Coarse:
    """The data on all images that is held in memory.

    Attributes:
        small: Shrunk signatures, float32 (n, 8, 8).
        described: Descriptions of all images.
        sides: Shorter side of each image in pixels (n,).
    """

    small: npt.NDArray[np.float32]
    described: Described
    sides: npt.NDArray[np.int64]


def signature_product(cache: Cache) -> Product:
    """The product that computes the signature of every image, uint8 (64, 64), while it is decoded."""
    return Product(cache.store(f"signature-1-decoded-{DECODING}", (SIDE, SIDE), "uint8"), sign, enough=SIDE)


def find_copies(
    signatures: Rows,
    sides: npt.ArrayLike,
    *,
    further: Iterable[tuple[int, int]] = (),
    loosest: float = MIN_SIMILARITY,
    workers: int | None = None,
) -> tuple[CopyPair, ...]:
    """Find all pairs of images that show the same scene.

    Every image is compared closely with those whose coarse structure is most similar, under any of the eight symmetries
    of the square (`distingo.near_duplicates.coarse`). Images smaller than 64 pixels contain little detail (any two
    shirts of 28 pixels are similar), so the difference of their similarity to 1 is multiplied by (64 / side) cubed, and
    crops of them are not found.

    Args:
        signatures: Signatures of all images (`signature_product`); they are read in blocks and never all held in
            memory.
        sides: Shorter side of each image in pixels (n,).
        further: Additional pairs of indices for a close comparison, for example neighbors among embeddings, which also
            match copies with little of the original left.
        loosest: Minimum similarity of the results.
        workers: Number of threads; default: one per processor.

    Returns:
        Every pair once, the most similar first.
    """
    coarse = _coarse(signatures, np.asarray(sides, np.int64))
    shorter = np.minimum(coarse.sides, SIDE)
    workers = workers or count_processors()
    candidates = _candidates(signatures, coarse, further, workers)
    best: dict[tuple[int, int], CopyPair] = {}
    for copy in _compare_all(signatures, coarse, candidates, workers):
        strictness = (SIDE / min(shorter[copy.first], shorter[copy.second])) ** 3
        pair = replace(copy, similarity=max(0.0, 1 - (1 - copy.similarity) * float(strictness)))
        previous = best.get((pair.first, pair.second))
        if pair.similarity >= loosest and (previous is None or pair.similarity > previous.similarity):
            best[pair.first, pair.second] = pair
    return tuple(sorted(best.values(), key=lambda pair: (-pair.similarity, pair.first, pair.second)))


def group_copies(pairs: Iterable[tuple[int, int]], count: int) -> npt.NDArray[np.intp]:
    """Group indices that are linked by pairs, directly or through others.

    Args:
        pairs: Indices that belong together.
        count: Number of indices.

    Returns:
        The group of each index (count,): the smallest index in it.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    ends = np.array(list(pairs), np.intp).reshape(-1, 2)
    links = coo_array((np.ones(len(ends), np.int8), (ends[:, 0], ends[:, 1])), shape=(count, count))
    _, component = connected_components(links, directed=False)
    first = np.full(count, count, np.intp)
    np.minimum.at(first, component, np.arange(count))
    groups: npt.NDArray[np.intp] = first[component]
    return groups


def _candidates(
    signatures: Rows, coarse: _Coarse, further: Iterable[tuple[int, int]], workers: int
) -> npt.NDArray[np.intp]:
    """Candidates for a close comparison: rows of first, second, symmetry; sorted and without duplicates."""
    described = coarse.described
    neighbors = _with_symmetries(described, _neighbors(described, coarse.sides, workers))
    small = coarse.sides[neighbors[:, :2]].min(axis=1) < SIDE
    neighbors = neighbors[~small | _nearly_equal(signatures, coarse.sides, neighbors, small)]
    extra = np.array([sorted(pair) for pair in further], np.intp).reshape(-1, 2)
    unmirrored, mirrored = (np.column_stack([extra, np.full(len(extra), symmetry)]) for symmetry in (0, 1))
    return np.unique(np.concatenate([neighbors, unmirrored, mirrored, _with_symmetries(described, extra)]), axis=0)


def _neighbors(described: Described, sides: npt.NDArray[np.int64], workers: int) -> npt.NDArray[np.intp]:
    """Pairs with similar coarse structure, intp (pairs, 2): including crops for large images, equal ones for small."""
    indices = np.arange(len(sides))
    large, small = indices[sides >= SIDE], indices[sides < SIDE]
    among_large = nearest_pairs(
        described.middle[large],
        described.whole[large],
        np.arange(len(large)),
        count=_NEIGHBORS,
        min_cosine=_MIN_COSINE,
        workers=workers,
    )
    with_small = nearest_pairs(
        described.whole[small],
        described.whole,
        small,
        count=_NEIGHBORS_SMALL,
        min_cosine=_MIN_COSINE_PREFILTER,
        workers=workers,
    )
    return np.concatenate([large[among_large], with_small])


def _with_symmetries(described: Described, pairs: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """Add to pairs (n, 2) the symmetries under which they are similar: intp (n or more, 3)."""
    rows_with_symmetry = [np.empty((0, 3), np.intp)]
    for at in range(0, len(pairs), _BLOCK):
        block = pairs[at : at + _BLOCK]
        similarity = np.stack(
            [described.similarity(block[:, 0], block[:, 1], symmetry) for symmetry in SYMMETRIES], axis=1
        )
        rows, symmetries = np.nonzero(similarity >= similarity.max(axis=1, keepdims=True) - _SYMMETRY_MARGIN)
        rows_with_symmetry.append(np.column_stack([block[rows], symmetries]))
    return np.concatenate(rows_with_symmetry)


def _nearly_equal(
    signatures: Rows,
    sides: npt.NDArray[np.int64],
    candidates: npt.NDArray[np.intp],
    selected: npt.NDArray[np.bool_],
) -> npt.NDArray[np.bool_]:
    """Which candidates (n, 3), of those `selected`, are nearly equal, so that even small images show the same scene."""
    equal = np.zeros(len(candidates), bool)
    indices = np.flatnonzero(selected)
    for at in range(0, len(indices), _BLOCK):
        block = indices[at : at + _BLOCK]
        first = turn(signatures.take(candidates[block, 0]), candidates[block, 2])
        pairs = low_frequencies(first), low_frequencies(signatures.take(candidates[block, 1]))
        resized = _lost_detail(sides[candidates[block, :2]]) > 0
        min_cosine = np.where(resized, _MIN_COSINE_RESIZED, _MIN_COSINE_SMALL)
        equal[block] = np.einsum("ij,ij->i", *pairs) >= min_cosine
    return equal


def _lost_detail(sides: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Standard deviation of the Gaussian to smooth pairs of images with these sides (n, 2), in signature pixels (n,).

    It is 0 unless one image is smaller than a signature and the other is larger.
    """
    smaller, larger = sides.min(axis=1), sides.max(axis=1)
    resized = (smaller < SIDE) & (larger >= _RESIZED * smaller)
    return np.where(resized, _SMOOTHED * SIDE / smaller, 0.0)


def _coarse(signatures: Rows, sides: npt.NDArray[np.int64]) -> _Coarse:
    count = len(signatures)
    small = np.empty((count, SIDE // COARSE, SIDE // COARSE), np.float32)
    parts = [describe(np.empty((0, SIDE, SIDE), np.uint8))]
    for at in range(0, count, _BLOCK):
        block = signatures.take(np.arange(at, min(at + _BLOCK, count)))
        small[at : at + len(block)] = shrink(block, COARSE)
        parts.append(describe(block))
    whole, middle = (np.concatenate([getattr(part, name) for part in parts]) for name in ("whole", "middle"))
    return _Coarse(small, Described(whole, middle), sides)


def _compare_all(
    signatures: Rows, coarse: _Coarse, candidates: npt.NDArray[np.intp], workers: int
) -> Iterator[CopyPair]:
    blocks = [candidates[at : at + _PAIRS] for at in range(0, len(candidates), _PAIRS)]
    pending: deque[Future[list[CopyPair]]] = deque()
    with progress_bar("Comparing", len(candidates)) as advance, ThreadPoolExecutor(workers) as pool:
        for block in blocks:
            pending.append(pool.submit(_compare_block, signatures, coarse, block))
            if len(pending) > 2 * workers:
                yield from pending.popleft().result()
                advance(_PAIRS)
        for future in pending:
            yield from future.result()


def _compare_block(signatures: Rows, coarse: _Coarse, block: npt.NDArray[np.intp]) -> list[CopyPair]:
    fit, promising = align(turn(coarse.small[block[:, 0]], block[:, 2]), coarse.small[block[:, 1]])
    block, fit = block[promising], fit[promising]
    if not len(block):
        return []
    first, second = signatures.take(block[:, 0]), signatures.take(block[:, 1])
    widths = _lost_detail(coarse.sides[block[:, :2]])
    similarity = compare(smooth(turn(first, block[:, 2]), widths), smooth(second, widths), fit)
    return [
        CopyPair(int(one), int(other), float(score), int(symmetry))
        for (one, other, symmetry), score in zip(block, similarity, strict=True)
        if score > 0
    ]


@dataclass(frozen=True, slots=True)
class NearDuplicateSearch:
    """The extent of a search; its results are findings.

    Attributes:
        images: Number of images of the data set, which were compared with each other.
        against: Number of images of the other data set that these were also compared with; 0 without one.
        small: Number of images whose shorter side is below `full_side`, so that only nearly equal ones are found.
        full_side: In pixels.
        symmetries: Number of symmetries of the square under which images were compared; 8 are all quarter turns, with
            and without mirroring.
        similarity: Minimum similarity of near-duplicates, from 0 to 1; leaks and contradictions have their own
            thresholds.
        kept_from: Minimum similarity of the pairs that are kept, so that the threshold can be changed.
    """

    images: int
    against: int
    small: int
    similarity: float
    full_side: int = SIDE
    symmetries: int = len(SYMMETRIES)
    kept_from: float = MIN_SIMILARITY


def record_search(
    images: Sequence[LabeledImage], others: Sequence[LabeledImage], similarity: float
) -> NearDuplicateSearch:
    """Record a search among the images of a data set and of another one, if any.

    Args:
        images: The usable images of the data set.
        others: Those of the other data set; empty without one.
        similarity: The threshold of near-duplicates.
    """
    small = sum(min(image.width, image.height) < SIDE for image in (*images, *others))
    return NearDuplicateSearch(len(images), len(others), small, similarity)


def describe_search(search: NearDuplicateSearch) -> str:
    """Describe a search in one sentence for the user."""
    among = f"among {search.images:,} images"
    if search.against:
        among += f", and between these and {search.against:,} of the other data set"
    small = f"; smaller than {search.full_side} pixels, so that only nearly equal ones are found: {search.small:,}"
    return (
        f"near-duplicates were searched for {among}, under {search.symmetries} symmetries (turned by quarters and "
        f"mirrored), from a similarity of {search.similarity:g} on{small if search.small else ''}"
    )
