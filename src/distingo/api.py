"""One Python call for each command; importing it loads no torch, calling it does."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distingo.datasets.decoding import DEFAULT_MAX_PIXELS
from distingo.datasets.store import Cache
from distingo.errors import InterruptionError, ResourceError, RunError, UsageError
from distingo.models.catalogue import CATALOGUE, CatalogueEntry
from distingo.run_folder import RunFolder

if TYPE_CHECKING:
    from distingo.datasets.tables import TableOptions
    from distingo.evaluation.comparison import Comparison
    from distingo.models.backbone_listing import ListedBackbone
    from distingo.prediction.predictor import PictureLike, Predictor
    from distingo.records import Dataset, Evaluation, Prediction
    from distingo.training.checkpoint import EpochRecord


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run.

    Attributes:
        path: The run folder.
        evaluation: Its scores on the test side.
        report: The page to open.
    """

    path: Path
    evaluation: Evaluation
    report: Path


def train(  # noqa: PLR0913 - each is a word that a person may say
    data: str | Path | None = None,
    output: str | Path = "run",
    *,
    config: str | Path | None = None,
    resume: bool = False,
    workers: int | None = None,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    cache: str | Path | None = None,
    table: TableOptions | None = None,
    allow_missing: bool = False,
    on_epoch: Callable[[EpochRecord], None] | None = None,
    **recipe: Any,
) -> Run:
    """Train a classifier on a folder of pictures, judge it once on its test side, and write a report.

    Args:
        data: Folder of pictures, or a table of labels beside them; may be left out with `config` or `resume`, which
            name it.
        output: The run folder to make.
        config: A ``config.json`` of another run to repeat.
        resume: Go on with the run in `output`.
        workers: Decoding threads; None takes one per core.
        max_pixels: Larger pictures are listed as unusable.
        cache: Folder for decoded pictures; None takes ``DISTINGO_CACHE`` or the user's cache folder.
        table: What to know about the table of labels; what is left out is recognised.
        allow_missing: Go on even if half of the pictures that the table names are missing.
        on_epoch: Called with an `EpochRecord` after every epoch.
        **recipe: Any field of `distingo.training.recipe.Recipe`, and ``image_size`` (a number or (height, width)).

    Returns:
        The run with its scores.

    Raises:
        DistingoError: Of the kind that fits the mistake or hindrance; its text says what to do.
    """
    from distingo.training.preparing import TrainRequest
    from distingo.training.repeating import Wanted, repeat
    from distingo.training.run import train_run

    folder = RunFolder(Path(output))
    wanted = Wanted(data=None if data is None else Path(data), wishes=recipe, table=table, allow_missing=allow_missing)
    if config is not None:
        wanted = repeat(Path(config), wanted)
    place = wanted.data or (Path(folder.read_config()["data"]) if resume else None)
    if place is None:
        raise UsageError("train needs DATA, a folder of pictures (or --config of another run, or --resume)")
    request = TrainRequest(
        data=place,
        output=folder.path,
        wishes=wanted.wishes,
        cache=_cache(cache),
        workers=workers,
        max_pixels=max_pixels,
        table=wanted.table,
        allow_missing=wanted.allow_missing,
        resume=resume,
        on_epoch=on_epoch,
    )
    try:
        train_run(request)
    except KeyboardInterrupt:
        raise InterruptionError(folder.how_to_resume()) from None
    evaluation = evaluate(folder.path, cache=cache, workers=workers, max_pixels=max_pixels)
    return Run(folder.path, evaluation, folder.report)


