"""One Python call for each command; importing it loads no torch, calling it does."""

from __future__ import annotations

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


def train(
    data: str | Path | None = None,
    output: str | Path = "run",
    *,
    config: str | Path | None = None,
    resume: bool = False,
    workers: int | None = None,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    cache: str | Path | None = None,
    on_epoch: Callable[[EpochRecord], None] | None = None,
    **recipe: Any,
) -> Run:
    """Train a classifier on a folder of pictures, judge it once on its test side, and write a report.

    Args:
        data: Folder of pictures; may be left out with `config` or `resume`, which name it.
        output: The run folder to make.
        config: A ``config.json`` of another run to repeat.
        resume: Go on with the run in `output`.
        workers: Decoding threads; None takes one per core.
        max_pixels: Larger pictures are listed as unusable.
        cache: Folder for decoded pictures; None takes ``DISTINGO_CACHE`` or the user's cache folder.
        on_epoch: Called with an `EpochRecord` after every epoch.
        **recipe: Any field of `distingo.training.recipe.Recipe`, and ``image_size`` (a number or (height, width)).

    Returns:
        The run with its scores.

    Raises:
        DistingoError: Of the kind that fits the mistake or hindrance; its text says what to do.
    """
    from distingo.training.run import TrainRequest, train_run

    data, wishes = _repeat(data, config, recipe)
    if resume:
        data = data or RunFolder(Path(output)).read_config()["data"]
    if data is None:
        raise UsageError("train needs DATA, a folder of pictures (or --config of another run, or --resume)")
    request = TrainRequest(
        data=Path(data),
        output=Path(output),
        wishes=wishes,
        cache=_cache(cache),
        workers=workers,
        max_pixels=max_pixels,
        resume=resume,
        on_epoch=on_epoch,
    )
    try:
        folder = train_run(request)
    except KeyboardInterrupt:
        raise InterruptionError(_how_to_resume(Path(output))) from None
    evaluation = evaluate(folder.path, cache=cache, workers=workers, max_pixels=max_pixels)
    return Run(folder.path, evaluation, write_report(folder.path))


def _repeat(
    data: str | Path | None, config: str | Path | None, recipe: dict[str, Any]
) -> tuple[str | Path | None, dict[str, Any]]:
    if config is None:
        return data, recipe
    from distingo.files import read_json
    from distingo.run_folder import check_format

    content = read_json(Path(config))
    check_format(content, Path(config))
    repeated = dict(content["recipe"])
    if "image_size" in recipe:
        del repeated["height"], repeated["width"]
    return data or content["data"], {**repeated, **recipe}


def _how_to_resume(output: Path) -> str:
    if RunFolder(output).last_checkpoint.is_file():
        return f"stopped; `distingo train -o {output} --resume` goes on from the last finished epoch"
    if RunFolder(output).config.is_file():
        return f"stopped before the first epoch ended; `distingo train -o {output} --resume` starts it again"
    return "stopped before training began; nothing was written"


def evaluate(
    run: str | Path,
    data: str | Path | None = None,
    *,
    device: str = "auto",
    workers: int | None = None,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    cache: str | Path | None = None,
) -> Evaluation:
    """Judge a run's model and its baselines.

    Args:
        run: A run folder.
        data: Other pictures to judge on; None takes the run's own test side.
        device: Where networks compute.
        workers: Decoding threads; None takes one per core.
        max_pixels: Larger pictures are listed as unusable.
        cache: As in `train`.

    Returns:
        The scores; they also lie in ``evaluation.json``.

    Raises:
        RunError: The run folder is damaged, unfinished or newer.
        DataError: The data can't be judged on.
    """
    from distingo.evaluation.evaluating import EvaluateRequest, evaluate_run

    request = EvaluateRequest(
        run=Path(run),
        data=None if data is None else Path(data),
        cache=_cache(cache),
        workers=workers,
        max_pixels=max_pixels,
        device=device,
    )
    return evaluate_run(request)[0]


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
        topk: Keep so many labels per picture; None keeps all.
        output: A ``.csv``, ``.jsonl`` or ``.parquet`` file to write; an existing one is not overwritten.
        device: Where networks compute.

    Returns:
        One prediction per picture; one that can't be read carries its error.

    Raises:
        RunError: The run folder is damaged, unfinished or newer.
        UsageError: A path does not exist, or the output's ending is unknown.
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


def inspect(
    data: str | Path,
    output: str | Path | None = None,
    *,
    workers: int | None = None,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    cache: str | Path | None = None,
) -> Dataset:
    """Account for every file of a data set.

    Args:
        data: Folder of pictures.
        output: An HTML page to write; None writes none.
        workers: Decoding threads; None takes one per core.
        max_pixels: Larger pictures are listed as unusable.
        cache: As in `train`.

    Returns:
        The pictures and the manifest.

    Raises:
        DataError: There is nothing to train on; says why.
    """
    from distingo.datasets.gathering import read_dataset

    if output is not None and Path(output).exists():
        raise ResourceError(f"{output}: exists already; choose another -o")
    dataset = read_dataset(Path(data), cache=_cache(cache), workers=workers, max_pixels=max_pixels)
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
