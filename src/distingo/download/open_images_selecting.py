"""Which pictures of Open Images are taken: by class, at most so many, with all of their labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from distingo.download.open_images_addresses import OpenImagesSplit

if TYPE_CHECKING:
    Identifiers = np.ndarray[tuple[int], np.dtype[np.uint64]]
    Flags = np.ndarray[tuple[int, ...], np.dtype[np.bool_]]


@dataclass(frozen=True, slots=True)
class SelectedPicture:
    """One picture that is to be fetched.

    Attributes:
        identifier: 16 hexadecimal digits.
        split: The side that its author put it on.
        classes: Positions of its classes among those asked for, ascending; never empty.
    """

    identifier: str
    split: OpenImagesSplit
    classes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Selection:
    """The pictures that are to be fetched.

    Attributes:
        pictures: Sorted by identifier.
        found: For each class, how many pictures the tables name.
        dropped: How many were left out for having several of the classes.
    """

    pictures: tuple[SelectedPicture, ...]
    found: tuple[int, ...]
    dropped: int

    @property
    def has_several(self) -> bool:
        """Whether some picture has more than one of the classes."""
        return any(len(picture.classes) > 1 for picture in self.pictures)


def select_pictures(
    found: Mapping[tuple[OpenImagesSplit, int], Iterable[int]],
    classes: int,
    *,
    limit: int | None = None,
    seed: int = 0,
    single: bool = False,
) -> Selection:
    """Choose pictures.

    The choice under a limit follows from the seed and the identifiers alone, not from the order of the tables: pictures
    are ranked by a hash of both (the finaliser of SplitMix64; Steele, Lea and Flood, 2014), and the first are taken. A
    larger limit takes the same ones and more.

    Args:
        found: For a side and a class, the identifiers of the pictures that show it, as integers; repeats are allowed.
        classes: How many there are.
        limit: At most so many pictures for each class. A picture taken for one class keeps the others that it has, so
            that a class may end up with more.
        seed: Of the choice.
        single: Leave out pictures that have several of the classes.

    Returns:
        The choice, and what it was made from.
    """
    by_class = [_joined(found, at) for at in range(classes)]
    every = np.unique(np.concatenate([*by_class, np.empty(0, np.uint64)]))
    has: Flags = np.stack([np.isin(every, each, assume_unique=True) for each in by_class], axis=1)
    allowed: Flags = has.sum(axis=1) == 1 if single else np.ones(len(every), np.bool_)
    chosen: Flags = np.zeros(len(every), np.bool_)
    order = np.argsort(_scatter(every, seed), kind="stable")
    for at in range(classes):
        ranked = order[(has[:, at] & allowed)[order]]
        chosen[ranked[:limit]] = True
    pictures = tuple(_describe(every, has, chosen, _splits(found, every)))
    return Selection(pictures, tuple(len(each) for each in by_class), int((~allowed).sum()))


def _joined(found: Mapping[tuple[OpenImagesSplit, int], Iterable[int]], at: int) -> Identifiers:
    parts = [np.asarray(ids, np.uint64) for (_, index), ids in found.items() if index == at]
    return np.unique(np.concatenate([*parts, np.empty(0, np.uint64)]))


def _splits(found: Mapping[tuple[OpenImagesSplit, int], Iterable[int]], every: Identifiers) -> list[OpenImagesSplit]:
    names = sorted({split for split, _ in found})
    numbers = np.zeros(len(every), np.uint8)
    for (split, _), ids in found.items():
        numbers[np.searchsorted(every, np.unique(np.asarray(ids, np.uint64)))] = names.index(split)
    return [names[number] for number in numbers]


def _scatter(ids: Identifiers, seed: int) -> Identifiers:
    offset = (0x9E3779B97F4A7C15 * (seed + 1)) % (1 << 64)
    value = ids + np.uint64(offset)  # wraps around, as meant
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


def _describe(
    every: Identifiers, has: Flags, chosen: Flags, splits: list[OpenImagesSplit]
) -> Iterable[SelectedPicture]:
    for at in np.flatnonzero(chosen):
        classes = tuple(int(index) for index in np.flatnonzero(has[at]))
        yield SelectedPicture(f"{int(every[at]):016x}", splits[at], classes)
