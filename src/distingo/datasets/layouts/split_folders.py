"""Split folders as records: where they lie, where the classes are in a path below them, and how to write them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from distingo.datasets.layouts.split_names import Folder, is_container_name, is_wrapper_name
from distingo.datasets.walking import display_name
from distingo.messages.notes import Note
from distingo.records import SIDES, Side

NO_SPLITS = "none"

ANY_FOLDER = "*"

CLASS_FOLDER = "{class}"
"""In a path after ``--splits``: any folder, whose name is the class."""


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
    notes: tuple[Note, ...] = ()
    is_requested: bool = False

    @property
    def have_classes(self) -> bool:
        """Whether any of the split folders holds class folders."""
        return any(folder.has_classes for folder in self.folders)

    def folder_of(self, parts: tuple[str, ...]) -> SplitFolder | None:
        """The split folder that a file lies in."""
        return next((each for each in self.folders if parts[: len(each.parts)] == each.parts), None)


def enter(folder: Folder) -> Folder:
    """See through a doubled folder (``seg_train/seg_train``) and one around images or a data set (``test/images``)."""
    while not folder.own and len(folder.folders) == 1:
        (only,) = folder
        is_wrapper = len(only.folders) > 1 and not only.own and is_wrapper_name(only.name)
        if not is_wrapper and only.name.casefold() != folder.name.casefold() and not is_container_name(only.name):
            break
        folder = only
    return folder


def as_split(folder: Folder, side: Side) -> SplitFolder:
    """The record of a folder that is on one split, with its class folders inside or without any."""
    inner = enter(folder)
    return SplitFolder(inner.parts, side, bool(inner.folders), len(inner.parts))


def in_order(splits: Iterable[SplitFolder]) -> tuple[SplitFolder, ...]:
    """Sort split folders: train, validation, test, and by their names."""
    return tuple(sorted(splits, key=lambda each: (SIDES.index(each.side), each.parts)))


def as_option(splits: Iterable[SplitFolder]) -> str:
    """Write split folders as a person does after ``--splits``."""
    return ",".join(f"{each.side}={each.shown}" for each in splits)
