"""The journal of a folder that pictures were sorted into: what was put where, on the disk before it is done."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from distingo.checksums import parse_json
from distingo.errors import DataError

SORT_JOURNAL = "distingo-sorted.jsonl"
FORMAT = 1

Way = Literal["copy", "link"]


@dataclass(frozen=True, slots=True)
class Placement:
    """One picture in one class folder.

    Attributes:
        source: The picture, an absolute path.
        path: Where it was put, relative to the sorted folder, with forward slashes.
        label: What it was put there as.
        content: Hash of a copy's bytes; empty of a link.
    """

    source: str
    path: str
    label: str
    content: str


@dataclass(slots=True)
class SortJournal:
    """What a journal tells.

    Attributes:
        way: Whether pictures were copied or linked.
        model: Names the model by which they were sorted.
        made: How many folders were made for the class folders: this one, and missing ones above it.
        folders: The class folders that were made.
        placements: In their order.
    """

    way: Way
    model: str
    made: int
    folders: list[str] = field(default_factory=list)
    placements: list[Placement] = field(default_factory=list)


def first_line(way: Way, model: str, made: int) -> dict[str, Any]:
    """What a journal begins with."""
    return {"distingo sorting": FORMAT, "way": way, "model": model, "made": made}


def read_sort_journal(folder: Path) -> SortJournal | None:
    """Read what was sorted into a folder; None where there is no journal, or one without a finished line.

    Raises:
        DataError: It is damaged (a last line that a kill cut off is not), or a newer distingo wrote it.
    """
    path = folder / SORT_JOURNAL
    try:
        lines = path.read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DataError(f"{path}: can't be read ({error.strerror or type(error).__name__})") from error
    if not lines:
        return None
    at = 0
    try:
        first = parse_json(lines[at])
        if first["distingo sorting"] > FORMAT:
            raise DataError(f"{path}: written by a newer distingo; `pip install --upgrade distingo`")
        journal = SortJournal(first["way"], first["model"], first["made"])
        for at in range(1, len(lines)):
            said = parse_json(lines[at])
            if "folder" in said:
                journal.folders.append(_inside(said["folder"], 1))
            else:
                placement = Placement(**said)
                _inside(placement.path, 2)
                journal.placements.append(placement)
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: line {at + 1} is damaged ({error})") from error
    return journal


def _inside(path: str, depth: int) -> str:
    """A path that leads nowhere else than so deep below the folder; a journal may come from anywhere."""
    parts = path.split("/")
    if len(parts) != depth or {"", ".", ".."} & set(parts) or "\0" in path:
        raise ValueError(f"{path!r} does not lie in a class folder")
    return path
