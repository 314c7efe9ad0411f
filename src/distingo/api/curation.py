"""The call that looks for what may be wrong with images.

Calls that act on findings: files set aside with a way back, and the page on which a person decides.

The call that opens the page on which a person decides about findings.

The call that makes a data set of the corrections that people sent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from distingo.curation.findings import FINDINGS_FOLDER, IMAGE_KINDS, Finding, FindingKind, read_findings
from distingo.datasets.options import Reading, ReadingOptions
from distingo.errors import ResourceError, UsageError, name_the_nearest, option
from distingo.options.data import CheckSettings, ReviewSettings
from distingo.runs.folder import begin_folder, end_beginning, is_free

if TYPE_CHECKING:
    from distingo.curation.check import Check
    from distingo.curation.planning import CleaningPlan
    from distingo.curation.quarantine import Restoration
    from distingo.datasets.tables.table import TableOptions
    from distingo.reviewing.session import ReviewSession
    from distingo.serving.corrected_data import CorrectedData


def check(
    data: str | Path | None = None,
    output: str | Path | None = None,
    *,
    against: str | Path | None = None,
    model: str | None = None,
    weights: str | Path | None = None,
    predictions: str | Path | None = None,
    thresholds: Mapping[str, float] | None = None,
    seed: int = 0,
    **reading: Unpack[ReadingOptions],
) -> Check:
    """Look for files, images, labels and pairs that may be wrong; nothing of the data is touched.

    Args:
        data: Folder of images, or a table of labels next to them. None evaluates the check in `output` again, by other
            thresholds and without measuring anything.
        output: A folder for ``check.html``, ``findings.csv`` and ``check.json``, empty or of an earlier check, which it
            replaces; None writes nothing.
        against: Another data set in which no copy should be.
        model: What images are compared by besides their pixels: a backbone as for `train`, ``descriptors``, or
        ``none``,
            which looks neither for outliers nor for wrong labels. None takes the backbone ``fast`` where its weights
            can be had and images are large enough, else descriptors.
        weights: Of the backbone; None takes the published ones.
        predictions: The folder of a `crossval` of the same images, whose predictions labels are doubted by; None
            makes some by quick models.
        thresholds: By kind of finding, from which score on it counts.
        seed: Of samples and folds.
        **reading: How images and labels are found and read, as in `ReadingOptions`; findings that corrections answer
            are left out.

    Returns:
        All findings, and what they rest on.

    Raises:
        DataError: The data can't be read as a data set.
        UsageError: A threshold or option is wrong.
        ModelError: The backbone or its weights can't be had.
        ResourceError: The output is something else.
        RunError: `data` is None and `output` holds no check.
    """
    from distingo.curation.check import PAGE_NAME, SUMMARY_NAME, read_check, write_check
    from distingo.curation.checking import CheckRequest, run_check

    settings = CheckSettings(against=against, model=model, weights=weights, predictions=predictions, seed=seed)
    folder = None if output is None else Path(output)
    if data is None:
        if folder is None:
            raise UsageError(
                "nothing to check: name the data, or the folder of a check to evaluate it again",
                code="missing_argument",
                parameter="data",
            )
        measuring: dict[str, object] = {"against": against, "model": model, "weights": weights}
        measuring |= {"corrections": reading.get("corrections"), "table": reading.get("table")}
        if said := [name for name, value in measuring.items() if value is not None]:
            raise UsageError(
                f"{option(said[0])}: evaluating {folder} again measures nothing; name the data too",
                code="needs_other_option",
                parameter=said[0],
            )
        found = read_check(folder).with_thresholds(dict(thresholds or {}))
    else:
        _require_place(folder)
        request = CheckRequest(
            data=Path(data),
            against=None if against is None else Path(against),
            model=model,
            weights=weights,
            predictions=None if predictions is None else Path(predictions),
            thresholds=thresholds or {},
            reading=Reading.of(**reading),
            seed=settings.seed,
        )
        found = run_check(request)
    if folder is not None:
        from distingo.report.pages.check import write_check_page

        if not (folder / SUMMARY_NAME).is_file():
            begin_folder(folder)
        write_check(found, folder)
        end_beginning(folder)
        write_check_page(found, folder / PAGE_NAME)
    return found


def _require_place(folder: Path | None) -> None:
    from distingo.curation.check import SUMMARY_NAME

    if folder is None or not folder.exists() or (folder / SUMMARY_NAME).is_file():
        return
    if not is_free(folder):
        raise ResourceError(
            f"{folder}: exists and holds something else than a check; choose another {option('output')}",
            code="not_empty",
            parameter="output",
        )


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

    def __repr__(self) -> str:
        moved = f"{len(self.plan.moves):,} files {'moved' if self.applied else 'to move'} to {str(self.quarantine)!r}"
        return f"Cleaning({moved}, {len(self.plan.left_alone):,} left alone)"


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
        data: Folder of images, or a table of labels next to them.
        findings: What `check` wrote: its folder, or the table in it.
        kinds: Which kinds of findings to act on.
        threshold: From which score on findings count, instead of their own; for one kind only.
        apply: Move the files; without it nothing is touched.
        quarantine: A new folder outside the data; None takes one next to it, named after it and the time.
        corrections: As in `train`; what was kept or relabeled there is left alone.
        table: As in `train`.

    Returns:
        The plan, or what was done.

    Raises:
        DataError: There are no findings, or the data or its corrections can't be read.
        UsageError: An option is not allowed.
        ResourceError: The quarantine can't be written; what was moved by then can be put back.
    """
    from distingo.curation.planning import plan_cleaning
    from distingo.curation.quarantine import apply_plan, choose_quarantine
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
        data: Where the data set is now. None takes the folder next to which the quarantine lies, which is where `clean`
            puts it unless it is told otherwise; the journal alone is not believed.

    Returns:
        What was put back, and what could not be.

    Raises:
        DataError: The folder holds no journal, or one that is damaged or leads elsewhere; nothing was moved.
        UsageError: The data set is not there any more, or must be named.
    """
    from distingo.curation.quarantine import undo

    root = None if data is None else _root_of(Path(data), None)
    return undo(Path(quarantine), root)


def _chosen(findings: Sequence[Finding], kinds: Sequence[FindingKind], threshold: float | None) -> list[Finding]:
    from distingo.curation.thresholds import settle_thresholds

    for kind in kinds:
        if kind not in IMAGE_KINDS:
            raise UsageError(
                f"{kind}: no such kind of finding; {name_the_nearest(kind, list(IMAGE_KINDS))}",
                code="unknown_name",
                parameter="kinds",
            )
    if not kinds:
        raise UsageError(
            "no kind of finding is chosen; name at least one, for example duplicate",
            code="missing_argument",
            parameter="kinds",
        )
    if threshold is not None and len(set(kinds)) > 1:
        raise UsageError(
            f"{option('threshold')}: scores compare within one kind only; clean one kind at a time with it",
            code="options_conflict",
            parameter="threshold",
        )
    if threshold is not None:
        settle_thresholds({kinds[0]: threshold})
        findings = [replace(finding, threshold=threshold) for finding in findings]
    return [finding for finding in findings if finding.kind in kinds and finding.counts]


def _root_of(data: Path, table: TableOptions | None) -> Path:
    from distingo.datasets.layouts.detection import find_layout

    if data.is_dir() and (table is None or table.image_folder is None):
        return data.resolve()
    return find_layout(data, table, allow_missing=True, as_it_comes=True).root.resolve()


def _note_on_tables(root: Path, data: Path, plan: CleaningPlan) -> tuple[str, ...]:
    from distingo.datasets.own_files import mark_own_files
    from distingo.datasets.tables.finding import is_table_file, tables_in
    from distingo.datasets.walking import FoundFile

    top = mark_own_files(FoundFile((path.name,), path) for path in sorted(root.iterdir()) if path.is_file())
    tables = [data.name] if is_table_file(data) else [file.path.name for file in tables_in(top)]
    if not tables or not plan.moves:
        return ()
    return (
        f"{', '.join(tables)} is left as it is: pictures that it names would be listed as missing; "
        "`distingo review` sets pictures aside without moving them",
    )


def review(
    data: str | Path,
    findings: str | Path = FINDINGS_FOLDER,
    *,
    corrections: str | Path | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
    on_start: Callable[[str, ReviewSession], None] | None = None,
    table: TableOptions | None = None,
    max_pixels: int | None = None,
) -> None:
    """Serve a page to go through findings with the keyboard, until Ctrl-C.

    Every decision is in the table of corrections before the page goes on; `train` honours it.

    Args:
        data: Folder of images, or a table of labels next to them.
        findings: What `check` wrote: its folder, or the table in it.
        corrections: The table to read and write; None takes ``corrections.csv`` in the data set's root.
        host: The address to listen on. The default can be reached from this machine only; at any other one, whoever
            can read the page's address can see the images and decide.
        port: 0 takes one that is free.
        on_start: Called with the page's address and the review once the page can be opened.
        table: As in `train`.
        max_pixels: Larger images are not shown; None is 178,956,970.

    Raises:
        DataError: There are no findings, they are about other data, or the corrections are damaged.
        UsageError: `table` does not fit the data, or corrections are to be ``none``.
        ResourceError: The port is taken.
    """
    from distingo.curation.check import read_value_ranges
    from distingo.datasets.corrections import CORRECTIONS_NAME, NO_CORRECTIONS
    from distingo.datasets.layouts.detection import find_layout
    from distingo.errors import UsageError
    from distingo.reviewing.decisions import Decisions
    from distingo.reviewing.server import ReviewServer
    from distingo.reviewing.session import ReviewSession

    if corrections is not None and str(corrections) == NO_CORRECTIONS:
        raise UsageError(
            f"{option('corrections', 'none')}: a review writes corrections; name a file, or leave the option out",
            code="invalid_value",
            parameter="corrections",
        )
    settings, limit = ReviewSettings(host=host, port=port), Reading(max_pixels=max_pixels).pixel_limit
    found = read_findings(Path(findings))
    layout = find_layout(Path(data), table, allow_missing=True, as_it_comes=True)
    path = Path(corrections) if corrections is not None else layout.root / CORRECTIONS_NAME
    if corrections is None and path.is_symlink():  # it may have come with the images, and lead anywhere
        raise UsageError(
            f"{path}: is a link; name the file that decisions are written to in {option('corrections')}",
            code="is_link",
            parameter="corrections",
        )
    ranges = read_value_ranges(Path(findings))
    session = ReviewSession(layout, found, Decisions(path.resolve(), layout.root), ranges, limit)
    with ReviewServer(session, settings.host, settings.port) as server:
        if on_start is not None:
            on_start(server.guard.url, session)
        server.serve_forever(poll_interval=0.2)


def export_corrections(corrections: str | Path, output: str | Path, *, model: str | None = None) -> CorrectedData:
    """Make a data set of the corrections that people sent from the page of `distingo serve`.

    Of each image the latest correction counts. With one label per image there is a folder for each class, with
    several ``labels.csv`` next to the images; `train` takes both. ``provenance.csv`` says of every image which
    model had said what, when it was corrected and how often.

    Args:
        corrections: The file that was named by ``--corrections``; it is only read, also while it is being written.
        output: A new or empty folder.
        model: Whose corrections to take; needed where the file holds those of several models.

    Returns:
        What was written.

    Raises:
        DataError: The file is missing, damaged, something else, or holds no correction.
        UsageError: There is no such model, or there are several and none is named.
        ResourceError: Something is in the folder, or it can't be written.
    """
    from distingo.serving.corrected_data import export_store

    return export_store(Path(corrections), Path(output), model)