def train_several(
    data: str | Path | None = None,
    output: str | Path = "run",
    *,
    models: Sequence[str],
    resume: bool = False,
    **options: Any,
) -> Comparison:
    """Train several models on the same pictures and the same split, and write a page that compares them.

    Args:
        data: Folder of pictures.
        output: A new folder; gets a run folder for each model, ``comparison.html`` and ``comparison.json``.
        models: Names as for `train`; ``NAME:frozen``, ``NAME:finetune`` and ``NAME:scratch`` name a pretrained
            backbone's mode, so that one backbone can be compared with itself.
        resume: Take up runs that were interrupted; finished ones are kept.
        **options: As for `train`; those about pretrained backbones go to the backbones only.

    Returns:
        The runs beside each other, the best one first.

    Raises:
        DistingoError: Of the kind that fits the mistake or hindrance.
    """
    from distingo.training.several import plan_runs

    place = Path(output)
    if not resume and place.exists() and (not place.is_dir() or any(place.iterdir())):
        raise RunError(f"{place}: exists and is not an empty folder; choose another -o, or --resume to go on there")
    plans = plan_runs(models, options)
    for plan in plans:
        folder = place / plan.folder
        going_on = resume and RunFolder(folder).config.is_file()
        logging.getLogger("distingo").info("%s:", plan.folder)
        train(data, folder, resume=going_on, **plan.options)
    return compare([place / plan.folder for plan in plans], place)


def evaluate(
    run: str | Path,
    data: str | Path | None = None,
    *,
    device: str = "auto",
    workers: int | None = None,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    cache: str | Path | None = None,
    table: TableOptions | None = None,
    allow_missing: bool = False,
) -> Evaluation:
    """Judge a run's model and its baselines.

    Args:
        run: A run folder.
        data: Other pictures to judge on; None takes the run's own test side.
        device: Where networks compute.
        workers: Decoding threads; None takes one per core.
        max_pixels: Larger pictures are listed as unusable.
        cache: As in `train`.
        table: What to know about a table of labels in `data`; the run's own is read as it was for training.
        allow_missing: As in `train`.

    Returns:
        The scores; they also lie in ``evaluation.json`` and on the page ``report.html``, in the run folder or, for
        other data, in ``evaluations/<name of the data>`` in it.

    Raises:
        RunError: The run folder is damaged, unfinished or newer.
        DataError: The data can't be judged on.
    """
    from distingo.evaluation.evaluating import EvaluateRequest, evaluate_run
    from distingo.report.page import write_report as write_page

    request = EvaluateRequest(
        run=Path(run),
        data=None if data is None else Path(data),
        cache=_cache(cache),
        workers=workers,
        max_pixels=max_pixels,
        device=device,
        table=table,
        allow_missing=allow_missing,
    )
    evaluation, place = evaluate_run(request)
    write_page(Path(run), None if data is None else place)
    return evaluation


def compare(runs: Sequence[str | Path], output: str | Path = "comparison") -> Comparison:
    """Put finished runs side by side that were judged on the same pictures.

    Args:
        runs: At least two run folders.
        output: A folder; gets ``comparison.json`` and ``comparison.html``, older ones are replaced.

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

    comparison = compare_runs([Path(run) for run in runs])
    write_comparison_page(comparison, Path(output))
    write_comparison(comparison, Path(output))
    return comparison


def predict(
    run: str | Path,
    paths: Sequence[str | Path],
    *,
    topk: int | None = None,
    output: str | Path | None = None,
    device: str = "auto",
) -> list[Prediction]:
    """Name what pictures show.

    Args:
        run: A run folder.
        paths: Files, or folders that are searched.
        topk: Keep the so many most probable labels per picture. None keeps all of a single-label model, and with
            several labels those that reach their thresholds.
        output: A ``.csv``, ``.jsonl`` or ``.parquet`` file to write; an existing one is not overwritten.
        device: Where networks compute.

    Returns:
        One prediction per picture; one that can't be read carries its error.

    Raises:
        RunError: The run folder is damaged, unfinished or newer.
        UsageError: No path exists, there is no file, or the output's ending is unknown.
    """
    from distingo.prediction.predictor import find_pictures
    from distingo.prediction.tables import check_table, write_table

    if output is not None:
        check_table(Path(output))
    pictures: list[PictureLike] = list(find_pictures(paths))
    predictions = load(run, device=device).predict(pictures, topk=topk)
    if output is not None:
        write_table(predictions, Path(output))
    return predictions


def load(run: str | Path, *, device: str = "auto") -> Predictor:
    """Load a trained model; ``load(run).predict([...])`` names what pictures show.

    Args:
        run: A run folder.
        device: Where networks compute.

    Returns:
        A predictor.

    Raises:
        RunError: The folder is missing, damaged, unfinished or from a newer version.
    """
    from distingo.prediction.predictor import load as load_predictor

    return load_predictor(run, device=device)


def write_report(run: str | Path) -> Path:
    """Write the run's ``report.html``, one self-contained page.

    Args:
        run: A run folder.

    Returns:
        The page.

    Raises:
        RunError: The run folder is damaged or newer.
    """
    from distingo.report.page import write_report as write_page

    RunFolder(Path(run)).read_config()
    return write_page(Path(run))


def list_models() -> tuple[CatalogueEntry, ...]:
    """Every model that ``train`` knows by name."""
    return tuple(CATALOGUE.values())


def list_backbones(pattern: str = "*") -> tuple[ListedBackbone, ...]:
    """List the pretrained backbones that timm knows, with size, input and licence.

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

    ``HF_ENDPOINT``, ``HF_HOME``, ``HF_TOKEN`` and proxies are honoured; they are read when the hub's library is first
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


