"""Divide a data set's images into train, validation and test splits, stratified by class or label."""

from __future__ import annotations

import zlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from distingo.errors import DataError, UsageError
from distingo.messages.notes import Note, note
from distingo.records import SPLITS, Dataset, LabeledImage, Split, SplitName


def stratify(labels: np.ndarray, sizes: Sequence[int], *, seed: int) -> np.ndarray:
    """Divide images by iterative stratification (Sechidis, Tsoumakas and Vlahavas, 2011).

    The label with the fewest remaining images is distributed first, each image to the split that needs most images of
    that label, then to the one that needs most images, then at random. There are two additions to the paper: no split
    exceeds its size, and every split should get at least one image of each label that has enough images.

    Sechidis, Tsoumakas, Vlahavas: "On the Stratification of Multi-label Data", ECML PKDD 2011, algorithm 1.

    Args:
        labels: bool of shape (images, labels); an image may have none.
        sizes: Number of images for each split; together as many as there are.
        seed: Not negative.

    Returns:
        The split (its index in `sizes`) of every image: int64 of shape (images,).

    Raises:
        ValueError: The sizes do not add up.
    """
    has = np.asarray(labels, bool)
    free = np.array(sizes, np.int64)
    if free.sum() != len(has) or (free < 0).any():
        raise ValueError(f"sizes {tuple(sizes)} do not add up to {len(has)} pictures")
    rng = np.random.default_rng(seed)
    random_order = rng.permutation(len(has))
    splits = np.full(len(has), -1, np.int64)
    _distribute(has, free, splits, random_order, rng)
    rest = _shuffled(np.flatnonzero(splits < 0), random_order)
    splits[rest] = np.repeat(np.arange(len(free)), free - np.bincount(splits[splits >= 0], minlength=len(free)))
    _complete_splits(has, splits, random_order)
    return splits


def _distribute(
    has: np.ndarray, sizes: np.ndarray, splits: np.ndarray, chance: np.ndarray, rng: np.random.Generator
) -> None:
    """Distribute every image that has a label, the rarest label first; fills `splits`."""
    remaining = has.sum(axis=0)
    # Plain lists: for a handful of splits, NumPy's overhead would dominate.
    needed = _expected_counts(remaining, sizes).T.tolist()
    room = sizes.tolist()
    while remaining.any():
        label = int(np.where(remaining > 0, remaining, len(has) + 1).argmin())
        indices = _shuffled(np.flatnonzero(has[:, label] & (splits < 0)), chance)
        for index in indices.tolist():
            split = _neediest(needed[label], room, rng)
            splits[index] = split
            room[split] -= 1
            for other_label in np.flatnonzero(has[index]).tolist():
                needed[other_label][split] -= 1
        remaining -= has[indices].sum(axis=0)


def _shuffled(indices: np.ndarray, chance: np.ndarray) -> np.ndarray:
    return indices[np.argsort(chance[indices])]


def _neediest(needed: Sequence[float], room: Sequence[int], rng: np.random.Generator) -> int:
    open_splits = [split for split, slots in enumerate(room) if slots > 0]
    highest_need = max(needed[split] for split in open_splits) - 1e-9  # sums of shares are exact to about 1e-12
    best = [split for split in open_splits if needed[split] >= highest_need]
    most_room = max(room[split] for split in best)
    best = [split for split in best if room[split] == most_room]
    return best[0] if len(best) == 1 else int(rng.choice(best))


