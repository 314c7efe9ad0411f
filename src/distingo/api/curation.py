"""Functions that check a data set, clean it, review findings, and export corrections of a served model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from distingo.curation.findings import FINDINGS_FOLDER, IMAGE_KINDS, Finding, FindingKind, read_findings
from distingo.datasets.options import Reading, ReadingOptions
from distingo.errors import ResourceError, UsageError, option, suggest_names
from distingo.messages.notes import Note, note
from distingo.options.commands import CheckSettings, ReviewSettings
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
    """Find files, images, labels and pairs of images that may be wrong; the data is not changed.

    Args:
        data: Folder of images, or a table of labels next to them. None applies other thresholds to the check in
            `output`, without measuring anything again.
        output: A folder for ``check.html``, ``findings.csv`` and ``check.json``: new, empty, or of an earlier check,
            which is replaced. None writes nothing.
        against: Another data set that must not contain copies of these images.
        model: Features to compare images by, in addition to their pixels: a backbone as for `train`, ``descriptors``,
            or ``none``, which skips the search for outliers and wrong labels. None takes the backbone ``fast`` if its
            weights are available and images are large enough, else ``descriptors``.
        weights: Weights of the backbone; None takes the published ones.
        predictions: The folder of a `crossval` of the same images, whose predictions are used to find wrong labels;
            None predicts with quick models.
        thresholds: Score from which a finding counts, by kind of finding.
        seed: Seed of samples and folds.
        **reading: How images and labels are found and read, as in `ReadingOptions`; findings that corrections already
            resolve are left out.

    Returns:
        All findings, and how they were obtained.

    Raises:
        DataError: The data can't be read as a data set.
        UsageError: A threshold or option is wrong.
        ModelError: The backbone or its weights are not available.
        ResourceError: The output folder contains something else.
        RunError: `data` is None and `output` contains no check.
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
        if set_options := [name for name, value in measuring.items() if value is not None]:
            raise UsageError(
                f"{option(set_options[0])}: evaluating {folder} again measures nothing; name the data too",
                code="needs_other_option",
                parameter=set_options[0],
            )
        result = read_check(folder).with_thresholds(dict(thresholds or {}))
    else:
        _require_folder(folder)
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
        result = run_check(request)
    if folder is not None:
        from distingo.report.pages.check import write_check_page

        if not (folder / SUMMARY_NAME).is_file():
            begin_folder(folder)
        write_check(result, folder)
        end_beginning(folder)
        write_check_page(result, folder / PAGE_NAME)
    return result


def _require_folder(folder: Path | None) -> None:
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
    """The plan of a cleaning, or its result.

    Attributes:
        plan: The files to move and those left alone; if `applied`, the files that were moved.
        quarantine: The folder that files are moved to.
        applied: Whether the files were moved.
    """

    plan: CleaningPlan
    quarantine: Path
    applied: bool

    def __repr__(self) -> str:
        moved = f"{len(self.plan.moves):,} files {'moved' if self.applied else 'to move'} to {str(self.quarantine)!r}"
        return f"Cleaning({moved}, {len(self.plan.unmoved):,} left alone)"


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
    """Move files with findings to a quarantine folder, or list the files that would be moved; nothing is deleted.

    Args:
        data: Folder of images, or a table of labels next to them.
        findings: The output folder of `check`, or the table in it.
        kinds: Kinds of findings to act on.
        threshold: Score from which findings count, instead of the threshold of the check; for one kind only.
        apply: Whether to move the files; if False, nothing is changed.
        quarantine: A new folder outside the data; None makes one next to it, named after the data and the time.
        corrections: As in `train`; files that were kept or relabeled there are left alone.
        table: As in `train`.

    Returns:
        The plan, or the result if `apply`.

    Raises:
        DataError: There are no findings, or the data or its corrections can't be read.
        UsageError: An option is not allowed.
        ResourceError: The quarantine can't be written; files that were already moved can be put back.
    """
    from distingo.curation.planning import plan_cleaning
    from distingo.curation.quarantine import apply_plan, choose_quarantine
    from distingo.datasets.corrections import find_corrections

    selected = _chosen(read_findings(Path(findings)), kinds, threshold)
    root = _root_of(Path(data), table)
    folder = choose_quarantine(root, None if quarantine is None else Path(quarantine))
    plan = plan_cleaning(root, selected, find_corrections(root, corrections))
    plan = replace(plan, notes=(*plan.notes, *_note_on_tables(root, Path(data), plan)))
    if not apply:
        return Cleaning(plan, folder, applied=False)
    return Cleaning(apply_plan(plan, folder), folder, applied=True)


