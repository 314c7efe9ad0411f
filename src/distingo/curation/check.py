"""The result of a check, and the folder that `distingo check` writes: a table of findings, a summary and a page."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path

from distingo.curation.findings import FINDING_KINDS, FINDINGS_NAME, Finding, FindingKind, read_findings, write_findings
from distingo.curation.label_doubts import LabelBasis
from distingo.curation.shortcuts import Shortcut
from distingo.curation.thresholds import settle_thresholds
from distingo.errors import RunError
from distingo.files import read_json, write_json
from distingo.messages.notes import Note, read_notes
from distingo.near_duplicates.records import NearDuplicateSearch
from distingo.records import NO_VALUE_RANGES, ValueRanges
from distingo.version import __version__

SUMMARY_NAME = "check.json"

PAGE_NAME = "check.html"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What a check found.

    Attributes:
        data: The data set, as it was named.
        root: The folder that file names are relative to.
        against: The other data set that copies were looked for in; None without.
        layout: As in `Dataset.layout`.
        task: One label per image, or several.
        classes: Class names.
        files: How many files were found.
        images: How many of them are usable and distinct.
        findings: All that are kept, those of each kind together, the worst first.
        shortcuts: How far things other than the subject distinguish the classes.
        embedded_by: What images were compared by: a backbone, ``descriptors`` or ``none``.
        label_score: What the models were worth that doubted labels (accuracy; area under the ROC curve with several
            labels); None where labels were not evaluated.
        notes: Notes for the user.
        seconds: How long it took.
        value_ranges: What the stored values of deep images were scaled by.
        label_basis: What doubts of labels rest on; None where labels were not evaluated, or by an older distingo.
        near_duplicates: What was searched for near-duplicates; None in a check of an older distingo.
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
        """How many findings of each kind count; only kinds that have any."""
        numbers = {kind: len(self.counting(kind)) for kind in FINDING_KINDS}
        return {kind: number for kind, number in numbers.items() if number}

    def with_thresholds(self, options: dict[str, float]) -> Check:
        """The same measurements under other thresholds.

        Args:
            options: By kind; kinds that are not named keep their threshold.

        Raises:
            UsageError: There is no such kind, or a value is out of its range.
        """
        settled = settle_thresholds(options)
        moved = {kind: value for kind, value in settled.items() if kind in options}
        findings = tuple(
            replace(finding, threshold=moved.get(finding.kind, finding.threshold)) for finding in self.findings
        )
        search = self.near_duplicates
        if search is not None:
            search = replace(search, similarity=moved.get("near-duplicate", search.similarity))
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
    """What deep images were scaled by in the check that a table of findings is of.

    Args:
        findings: The table, or the folder that it is in.

    Returns:
        The ranges; none where no check is there, as a person may have moved the table.

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
    """Read what `write_check` wrote.

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