def inspect(
    data: str | Path,
    output: str | Path | None = None,
    *,
    workers: int | None = None,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    cache: str | Path | None = None,
    table: TableOptions | None = None,
    allow_missing: bool = False,
) -> Dataset:
    """Account for every file of a data set.

    Args:
        data: Folder of pictures, or a table of labels beside them.
        output: An HTML page to write, which may replace an older page of distingo's; None writes none.
        workers: Decoding threads; None takes one per core.
        max_pixels: Larger pictures are listed as unusable.
        cache: As in `train`.
        table: What to know about the table of labels; what is left out is recognised.
        allow_missing: Go on even if half of the pictures that the table names are missing.

    Returns:
        The pictures and the manifest.

    Raises:
        DataError: There is nothing to train on; says why.
        UsageError: `table` does not fit the data.
    """
    from distingo.datasets.gathering import read_dataset
    from distingo.report.templating import require_page

    if output is not None:
        require_page(Path(output))
    dataset = read_dataset(
        Path(data),
        cache=_cache(cache),
        workers=workers,
        max_pixels=max_pixels,
        table=table,
        allow_missing=allow_missing,
    )
    if output is not None:
        from distingo.report.inspection import write_inspection

        write_inspection(dataset, Path(output))
    return dataset


def show_augmentation(
    data: str | Path, preset: str, output: str | Path, *, image_size: int | None = None, seed: int = 0
) -> Path:
    """Draw pictures beside their augmented versions, as training would see them.

    Args:
        data: Folder of pictures.
        preset: Name of an augmentation preset.
        output: A PNG file; an existing one is not overwritten.
        image_size: Side in pixels; None takes training's own choice.
        seed: Of the augmentation.

    Returns:
        The picture.

    Raises:
        UsageError: There is no such preset.
        ResourceError: The output exists.
    """
    import numpy as np

    from distingo.report.samples import write_contact_sheet
    from distingo.training.preview import preview_augmentation

    if Path(output).exists():
        raise ResourceError(f"{output}: exists already; choose another -o")
    rows = preview_augmentation(Path(data), preset, cache=_cache(None), image_size=image_size, seed=seed)
    columns = len(rows[0])
    captions = [caption for row in rows for caption in ["original", *[""] * (len(row) - 1)]]
    images = [np.squeeze(image) for row in rows for image in row]
    write_contact_sheet(images, captions, Path(output), columns=columns)
    return Path(output)


def demo(output: str | Path = "demo", **options: Any) -> Run:
    """Train on handwritten digits that come with scikit-learn, written out as PNG files in class folders.

    Args:
        output: A new folder; gets ``digits`` (the pictures) and ``run``.
        **options: As for `train`.

    Returns:
        The run.

    Raises:
        RunError: The folder exists already.
    """
    from distingo.datasets.digits import write_digits

    place = Path(output)
    if place.exists() and any(place.iterdir()):
        raise RunError(f"{place}: exists and is not an empty folder; choose another -o")
    write_digits(place / "digits")
    return train(place / "digits", place / "run", **{"epochs": 8, **options})


def _cache(folder: str | Path | None) -> Cache:
    return Cache(None if folder is None else Path(folder))
