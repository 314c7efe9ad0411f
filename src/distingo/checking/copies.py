"""Pairs of pictures that show the same scene: resized, recompressed, cropped, mirrored or brightened copies."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from distingo.datasets.decoding import DECODING
from distingo.datasets.gathering import Product, count_processors
from distingo.datasets.store import Cache
from distingo.features.registration import COARSE, align, compare
from distingo.features.signatures import SIDE, low_frequencies, shrink, sign
from distingo.progress import progress_bar

LOOSEST = 0.6
"""Pairs less alike than this are not kept: strangers."""

_NEIGHBOURS = 6
_ALIKE_IN_THE_COARSE = 0.45
"""Cosine of low frequencies; 0.48 was the least of 80 copies cropped by a tenth, most strangers are below."""

_ALIKE_WHEN_SMALL = 0.997
"""The same where one picture is smaller than a signature: so little is in it that strangers are alike too."""

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
    """Two pictures of the same scene.

    Attributes:
        first: Position of the one, the smaller number.
        second: Position of the other.
        similarity: From 0 to 1, see `distingo.features.registration.compare`.
        mirrored: Whether one is the other's mirror image.
    """

    first: int
    second: int
    similarity: float
    mirrored: bool


@dataclass(frozen=True, slots=True)
class _Coarse:
    """What is held of all pictures at once.

    Attributes:
        small: Float32 (n, 8, 8).
        plain: Low frequencies, float32 (n, 63).
        mirrored: The same of the mirror images.
    """

    small: npt.NDArray[np.float32]
    plain: npt.NDArray[np.float32]
    mirrored: npt.NDArray[np.float32]


def signature_product(cache: Cache) -> Product:
    """The signature of every picture, uint8 (64, 64), to be computed while it is decoded."""
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

    Every picture is compared closely with the six that are most alike in the coarse, as they are and mirrored. Pictures
    smaller than 64 pixels have little to be known by (any two shirts of 28 pixels are alike): what their similarity
    lacks to 1 counts (64 / side) cubed times, and no cut-outs of them are found.

    Args:
        signatures: Of all pictures (`signature_product`); they are read in blocks and never all held at once.
        sides: Pixels of each picture's shorter side (n,).
        further: Pairs of positions that are to be compared closely too, for example neighbours among embeddings, which
            also know copies of which little is left.
        loosest: The least similarity that is kept.
        workers: Threads; default: one per processor.

    Returns:
        Every pair once, the most alike first.
    """
    shorter = np.minimum(np.asarray(sides, np.int64), SIDE)
    coarse = _coarse(signatures)
    candidates = _candidates(coarse, shorter, further)
    best: dict[tuple[int, int], CopyPair] = {}
    for found in _compare_all(signatures, coarse, candidates, workers or count_processors()):
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
    coarse: _Coarse, sides: npt.NDArray[np.int64], further: Iterable[tuple[int, int]]
) -> npt.NDArray[np.intp]:
    """Pairs worth a close look: rows of first, second, mirrored (0 or 1); each once, in order."""
    found = [np.array([(*sorted(pair), mirrored) for pair in further for mirrored in (0, 1)], np.intp).reshape(-1, 3)]
    for turned, described in enumerate((coarse.plain, coarse.mirrored)):
        first, second = _neighbours(coarse.plain, described, sides)
        pairs = np.stack([np.minimum(first, second), np.maximum(first, second), np.full_like(first, turned)], axis=1)
        found.append(pairs)
    return np.unique(np.concatenate(found), axis=0)


def _coarse(signatures: Rows) -> _Coarse:
    count = len(signatures)
    small = np.empty((count, SIDE // COARSE, SIDE // COARSE), np.float32)
    plain, mirrored = np.empty((count, 63), np.float32), np.empty((count, 63), np.float32)
    for at in range(0, count, _BLOCK):
        block = signatures.take(np.arange(at, min(at + _BLOCK, count)))
        place = slice(at, at + len(block))
        small[place] = shrink(block, COARSE)
        plain[place] = low_frequencies(block)
        mirrored[place] = low_frequencies(block[:, :, ::-1])
    return _Coarse(small, plain, mirrored)


def _neighbours(
    known: npt.NDArray[np.float32], asked: npt.NDArray[np.float32], sides: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """The nearest of each, itself excepted, that are alike enough."""
    from sklearn.neighbors import NearestNeighbors

    count = len(known)
    if count < 2:
        return np.empty(0, np.intp), np.empty(0, np.intp)
    search = NearestNeighbors(n_neighbors=min(_NEIGHBOURS + 1, count), algorithm="brute").fit(known)
    found = []
    with progress_bar("Searching", count) as advance:
        for at in range(0, count, 4 * _BLOCK):
            found.append(search.kneighbors(asked[at : at + 4 * _BLOCK]))
            advance(len(found[-1][0]))
    distance, place = (np.concatenate(parts) for parts in zip(*found, strict=True))
    asking = np.broadcast_to(np.arange(count)[:, None], place.shape)
    small = np.minimum(sides[asking], sides[place]) < SIDE
    alike = 1 - distance**2 / 2 >= np.where(small, _ALIKE_WHEN_SMALL, _ALIKE_IN_THE_COARSE)
    kept = alike & (place != asking)
    return asking[kept], place[kept]


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
    fit, promising = align(_turned(coarse.small[block[:, 0]], block), coarse.small[block[:, 1]])
    block, fit = block[promising], fit[promising]
    if not len(block):
        return []
    first, second = signatures.take(block[:, 0]), signatures.take(block[:, 1])
    similarity = compare(_turned(first, block), second, fit)
    return [
        CopyPair(int(one), int(other), float(alike), bool(turned))
        for (one, other, turned), alike in zip(block, similarity, strict=True)
        if alike > 0
    ]


def _turned(pictures: npt.NDArray[Any], block: npt.NDArray[np.intp]) -> npt.NDArray[Any]:
    """Mirror those pictures whose pair is looked at mirrored."""
    mirrored = block[:, 2].astype(bool)
    pictures[mirrored] = pictures[mirrored][:, :, ::-1]
    return pictures
