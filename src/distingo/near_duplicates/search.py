"""Pairs of images that show the same scene: resized, recompressed, cropped, brightened, turned or mirrored."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from distingo.datasets.cache.store import Cache
from distingo.datasets.decoding.decode import DECODING
from distingo.datasets.gathering import Product
from distingo.datasets.options import count_processors
from distingo.features.signatures import (
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
from distingo.near_duplicates.coarse import Described, describe, nearest_pairs
from distingo.options.training import LOOSEST
from distingo.progress import progress_bar

_NEIGHBORS = 3
"""Of each image: so many whose middle it is like, and so many that are like its own middle."""

_ALIKE_IN_THE_COARSE = 0.45
"""Cosine of descriptions; of 480 copies cropped by a tenth 99 in 100 were above 0.57, most strangers are below."""

_NEIGHBORS_WHEN_SMALL = 6
_ALIKE_WHEN_SMALL = 0.997
"""The same where one image is smaller than a signature: so little is in it that strangers are alike too."""

_FIRST_SIEVE = 0.99
"""What smaller images must reach before they are taken from the cache and compared by that."""

_RESIZED = 1.25
"""An image that is larger than a small one by this factor shows detail that the small one has lost, if it is a copy."""

_ALIKE_WHEN_RESIZED = 0.99
_SMOOTHED = 0.94
"""What such pairs must reach instead, and the Gaussian that both are smoothed by before they are compared closely, in
pixels of the small one: of copies of 50 pixels of tiles of 100, 98 in 100 are found then instead of 7."""

_NEARLY_AS_ALIKE = 0.1
"""Symmetries whose cosine is so near the best one's are compared closely too: a round tank is like itself turned."""

_BLOCK = 2048
_PAIRS = 512


class Rows(Protocol):
    """Signatures by position: a NumPy array's or a store's rows."""

    def __len__(self) -> int:
        """How many there are."""

    def take(self, indices: npt.NDArray[np.intp], /) -> npt.NDArray[np.uint8]:
        """Those at these positions, uint8 (n, 64, 64)."""


@dataclass(frozen=True, slots=True)
class CopyPair:
    """Two images of the same scene.

    Attributes:
        first: Position of the one, the smaller number.
        second: Position of the other.
        similarity: From 0 to 1, see `distingo.features.signatures.compare`.
        symmetry: What turns the first into the second (`distingo.features.signatures`); 0 for nothing.
    """

    first: int
    second: int
    similarity: float
    symmetry: int = 0


@dataclass(frozen=True, slots=True)
class _Coarse:
    """What is held of all images at once.

    Attributes:
        small: Float32 (n, 8, 8).
        described: Of all.
        sides: Pixels of each image's shorter side (n,).
    """

    small: npt.NDArray[np.float32]
    described: Described
    sides: npt.NDArray[np.int64]


def signature_product(cache: Cache) -> Product:
    """The signature of every image, uint8 (64, 64), to be computed while it is decoded."""
    return Product(cache.store(f"signature-1-decoded-{DECODING}", (SIDE, SIDE), "uint8"), sign, enough=SIDE)


def find_copies(
    signatures: Rows,
    sides: npt.ArrayLike,
    *,
    further: Iterable[tuple[int, int]] = (),
    loosest: float = LOOSEST,
    workers: int | None = None,
) -> tuple[CopyPair, ...]:
    """Find all pairs that show the same scene.

    Every image is compared closely with those most alike in the coarse, under any of the eight symmetries of the
    square (`distingo.near_duplicates.coarse`). Images smaller than 64 pixels have little to be known by (any two shirts
    of 28 pixels are alike): what their similarity lacks to 1 counts (64 / side) cubed times, and no cut-outs of them
    are found.

    Args:
        signatures: Of all images (`signature_product`); they are read in blocks and never all held at once.
        sides: Pixels of each image's shorter side (n,).
        further: Pairs of positions that are to be compared closely too, for example neighbors among embeddings, which
            also know copies of which little is left.
        loosest: The least similarity that is kept.
        workers: Threads; default: one per processor.

    Returns:
        Every pair once, the most alike first.
    """
    coarse = _coarse(signatures, np.asarray(sides, np.int64))
    shorter = np.minimum(coarse.sides, SIDE)
    workers = workers or count_processors()
    candidates = _candidates(signatures, coarse, further, workers)
    best: dict[tuple[int, int], CopyPair] = {}
    for found in _compare_all(signatures, coarse, candidates, workers):
        strictness = (SIDE / min(shorter[found.first], shorter[found.second])) ** 3
        pair = replace(found, similarity=max(0.0, 1 - (1 - found.similarity) * float(strictness)))
        known = best.get((pair.first, pair.second))
        if pair.similarity >= loosest and (known is None or pair.similarity > known.similarity):
            best[pair.first, pair.second] = pair
    return tuple(sorted(best.values(), key=lambda pair: (-pair.similarity, pair.first, pair.second)))


