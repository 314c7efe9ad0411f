"""Calls that train.

Calls about the models that can be trained.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Unpack

from distingo.aliases import name_recipe_fields
from distingo.api.evaluation import compare, evaluate
from distingo.api.keywords import SeveralOptions, TrainingOptions, of_machine, training_options
from distingo.errors import InterruptionError, UsageError, option
from distingo.files import as_names, is_half_written
from distingo.language import settle_language
from distingo.models.catalog import CATALOG, CatalogEntry
from distingo.runs.folder import RunFolder, begin_folder, end_beginning, require_free

if TYPE_CHECKING:
    from distingo.evaluation.comparison import Comparison
    from distingo.models.backbone_listing import ListedBackbone
    from distingo.records import Evaluation
    from distingo.runs.history import EpochRecord


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run.

    Attributes:
        path: The run folder.
        evaluation: Its scores on the test split.
        report: The page to open.
    """

    path: Path
    evaluation: Evaluation
    report: Path

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r}, {self.evaluation!r})"

    def _repr_html_(self) -> str:
        from distingo.notebooks import as_html

        return f"<div>{as_html(str(self.path), 200)}</div>{self.evaluation._repr_html_()}"


def train(
    data: str | Path | None = None,
    output: str | Path = "run",
    *,
    config: str | Path | None = None,
    resume: bool = False,
    split: str | Path | None = None,
    fold: int | None = None,
    near_duplicates: float | Literal["none"] | None = None,
    recipe_file: str | Path | None = None,
    track: str | None = None,
    track_to: str | Path | None = None,
    on_epoch: Callable[[EpochRecord], None] | None = None,
    language: str | None = None,
    **options: Unpack[TrainingOptions],
) -> Run:
    """Train a classifier on a folder of images, evaluate it once on its test split, and write a report.

    Args:
        data: Folder of images, or a table of labels next to them; may be left out with `config` or `resume`, which
            name it.
        output: The run folder to make.
        config: A ``config.json`` of another run to repeat.
        resume: Go on with the run in `output`.
        split: A file of `split`'s, or any table with the columns file and side, that says which side each image is
            on; None cuts the sides by class and seed.
        fold: Of a split file with folds, the one that is the test split.
        near_duplicates: Images at least so alike (from 0.6 to 1; None: 0.8), turned and mirrored ones too, are kept
            on one side where the sides are cut here, and counted where `data` or `split` says them; ``none``: they are
            not searched for.
        recipe_file: A JSON file of recipe fields, such as `tune`'s ``best-recipe.json``; what is said here goes first.
        track: ``tensorboard`` or ``mlflow``: write parameters, curves, scores, plots and the model there too.
        track_to: A folder for TensorBoard (None: ``tensorboard`` in the run folder), a server's address for MLflow
            (None: what ``MLFLOW_TRACKING_URI`` says).
        on_epoch: Called with an `EpochRecord` after every epoch.
        language: Of the report and the model card, as in `write_report`.
        **options: The recipe, as in `RecipeOptions`, and how images and labels are found and read, as in
            `ReadingOptions`; with `config` or `resume` what is left out is as in that run.

    Returns:
        The run with its scores.

    Raises:
        DistingoError: Of the kind that fits the mistake or failure; its text says what to do.
    """
    from distingo.datasets.splits.files import name_split
    from distingo.runs.config import read_config
    from distingo.runs.corrections import settle_corrections
    from distingo.tracking.following import choose_tracking, follow
    from distingo.training.recipe_file import Wanted, read_recipe_file, repeat
    from distingo.training.request import TrainRequest
    from distingo.training.run import train_run
    from distingo.training.run_data import check_wishes

    settle_language(language)  # before hours of training
    recipe, reading = training_options(options)
    folder = RunFolder(Path(output))
    if config is not None and recipe_file is not None:
        raise UsageError(
            f"{option('config')} and {option('recipe_file')} both name a recipe; leave one out",
            code="options_conflict",
            parameter="config",
        )
    chosen = None if recipe_file is None else read_recipe_file(Path(recipe_file))
    wanted = Wanted(
        data=None if data is None else Path(data),
        options=recipe if chosen is None else chosen.fill_up(recipe, divided=split is not None),
        reading=reading,
        split=name_split(split, fold),
        near_duplicates=near_duplicates,
    )
    if config is not None:
        wanted = repeat(Path(config), wanted)
    check_wishes(wanted.split, recipe)
    place = wanted.data or (Path(read_config(folder).data) if resume else None)
    if place is None:
        raise UsageError(
            f"train needs {option('data')}, a folder of pictures (or {option('config')} of another run, or "
            f"{option('resume', value=True)})",
            code="missing_argument",
            parameter="data",
        )
    request = TrainRequest(
        data=place,
        output=folder.path,
        options=wanted.options,
        reading=replace(wanted.reading, corrections=settle_corrections(wanted.reading.corrections)),
        repeats=wanted.repeats,
        split=wanted.split,
        near_duplicates=wanted.near_duplicates,
        recipe_file=chosen,
        resume=resume,
    )
    try:
        with follow(choose_tracking(track, track_to), folder, place) as told:
            train_run(replace(request, on_epoch=_both(on_epoch, told)))
            evaluation = evaluate(folder.path, language=language, **of_machine(options))
    except KeyboardInterrupt:
        raise InterruptionError(folder.how_to_resume(), code="interrupted") from None
    return Run(folder.path, evaluation, folder.report)


