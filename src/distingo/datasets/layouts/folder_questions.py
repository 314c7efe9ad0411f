"""Ask the user if folders are ambiguous: the classes may be the top folders, or the folders inside them.

Class folders below sites, patients or copies look like parts of class folders, so names alone are not conclusive. Signs
of ambiguity are: folders of the same names in most top folders or in their splits; the parts of one set (images and
masks); and one data set next to loose images that belong to none of its classes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from distingo.datasets.layouts.split_folders import (
    ANY_FOLDER,
    CLASS_FOLDER,
    NO_SPLITS,
    Folder,
    FolderSplits,
    SplitFolder,
    as_option,
    as_split,
    class_name,
    enter,
    in_order,
)
from distingo.datasets.walking import (
    is_container_name,
    is_part_name,
    is_source_name,
    is_stray_name,
    is_wrapper_name,
    split_of_name,
)
from distingo.errors import name_some, option
from distingo.messages.notes import note
from distingo.records import SPLITS, SplitName

_MIN_SHARED = 2
"""Number of folders that two top folders must share before these may be the classes."""

_TINY = 2

_TINY_SHARE = 50
"""A top folder with so few images, and with so small a share of the largest's, may not belong to the data set."""


@dataclass(frozen=True, slots=True)
class _Top:
    """A top folder and the folders in it that may be classes.

    Attributes:
        folder: The top folder.
        splits: Its split folders that contain folders, unless it has other folders that contain some.
        inside: The folders that may be classes: in its split folders, or directly in it.
    """

    folder: Folder
    splits: tuple[SplitFolder, ...]
    inside: tuple[Folder, ...]

    @property
    def keys(self) -> frozenset[str]:
        return frozenset(class_name(each.name).casefold() for each in self.inside)

    @property
    def is_loose(self) -> bool:
        """Whether it has images outside of these folders."""
        return bool(enter(self.folder).own) or not self.inside

    def names_of(self, keys: Iterable[str]) -> list[str]:
        key_set = set(keys)
        return sorted({each.name for each in self.inside if class_name(each.name).casefold() in key_set})


def splits_inside_classes(tree: Folder) -> FolderSplits | None:
    """Find split folders inside class folders: ``cat/train``, ``cat/test``, ``dog/train``, ``dog/test``.

    Args:
        tree: The folder whose folders may be the classes.

    Returns:
        The splits; with a question if the classes may also be the folders inside the splits (``paris/train/cat``), or
        if some top folders have splits and others have none. None if there are no such splits.
    """
    splits = [
        SplitFolder(each.parts, split, has_classes=True, class_at=len(tree.parts))
        for top in tree
        for each in top
        if (split := split_of_name(each.name))
    ]
    split_folders = {class_name(each.parts[-1]): each.split for each in splits}
    if len(tree.folders) < 2 or len(set(split_folders.values())) < 2:
        return None
    if question := _ask_about_parts(tree):
        return FolderSplits(question=question)
    if question := _ask_about_shared_in_splits([_inspect(top) for top in tree]):
        return FolderSplits(in_order(splits), question)
    by_top: dict[str, set[SplitName]] = {top.name: set() for top in tree}
    for each in splits:
        by_top[each.parts[-2]].add(each.split)
    with_train = sum("train" in top_splits for top_splits in by_top.values())
    if all(by_top.values()) and 2 * with_train > len(by_top):
        folder_notes = tuple(
            note("folder-of-split", folder=name, split=note(split)) for name, split in sorted(split_folders.items())
        )
        return FolderSplits(in_order(splits), "", (note("split-folders-inside", folders=folder_notes),))
    divided = [top for top in tree if len(by_top[top.name]) > 1]
    if 2 * len(divided) < len(by_top) or any(_inspect(top).splits for top in divided):
        return None
    return FolderSplits(in_order(splits), _ask_about_undivided(tree, divided, splits))


def ask_about_classes(tree: Folder) -> FolderSplits | None:
    """Ask if the classes may also be the folders inside of a folder's folders.

    Args:
        tree: The folder whose folders would be the classes.

    Returns:
        The question, with the options that resolve it; None if nothing suggests that the folders are not the classes.
    """
    if len(tree.folders) < 2:
        return None
    tops = [_inspect(top) for top in tree]
    checks: Sequence[Callable[[], str]] = (
        partial(_ask_about_parts, tree),
        partial(_ask_about_shared_in_splits, tops),
        partial(_ask_about_shared, tops),
        partial(_ask_about_repeated_tops, tops),
        partial(_ask_about_one_set, tops),
    )
    question = next((text for check in checks if (text := check())), "")
    return FolderSplits(question=question) if question else None


