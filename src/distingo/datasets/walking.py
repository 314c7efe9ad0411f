"""Every file below a folder, each once, in an order that does not depend on the file system."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_HIDDEN_FILES = {"thumbs.db", "desktop.ini", "ehthumbs.db"}
_HIDDEN_FOLDERS = {
    "__macosx",
    "@eadir",
    "$recycle.bin",
    "system volume information",
    "lost+found",
    "__pycache__",
}


_OWN_FOLDERS = {
    ("check.json", "findings.csv"): "in a folder that `distingo check` wrote",
    ("config.json", "manifest.csv"): "in a run folder of distingo's",
}
"""Files that only a folder of distingo's own has together, and what its files are."""


@dataclass(frozen=True, slots=True)
class FoundFile:
    """One file as the walk met it.

    Attributes:
        parts: The names of the folders below the root and of the file itself, as the system spells them.
        path: The file on disk.
        ignored: Why it is no candidate, in words for a person; empty for a candidate.
    """

    parts: tuple[str, ...]
    path: Path
    ignored: str = ""


def is_hidden_folder(name: str) -> bool:
    """Whether a folder is one that programs make for themselves."""
    return name.startswith(".") or name.lower() in _HIDDEN_FOLDERS


def walk(root: Path) -> Iterator[FoundFile]:
    """Find every file below a folder; links are followed, but never round in a circle.

    Args:
        root: The folder.

    Yields:
        Every file; also one entry for a link that leads nowhere or in a circle, or for a folder that can't be
        opened.

    Raises:
        OSError: The root itself can't be opened.
    """
    yield from _walk(root, (), "", ())


def _walk(
    folder: Path, parts: tuple[str, ...], ignored: str, above: tuple[tuple[int, int], ...]
) -> Iterator[FoundFile]:
    status = folder.stat()
    identity = (status.st_dev, status.st_ino)
    if identity in above:
        yield FoundFile(parts, folder, "a link that leads back to a folder above it")
        return
    with os.scandir(folder) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    for entry in found:
        below = (*parts, entry.name)
        path = folder / entry.name
        try:
            is_folder, is_file = entry.is_dir(), entry.is_file()
        except OSError:
            is_folder = is_file = False
        if not is_folder:
            yield FoundFile(below, path, ignored or _why_ignored(entry, is_file=is_file))
            continue
        why = ignored or ("in a hidden folder" if is_hidden_folder(entry.name) else _why_own(path))
        try:
            yield from _walk(path, below, why, (*above, identity))
        except OSError as error:
            reason = error.strerror or type(error).__name__
            yield FoundFile(below, path, f"a folder that can't be opened ({reason})")


def _why_own(folder: Path) -> str:
    for names, why in _OWN_FOLDERS.items():
        if all((folder / name).is_file() for name in names):
            return why
    return ""


def _why_ignored(entry: os.DirEntry[str], *, is_file: bool) -> str:
    if entry.name.startswith(".") or entry.name.lower() in _HIDDEN_FILES:
        return "a hidden file"
    if is_file:
        return ""
    return "a link that leads nowhere" if entry.is_symlink() else "not a regular file"


def display_name(parts: tuple[str, ...]) -> str:
    r"""Write a path with forward slashes, and bytes that are no UTF-8 as ``\xNN``."""
    return os.fsencode("/".join(parts)).decode("utf-8", "backslashreplace")
