"""Paths of another machine: the one folder that stands in for what a table's paths have in common."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from distingo.datasets.candidates import SIDE_NAMES
from distingo.datasets.table_names import is_absolute
from distingo.datasets.table_pictures import PictureFinder
from distingo.datasets.walking import FoundFile, display_name

_NEARLY_ALL = 0.95
"""This share of the paths must be there where the folder has another name than in the table."""

_RIVAL = 0.8
"""From this share on, a folder of another name stands in for the table's as well as the best one."""

_HALF = 0.5


@dataclass(frozen=True, slots=True)
class Rerooting:
    """One folder in place of the part that all paths have in common.

    Attributes:
        prefix: What they have in common, with forward slashes; empty for relative paths with nothing in common.
        folder: The parts of the folder, from the root.
        named: How many different paths there are.
        found: How many of them are there.
        rivals: Where it is in doubt, other folders that would do as well, each with the number found; then no path is
            read.
        certain: Whether paths are read so.
    """

    prefix: str
    folder: tuple[str, ...]
    named: int
    found: int
    rivals: tuple[tuple[tuple[str, ...], int], ...] = ()
    certain: bool = True

    def applied_to(self, path: str) -> str:
        """A path of the table as one from the root."""
        rest = path[len(self.prefix) :].lstrip("/")
        return "/".join((*self.folder, rest))


def find_rerooting(paths: Sequence[str], pictures: PictureFinder) -> Rerooting | None:
    """Find the folder that stands in for the common part of paths none of which is there.

    A folder that ends as the common part does (``/home/me/data/train`` and ``data/train`` here) is taken where half of
    the files are there, the one that agrees in most parts first; likewise the image folder that a person names. A
    folder of another name is taken only for absolute paths (or relative ones with nothing in common), where nearly all
    files are there, no other folder has most of them, and it is not ``test`` for ``train``.

    Args:
        paths: Different paths of a table, from `distingo.datasets.table_names.path_of`.
        pictures: The files.

    Returns:
        The folder; with `Rerooting.certain` false where several would do, or too few files are there. None where
        there is no file that any of the paths may mean.
    """
    split = [path.split("/") for path in paths]
    common = _common(split)
    counts = _count(paths, len(common), pictures, any_case=False)
    counts = counts or _count(paths, len(common), pictures, any_case=True)
    if not counts:
        return None
    agreed = {folder: _agreement(common, folder, pictures) for folder in counts}
    if pictures.below in counts and counts[pictures.below] >= _HALF * len(paths) and pictures.below:
        best = pictures.below  # the person named it
        rivals = []
    else:
        best = min(counts, key=lambda folder: (-agreed[folder], -counts[folder], folder))
        rivals = _rivals(best, counts, agreed, len(paths))
    named_it = bool(pictures.below) and best == pictures.below
    likely = named_it or bool(agreed[best]) or _may_be_renamed(common, best)
    enough = counts[best] >= (_HALF if agreed[best] or named_it else _NEARLY_ALL) * len(paths)
    return Rerooting(
        "/".join(common),
        best,
        len(paths),
        counts[best],
        tuple((folder, counts[folder]) for folder in rivals),
        certain=likely and enough and not rivals,
    )


def folder_name(folder: tuple[str, ...]) -> str:
    """A folder from the root in words: ``./`` or ``data/train/``."""
    return f"{display_name(folder)}/" if folder else "./"


def _may_be_renamed(common: Sequence[str], folder: tuple[str, ...]) -> bool:
    """Whether a folder of another name may be the one that the common part names."""
    splits = {SIDE_NAMES[part.lower()] for part in common if part.lower() in SIDE_NAMES}
    others = {SIDE_NAMES[part.lower()] for part in folder if part.lower() in SIDE_NAMES}
    return (not common or is_absolute("/".join((*common, "")))) and not (splits and others and splits != others)


def _rivals(
    best: tuple[str, ...], counts: Counter[tuple[str, ...]], agreed: dict[tuple[str, ...], int], named: int
) -> list[tuple[str, ...]]:
    def rivals_it(folder: tuple[str, ...]) -> bool:
        if agreed[best]:
            return agreed[folder] == agreed[best] or counts[folder] > counts[best]
        return counts[folder] >= _RIVAL * named

    others = [folder for folder in counts if folder != best and rivals_it(folder)]
    return sorted(others, key=lambda folder: (-counts[folder], folder))


def _common(paths: Sequence[list[str]]) -> list[str]:
    """The folders that all paths begin with."""
    first, last = min(paths)[:-1], max(paths)[:-1]
    same = 0
    while same < min(len(first), len(last)) and first[same] == last[same]:
        same += 1
    return first[:same]


def _count(paths: Sequence[str], common: int, pictures: PictureFinder, *, any_case: bool) -> Counter[tuple[str, ...]]:
    """How many paths are there, by the folder that stands in for their first parts."""
    counts: Counter[tuple[str, ...]] = Counter()
    for path in paths:
        rest = "/".join(path.split("/")[common:])
        parts = rest.count("/") + 1
        counts.update({_above(file, parts) for file in pictures.ending_in(rest, any_case=any_case)})
    return counts


def _above(file: FoundFile, parts: int) -> tuple[str, ...]:
    return file.parts[: len(file.parts) - parts]


def _agreement(common: Sequence[str], folder: tuple[str, ...], pictures: PictureFinder) -> int:
    """How many last parts the common part shares with a folder's absolute path, in any case."""
    place = [*pictures.place.split("/"), *folder]
    count = 0
    for one, other in zip(reversed(common), reversed(place), strict=False):
        if not one or one.casefold() != other.casefold():
            break
        count += 1
    return count
