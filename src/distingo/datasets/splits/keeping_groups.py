"""A split that took no notice of groups, changed so that every group is on one split, and as little as that allows."""

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
"""Splits on which a class should have images, whatever groups there are: it is trained on and tested."""

_IMPORTANCE = np.array([100.0, 1.0, 10.0])
"""Of having a class on train, validation and test, where groups don't allow all three."""

_TOLERANCE = 0.5
"""By what share of its size a split may grow or shrink so that groups stay together."""

_GIVEN = ("validation", "test")
"""Splits that nothing is moved to or away from where an author gave them."""


@dataclass(frozen=True, slots=True)
class KeptGroups:
    """A split on which groups were kept together.

    Attributes:
        split: The new one; the old one, notes and all, where nothing had to change.
        moved: How many images are on another split than before.
        too_large: Numbers of the groups that were divided image by image all the same: without that, a class would be
            missing on a split, or a split half as large again or half as small as before.
    """

    split: Split
    moved: int
    too_large: tuple[int, ...]


def keep_groups(dataset: Dataset, split: Split, grouping: Grouping, *, seed: int) -> KeptGroups:
    """Put every group on one split, with as many images of each class on every split as before if that can be.

    What its author put on the validation or test split stays there, with whatever of its group has no split of its own;
    what was put on the train split stays away from a test split that was given. So groups on several splits remain only
    where the data came so, and where a group is too large.

    Args:
        dataset: What is divided.
        split: As `distingo.datasets.splits.splitting.split_dataset` divided it.
        grouping: Of the data set's images.
        seed: Not negative.
    """
    before = split_numbers(dataset, split)
    after, settled = _follow_given(dataset, grouping, before)
    files = [image.source.file for image in dataset.images]
    loose = np.array(sorted(np.flatnonzero(~settled), key=lambda at: files[at]), np.intp)  # whatever order they came in
    table = encode_labels(dataset.images, dataset.classes, "multi-label")
    too_large: tuple[int, ...] = ()
    if len(loose):
        after[loose], too_large = _rejoin(grouping.numbers[loose], table[loose], after[loose], dataset.task, seed)
    moved = int((after != before).sum())
    if not moved:
        return KeptGroups(split, 0, too_large)
    by_split: dict[SplitName, list[LabeledImage]] = {split_name: [] for split_name in SPLITS}
    for image, number in zip(dataset.images, after.tolist(), strict=True):
        by_split[SPLITS[number]].append(image)
    notes = (*split.notes, *_lost(dataset, table, before, after))
    return KeptGroups(order_split(by_split, notes), moved, too_large)


def split_numbers(dataset: Dataset, split: Split) -> np.ndarray:
    """The split of every image, int64 (n,): its position in `distingo.records.SPLITS`, -1 for an image on none."""
    where = {image.source.file: number for number, split_name in enumerate(SPLITS) for image in split.split(split_name)}
    return np.array([where.get(image.source.file, -1) for image in dataset.images], np.int64)


def _follow_given(dataset: Dataset, grouping: Grouping, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Put what has no split of its own next to images of its group that have one.

    Returns:
        The splits, int64 (n,), and which of them are settled, bool (n,).
    """
    settled = np.array([image.given_split in _GIVEN for image in dataset.images], bool)
    free = np.array([image.given_split is None for image in dataset.images], bool)
    around = np.zeros((grouping.count, len(SPLITS)), np.int64)
    np.add.at(around, (grouping.numbers[settled], numbers[settled]), 1)
    around = around[grouping.numbers]
    follows = free & (around.sum(axis=1) > 0)
    return np.where(follows, around.argmax(axis=1), numbers), settled | follows


def _rejoin(
    groups: np.ndarray, table: np.ndarray, splits: np.ndarray, task: Task, seed: int
) -> tuple[np.ndarray, tuple[int, ...]]:
    """Put groups on one split each, and take apart as few of the large ones as leave every split about its size.

    Args:
        groups: Of every image, int (n,).
        table: Its labels, bool (n, labels).
        splits: Its split so far, int64 (n,).
        task: As for `_take_apart`.
        seed: Not negative.

    Returns:
        The splits, int64 (n,), and the numbers of the groups that were taken apart.
    """
    parts, numbers = np.unique(splits, return_inverse=True)
    sizes = np.bincount(numbers)
    limit = int(sizes.max())
    while True:
        kept, too_large = _take_apart(groups, table, numbers, limit=limit, task=task)
        rejoined = rejoin_groups(table, _by_first(kept), numbers, seed=seed, importance=_IMPORTANCE[parts])
        largest = int(np.unique(kept, return_counts=True)[1].max())
        change = np.abs(np.bincount(rejoined, minlength=len(parts)) - sizes)
        if largest == 1 or (change <= np.maximum(1, _TOLERANCE * sizes)).all():
            return parts[rejoined], too_large
        limit = largest - 1 if largest < 4 else largest // 2


def _take_apart(
    groups: np.ndarray, table: np.ndarray, splits: np.ndarray, *, limit: int, task: Task
) -> tuple[np.ndarray, tuple[int, ...]]:
    """Make single images of the groups that can't be kept together.

    Args:
        groups: Of every image, int (n,).
        table: Its labels, bool (n, labels).
        splits: Its split so far, int64 (n,).
        limit: Larger groups are taken apart.
        task: With several labels per image, a label may be missing on a split: it is one of many.

    Returns:
        The groups, with numbers of their own for those that were taken apart; and the numbers of these.
    """
    too_large: list[int] = []
    numbers, sizes = np.unique(groups, return_counts=True)
    too_large += numbers[sizes > limit].tolist()
    for has in table.T if task == "single-label" else ():
        parts = min(_NEEDED, len(np.unique(splits[has])))
        own, sizes = np.unique(groups[has & ~np.isin(groups, too_large)], return_counts=True)
        alone = int((has & np.isin(groups, too_large)).sum())
        for number, _ in sorted(zip(own.tolist(), sizes.tolist(), strict=True), key=lambda entry: -entry[1]):
            if len(own) + alone >= parts:
                break
            too_large.append(number)
            alone += int((groups == number).sum())
    if not too_large:
        return groups, ()
    apart = np.isin(groups, too_large)
    single = groups.max() + 1 + np.arange(len(groups))
    return np.where(apart, single, groups), tuple(sorted(too_large))


def _by_first(groups: np.ndarray) -> np.ndarray:
    """Groups named by the position of their first image."""
    _, first, places = np.unique(groups, return_index=True, return_inverse=True)
    named: np.ndarray = first[places]
    return named


def _lost(dataset: Dataset, table: np.ndarray, before: np.ndarray, after: np.ndarray) -> list[Note]:
    """Note of which classes a split has none any more."""
    noun = "class" if dataset.task == "single-label" else "label"
    notes = []
    for number, split in enumerate(SPLITS):
        had, has = (table[splits == number].any(axis=0) for splits in (before, after))
        notes += [note(f"{noun}-not-in-{split}", name=dataset.classes[at]) for at in np.flatnonzero(had & ~has)]
    return notes
