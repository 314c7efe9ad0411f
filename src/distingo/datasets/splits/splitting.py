"""Which images are learned from, which are chosen by, and which are evaluated by.

Images with several labels divided so that every label is shared out alike.
"""

from __future__ import annotations

import zlib
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

from distingo.errors import DataError, UsageError
from distingo.messages.notes import Note, note
from distingo.records import SPLITS, Dataset, LabeledImage, Split, SplitName


def stratify(labels: np.ndarray, sizes: Sequence[int], *, seed: int) -> np.ndarray:
    """Divide images by iterative stratification (Sechidis, Tsoumakas and Vlahavas, 2011).

    The label with the fewest images left is dealt out first, each image to the side that lacks most of that
    label, then to the one that lacks most images, then by chance. Two things go beyond the paper: no side
    takes more than its size, and a label wants at least one image on every side that it has images enough for.

    Sechidis, Tsoumakas, Vlahavas: "On the Stratification of Multi-label Data", ECML PKDD 2011, algorithm 1.

    Args:
        labels: bool of shape (images, labels); an image may have none.
        sizes: How many images each side gets; together as many as there are.
        seed: Not negative.

    Returns:
        The side (its position in `sizes`) of every image: int64 of shape (images,).

    Raises:
        ValueError: The sizes do not add up.
    """
    has = np.asarray(labels, bool)
    room = np.array(sizes, np.int64)
    if room.sum() != len(has) or (room < 0).any():
        raise ValueError(f"sizes {tuple(sizes)} do not add up to {len(has)} pictures")
    rng = np.random.default_rng(seed)
    chance = rng.permutation(len(has))
    splits = np.full(len(has), -1, np.int64)
    _deal(has, room, splits, chance, rng)
    rest = _shuffled(np.flatnonzero(splits < 0), chance)
    splits[rest] = np.repeat(np.arange(len(room)), room - np.bincount(splits[splits >= 0], minlength=len(room)))
    _give_every_split_one(has, splits, chance)
    return splits


def _deal(has: np.ndarray, sizes: np.ndarray, splits: np.ndarray, chance: np.ndarray, rng: np.random.Generator) -> None:
    """Deal out every image that has a label, the rarest label first; fills `sides`."""
    left = has.sum(axis=0)
    # Plain lists: there are a handful of sides, and NumPy would take longer to start than to finish.
    wanted = _wanted(left, sizes).T.tolist()
    room = sizes.tolist()
    while left.any():
        label = int(np.where(left > 0, left, len(has) + 1).argmin())
        places = _shuffled(np.flatnonzero(has[:, label] & (splits < 0)), chance)
        for place in places.tolist():
            split = _neediest(wanted[label], room, rng)
            splits[place] = split
            room[split] -= 1
            for own in np.flatnonzero(has[place]).tolist():
                wanted[own][split] -= 1
        left -= has[places].sum(axis=0)


def _shuffled(places: np.ndarray, chance: np.ndarray) -> np.ndarray:
    return places[np.argsort(chance[places])]


def _neediest(wanted: Sequence[float], room: Sequence[int], rng: np.random.Generator) -> int:
    open_splits = [split for split, free in enumerate(room) if free > 0]
    most = max(wanted[split] for split in open_splits) - 1e-9  # sums of shares are exact to about 1e-12
    best = [split for split in open_splits if wanted[split] >= most]
    most_room = max(room[split] for split in best)
    best = [split for split in best if room[split] == most_room]
    return best[0] if len(best) == 1 else int(rng.choice(best))


