"""Folders that a command fills: what a kill leaves of a new one is no obstacle to the same command."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from distingo.files import is_half_written, remove_half_written, write_json

BEGUN_FILE = "begun.json"
"""In a folder whose first complete file is not there yet."""


def is_free(folder: Path) -> bool:
    """Whether a command may fill a folder: none is there, it is empty, or a killed command had just begun it."""
    if not folder.exists() and not folder.is_symlink():
        return True
    if not folder.is_dir():
        return False
    return (folder / BEGUN_FILE).is_file() or all(is_half_written(path) for path in folder.iterdir())


def begin_folder(folder: Path, stale: Sequence[str] = ()) -> None:
    """Mark a folder that `is_free` as begun; made if missing.

    Args:
        folder: To be filled.
        stale: Files that a killed command may have left, and that this one may not write.

    Raises:
        ResourceError: It can't be written.
    """
    is_ours = (folder / BEGUN_FILE).is_file()
    write_json(folder / BEGUN_FILE, {"format": 1})
    remove_half_written(folder)
    if is_ours:
        for name in stale:
            (folder / name).unlink(missing_ok=True)


def end_beginning(folder: Path) -> None:
    """Take the mark away: another file says from now on what the folder is."""
    (folder / BEGUN_FILE).unlink(missing_ok=True)


def identify_request(request: dict[str, Any]) -> str:
    """Name what was asked for, so that the same command is recognized after a kill.

    Args:
        request: Everything that decides on the result; values that JSON has no form for count as their text.
    """
    text = json.dumps(request, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
