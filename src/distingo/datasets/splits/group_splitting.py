"""Divide a data set by whole groups, into the three splits or into folds."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from distingo.datasets.splits.dividing import divide_groups
from distingo.datasets.splits.grouping import Grouping
from distingo.errors import DataError, UsageError, option
from distingo.messages.notes import Note, note
from distingo.records import SPLITS, Dataset, SplitName, encode_labels

DEFAULT_SHARES: dict[SplitName, float] = {"validation": 0.15, "test": 0.2}
"""Default shares of the images to divide."""

_SPLIT_NUMBERS = {split: number for number, split in enumerate(SPLITS)}


@dataclass(frozen=True, slots=True)
class ClassShare:
    """The resulting shares of a class or label, or of all images.

    Attributes:
        name: Name of the class; empty for all images.
        requested: Requested share of the divided images for each part; 0 for parts that images are not divided into.
        counts: Number of divided images in each part.
        predefined: Number of images that the dataset's author had assigned to each part.
    """

    name: str
    requested: tuple[float, ...]
    counts: tuple[int, ...]
    predefined: tuple[int, ...]

    @property
    def actual(self) -> tuple[float, ...]:
        """The share of the divided images in each part; all 0 if there were none."""
        total = sum(self.counts)
        return tuple(count / total if total else 0.0 for count in self.counts)

    @property
    def farthest(self) -> float:
        """The largest difference between a requested and an actual share."""
        if not sum(self.counts):
            return 0.0
        return max(abs(actual - requested) for actual, requested in zip(self.actual, self.requested, strict=True))


@dataclass(frozen=True, slots=True)
class Division:
    """The assignment of a data set's images to parts.

    Attributes:
        parts: Names of the parts: the splits, or ``1`` to ``k`` for folds.
        folds: Whether the parts are folds.
        numbers: The part of each image (its index in `parts`), int64 (n,).
        grouping: Which images belong together.
        shares: All images first, then one entry per class.
        leaks: Numbers of the groups with images in several parts, as their author assigned them.
        notes: Notes for the user.
    """

    parts: tuple[str, ...]
    folds: bool
    numbers: np.ndarray
    grouping: Grouping
    shares: tuple[ClassShare, ...]
    leaks: tuple[int, ...] = ()
    notes: tuple[Note, ...] = ()

    def __repr__(self) -> str:
        sizes = np.bincount(self.numbers, minlength=len(self.parts)).tolist()
        counts = ", ".join(f"{part} {size:,}" for part, size in zip(self.parts, sizes, strict=True))
        return f"Division({'folds' if self.folds else 'splits'}: {counts})"


def resolve_shares(
    dataset: Dataset, *, validation: float | None, test: float | None, resplit: bool = False
) -> dict[SplitName, float]:
    """Fill in default shares, and check them against predefined splits.

    Args:
        dataset: The data set to divide.
        validation: The requested share, or None for 0.15.
        test: The same for the test split, or None for 0.2.
        resplit: Whether predefined splits are ignored.

    Returns:
        The shares of ``validation`` and ``test``.

    Raises:
        UsageError: A share is requested for a split that is predefined.
    """
    predefined = {image.predefined_split for image in dataset.images}
    requested: dict[SplitName, float | None] = {"validation": validation, "test": test}
    for split, share in requested.items():
        if share is not None and split in predefined and not resplit:
            raise UsageError(
                f"{option(split)} {share:g}: {dataset.root} has a {split} split of its own; leave {option(split)} out "
                f"to keep it, or add {option('resplit', value=True)} to divide all again",
                code="own_splits",
                parameter=split,
            )
    return {split: DEFAULT_SHARES[split] if share is None else share for split, share in requested.items()}


def divide_splits(
    dataset: Dataset, grouping: Grouping, *, validation: float, test: float, seed: int, resplit: bool = False
) -> Division:
    """Divide a data set's images into train, validation and test splits by whole groups.

    Images of predefined validation and test splits stay there, and images of a predefined train split are divided only
    over the splits that are not predefined, unless everything is to be divided again. An image without a split follows
    the images of its group that have one.

    Args:
        dataset: The data set to divide.
        grouping: The groups of its images.
        validation: Share of the images to divide for validation; 0 for none.
        test: The same for the test split.
        seed: Not negative.
        resplit: Ignore predefined splits.

    Raises:
        DataError: There are too few groups.
        UsageError: The shares or the seed are out of range.
    """
    _check_shares(validation, test, seed)
    fixed = _fixed_splits(dataset, grouping, resplit=resplit)
    predefined = set() if resplit else {image.predefined_split for image in dataset.images}
    requested = {"validation": validation, "test": test}
    open_splits = [split for split in SPLITS if split == "train" or (split not in predefined and requested[split] > 0)]
    divisible = np.flatnonzero(fixed < 0)
    parts = np.array([requested.get(split, 0.0) for split in open_splits])
    parts[0] = 1.0 - parts.sum()
    numbers = fixed.copy()
    _require_groups(dataset, grouping, divisible, len(open_splits))
    if len(divisible):
        table = _label_table(dataset)[divisible]
        divided = divide_groups(table, grouping.numbers[divisible], parts.tolist(), seed=seed, needed=0)
        numbers[divisible] = np.array([_SPLIT_NUMBERS[split] for split in open_splits])[divided]
    requested_shares = np.zeros(len(SPLITS))
    requested_shares[[_SPLIT_NUMBERS[split] for split in open_splits]] = parts
    return _assess(dataset, grouping, SPLITS, numbers, requested_shares, fixed >= 0, folds=False)


def divide_folds(dataset: Dataset, grouping: Grouping, *, folds: int, seed: int, resplit: bool = False) -> Division:
    """Divide all images of a data set into folds of equal size by whole groups.

    Args:
        dataset: The data set to divide.
        grouping: The groups of its images.
        folds: Number of folds, at least 2.
        seed: Not negative.
        resplit: Ignore predefined splits.

    Raises:
        DataError: There are fewer groups than folds.
        UsageError: The number or the seed is out of range, or there are predefined splits.
    """
    if folds < 2:
        raise UsageError(f"{option('folds')} {folds}: choose 2 or more", code="out_of_range", parameter="folds")
    _check_shares(0.0, 0.0, seed)
    if not resplit and any(image.predefined_split for image in dataset.images):
        raise UsageError(
            f"{dataset.root}: has splits of its own; {option('folds')} divides all again, add "
            f"{option('resplit', value=True)} to allow that",
            code="own_splits",
            parameter="folds",
        )
    all_indices = np.arange(len(dataset.images))
    _require_groups(dataset, grouping, all_indices, folds)
    numbers = divide_groups(_label_table(dataset), grouping.numbers, [1 / folds] * folds, seed=seed)
    names = tuple(str(number) for number in range(1, folds + 1))
    no_fixed = np.zeros(len(numbers), bool)
    return _assess(dataset, grouping, names, numbers, np.full(folds, 1 / folds), no_fixed, folds=True)


def _check_shares(validation: float, test: float, seed: int) -> None:
    for name, share in (("validation", validation), ("test", test)):
        if not 0.0 <= share < 1.0:
            raise UsageError(
                f"{option(name)} {share} is not allowed; choose a share from 0 to below 1",
                code="out_of_range",
                parameter=name,
            )
    if validation + test >= 1.0:
        raise UsageError(
            f"{option('validation')} {validation} and {option('test')} {test} leave nothing to train on; choose "
            "smaller ones",
            code="out_of_range",
            parameter="validation",
        )
    if seed < 0:
        raise UsageError(
            f"{option('seed')} {seed} is not allowed; choose 0 or more", code="out_of_range", parameter="seed"
        )


def _fixed_splits(dataset: Dataset, grouping: Grouping, *, resplit: bool) -> np.ndarray:
    """The split that each image stays in, or -1 if it is to be divided: int64 (n,)."""
    fixed = np.full(len(dataset.images), -1, np.int64)
    if resplit:
        return fixed
    group_splits: dict[int, Counter[int]] = defaultdict(Counter)
    for at, image in enumerate(dataset.images):
        if image.predefined_split is not None:
            group_splits[int(grouping.numbers[at])][_SPLIT_NUMBERS[image.predefined_split]] += 1
        if image.predefined_split in {"validation", "test"}:
            fixed[at] = _SPLIT_NUMBERS[image.predefined_split]
    for at, image in enumerate(dataset.images):
        splits = group_splits.get(int(grouping.numbers[at]))
        if image.predefined_split is None and splits:
            split = max(splits, key=lambda split: (splits[split], split))
            fixed[at] = split if split != _SPLIT_NUMBERS["train"] else -1
    return fixed


def _label_table(dataset: Dataset) -> np.ndarray:
    return encode_labels(dataset.images, dataset.classes, "multi-label")


def _require_groups(dataset: Dataset, grouping: Grouping, divisible: np.ndarray, parts: int) -> None:
    groups = len(np.unique(grouping.numbers[divisible]))
    if len(divisible) and groups < parts:
        images = f"{len(divisible):,} picture{'s' * (len(divisible) != 1)} to divide"
        form = "forms" if len(divisible) == 1 else "form"
        raise DataError(
            f"{dataset.root}: its {images} {form} {groups:,} group{'s' * (groups != 1)}, and "
            f"{parts} are needed to have one in each split; ask for fewer parts or link fewer pictures",
            code="too_few_images",
        )


def _assess(
    dataset: Dataset,
    grouping: Grouping,
    parts: Sequence[str],
    numbers: np.ndarray,
    requested: np.ndarray,
    fixed: np.ndarray,
    *,
    folds: bool,
) -> Division:
    table = _label_table(dataset)
    columns = [("", np.ones(len(numbers), bool)), *zip(dataset.classes, table.T, strict=True)]
    shares = []
    for name, has in columns:
        divided, predefined = (
            np.bincount(numbers[has & mask], minlength=len(parts)).tolist() for mask in (~fixed, fixed)
        )
        shares.append(ClassShare(name, tuple(requested.tolist()), tuple(divided), tuple(predefined)))
    pairs = np.unique(np.stack([grouping.numbers, numbers], axis=1), axis=0)
    groups, times = np.unique(pairs[:, 0], return_counts=True)
    leaks = tuple(groups[times > 1].tolist())
    notes = (*_missing(dataset, grouping, shares, parts, table), *_leaks(dataset, grouping, parts, numbers, leaks))
    return Division(tuple(parts), folds, numbers, grouping, tuple(shares), leaks, notes)


def _missing(
    dataset: Dataset, grouping: Grouping, shares: Sequence[ClassShare], parts: Sequence[str], table: np.ndarray
) -> list[Note]:
    """Note the classes that are missing in some part."""
    noun = "class" if dataset.task == "single-label" else "label"
    totals = [divided + predefined for divided, predefined in zip(shares[0].counts, shares[0].predefined, strict=True)]
    notes = []
    for column, share in enumerate(shares[1:]):
        part_counts = zip(share.counts, share.predefined, strict=True)
        missing_parts = [
            parts[at] for at, (divided, predefined) in enumerate(part_counts) if totals[at] and not divided + predefined
        ]
        if missing_parts:
            groups = len(np.unique(grouping.numbers[table[:, column]]))
            number = int(table[:, column].sum())
            form = "form-groups" if number != 1 else "forms-groups"
            notes.append(
                note(
                    f"{noun}-not-in-parts",
                    name=share.name,
                    parts=tuple(missing_parts),
                    images=note("images", count=number),
                    groups=note(form, count=groups),
                )
            )
    return notes


def _leaks(
    dataset: Dataset, grouping: Grouping, parts: Sequence[str], numbers: np.ndarray, leaks: Sequence[int]
) -> list[Note]:
    if not leaks:
        return []
    members = np.flatnonzero(grouping.numbers == leaks[0])
    example_files: dict[str, str] = {}
    for at in members:
        example_files.setdefault(parts[numbers[at]], dataset.images[at].source.file)
    example = tuple(note("file-of-split", file=file, split=split) for split, file in example_files.items())
    count = int(np.isin(grouping.numbers, leaks).sum())
    groups = note("groups", count=len(leaks))
    return [note("groups-on-several-splits", groups=groups, count=count, example=example)]
