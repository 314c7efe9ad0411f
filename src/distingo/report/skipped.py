"""The files that are not used, by reason."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from distingo.language import gettext
from distingo.records import ManifestRow, ManifestStatus

_ORDER: tuple[ManifestStatus, ...] = ("unusable", "conflict", "missing", "duplicate", "ignored")
"""The most alarming status first."""

_ALIKE: frozenset[ManifestStatus] = frozenset({"unusable", "ignored", "missing"})
"""The statuses whose reasons are the same for many files."""

MOST_FILES = 2000


@dataclass(frozen=True, slots=True)
class SkippedGroup:
    """Files left out for one reason.

    Attributes:
        status: The manifest's status.
        name: The status in words.
        reason: The reason in words.
        number: How many files.
        rows: The files, at most `MOST_FILES`.
    """

    status: ManifestStatus
    name: str
    reason: str
    number: int
    rows: tuple[ManifestRow, ...]


def group_skipped(manifest: Iterable[ManifestRow]) -> tuple[SkippedGroup, ...]:
    """Gather the unused files of a manifest by status and reason.

    The reason of a copy or a conflict names the other file, which would give a group for every file; these
    are therefore gathered by status alone.

    Args:
        manifest: One row per file found.

    Returns:
        The groups, the most alarming status first, then the largest.
    """
    groups: dict[tuple[ManifestStatus, str], list[ManifestRow]] = defaultdict(list)
    for row in manifest:
        if row.status != "used":
            groups[row.status, row.reason if row.status in _ALIKE else ""].append(row)
    ranked = sorted(groups.items(), key=lambda item: (_ORDER.index(item[0][0]), -len(item[1]), item[0][1]))
    return tuple(
        SkippedGroup(status, status_name(status), reason, len(rows), tuple(rows[:MOST_FILES]))
        for (status, reason), rows in ranked
    )


def status_name(status: ManifestStatus) -> str:
    """What became of a file, in words."""
    match status:
        case "unusable":
            return gettext("not decodable")
        case "conflict":
            return gettext("found under two classes")
        case "missing":
            return gettext("named by the table, but not there")
        case "duplicate":
            return gettext("copies of another picture")
        case "ignored":
            return gettext("no picture, or no label")
        case "used":
            return gettext("used")