def _inspect(top: Folder) -> _Top:
    inner = enter(top)
    structured = [each for each in inner if enter(each).folders]
    split_folders = [(each, split) for each in structured if (split := split_of_name(each.name, loose=True))]
    if not split_folders or len(split_folders) < len(structured):
        return _Top(top, (), tuple(inner))
    subfolders = tuple(folder for each, _ in split_folders for folder in enter(each))
    return _Top(top, in_order(as_split(each, split) for each, split in split_folders), subfolders)


def _is_stray(top: _Top, largest: int) -> bool:
    """Whether a top folder probably does not belong to the data set, by its name or its few images."""
    total = top.folder.total
    return len(top.inside) < 2 and (
        is_stray_name(top.folder.name) or (total <= _TINY and total * _TINY_SHARE <= largest)
    )


def _ask_about_parts(tree: Folder) -> str:
    """Ask if folders are named like the parts of one set (images and masks), whatever other folders there are."""
    parts = [top for top in tree if is_part_name(top.name)]
    containers = [top for top in parts if is_container_name(top.name)]
    if len(parts) < 2 or not (len(parts) == len(tree.folders) or 0 < len(containers) < len(parts)):
        return ""
    return (
        f"its folders {name_some(sorted(top.display_path for top in parts), 3)} look like the parts of one set, not "
        f"like classes; give the one with the images as {option('data')}, or take them for classes by "
        f"{option('splits')} {NO_SPLITS}"
    )


def _ask_about_shared_in_splits(tops: Sequence[_Top]) -> str:
    """Ask if most top folders have the same folders in their splits: ``paris/train/cat``, ``rome/train/cat``."""
    divided = [top for top in tops if top.splits]
    keys = [key for top in divided for key in top.keys if not is_part_name(key) and not is_source_name(key)]
    shared = {key for key, count in Counter(keys).items() if count > 1 and 2 * count > len(divided)}
    largest = max(top.folder.total for top in tops)
    strays = sum(not top.splits and _is_stray(top, largest) for top in tops)
    if len(divided) < 2 or 2 * len(divided) <= len(tops) - strays or not shared or len(set(keys)) < 2:
        return ""
    folders = sorted(top.folder.display_path for top in divided)
    examples = name_some(sorted({name for top in divided for name in top.names_of(shared)}), 3)
    splits, at = [split for top in divided for split in top.splits], len(divided[0].folder.parts) - 1
    multiple_splits = len({split.split for split in splits}) > 1
    classes = f'"{_as_pattern(splits, at, CLASS_FOLDER)}"' if multiple_splits else NO_SPLITS
    return (
        f"its folders {name_some(folders, 3)} hold the same folders ({examples}) in their split folders; if those are "
        f"the classes, read all of them together by {option('splits')} "
        f'"{_as_pattern(splits, at, ANY_FOLDER)}" (or only {divided[0].folder.display_path} by {option("splits")} '
        f"{as_option(divided[0].splits)}); if {name_some(folders, 2)} are the classes, say so by "
        f"{option('splits')} {classes}"
    )


def _ask_about_shared(tops: Sequence[_Top]) -> str:
    """Ask if most top folders have the same folders: they are splits of some kind, or classes with one structure."""
    counts = Counter(key for top in tops for key in top.keys)
    divided = any(top.splits for top in tops)
    shared = {
        key
        for key, count in counts.items()
        if count > 1 and not is_part_name(key) and not (divided and is_source_name(key))
    }
    sharing = [top for top in tops if not top.is_loose and _has_most(top, shared)]
    if len(sharing) < len(tops) and not _are_most(sharing, tops, shared):
        return ""
    names = sorted(top.folder.display_path for top in sharing)
    every_name = sorted(top.folder.display_path for top in tops)
    subject = f"its folders {name_some(names, 3)}"
    if len(sharing) < len(tops):
        subject = f"{len(names)} of its {len(tops)} folders ({name_some(names, 3)})"
    examples = name_some(sharing[0].names_of(shared), 3)
    return (
        f"{subject} hold the same folders ({examples}); if those are the classes, name the splits by "
        f"{option('splits')} {_example(sharing, tops)}; if {name_some(every_name, 2)} are the classes, say so by "
        f"{option('splits')} {NO_SPLITS}"
    )


def _example(sharing: Sequence[_Top], tops: Sequence[_Top]) -> str:
    """An option for reading the folders that several top folders share as the classes."""
    if any(top.splits for top in sharing):
        return as_option(split for top in sharing for split in top.splits or (as_split(top.folder, "train"),))
    names = sorted(top.folder.display_path for top in sharing)
    pattern = "/".join((*sharing[0].folder.parts[:-1], ANY_FOLDER))
    example = f"train={names[0]},test={names[1]}" if len(tops) == 2 else f"test={names[-1]},train={pattern}"
    return f"{example} (or read all of them together by {option('splits')} train={pattern})"


