"""Images that belong together: copies and bursts of one scene, and what a table says is one group.

Bursts: images that one camera took within seconds of each other, by the time in their EXIF data.
"""

from __future__ import annotations

import contextlib
import datetime
from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from distingo.datasets.decoding.decode import UndecodableError, read_bytes, read_exif
from distingo.options.training import BURST_SECONDS
from distingo.progress import progress_bar
from distingo.records import Dataset, LabeledImage, Source

LinkKind = Literal["near-duplicate", "burst", "group"]
"""Why two images belong together: copies of one scene; taken in one burst; the same value in the group column."""

LINK_KINDS: tuple[LinkKind, ...] = ("near-duplicate", "burst", "group")


@dataclass(frozen=True, slots=True)
class Links:
    """Pairs of images that belong together for one reason.

    Attributes:
        kind: The reason.
        pairs: Positions of two images each, in any order.
    """

    kind: LinkKind
    pairs: Sequence[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Grouping:
    """Which images must stay on one side of a split.

    Attributes:
        numbers: Of each image's group, int64 (n,), counted from 0 in the order of their first images; an image
            that belongs to no other is a group of its own.
        kinds: By group, why its images belong together; empty for a single image.
    """

    numbers: np.ndarray
    kinds: tuple[tuple[LinkKind, ...], ...]

    @property
    def count(self) -> int:
        """How many groups there are, those of one image among them."""
        return len(self.kinds)

    def sizes(self) -> np.ndarray:
        """Images per group, int64 (groups,)."""
        return np.bincount(self.numbers, minlength=self.count)


def group_images(n: int, links: Iterable[Links]) -> Grouping:
    """Put together what is linked, directly or by a chain.

    Args:
        n: How many images there are.
        links: Of every kind.

    Returns:
        The connected components of the images.

    Raises:
        ValueError: A pair names an image that there is not.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    links = tuple(links)
    pairs = np.array([pair for each in links for pair in each.pairs], np.int64).reshape(-1, 2)
    if pairs.size and (pairs.min() < 0 or pairs.max() >= n):
        raise ValueError(f"pairs name pictures from {pairs.min()} to {pairs.max()}, and there are {n}")
    graph = coo_array((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    count, found = connected_components(graph, directed=False)
    _, first = np.unique(found, return_index=True)
    renamed = np.empty(count, np.int64)
    renamed[np.argsort(first, kind="stable")] = np.arange(count)
    numbers = renamed[found] if n else np.empty(0, np.int64)
    kinds: list[set[LinkKind]] = [set() for _ in range(count)]
    for each in links:
        for one, other in each.pairs:
            if one != other:
                kinds[numbers[one]].add(each.kind)
    return Grouping(numbers, tuple(tuple(kind for kind in LINK_KINDS if kind in found) for found in kinds))


def link_column(dataset: Dataset) -> Links:
    """Link the images that the group column gives the same value, and the copies of such images.

    An empty cell says nothing. A copy that is left out of the data set still speaks for the image that is used in its
    place: two groups that share an image become one.

    Args:
        dataset: Read with `TableOptions.group_column`.
    """
    places = {image.source.file: at for at, image in enumerate(dataset.images)}
    used = {row.file: row.same_as for row in dataset.manifest if row.status == "duplicate"}
    members: dict[str, list[int]] = defaultdict(list)
    for file, values in dataset.groups.items():
        at = places.get(used.get(file, file))
        if at is not None:
            for value in values:
                members[value].append(at)
    return Links("group", tuple(pair for each in members.values() for pair in chain_pairs(each)))


def chain_pairs(members: Sequence[int]) -> list[tuple[int, int]]:
    """The pairs that link members one after another, which puts all of them together."""
    return list(pairwise(members))


_MAKE, _MODEL = 0x010F, 0x0110

_TAKEN, _FRACTION, _SERIAL = 0x9003, 0x9291, 0xA431

_CHUNK = 32


@dataclass(frozen=True, slots=True)
class Shot:
    """When and with what an image was taken.

    Attributes:
        camera: Make, model and, where the file says it, serial number.
        seconds: The camera's own clock (EXIF's DateTimeOriginal with SubSecTimeOriginal), in seconds; only
            differences mean something.
    """

    camera: tuple[str, str, str]
    seconds: float


def find_bursts(images: Sequence[LabeledImage], *, within: float = BURST_SECONDS, workers: int = 1) -> Links:
    """Link images of one camera that follow each other closely; a long burst is a chain.

    Args:
        images: Whose files are looked at again, their headers only; entries of IDX files say nothing.
        within: Seconds between one image and the next; 0 links only those of the same instant.
        workers: Threads.

    Returns:
        Pairs of positions in `images`. An image without camera or without time is in none.
    """
    cameras: dict[tuple[str, str, str], list[tuple[float, int]]] = defaultdict(list)
    for at, shot in enumerate(_read_shots(images, workers)):
        if shot is not None:
            cameras[shot.camera].append((shot.seconds, at))
    pairs = []
    for shots in cameras.values():
        shots.sort()
        for (before, one), (after, other) in pairwise(shots):
            if after - before <= within + 1e-4:  # seconds since year 1 are exact to about 1e-5
                pairs.append((one, other))
    return Links("burst", tuple(pairs))


def read_shot(source: Source) -> Shot | None:
    """When and with what an image was taken.

    Returns:
        None where the file does not say both, or can't be read.
    """
    if source.index is not None:
        return None
    try:
        exif = read_exif(read_bytes(source))
    except UndecodableError:
        return None
    make, model, serial = (_text(exif.get(tag)) for tag in (_MAKE, _MODEL, _SERIAL))
    seconds = _seconds(_text(exif.get(_TAKEN)), _text(exif.get(_FRACTION)))
    if seconds is None or not (make or model):
        return None
    return Shot((make, model, serial), seconds)


def _read_shots(images: Sequence[LabeledImage], workers: int) -> list[Shot | None]:
    sources = [image.source for image in images]
    chunks = [sources[at : at + _CHUNK] for at in range(0, len(sources), _CHUNK)]
    shots: list[Shot | None] = []
    with ThreadPoolExecutor(workers) as pool, progress_bar("Looking for bursts", len(sources)) as advance:
        for found in pool.map(lambda chunk: [read_shot(source) for source in chunk], chunks):
            shots += found
            advance(len(found))
    return shots


def _text(value: object) -> str:
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    return str(value or "").strip(" \0\t\r\n")


def _seconds(taken: str, fraction: str) -> float | None:
    """The camera's clock, or None where it was never set (0000:00:00) or is no time."""
    with contextlib.suppress(ValueError, OverflowError):
        moment = datetime.datetime.strptime(taken, "%Y:%m:%d %H:%M:%S")
        digits = fraction if fraction.isdecimal() and fraction.isascii() else "0"
        return (moment - datetime.datetime(1, 1, 1)).total_seconds() + float(f"0.{digits}")
    return None