def group_copies(pairs: Iterable[tuple[int, int]], count: int) -> npt.NDArray[np.intp]:
    """Put what is linked by pairs, directly or through others, into one group.

    Args:
        pairs: Positions that belong together.
        count: How many positions there are.

    Returns:
        The group of each position (count,): the smallest position in it.
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
    """Pairs worth a close look: rows of first, second, symmetry; each once, in order."""
    described = coarse.described
    found = _with_symmetries(described, _neighbors(described, coarse.sides, workers))
    small = coarse.sides[found[:, :2]].min(axis=1) < SIDE
    found = found[~small | _nearly_equal(signatures, coarse.sides, found, small)]
    given = np.array([sorted(pair) for pair in further], np.intp).reshape(-1, 2)
    plain, mirrored = (np.column_stack([given, np.full(len(given), symmetry)]) for symmetry in (0, 1))
    return np.unique(np.concatenate([found, plain, mirrored, _with_symmetries(described, given)]), axis=0)


def _neighbors(described: Described, sides: npt.NDArray[np.int64], workers: int) -> npt.NDArray[np.intp]:
    """Pairs alike in the coarse, intp (pairs, 2): cut-outs too among large images, equals only where one is small."""
    everything = np.arange(len(sides))
    large, small = everything[sides >= SIDE], everything[sides < SIDE]
    among_large = nearest_pairs(
        described.middle[large],
        described.whole[large],
        np.arange(len(large)),
        count=_NEIGHBORS,
        least=_ALIKE_IN_THE_COARSE,
        workers=workers,
    )
    with_small = nearest_pairs(
        described.whole[small],
        described.whole,
        small,
        count=_NEIGHBORS_WHEN_SMALL,
        least=_FIRST_SIEVE,
        workers=workers,
    )
    return np.concatenate([large[among_large], with_small])


def _with_symmetries(described: Described, pairs: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """Pairs (n, 2) with the symmetries they are alike under: intp (n or more, 3)."""
    chosen = [np.empty((0, 3), np.intp)]
    for at in range(0, len(pairs), _BLOCK):
        block = pairs[at : at + _BLOCK]
        likeness = np.stack([described.likeness(block[:, 0], block[:, 1], symmetry) for symmetry in SYMMETRIES], axis=1)
        rows, symmetries = np.nonzero(likeness >= likeness.max(axis=1, keepdims=True) - _NEARLY_AS_ALIKE)
        chosen.append(np.column_stack([block[rows], symmetries]))
    return np.concatenate(chosen)


def _nearly_equal(
    signatures: Rows,
    sides: npt.NDArray[np.int64],
    candidates: npt.NDArray[np.intp],
    asked: npt.NDArray[np.bool_],
) -> npt.NDArray[np.bool_]:
    """Which of the candidates (n, 3) are so alike that even small images are of one scene; False for others."""
    equal = np.zeros(len(candidates), bool)
    places = np.flatnonzero(asked)
    for at in range(0, len(places), _BLOCK):
        block = places[at : at + _BLOCK]
        first = turn(signatures.take(candidates[block, 0]), candidates[block, 2])
        pairs = low_frequencies(first), low_frequencies(signatures.take(candidates[block, 1]))
        resized = _lost_detail(sides[candidates[block, :2]]) > 0
        least = np.where(resized, _ALIKE_WHEN_RESIZED, _ALIKE_WHEN_SMALL)
        equal[block] = np.einsum("ij,ij->i", *pairs) >= least
    return equal


def _lost_detail(sides: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """By which Gaussian pairs of images with these sides (n, 2) are to be smoothed, in pixels of signatures (n,).

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
    waiting: deque[Future[list[CopyPair]]] = deque()
    with progress_bar("Comparing", len(candidates)) as advance, ThreadPoolExecutor(workers) as pool:
        for block in blocks:
            waiting.append(pool.submit(_compare_block, signatures, coarse, block))
            if len(waiting) > 2 * workers:
                yield from waiting.popleft().result()
                advance(_PAIRS)
        for future in waiting:
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
        CopyPair(int(one), int(other), float(alike), int(symmetry))
        for (one, other, symmetry), alike in zip(block, similarity, strict=True)
        if alike > 0
    ]
