"""Pictures that belong together: copies and bursts of one scene, and what a table says is one group."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from distingo.records import Dataset

LinkKind = Literal["near-duplicate", "burst", "group"]
"""Why two pictures belong together: copies of one scene; taken in one burst; the same value in the group column."""

LINK_KINDS: tuple[LinkKind, ...] = ("near-duplicate", "burst", "group")


@dataclass(frozen=True, slots=True)
class Links:
    """Pairs of pictures that belong together for one reason.

    Attributes:
        kind: The reason.
        pairs: Positions of two pictures each, in any order.
    """

    kind: LinkKind
    pairs: Sequence[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Grouping:
    """Which pictures must stay on one side of a split.

    Attributes:
        numbers: Of each picture's group, int64 (n,), counted from 0 in the order of their first pictures; a picture
            that belongs to no other is a group of its own.
        kinds: By group, why its pictures belong together; empty for a single picture.
    """

    numbers: np.ndarray
    kinds: tuple[tuple[LinkKind, ...], ...]

    @property
    def count(self) -> int:
        """How many groups there are, those of one picture among them."""
        return len(self.kinds)

    def sizes(self) -> np.ndarray:
        """Pictures per group, int64 (groups,)."""
        return np.bincount(self.numbers, minlength=self.count)


def group_pictures(n: int, links: Iterable[Links]) -> Grouping:
    """Put together what is linked, directly or by a chain.

    Args:
        n: How many pictures there are.
        links: Of every kind.

    Returns:
        The connected components of the pictures.

    Raises:
        ValueError: A pair names a picture that there is not.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    links = tuple(links)
    pairs = np.array([pair for each in links for pair in each.pairs], np.int64).reshape(-1, 2)
    if pairs.size and (pairs.min() < 0 or pairs.max() >= n):
        raise ValueError(f"pairs name pictures from {pairs.min()} to {pairs.max()}, and there are {n}")
    graph = coo_array((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    count, found = connected_components(graph, directed=False)
    _, first = np.unique(found, return_index=True)
    renamed = np.empty(count, np.int64)
    renamed[np.argsort(first, kind="stable")] = np.arange(count)
    numbers = renamed[found] if n else np.empty(0, np.int64)
    kinds: list[set[LinkKind]] = [set() for _ in range(count)]
    for each in links:
        for one, other in each.pairs:
            if one != other:
                kinds[numbers[one]].add(each.kind)
    return Grouping(numbers, tuple(tuple(kind for kind in LINK_KINDS if kind in found) for found in kinds))


def link_column(dataset: Dataset) -> Links:
    """Link the pictures that the group column gives the same value, and the copies of such pictures.

    An empty cell says nothing. A copy that is left out of the data set still speaks for the picture that is used in its
    place: two groups that share a picture become one.

    Args:
        dataset: Read with `TableOptions.group_column`.
    """
    places = {picture.source.file: at for at, picture in enumerate(dataset.pictures)}
    used = {row.file: row.same_as for row in dataset.manifest if row.status == "duplicate"}
    members: dict[str, list[int]] = defaultdict(list)
    for file, values in dataset.groups.items():
        at = places.get(used.get(file, file))
        if at is not None:
            for value in values:
                members[value].append(at)
    return Links("group", tuple(pair for each in members.values() for pair in chain_pairs(each)))


def chain_pairs(members: Sequence[int]) -> list[tuple[int, int]]:
    """The pairs that link members one after another, which puts all of them together."""
    return list(pairwise(members))
