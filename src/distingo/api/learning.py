"""The call that says whether more pictures would help."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distingo.begun_folders import begin_folder, end_beginning, is_free
from distingo.datasets.store import Cache
from distingo.datasets.value_ranges import settle_value_range
from distingo.errors import RunError

if TYPE_CHECKING:
    from distingo.datasets.tables import TableOptions
    from distingo.learning_curves.records import LearningCurve


def learning_curve(
    data: str | Path,
    output: str | Path | None = None,
    *,
    sizes: int = 8,
    draws: int = 5,
    group_column: str | None = None,
    near_duplicates: float | None = 0.8,
    burst: float | None = 2.0,
    workers: int | None = None,
    max_pixels: int | None = None,
    cache: str | Path | None = None,
    table: TableOptions | None = None,
    allow_missing: bool = False,
    corrections: str | Path | None = None,
    value_range: str | Sequence[float] | None = None,
    **recipe: Any,
) -> LearningCurve:
    """Measure how scores grow with training pictures, and forecast them for twice and five times as many.

    Heads are solved on a frozen backbone's features (or classifiers fitted to descriptors) of more and more pictures,
    stratified and by whole groups. Power laws are fitted to resamples of the scores; a forecast is the middle of all
    these curves, and its 95 % interval holds 95 % of them.

    Args:
        data: Folder of pictures, or a table of labels beside them; or a run folder, whose data and recipe are taken.
        output: A new folder for ``learning-curve.json`` and ``learning-curve.html``; None writes nothing.
        sizes: How many training sizes at most, evenly spaced by ratio.
        draws: How many times pictures are drawn for each. Where the data has no test side of its own, as many folds,
            each judged once.
        group_column: As for `split`.
        near_duplicates: As for `split`.
        burst: As for `split`.
        workers: Threads; None takes one per core.
        max_pixels: Larger pictures are listed as unusable; None is 178,956,970.
        cache: As in `train`.
        table: What to know about the table of labels; what is left out is recognised.
        allow_missing: Go on even if half of the pictures that the table names are missing.
        value_range: As in `train`.
        corrections: As in `train`.
        **recipe: As for `train`; the model is a frozen backbone or ``descriptors``.

    Returns:
        The measured scores and the forecasts, of all pictures and of each class, the weakest class first.

    Raises:
        DistingoError: Of the kind that fits the mistake or hindrance.
    """
    from distingo.checking.belonging import Belonging
    from distingo.datasets.tables import TableOptions
    from distingo.learning_curves.records import write_learning_curve
    from distingo.learning_curves.run import LearningCurveRequest, run_learning_curve
    from distingo.report.learning_curve_page import write_learning_curve_page
    from distingo.run_folder import RunFolder
    from distingo.training.kept_corrections import settle_corrections
    from distingo.training.preparing import TrainRequest
    from distingo.training.repeating import Wanted, repeat

    place = None if output is None else Path(output)
    if place is not None and not is_free(place):
        raise RunError(f"{place}: exists and is not an empty folder; choose another -o")
    if group_column is not None:
        table = replace(table or TableOptions(), group_column=group_column)
    wanted = Wanted(
        data=Path(data),
        wishes=recipe,
        table=table,
        allow_missing=allow_missing,
        corrections=corrections,
        value_range=value_range,
        max_pixels=max_pixels,
    )
    run = RunFolder(Path(data))
    if run.config.is_file():
        wanted = repeat(run.config, replace(wanted, data=None))
    training = TrainRequest(
        data=wanted.data or Path(data),
        output=place or Path(),
        wishes=wanted.wishes,
        cache=Cache(cache),
        workers=workers,
        max_pixels=wanted.max_pixels,
        table=wanted.table,
        allow_missing=wanted.allow_missing,
        corrections=settle_corrections(wanted.corrections),
        value_ranges=settle_value_range(wanted.value_range),
    )
    belonging = Belonging(near_duplicates, burst)
    found = run_learning_curve(LearningCurveRequest(training=training, sizes=sizes, draws=draws, belonging=belonging))
    if place is not None:
        begin_folder(place)
        write_learning_curve(found, place / "learning-curve.json")
        write_learning_curve_page(found, place)
        end_beginning(place)
    return found
