"""Keep near-duplicates and other linked images in one split, and count those in several splits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from distingo.datasets.cache.products import Product
from distingo.datasets.cache.store import Cache
from distingo.datasets.splits.grouping import (
    Grouping,
    Links,
    find_bursts,
    group_images,
    keep_groups,
    link_column,
    split_numbers,
)
from distingo.errors import UsageError, option
from distingo.messages.notes import Note, note
from distingo.near_duplicates.search import find_copies, signature_product
from distingo.near_duplicates.signatures import SYMMETRIES
from distingo.options.training import BURST_SECONDS, MIN_SIMILARITY, SAME_SCENE
from distingo.records import Dataset, Split
from distingo.runs.data import DividedBy, NearDuplicateCounts

SMALLEST_SIDE = 32
"""In pixels; smaller images contain too little detail, so that any two digits or shirts would be one group."""

Similarity = float | Literal["none"] | None
"""Option for near-duplicates: the minimum similarity, "none" to turn them off, or None for the default."""


@dataclass(frozen=True, slots=True)
class NearDuplicates:
    """Near-duplicates among a data set's images.

    Attributes:
        pairs: Indices of two images each.
        grouping: Groups of all images by these pairs.
        counts: Numbers of searched and found images, without the effects on splits.
    """

    pairs: Sequence[tuple[int, int]]
    grouping: Grouping
    counts: NearDuplicateCounts


def resolve_similarity(value: Similarity) -> float | None:
    """The minimum similarity of near-duplicates; None to not search for them.

    Args:
        value: The option's value; None for the default of 0.8.

    Raises:
        UsageError: It is out of range.
    """
    if value is None:
        return SAME_SCENE
    if value == "none":
        return None
    if isinstance(value, bool | str) or not MIN_SIMILARITY <= value <= 1:
        raise UsageError(
            f"{option('near_duplicates')} {value}: choose {MIN_SIMILARITY:g} to 1, or none",
            code="out_of_range",
            parameter="near_duplicates",
        )
    return float(value)


def are_large_enough(height: int, width: int) -> bool:
    """Whether to search for near-duplicates among images of this median size in pixels."""
    return min(height, width) >= SMALLEST_SIDE


def search_near_duplicates(
    dataset: Dataset, *, similarity: float | None, large_enough: bool, cache: Cache, workers: int
) -> NearDuplicates:
    """Search for near-duplicates among a data set's images, including turned and mirrored ones.

    Args:
        dataset: A data set read with `signature_product`, unless nothing is searched.
        similarity: As returned by `resolve_similarity`.
        large_enough: As returned by `are_large_enough`.
        cache: The cache of the signatures.
        workers: Number of threads.
    """
    count = len(dataset.images)
    if similarity is None or not large_enough:
        empty_counts = NearDuplicateCounts(
            images=count, not_searched="off" if similarity is None else "small-images", smallest_side=SMALLEST_SIDE
        )
        return NearDuplicates((), group_images(count, ()), empty_counts)
    sides = np.array([min(image.width, image.height) for image in dataset.images], np.int64)
    searched = np.flatnonzero(sides >= SMALLEST_SIDE)
    signatures = signature_product(cache).store.rows([dataset.images[at].row_key for at in searched])
    copies = find_copies(signatures, sides[searched], loosest=similarity, workers=workers)
    pairs = [(int(searched[pair.first]), int(searched[pair.second])) for pair in copies]
    grouping = group_images(count, [Links("near-duplicate", pairs)])
    sizes = grouping.sizes()
    counts = NearDuplicateCounts(
        images=count,
        searched=len(searched),
        too_small=count - len(searched),
        similarity=similarity,
        smallest_side=SMALLEST_SIDE,
        symmetries=len(SYMMETRIES),
        pairs=len(pairs),
        groups=int((sizes > 1).sum()),
        grouped=int(sizes[sizes > 1].sum()),
        largest=int(sizes.max()) if pairs else 0,
        contradicting_pairs=_count_contradicting(dataset, pairs),
        files=_name_groups(dataset, grouping),
    )
    return NearDuplicates(pairs, grouping, counts)


def _count_contradicting(dataset: Dataset, pairs: Sequence[tuple[int, int]]) -> int:
    if dataset.task == "multi-label":
        return 0
    labels = [image.labels for image in dataset.images]
    return sum(labels[one] != labels[other] for one, other in pairs)


def _name_groups(dataset: Dataset, grouping: Grouping) -> tuple[tuple[str, ...], ...]:
    files: dict[int, list[str]] = {}
    for image, number in zip(dataset.images, grouping.numbers.tolist(), strict=True):
        files.setdefault(number, []).append(image.source.file)
    return tuple(tuple(members) for members in files.values() if len(members) > 1)


def keep_together(
    dataset: Dataset, split: Split, near_duplicates: NearDuplicates, *, seed: int
) -> tuple[Split, NearDuplicateCounts]:
    """Put near-duplicates into the same split as far as possible.

    Args:
        dataset: All images.
        split: A split made without regard to near-duplicates.
        near_duplicates: The near-duplicates among the data set's images.
        seed: Not negative.

    Returns:
        The split, unchanged if nothing had to move, with notes for the user; and the counts.
    """
    grouped = keep_groups(dataset, split, near_duplicates.grouping, seed=seed)
    has_predefined_splits = any(image.predefined_split is not None for image in dataset.images)
    counts = replace(near_duplicates.counts, moved=grouped.moved, too_large=len(grouped.too_large))
    return _count(dataset, grouped.split, near_duplicates, counts, "data" if has_predefined_splits else "distingo")


def count_straddling(
    dataset: Dataset, split: Split, near_duplicates: NearDuplicates
) -> tuple[Split, NearDuplicateCounts]:
    """Count the near-duplicates that a split file puts into several splits; these stay as they are."""
    return _count(dataset, split, near_duplicates, near_duplicates.counts, "split-file")


def count_on_folds(
    dataset: Dataset, folds: Mapping[str, int], near_duplicates: NearDuplicates, *, divided_by: DividedBy
) -> NearDuplicateCounts:
    """Count the near-duplicates whose images are in different folds of a cross-validation.

    Args:
        dataset: The data set that was searched.
        folds: The fold of each image, by file; other images are in none.
        near_duplicates: The near-duplicates among the data set's images.
        divided_by: ``distingo``, or ``split-file``.
    """
    numbers = [folds.get(image.source.file, -1) for image in dataset.images]
    return _with_straddling(near_duplicates, numbers, replace(near_duplicates.counts, divided_by=divided_by))


def _with_straddling(
    near_duplicates: NearDuplicates, numbers: Sequence[int], counts: NearDuplicateCounts
) -> NearDuplicateCounts:
    straddling = [(one, other) for one, other in near_duplicates.pairs if -1 < numbers[one] != numbers[other] > -1]
    groups = {int(near_duplicates.grouping.numbers[one]) for one, _ in straddling}
    return replace(counts, straddling_pairs=len(straddling), straddling_groups=len(groups))


def _count(
    dataset: Dataset, split: Split, near_duplicates: NearDuplicates, counts: NearDuplicateCounts, divided_by: DividedBy
) -> tuple[Split, NearDuplicateCounts]:
    counts = _with_straddling(
        near_duplicates, split_numbers(dataset, split).tolist(), replace(counts, divided_by=divided_by)
    )
    return replace(split, notes=(*split.notes, *describe_counts(counts))), counts


def describe_counts(counts: NearDuplicateCounts, *, folds: bool = False) -> list[Note]:
    """Notes on a run's near-duplicates.

    Args:
        counts: The counts of a search.
        folds: Whether the images are divided into folds instead of splits.
    """
    if counts.not_searched == "off":
        return [note("duplicates-off")]
    if counts.not_searched:
        return [note("duplicates-too-small", side=counts.smallest_side)]
    notes = [
        note(
            "duplicates",
            count=counts.searched,
            similarity=counts.similarity or 0.0,
            pairs=counts.pairs,
            groups=counts.groups,
            largest=counts.largest,
        )
    ]
    if counts.too_small:
        side, small = counts.smallest_side, counts.too_small
        notes.append(note("duplicates-not-searched", side=side, count=small, total=counts.images))
    if counts.moved:
        notes.append(note("duplicates-moved", count=counts.moved))
    if counts.contradicting_pairs:
        notes.append(note("duplicates-of-other-class", count=counts.contradicting_pairs))
    if counts.too_large:
        notes.append(note("duplicates-divided", count=counts.too_large))
    if counts.straddling_pairs:
        code = "duplicates-on-folds" if folds else _STRADDLING[counts.divided_by]
        notes.append(note(code, count=counts.straddling_pairs))
    return notes


_STRADDLING: dict[DividedBy, str] = {
    "distingo": "duplicates-on-splits",
    "data": "duplicates-on-splits-of-data",
    "split-file": "duplicates-on-splits-of-file",
}


@dataclass(frozen=True, slots=True)
class Belonging:
    """Which images belong together, besides those in the same group of their table.

    Attributes:
        near_duplicates: Minimum similarity of images of the same scene (`find_copies`); None disables the search.
        burst: Maximum seconds between two images of a burst; None disables the search.

    Raises:
        UsageError: A number is out of range.
    """

    near_duplicates: float | None = SAME_SCENE
    burst: float | None = BURST_SECONDS

    def __post_init__(self) -> None:
        if self.near_duplicates is not None and not MIN_SIMILARITY <= self.near_duplicates <= 1:
            raise UsageError(
                f"{option('near_duplicates')} {self.near_duplicates:g}: choose {MIN_SIMILARITY:g} to 1, or none",
                code="out_of_range",
                parameter="near_duplicates",
            )
        if self.burst is not None and not self.burst >= 0:
            raise UsageError(
                f"{option('burst')} {self.burst:g}: choose 0 seconds or more, or none",
                code="out_of_range",
                parameter="burst",
            )

    def products(self, cache: Cache) -> list[Product]:
        """The products to compute from every image for the search."""
        return [] if self.near_duplicates is None else [signature_product(cache)]

    def link(self, dataset: Dataset, cache: Cache, workers: int) -> list[Links]:
        """Find all links between a data set's images.

        Args:
            dataset: A data set read with these products.
            cache: The cache of the products.
            workers: Number of threads.
        """
        links = [link_column(dataset)]
        images = dataset.images
        if self.near_duplicates is not None:
            signatures = signature_product(cache).store.rows([image.row_key for image in images])
            sides = [min(image.width, image.height) for image in images]
            pairs = find_copies(signatures, sides, loosest=self.near_duplicates, workers=workers)
            links.append(Links("near-duplicate", [(pair.first, pair.second) for pair in pairs]))
        if self.burst is not None:
            links.append(find_bursts(images, within=self.burst, workers=workers))
        return links
