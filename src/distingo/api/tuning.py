"""The call that searches for a recipe."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from distingo.datasets.store import Cache
from distingo.datasets.value_ranges import settle_value_range
from distingo.errors import InterruptionError

if TYPE_CHECKING:
    from distingo.datasets.tables import TableOptions
    from distingo.tuning.records import Search, Trial


def tune(
    data: str | Path,
    output: str | Path = "tune",
    *,
    trials: int | None = None,
    budget: float | None = None,
    recipe_file: str | Path | None = None,
    workers: int | None = None,
    max_pixels: int | None = None,
    cache: str | Path | None = None,
    table: TableOptions | None = None,
    allow_missing: bool = False,
    corrections: str | Path | None = None,
    value_range: str | Sequence[float] | None = None,
    split: str | Path | None = None,
    fold: int | None = None,
    near_duplicates: float | Literal["none"] | None = None,
    on_trial: Callable[[Trial, Search], None] | None = None,
    **recipe: Any,
) -> Search:
    """Search for a better recipe by what it is worth on validation; the test side is not looked at.

    A search that was stopped or killed goes on when it is asked for again with the same output; asked for with more
    trials or time, so does a finished one.

    Args:
        data: As for `train`.
        output: A folder for ``best-recipe.json``, ``trials.csv`` and ``tune.html``; new, empty or of the same search.
        trials: How many recipes to try in all; the first is the default one.
        budget: How long to try, in seconds, earlier runs in the folder counted. One of the two must be given.
        recipe_file: As for `train`; its fields stay as they are.
        workers: As for `train`.
        max_pixels: As for `train`.
        cache: As for `train`.
        table: As for `train`.
        allow_missing: As for `train`.
        value_range: As in `train`.
        corrections: As for `train`.
        split: As for `train`.
        fold: As for `train`.
        near_duplicates: As for `train`.
        on_trial: Told every finished trial, and the search so far.
        **recipe: Fields that stay as they are, and ``image_size``.

    Returns:
        The trials, the best recipe, and by how much it beats the default on validation.

    Raises:
        InterruptionError: Ctrl-C; what was found so far is written.
        DistingoError: Of the kind that fits the mistake or hindrance.
    """
    from distingo.datasets.split_config import name_split
    from distingo.report.tuning_page import write_tuning_page
    from distingo.training.dividing import check_wishes
    from distingo.training.kept_corrections import settle_corrections
    from distingo.training.preparing import TrainRequest
    from distingo.training.recipe_file import read_recipe_file
    from distingo.tuning.folder import SearchFolder
    from distingo.tuning.run import TuneRequest, tune_run

    folder, wanted = SearchFolder(Path(output)), name_split(split, fold)
    check_wishes(wanted, recipe)
    chosen = None if recipe_file is None else read_recipe_file(Path(recipe_file))
    request = TrainRequest(
        data=Path(data),
        output=folder.prepared.path,
        wishes=recipe if chosen is None else chosen.fill_up(recipe, divided=split is not None),
        cache=Cache(cache),
        workers=workers,
        max_pixels=max_pixels,
        table=table,
        allow_missing=allow_missing,
        corrections=settle_corrections(corrections),
        value_ranges=settle_value_range(value_range),
        split=wanted,
        near_duplicates=near_duplicates,
        recipe_file=chosen,
    )
    try:
        search = tune_run(
            TuneRequest(train=request, output=folder.path, trials=trials, seconds=budget, on_trial=on_trial)
        )
    except KeyboardInterrupt:
        raise InterruptionError("stopped before the first trial; the same command starts again") from None
    write_tuning_page(search, folder.page)
    if not search.is_finished:
        which = "one of the best" if search.tied else "the best"
        found = f"{which} of {len(search.trials)} so far is in {folder.best_recipe}" if search.best else "nothing yet"
        raise InterruptionError(f"stopped; {found}; the same command goes on")
    return search
