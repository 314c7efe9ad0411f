"""What may be wrong with pictures: the record that `check` writes, and that `clean` and `review` read."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal, get_args

from distingo.errors import DataError
from distingo.files import write_text

FindingKind = Literal[
    "unreadable",
    "wrong-ending",
    "duplicate",
    "near-duplicate",
    "leak",
    "contradiction",
    "label",
    "outlier",
    "empty",
    "dark",
    "bright",
    "blurred",
    "odd-size",
    "odd-aspect",
]
"""Gives no picture; is named as another format; has the same bytes or pixels; is another copy of the same scene; has a
copy on another side of the split; has a copy under another class; is probably wrongly labelled; is unlike all others;
has one colour only; is too dark; too bright; out of focus; unusually large or small; unusually wide or tall."""

FINDING_KINDS: tuple[FindingKind, ...] = get_args(FindingKind)

FINDINGS_NAME = "findings.csv"
"""The name of the table in the folder that `distingo check` writes."""

FINDINGS_FOLDER = "check"
"""The folder that is meant where none is named."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that may be wrong with one picture, or with a pair of pictures.

    Attributes:
        kind: What it is.
        file: As in `Source.file`: relative to the data set's root, with forward slashes.
        score: From 0 (nothing wrong) to 1 (surely wrong); comparable within its kind only.
        threshold: From which score on it counts; those below are kept so that the threshold can be moved.
        labels: The class names that the file was found under.
        side: The side its author put it on; empty where none.
        content: Hash of the file's bytes, empty where it can't be read; tells whether the file is still the same.
        other: The other picture of a pair; empty where there is none.
        other_labels: The class names that the other one was found under.
        other_root: Folder that `other` is relative to, where that is another data set; else empty.
        suggested: For ``label``, the class names that are more likely.
        reason: In words for a person.
        other_side: The side that the other one's author put it on.
        other_content: Hash of the other one's bytes.
    """

    kind: FindingKind
    file: str
    score: float
    threshold: float
    labels: tuple[str, ...] = ()
    side: str = ""
    content: str = ""
    other: str = ""
    other_labels: tuple[str, ...] = ()
    other_root: str = ""
    suggested: tuple[str, ...] = ()
    reason: str = ""
    other_side: str = ""
    other_content: str = ""

    @property
    def counts(self) -> bool:
        """Whether its score reaches the threshold."""
        return self.score >= self.threshold


_SEVERAL = ("labels", "other_labels", "suggested")
_COLUMNS = ("counts", *(field.name for field in fields(Finding)))


def write_findings(findings: Iterable[Finding], path: Path) -> None:
    """Write findings as CSV (UTF-8; several labels share a cell as in `join_labels`).

    Raises:
        ResourceError: The file can't be written.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(_COLUMNS)
    for finding in findings:
        cells = []
        for name in _COLUMNS[1:]:
            value = getattr(finding, name)
            cells.append(join_labels(value) if name in _SEVERAL else value)
        table.writerow(["yes" if finding.counts else "no", *cells])
    write_text(path, text.getvalue())


def read_findings(path: Path) -> tuple[Finding, ...]:
    """Read what `write_findings` wrote; the column ``counts`` is for people and spreadsheets.

    Args:
        path: The table, or the folder that it is in.

    Raises:
        DataError: The file is missing or is no table of findings.
    """
    path = path / FINDINGS_NAME if path.is_dir() else path
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
            return tuple(_from_row(row) for row in rows)
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; `distingo check DATA -o FOLDER` writes one") from error
    except (OSError, UnicodeDecodeError, csv.Error, KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{path}: is no table of findings ({error}); `distingo check` writes one") from error


def _from_row(row: dict[str, str]) -> Finding:
    if row["kind"] not in FINDING_KINDS:
        raise ValueError(f"unknown kind {row['kind']!r}")
    values = {name: row[name] for name in _COLUMNS[1:]}
    numbers = {name: float(values[name]) for name in ("score", "threshold")}
    several = {name: split_labels(values[name]) for name in _SEVERAL}
    return Finding(**{**values, **numbers, **several})  # type: ignore[arg-type]


def join_labels(labels: tuple[str, ...]) -> str:
    """Several class names in one cell, separated by ``|``; inside a name that sign has a backslash before it."""
    return "|".join(label.replace("\\", "\\\\").replace("|", "\\|") for label in labels)


def split_labels(cell: str) -> tuple[str, ...]:
    """Back from `join_labels`."""
    parts = re.findall(r"((?:[^|\\]|\\.)+)(?:\||$)", cell, re.DOTALL)
    return tuple(re.sub(r"\\(.)", r"\1", part, flags=re.DOTALL) for part in parts)