def _both(
    first: Callable[[EpochRecord], None] | None, second: Callable[[EpochRecord], None]
) -> Callable[[EpochRecord], None]:
    def tell(record: EpochRecord) -> None:
        if first is not None:
            first(record)
        second(record)

    return tell


def train_several(
    data: str | Path | None = None,
    output: str | Path = "run",
    *,
    models: str | Sequence[str],
    resume: bool = False,
    **options: Unpack[SeveralOptions],
) -> Comparison:
    """Train several models on the same images and the same split, and write a page that compares them.

    Args:
        data: Folder of images.
        output: A new folder; gets a run folder for each model, ``comparison.html`` and ``comparison.json``.
        models: Names as for `train`; ``NAME:frozen``, ``NAME:finetune`` and ``NAME:scratch`` name a pretrained
            backbone's mode, so that one backbone can be compared with itself.
        resume: Take up runs that were interrupted; finished ones are kept.
        **options: As for `train`, as in `SeveralOptions`; those about pretrained backbones go to the backbones only.

    Returns:
        The runs next to each other, the best one first.

    Raises:
        DistingoError: Of the kind that fits the mistake or failure.
    """
    from distingo.training.defaults import plan_runs

    place = Path(output)
    plans = plan_runs(as_names(models, "models"), name_recipe_fields(options))
    resume = resume or _were_begun(place, [plan.folder for plan in plans])
    if not resume:
        require_free(place, resumable=True)
    for plan in plans:
        folder = place / plan.folder
        going_on = resume and RunFolder(folder).config.is_file()
        logging.getLogger("distingo").info("%s:", plan.folder)
        train(data, folder, resume=going_on, **plan.options)
    return compare([place / plan.folder for plan in plans], place)


def _were_begun(place: Path, runs: Sequence[str]) -> bool:
    """Whether a folder holds the runs of the same command, which was killed before it compared them."""
    if not place.is_dir() or (place / "comparison.json").exists():
        return False
    names = {path.name for path in place.iterdir() if not is_half_written(path)}
    return bool(names) and names <= set(runs)


def demo(output: str | Path = "demo", **options: Unpack[SeveralOptions]) -> Run:
    """Train on handwritten digits that come with scikit-learn, written out as PNG files in class folders.

    Args:
        output: A new folder; gets ``digits`` (the images) and ``run``.
        **options: As for `train`, as in `SeveralOptions`.

    Returns:
        The run.

    Raises:
        RunError: The folder exists already.
    """
    from distingo.datasets.digits import write_digits

    place = Path(output)
    begun = RunFolder(place / "run")
    if begun.is_finished() or not (place / "digits").is_dir():
        require_free(place)
    begin_folder(place)
    write_digits(place / "digits")
    end_beginning(place)
    options.setdefault("epochs", 8)
    return train(place / "digits", place / "run", **options)


def list_models() -> tuple[CatalogEntry, ...]:
    """Every model that ``train`` knows by name."""
    return tuple(CATALOG.values())


def list_backbones(pattern: str = "*") -> tuple[ListedBackbone, ...]:
    """List the pretrained backbones that timm knows, with size, input and license.

    Args:
        pattern: With ``*`` and ``?``, or a part of the name; or a preset (``fast``, ``good``, ``best``).

    Returns:
        Sorted by name.

    Raises:
        ModelError: Nothing fits the pattern.
    """
    from distingo.models.backbone_listing import list_backbones as list_all

    return list_all(pattern)


def fetch_weights(name: str) -> Path:
    """Get a pretrained backbone's weights into the Hugging Face hub's cache ahead of time.

    ``HF_ENDPOINT``, ``HF_HOME``, ``HF_TOKEN`` and proxies are honored; they are read when the hub's library is first
    loaded.

    Args:
        name: A preset, a timm name with or without tag, or ``hf-hub:OWNER/NAME``.

    Returns:
        The weights file; its size and hash are the hub's.

    Raises:
        ModelError: There is no such backbone, no network, or nothing usable at the other end.
        ResourceError: The disk is full.
    """
    from distingo.models.backbones import fetch_weights as fetch

    return fetch(name)
