"""All names of a table to files: one way of reading them for the whole table, and what is remarkable about it.

Paths of another machine: the one folder that stands in for what a table's paths have in common.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from distingo.datasets.layouts.split_folders import differ_in_a_number, split_of_name
from distingo.datasets.tables.image_files import (
    NOTHING,
    ImageFinder,
    Match,
    is_absolute,
    is_web_address,
    leads_outside,
    path_of,
)
from distingo.datasets.walking import SPLIT_LABELS, FoundFile, display_name

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


def find_rerooting(paths: Sequence[str], images: ImageFinder) -> Rerooting | None:
    """Find the folder that stands in for the common part of paths none of which is there.

    A folder that ends as the common part does (``/home/me/data/train`` and ``data/train`` here) is taken where half of
    the files are there, the one that agrees in most parts first; likewise the image folder that a person names. A
    folder of another name is taken only for absolute paths (or relative ones with nothing in common), where nearly all
    files are there, no other folder has most of them, and it is not ``test`` for ``train``.

    Args:
        paths: Different paths of a table, from `distingo.datasets.tables.image_files.path_of`.
        images: The files.

    Returns:
        The folder; with `Rerooting.certain` false where several would do, or too few files are there. None where
        there is no file that any of the paths may mean.
    """
    split = [path.split("/") for path in paths]
    common = _common(split)
    counts = _count(paths, len(common), images, any_case=False)
    counts = counts or _count(paths, len(common), images, any_case=True)
    if not counts:
        return None
    agreed = {folder: _agreement(common, folder, images) for folder in counts}
    if images.below in counts and counts[images.below] >= _HALF * len(paths) and images.below:
        best = images.below  # the person named it
        rivals = []
    else:
        best = min(counts, key=lambda folder: (-agreed[folder], -counts[folder], folder))
        rivals = _rivals(best, counts, agreed, len(paths))
    named_it = bool(images.below) and best == images.below
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
    splits = {SPLIT_LABELS[part.lower()] for part in common if part.lower() in SPLIT_LABELS}
    others = {SPLIT_LABELS[part.lower()] for part in folder if part.lower() in SPLIT_LABELS}
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


def _count(paths: Sequence[str], common: int, images: ImageFinder, *, any_case: bool) -> Counter[tuple[str, ...]]:
    """How many paths are there, by the folder that stands in for their first parts."""
    counts: Counter[tuple[str, ...]] = Counter()
    for path in paths:
        rest = "/".join(path.split("/")[common:])
        parts = rest.count("/") + 1
        counts.update({_above(file, parts) for file in images.ending_in(rest, any_case=any_case)})
    return counts


def _above(file: FoundFile, parts: int) -> tuple[str, ...]:
    return file.parts[: len(file.parts) - parts]


def _agreement(common: Sequence[str], folder: tuple[str, ...], images: ImageFinder) -> int:
    """How many last parts the common part shares with a folder's absolute path, in any case."""
    place = [*images.place.split("/"), *folder]
    count = 0
    for one, other in zip(reversed(common), reversed(place), strict=False):
        if not one or one.casefold() != other.casefold():
            break
        count += 1
    return count


_MOST_OF_FOUND = 0.9
"""From this share of the bare names found on, one folder is the one that they are about."""


@dataclass(frozen=True, slots=True)
class Narrowing:
    """The one folder in which bare names are looked up, as several folders have files of these names.

    Attributes:
        folder: Its parts, from the root.
        named: How many different bare names there are.
        found: How many of them are in the folder.
        elsewhere: How many of them other folders have too.
    """

    folder: tuple[str, ...]
    named: int
    found: int
    elsewhere: int


@dataclass(frozen=True, slots=True)
class Strays:
    """Bare names that only other folders have than the one that has nearly all; they count as missing.

    Attributes:
        folder: The parts of the one that has nearly all.
        files: By name, the file in another folder.
    """

    folder: tuple[str, ...] = ()
    files: Mapping[str, FoundFile] = field(default_factory=dict)

    @property
    def shared_folder(self) -> tuple[str, ...]:
        """The parts of the folder that all are in, together with `folder`."""
        shared = list(self.folder)
        for file in self.files.values():
            same = (one == other for one, other in zip(shared, file.parts[:-1], strict=False))
            shared = shared[
                : next((at for at, each in enumerate(same) if not each), min(len(shared), len(file.parts) - 1))
            ]
        return tuple(shared)


@dataclass(frozen=True, slots=True)
class Matches:
    """What the names of a table lead to.

    Attributes:
        by_name: Every different name.
        rerooting: How paths of another machine are read, or why they are not; None where none is tried.
        narrowing: Where bare names are looked up; None where anywhere.
        strays: Bare names that are not taken, because only other folders have them.
        lost_zeros: Numbers that name no file, each with the file of that number with zeros before it.
        web_addresses: How many names are addresses on the web.
    """

    by_name: Mapping[str, Match]
    rerooting: Rerooting | None = None
    narrowing: Narrowing | None = None
    strays: Strays = field(default_factory=Strays)
    lost_zeros: tuple[tuple[str, FoundFile], ...] = ()
    web_addresses: int = 0

    def files(self, name: str) -> tuple[FoundFile, ...]:
        """What a name leads to."""
        return self.by_name[name].files

    @property
    def any_case(self) -> tuple[str, ...]:
        """The names that fit one file, but only without regard to upper and lower case."""
        return tuple(name for name, match in self.by_name.items() if match.any_case and len(match.files) == 1)

    @property
    def decoded(self) -> tuple[str, ...]:
        """The names that fit one file, but only by another reading, such as without percent signs."""
        return tuple(name for name, match in self.by_name.items() if match.decoded and len(match.files) == 1)