def _wanted(counts: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """How many images of each label each side should get: float64 of shape (sides, labels)."""
    wanted = np.outer(sizes / max(1, sizes.sum()), counts)
    takers = sizes > 0
    enough = counts >= takers.sum()
    raised = np.where(takers[:, None] & enough, np.maximum(wanted, 1.0), wanted)
    # what the small sides get more, the largest gets less
    raised[sizes.argmax()] -= raised.sum(axis=0) - counts
    return raised


def _give_every_split_one(has: np.ndarray, splits: np.ndarray, chance: np.ndarray) -> None:
    """Swap images so that a label that a side lacks comes to it; changes `sides` in place.

    A swap is made only if no other label loses its only image on a side.
    """
    takers = np.unique(splits)
    counts = np.array([has[splits == split].sum(axis=0) for split in takers]).reshape(len(takers), has.shape[1])
    for label in np.argsort(has.sum(axis=0), kind="stable"):
        for at in np.flatnonzero(counts[:, label] == 0):
            if has[:, label].sum() >= len(takers):
                _swap_in(has, splits, counts, takers, chance, int(at), int(label))


def _swap_in(
    has: np.ndarray,
    splits: np.ndarray,
    counts: np.ndarray,
    takers: np.ndarray,
    chance: np.ndarray,
    at: int,
    label: int,
) -> None:
    held = (counts > 0).sum()
    inside = _shuffled(np.flatnonzero((splits == takers[at]) & ~has[:, label]), chance)
    for place in np.flatnonzero(has[:, label]):
        giver = int(np.searchsorted(takers, splits[place]))
        if counts[giver, label] < 2:
            continue
        moved = has[place].astype(np.int64) - has[inside].astype(np.int64)  # (images inside, labels)
        kept = ((counts[at] + moved > 0).sum(axis=1) + (counts[giver] - moved > 0).sum(axis=1)) > (
            held - (np.delete(counts, [at, giver], axis=0) > 0).sum()
        )
        if kept.any():
            other = inside[int(kept.argmax())]
            change = has[place].astype(np.int64) - has[other]
            counts[at] += change
            counts[giver] -= change
            splits[place], splits[other] = takers[at], takers[giver]
            return


_COLUMNS = ["file", "side", "labels"]


def split_dataset(
    dataset: Dataset, *, seed: int, validation: float = 0.15, test: float = 0.2, few: bool = False
) -> Split:
    """Divide the images over the three sides, every class or label alike.

    What the author put on the test or validation split stays there. The rest of each class is shuffled by the
    seed and the class's name, so the result depends neither on the file system's order nor on the other
    classes. Images with several labels are divided by iterative stratification (`stratifying.stratify`); those
    without a label are spread too. A dataset holds no image twice (`read_dataset`), so none falls on two sides.

    Args:
        dataset: What to divide.
        seed: Not negative.
        validation: Share of the images to divide (not counting those on given test and validation splits)
            for validation; at least one image of each class unless 0.
        test: The same for the test split.
        few: Allow classes of two images where three are needed: they have none for validation. Only with one
            label per image.

    Returns:
        The split, each side in order of file names.

    Raises:
        DataError: A class has too few images.
        UsageError: The shares or the seed are out of range.
    """
    _check_shares(seed, validation, test)
    given = {image.given_split for image in dataset.images}
    shares: dict[SplitName, float] = {
        "test": 0.0 if "test" in given else test,
        "validation": 0.0 if "validation" in given else validation,
    }
    shares = {split: share for split, share in shares.items() if share > 0}
    if dataset.task == "multi-label":
        return _split_labels(dataset, seed, shares)
    return _split_classes(dataset, seed, shares, few=few)


def _split_classes(dataset: Dataset, seed: int, shares: dict[SplitName, float], *, few: bool) -> Split:
    given = {image.given_split for image in dataset.images}
    splits: dict[SplitName, list[LabeledImage]] = {split: [] for split in SPLITS}
    notes = []
    for label, images in sorted(_by_class(dataset).items()):
        loose = _place_given(images, splits)
        wanted = shares
        if few and len(loose) == 2 and len(wanted) == 2:
            wanted = {"test": shares["test"]}
            notes.append(note("class-without-validation", name=label))
        if len(loose) < 1 + len(wanted):
            raise _too_few(dataset, label, len(loose), list(wanted))
        notes += [
            note(f"class-not-in-{split}", name=label)
            for split in ("test", "validation")
            if split in given and all(image.given_split != split for image in images)
        ]
        order = np.random.default_rng([seed, zlib.crc32(label.encode())]).permutation(len(loose))
        at = 0
        for split, count in _counts(len(loose), wanted).items():
            splits[split] += [loose[place] for place in order[at : at + count]]
            at += count
        splits["train"] += [loose[place] for place in order[at:]]
    return order_split(splits, tuple(notes))


def _split_labels(dataset: Dataset, seed: int, shares: dict[SplitName, float]) -> Split:
    splits: dict[SplitName, list[LabeledImage]] = {split: [] for split in SPLITS}
    loose = _place_given(sorted(dataset.images, key=_place), splits)
    if len(loose) < 1 + len(shares):
        raise DataError(
            f"{dataset.root}: {len(loose)} usable pictures to divide, and {1 + len(shares)} are needed to have one "
            f"each for {', '.join(['train', *sorted(shares, reverse=True)])}; add pictures",
            code="too_few_images",
        )
    counts = _counts(len(loose), shares)
    sizes = [counts.get(split, 0) for split in SPLITS]
    sizes[SPLITS.index("train")] = len(loose) - sum(sizes)
    columns = {label: at for at, label in enumerate(dataset.classes)}
    has = np.zeros((len(loose), len(columns)), bool)
    for row, image in zip(has, loose, strict=True):
        row[[columns[label] for label in image.labels]] = True
    for split, image in zip(stratify(has, sizes, seed=seed), loose, strict=True):
        splits[SPLITS[split]].append(image)
    return order_split(splits, _lacking_labels(dataset, splits))


def _lacking_labels(dataset: Dataset, splits: dict[SplitName, list[LabeledImage]]) -> tuple[Note, ...]:
    """Note which labels could not be put on every side that has images."""
    counts = {split: Counter(label for image in splits[split] for label in image.labels) for split in SPLITS}
    notes = []
    for label in dataset.classes:
        without = [split for split in SPLITS if splits[split] and not counts[split][label]]
        if without:
            total = sum(counts[split][label] for split in SPLITS)
            notes.append(note("label-not-on-split", name=label, count=total, said=tuple(map(Note, without))))
    return tuple(notes)


def _place_given(images: Sequence[LabeledImage], splits: dict[SplitName, list[LabeledImage]]) -> list[LabeledImage]:
    """Put images where their author put them; what is left (also of a given train split) is to be divided."""
    loose = []
    for image in images:
        if image.given_split in {None, "train"}:
            loose.append(image)
        elif image.given_split is not None:
            splits[image.given_split].append(image)
    return loose


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
    for image in sorted(dataset.images, key=_place):
        classes[image.label].append(image)
    return classes


def _place(image: LabeledImage) -> tuple[str, int]:
    source = image.source
    return (source.file, 0) if source.index is None else (source.file.rpartition("#")[0], source.index)


def _counts(total: int, shares: dict[SplitName, float]) -> dict[SplitName, int]:
    """Share out whole images: each side at least one, and at least one is left for training."""
    counts = {split: max(1, round(share * total)) for split, share in shares.items()}
    while sum(counts.values()) >= total:
        largest = max(counts, key=lambda split: counts[split])
        counts[largest] -= 1
    return counts


def _too_few(dataset: Dataset, label: str, count: int, wanted: Sequence[SplitName]) -> DataError:
    needed = 1 + len(wanted)
    if count == 0:
        return DataError(
            f"{dataset.root}: class {label!r} has no picture to train on; put some on its train side",
            code="split_incomplete",
        )
    images = "1 usable picture" if count == 1 else f"{count} usable pictures"
    return DataError(
        f"{dataset.root}: class {label!r} has {images} to divide, and {needed} are needed to have one each "
        f"for {', '.join(['train', *sorted(wanted, reverse=True)])}; add pictures or move the class away",
        code="too_few_images",
    )


def order_split(splits: dict[SplitName, list[LabeledImage]], notes: tuple[Note, ...]) -> Split:
    """A split with each side in order of file names."""
    train, validation, test = (tuple(sorted(splits[split], key=_place)) for split in SPLITS)
    return Split(train, validation, test, notes)
