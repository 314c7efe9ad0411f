"""Group images that belong together: near-duplicates, bursts of one camera, and groups in a table's column."""

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
"""Why images belong together: they show the same scene, are from one burst, or have the same value in a column."""

LINK_KINDS: tuple[LinkKind, ...] = ("near-duplicate", "burst", "group")


@dataclass(frozen=True, slots=True)
class Links:
    """Pairs of images that belong together for the same reason.

    Attributes:
        kind: The reason.
        pairs: Indices of two images each, in any order.
    """

    kind: LinkKind
    pairs: Sequence[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Grouping:
    """Groups of images that must stay in the same split.

    Attributes:
        numbers: Number of each image's group, int64 (n,), counted from 0 in the order of their first images; an
            unlinked image is a group of its own.
        kinds: For each group, why its images belong together; empty for a single image.
    """

    numbers: np.ndarray
    kinds: tuple[tuple[LinkKind, ...], ...]

    @property
    def count(self) -> int:
        """Number of groups, including those of a single image."""
        return len(self.kinds)

    def sizes(self) -> np.ndarray:
        """Number of images in each group, int64 (groups,)."""
        return np.bincount(self.numbers, minlength=self.count)


def group_images(n: int, links: Iterable[Links]) -> Grouping:
    """Group images that are linked, directly or through others.

    Args:
        n: Number of images.
        links: Links of all kinds.

    Returns:
        The connected components of the images.

    Raises:
        ValueError: A pair has an index that is out of range.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    links = tuple(links)
    pairs = np.array([pair for each in links for pair in each.pairs], np.int64).reshape(-1, 2)
    if pairs.size and (pairs.min() < 0 or pairs.max() >= n):
        raise ValueError(f"pairs name pictures from {pairs.min()} to {pairs.max()}, and there are {n}")
    graph = coo_array((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    count, components = connected_components(graph, directed=False)
    _, first = np.unique(components, return_index=True)
    number_of_component = np.empty(count, np.int64)
    number_of_component[np.argsort(first, kind="stable")] = np.arange(count)
    numbers = number_of_component[components] if n else np.empty(0, np.int64)
    kinds: list[set[LinkKind]] = [set() for _ in range(count)]
    for each in links:
        for one, other in each.pairs:
            if one != other:
                kinds[numbers[one]].add(each.kind)
    return Grouping(numbers, tuple(tuple(kind for kind in LINK_KINDS if kind in components) for components in kinds))


def link_column(dataset: Dataset) -> Links:
    """Link images with the same value in the group column, including copies of such images.

    Empty cells are ignored. A copy that is left out of the data set still counts for the image that is used in its
    place: two groups that share an image are merged.

    Args:
        dataset: Read with `TableOptions.group_column`.
    """
    index_by_file = {image.source.file: index for index, image in enumerate(dataset.images)}
    kept_file = {row.file: row.same_as for row in dataset.manifest if row.status == "duplicate"}
    members: dict[str, list[int]] = defaultdict(list)
    for file, values in dataset.groups.items():
        index = index_by_file.get(kept_file.get(file, file))
        if index is not None:
            for value in values:
                members[value].append(index)
    return Links("group", tuple(pair for each in members.values() for pair in chain_pairs(each)))


def chain_pairs(members: Sequence[int]) -> list[tuple[int, int]]:
    """Pair each member with the next one, which links all of them."""
    return list(pairwise(members))


_MAKE, _MODEL = 0x010F, 0x0110

_TAKEN, _FRACTION, _SERIAL = 0x9003, 0x9291, 0xA431

_CHUNK = 32


@dataclass(frozen=True, slots=True)
class Shot:
    """Time and camera of a photo.

    Attributes:
        camera: Make, model and, if the file contains it, serial number.
        seconds: Time of the camera's clock (EXIF's DateTimeOriginal with SubSecTimeOriginal), in seconds; only
            differences are meaningful.
    """

    camera: tuple[str, str, str]
    seconds: float


def find_bursts(images: Sequence[LabeledImage], *, within: float = BURST_SECONDS, workers: int = 1) -> Links:
    """Link images that a camera took in quick succession; a long burst forms a chain.

    Args:
        images: The images; only the headers of their files are read, and entries of IDX files are ignored.
        within: Maximum number of seconds between one image and the next; 0 only links images with the same time.
        workers: Number of threads.

    Returns:
        Pairs of indices in `images`; images without camera or time are in none.
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
    """Read the time and camera of a photo from its EXIF data.

    Returns:
        None if the file lacks one of them, or can't be read.
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
        for chunk_shots in pool.map(lambda chunk: [read_shot(source) for source in chunk], chunks):
            shots += chunk_shots
            advance(len(chunk_shots))
    return shots


def _text(value: object) -> str:
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    return str(value or "").strip(" \0\t\r\n")


def _seconds(taken: str, fraction: str) -> float | None:
    """Convert EXIF's time to seconds; None if it is invalid or was never set (0000:00:00)."""
    with contextlib.suppress(ValueError, OverflowError):
        moment = datetime.datetime.strptime(taken, "%Y:%m:%d %H:%M:%S")
        digits = fraction if fraction.isdecimal() and fraction.isascii() else "0"
        return (moment - datetime.datetime(1, 1, 1)).total_seconds() + float(f"0.{digits}")
    return None
