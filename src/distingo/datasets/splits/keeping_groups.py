"""Change a split that ignored groups so that every group is in one split, with as few moves as possible."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from distingo.datasets.splits.dividing import rejoin_groups
from distingo.datasets.splits.grouping import Grouping
from distingo.datasets.splits.splitting import order_split
from distingo.datasets.targets import encode_labels
from distingo.messages.notes import Note, note
from distingo.records import SPLITS, Dataset, LabeledImage, Split, SplitName, Task

_NEEDED = 2
"""Number of splits in which a class should have images, whatever its groups: for training and for testing."""

_IMPORTANCE = np.array([100.0, 1.0, 10.0])
"""Importance of having a class in train, validation and test, if groups don't allow all three."""

_TOLERANCE = 0.5
"""Share of its size by which a split may grow or shrink to keep groups together."""

_GIVEN = ("validation", "test")
"""Splits that stay unchanged if they are predefined."""


@dataclass(frozen=True, slots=True)
class KeptGroups:
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


def keep_groups(dataset: Dataset, split: Split, grouping: Grouping, *, seed: int) -> KeptGroups:
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
    new_numbers, fixed = _follow_given(dataset, grouping, old_numbers)
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
        return KeptGroups(split, 0, too_large)
    by_split: dict[SplitName, list[LabeledImage]] = {split_name: [] for split_name in SPLITS}
    for image, number in zip(dataset.images, new_numbers.tolist(), strict=True):
        by_split[SPLITS[number]].append(image)
    notes = (*split.notes, *_lost(dataset, table, old_numbers, new_numbers))
    return KeptGroups(order_split(by_split, notes), moved, too_large)


def split_numbers(dataset: Dataset, split: Split) -> np.ndarray:
    """The split of every image, int64 (n,): its index in `distingo.records.SPLITS`, or -1 for none."""
    number_by_file = {
        image.source.file: number for number, split_name in enumerate(SPLITS) for image in split.split(split_name)
    }
    return np.array([number_by_file.get(image.source.file, -1) for image in dataset.images], np.int64)


def _follow_given(dataset: Dataset, grouping: Grouping, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Assign images without a split to a predefined split of their group.

    Returns:
        The splits, int64 (n,), and which of them are fixed, bool (n,).
    """
    fixed = np.array([image.given_split in _GIVEN for image in dataset.images], bool)
    unassigned = np.array([image.given_split is None for image in dataset.images], bool)
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
