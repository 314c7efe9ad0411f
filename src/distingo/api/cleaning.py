"""Calls that act on findings: files set aside with a way back, and the page on which a person decides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from distingo.errors import UsageError, name_the_nearest
from distingo.findings import FINDINGS_FOLDER, PICTURE_KINDS, Finding, FindingKind, read_findings

if TYPE_CHECKING:
    from distingo.cleaning.planning import CleaningPlan
    from distingo.cleaning.quarantine import Restoration
    from distingo.datasets.tables import TableOptions


@dataclass(frozen=True, slots=True)
class Cleaning:
    """What cleaning would do, or did.

    Attributes:
        plan: The files; once applied, those that were moved and those that were left alone.
        quarantine: Where the files go.
        applied: Whether they were moved.
    """

    plan: CleaningPlan
    quarantine: Path
    applied: bool


def clean(
    data: str | Path,
    findings: str | Path = FINDINGS_FOLDER,
    *,
    kinds: Sequence[FindingKind],
    threshold: float | None = None,
    apply: bool = False,
    quarantine: str | Path | None = None,
    corrections: str | Path | None = None,
    table: TableOptions | None = None,
) -> Cleaning:
    """Move files that were found wanting to a quarantine folder, or say which would be; nothing is deleted.

    Args:
        data: Folder of pictures, or a table of labels beside them.
        findings: What `check` wrote: its folder, or the table in it.
        kinds: Which kinds of findings to act on.
        threshold: From which score on findings count, instead of their own; for one kind only.
        apply: Move the files; without it nothing is touched.
        quarantine: A new folder outside the data; None takes one beside it, named after it and the time.
        corrections: As in `train`; what was kept or relabelled there is left alone.
        table: As in `train`.

    Returns:
        The plan, or what was done.

    Raises:
        DataError: There are no findings, or the data or its corrections can't be read.
        UsageError: An option is not allowed.
        ResourceError: The quarantine can't be written; what was moved by then can be put back.
    """
    from distingo.cleaning.planning import plan_cleaning
    from distingo.cleaning.quarantine import apply_plan, choose_quarantine
    from distingo.datasets.corrections import find_corrections

    chosen = _chosen(read_findings(Path(findings)), kinds, threshold)
    root = _root_of(Path(data), table)
    place = choose_quarantine(root, None if quarantine is None else Path(quarantine))
    plan = plan_cleaning(root, chosen, find_corrections(root, corrections))
    plan = replace(plan, notes=(*plan.notes, *_note_on_tables(root, Path(data), plan)))
    if not apply:
        return Cleaning(plan, place, applied=False)
    return Cleaning(apply_plan(plan, place), place, applied=True)


def undo_cleaning(quarantine: str | Path, data: str | Path | None = None) -> Restoration:
    """Put everything back that `clean` moved; nothing is overwritten.

    Args:
        quarantine: The folder that `clean` moved the files to.
        data: Where the data set is now. None takes the folder beside which the quarantine lies, which is where `clean`
            puts it unless it is told otherwise; the journal alone is not believed.

    Returns:
        What was put back, and what could not be.

    Raises:
        DataError: The folder holds no journal, or one that is damaged or leads elsewhere; nothing was moved.
        UsageError: The data set is not there any more, or must be named.
    """
    from distingo.cleaning.quarantine import undo

    root = None if data is None else _root_of(Path(data), None)
    return undo(Path(quarantine), root)


def _chosen(findings: Sequence[Finding], kinds: Sequence[FindingKind], threshold: float | None) -> list[Finding]:
    from distingo.checking.thresholds import settle_thresholds

    for kind in kinds:
        if kind not in PICTURE_KINDS:
            raise UsageError(f"{kind}: no such kind of finding; {name_the_nearest(kind, list(PICTURE_KINDS))}")
    if not kinds:
        raise UsageError("no kind of finding is chosen; name at least one, for example duplicate")
    if threshold is not None and len(set(kinds)) > 1:
        raise UsageError("--threshold: scores compare within one kind only; clean one kind at a time with it")
    if threshold is not None:
        settle_thresholds({kinds[0]: threshold})
        findings = [replace(finding, threshold=threshold) for finding in findings]
    return [finding for finding in findings if finding.kind in kinds and finding.counts]


def _root_of(data: Path, table: TableOptions | None) -> Path:
    from distingo.datasets.layouts import find_layout

    if data.is_dir() and (table is None or table.image_folder is None):
        return data.resolve()
    return find_layout(data, table, allow_missing=True, as_it_comes=True).root.resolve()


def _note_on_tables(root: Path, data: Path, plan: CleaningPlan) -> tuple[str, ...]:
    from distingo.datasets.own_files import mark_own_files
    from distingo.datasets.table_finding import is_table_file, tables_in
    from distingo.datasets.walking import FoundFile

    top = mark_own_files(FoundFile((path.name,), path) for path in sorted(root.iterdir()) if path.is_file())
    tables = [data.name] if is_table_file(data) else [file.path.name for file in tables_in(top)]
    if not tables or not plan.moves:
        return ()
    return (
        f"{', '.join(tables)} is left as it is: pictures that it names would be listed as missing; "
        "`distingo review` sets pictures aside without moving them",
    )
