"""``corrections.csv``, and other files that distingo itself writes next to a person's images.

Corrections are a person's decisions about single images, which leave the files untouched.
"""

from __future__ import annotations

import csv
import io
import os
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any, Literal, TypeVar, get_args

from distingo.csv_files import join_labels, restore_cells, split_labels, write_table
from distingo.datasets.tables.headers import names_labels
from distingo.datasets.tables.table import decode_text
from distingo.datasets.walking import FoundFile
from distingo.errors import DataError, RunError, suggest_names
from distingo.files import content_hash, require_intact
from distingo.messages.notes import Note, note
from distingo.records import HOLDS_CORRECTIONS, HOLDS_PROVENANCE, KEPT_BY_DOWNLOAD, LABELS_OF_DOWNLOAD

Action = Literal["keep", "relabel", "quarantine"]
"""The labels are right; other labels are right; the image is not to be used."""

ACTIONS: tuple[Action, ...] = get_args(Action)

CORRECTIONS_NAME = "corrections.csv"
"""The file name under which corrections in a data set's root are found automatically."""

NO_CORRECTIONS = "none"
"""Value of the option that reads the data without any corrections."""

_COLUMNS = ("file", "action", "labels", "content", "kinds", "at")

_REQUIRED = ("file", "action")

_DELIMITERS = (",", ";", "\t")

_HASH = re.compile(r"[0-9a-f]{32}")

_KIND = re.compile(r"[a-z]+(-[a-z]+)*")

_Choice = TypeVar("_Choice", bound=str)


@dataclass(frozen=True, slots=True)
class Correction:
    """What a person decided about one image.

    Attributes:
        file: As in `Source.file`.
        action: What to do with it.
        labels: For ``relabel``, the correct class names; for multi-label data there may be none.
        content: Hash of the file's bytes at the time of the decision; empty applies to any content.
        kinds: The kinds of findings that the decision resolves; first those that the action was chosen for.
        at: Time of the decision, in UTC as ISO 8601; may be empty.
        line: Line of the table; 0 before it is written.
    """

    file: str
    action: Action
    labels: tuple[str, ...] = ()
    content: str = ""
    kinds: tuple[str, ...] = ()
    at: str = ""
    line: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Corrections:
    """A table of corrections.

    Attributes:
        path: The table.
        entries: One per file, in the table's order.
        by_file: The same entries, by file.
    """

    path: Path
    entries: tuple[Correction, ...]
    by_file: Mapping[str, Correction] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_file", {entry.file: entry for entry in self.entries})

    @property
    def effective(self) -> tuple[Correction, ...]:
        """The entries that change the training data; ``keep`` only records that an image was reviewed."""
        return tuple(entry for entry in self.entries if entry.action != "keep")

    @property
    def fingerprint(self) -> str:
        """Hash of the effective entries; tables with the same fingerprint result in the same data set."""
        rows = sorted((entry.file, entry.action, join_labels(entry.labels), entry.content) for entry in self.effective)
        return content_hash(repr(rows).encode("utf-8", "backslashreplace"))


def find_corrections(root: Path, requested: str | Path | None = None) -> Corrections | None:
    """Read the corrections that belong to a data set.

    Args:
        root: The data set's root.
        requested: A table to read instead of the one in `root`; ``none`` reads none; None uses ``corrections.csv`` in
            the root if it exists, unless it is evidently a person's own table of labels.

    Returns:
        The corrections, or None if there are none to apply.

    Raises:
        DataError: The table is missing (if one was named), empty or damaged; the message names the line.
    """
    if requested is not None:
        return None if str(requested) == NO_CORRECTIONS else read_corrections(Path(requested), root)
    path = root / CORRECTIONS_NAME
    return read_corrections(path, root) if path.is_file() and not is_label_table(path) else None


def is_corrections(path: Path) -> bool:
    """Whether a file has the header of a table of corrections; a person's own table may have the same name."""
    return set(_REQUIRED) <= set(_header_names(path))


def is_label_table(path: Path) -> bool:
    """Whether the columns are those of a table of labels: one for images, one for labels, no action."""
    header = _header_names(path)
    return "action" not in header and names_labels(header)


def _header_names(path: Path) -> list[str]:
    """The column names of a table; none if it can't be read."""
    try:
        text, _ = decode_text(path, path.read_bytes())
        return _normalized_names(next(_rows(text), []))
    except (OSError, DataError, csv.Error):
        return []


