"""Findings: the record that `check` writes and that `clean` and `review` read, and which of them are resolved."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal, get_args

from distingo.csv_files import join_labels, read_table, split_labels, write_table
from distingo.datasets.corrections import Action, Correction, Corrections
from distingo.errors import DataError, RunError, option

FindingKind = Literal[
    "leak",
    "contradiction",
    "shortcut",
    "label",
    "near-duplicate",
    "duplicate",
    "outlier",
    "empty",
    "dark",
    "bright",
    "blurred",
    "odd-size",
    "odd-aspect",
    "wrong-ending",
    "unreadable",
    "imbalance",
]
"""In the order of what they do to a model. Has a copy on another side of the split; has a copy under another class;
something other than the subject distinguishes the classes; is probably wrongly labeled; is another copy of the same
scene; has the same bytes or pixels; is unlike all others; has one color only; is too dark; too bright; out of focus;
unusually large or small; unusually wide or tall; is named as another format; gives no image; a class is far smaller
than the largest. Shortcuts and imbalance are about the whole data set and name no file."""

FINDING_KINDS: tuple[FindingKind, ...] = get_args(FindingKind)

IMAGE_KINDS: tuple[FindingKind, ...] = tuple(kind for kind in FINDING_KINDS if kind not in {"imbalance", "shortcut"})
"""Those about single images and pairs."""

FINDINGS_NAME = "findings.csv"
"""The name of the table in the folder that `distingo check` writes."""

FINDINGS_FOLDER = "check"
"""The folder that is meant where none is named."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that may be wrong with one image, or with a pair of images.

    Attributes:
        kind: What it is.
        file: As in `Source.file`: relative to the data set's root, with forward slashes; empty for the whole data set.
        score: From 0 (nothing wrong) to 1 (surely wrong); comparable within its kind only.
        threshold: From which score on it counts; those below are kept so that the threshold can be moved.
        labels: The class names that the file was found under.
        split: The side its author put it on; empty where none.
        content: Hash of the file's bytes, empty where it can't be read; shows whether the file is still the same.
        other: The other image of a pair; empty where there is none.
        other_labels: The class names that the other one was found under.
        other_root: Folder that `other` is relative to, where that is another data set; else empty.
        suggested: For ``label``, the class names that are more likely.
        reason: In words for people.
        other_split: The side that the other one's author put it on.
        other_content: Hash of the other one's bytes.
    """

    kind: FindingKind
    file: str
    score: float
    threshold: float
    labels: tuple[str, ...] = ()
    split: str = ""
    content: str = ""
    other: str = ""
    other_labels: tuple[str, ...] = ()
    other_root: str = ""
    suggested: tuple[str, ...] = ()
    reason: str = ""
    other_split: str = ""
    other_content: str = ""

    @property
    def counts(self) -> bool:
        """Whether its score reaches the threshold."""
        return self.score >= self.threshold


_SEVERAL = ("labels", "other_labels", "suggested")

_COLUMNS = [field.name for field in fields(Finding)]


def write_findings(findings: Iterable[Finding], path: Path) -> None:
    """Write findings as CSV, whose first column has which of them count, for people and spreadsheets.

    Raises:
        ResourceError: The file can't be written.
    """
    write_table(path, ["counts", *_COLUMNS], (_to_row(finding) for finding in findings))


def read_findings(path: Path) -> tuple[Finding, ...]:
    """Read what `write_findings` wrote.

    Args:
        path: The table, or the folder that it is in.

    Raises:
        DataError: The file is missing.
        RunError: The file is damaged, or is no table of findings.
    """
    path = path / FINDINGS_NAME if path.is_dir() else path
    if not path.is_file():
        raise DataError(
            f"{path}: no such file; `distingo check DATA -o FOLDER` writes one, {option('findings')} FOLDER names it",
            code="not_found",
        )
    return tuple(_from_row(path, line, row) for line, row in read_table(path, _COLUMNS))


def _to_row(finding: Finding) -> list[object]:
    cells = [getattr(finding, name) for name in _COLUMNS]
    written = [join_labels(cell) if name in _SEVERAL else cell for name, cell in zip(_COLUMNS, cells, strict=True)]
    return ["yes" if finding.counts else "no", *written]


def _from_row(path: Path, line: int, row: dict[str, str]) -> Finding:
    kind = next((kind for kind in FINDING_KINDS if kind == row["kind"]), None)
    if kind is None:
        raise RunError(
            f"{path}: line {line}: {row['kind']!r} is no kind of finding; they are {', '.join(FINDING_KINDS)}",
            code="damaged_line",
        )
    try:
        score, threshold = float(row["score"]), float(row["threshold"])
    except ValueError as error:
        raise RunError(
            f"{path}: line {line}: score or threshold is no number ({error})", code="damaged_line"
        ) from error
    return Finding(
        kind=kind,
        file=row["file"],
        score=score,
        threshold=threshold,
        labels=split_labels(row["labels"]),
        split=row.get("split", row.get("side", "")),
        content=row["content"],
        other=row["other"],
        other_labels=split_labels(row["other_labels"]),
        other_root=row["other_root"],
        suggested=split_labels(row["suggested"]),
        reason=row["reason"],
        other_split=row.get("other_split", row.get("other_side", "")),
        other_content=row["other_content"],
    )


def is_answered(finding: Finding, corrections: Corrections | None) -> bool:
    """Whether a finding is resolved by a decision in the corrections.

    An image set aside answers everything about it. A pair is answered when one of the two is set aside or relabeled
    for it, or when both are kept for it. What was decided about a file that has changed since answers nothing.
    """
    if corrections is None:
        return False
    known = corrections.by_file
    one = _answer(known.get(finding.file), finding.kind, finding.content)
    if not finding.other or finding.other_root:
        return one is not None
    other = _answer(known.get(finding.other), finding.kind, finding.other_content)
    if "quarantine" in (one, other) or "relabel" in (one, other):
        return True
    return one is not None and other is not None


def _answer(correction: Correction | None, kind: FindingKind, content: str) -> Action | None:
    if correction is None or (correction.content and content and correction.content != content):
        return None
    return correction.action if correction.action == "quarantine" or kind in correction.kinds else None
