"""Find the folders that are splits: by their names, by the class folders that they share, or as specified."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from distingo.datasets.layouts.folder_questions import ask_about_classes, splits_inside_classes
from distingo.datasets.layouts.split_folders import (
    ANY_FOLDER,
    CLASS_FOLDER,
    DEEPEST_WRAPPER,
    NO_SPLITS,
    Folder,
    FolderSplits,
    SplitFolder,
    as_option,
    as_split,
    enter,
    in_order,
)
from distingo.datasets.walking import is_part_name, is_unlabeled_name, split_of_name
from distingo.errors import UsageError, name_some, option, suggest_names
from distingo.messages.notes import Note, name_first, note
from distingo.records import SplitName

EVERY_OTHER = "*"

_MAX_SHOWN = 12

_PAIRS = re.compile(r",(?=\s*[a-z]+\s*=)", re.IGNORECASE)

_SPLITS: dict[str, SplitName] = {
    "train": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
}

_SYNTAX_HINT = "write none, or train=FOLDER,test=FOLDER (validation=FOLDER too; * is every other folder)"


def parse_splits(text: str) -> dict[str, SplitName]:
    """Parse the value of ``--splits``.

    Args:
        text: ``none``, or pairs such as ``train=Training,test=Testing``. In a path ``*`` stands for any folder
            (``train=*/train``), and ``{class}`` for any folder whose name is the class (``train={class}/train``).

    Returns:
        The split of every named folder; empty for ``none``.

    Raises:
        UsageError: The text is malformed, or assigns a folder to two splits.
    """
    if text.strip().lower() == NO_SPLITS:
        return {}
    named_splits: dict[str, SplitName] = {}
    for pair in _PAIRS.split(text):
        name, _, folder = pair.partition("=")
        split, folder = _SPLITS.get(name.strip().lower()), folder.strip().strip("/")
        if split is None or not folder:
            raise UsageError(
                f"{option('splits')} {text!r}: {pair!r} is no split and folder; {_SYNTAX_HINT}",
                code="invalid_value",
                parameter="splits",
            )
        if named_splits.get(folder, split) != split:
            raise UsageError(
                f"{option('splits')} {text!r}: {folder!r} can't be on two splits; name it once",
                code="named_twice",
                parameter="splits",
            )
        named_splits[folder] = split
    return named_splits


def find_splits(root: Path, tree: Folder, requested: str | None) -> FolderSplits:
    """Find the folders that are splits.

    A folder is a split if it is named like one (``Training``, ``test_set``) and holds class folders, or if it shares
    class folders with another and both names contain a word for a split (``seg_train``, ``seg_test``). Folders around
    splits (``dataset/train``) and doubled ones (``seg_train/seg_train``) are skipped. If it is ambiguous which folders
    are the classes, the result is a question (`folder_questions`).

    Args:
        root: The data set's folder, for error messages.
        tree: The tree of its folders.
        requested: As for `parse_splits`; None detects the splits.

    Returns:
        The splits, or a question, or neither. Splits without class folders also come with a question, as their labels
        have to come from a table.

    Raises:
        UsageError: A requested folder does not exist.
    """
    if requested is not None:
        named_splits = parse_splits(requested)
        return _requested(root, tree, named_splits) if named_splits else FolderSplits()
    folder = tree
    for _ in range(DEEPEST_WRAPPER):
        by_name = _by_name(folder)
        if by_name is not None or folder.own or len(folder.folders) != 1:
            break
        (folder,) = folder
    in_classes = None if by_name else splits_inside_classes(tree if folder.own else folder)
    return by_name or in_classes or ask_about_classes(tree) or FolderSplits()


def _requested(root: Path, tree: Folder, named_splits: dict[str, SplitName]) -> FolderSplits:
    by_path, by_pattern = [], []
    for name, split in named_splits.items():
        if name == EVERY_OTHER:
            continue
        folder = tree.find(name.split("/"))
        if folder is not None:
            by_path.append(as_split(folder, split))
            continue
        matches = [_as_matched(*each, split) for each in _matching(tree, name.split("/"))]
        if not matches:
            suggestion = suggest_names(name, [each.display_path for each in tree])
            raise UsageError(
                f"{option('splits')}: {root} has no folder {name!r} with images in it; {suggestion}",
                code="unknown_name",
                parameter="splits",
            )
        by_pattern += matches
    # a folder that is named explicitly has the split specified for it, even if patterns match it too
    folders_by_parts = {each.parts: each for each in (*by_pattern, *by_path)}
    if (other := named_splits.get(EVERY_OTHER)) is not None:
        tops = {parts[0] for parts in folders_by_parts}
        folders_by_parts |= {folder.parts: as_split(folder, other) for folder in tree if folder.name not in tops}
    splits = in_order(folders_by_parts.values())
    return FolderSplits(splits, "", (*_described(splits), *_unread(tree, splits)), is_requested=True)


def _matching(folder: Folder, names: Sequence[str], class_at: int | None = None) -> Iterator[tuple[Folder, int | None]]:
    """Yield the folders that match a path with placeholders, and the index of the class in their paths, if any."""
    if not names:
        yield folder, class_at
        return
    name, *rest = names
    if name in (ANY_FOLDER, CLASS_FOLDER):
        at = len(folder.parts) if name == CLASS_FOLDER else class_at
        for each in folder:
            yield from _matching(each, rest, at)
    elif (child := folder.find([name])) is not None:
        yield from _matching(child, rest, class_at)


def _as_matched(folder: Folder, class_at: int | None, split: SplitName) -> SplitFolder:
    if class_at is None:
        return as_split(folder, split)
    return SplitFolder(folder.parts, split, has_classes=True, class_at=class_at)


def _by_name(folder: Folder) -> FolderSplits | None:
    """Find split folders by the names of the folders in a folder."""
    by_loose_name = {each.name: split for each in folder if (split := split_of_name(each.name, loose=True))}
    by_strict_name = {name: split for name, split in by_loose_name.items() if split_of_name(name)}
    others = [each for each in folder if each.name not in by_loose_name and not is_unlabeled_name(each.name)]
    inner = {name: enter(folder.folders[name]) for name in by_loose_name}
    structured = [name for name in by_loose_name if inner[name].folders]
    if not structured:
        names = by_strict_name if others else by_loose_name
        unlabeled = not others and len(by_loose_name) < len(folder.folders)
        are_splits = len(set(names.values())) > 1 or (unlabeled and len(by_strict_name) > 0)
        return _flat(folder, names) if are_splits else None
    if any(name in by_strict_name for name in structured) and (len(set(by_strict_name.values())) > 1 or not others):
        return _with_classes(folder, by_strict_name if len(set(by_strict_name.values())) > 1 else by_loose_name)
    if len(set(by_loose_name.values())) > 1 and (
        _share_classes([inner[name] for name in structured]) or all(name in by_strict_name for name in structured)
    ):
        return _with_classes(folder, by_loose_name)
    ambiguous = [name for name in structured if name in by_strict_name]
    return FolderSplits(question=_ask_about_folder(folder.folders[ambiguous[0]], others)) if ambiguous else None


def _splits(folder: Folder, named_splits: Mapping[str, SplitName]) -> tuple[SplitFolder, ...]:
    return in_order(as_split(folder.folders[name], split) for name, split in named_splits.items())


def _with_classes(folder: Folder, named_splits: Mapping[str, SplitName]) -> FolderSplits:
    splits = _splits(folder, named_splits)
    keys = {key for name in named_splits for key in enter(folder.folders[name]).keys}
    question = ""
    if len(keys) > 1 and all(map(is_part_name, keys)):
        parts = name_some(sorted(keys), 3)
        question = (
            f"the folders in {splits[0].display_path} ({parts}) look like the parts of a detection or segmentation "
            f"set, not like classes; distingo names whole images: put those of each class in a folder of its own, or "
            f"take these for classes by {option('splits')} {as_option(splits)}"
        )
    return FolderSplits(splits, question, (*_described(splits), *_unread(folder, splits)))


def _flat(folder: Folder, named_splits: Mapping[str, SplitName]) -> FolderSplits:
    splits = _splits(folder, named_splits)
    names = name_some([each.display_path for each in splits], 3)
    question = (
        f"its folders {names} are named like splits and hold neither class folders nor a table of their labels; put "
        f"the images of each class in a folder of its own, give the table of labels as {option('data')}, or take "
        f"these for classes by {option('splits')} {NO_SPLITS}"
    )
    return FolderSplits(splits, question, (*_described(splits), *_unread(folder, splits)))


def _share_classes(folders: Sequence[Folder]) -> bool:
    counts = Counter(key for folder in folders for key in folder.keys)
    return any(count > 1 for count in counts.values())


def _ask_about_folder(folder: Folder, others: Sequence[Folder]) -> str:
    subfolders = name_some(sorted(folder.folders), 3)
    nearby = name_some(sorted(each.name for each in others), 3)
    return (
        f"its folder {folder.name} may be a split, with the classes {subfolders}, or a class next to {nearby}; say by "
        f"{option('splits')} train={folder.name} that it is a split, or by {option('splits')} {NO_SPLITS} that it "
        "is a class"
    )


def _described(splits: Sequence[SplitFolder]) -> list[Note]:
    """Note which folder is which split, unless the names are the standard ones, and if no folder is a test split."""
    folder_notes = [note("folder-of-split", folder=each.display_path, split=note(each.split)) for each in splits]
    has_plain_names = all(len(each.parts) == 1 and each.parts[0].lower() in _SPLITS for each in splits)
    notes = [] if has_plain_names else [note("split-folders-are", folders=name_first(folder_notes, _MAX_SHOWN))]
    if {each.split for each in splits} == {"train", "validation"}:
        notes.append(note("no-test-folder"))
    return notes


def _unread(folder: Folder, splits: Sequence[SplitFolder]) -> list[Note]:
    """Note which folders next to the splits are not read."""
    depth = len(folder.parts)
    read = {each.parts[depth] for each in splits}
    unread = sorted((each for each in folder if each.name not in read), key=lambda each: each.name)
    if not unread:
        return []
    files = sum(each.total for each in unread)
    folders = name_first([each.display_path for each in unread], 5)
    return [note("not-read-beside-splits", folders=folders, count=files)]
