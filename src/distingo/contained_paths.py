"""Paths out of a file that may come from anywhere: whether they stay below the folder that a person named."""

from __future__ import annotations

import os
import re
from pathlib import Path

from distingo.errors import quote

_DRIVE = re.compile(r"[A-Za-z]:")
_WINDOWS_ONLY = re.compile(r"[\\:]")


def find_path_fault(path: object, *, windows: bool = os.name == "nt") -> str:
    """Why a path must not be followed below a folder; empty where it may.

    Allowed is what distingo itself writes: relative, forward slashes, no empty part, no ``.`` or ``..``, no drive
    letter, nothing that the system can't name.

    Args:
        path: As it was read.
        windows: Whether backslashes and colons lead elsewhere, as on Windows; elsewhere they are parts of names.

    Returns:
        A part of a sentence, in ASCII, whatever the path holds.
    """
    if not isinstance(path, str):
        return f"{quote(path)} is no path"
    parts = path.split("/")
    if path.startswith("/") or _DRIVE.match(path) or (windows and _WINDOWS_ONLY.search(path)):
        return f"{quote(path)} is no relative path"
    if {"", ".", ".."} & set(parts):
        return f"{quote(path)} does not lead straight down"
    try:
        encoded = os.fsencode(path)
    except UnicodeEncodeError:
        encoded = b"\0"
    return f"{quote(path)} can be no file's name" if b"\0" in encoded else ""


def find_link_above(folder: Path, path: str) -> str:
    """The first link that leads to a path below a folder, relative to it; empty where none does.

    Args:
        folder: What a person named; links that lead to it are theirs.
        path: Relative, as `find_path_fault` allows it; the file itself may be a link.
    """
    parts = path.split("/")[:-1]
    for count in range(1, len(parts) + 1):
        if (folder / "/".join(parts[:count])).is_symlink():
            return "/".join(parts[:count])
    return ""
