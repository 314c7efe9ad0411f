"""Checks that a path read from an untrusted file stays inside the folder that a person named."""

from __future__ import annotations

import os
import re
from pathlib import Path

from distingo.errors import quote

_DRIVE = re.compile(r"[A-Za-z]:")
_WINDOWS_ONLY = re.compile(r"[\\:]")


def find_path_fault(path: object, *, windows: bool = os.name == "nt") -> str:
    """Explain why a path must not be followed below a folder; empty if it may be.

    The allowed paths are those that distingo itself writes: relative, with forward slashes, without empty parts,
    ``.``, ``..`` or a drive letter, and valid as a file name on this system.

    Args:
        path: The value as read from the file, of any type.
        windows: Whether backslashes and colons are separators, as on Windows, instead of ordinary characters.

    Returns:
        Part of a sentence, in ASCII whatever the path contains.
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
    """Find the first symbolic link among the parent folders of a path below a folder.

    Args:
        folder: The folder that a person named; links on the way to it are allowed.
        path: Relative to `folder`, as `find_path_fault` allows it; the file itself may be a link.

    Returns:
        The link's path relative to `folder`; empty if there is none.
    """
    parts = path.split("/")[:-1]
    for count in range(1, len(parts) + 1):
        if (folder / "/".join(parts[:count])).is_symlink():
            return "/".join(parts[:count])
    return ""
