"""Which pictures are learned from, which are chosen by, and which are judged by.

Pictures with several labels divided so that every label is shared out alike.
"""

from __future__ import annotations

import zlib
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

from distingo.errors import DataError, UsageError
from distingo.messages.notes import Note, note
from distingo.records import SIDES, Dataset, Picture, Side, Split


def stratify(labels: np.ndarray, sizes: Sequence[int], *, seed: int) -> np.ndarray:
    """Divide pictures by iterative stratification (Sechidis, Tsoumakas and Vlahavas, 2011).

    The label with the fewest pictures left is dealt out first, each picture to the side that lacks most of that
    label, then to the one that lacks most pictures, then by chance. Two things go beyond the paper: no side
    takes more than its size, and a label wants at least one picture on every side that it has pictures enough for.

    Sechidis, Tsoumakas, Vlahavas: "On the Stratification of Multi-label Data", ECML PKDD 2011, algorithm 1.

    Args:
        labels: bool of shape (pictures, labels); a picture may have none.
        sizes: How many pictures each side gets; together as many as there are.
        seed: Not negative.

    Returns:
        The side (its position in `sizes`) of every picture: int64 of shape (pictures,).

    Raises:
        ValueError: The sizes do not add up.
    """
    has = np.asarray(labels, bool)
    room = np.array(sizes, np.int64)
    if room.sum() != len(has) or (room < 0).any():
        raise ValueError(f"sizes {tuple(sizes)} do not add up to {len(has)} pictures")
    rng = np.random.default_rng(seed)
    chance = rng.permutation(len(has))
    sides = np.full(len(has), -1, np.int64)
    _deal(has, room, sides, chance, rng)
    rest = _shuffled(np.flatnonzero(sides < 0), chance)
    sides[rest] = np.repeat(np.arange(len(room)), room - np.bincount(sides[sides >= 0], minlength=len(room)))
    _give_every_side_one(has, sides, chance)
    return sides


def _deal(has: np.ndarray, sizes: np.ndarray, sides: np.ndarray, chance: np.ndarray, rng: np.random.Generator) -> None:
    """Deal out every picture that has a label, the rarest label first; fills `sides`."""
    left = has.sum(axis=0)
    # Plain lists: there are a handful of sides, and NumPy would take longer to start than to finish.
    wanted = _wanted(left, sizes).T.tolist()
    room = sizes.tolist()
    while left.any():
        label = int(np.where(left > 0, left, len(has) + 1).argmin())
        places = _shuffled(np.flatnonzero(has[:, label] & (sides < 0)), chance)
        for place in places.tolist():
            side = _neediest(wanted[label], room, rng)
            sides[place] = side
            room[side] -= 1
            for own in np.flatnonzero(has[place]).tolist():
                wanted[own][side] -= 1
        left -= has[places].sum(axis=0)


def _shuffled(places: np.ndarray, chance: np.ndarray) -> np.ndarray:
    return places[np.argsort(chance[places])]


def _neediest(wanted: Sequence[float], room: Sequence[int], rng: np.random.Generator) -> int:
    open_sides = [side for side, free in enumerate(room) if free > 0]
    most = max(wanted[side] for side in open_sides) - 1e-9  # sums of shares are exact to about 1e-12
    best = [side for side in open_sides if wanted[side] >= most]
    most_room = max(room[side] for side in best)
    best = [side for side in best if room[side] == most_room]
    return best[0] if len(best) == 1 else int(rng.choice(best))