def _has_most(top: _Top, shared: set[str]) -> bool:
    common = len(top.keys & shared)
    return common >= _MIN_SHARED and 2 * common >= len(top.keys)


def _are_most(sharing: Sequence[_Top], tops: Sequence[_Top], shared: set[str]) -> bool:
    """Whether the top folders that share folders outweigh those with other folders or loose images."""
    if len(sharing) < 2 or sum(not is_source_name(key) for key in shared) < _MIN_SHARED:
        return False
    largest = max(top.folder.total for top in tops)
    names = {top.folder.name for top in sharing}
    others = [top for top in tops if top.folder.name not in names and not _is_stray(top, largest)]
    incomplete = sum(not top.is_loose and top.keys <= shared for top in others)
    loose = sum(top.is_loose for top in others)
    return len(sharing) > 2 * loose and len(sharing) + incomplete > len(others) - incomplete


def _ask_about_one_set(tops: Sequence[_Top]) -> str:
    """Ask if one top folder is a data set, next to loose images: ``dataset/cat``, ``docs/logo.png``."""
    datasets = [top for top in tops if not top.is_loose and sum(not is_source_name(key) for key in top.keys) > 1]
    if len(datasets) != 1:
        return ""
    (only,) = datasets
    others = [top for top in tops if top is not only]
    if any(len(top.inside) > 1 for top in others):
        return ""
    is_named_so = bool(only.splits) or is_wrapper_name(only.folder.name)
    if not is_named_so and not all(_is_stray(top, only.folder.total) for top in others):
        return ""
    name, nearby = only.folder.display_path, name_some(sorted(top.folder.display_path for top in others), 3)
    names = name_some(only.names_of(only.keys), 3)
    chosen = as_option(only.splits) or f"train={name}"
    return (
        f"its folder {name} holds folders ({names}), and next to it are only loose images ({nearby}); if the folders "
        f"in {name} are the classes, give it as {option('data')} or say so by {option('splits')} {chosen}; if {name} "
        f"and {nearby} are the classes, say so by {option('splits')} {NO_SPLITS}"
    )


def _ask_about_repeated_tops(tops: Sequence[_Top]) -> str:
    """Ask if one top folder repeats the others: ``cat``, ``dog`` and ``archive/cat``, ``archive/dog``."""
    names = {class_name(top.folder.name).casefold() for top in tops}
    for top in tops:
        common = (top.keys & names) - {class_name(top.folder.name).casefold()}
        if len(common) >= _MIN_SHARED and 2 * len(common) >= len(top.keys):
            path, inside = top.folder.display_path, name_some(top.names_of(common), 3)
            chosen = as_option(top.splits) or f"train={path}"
            return (
                f"its folder {path} holds folders of the same names as those next to it ({inside}); if it repeats the "
                f"data set, move it away, or read it alone by {option('splits')} {chosen}; if {path} is a class, say "
                f"so by {option('splits')} {NO_SPLITS}"
            )
    return ""


def _ask_about_undivided(tree: Folder, divided: Sequence[Folder], splits: Sequence[SplitFolder]) -> str:
    """Ask if only some top folders hold split folders: ``cat/train``, ``cat/test``, ``docs/logo.png``."""
    divided_names = {top.name for top in divided}
    names = name_some(sorted(top.display_path for top in divided), 3)
    others = name_some(sorted(top.display_path for top in tree if top.name not in divided_names), 3)
    divided_splits = [each for each in splits if each.parts[-2] in divided_names]
    inside = name_some(sorted({each.parts[-1] for each in divided_splits}), 3)
    pattern = _as_pattern(divided_splits, len(tree.parts), CLASS_FOLDER)
    advice = (
        f'read only what is divided by {option("splits")} "{pattern}"'
        if len(divided_names) > 1
        else f"divide {others} too"
    )
    return (
        f"not all of its folders are divided into splits: {names} into {inside}, but not {others}; {advice}, or take "
        f"every folder for a class without splits by {option('splits')} {NO_SPLITS}"
    )


def _as_pattern(splits: Iterable[SplitFolder], at: int, placeholder: str) -> str:
    """Format split folders as one option, with a placeholder for the part of their paths that differs."""
    pairs = {
        (SPLITS.index(each.split), f"{each.split}={'/'.join((*each.parts[:at], placeholder, *each.parts[at + 1 :]))}")
        for each in splits
    }
    return ",".join(text for _, text in sorted(pairs))