def _normalized_names(row: Sequence[str]) -> list[str]:
    return [name.strip().lower() for name in row]


def _rows(text: str) -> Any:
    """Read the text's rows; the delimiter is the comma, semicolon or tab that splits the header best."""
    first_line = text.partition("\n")[0]
    headers = {each: set(_normalized_names(next(csv.reader([first_line], delimiter=each), []))) for each in _DELIMITERS}
    delimiter = max(_DELIMITERS, key=lambda each: (len(headers[each].intersection(_REQUIRED)), len(headers[each])))
    return csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)


def read_corrections(path: Path, root: Path | None = None) -> Corrections:
    """Read a table of corrections.

    Args:
        path: CSV with the columns ``file`` and ``action``, and optionally ``labels`` (several separated by ``|``),
            ``content``, ``kinds`` and ``at``; separated by commas, semicolons or tabs, in UTF-8 or an encoding that
            spreadsheets use.
        root: The data set's root; if given, files may also be written with ``./`` or backslashes.

    Raises:
        DataError: It is missing or damaged, or a row has an invalid value; the message names the line.
    """
    try:
        content = path.read_bytes()
        require_intact(path, content)
        text, _ = decode_text(path, content)
    except RunError as error:
        raise DataError(str(error), code=error.code, parameter=error.parameter) from error
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; `distingo review` writes corrections", code="not_found") from error
    except OSError as error:
        raise DataError(f"{path}: can't be read ({error.strerror})", code="cannot_read") from error
    if not text.strip():
        raise DataError(f"{path}: is empty; corrections have {', '.join(_COLUMNS)} in line 1", code="empty_file")
    reader = _rows(text)
    entries: dict[str, Correction] = {}
    try:
        header = _read_header(path, restore_cells(next(reader, [])))
        for row in reader:
            if not any(row):
                continue
            entry = _read_entry(path, reader.line_num, header, restore_cells(row))
            entry = entry if root is None else replace(entry, file=_normalized_file(root, entry.file))
            if entry.file in entries:
                first_line = entries[entry.file].line
                raise DataError(
                    f"{path}: lines {first_line} and {entry.line} are both about {entry.file}; keep one of them",
                    code="duplicate_entry",
                )
            entries[entry.file] = entry
    except csv.Error as error:
        raise DataError(f"{path}: line {reader.line_num} is damaged ({error})", code="damaged_line") from error
    return Corrections(path, tuple(entries.values()))


def write_corrections(corrections: Corrections, *, recorded: bool = False) -> None:
    """Write a table of corrections atomically; record its checksum if nobody is to edit it.

    Raises:
        ResourceError: It can't be written.
    """
    rows = [
        (entry.file, entry.action, join_labels(entry.labels), entry.content, "|".join(entry.kinds), entry.at)
        for entry in corrections.entries
    ]
    write_table(corrections.path, _COLUMNS, rows, recorded=recorded)


def _read_header(path: Path, row: list[str]) -> list[str]:
    header = _normalized_names(row)
    if missing := [name for name in _REQUIRED if name not in header]:
        raise DataError(
            f"{path}: line 1 has no column {missing[0]!r}; corrections have {', '.join(_COLUMNS)}; "
            "rename the file if it holds something else",
            code="missing_column",
        )
    for name in header:
        if name not in _COLUMNS:
            raise DataError(
                f"{path}: line 1: no column {name!r} is known; {suggest_names(name, list(_COLUMNS))}",
                code="unknown_column",
            )
    if len(set(header)) < len(header):
        raise DataError(
            f"{path}: line 1 names a column twice; corrections have {', '.join(_COLUMNS)}", code="duplicate_entry"
        )
    return header


def _read_entry(path: Path, line: int, header: list[str], row: list[str]) -> Correction:
    if len(row) != len(header):
        raise DataError(f"{path}: line {line} has {len(row)} fields instead of {len(header)}", code="damaged_line")
    cells = {**dict.fromkeys(_COLUMNS, ""), **dict(zip(header, row, strict=True))}
    try:
        entry = Correction(
            cells["file"],
            _one_of(cells["action"], ACTIONS, "action"),
            tuple(sorted({unicodedata.normalize("NFC", label) for label in split_labels(cells["labels"])})),
            cells["content"],
            tuple(kind for kind in cells["kinds"].split("|") if kind),
            cells["at"],
            line,
        )
        _check_entry(entry)
    except ValueError as error:
        raise DataError(f"{path}: line {line}: {error}", code="damaged_line") from error
    return entry


