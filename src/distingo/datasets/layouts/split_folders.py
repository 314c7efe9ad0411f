"""The folders of a data set as a tree, the split that a folder's name stands for, and records of split folders."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import PurePath

from distingo.datasets.walking import (
    FoundFile,
    are_numbered_parts,
    display_name,
    is_container_name,
    is_part_name,
    is_wrapper_name,
)
from distingo.messages.notes import Note
from distingo.records import SPLITS, SplitName

_NO_IMAGE_ENDINGS = frozenset(
    {".txt", ".csv", ".tsv", ".tab", ".json", ".jsonl", ".ndjson", ".parquet", ".xml", ".yaml", ".yml", ".md", ".html"}
    | {".pdf", ".mat", ".npy", ".npz", ".pkl", ".py", ".ipynb", ".xlsx", ".xls", ".log", ".zip", ".gz", ".tar", ".db"}
    | {".h5", ".pt", ".sh", ".ini", ".toml", ".rst", ".docx", ".cfg", ".names", ".rtf", ".ods", ".sqlite", ".m"}
)

_NO_IMAGE_NAMES = frozenset({"license", "licence", "readme", "copying", "notice", "makefile", "citation", "changelog"})

DEEPEST_WRAPPER = 3
"""Maximum number of folders wrapped around a data set."""


@dataclass(slots=True)
class Folder:
    """A folder that contains images, directly or in its subfolders.

    Attributes:
        parts: The folder names from the root down to it.
        folders: Its subfolders that contain images, by name.
        own: Number of files directly in it that may be images.
        total: Number of such files including all subfolders.
    """

    parts: tuple[str, ...]
    folders: dict[str, Folder] = field(default_factory=dict)
    own: int = 0
    total: int = 0

    @property
    def name(self) -> str:
        """Its own name; empty for the root."""
        return self.parts[-1] if self.parts else ""

    @property
    def display_path(self) -> str:
        """Its path relative to the root, for messages."""
        return display_name(self.parts)

    @property
    def keys(self) -> frozenset[str]:
        """The case-folded class names of its subfolders."""
        return frozenset(class_name(name).casefold() for name in self.folders)

    def find(self, parts: Iterable[str]) -> Folder | None:
        """The folder at a path below it, ignoring case if there is no exact match; None if there is none."""
        folder = self
        for part in parts:
            child = folder.folders.get(part)
            if child is None:
                matches = [other for name, other in folder.folders.items() if name.casefold() == part.casefold()]
                if len(matches) != 1:
                    return None
                child = matches[0]
            folder = child
        return folder

    def __iter__(self) -> Iterator[Folder]:
        """Iterate over its subfolders."""
        return iter(self.folders.values())


def build_tree(files: Iterable[FoundFile]) -> Folder:
    """Build the tree of the folders that contain possible images, judging by file extensions.

    Args:
        files: Every file; ignored ones do not count.
    """
    root = Folder(())
    for file in files:
        file_name = PurePath(file.parts[-1])
        if file.ignored or file_name.suffix.lower() in _NO_IMAGE_ENDINGS or file_name.name.lower() in _NO_IMAGE_NAMES:
            continue
        folder = root
        folder.total += 1
        for depth, name in enumerate(file.parts[:-1], 1):
            folder = folder.folders.setdefault(name, Folder(file.parts[:depth]))
            folder.total += 1
        folder.own += 1
    return root


def find_wrapper(tree: Folder, files: Iterable[FoundFile]) -> Folder | None:
    """Find the folder whose subfolders are the classes, if others are only wrapped around it (``archive/Dataset/cat``).

    Args:
        tree: The tree of the folders.
        files: Every file; a wrapper has no other folder next to it, with or without images.

    Returns:
        The folder, at most `DEEPEST_WRAPPER` levels below the root; None if the root itself holds images or several
        folders, or if its subfolders are named like the parts of one set (images and masks).
    """
    folder, paths = tree, [file.parts for file in files if not file.ignored]
    for depth in range(DEEPEST_WRAPPER):
        siblings = {parts[depth] for parts in paths if len(parts) > depth + 1}
        if folder.own or len(folder.folders) != 1 or len(siblings) != 1:
            break
        (folder,) = folder
    if folder is tree or folder.own or len(folder.folders) < 2:
        return None
    are_parts = all(map(is_part_name, folder.folders)) or are_numbered_parts(folder.folders)
    return None if are_parts else folder


def class_name(folder: str) -> str:
    """The class name of a folder, normalized to NFC as, for example, macOS uses another Unicode form."""
    return unicodedata.normalize("NFC", display_name((folder,)))


NO_SPLITS = "none"

ANY_FOLDER = "*"

CLASS_FOLDER = "{class}"
"""Placeholder in ``--splits`` for any folder whose name is the class."""


@dataclass(frozen=True, slots=True)
class SplitFolder:
    """A folder whose images all belong to one split.

    Attributes:
        parts: The folder names from the root down to it.
        split: The split.
        has_classes: Whether it holds class folders; else its labels have to come from a table.
        class_at: Index of the class in a file's path parts.
    """

    parts: tuple[str, ...]
    split: SplitName
    has_classes: bool
    class_at: int

    @property
    def display_path(self) -> str:
        """Its path relative to the root, for messages."""
        return display_name(self.parts)


@dataclass(frozen=True, slots=True)
class FolderSplits:
    """The splits that the folders of a data set define.

    Attributes:
        folders: The split folders; empty if folders are not splits.
        question: What the user has to decide before folders' names can be labels; empty if nothing.
        notes: What was recognized, for the user.
        is_requested: Whether the user specified the splits.
    """

    folders: tuple[SplitFolder, ...] = ()
    question: str = ""
    notes: tuple[Note, ...] = ()
    is_requested: bool = False

    @property
    def have_classes(self) -> bool:
        """Whether any of the split folders holds class folders."""
        return any(folder.has_classes for folder in self.folders)

    def folder_of(self, parts: tuple[str, ...]) -> SplitFolder | None:
        """The split folder that contains a file, or None."""
        return next((each for each in self.folders if parts[: len(each.parts)] == each.parts), None)


def enter(folder: Folder) -> Folder:
    """Skip doubled folders (``seg_train/seg_train``) and those around images (``test/images``) or a data set."""
    while not folder.own and len(folder.folders) == 1:
        (subfolder,) = folder
        is_wrapper = len(subfolder.folders) > 1 and not subfolder.own and is_wrapper_name(subfolder.name)
        if (
            not is_wrapper
            and subfolder.name.casefold() != folder.name.casefold()
            and not is_container_name(subfolder.name)
        ):
            break
        folder = subfolder
    return folder


def as_split(folder: Folder, split: SplitName) -> SplitFolder:
    """Create the record of a split's folder, with or without class folders in it."""
    inner = enter(folder)
    return SplitFolder(inner.parts, split, bool(inner.folders), len(inner.parts))


def in_order(splits: Iterable[SplitFolder]) -> tuple[SplitFolder, ...]:
    """Sort split folders by split (train, validation, test) and name."""
    return tuple(sorted(splits, key=lambda each: (SPLITS.index(each.split), each.parts)))


def as_option(splits: Iterable[SplitFolder]) -> str:
    """Format split folders as the value of ``--splits``."""
    return ",".join(f"{each.split}={each.display_path}" for each in splits)