def undo_cleaning(quarantine: str | Path, data: str | Path | None = None) -> Restoration:
    """Put back all files that `clean` moved; nothing is overwritten.

    Args:
        quarantine: The folder that `clean` moved the files to.
        data: The data set's current folder. None takes the folder next to the quarantine, which is the default place
            of `clean`; the path in the journal is not trusted.

    Returns:
        The files that were put back, and those that could not be.

    Raises:
        DataError: The folder has no journal, or the journal is damaged or contains other paths; nothing was moved.
        UsageError: The data set no longer exists, or must be named.
    """
    from distingo.curation.quarantine import undo

    root = None if data is None else _root_of(Path(data), None)
    return undo(Path(quarantine), root)


def _chosen(findings: Sequence[Finding], kinds: Sequence[FindingKind], threshold: float | None) -> list[Finding]:
    from distingo.curation.findings import resolve_thresholds

    for kind in kinds:
        if kind not in IMAGE_KINDS:
            raise UsageError(
                f"{kind}: no such kind of finding; {suggest_names(kind, list(IMAGE_KINDS))}",
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
        resolve_thresholds({kinds[0]: threshold})
        findings = [replace(finding, threshold=threshold) for finding in findings]
    return [finding for finding in findings if finding.kind in kinds and finding.counts]


def _root_of(data: Path, table: TableOptions | None) -> Path:
    from distingo.datasets.layouts.detection import find_layout

    if data.is_dir() and (table is None or table.image_folder is None):
        return data.resolve()
    return find_layout(data, table, allow_missing=True, lenient=True).root.resolve()


def _note_on_tables(root: Path, data: Path, plan: CleaningPlan) -> tuple[Note, ...]:
    from distingo.datasets.corrections import mark_own_files
    from distingo.datasets.tables.finding import is_table_file, tables_in
    from distingo.datasets.walking import FoundFile

    top = mark_own_files(FoundFile((path.name,), path) for path in sorted(root.iterdir()) if path.is_file())
    tables = [data.name] if is_table_file(data) else [file.path.name for file in tables_in(top)]
    if not tables or not plan.moves:
        return ()
    return (note("tables-left-as-they-are", tables=tuple(tables)),)


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
    """Serve a page to review findings with the keyboard, until Ctrl-C.

    Every decision is saved to the table of corrections before the next finding is shown; `train` applies that table.

    Args:
        data: Folder of images, or a table of labels next to them.
        findings: The output folder of `check`, or the table in it.
        corrections: The table to read and write; None takes ``corrections.csv`` in the data set's root.
        host: The address to listen on. The default accepts connections from this machine only; with any other one,
            anyone who knows the page's URL can see the images and decide.
        port: The port to listen on; 0 takes a free one.
        on_start: Called with the page's URL and the review session as soon as the page can be opened.
        table: As in `train`.
        max_pixels: Larger images are not shown; None is 178,956,970.

    Raises:
        DataError: There are no findings, they belong to other data, or the corrections are damaged.
        UsageError: `table` does not match the data, or `corrections` is ``none``.
        ResourceError: The port is in use.
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
    review_findings = read_findings(Path(findings))
    layout = find_layout(Path(data), table, allow_missing=True, lenient=True)
    path = Path(corrections) if corrections is not None else layout.root / CORRECTIONS_NAME
    if corrections is None and path.is_symlink():  # untrusted: it may have come with the images and point anywhere
        raise UsageError(
            f"{path}: is a link; name the file that decisions are written to in {option('corrections')}",
            code="is_link",
            parameter="corrections",
        )
    ranges = read_value_ranges(Path(findings))
    session = ReviewSession(layout, review_findings, Decisions(path.resolve(), layout.root), ranges, limit)
    with ReviewServer(session, settings.host, settings.port) as server:
        if on_start is not None:
            on_start(server.guard.url, session)
        server.serve_forever(poll_interval=0.2)


def export_corrections(corrections: str | Path, output: str | Path, *, model: str | None = None) -> CorrectedData:
    """Export the corrections that people sent from the page of `distingo serve` as a data set.

    Only the latest correction of each image counts. Single-label data has a folder for each class, multi-label data has
    ``labels.csv`` next to the images; `train` takes both. ``provenance.csv`` lists for every image the model and its
    prediction, and when and how often it was corrected.

    Args:
        corrections: The file that ``--corrections`` named; it is only read, which is safe while the server writes it.
        output: A new or empty folder.
        model: The model whose corrections to export; required if the file has corrections of several models.

    Returns:
        A summary of the data set.

    Raises:
        DataError: The file is missing, damaged, of another type, or contains no corrections.
        UsageError: There is no such model, or there are several and none is named.
        ResourceError: The folder is not empty or can't be written.
    """
    from distingo.serving.corrected_data import export_store

    return export_store(Path(corrections), Path(output), model)
