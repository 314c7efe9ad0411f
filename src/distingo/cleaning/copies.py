"""Of pictures that are copies of each other: which one stays."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

Pair = tuple[str, str]
Rank = Callable[[str], Any]


def choose_copies(same: Iterable[Pair], alike: Iterable[Pair], rank: Rank) -> dict[str, str]:
    """Decide which copies go, so that every one of them has a copy that stays.

    Sameness is carried over (of a, b and c with a = b and b = c one stays); likeness is not: a picture goes only for
    one that stays and that it was itself found to be like.

    Args:
        same: Pairs of files that hold the same picture.
        alike: Pairs of files that hold nearly the same picture.
        rank: Of two, the file with the smaller one stays; different for each file.

    Returns:
        By file that goes, the one that stays.
    """
    goes = {file: group[0] for group in _groups(same, rank) for file in group[1:]}
    near: dict[str, set[str]] = defaultdict(set)
    for pair in alike:
        one, other = (goes.get(file, file) for file in pair)
        if one != other:
            near[one].add(other)
            near[other].add(one)
    stays: set[str] = set()
    found: dict[str, str] = {}
    for file in sorted(near, key=rank):
        if kept := near[file] & stays:
            found[file] = min(kept, key=rank)
        else:
            stays.add(file)
    return {**{file: found.get(kept, kept) for file, kept in goes.items()}, **found}


def _groups(pairs: Iterable[Pair], rank: Rank) -> list[list[str]]:
    """Put together what is the same, the file that stays first."""
    above: dict[str, str] = {}

    def top(file: str) -> str:
        while above.setdefault(file, file) != file:
            above[file] = above[above[file]]
            file = above[file]
        return file

    for one, other in pairs:
        above[top(one)] = top(other)
    groups = defaultdict(list)
    for file in above:
        groups[top(file)].append(file)
    return [sorted(group, key=rank) for group in groups.values()]
