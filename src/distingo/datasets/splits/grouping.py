"""Groups of images that belong together, and changes of a split that keep each group in one split.

Groups are near-duplicates, bursts of one camera, or groups in a table's column. As few images as possible are moved.
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
from distingo.datasets.splits.dividing import rejoin_groups
from distingo.datasets.splits.splitting import order_split
from distingo.messages.notes import Note, note
from distingo.options.training import BURST_SECONDS
from distingo.progress import progress_bar
from distingo.records import SPLITS, Dataset, LabeledImage, Source, Split, SplitName, Task, encode_labels

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
    used_file = {row.file: row.same_as for row in dataset.manifest if row.status == "duplicate"}
    members: dict[str, list[int]] = defaultdict(list)
    for file, values in dataset.groups.items():
        index = index_by_file.get(used_file.get(file, file))
        if index is not None:
            for value in values:
                members[value].append(index)
    return Links("group", tuple(pair for each in members.values() for pair in chain_pairs(each)))


def chain_pairs(members: Sequence[int]) -> list[tuple[int, int]]:
    """Pair each member with the next one, which links all of them."""
    return list(pairwise(members))


_MAKE, _MODEL = 0x010F, 0x0110

_DATE_TIME, _FRACTION, _SERIAL = 0x9003, 0x9291, 0xA431

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
    seconds = _seconds(_text(exif.get(_DATE_TIME)), _text(exif.get(_FRACTION)))
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


def _seconds(date_time: str, fraction: str) -> float | None:
    """Convert EXIF's time to seconds; None if it is invalid or was never set (0000:00:00)."""
    with contextlib.suppress(ValueError, OverflowError):
        moment = datetime.datetime.strptime(date_time, "%Y:%m:%d %H:%M:%S")
        digits = fraction if fraction.isdecimal() and fraction.isascii() else "0"
        return (moment - datetime.datetime(1, 1, 1)).total_seconds() + float(f"0.{digits}")
    return None


_NEEDED = 2
"""Number of splits in which a class should have images, whatever its groups: for training and for testing."""

_IMPORTANCE = np.array([100.0, 1.0, 10.0])
"""Importance of having a class in train, validation and test, if groups don't allow all three."""

_TOLERANCE = 0.5
"""Share of its size by which a split may grow or shrink to keep groups together."""

_FIXED_SPLITS = ("validation", "test")
"""Splits that stay unchanged if they are predefined."""


@dataclass(frozen=True, slots=True)
class GroupedSplit:
    """A split in which groups were kept together.

    Attributes:
        split: The new split, or the old one with its notes if nothing had to change.
        moved: Number of images whose split changed.
        too_large: Numbers of the groups that were divided nevertheless: otherwise, a class would be missing in a split,
            or a split would be half as large again or half as small as before.
    """

    split: Split
    moved: int
    too_large: tuple[int, ...]


def keep_groups(dataset: Dataset, split: Split, grouping: Grouping, *, seed: int) -> GroupedSplit:
    """Put every group into one split, if possible with as many images of each class in every split as before.

    Images of a predefined validation or test split stay there, along with images of their groups without a split;
    images of a predefined train split are never moved to a predefined test split. So groups remain in several splits
    only if they were predefined so, or if a group is too large.

    Args:
        dataset: The data set.
        split: Its split from `distingo.datasets.splits.splitting.split_dataset`.
        grouping: The groups of its images.
        seed: Not negative.
    """
    old_numbers = split_numbers(dataset, split)
    new_numbers, fixed = _follow_predefined(dataset, grouping, old_numbers)
    files = [image.source.file for image in dataset.images]
    movable = np.array(sorted(np.flatnonzero(~fixed), key=lambda at: files[at]), np.intp)  # independent of their order
    table = encode_labels(dataset.images, dataset.classes, "multi-label")
    too_large: tuple[int, ...] = ()
    if len(movable):
        new_numbers[movable], too_large = _rejoin(
            grouping.numbers[movable], table[movable], new_numbers[movable], dataset.task, seed
        )
    moved = int((new_numbers != old_numbers).sum())
    if not moved:
        return GroupedSplit(split, 0, too_large)
    by_split: dict[SplitName, list[LabeledImage]] = {split_name: [] for split_name in SPLITS}
    for image, number in zip(dataset.images, new_numbers.tolist(), strict=True):
        by_split[SPLITS[number]].append(image)
    notes = (*split.notes, *_lost(dataset, table, old_numbers, new_numbers))
    return GroupedSplit(order_split(by_split, notes), moved, too_large)