def match_names(names: Iterable[str], images: ImageFinder) -> Matches:
    """Find what the names of a table mean, all in one way.

    A name leads to the file of that path: from the image folder, or else the table's. If none of the absolute paths is
    there (or none of the relative ones with folders in them), then one folder may stand in for what they have in
    common (`find_rerooting`). If several folders have files of the same bare names, and one of them has nearly all,
    then bare names are looked up in that folder only. If one folder has nearly all bare names that are found, then the
    others are not taken from elsewhere, unless its neighbors belong to it: splits, numbered parts, or folders in the
    image folder that a person named.

    Args:
        names: A column of the table.
        images: The files.
    """
    by_name = {name: images.match(name) for name in dict.fromkeys(names)}
    paths = {name: path_of(name) for name, match in by_name.items() if not match.files}
    rerooting = None
    for outside in (True, False):
        members = _not_one_is_there(by_name, paths, outside=outside)
        if members and (rerooting := find_rerooting(list(dict.fromkeys(members.values())), images)):
            if rerooting.certain:
                by_name |= {name: images.match_inside(rerooting.applied_to(path)) for name, path in members.items()}
            break
    narrowing = _narrow(by_name)
    if narrowing:
        by_name = {name: _narrowed(name, match, narrowing) for name, match in by_name.items()}
    strays = _find_strays(by_name, images)
    by_name |= dict.fromkeys(strays.files, NOTHING)
    lost = _lost_zeros([name for name, match in by_name.items() if not match.files], images)
    return Matches(by_name, rerooting, narrowing, strays, lost, sum(map(is_web_address, paths)))


def _not_one_is_there(by_name: Mapping[str, Match], missing: Mapping[str, str], *, outside: bool) -> dict[str, str]:
    """The paths of a kind, if none of that kind leads to a file; they are then from another place."""
    members = {name: path for name, path in missing.items() if "/" in path and leads_outside(path) is outside}
    members = {name: path for name, path in members.items() if not is_web_address(name)}
    if not members:
        return {}
    for name, match in by_name.items():
        if match.files and "/" in (path := path_of(name)) and leads_outside(path) is outside:
            return {}
    return members


def _is_bare(name: str) -> bool:
    path = path_of(name)
    return "/" not in path and not is_absolute(path)


def _narrow(by_name: Mapping[str, Match]) -> Narrowing | None:
    """The folder that has nearly all bare names, where some are in several folders."""
    folders = {name: {file.parts[:-1] for file in match.files} for name, match in by_name.items() if _is_bare(name)}
    if not any(len(each) > 1 for each in folders.values()):
        return None
    counts = Counter(folder for each in folders.values() for folder in each)
    (best, found), *others = counts.most_common(2)
    if found < _NEARLY_ALL * len(folders) or (others and others[0][1] >= _RIVAL * len(folders)):
        return None
    return Narrowing(best, len(folders), found, sum(bool(each - {best}) for each in folders.values()))


def _narrowed(name: str, match: Match, narrowing: Narrowing) -> Match:
    if not match.files or not _is_bare(name):
        return match
    files = tuple(file for file in match.files if file.parts[:-1] == narrowing.folder)
    return match._replace(files=files) if files else NOTHING


def _find_strays(by_name: Mapping[str, Match], images: ImageFinder) -> Strays:
    """The bare names that the folder of nearly all others lacks."""
    found = {name: match.files for name, match in by_name.items() if match.files and _is_bare(name)}
    folders = {name: {file.parts[:-1] for file in files} for name, files in found.items()}
    counts = Counter(folder for each in folders.values() for folder in each)
    if len(counts) < 2:
        return Strays()
    best, count = counts.most_common(1)[0]
    if count < _MOST_OF_FOUND * len(found) or (images.anywhere and best != images.below):
        return Strays()
    # a name that stands for the path of a file is no stray
    files = {name: found[name][0] for name, each in folders.items() if each.isdisjoint({best, images.below})}
    return Strays(best, {name: file for name, file in files.items() if not _belong_together(best, file.parts[:-1])})


def _belong_together(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether two folders are by their names parts of one set: train and val, or images_1 and images_2."""
    differing = [(a, b) for a, b in zip(one, other, strict=False) if a != b]
    if len(one) != len(other) or not differing:
        return False
    return all((split_of_name(a) and split_of_name(b)) or differ_in_a_number([a, b]) for a, b in differing)


def _lost_zeros(missing: Sequence[str], images: ImageFinder) -> tuple[tuple[str, FoundFile], ...]:
    """Numbers without the zeros before them, as spreadsheets write them."""
    numbers = [name for name in missing if name.isascii() and name.isdigit()]
    return tuple((name, file) for name in numbers if (file := images.of_number(int(name))) is not None)
