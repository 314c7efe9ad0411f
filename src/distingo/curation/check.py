"""The result of a check, and reading and writing its folder with a table of findings and a summary."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path

from distingo.curation.findings import (
    FINDING_KINDS,
    FINDINGS_NAME,
    Finding,
    FindingKind,
    read_findings,
    settle_thresholds,
    write_findings,
)
from distingo.curation.label_doubts import LabelBasis
from distingo.curation.shortcuts import Shortcut
from distingo.errors import RunError
from distingo.files import read_json, write_json
from distingo.messages.notes import Note, read_notes
from distingo.near_duplicates.search import NearDuplicateSearch
from distingo.records import NO_VALUE_RANGES, ValueRanges
from distingo.version import __version__

SUMMARY_NAME = "check.json"

PAGE_NAME = "check.html"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """Result of a check.

    Attributes:
        data: The data set as requested.
        root: Base folder of the file names.
        against: The other data set that was searched for duplicates; None if there is none.
        layout: As in `Dataset.layout`.
        task: ``single-label`` or ``multi-label``.
        classes: Class names.
        files: Number of files.
        images: Number of usable and distinct images.
        findings: All findings, grouped by kind, the worst first.
        shortcuts: How well properties other than the subject distinguish the classes.
        embedded_by: Features that images were compared by: a backbone, ``descriptors`` or ``none``.
        label_score: Score of the models that evaluated labels (single-label: accuracy; multi-label: area under the ROC
            curve); None if labels were not evaluated.
        notes: Notes for the user.
        seconds: Duration of the check.
        value_ranges: Ranges by which images with more than 8 bits were scaled.
        label_basis: Basis of the label findings; None if labels were not evaluated, or in checks of older versions.
        near_duplicates: Scope of the search for near-duplicates; None in checks of older versions.
    """

    data: Path
    root: Path
    against: Path | None
    layout: Note
    task: str
    classes: tuple[str, ...]
    files: int
    images: int
    findings: tuple[Finding, ...]
    shortcuts: tuple[Shortcut, ...]
    embedded_by: str
    label_score: float | None
    notes: tuple[Note, ...]
    seconds: float
    value_ranges: ValueRanges = NO_VALUE_RANGES
    label_basis: LabelBasis | None = None
    near_duplicates: NearDuplicateSearch | None = None

    def __repr__(self) -> str:
        counts = ", ".join(f"{number:,} {kind}" for kind, number in self.counts.items()) or "no findings"
        return f"Check({str(self.data)!r}, {self.images:,} images: {counts})"

    def counting(self, kind: FindingKind) -> tuple[Finding, ...]:
        """The findings of a kind at or above its threshold."""
        return tuple(finding for finding in self.findings if finding.kind == kind and finding.counts)

    @property
    def counts(self) -> dict[FindingKind, int]:
        """Number of findings at or above the threshold, by kind; kinds without any are left out."""
        numbers = {kind: len(self.counting(kind)) for kind in FINDING_KINDS}
        return {kind: number for kind, number in numbers.items() if number}

    def with_thresholds(self, options: dict[str, float]) -> Check:
        """Return the same check with other thresholds.

        Args:
            options: Thresholds by kind; other kinds keep their threshold.

        Raises:
            UsageError: There is no such kind, or a value is out of its range.
        """
        thresholds = settle_thresholds(options)
        changed = {kind: value for kind, value in thresholds.items() if kind in options}
        findings = tuple(
            replace(finding, threshold=changed.get(finding.kind, finding.threshold)) for finding in self.findings
        )
        search = self.near_duplicates
        if search is not None:
            search = replace(search, similarity=changed.get("near-duplicate", search.similarity))
        return replace(self, findings=findings, near_duplicates=search)


def write_check(check: Check, folder: Path) -> None:
    """Write ``findings.csv`` and ``check.json``.

    Raises:
        ResourceError: The folder can't be written.
    """
    write_findings(check.findings, folder / FINDINGS_NAME)
    content: dict[str, object] = {
        "distingo": __version__,
        "data": str(check.data.resolve()),
        "root": str(check.root.resolve()),
        "against": None if check.against is None else str(check.against.resolve()),
        "counts": check.counts,
        "value_ranges": check.value_ranges.to_json(),
        "shortcuts": [asdict(shortcut) for shortcut in check.shortcuts],
        "label_basis": None if check.label_basis is None else asdict(check.label_basis),
        "near_duplicates": None if check.near_duplicates is None else asdict(check.near_duplicates),
        "layout": asdict(check.layout),
        "notes": [asdict(each) for each in check.notes],
    }
    same = ("task", "classes", "files", "images", "embedded_by", "label_score", "seconds")
    write_json(folder / SUMMARY_NAME, content | {name: getattr(check, name) for name in same})


def read_value_ranges(findings: Path) -> ValueRanges:
    """Read the value ranges of the check that a table of findings belongs to.

    Args:
        findings: The table, or its folder.

    Returns:
        The ranges; empty if there is no check next to the table, which may have been moved.

    Raises:
        RunError: ``check.json`` is damaged.
    """
    path = (findings if findings.is_dir() else findings.parent) / SUMMARY_NAME
    if not path.is_file():
        return NO_VALUE_RANGES
    try:
        return ValueRanges.from_json(read_json(path).get("value_ranges"))
    except (AttributeError, TypeError, ValueError) as error:
        raise RunError(f"{path}: damaged or from another version of distingo ({error})", code="damaged_file") from error


def read_check(folder: Path) -> Check:
    """Read a check that `write_check` wrote.

    Raises:
        RunError: There is no check, or it is damaged.
        DataError: The table of findings is missing.
    """
    path = folder / SUMMARY_NAME
    if not path.is_file():
        raise RunError(f"{folder}: holds no check; `distingo check DATA -o {folder}` makes one", code="wrong_folder")
    content = read_json(path)
    try:
        return Check(
            data=Path(content["data"]),
            root=Path(content["root"]),
            against=None if content["against"] is None else Path(content["against"]),
            layout=Note.from_json(content["layout"]),
            task=content["task"],
            classes=tuple(content["classes"]),
            files=content["files"],
            images=content.get("images", content.get("pictures")),
            findings=read_findings(folder / FINDINGS_NAME),
            shortcuts=tuple(Shortcut(**entry) for entry in content["shortcuts"]),
            embedded_by=content["embedded_by"],
            label_score=content["label_score"],
            notes=read_notes(content["notes"]),
            seconds=content["seconds"],
            value_ranges=ValueRanges.from_json(content.get("value_ranges")),
            label_basis=LabelBasis(**content["label_basis"]) if content.get("label_basis") else None,
            near_duplicates=NearDuplicateSearch(**searched) if (searched := content.get("near_duplicates")) else None,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"{path}: damaged or from another version of distingo ({error})", code="damaged_file") from error