def _expected_counts(counts: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Number of images of each label that each split should get: float64 of shape (splits, labels)."""
    expected = np.outer(sizes / max(1, sizes.sum()), counts)
    nonempty = sizes > 0
    enough = counts >= nonempty.sum()
    raised = np.where(nonempty[:, None] & enough, np.maximum(expected, 1.0), expected)
    # the largest split gives up what the small ones gain
    raised[sizes.argmax()] -= raised.sum(axis=0) - counts
    return raised


def _complete_splits(has: np.ndarray, splits: np.ndarray, chance: np.ndarray) -> None:
    """Swap images so that every split has the labels it lacks, if possible; changes `splits` in place.

    Images are swapped only if no other label loses its only image in a split.
    """
    nonempty = np.unique(splits)
    counts = np.array([has[splits == split].sum(axis=0) for split in nonempty]).reshape(len(nonempty), has.shape[1])
    for label in np.argsort(has.sum(axis=0), kind="stable"):
        for at in np.flatnonzero(counts[:, label] == 0):
            if has[:, label].sum() >= len(nonempty):
                _swap_in(has, splits, counts, nonempty, chance, int(at), int(label))


def _swap_in(
    has: np.ndarray,
    splits: np.ndarray,
    counts: np.ndarray,
    numbers: np.ndarray,
    chance: np.ndarray,
    at: int,
    label: int,
) -> None:
    present_count = (counts > 0).sum()
    exchangeable = _shuffled(np.flatnonzero((splits == numbers[at]) & ~has[:, label]), chance)
    for index in np.flatnonzero(has[:, label]):
        donor = int(np.searchsorted(numbers, splits[index]))
        if counts[donor, label] < 2:
            continue
        changes = has[index].astype(np.int64) - has[exchangeable].astype(np.int64)  # (images inside, labels)
        harmless = ((counts[at] + changes > 0).sum(axis=1) + (counts[donor] - changes > 0).sum(axis=1)) > (
            present_count - (np.delete(counts, [at, donor], axis=0) > 0).sum()
        )
        if harmless.any():
            other = exchangeable[int(harmless.argmax())]
            change = has[index].astype(np.int64) - has[other]
            counts[at] += change
            counts[donor] -= change
            splits[index], splits[other] = numbers[at], numbers[donor]
            return


def split_dataset(
    dataset: Dataset, *, seed: int, validation: float = 0.15, test: float = 0.2, few: bool = False
) -> Split:
    """Divide images into three splits, stratified by class or label.

    Images of predefined test and validation splits stay there. The rest of each class is shuffled by the seed and the
    class's name, so the result depends neither on the file system's order nor on the other classes. Images with several
    labels are divided by iterative stratification (`stratify`), including those without a label. A dataset holds no
    image twice (`read_dataset`), so none is in two splits.

    Args:
        dataset: The data set to divide.
        seed: Not negative.
        validation: Share of the images to divide (not counting those in predefined test and validation splits) for
            validation; at least one image of each class unless 0.
        test: The same for the test split.
        few: Allow classes of two images where three are needed; these get no validation image. Only for single-label
            data.

    Returns:
        The split, with images sorted by file name.

    Raises:
        DataError: A class has too few images.
        UsageError: The shares or the seed are out of range.
    """
    _check_shares(seed, validation, test)
    predefined = {image.predefined_split for image in dataset.images}
    shares: dict[SplitName, float] = {
        "test": 0.0 if "test" in predefined else test,
        "validation": 0.0 if "validation" in predefined else validation,
    }
    shares = {split: share for split, share in shares.items() if share > 0}
    if dataset.task == "multi-label":
        return _split_labels(dataset, seed, shares)
    return _split_classes(dataset, seed, shares, few=few)


def _split_classes(dataset: Dataset, seed: int, shares: dict[SplitName, float], *, few: bool) -> Split:
    predefined = {image.predefined_split for image in dataset.images}
    splits: dict[SplitName, list[LabeledImage]] = {split: [] for split in SPLITS}
    notes = []
    for label, images in sorted(_by_class(dataset).items()):
        divisible = _assign_predefined(images, splits)
        class_shares = shares
        if few and len(divisible) == 2 and len(class_shares) == 2:
            class_shares = {"test": shares["test"]}
            notes.append(note("class-without-validation", name=label))
        if len(divisible) < 1 + len(class_shares):
            raise _too_few(dataset, label, len(divisible), list(class_shares))
        notes += [
            note(f"class-not-in-{split}", name=label)
            for split in ("test", "validation")
            if split in predefined and all(image.predefined_split != split for image in images)
        ]
        order = np.random.default_rng([seed, zlib.crc32(label.encode())]).permutation(len(divisible))
        at = 0
        for split, count in _counts(len(divisible), class_shares).items():
            splits[split] += [divisible[index] for index in order[at : at + count]]
            at += count
        splits["train"] += [divisible[index] for index in order[at:]]
    return order_split(splits, tuple(notes))


def _split_labels(dataset: Dataset, seed: int, shares: dict[SplitName, float]) -> Split:
    splits: dict[SplitName, list[LabeledImage]] = {split: [] for split in SPLITS}
    divisible = _assign_predefined(sorted(dataset.images, key=_file_order), splits)
    if len(divisible) < 1 + len(shares):
        raise DataError(
            f"{dataset.root}: {len(divisible)} usable pictures to divide, and {1 + len(shares)} are needed to have one "
            f"each for {', '.join(['train', *sorted(shares, reverse=True)])}; add pictures",
            code="too_few_images",
        )
    counts = _counts(len(divisible), shares)
    sizes = [counts.get(split, 0) for split in SPLITS]
    sizes[SPLITS.index("train")] = len(divisible) - sum(sizes)
    columns = {label: at for at, label in enumerate(dataset.classes)}
    has = np.zeros((len(divisible), len(columns)), bool)
    for row, image in zip(has, divisible, strict=True):
        row[[columns[label] for label in image.labels]] = True
    for split, image in zip(stratify(has, sizes, seed=seed), divisible, strict=True):
        splits[SPLITS[split]].append(image)
    return order_split(splits, _lacking_labels(dataset, splits))


def _lacking_labels(dataset: Dataset, splits: dict[SplitName, list[LabeledImage]]) -> tuple[Note, ...]:
    """Note the labels that are missing in a split."""
    counts = {split: Counter(label for image in splits[split] for label in image.labels) for split in SPLITS}
    notes = []
    for label in dataset.classes:
        missing_splits = [split for split in SPLITS if splits[split] and not counts[split][label]]
        if missing_splits:
            total = sum(counts[split][label] for split in SPLITS)
            notes.append(note("label-not-on-split", name=label, count=total, said=tuple(map(Note, missing_splits))))
    return tuple(notes)


def _assign_predefined(
    images: Sequence[LabeledImage], splits: dict[SplitName, list[LabeledImage]]
) -> list[LabeledImage]:
    """Assign images to their predefined splits; returns the rest, which also includes a predefined train split."""
    divisible = []
    for image in images:
        if image.predefined_split in {None, "train"}:
            divisible.append(image)
        elif image.predefined_split is not None:
            splits[image.predefined_split].append(image)
    return divisible


def _check_shares(seed: int, validation: float, test: float) -> None:
    for name, share in (("validation", validation), ("test", test)):
        if not 0.0 <= share < 1.0:
            raise UsageError(
                f"the {name} share {share} is not allowed; choose one from 0 to below 1",
                code="out_of_range",
                parameter=name,
            )
    if validation + test >= 1.0:
        raise UsageError(
            f"validation {validation} and test {test} leave nothing to train on; choose smaller shares",
            code="out_of_range",
            parameter="validation",
        )
    if seed < 0:
        raise UsageError(f"the seed {seed} is not allowed; choose 0 or more", code="out_of_range", parameter="seed")


def _by_class(dataset: Dataset) -> dict[str, list[LabeledImage]]:
    classes: dict[str, list[LabeledImage]] = defaultdict(list)
    for image in sorted(dataset.images, key=_file_order):
        classes[image.label].append(image)
    return classes


def _file_order(image: LabeledImage) -> tuple[str, int]:
    source = image.source
    return (source.file, 0) if source.index is None else (source.file.rpartition("#")[0], source.index)


def _counts(total: int, shares: dict[SplitName, float]) -> dict[SplitName, int]:
    """Compute the size of each split, at least one, leaving at least one image for training."""
    counts = {split: max(1, round(share * total)) for split, share in shares.items()}
    while sum(counts.values()) >= total:
        largest = max(counts, key=lambda split: counts[split])
        counts[largest] -= 1
    return counts


def _too_few(dataset: Dataset, label: str, count: int, splits: Sequence[SplitName]) -> DataError:
    needed = 1 + len(splits)
    if count == 0:
        return DataError(
            f"{dataset.root}: class {label!r} has no picture to train on; put some on its train split",
            code="split_incomplete",
        )
    images = "1 usable picture" if count == 1 else f"{count} usable pictures"
    return DataError(
        f"{dataset.root}: class {label!r} has {images} to divide, and {needed} are needed to have one each "
        f"for {', '.join(['train', *sorted(splits, reverse=True)])}; add pictures or move the class away",
        code="too_few_images",
    )


def order_split(splits: dict[SplitName, list[LabeledImage]], notes: tuple[Note, ...]) -> Split:
    """Create a split with images sorted by file name."""
    train, validation, test = (tuple(sorted(splits[split], key=_file_order)) for split in SPLITS)
    return Split(train, validation, test, notes)


@dataclass(frozen=True, slots=True)
class RequestedSplit:
    """A split file that the user requested.

    Attributes:
        file: Path of the file.
        fold: Which fold is the test split; None if the file has splits.
        content: Hash that the file must have; empty for any content.
    """

    file: Path
    fold: int | None = None
    content: str = ""
