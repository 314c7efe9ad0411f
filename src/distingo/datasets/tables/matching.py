"""Match the names in a table to files, consistently for the whole table, even if paths are from another machine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from distingo.datasets.tables.image_files import (
    NOTHING,
    ImageFinder,
    Match,
    is_absolute,
    is_web_address,
    leads_outside,
    path_of,
)
from distingo.datasets.walking import SPLIT_LABELS, FoundFile, differ_in_a_number, display_name, split_of_name

_NEARLY_ALL = 0.95
"""If the folder has another name than in the table, at least this share of the paths must exist."""

_RIVAL = 0.8
"""From this share on, another folder matches the table's paths as well as the best one."""

_HALF = 0.5


@dataclass(frozen=True, slots=True)
class Rerooting:
    """The folder that replaces the common part of all paths.

    Attributes:
        prefix: The common part, with forward slashes; empty for relative paths without one.
        folder: The parts of the folder, from the root.
        named: Number of distinct paths.
        found: How many of them exist in the folder.
        rivals: If the folder is ambiguous, others that match as well, each with the number found; paths are not
            replaced then.
        certain: Whether paths are replaced.
    """

    prefix: str
    folder: tuple[str, ...]
    named: int
    found: int
    rivals: tuple[tuple[tuple[str, ...], int], ...] = ()
    certain: bool = True

    def applied_to(self, path: str) -> str:
        """Convert a path of the table to one relative to the root."""
        rest = path[len(self.prefix) :].lstrip("/")
        return "/".join((*self.folder, rest))


def find_rerooting(paths: Sequence[str], images: ImageFinder) -> Rerooting | None:
    """Find the folder that replaces the common part of paths of which none exists.

    A folder that ends like the common part (``/home/me/data/train`` and ``data/train`` here) is chosen if half of the
    files exist in it, the one that agrees in most parts first; so is the image folder, if the user specified one. A
    folder with another name is chosen only for absolute paths (or relative ones without a common part), if nearly all
    files exist, no other folder has most of them, and it is not ``test`` instead of ``train``.

    Args:
        paths: Distinct paths of a table, from `distingo.datasets.tables.image_files.path_of`.
        images: Finds the files.

    Returns:
        The folder, with `Rerooting.certain` False if it is ambiguous or too few files exist. None if no file matches
        any of the paths.
    """
    paths_parts = [path.split("/") for path in paths]
    common = _common(paths_parts)
    counts = _count(paths, len(common), images, any_case=False)
    counts = counts or _count(paths, len(common), images, any_case=True)
    if not counts:
        return None
    agreed = {folder: _agreement(common, folder, images) for folder in counts}
    if images.below in counts and counts[images.below] >= _HALF * len(paths) and images.below:
        best = images.below  # specified by the user
        rivals = []
    else:
        best = min(counts, key=lambda folder: (-agreed[folder], -counts[folder], folder))
        rivals = _rivals(best, counts, agreed, len(paths))
    is_image_folder = bool(images.below) and best == images.below
    likely = is_image_folder or bool(agreed[best]) or _may_be_renamed(common, best)
    enough = counts[best] >= (_HALF if agreed[best] or is_image_folder else _NEARLY_ALL) * len(paths)
    return Rerooting(
        "/".join(common),
        best,
        len(paths),
        counts[best],
        tuple((folder, counts[folder]) for folder in rivals),
        certain=likely and enough and not rivals,
    )


def folder_name(folder: tuple[str, ...]) -> str:
    """Format a folder relative to the root: ``./`` or ``data/train/``."""
    return f"{display_name(folder)}/" if folder else "./"


def _may_be_renamed(common: Sequence[str], folder: tuple[str, ...]) -> bool:
    """Whether a folder with another name may be the one that the common part names."""
    splits = {SPLIT_LABELS[part.lower()] for part in common if part.lower() in SPLIT_LABELS}
    others = {SPLIT_LABELS[part.lower()] for part in folder if part.lower() in SPLIT_LABELS}
    return (not common or is_absolute("/".join((*common, "")))) and not (splits and others and splits != others)


