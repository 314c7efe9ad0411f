"""Functions that train models, and that list the models and backbones that can be trained."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Unpack

from distingo.api.evaluation import compare, evaluate
from distingo.api.keywords import SeveralOptions, TrainingOptions, of_machine, resolve_language, training_options
from distingo.errors import InterruptionError, UsageError, option
from distingo.files import as_names, is_half_written
from distingo.models.catalog import CATALOG, CatalogEntry
from distingo.options.fields import name_recipe_fields
from distingo.runs.folder import RunFolder, begin_folder, end_beginning, require_free

if TYPE_CHECKING:
    from distingo.evaluation.comparison_records import Comparison
    from distingo.models.hub import ListedBackbone
    from distingo.runs.history import EpochRecord
    from distingo.scores import Evaluation


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run.

    Attributes:
        path: The run folder.
        evaluation: The scores on the test split.
        report: The path of the report, an HTML page.
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
            contain it.
        output: The new run folder.
        config: A ``config.json`` of another run to repeat.
        resume: Whether to resume the run in `output`.
        split: A file written by `split`, or any table with the columns ``file`` and ``split``, that assigns each image
            to a split; None splits the images by class and seed.
        fold: The fold to use as test split, if `split` has folds.
        near_duplicates: Similarity threshold of near-duplicates (0.6 to 1; None is 0.8), including rotated and mirrored
            ones. They stay in the same split if the images are split here, and are counted if `data` or `split`
            determines the splits. ``none`` does not search for them.
        recipe_file: A JSON file of recipe fields, such as ``best-recipe.json`` of `tune`; `options` take precedence.
        track: ``tensorboard`` or ``mlflow``: also log parameters, curves, scores, plots and the model there.
        track_to: A folder for TensorBoard (None: ``tensorboard`` in the run folder), or the URL of an MLflow server
            (None: the environment variable ``MLFLOW_TRACKING_URI``).
        on_epoch: Called with an `EpochRecord` after every epoch.
        language: Language of the report and the model card, as in `write_report`.
        **options: The recipe, as in `RecipeOptions`, and how images and labels are found and read, as in
            `ReadingOptions`. With `config` or `resume`, the defaults are the values of that run.

    Returns:
        The run with its scores.

    Raises:
        DistingoError: The subclass depends on the failure; the message explains what to do.
    """
    from distingo.datasets.splits.files import name_split
    from distingo.runs.config import read_config, resolve_corrections
    from distingo.tracking.following import choose_tracking, follow
    from distingo.training.request import RequestedOptions, TrainRequest, read_recipe_file, repeat
    from distingo.training.run import train_run
    from distingo.training.run_config import check_split_options

    resolve_language(language)  # raises before hours of training
    recipe, reading = training_options(options)
    folder = RunFolder(Path(output))
    if config is not None and recipe_file is not None:
        raise UsageError(
            f"{option('config')} and {option('recipe_file')} both name a recipe; leave one out",
            code="options_conflict",
            parameter="config",
        )
    recipe_from_file = None if recipe_file is None else read_recipe_file(Path(recipe_file))
    inputs = RequestedOptions(
        data=None if data is None else Path(data),
        options=recipe if recipe_from_file is None else recipe_from_file.fill_up(recipe, divided=split is not None),
        reading=reading,
        split=name_split(split, fold),
        near_duplicates=near_duplicates,
    )
    if config is not None:
        inputs = repeat(Path(config), inputs)
    check_split_options(inputs.split, recipe)
    source = inputs.data or (Path(read_config(folder).data) if resume else None)
    if source is None:
        raise UsageError(
            f"train needs {option('data')}, a folder of pictures (or {option('config')} of another run, or "
            f"{option('resume', value=True)})",
            code="missing_argument",
            parameter="data",
        )
    request = TrainRequest(
        data=source,
        output=folder.path,
        options=inputs.options,
        reading=replace(inputs.reading, corrections=resolve_corrections(inputs.reading.corrections)),
        repeats=inputs.repeats,
        split=inputs.split,
        near_duplicates=inputs.near_duplicates,
        recipe_file=recipe_from_file,
        resume=resume,
    )
    try:
        with follow(choose_tracking(track, track_to), folder, source) as listener:
            train_run(replace(request, on_epoch=_both(on_epoch, listener)))
            evaluation = evaluate(folder.path, language=language, **of_machine(options))
    except KeyboardInterrupt:
        raise InterruptionError(folder.describe_interruption(), code="interrupted") from None
    return Run(folder.path, evaluation, folder.report)


