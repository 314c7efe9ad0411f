"""Paths that are safe to write: inside the folder that a person named, and valid and unique on every system."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from distingo.errors import quote
from distingo.files import content_hash

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


_FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f]+')

_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)

_MAX_BYTES = 120


def safe_name(text: str) -> str:
    """Turn a text into a readable name that is valid on every file system.

    Args:
        text: For example a label, ``T-shirt/top``.

    Returns:
        For example ``T-shirt-top``; never hidden, at most 120 bytes of UTF-8, ``unnamed`` if nothing is left.
    """
    name = _FORBIDDEN.sub("-", unicodedata.normalize("NFC", text)).strip(" .")
    name = "".join(letter for letter in name if unicodedata.category(letter) not in {"Cc", "Cf", "Cs"})
    name = name.encode("utf-8")[:_MAX_BYTES].decode("utf-8", "ignore").strip(" .-") or "unnamed"
    return f"_{name}" if _RESERVED.fullmatch(name) else name


def distinct_names(stems: Sequence[str], keys: Sequence[str]) -> list[str]:
    """Make names unique, ignoring case.

    The first of several equal names stays; the others get a suffix computed from their key. The same list always gives
    the same names, and appending to a list does not change the earlier names.

    Args:
        stems: The names.
        keys: One unique key per name, for example its URL.

    Returns:
        One name per stem.
    """
    used: set[str] = set()
    names = []
    for stem, key in zip(stems, keys, strict=True):
        name, digest = stem, content_hash(key.encode("utf-8", "surrogatepass"))
        for length in range(6, len(digest) + 1):
            if name.casefold() not in used:
                break
            name = f"{stem}-{digest[:length]}"
        used.add(name.casefold())
        names.append(name)
    return names