def _rivals(
    best: tuple[str, ...], counts: Counter[tuple[str, ...]], agreed: dict[tuple[str, ...], int], named: int
) -> list[tuple[str, ...]]:
    def is_rival(folder: tuple[str, ...]) -> bool:
        if agreed[best]:
            return agreed[folder] == agreed[best] or counts[folder] > counts[best]
        return counts[folder] >= _RIVAL * named

    others = [folder for folder in counts if folder != best and is_rival(folder)]
    return sorted(others, key=lambda folder: (-counts[folder], folder))


def _common(paths: Sequence[list[str]]) -> list[str]:
    """The leading folders that all paths share."""
    first, last = min(paths)[:-1], max(paths)[:-1]
    shared = 0
    while shared < min(len(first), len(last)) and first[shared] == last[shared]:
        shared += 1
    return first[:shared]


def _count(paths: Sequence[str], common: int, images: ImageFinder, *, any_case: bool) -> Counter[tuple[str, ...]]:
    """Count the paths that exist, by the folder that would replace their first parts."""
    counts: Counter[tuple[str, ...]] = Counter()
    for path in paths:
        rest = "/".join(path.split("/")[common:])
        parts = rest.count("/") + 1
        counts.update({_above(file, parts) for file in images.ending_in(rest, any_case=any_case)})
    return counts


def _above(file: FoundFile, parts: int) -> tuple[str, ...]:
    return file.parts[: len(file.parts) - parts]


def _agreement(common: Sequence[str], folder: tuple[str, ...], images: ImageFinder) -> int:
    """Number of trailing parts that the common part shares with a folder's absolute path, ignoring case."""
    folder_parts = [*images.root_path.split("/"), *folder]
    count = 0
    for one, other in zip(reversed(common), reversed(folder_parts), strict=False):
        if not one or one.casefold() != other.casefold():
            break
        count += 1
    return count


_DOMINANT_SHARE = 0.9
"""From this share of the bare names found on, one folder is considered the images' folder."""


@dataclass(frozen=True, slots=True)
class Narrowing:
    """The only folder in which bare names are looked up, as several folders have files of the same names.

    Attributes:
        folder: Its parts, from the root.
        named: Number of distinct bare names.
        found: How many of them are in the folder.
        elsewhere: How many of them are also in other folders.
    """

    folder: tuple[str, ...]
    named: int
    found: int
    elsewhere: int


@dataclass(frozen=True, slots=True)
class Strays:
    """Bare names that are not in the folder with nearly all others, but in other folders; they count as missing.

    Attributes:
        folder: The parts of the folder with nearly all names.
        files: The file in another folder, by name.
    """

    folder: tuple[str, ...] = ()
    files: Mapping[str, FoundFile] = field(default_factory=dict)

    @property
    def shared_folder(self) -> tuple[str, ...]:
        """The parts of the deepest folder that contains all of these files and `folder`."""
        shared = list(self.folder)
        for file in self.files.values():
            agreement = (one == other for one, other in zip(shared, file.parts[:-1], strict=False))
            shared = shared[
                : next((at for at, each in enumerate(agreement) if not each), min(len(shared), len(file.parts) - 1))
            ]
        return tuple(shared)


@dataclass(frozen=True, slots=True)
class Matches:
    """The files that the names of a table refer to.

    Attributes:
        by_name: The match of every distinct name.
        rerooting: How paths from another machine are replaced, or why they are not; None if there are none.
        narrowing: The folder that bare names are looked up in; None for anywhere.
        strays: Bare names that are not matched, because only other folders have them.
        lost_zeros: Numbers that name no file, each with the file of that number with leading zeros.
        web_addresses: Number of names that are web addresses.
    """

    by_name: Mapping[str, Match]
    rerooting: Rerooting | None = None
    narrowing: Narrowing | None = None
    strays: Strays = field(default_factory=Strays)
    lost_zeros: tuple[tuple[str, FoundFile], ...] = ()
    web_addresses: int = 0

    def files(self, name: str) -> tuple[FoundFile, ...]:
        """The files that a name refers to."""
        return self.by_name[name].files

    @property
    def any_case(self) -> tuple[str, ...]:
        """The names that match one file only if case is ignored."""
        return tuple(name for name, match in self.by_name.items() if match.any_case and len(match.files) == 1)

    @property
    def decoded(self) -> tuple[str, ...]:
        """The names that match one file only by another interpretation, such as decoding percent signs."""
        return tuple(name for name, match in self.by_name.items() if match.decoded and len(match.files) == 1)