def _both(
    first: Callable[[EpochRecord], None] | None, second: Callable[[EpochRecord], None]
) -> Callable[[EpochRecord], None]:
    def report(record: EpochRecord) -> None:
        if first is not None:
            first(record)
        second(record)

    return report


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
        output: A new folder for a run folder per model, ``comparison.html`` and ``comparison.json``.
        models: Names as for `train`; ``NAME:frozen``, ``NAME:finetune`` and ``NAME:scratch`` set a pretrained
            backbone's mode, so that modes of the same backbone can be compared.
        resume: Whether to resume interrupted runs; finished ones are not trained again.
        **options: As for `train`, as in `SeveralOptions`; options of pretrained backbones apply to backbones only.

    Returns:
        The comparison, the best run first.

    Raises:
        DistingoError: The subclass depends on the failure.
    """
    from distingo.training.defaults import plan_runs

    root = Path(output)
    plans = plan_runs(as_names(models, "models"), name_recipe_fields(options))
    resume = resume or _were_begun(root, [plan.folder for plan in plans])
    if not resume:
        require_free(root, resumable=True)
    for plan in plans:
        folder = root / plan.folder
        is_resumed = resume and RunFolder(folder).config.is_file()
        logging.getLogger("distingo").info("%s:", plan.folder)
        train(data, folder, resume=is_resumed, **plan.options)
    return compare([root / plan.folder for plan in plans], root)


def _were_begun(place: Path, runs: Sequence[str]) -> bool:
    """Whether a folder contains runs of the same call, which was interrupted before the comparison."""
    if not place.is_dir() or (place / "comparison.json").exists():
        return False
    names = {path.name for path in place.iterdir() if not is_half_written(path)}
    return bool(names) and names <= set(runs)


def demo(output: str | Path = "demo", **options: Unpack[SeveralOptions]) -> Run:
    """Train on scikit-learn's handwritten digits, which are written as PNG files in class folders.

    Args:
        output: A new folder for ``digits`` (the images) and ``run``.
        **options: As for `train`, as in `SeveralOptions`.

    Returns:
        The run.

    Raises:
        RunError: The folder exists already.
    """
    from distingo.download.sets import write_digits

    root = Path(output)
    run = RunFolder(root / "run")
    if run.is_finished() or not (root / "digits").is_dir():
        require_free(root)
    begin_folder(root)
    write_digits(root / "digits")
    end_beginning(root)
    options.setdefault("epochs", 8)
    return train(root / "digits", root / "run", **options)


def list_models() -> tuple[CatalogEntry, ...]:
    """List the models that `train` can train by name, without pretrained backbones."""
    return tuple(CATALOG.values())


def list_backbones(pattern: str = "*") -> tuple[ListedBackbone, ...]:
    """List timm's pretrained backbones with their number of parameters, input size and license.

    Args:
        pattern: A pattern with ``*`` and ``?``, a part of the name, or a preset (``fast``, ``good``, ``best``).

    Returns:
        The backbones, sorted by name.

    Raises:
        ModelError: No backbone matches the pattern.
    """
    from distingo.models.hub import list_backbones as list_all

    return list_all(pattern)


def fetch_weights(name: str) -> Path:
    """Download a pretrained backbone's weights into the Hugging Face Hub's cache.

    The environment variables ``HF_ENDPOINT``, ``HF_HOME`` and ``HF_TOKEN`` and those for proxies apply; they are read
    when the ``huggingface_hub`` package is first imported.

    Args:
        name: A preset, a timm name with or without tag, or ``hf-hub:OWNER/NAME``.

    Returns:
        The path of the weights file, whose size and hash match those on the Hub.

    Raises:
        ModelError: There is no such backbone, no network connection, or no usable file on the Hub.
        ResourceError: The disk is full.
    """
    from distingo.models.backbones import fetch_weights as fetch

    return fetch(name)
