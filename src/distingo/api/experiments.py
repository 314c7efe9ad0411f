"""Calls that evaluate a recipe on every image of a data set.

The call that says whether more images would help.

The call that searches for a recipe.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Unpack

from distingo.api.keywords import CrossvalOptions, TrainingOptions, crossval_options, training_options
from distingo.errors import InterruptionError, UsageError, option
from distingo.options.training import CrossvalSettings, LearningCurveSettings, TuneSettings
from distingo.runs.folder import begin_folder, end_beginning, require_free

if TYPE_CHECKING:
    from distingo.crossvalidation.folder import CrossValidation
    from distingo.learning_curves.records import LearningCurve
    from distingo.runs.history import EpochRecord
    from distingo.tuning.records import Search, Trial


def crossval(
    data: str | Path | None = None,
    output: str | Path = "crossval",
    *,
    folds: int | None = None,
    repeats: int = 1,
    split: str | Path | None = None,
    resplit: bool = False,
    resume: bool = False,
    on_epoch: Callable[[EpochRecord], None] | None = None,
    **options: Unpack[CrossvalOptions],
) -> CrossValidation:
    """Cross-validate: train on all folds but one and evaluate on that one, so that every image is evaluated once.

    Folds are stratified; near-duplicates, bursts and groups stay on one fold, as in `split`. In each turn a validation
    part is cut from the other folds, by whole groups too. Images are decoded, and a frozen backbone's features made,
    once for all folds.

    Args:
        data: Folder of images, or a table of labels next to them; may be left out with `resume`.
        output: A new folder for ``crossval.json``, ``crossval.html``, ``folds.csv`` and ``predictions.parquet``, which
            has every image's probabilities by a model that never saw it (`check` takes them).
        folds: How many; None for 5, or as many as `split` has.
        repeats: How many times all images are divided into folds anew.
        split: A file of `split`'s with folds, in place of dividing here.
        resplit: Divide all images into folds where the data has sides of its own.
        resume: Go on with the cross-validation in `output`; finished folds are not computed again.
        on_epoch: Called with an `EpochRecord` after every epoch of a fold.
        **options: The recipe without ``test``, as in `RecipeOptions`; what belongs together, as in `GroupingOptions`;
            and how images and labels are found and read, as in `ReadingOptions`.

    Returns:
        Scores fold by fold, their means with corrected resampled t intervals, and the scores of all predictions
        together with 95 % intervals.

    Raises:
        DistingoError: Of the kind that fits the mistake or failure.
    """
    from distingo.crossvalidation.folder import CrossValidationFolder
    from distingo.crossvalidation.run import CrossValidateRequest, cross_validate
    from distingo.datasets.splits.files import name_split
    from distingo.near_duplicates.keeping import Belonging
    from distingo.report.pages.crossval import write_crossval_page
    from distingo.runs.corrections import settle_corrections
    from distingo.training.request import TrainRequest

    settings = CrossvalSettings(folds=folds, repeats=repeats, split=split, resplit=resplit, resume=resume)
    recipe, grouping, reading = crossval_options(options)
    folder = CrossValidationFolder(Path(output))
    if "test" in recipe:
        raise UsageError(
            f"{option('test')}: every fold is the test side once; leave it out",
            code="option_not_applicable",
            parameter="test",
        )
    if data is None and not resume:
        raise UsageError(
            f"crossval needs {option('data')}, a folder of pictures (or {option('resume', value=True)})",
            code="missing_argument",
            parameter="data",
        )
    training = TrainRequest(
        data=Path(data) if data is not None else Path(folder.read_plan().data),
        output=folder.path,
        options=recipe,
        reading=replace(reading, corrections=settle_corrections(reading.corrections)),
        split=name_split(split, None),
        near_duplicates=None if resume else "none" if grouping.near_duplicates is None else grouping.near_duplicates,
        resume=resume,
        on_epoch=on_epoch,
    )
    belonging = Belonging(grouping.near_duplicates, grouping.burst)
    request = CrossValidateRequest(
        training=training, folds=settings.folds, repeats=settings.repeats, belonging=belonging, resplit=resplit
    )
    try:
        found = cross_validate(request)
    except KeyboardInterrupt:
        raise InterruptionError(folder.how_to_resume(), code="interrupted") from None
    write_crossval_page(found, folder.path)
    return found


def learning_curve(
    data: str | Path,
    output: str | Path | None = None,
    *,
    sizes: int = 8,
    draws: int = 5,
    **options: Unpack[CrossvalOptions],
) -> LearningCurve:
    """Measure how scores grow with training images, and forecast them for twice and five times as many.

    Heads are solved on a frozen backbone's features (or classifiers fitted to descriptors) of more and more images,
    stratified and by whole groups. Power laws are fitted to resamples of the scores; a forecast is the middle of all
    these curves, and its 95 % interval holds 95 % of them.

    Args:
        data: Folder of images, or a table of labels next to them; or a run folder, whose data and recipe are taken.
        output: A new folder for ``learning-curve.json`` and ``learning-curve.html``; None writes nothing.
        sizes: How many training sizes at most, evenly spaced by ratio.
        draws: How many times images are drawn for each. Where the data has no test split of its own, as many folds,
            each evaluated once.
        **options: The recipe, as in `RecipeOptions`, whose model is a frozen backbone or ``descriptors``; what belongs
            together, as in `GroupingOptions`; and how images and labels are found and read, as in `ReadingOptions`.

    Returns:
        The measured scores and the forecasts, of all images and of each class, the weakest class first.

    Raises:
        DistingoError: Of the kind that fits the mistake or failure.
    """
    from distingo.learning_curves.records import write_learning_curve
    from distingo.learning_curves.run import LearningCurveRequest, run_learning_curve
    from distingo.near_duplicates.keeping import Belonging
    from distingo.report.pages.learning_curve import write_learning_curve_page
    from distingo.runs.corrections import settle_corrections
    from distingo.runs.folder import RunFolder
    from distingo.training.recipe_file import Wanted, repeat
    from distingo.training.request import TrainRequest

    settings = LearningCurveSettings(sizes=sizes, draws=draws)
    recipe, grouping, reading = crossval_options(options)
    place = None if output is None else Path(output)
    if place is not None:
        require_free(place)
    wanted = Wanted(
        data=Path(data),
        options=recipe,
        reading=reading,
    )
    run = RunFolder(Path(data))
    if run.config.is_file():
        wanted = repeat(run.config, replace(wanted, data=None))
    training = TrainRequest(
        data=wanted.data or Path(data),
        output=place or Path(),
        options=wanted.options,
        reading=replace(wanted.reading, corrections=settle_corrections(wanted.reading.corrections)),
    )
    belonging = Belonging(grouping.near_duplicates, grouping.burst)
    found = run_learning_curve(
        LearningCurveRequest(training=training, sizes=settings.sizes, draws=settings.draws, belonging=belonging)
    )
    if place is not None:
        begin_folder(place)
        write_learning_curve(found, place / "learning-curve.json")
        write_learning_curve_page(found, place)
        end_beginning(place)
    return found


def tune(
    data: str | Path,
    output: str | Path = "tune",
    *,
    trials: int | None = None,
    budget: float | None = None,
    recipe_file: str | Path | None = None,
    split: str | Path | None = None,
    fold: int | None = None,
    near_duplicates: float | Literal["none"] | None = None,
    on_trial: Callable[[Trial, Search], None] | None = None,
    **options: Unpack[TrainingOptions],
) -> Search:
    """Search for a better recipe by what it is worth on validation; the test split is not looked at.

    A search that was stopped or killed goes on when it is requested again with the same output; requested with more
    trials or time, so does a finished one.

    Args:
        data: As for `train`.
        output: A folder for ``best-recipe.json``, ``trials.csv`` and ``tune.html``; new, empty or of the same search.
        trials: How many recipes to try in all; the first is the default one.
        budget: How long to try, in seconds, earlier runs in the folder counted. One of the two must be given.
        recipe_file: As for `train`; its fields stay as they are.
        split: As for `train`.
        fold: As for `train`.
        near_duplicates: As for `train`.
        on_trial: Told every finished trial, and the search so far.
        **options: Fields of the recipe that stay as they are, as in `RecipeOptions`, and how images and labels are
            found and read, as in `ReadingOptions`.

    Returns:
        The trials, the best recipe, and by how much it beats the default on validation.

    Raises:
        InterruptionError: Ctrl-C; what was found so far is written.
        DistingoError: Of the kind that fits the mistake or failure.
    """
    from distingo.datasets.splits.files import name_split
    from distingo.report.pages.tuning import write_tuning_page
    from distingo.runs.corrections import settle_corrections
    from distingo.training.recipe_file import read_recipe_file
    from distingo.training.request import TrainRequest
    from distingo.training.run_data import check_wishes
    from distingo.tuning.records import SearchFolder
    from distingo.tuning.run import TuneRequest, tune_run

    settings = TuneSettings(trials=trials, budget=budget)
    recipe, reading = training_options(options)
    folder, wanted = SearchFolder(Path(output)), name_split(split, fold)
    check_wishes(wanted, recipe)
    chosen = None if recipe_file is None else read_recipe_file(Path(recipe_file))
    request = TrainRequest(
        data=Path(data),
        output=folder.prepared.path,
        options=recipe if chosen is None else chosen.fill_up(recipe, divided=split is not None),
        reading=replace(reading, corrections=settle_corrections(reading.corrections)),
        split=wanted,
        near_duplicates=near_duplicates,
        recipe_file=chosen,
    )
    try:
        search = tune_run(
            TuneRequest(
                train=request, output=folder.path, trials=settings.trials, seconds=settings.budget, on_trial=on_trial
            )
        )
    except KeyboardInterrupt:
        raise InterruptionError(
            "stopped before the first trial; the same command starts again", code="interrupted"
        ) from None
    write_tuning_page(search, folder.page)
    if not search.is_finished:
        which = "one of the best" if search.tied else "the best"
        found = f"{which} of {len(search.trials)} so far is in {folder.best_recipe}" if search.best else "nothing yet"
        raise InterruptionError(f"stopped; {found}; the same command goes on", code="interrupted")
    return search