def split_numbers(dataset: Dataset, split: Split) -> np.ndarray:
    """The split of every image, int64 (n,): its index in `distingo.records.SPLITS`, or -1 for none."""
    number_by_file = {
        image.source.file: number for number, split_name in enumerate(SPLITS) for image in split.split(split_name)
    }
    return np.array([number_by_file.get(image.source.file, -1) for image in dataset.images], np.int64)


def _follow_predefined(dataset: Dataset, grouping: Grouping, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Assign images without a split to a predefined split of their group.

    Returns:
        The splits, int64 (n,), and which of them are fixed, bool (n,).
    """
    fixed = np.array([image.predefined_split in _FIXED_SPLITS for image in dataset.images], bool)
    unassigned = np.array([image.predefined_split is None for image in dataset.images], bool)
    group_counts = np.zeros((grouping.count, len(SPLITS)), np.int64)
    np.add.at(group_counts, (grouping.numbers[fixed], numbers[fixed]), 1)
    group_counts = group_counts[grouping.numbers]
    is_follower = unassigned & (group_counts.sum(axis=1) > 0)
    return np.where(is_follower, group_counts.argmax(axis=1), numbers), fixed | is_follower


def _rejoin(
    groups: np.ndarray, table: np.ndarray, splits: np.ndarray, task: Task, seed: int
) -> tuple[np.ndarray, tuple[int, ...]]:
    """Put each group into one split, breaking up as few large groups as needed to keep the splits' sizes.

    Args:
        groups: The group of every image, int (n,).
        table: The images' labels, bool (n, labels).
        splits: The current splits, int64 (n,).
        task: As for `_take_apart`.
        seed: Not negative.

    Returns:
        The splits, int64 (n,), and the numbers of the groups that were broken up.
    """
    parts, numbers = np.unique(splits, return_inverse=True)
    sizes = np.bincount(numbers)
    limit = int(sizes.max())
    while True:
        remaining_groups, too_large = _take_apart(groups, table, numbers, limit=limit, task=task)
        rejoined = rejoin_groups(table, _by_first(remaining_groups), numbers, seed=seed, importance=_IMPORTANCE[parts])
        largest = int(np.unique(remaining_groups, return_counts=True)[1].max())
        change = np.abs(np.bincount(rejoined, minlength=len(parts)) - sizes)
        if largest == 1 or (change <= np.maximum(1, _TOLERANCE * sizes)).all():
            return parts[rejoined], too_large
        limit = largest - 1 if largest < 4 else largest // 2


def _take_apart(
    groups: np.ndarray, table: np.ndarray, splits: np.ndarray, *, limit: int, task: Task
) -> tuple[np.ndarray, tuple[int, ...]]:
    """Break up groups that can't be kept together into single images.

    Args:
        groups: The group of every image, int (n,).
        table: The images' labels, bool (n, labels).
        splits: The current splits, int64 (n,).
        limit: Larger groups are broken up.
        task: For multi-label data a label may be missing in a split, so only the limit applies.

    Returns:
        The groups, with new numbers for images of broken groups; and the numbers of these groups.
    """
    too_large: list[int] = []
    numbers, sizes = np.unique(groups, return_counts=True)
    too_large += numbers[sizes > limit].tolist()
    for has in table.T if task == "single-label" else ():
        parts = min(_NEEDED, len(np.unique(splits[has])))
        whole_groups, sizes = np.unique(groups[has & ~np.isin(groups, too_large)], return_counts=True)
        single_images = int((has & np.isin(groups, too_large)).sum())
        for number, _ in sorted(zip(whole_groups.tolist(), sizes.tolist(), strict=True), key=lambda entry: -entry[1]):
            if len(whole_groups) + single_images >= parts:
                break
            too_large.append(number)
            single_images += int((groups == number).sum())
    if not too_large:
        return groups, ()
    apart = np.isin(groups, too_large)
    single = groups.max() + 1 + np.arange(len(groups))
    return np.where(apart, single, groups), tuple(sorted(too_large))


def _by_first(groups: np.ndarray) -> np.ndarray:
    """Renumber groups by the index of their first image."""
    _, first, inverse = np.unique(groups, return_index=True, return_inverse=True)
    renumbered: np.ndarray = first[inverse]
    return renumbered


def _lost(dataset: Dataset, table: np.ndarray, before: np.ndarray, after: np.ndarray) -> list[Note]:
    """Note the classes that are no longer in a split."""
    noun = "class" if dataset.task == "single-label" else "label"
    notes = []
    for number, split in enumerate(SPLITS):
        had, has = (table[splits == number].any(axis=0) for splits in (before, after))
        notes += [note(f"{noun}-not-in-{split}", name=dataset.classes[at]) for at in np.flatnonzero(had & ~has)]
    return notes