def _normalized_file(root: Path, file: str) -> str:
    """A file as written in `Source.file`; a backslash is part of a name only if there is such a file."""
    path = PurePosixPath(file).as_posix()
    return (
        path if "\\" not in path or os.path.lexists(root / path) else PurePosixPath(path.replace("\\", "/")).as_posix()
    )


def _check_entry(entry: Correction) -> None:
    if not entry.file:
        raise ValueError("names no file")
    if entry.labels and entry.action != "relabel":
        raise ValueError(f"labels belong to the action 'relabel', not to {entry.action!r}")
    if entry.content and not _HASH.fullmatch(entry.content):
        raise ValueError(f"content {entry.content!r} is no hash of 32 hexadecimal digits; leave it empty if unknown")
    for kind in entry.kinds:
        if not _KIND.fullmatch(kind):
            raise ValueError(f"{kind!r} is no kind of finding such as dark|near-duplicate")
    if entry.at:
        try:
            datetime.fromisoformat(entry.at)
        except ValueError as error:
            raise ValueError(f"at {entry.at!r} is no time such as 2025-01-31T12:00:00Z; leave it empty") from error


def _one_of(text: str, choices: tuple[_Choice, ...], column: str) -> _Choice:
    for each in choices:
        if each == text:
            return each
    raise ValueError(f"{text!r} is no {column}; {suggest_names(text, list(choices))}")


def utc_now() -> str:
    """The current time, in UTC as ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


DOWNLOAD_FOLDER = ".distingo-download"
"""Folder for what only downloading needs, inside the download's folder; hidden, so that it is never a class."""

FINISHED_NAME = "finished"
"""A file in `DOWNLOAD_FOLDER` that exists once the download is complete."""

MANIFEST_NAME = "manifest.csv"

LICENSE_NAME = "LICENCE-AND-CITATION.txt"

METADATA_NAME = "metadata.csv"

BOXES_NAME = "boxes.csv"

PROVENANCE_NAME = "provenance.csv"

PROVENANCE_COLUMNS = ("file", "sha256", "labels", "predicted", "model", "version", "at", "times")
"""The table that `distingo corrections export` writes next to the images that people corrected."""

_DOWNLOAD_FILES = frozenset({MANIFEST_NAME, LICENSE_NAME, BOXES_NAME})


def mark_own_files(files: Iterable[FoundFile]) -> list[FoundFile]:
    """Mark distingo's own files as ignored, with the reason, so that they are neither data nor counted."""
    return [replace(file, ignored=note(code)) if (code := _own_reason(file)) else file for file in files]


def _own_reason(file: FoundFile) -> str:
    if DOWNLOAD_FOLDER in file.parts[:-1]:
        return KEPT_BY_DOWNLOAD
    if file.ignored:
        return ""
    if file.parts[-1] in _DOWNLOAD_FILES and is_download(file.path.parent):
        return KEPT_BY_DOWNLOAD
    if file.parts == (PROVENANCE_NAME,) and is_provenance(file.path):
        return HOLDS_PROVENANCE
    return HOLDS_CORRECTIONS if file.parts == (CORRECTIONS_NAME,) and not is_label_table(file.path) else ""


def is_provenance(path: Path) -> bool:
    """Whether a file has the header of a provenance table; a person's own table may have the same name."""
    try:
        with path.open("rb") as file:
            return file.readline(200).rstrip() == ",".join(PROVENANCE_COLUMNS).encode()
    except OSError:
        return False


def is_download(folder: Path) -> bool:
    """Whether a folder is the target of a download, finished or not."""
    return os.path.isdir(folder / DOWNLOAD_FOLDER)  # noqa: PTH112 - unlike Path.is_dir, False without permission


def describe_labels_table(table: Path) -> Note:
    """Describe a table of labels for the manifest; the one that a download wrote is distingo's own."""
    return note(LABELS_OF_DOWNLOAD if table.name == METADATA_NAME and is_download(table.parent) else "holds-labels")


def require_finished(folder: Path) -> None:
    """Refuse a folder whose download has not finished.

    Raises:
        DataError: The download is incomplete.
    """
    if is_download(folder) and not (folder / DOWNLOAD_FOLDER / FINISHED_NAME).is_file():
        raise DataError(
            f"{folder}: a download that has not finished; run the same `distingo download` again", code="unfinished"
        )
