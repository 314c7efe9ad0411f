"""``manifest.csv``: the outcome for every file of a data set, one row each."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import get_args

from distingo.csv_files import join_labels, read_split_name, read_table, split_labels, write_table
from distingo.errors import RunError
from distingo.messages.notes import Note, text_note
from distingo.records import (
    HOLDS_CORRECTIONS,
    HOLDS_PROVENANCE,
    KEPT_BY_DOWNLOAD,
    LABELS_OF_DOWNLOAD,
    Dataset,
    ImageNote,
    ManifestRow,
    ManifestStatus,
)

_COLUMNS = ["file", "status", "reason", "labels", "side", "format", "width", "height", "content", "same_as"]
_LINES, _NOTES = "lines", "notes"  # missing in some manifests of version 0.1
_VALUES = "values"  # missing in version 0.1, whose reasons are sentences

_OWN_IN_0_1 = {
    "holds corrections": HOLDS_CORRECTIONS,
    "says where corrected pictures come from": HOLDS_PROVENANCE,
    "kept by `distingo download`": KEPT_BY_DOWNLOAD,
    "holds the labels that `distingo download` wrote": LABELS_OF_DOWNLOAD,
}
"""Codes of the reasons for distingo's own files, by their sentences in manifests of version 0.1."""


def write_manifest(rows: Iterable[ManifestRow], path: Path) -> None:
    """Write a manifest as a UTF-8 CSV file, with the code of each reason and, in another column, its values as JSON.

    Args:
        rows: One row per file.
        path: The file to write.

    Raises:
        ResourceError: The file can't be written.
    """
    table = (
        (
            row.file,
            row.status,
            row.reason.code if row.reason else "",
            join_labels(row.labels),
            row.split or "",
            row.format,
            row.width,
            row.height,
            row.content,
            row.same_as,
            " ".join(map(str, row.lines)),
            " ".join(row.notes),
            _values_of(row.reason),
        )
        for row in rows
    )
    write_table(path, [*_COLUMNS, _LINES, _NOTES, _VALUES], table, recorded=True)


def read_manifest(path: Path) -> tuple[ManifestRow, ...]:
    """Read a manifest.

    Args:
        path: A file that `write_manifest` wrote.

    Returns:
        Its rows, in the file's order.

    Raises:
        RunError: The file is missing or damaged.
    """
    return tuple(_manifest_row(path, line, fields) for line, fields in read_table(path, _COLUMNS))


def sum_up_left_out(dataset: Dataset, where: str) -> tuple[str, ...]:
    """Summarize the files that are not used in one sentence; empty if all files are used.

    Args:
        dataset: The data set.
        where: Name of the command or page that lists the reasons.
    """
    status_counts = Counter(row.status for row in dataset.left_out)
    if not status_counts:
        return ()
    kinds = ", ".join(f"{count:,} {status}" for status, count in status_counts.most_common())
    return (f"of {dataset.file_count:,} files found {len(dataset.images):,} are used; {kinds}: {where} says why",)


def _manifest_row(path: Path, line: int, fields: dict[str, str]) -> ManifestRow:
    status = next((name for name in get_args(ManifestStatus) if name == fields["status"]), None)
    if status is None or not (fields["width"].isdecimal() and fields["height"].isdecimal()):
        raise RunError(
            f"{path}: line {line} is damaged ({fields['status']!r} is no status or a size is no number)",
            code="damaged_line",
        )
    lines = fields.get(_LINES, "").split()
    if not all(each.isdecimal() for each in lines):
        raise RunError(f"{path}: line {line} is damaged ({fields[_LINES]!r} are no line numbers)", code="damaged_line")
    return ManifestRow(
        file=fields["file"],
        status=status,
        reason=_reason(path, line, fields),
        labels=split_labels(fields["labels"]),
        split=read_split_name(fields["side"], path, line) if fields["side"] else None,
        format=fields["format"],
        width=int(fields["width"]),
        height=int(fields["height"]),
        content=fields["content"],
        same_as=fields["same_as"],
        lines=tuple(int(each) for each in lines),
        notes=tuple(each for each in get_args(ImageNote) if each in fields.get(_NOTES, "").split()),
    )


def _values_of(reason: Note | None) -> str:
    if reason is None or not reason.values:
        return ""
    return json.dumps(asdict(reason)["values"], ensure_ascii=False)


def _reason(path: Path, line: int, fields: dict[str, str]) -> Note | None:
    reason, values = fields["reason"], fields.get(_VALUES)
    if not reason:
        return None
    if values is None:
        return Note(_OWN_IN_0_1[reason]) if reason in _OWN_IN_0_1 else text_note(reason)
    try:
        return Note.from_json({"code": reason, "values": json.loads(values) if values else {}})
    except (TypeError, ValueError, RecursionError) as error:
        why = f"{path}: line {line} is damaged (the values of its reason: {error})"
        raise RunError(why, code="damaged_line") from error
