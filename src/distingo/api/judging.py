"""Calls that judge finished runs and write their pages."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from distingo.api.explaining import explain_mistakes
from distingo.datasets.store import Cache
from distingo.files import as_paths
from distingo.language import Language, settle_language, written_in
from distingo.run_folder import RunFolder

if TYPE_CHECKING:
    from distingo.datasets.tables import TableOptions
    from distingo.evaluation.comparison import Comparison
    from distingo.records import Evaluation


def evaluate(
    run: str | Path,
    data: str | Path | None = None,
    *,
    device: str = "auto",
    workers: int | None = None,
    max_pixels: int | None = None,
    cache: str | Path | None = None,
    table: TableOptions | None = None,
    allow_missing: bool = False,
    corrections: str | Path | None = None,
    language: str | None = None,
) -> Evaluation:
    """Judge a run's model and its baselines.

    Args:
        run: A run folder.
        data: Other pictures to judge on; None takes the run's own test side.
        device: Where networks compute.
        workers: Decoding threads; None takes one per core.
        max_pixels: Larger pictures are listed as unusable; None is the limit that the run was trained with, else
            178,956,970.
        cache: As in `train`.
        table: What to know about a table of labels in `data`; the run's own is read as it was for training.
        allow_missing: As in `train`.
        corrections: As in `train`, for `data`; the run's own data are corrected as they were for training.
        language: Of the pages, as in `write_report`.

    Returns:
        The scores; they also lie in ``evaluation.json`` and on the page ``report.html``, in the run folder or, for
        other data, in ``evaluations/<name of the data>`` in it.

    Raises:
        RunError: The run folder is damaged, unfinished or newer.
        DataError: The data can't be judged on.
    """
    from distingo.evaluation.evaluating import EvaluateRequest, evaluate_run

    settled = settle_language(language)
    request = EvaluateRequest(
        run=Path(run),
        data=None if data is None else Path(data),
        cache=Cache(cache),
        workers=workers,
        max_pixels=max_pixels,
        device=device,
        table=table,
        allow_missing=allow_missing,
        corrections=corrections,
    )
    evaluation, place = evaluate_run(request)
    judged = None if data is None else place
    explain_mistakes(Path(run), judged, device=device)
    _write_pages(Path(run), judged, settled)
    return evaluation


def compare(runs: Sequence[str | Path], output: str | Path = "comparison", *, common: bool = False) -> Comparison:
    """Put finished runs side by side that were judged on the same pictures.

    Args:
        runs: At least two run folders.
        output: A folder; gets ``comparison.json`` and ``comparison.html``, older ones are replaced.
        common: Judge runs with other test sides on the pictures that are on all of them, instead of refusing them.

    Returns:
        The comparison, the best run first.

    Raises:
        RunError: A run is missing, damaged or not evaluated, or two were not judged on the same pictures.
        UsageError: Fewer than two runs were given, or one twice.
        ResourceError: The output can't be written.
    """
    from distingo.evaluation.comparing import compare_runs
    from distingo.evaluation.comparison import write_comparison
    from distingo.report.comparison import write_comparison_page

    comparison = compare_runs([Path(run) for run in as_paths(runs, "runs")], common=common)
    write_comparison_page(comparison, Path(output))
    write_comparison(comparison, Path(output))
    return comparison


def write_report(run: str | Path, *, language: str | None = None) -> Path:
    """Write the run's ``report.html``, one self-contained page, and its model card, ``model/README.md``.

    Args:
        run: A run folder.
        language: ``en``, ``es`` or ``zh``; None takes what ``DISTINGO_LANGUAGE`` says, else English. Names of classes
            and files stay as they are.

    Returns:
        The page.

    Raises:
        RunError: The run folder is damaged or newer.
        UsageError: There is no such language.
    """
    settled = settle_language(language)
    RunFolder(Path(run)).read_config()
    return _write_pages(Path(run), None, settled)


def _write_pages(run: Path, judged: Path | None, language: Language) -> Path:
    from distingo.report.card import write_card
    from distingo.report.page import write_report as write_page

    with written_in(language):
        page = write_page(run, judged)
        if judged is None:
            write_card(run)
    return page
