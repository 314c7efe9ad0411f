"""The journal of a folder that pictures were sorted into: what was put where, on the disk before it is done."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

from distingo.contained_paths import find_link_above, find_path_fault
from distingo.errors import DataError, join_faults, quote
from distingo.files import parse_json

SORT_JOURNAL = "distingo-sorted.jsonl"
FORMAT = 2
"""1 counted the folders that were made, which anybody can write; 2 names their inodes."""

_HASH = re.compile("[0-9a-f]{32}")

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
        made: The inodes of the folders that were made for the class folders: this one, and missing ones above it.
        folders: The class folders that were made.
        placements: In their order.
    """

    way: Way
    model: str
    made: tuple[int, ...]
    folders: list[str] = field(default_factory=list)
    placements: list[Placement] = field(default_factory=list)


def first_line(way: Way, model: str, made: tuple[int, ...]) -> dict[str, Any]:
    """What a journal begins with."""
    return {"distingo sorting": FORMAT, "way": way, "model": model, "made": list(made)}


def read_sort_journal(folder: Path) -> SortJournal | None:
    """Read what was sorted into a folder; None where there is no journal, or one without a finished line.

    Raises:
        DataError: It is damaged (a last line that a kill cut off is not), names what does not lie in a class folder
            (one line for each), or a newer distingo wrote it.
    """
    path = folder / SORT_JOURNAL
    try:
        if path.is_symlink():
            raise DataError(
                f"{path}: is no regular file; a journal is never reached through a link", code="not_regular_file"
            )
        lines = path.read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DataError(
            f"{path}: can't be read ({error.strerror or type(error).__name__})", code="cannot_read"
        ) from error
    if not lines:
        return None
    faults: list[str] = []
    journal = _read_first(path, lines[0])
    for number, line in enumerate(lines[1:], start=2):
        if why := _take_line(folder, journal, line):
            faults.append(f"{path}: line {number} is damaged ({why})")
    if faults:
        raise DataError(join_faults(faults, "nothing was touched"), code="damaged_file")
    return journal


def _read_first(path: Path, line: bytes) -> SortJournal:
    first = _parse(line)
    number = first.get("distingo sorting") if isinstance(first, dict) else None
    if not isinstance(first, dict) or type(number) is not int:
        raise DataError(
            f"{path}: line 1 is damaged ({first if isinstance(first, str) else 'no format number'})",
            code="damaged_file",
        )
    if number > FORMAT:
        raise DataError(f"{path}: written by a newer distingo; `pip install --upgrade distingo`", code="newer_version")
    way: Way | None = next((each for each in get_args(Way) if each == first.get("way")), None)
    model, made = first.get("model"), first.get("made")
    inodes = made if isinstance(made, list) else [0] * bool(made)  # of format 1, the folders above stay
    if way is None or not isinstance(model, str) or any(type(each) is not int for each in inodes):
        raise DataError(
            f"{path}: line 1 is damaged (way {quote(first.get('way'))}, model {quote(model)}, made {quote(made)})",
            code="damaged_file",
        )
    return SortJournal(way, model, tuple(inodes))


def _take_line(folder: Path, journal: SortJournal, line: bytes) -> str:
    """Add what a line tells to a journal; returns in words what is wrong, or nothing."""
    said = _parse(line)
    if isinstance(said, str):
        return said
    if "folder" in said:
        if why := _leads_elsewhere(folder, said["folder"], 1):
            return why
        journal.folders.append(said["folder"])
        return ""
    if set(said) != {each.name for each in fields(Placement)} or not all(
        isinstance(text, str) for text in said.values()
    ):
        return "is neither a folder nor a placement"
    placement = Placement(**said)
    why = _leads_elsewhere(folder, placement.path, 2) or _find_fault(journal, placement)
    if not why:
        journal.placements.append(placement)
    return why


def _find_fault(journal: SortJournal, placement: Placement) -> str:
    if bool(placement.content) != (journal.way == "copy") or not _HASH.fullmatch(placement.content or "0" * 32):
        return f"{quote(placement.content)} is no hash of a {journal.way}"
    if not Path(placement.source).is_absolute() or "\0" in placement.source:
        return f"{quote(placement.source)} is no absolute path of a picture"
    return ""


def _parse(line: bytes) -> dict[str, Any] | str:
    try:
        said = parse_json(line)
    except ValueError as error:
        return f"is no JSON: {quote(str(error))}"
    return said if isinstance(said, dict) else "is no JSON object"


def _leads_elsewhere(folder: Path, path: object, depth: int) -> str:
    """Why a path leads elsewhere than so deep below the folder; a journal may come from anywhere."""
    if why := find_path_fault(path):
        return why
    assert isinstance(path, str)
    if path.count("/") != depth - 1:
        return f"{quote(path)} does not lie in a class folder"
    link = find_link_above(folder, path)
    return f"{quote(path)} leads through a link, {quote(link)}" if link else ""
