"""The call that looks for what may be wrong with pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from distingo.begun_folders import begin_folder, end_beginning, is_free
from distingo.datasets.decoding import DEFAULT_MAX_PIXELS
from distingo.datasets.store import Cache
from distingo.datasets.value_ranges import settle_value_range
from distingo.errors import ResourceError, UsageError

if TYPE_CHECKING:
    from distingo.checking.check_folder import Check
    from distingo.datasets.tables import TableOptions


def check(
    data: str | Path | None = None,
    output: str | Path | None = None,
    *,
    against: str | Path | None = None,
    model: str | None = None,
    weights: str | Path | None = None,
    predictions: str | Path | None = None,
    thresholds: Mapping[str, float] | None = None,
    workers: int | None = None,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    cache: str | Path | None = None,
    table: TableOptions | None = None,
    allow_missing: bool = False,
    corrections: str | Path | None = None,
    value_range: str | Sequence[float] | None = None,
    seed: int = 0,
) -> Check:
    """Look for files, pictures, labels and pairs that may be wrong; nothing of the data is touched.

    Args:
        data: Folder of pictures, or a table of labels beside them. None judges the check in `output` again, by other
            thresholds and without measuring anything.
        output: A folder for ``check.html``, ``findings.csv`` and ``check.json``, empty or of an earlier check, which it
            replaces; None writes nothing.
        against: Another data set in which no copy should be.
        model: What pictures are compared by besides their pixels: a backbone as for `train`, ``descriptors``, or
        ``none``,
            which looks neither for outliers nor for wrong labels. None takes the backbone ``fast`` where its weights
            can be had and pictures are large enough, else descriptors.
        weights: Of the backbone; None takes the published ones.
        predictions: The folder of a `crossval` of the same pictures, whose predictions labels are doubted by; None
            makes some by quick models.
        thresholds: By kind of finding, from which score on it counts.
        workers: Threads; None takes one per core.
        max_pixels: Larger pictures are listed as unreadable.
        cache: As in `train`.
        table: What to know about the table of labels; what is left out is recognised.
        allow_missing: Go on even if half of the pictures that the table names are missing.
        value_range: As in `train`.
        corrections: As in `train`; findings that they answer are left out.
        seed: Of samples and folds.

    Returns:
        All findings, and what they rest on.

    Raises:
        DataError: The data can't be read as a data set.
        UsageError: A threshold or option is wrong.
        ModelError: The backbone or its weights can't be had.
        ResourceError: The output is something else.
        RunError: `data` is None and `output` holds no check.
    """
    from distingo.checking.check_folder import PAGE_NAME, SUMMARY_NAME, read_check, write_check
    from distingo.checking.run import CheckRequest, run_check

    folder = None if output is None else Path(output)
    if data is None:
        if folder is None:
            raise UsageError("nothing to check: name the data, or the folder of a check to judge it again")
        measuring = {"against": against, "model": model, "weights": weights, "corrections": corrections, "table": table}
        if said := [name for name, value in measuring.items() if value is not None]:
            raise UsageError(f"--{said[0]}: judging {folder} again measures nothing; name the data too")
        found = read_check(folder).judged_by(dict(thresholds or {}))
    else:
        _require_place(folder)
        request = CheckRequest(
            data=Path(data),
            against=None if against is None else Path(against),
            model=model,
            weights=weights,
            predictions=None if predictions is None else Path(predictions),
            thresholds=thresholds or {},
            cache=Cache(cache),
            workers=workers,
            max_pixels=max_pixels,
            table=table,
            allow_missing=allow_missing,
            corrections=corrections,
            value_ranges=settle_value_range(value_range),
            seed=seed,
        )
        found = run_check(request)
    if folder is not None:
        from distingo.report.check_page import write_check_page

        if not (folder / SUMMARY_NAME).is_file():
            begin_folder(folder)
        write_check(found, folder)
        end_beginning(folder)
        write_check_page(found, folder / PAGE_NAME)
    return found


def _require_place(folder: Path | None) -> None:
    from distingo.checking.check_folder import SUMMARY_NAME

    if folder is None or not folder.exists() or (folder / SUMMARY_NAME).is_file():
        return
    if not is_free(folder):
        raise ResourceError(f"{folder}: exists and holds something else than a check; choose another -o")
