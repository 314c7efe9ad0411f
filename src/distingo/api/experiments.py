"""Functions that train many times: cross-validation, learning curves and the search for a recipe."""

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
    from distingo.experiments.crossval_folder import CrossValidation
    from distingo.experiments.curve_measuring import LearningCurve
    from distingo.experiments.tuning_records import Search, Trial
    from distingo.runs.history import EpochRecord


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
    """Cross-validate a recipe: train on all folds but one and evaluate on that one, for every fold.

    Folds are stratified; near-duplicates, bursts and groups stay in the same fold, as in `split`. For each fold, a
    validation split is drawn from the other folds, without dividing groups. Images are decoded and features of a frozen
    backbone computed once for all folds.

    Args:
        data: Folder of images, or a table of labels next to them; may be left out with `resume`.
        output: A new folder for ``crossval.json``, ``crossval.html``, ``folds.csv`` and ``predictions.parquet``, which
            contains out-of-fold probabilities of every image (for `check`).
        folds: Number of folds; None for 5, or as many as `split` has.
        repeats: Number of times that all images are divided into folds.
        split: A file with folds written by `split`, to use instead of dividing the images here.
        resplit: Whether to divide all images into folds even if the data has splits of its own.
        resume: Whether to resume the cross-validation in `output`; finished folds are not computed again.
        on_epoch: Called with an `EpochRecord` after every epoch of a fold.
        **options: The recipe without ``test``, as in `RecipeOptions`; which images belong together, as in
            `GroupingOptions`; and how images and labels are found and read, as in `ReadingOptions`.

    Returns:
        Scores of each fold, their means with corrected resampled t intervals, and the scores of the pooled predictions
        with 95 % intervals.

    Raises:
        DistingoError: The subclass depends on the failure.
    """
    from distingo.datasets.splits.files import name_split
    from distingo.experiments.crossval import CrossValidateRequest, cross_validate
    from distingo.experiments.crossval_folder import CrossValidationFolder
    from distingo.near_duplicates.keeping import Belonging
    from distingo.report.pages.experiments import write_crossval_page
    from distingo.runs.config import resolve_corrections
    from distingo.training.request import TrainRequest

    settings = CrossvalSettings(folds=folds, repeats=repeats, split=split, resplit=resplit, resume=resume)
    recipe, grouping, reading = crossval_options(options)
    folder = CrossValidationFolder(Path(output))
    if "test" in recipe:
        raise UsageError(
            f"{option('test')}: every fold is the test split once; leave it out",
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
        reading=replace(reading, corrections=resolve_corrections(reading.corrections)),
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
        result = cross_validate(request)
    except KeyboardInterrupt:
        raise InterruptionError(folder.describe_interruption(), code="interrupted") from None
    write_crossval_page(result, folder.path)
    return result


def learning_curve(
    data: str | Path,
    output: str | Path | None = None,
    *,
    sizes: int = 8,
    draws: int = 5,
    **options: Unpack[CrossvalOptions],
) -> LearningCurve:
    """Measure scores by number of training images, and forecast them for twice and five times as many images.

    Heads are fitted to a frozen backbone's features (or classifiers to descriptors) of increasing numbers of images,
    stratified and without dividing groups. Power laws are fitted to resamples of the scores; a forecast is the median
    of these curves, and its 95 % interval contains 95 % of them.

    Args:
        data: Folder of images, or a table of labels next to them; or a run folder, whose data and recipe are used.
        output: A new folder for ``learning-curve.json`` and ``learning-curve.html``; None writes nothing.
        sizes: Maximum number of training sizes, evenly spaced by ratio.
        draws: Number of random draws of images per size. If the data has no test split of its own, there are as many
            folds, each of which is evaluated once.
        **options: The recipe, as in `RecipeOptions`, whose model is a frozen backbone or ``descriptors``; which images
            belong together, as in `GroupingOptions`; and how images and labels are found and read, as in
            `ReadingOptions`.

    Returns:
        The measured scores and the forecasts, overall and for each class, the weakest class first.

    Raises:
        DistingoError: The subclass depends on the failure.
    """
    from distingo.experiments.curve_measuring import write_learning_curve
    from distingo.experiments.learning_curves import LearningCurveRequest, run_learning_curve
    from distingo.near_duplicates.keeping import Belonging
    from distingo.report.pages.experiments import write_learning_curve_page
    from distingo.runs.config import resolve_corrections
    from distingo.runs.folder import RunFolder
    from distingo.training.request import RequestedOptions, TrainRequest, repeat

    settings = LearningCurveSettings(sizes=sizes, draws=draws)
    recipe, grouping, reading = crossval_options(options)
    folder = None if output is None else Path(output)
    if folder is not None:
        require_free(folder)
    request = RequestedOptions(
        data=Path(data),
        options=recipe,
        reading=reading,
    )
    run = RunFolder(Path(data))
    if run.config.is_file():
        request = repeat(run.config, replace(request, data=None))
    training = TrainRequest(
        data=request.data or Path(data),
        output=folder or Path(),
        options=request.options,
        reading=replace(request.reading, corrections=resolve_corrections(request.reading.corrections)),
    )
    belonging = Belonging(grouping.near_duplicates, grouping.burst)
    curve = run_learning_curve(
        LearningCurveRequest(training=training, sizes=settings.sizes, draws=settings.draws, belonging=belonging)
    )
    if folder is not None:
        begin_folder(folder)
        write_learning_curve(curve, folder / "learning-curve.json")
        write_learning_curve_page(curve, folder)
        end_beginning(folder)
    return curve


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
    """Search for a better recipe by its validation score; the test split is not used.

    A call with the same output resumes a search that was interrupted, and continues a finished one if it allows more
    trials or time.

    Args:
        data: As for `train`.
        output: A folder for ``best-recipe.json``, ``trials.csv`` and ``tune.html``: new, empty or of the same search.
        trials: Total number of recipes to try; the first is the default recipe.
        budget: Total time in seconds, including that of earlier calls. At least one of `trials` and `budget` is
            required.
        recipe_file: As for `train`; its fields are not varied.
        split: As for `train`.
        fold: As for `train`.
        near_duplicates: As for `train`.
        on_trial: Called with each finished trial and the search so far.
        **options: Fields of the recipe that are not varied, as in `RecipeOptions`, and how images and labels are found
            and read, as in `ReadingOptions`.

    Returns:
        The trials, the best recipe, and its gain over the default recipe on validation.

    Raises:
        InterruptionError: Ctrl-C was pressed; the results so far are written.
        DistingoError: The subclass depends on the failure.
    """
    from distingo.datasets.splits.files import name_split
    from distingo.experiments.tuning import TuneRequest, tune_run
    from distingo.experiments.tuning_records import SearchFolder
    from distingo.report.pages.tuning import write_tuning_page
    from distingo.runs.config import resolve_corrections
    from distingo.training.request import TrainRequest, read_recipe_file
    from distingo.training.run_config import check_split_options

    settings = TuneSettings(trials=trials, budget=budget)
    recipe, reading = training_options(options)
    folder, requested_split = SearchFolder(Path(output)), name_split(split, fold)
    check_split_options(requested_split, recipe)
    fixed_recipe = None if recipe_file is None else read_recipe_file(Path(recipe_file))
    request = TrainRequest(
        data=Path(data),
        output=folder.prepared.path,
        options=recipe if fixed_recipe is None else fixed_recipe.fill_up(recipe, divided=split is not None),
        reading=replace(reading, corrections=resolve_corrections(reading.corrections)),
        split=requested_split,
        near_duplicates=near_duplicates,
        recipe_file=fixed_recipe,
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
        best_so_far = (
            f"{which} of {len(search.trials)} so far is in {folder.best_recipe}" if search.best else "nothing yet"
        )
        raise InterruptionError(f"stopped; {best_so_far}; the same command continues", code="interrupted")
    return search