def match_names(names: Iterable[str], images: ImageFinder) -> Matches:
    """Find the files that the names of a table refer to, by one rule for all of them.

    A name refers to the file of that path, relative to the image folder or else the table's. If none of the absolute
    paths exists (or none of the relative ones with folders), another folder may replace their common part
    (`find_rerooting`). If several folders have files of the same bare names, and one of them has nearly all, bare names
    are looked up in that folder only. If one folder has nearly all bare names that are found, files in other folders do
    not count, unless these folders belong together: splits, numbered parts, or folders in the image folder that the
    user specified.

    Args:
        names: A column of the table.
        images: Finds the files.
    """
    by_name = {name: images.match(name) for name in dict.fromkeys(names)}
    paths = {name: path_of(name) for name, match in by_name.items() if not match.files}
    rerooting = None
    for outside in (True, False):
        members = _all_missing(by_name, paths, outside=outside)
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


def _all_missing(by_name: Mapping[str, Match], missing: Mapping[str, str], *, outside: bool) -> dict[str, str]:
    """The missing paths of a kind, if no path of that kind exists; they are then from another machine."""
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
    """The folder that has nearly all bare names, if some of them are in several folders."""
    folders = {name: {file.parts[:-1] for file in match.files} for name, match in by_name.items() if _is_bare(name)}
    if not any(len(each) > 1 for each in folders.values()):
        return None
    counts = Counter(folder for each in folders.values() for folder in each)
    (best, count), *others = counts.most_common(2)
    if count < _NEARLY_ALL * len(folders) or (others and others[0][1] >= _RIVAL * len(folders)):
        return None
    return Narrowing(best, len(folders), count, sum(bool(each - {best}) for each in folders.values()))


def _narrowed(name: str, match: Match, narrowing: Narrowing) -> Match:
    if not match.files or not _is_bare(name):
        return match
    files = tuple(file for file in match.files if file.parts[:-1] == narrowing.folder)
    return match._replace(files=files) if files else NOTHING


def _find_strays(by_name: Mapping[str, Match], images: ImageFinder) -> Strays:
    """The bare names that are missing in the folder that has nearly all others."""
    bare_matches = {name: match.files for name, match in by_name.items() if match.files and _is_bare(name)}
    folders = {name: {file.parts[:-1] for file in files} for name, files in bare_matches.items()}
    counts = Counter(folder for each in folders.values() for folder in each)
    if len(counts) < 2:
        return Strays()
    best, count = counts.most_common(1)[0]
    if count < _DOMINANT_SHARE * len(bare_matches) or (images.anywhere and best != images.below):
        return Strays()
    # a name that is the path of a file from the root or the image folder is no stray
    files = {name: bare_matches[name][0] for name, each in folders.items() if each.isdisjoint({best, images.below})}
    return Strays(best, {name: file for name, file in files.items() if not _belong_together(best, file.parts[:-1])})


def _belong_together(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether two folders' names are those of parts of one set: train and val, or images_1 and images_2."""
    differing = [(a, b) for a, b in zip(one, other, strict=False) if a != b]
    if len(one) != len(other) or not differing:
        return False
    return all((split_of_name(a) and split_of_name(b)) or differ_in_a_number([a, b]) for a, b in differing)


def _lost_zeros(missing: Sequence[str], images: ImageFinder) -> tuple[tuple[str, FoundFile], ...]:
    """Match numbers to files with leading zeros, as spreadsheets drop these zeros."""
    numbers = [name for name in missing if name.isascii() and name.isdigit()]
    return tuple((name, file) for name in numbers if (file := images.of_number(int(name))) is not None)
