"""Findings: the records that `check` writes and `clean` and `review` read, and whether they are resolved."""

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
"""Kinds of findings, ordered by their effect on a model.

In this order: a duplicate in another split; a duplicate in another class; a property other than the subject that
distinguishes the classes; a probably wrong label; another image of the same scene; the same bytes or pixels; unlike all
other images; a single color; too dark; too bright; out of focus; unusually large or small; unusually wide or tall; the
file extension of another format; an unreadable file; a class that is far smaller than the largest one. Shortcuts and
imbalance concern the complete data set and have no file."""

FINDING_KINDS: tuple[FindingKind, ...] = get_args(FindingKind)

IMAGE_KINDS: tuple[FindingKind, ...] = tuple(kind for kind in FINDING_KINDS if kind not in {"imbalance", "shortcut"})
"""Kinds of findings about single images and pairs of images."""

FINDINGS_NAME = "findings.csv"
"""The name of the table in the folder that `distingo check` writes."""

FINDINGS_FOLDER = "check"
"""Default folder of a check."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A possible problem with an image, a pair of images, or the data set.

    Attributes:
        kind: Kind of the finding.
        file: As in `Source.file`: relative to the data set's root, with forward slashes; empty for the data set itself.
        score: From 0 (no problem) to 1 (certain problem); comparable only within a kind.
        threshold: Score from which the finding counts; lower ones are stored so that the threshold can be lowered.
        labels: Class names of the file.
        split: Predefined split of the file; empty if there is none.
        content: Content hash, which shows whether the file has changed; empty if it can't be read.
        other: The other image of a pair; empty if there is none.
        other_labels: Class names of the other image.
        other_root: Base folder of `other` if it is in another data set, otherwise empty.
        suggested: For ``label``, the more probable class names.
        reason: Explanation for the user.
        other_split: Predefined split of the other image.
        other_content: Content hash of the other image.
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
    """Write findings as CSV; the first column contains whether a finding counts.

    Raises:
        ResourceError: The file can't be written.
    """
    write_table(path, ["counts", *_COLUMNS], (_to_row(finding) for finding in findings))


def read_findings(path: Path) -> tuple[Finding, ...]:
    """Read findings that `write_findings` wrote.

    Args:
        path: The table, or its folder.

    Raises:
        DataError: The file is missing.
        RunError: The file is damaged, or is not a table of findings.
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

    Quarantining an image resolves all its findings. A pair is resolved if one of its images is quarantined or
    relabeled, or if both are kept for this kind of finding. Decisions about files that have changed since are ignored.
    """
    if corrections is None:
        return False
    corrections_by_file = corrections.by_file
    one = _answer(corrections_by_file.get(finding.file), finding.kind, finding.content)
    if not finding.other or finding.other_root:
        return one is not None
    other = _answer(corrections_by_file.get(finding.other), finding.kind, finding.other_content)
    if "quarantine" in (one, other) or "relabel" in (one, other):
        return True
    return one is not None and other is not None


def _answer(correction: Correction | None, kind: FindingKind, content: str) -> Action | None:
    if correction is None or (correction.content and content and correction.content != content):
        return None
    return correction.action if correction.action == "quarantine" or kind in correction.kinds else None
