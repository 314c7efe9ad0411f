"""Which folders of a data set are splits: by their names, by the class folders that they share, or as requested."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from distingo.datasets.folder_tree import DEEPEST_WRAPPER, Folder, class_name
from distingo.datasets.split_names import is_container_name, is_part_name, is_unlabelled_name, side_of_name
from distingo.datasets.walking import display_name
from distingo.errors import UsageError, name_some, name_the_nearest
from distingo.records import SIDES, Side

NO_SPLITS = "none"
EVERY_OTHER = "*"
_PAIRS = re.compile(r",(?=\s*[a-z]+\s*=)", re.IGNORECASE)
_SIDES: dict[str, Side] = {
    "train": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
}
_HOW = "write none, or train=FOLDER,test=FOLDER (validation=FOLDER too; * is every other folder)"


@dataclass(frozen=True, slots=True)
class SplitFolder:
    """A folder whose images are all on one split.

    Attributes:
        parts: The names from the root down to it.
        side: The split.
        has_classes: Whether it holds class folders; else its labels have to come from a table.
        class_at: Which part of a file's path is its class.
    """

    parts: tuple[str, ...]
    side: Side
    has_classes: bool
    class_at: int

    @property
    def shown(self) -> str:
        """Its path below the root, for a person."""
        return display_name(self.parts)


@dataclass(frozen=True, slots=True)
class FolderSplits:
    """What the folders of a data set say about splits.

    Attributes:
        folders: The split folders; none where folders are no splits.
        question: What a person has to decide before the folders' names can be labels; empty where nothing.
        notes: What was recognised, for a person.
        is_requested: Whether a person named the splits.
    """

    folders: tuple[SplitFolder, ...] = ()
    question: str = ""
    notes: tuple[str, ...] = ()
    is_requested: bool = False

    @property
    def have_classes(self) -> bool:
        """Whether any of the split folders holds class folders."""
        return any(folder.has_classes for folder in self.folders)

    def folder_of(self, parts: tuple[str, ...]) -> SplitFolder | None:
        """The split folder that a file lies in."""
        return next((each for each in self.folders if parts[: len(each.parts)] == each.parts), None)


def parse_splits(text: str) -> dict[str, Side]:
    """Read what a person wrote for ``--splits``.

    Args:
        text: ``none``, or pairs such as ``train=Training,test=Testing``.

    Returns:
        The split of every folder named; nothing for ``none``.

    Raises:
        UsageError: It is written otherwise, or puts a folder on two splits.
    """
    if text.strip().lower() == NO_SPLITS:
        return {}
    sides: dict[str, Side] = {}
    for pair in _PAIRS.split(text):
        name, _, folder = pair.partition("=")
        side, folder = _SIDES.get(name.strip().lower()), folder.strip().strip("/")
        if side is None or not folder:
            raise UsageError(f"--splits {text!r}: {pair!r} is no split and folder; {_HOW}")
        if sides.get(folder, side) != side:
            raise UsageError(f"--splits {text!r}: {folder!r} can't be on two splits; name it once")
        sides[folder] = side
    return sides


def find_splits(root: Path, tree: Folder, requested: str | None) -> FolderSplits:
    """Find the folders that are splits.

    A folder is a split if its name says so (``Training``, ``test_set``) and it holds class folders, or if it shares
    class folders with another whose name also contains a word for a split (``seg_train``, ``seg_test``). Folders
    around splits (``dataset/train``) and doubled ones (``seg_train/seg_train``) are seen through. Where every top
    folder holds the same class folders and their names do not say why, that is a question.

    Args:
        root: The data set's folder, for errors.
        tree: Of its folders.
        requested: As in `parse_splits`; None recognises.

    Returns:
        The splits, or a question, or neither. Splits without class folders come with a question too: their labels
        have to come from a table.

    Raises:
        UsageError: A requested folder is not there.
    """
    if requested is not None:
        sides = parse_splits(requested)
        return _requested(root, tree, sides) if sides else FolderSplits()
    folder = tree
    for _ in range(DEEPEST_WRAPPER):
        found = _by_name(folder)
        if found is not None or folder.own or len(folder.folders) != 1:
            break
        (folder,) = folder
    return found or _inside_classes(tree if folder.own else folder) or find_repeated(tree) or FolderSplits()


def _requested(root: Path, tree: Folder, sides: dict[str, Side]) -> FolderSplits:
    chosen: list[tuple[Folder, Side]] = []
    for name, side in sides.items():
        if name == EVERY_OTHER:
            continue
        folder = tree.find(name.split("/"))
        if folder is None:
            near = name_the_nearest(name, [each.shown for each in tree])
            raise UsageError(f"--splits: {root} has no folder {name!r} with images in it; {near}")
        chosen.append((folder, side))
    tops = {folder.parts[0] for folder, _ in chosen}
    if (other := sides.get(EVERY_OTHER)) is not None:
        chosen += [(folder, other) for folder in tree if folder.name not in tops]
    splits = _in_order(_split(folder, side) for folder, side in chosen)
    return FolderSplits(splits, "", (*_described(splits), *_unread(tree, splits)), is_requested=True)


def _by_name(folder: Folder) -> FolderSplits | None:
    """Find split folders by the names of the folders in one folder."""
    loose = {each.name: side for each in folder if (side := side_of_name(each.name, loose=True))}
    strict = {name: side for name, side in loose.items() if side_of_name(name)}
    others = [each for each in folder if each.name not in loose and not is_unlabelled_name(each.name)]
    inner = {name: _enter(folder.folders[name]) for name in loose}
    structured = [name for name in loose if inner[name].folders]
    if not structured:
        names = strict if others else loose
        unlabelled = not others and len(loose) < len(folder.folders)
        several = len(set(names.values())) > 1 or (unlabelled and len(strict) > 0)
        return _flat(folder, names) if several else None
    if any(name in strict for name in structured) and (len(set(strict.values())) > 1 or not others):
        return _with_classes(folder, strict if len(set(strict.values())) > 1 else loose)
    if len(set(loose.values())) > 1 and (
        _share_classes([inner[name] for name in structured]) or all(name in strict for name in structured)
    ):
        return _with_classes(folder, loose)
    doubtful = [name for name in structured if name in strict]
    return FolderSplits(question=_ask_about_one(folder.folders[doubtful[0]], others)) if doubtful else None


def _enter(folder: Folder) -> Folder:
    """See through a doubled folder (``seg_train/seg_train``) and one around the images (``test/images``)."""
    while not folder.own and len(folder.folders) == 1:
        (only,) = folder
        if only.name.casefold() != folder.name.casefold() and not is_container_name(only.name):
            break
        folder = only
    return folder


def _split(folder: Folder, side: Side) -> SplitFolder:
    inner = _enter(folder)
    return SplitFolder(inner.parts, side, bool(inner.folders), len(inner.parts))


def _splits(folder: Folder, sides: Mapping[str, Side]) -> tuple[SplitFolder, ...]:
    return _in_order(_split(folder.folders[name], side) for name, side in sides.items())


def _in_order(splits: Iterable[SplitFolder]) -> tuple[SplitFolder, ...]:
    return tuple(sorted(splits, key=lambda each: (SIDES.index(each.side), each.parts)))


def _with_classes(folder: Folder, sides: Mapping[str, Side]) -> FolderSplits:
    splits = _splits(folder, sides)
    keys = {key for name in sides for key in _enter(folder.folders[name]).keys}
    question = ""
    if len(keys) > 1 and all(map(is_part_name, keys)):
        shown = name_some(sorted(keys), 3)
        question = (
            f"the folders in {splits[0].shown} ({shown}) look like the parts of a detection or segmentation set, not "
            f"like classes; distingo names whole images: put those of each class in a folder of its own, or take these "
            f"for classes by --splits {_as_option(splits)}"
        )
    return FolderSplits(splits, question, (*_described(splits), *_unread(folder, splits)))


def _flat(folder: Folder, sides: Mapping[str, Side]) -> FolderSplits:
    splits = _splits(folder, sides)
    names = name_some([each.shown for each in splits], 3)
    question = (
        f"its folders {names} are named like splits and hold neither class folders nor a table of their labels; put "
        f"the images of each class in a folder of its own, give the table of labels as DATA, or take these for classes "
        f"by --splits {NO_SPLITS}"
    )
    return FolderSplits(splits, question, (*_described(splits), *_unread(folder, splits)))


def _share_classes(folders: Sequence[Folder]) -> bool:
    counts = Counter(key for folder in folders for key in folder.keys)
    return any(count > 1 for count in counts.values())


def _ask_about_one(doubtful: Folder, others: Sequence[Folder]) -> str:
    inside = name_some(sorted(doubtful.folders), 3)
    beside = name_some(sorted(each.name for each in others), 3)
    return (
        f"its folder {doubtful.name} may be a split, with the classes {inside}, or a class beside {beside}; say by "
        f"--splits train={doubtful.name} that it is a split, or by --splits {NO_SPLITS} that it is a class"
    )


def _inside_classes(tree: Folder) -> FolderSplits | None:
    """Find split folders inside of class folders: ``cat/train``, ``cat/test``, ``dog/train``, ``dog/test``."""
    splits = [
        SplitFolder(each.parts, side, has_classes=True, class_at=len(tree.parts))
        for top in tree
        for each in top
        if (side := side_of_name(each.name))
    ]
    every = {each.parts[-2] for each in splits if each.side == "train"} == tree.folders.keys()
    sides = {class_name(each.parts[-1]): each.side for each in splits}
    if len(tree.folders) < 2 or not every or len(set(sides.values())) < 2:
        return None
    words = ", ".join(f"{name} ({side})" for name, side in sorted(sides.items()))
    return FolderSplits(_in_order(splits), "", (f"split folders inside of class folders: {words}",))


def find_repeated(tree: Folder) -> FolderSplits | None:
    """Ask where every top folder holds the same folders: they are splits of some kind, or classes of one structure.

    Also where they are named like the parts of one set, such as images and masks.
    """
    names = sorted(top.shown for top in tree)
    inner = [_enter(top) for top in tree]
    if len(names) > 1 and all(map(is_part_name, tree.folders)):
        return FolderSplits(
            question=f"its folders {name_some(names, 3)} look like the parts of one set, not like classes; give the "
            f"one with the images as DATA, or take them for classes by --splits {NO_SPLITS}"
        )
    counts = Counter(key for top in inner for key in top.keys)
    shared = {key for key, count in counts.items() if count > 1 and not is_part_name(key)}
    for top in inner:
        common = top.keys & shared
        if top.own or len(common) < 2 or 2 * len(common) < len(top.keys):
            return None
    if len(names) < 2:
        return None
    inside = name_some([name for name in sorted(inner[0].folders) if class_name(name).casefold() in shared], 3)
    example = f"train={names[0]},test={names[1]}" if len(names) == 2 else f"test={names[-1]},train={EVERY_OTHER}"
    return FolderSplits(
        question=(
            f"its folders {name_some(names, 3)} hold the same folders ({inside}); if those are the classes, name the "
            f"splits by --splits {example} (or read all of them together by --splits train={EVERY_OTHER}); if "
            f"{name_some(names, 2)} are the classes, say so by --splits {NO_SPLITS}"
        )
    )


def _as_option(splits: Iterable[SplitFolder]) -> str:
    return ",".join(f"{each.side}={each.shown}" for each in splits)


def _described(splits: Sequence[SplitFolder]) -> list[str]:
    """Which folder is which split, unless their names are the plain ones; and where a missing test split is from."""
    words = ", ".join(f"{each.shown} ({each.side})" for each in splits)
    plain = all(len(each.parts) == 1 and each.parts[0].lower() in _SIDES for each in splits)
    notes = [] if plain else [f"split folders: {words}"]
    if {each.side for each in splits} == {"train", "validation"}:
        notes.append("no folder is the test split; training cuts it from the train split")
    return notes


def _unread(folder: Folder, splits: Sequence[SplitFolder]) -> list[str]:
    """Which folders beside the splits are not read."""
    depth = len(folder.parts)
    read = {each.parts[depth] for each in splits}
    unread = sorted((each for each in folder if each.name not in read), key=lambda each: each.name)
    if not unread:
        return []
    files = sum(each.total for each in unread)
    names = name_some([each.shown for each in unread], 5)
    return [f"not read, because beside the split folders: {names} ({files:,} {'file' if files == 1 else 'files'})"]
