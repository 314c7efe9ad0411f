"""The folders of a data set as a tree, with how many files in each may be images."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import PurePath

from distingo.datasets.split_names import are_numbered_parts, is_part_name
from distingo.datasets.walking import FoundFile, display_name

_NO_IMAGE_ENDINGS = frozenset(
    {".txt", ".csv", ".tsv", ".tab", ".json", ".jsonl", ".ndjson", ".parquet", ".xml", ".yaml", ".yml", ".md", ".html"}
    | {".pdf", ".mat", ".npy", ".npz", ".pkl", ".py", ".ipynb", ".xlsx", ".xls", ".log", ".zip", ".gz", ".tar", ".db"}
    | {".h5", ".pt", ".sh", ".ini", ".toml", ".rst", ".docx", ".cfg", ".names", ".rtf", ".ods", ".sqlite", ".m"}
)
_NO_IMAGE_NAMES = frozenset({"license", "licence", "readme", "copying", "notice", "makefile", "citation", "changelog"})

DEEPEST_WRAPPER = 3
"""Folders that may be wrapped around a data set."""


@dataclass(slots=True)
class Folder:
    """A folder that holds images, itself or further down.

    Attributes:
        parts: The names from the root down to it.
        folders: Those in it that hold images, by name.
        own: How many files directly in it may be images.
        total: The same with everything below.
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
    def shown(self) -> str:
        """Its path below the root, for a person."""
        return display_name(self.parts)

    @property
    def keys(self) -> frozenset[str]:
        """The names of the folders in it, without case."""
        return frozenset(class_name(name).casefold() for name in self.folders)

    def find(self, parts: Iterable[str]) -> Folder | None:
        """The folder of that path below it, in any letter case if the given one is not there."""
        folder = self
        for part in parts:
            found = folder.folders.get(part)
            if found is None:
                alike = [other for name, other in folder.folders.items() if name.casefold() == part.casefold()]
                if len(alike) != 1:
                    return None
                found = alike[0]
            folder = found
        return folder

    def __iter__(self) -> Iterator[Folder]:
        """The folders in it that hold images."""
        return iter(self.folders.values())


def build_tree(files: Iterable[FoundFile]) -> Folder:
    """Build the tree of the folders that hold files which may be images, by their endings.

    Args:
        files: Every file found; ignored ones do not count.
    """
    root = Folder(())
    for file in files:
        own = PurePath(file.parts[-1])
        if file.ignored or own.suffix.lower() in _NO_IMAGE_ENDINGS or own.name.lower() in _NO_IMAGE_NAMES:
            continue
        folder = root
        folder.total += 1
        for depth, name in enumerate(file.parts[:-1], 1):
            folder = folder.folders.setdefault(name, Folder(file.parts[:depth]))
            folder.total += 1
        folder.own += 1
    return root


def find_wrapper(tree: Folder, files: Iterable[FoundFile]) -> Folder | None:
    """Find the folder whose folders are the classes, where others are only wrapped around it (``archive/Dataset/cat``).

    Args:
        tree: Of the folders.
        files: Every file found; beside a wrapper there is no other folder, with images or without.

    Returns:
        It, at most `DEEPEST_WRAPPER` folders below the root; None where the root holds images or several folders
        itself, or where the folders inside are named like the parts of one set (images and masks).
    """
    folder, found = tree, [file.parts for file in files if not file.ignored]
    for depth in range(DEEPEST_WRAPPER):
        beside = {parts[depth] for parts in found if len(parts) > depth + 1}
        if folder.own or len(folder.folders) != 1 or len(beside) != 1:
            break
        (folder,) = folder
    if folder is tree or folder.own or len(folder.folders) < 2:
        return None
    are_parts = all(map(is_part_name, folder.folders)) or are_numbered_parts(folder.folders)
    return None if are_parts else folder


def class_name(folder: str) -> str:
    """The name of a class from that of its folder: one may come in two Unicode forms, for example from a Mac."""
    return unicodedata.normalize("NFC", display_name((folder,)))
