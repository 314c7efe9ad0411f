"""Calls that judge a recipe on every picture of a data set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distingo.datasets.store import Cache
from distingo.datasets.value_ranges import settle_value_range
from distingo.errors import InterruptionError, UsageError

if TYPE_CHECKING:
    from distingo.crossvalidation.records import CrossValidation
    from distingo.datasets.tables import TableOptions
    from distingo.training.checkpoint import EpochRecord


def crossval(
    data: str | Path | None = None,
    output: str | Path = "crossval",
    *,
    folds: int | None = None,
    repeats: int = 1,
    split: str | Path | None = None,
    group_column: str | None = None,
    near_duplicates: float | None = 0.8,
    burst: float | None = 2.0,
    resplit: bool = False,
    resume: bool = False,
    workers: int | None = None,
    max_pixels: int | None = None,
    cache: str | Path | None = None,
    table: TableOptions | None = None,
    allow_missing: bool = False,
    corrections: str | Path | None = None,
    value_range: str | Sequence[float] | None = None,
    on_epoch: Callable[[EpochRecord], None] | None = None,
    **recipe: Any,
) -> CrossValidation:
    """Cross-validate: train on all folds but one and judge on that one, so that every picture is judged once.

    Folds are stratified; near-duplicates, bursts and groups stay on one fold, as in `split`. In each turn a validation
    part is cut from the other folds, by whole groups too. Pictures are decoded, and a frozen backbone's features made,
    once for all folds.

    Args:
        data: Folder of pictures, or a table of labels beside them; may be left out with `resume`.
        output: A new folder for ``crossval.json``, ``crossval.html``, ``folds.csv`` and ``predictions.parquet``, which
            has every picture's probabilities by a model that never saw it (`check` takes them).
        folds: How many; None for 5, or as many as `split` has.
        repeats: How many times all pictures are divided into folds anew.
        split: A file of `split`'s with folds, in place of dividing here.
        group_column: As for `split`.
        near_duplicates: As for `split`.
        burst: As for `split`.
        resplit: Divide all pictures into folds where the data has sides of its own.
        resume: Go on with the cross-validation in `output`; finished folds are not computed again.
        workers: Decoding threads; None takes one per core.
        max_pixels: Larger pictures are listed as unusable; None is 178,956,970.
        cache: As in `train`.
        table: What to know about the table of labels; what is left out is recognised.
        allow_missing: Go on even if half of the pictures that the table names are missing.
        value_range: As in `train`.
        corrections: As in `train`.
        on_epoch: Called with an `EpochRecord` after every epoch of a fold.
        **recipe: As for `train`, without ``test``.

    Returns:
        Scores fold by fold, their means with corrected resampled t intervals, and the scores of all predictions
        together with 95 % intervals.

    Raises:
        DistingoError: Of the kind that fits the mistake or hindrance.
    """
    from distingo.checking.belonging import Belonging
    from distingo.crossvalidation.folder import CrossValidationFolder
    from distingo.crossvalidation.run import CrossValidateRequest, cross_validate
    from distingo.datasets.split_config import name_split
    from distingo.datasets.tables import TableOptions
    from distingo.report.crossval_page import write_crossval_page
    from distingo.training.kept_corrections import settle_corrections
    from distingo.training.preparing import TrainRequest

    folder = CrossValidationFolder(Path(output))
    if "test" in recipe:
        raise UsageError("--test: every fold is the test side once; leave it out")
    if group_column is not None:
        table = replace(table or TableOptions(), group_column=group_column)
    if data is None and not resume:
        raise UsageError("crossval needs DATA, a folder of pictures (or --resume)")
    training = TrainRequest(
        data=Path(data) if data is not None else Path(folder.read_plan()["data"]),
        output=folder.path,
        wishes=recipe,
        cache=Cache(cache),
        workers=workers,
        max_pixels=max_pixels,
        table=table,
        allow_missing=allow_missing,
        corrections=settle_corrections(corrections),
        value_ranges=settle_value_range(value_range),
        split=name_split(split, None),
        near_duplicates=None if resume else "none" if near_duplicates is None else near_duplicates,
        resume=resume,
        on_epoch=on_epoch,
    )
    belonging = Belonging(near_duplicates, burst)
    request = CrossValidateRequest(
        training=training, folds=folds, repeats=repeats, belonging=belonging, resplit=resplit
    )
    try:
        found = cross_validate(request)
    except KeyboardInterrupt:
        raise InterruptionError(folder.how_to_resume()) from None
    write_crossval_page(found, folder.path)
    return found