def _wanted(counts: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """How many pictures of each label each side should get: float64 of shape (sides, labels)."""
    wanted = np.outer(sizes / max(1, sizes.sum()), counts)
    takers = sizes > 0
    enough = counts >= takers.sum()
    raised = np.where(takers[:, None] & enough, np.maximum(wanted, 1.0), wanted)
    # what the small sides get more, the largest gets less
    raised[sizes.argmax()] -= raised.sum(axis=0) - counts
    return raised


def _give_every_side_one(has: np.ndarray, sides: np.ndarray, chance: np.ndarray) -> None:
    """Swap pictures so that a label that a side lacks comes to it; changes `sides` in place.

    A swap is made only if no other label loses its only picture on a side.
    """
    takers = np.unique(sides)
    counts = np.array([has[sides == side].sum(axis=0) for side in takers]).reshape(len(takers), has.shape[1])
    for label in np.argsort(has.sum(axis=0), kind="stable"):
        for at in np.flatnonzero(counts[:, label] == 0):
            if has[:, label].sum() >= len(takers):
                _swap_in(has, sides, counts, takers, chance, int(at), int(label))


def _swap_in(
    has: np.ndarray,
    sides: np.ndarray,
    counts: np.ndarray,
    takers: np.ndarray,
    chance: np.ndarray,
    at: int,
    label: int,
) -> None:
    held = (counts > 0).sum()
    inside = _shuffled(np.flatnonzero((sides == takers[at]) & ~has[:, label]), chance)
    for place in np.flatnonzero(has[:, label]):
        giver = int(np.searchsorted(takers, sides[place]))
        if counts[giver, label] < 2:
            continue
        moved = has[place].astype(np.int64) - has[inside].astype(np.int64)  # (pictures inside, labels)
        kept = ((counts[at] + moved > 0).sum(axis=1) + (counts[giver] - moved > 0).sum(axis=1)) > (
            held - (np.delete(counts, [at, giver], axis=0) > 0).sum()
        )
        if kept.any():
            other = inside[int(kept.argmax())]
            change = has[place].astype(np.int64) - has[other]
            counts[at] += change
            counts[giver] -= change
            sides[place], sides[other] = takers[at], takers[giver]
            return


_COLUMNS = ["file", "side", "labels"]


def split_dataset(
    dataset: Dataset, *, seed: int, validation: float = 0.15, test: float = 0.2, few: bool = False
) -> Split:
    """Divide the pictures over the three sides, every class or label alike.

    What the author put on the test or validation side stays there. The rest of each class is shuffled by the
    seed and the class's name, so the result depends neither on the file system's order nor on the other
    classes. Pictures with several labels are divided by iterative stratification (`stratifying.stratify`); those
    without a label are spread too. A dataset holds no picture twice (`read_dataset`), so none falls on two sides.

    Args:
        dataset: What to divide.
        seed: Not negative.
        validation: Share of the pictures to divide (not counting those on given test and validation sides)
            for validation; at least one picture of each class unless 0.
        test: The same for the test side.
        few: Allow classes of two pictures where three are needed: they have none for validation. Only with one
            label per picture.

    Returns:
        The split, each side in order of file names.

    Raises:
        DataError: A class has too few pictures.
        UsageError: The shares or the seed are out of range.
    """
    _check_shares(seed, validation, test)
    given = {picture.given_side for picture in dataset.pictures}
    shares: dict[Side, float] = {
        "test": 0.0 if "test" in given else test,
        "validation": 0.0 if "validation" in given else validation,
    }
    shares = {side: share for side, share in shares.items() if share > 0}
    if dataset.task == "multi-label":
        return _split_labels(dataset, seed, shares)
    return _split_classes(dataset, seed, shares, few=few)


def _split_classes(dataset: Dataset, seed: int, shares: dict[Side, float], *, few: bool) -> Split:
    given = {picture.given_side for picture in dataset.pictures}
    sides: dict[Side, list[Picture]] = {side: [] for side in SIDES}
    notes = []
    for label, pictures in sorted(_by_class(dataset).items()):
        loose = _place_given(pictures, sides)
        wanted = shares
        if few and len(loose) == 2 and len(wanted) == 2:
            wanted = {"test": shares["test"]}
            notes.append(note("class-without-validation", name=label))
        if len(loose) < 1 + len(wanted):
            raise _too_few(dataset, label, len(loose), list(wanted))
        notes += [
            note(f"class-not-in-{side}", name=label)
            for side in ("test", "validation")
            if side in given and all(picture.given_side != side for picture in pictures)
        ]
        order = np.random.default_rng([seed, zlib.crc32(label.encode())]).permutation(len(loose))
        at = 0
        for side, count in _counts(len(loose), wanted).items():
            sides[side] += [loose[place] for place in order[at : at + count]]
            at += count
        sides["train"] += [loose[place] for place in order[at:]]
    return order_split(sides, tuple(notes))


def _split_labels(dataset: Dataset, seed: int, shares: dict[Side, float]) -> Split:
    sides: dict[Side, list[Picture]] = {side: [] for side in SIDES}
    loose = _place_given(sorted(dataset.pictures, key=_place), sides)
    if len(loose) < 1 + len(shares):
        raise DataError(
            f"{dataset.root}: {len(loose)} usable pictures to divide, and {1 + len(shares)} are needed to have one "
            f"each for {', '.join(['train', *sorted(shares, reverse=True)])}; add pictures",
            code="too_few_images",
        )
    counts = _counts(len(loose), shares)
    sizes = [counts.get(side, 0) for side in SIDES]
    sizes[SIDES.index("train")] = len(loose) - sum(sizes)
    columns = {label: at for at, label in enumerate(dataset.classes)}
    has = np.zeros((len(loose), len(columns)), bool)
    for row, picture in zip(has, loose, strict=True):
        row[[columns[label] for label in picture.labels]] = True
    for side, picture in zip(stratify(has, sizes, seed=seed), loose, strict=True):
        sides[SIDES[side]].append(picture)
    return order_split(sides, _lacking_labels(dataset, sides))


def _lacking_labels(dataset: Dataset, sides: dict[Side, list[Picture]]) -> tuple[Note, ...]:
    """Note which labels could not be put on every side that has pictures."""
    counts = {side: Counter(label for picture in sides[side] for label in picture.labels) for side in SIDES}
    notes = []
    for label in dataset.classes:
        without = [side for side in SIDES if sides[side] and not counts[side][label]]
        if without:
            total = sum(counts[side][label] for side in SIDES)
            notes.append(note("label-not-on-split", name=label, count=total, said=tuple(map(Note, without))))
    return tuple(notes)


def _place_given(pictures: Sequence[Picture], sides: dict[Side, list[Picture]]) -> list[Picture]:
    """Put pictures where their author put them; what is left (also of a given train side) is to be divided."""
    loose = []
    for picture in pictures:
        if picture.given_side in {None, "train"}:
            loose.append(picture)
        elif picture.given_side is not None:
            sides[picture.given_side].append(picture)
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


def _by_class(dataset: Dataset) -> dict[str, list[Picture]]:
    classes: dict[str, list[Picture]] = defaultdict(list)
    for picture in sorted(dataset.pictures, key=_place):
        classes[picture.label].append(picture)
    return classes


def _place(picture: Picture) -> tuple[str, int]:
    source = picture.source
    return (source.file, 0) if source.index is None else (source.file.rpartition("#")[0], source.index)


def _counts(total: int, shares: dict[Side, float]) -> dict[Side, int]:
    """Share out whole pictures: each side at least one, and at least one is left for training."""
    counts = {side: max(1, round(share * total)) for side, share in shares.items()}
    while sum(counts.values()) >= total:
        largest = max(counts, key=lambda side: counts[side])
        counts[largest] -= 1
    return counts


def _too_few(dataset: Dataset, label: str, count: int, wanted: Sequence[Side]) -> DataError:
    needed = 1 + len(wanted)
    if count == 0:
        return DataError(
            f"{dataset.root}: class {label!r} has no picture to train on; put some on its train side",
            code="split_incomplete",
        )
    pictures = "1 usable picture" if count == 1 else f"{count} usable pictures"
    return DataError(
        f"{dataset.root}: class {label!r} has {pictures} to divide, and {needed} are needed to have one each "
        f"for {', '.join(['train', *sorted(wanted, reverse=True)])}; add pictures or move the class away",
        code="too_few_images",
    )


def order_split(sides: dict[Side, list[Picture]], notes: tuple[Note, ...]) -> Split:
    """A split with each side in order of file names."""
    train, validation, test = (tuple(sorted(sides[side], key=_place)) for side in SIDES)
    return Split(train, validation, test, notes)
