"""Calls that put a trained model to work.

Calls that take a trained model elsewhere.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from distingo.aliases import choose_alias
from distingo.errors import UsageError, option
from distingo.files import as_paths
from distingo.options.fields import require_known
from distingo.options.prediction import EngineName, PredictOptions, PredictSettings

if TYPE_CHECKING:
    from distingo.exporting.run import Exported
    from distingo.prediction.bulk import BulkPrediction
    from distingo.prediction.predictions import Predictions
    from distingo.prediction.predictor import Predictor
    from distingo.prediction.sort_journal import Unsorting
    from distingo.runtime.description import ExportFormat, Precision


_IN_MEMORY = "; images in memory are for distingo.load(run).predict"


def predict(
    run: str | Path,
    paths: str | Path | Sequence[str | Path],
    **options: Unpack[PredictOptions],
) -> Predictions:
    """Name what images show.

    Args:
        run: A run folder.
        paths: One or several: files; folders that are searched; tables (``.csv``, ``.tsv``, ``.jsonl``,
            ``.parquet``) with a column of paths; patterns such as ``photos/**/*.jpg``; ``-`` for paths from standard
            input, one a line.
        **options: How images are named and where predictions and images go, as in `PredictOptions`.

    Returns:
        One prediction per image, in a list with `to_pandas`.

    Raises:
        RunError: The run folder is damaged, unfinished or newer.
        DataError: As `on_error` says.
        UsageError: No path exists, there is no file, an option is not allowed, or the validation images can't vouch
            for a wanted level.
        ResourceError: The output exists, or something can't be written.
    """
    from distingo.prediction.predictions import Predictions
    from distingo.progress import progress_bar

    options.setdefault("on_error", None)
    stream = predict_stream(run, paths, **options)
    predictions = []
    total = stream.images.count() if sys.stderr.isatty() else 0
    with progress_bar("Predicting", total) as advance:
        for prediction in stream:
            predictions.append(prediction)
            advance()
    return Predictions(predictions, None, stream.value_ranges, stream.max_pixels)


def predict_stream(
    run: str | Path,
    paths: str | Path | Sequence[str | Path],
    **options: Unpack[PredictOptions],
) -> BulkPrediction:
    """As `predict`, but one prediction after another, in memory that does not grow with the number of images.

    Images are looked at, written down and sorted as the predictions are taken. A missing one is a row with its error
    here, unless `on_error` is given.

    Args:
        run: A run folder.
        paths: As for `predict`.
        **options: As for `predict`.

    Returns:
        To be iterated over once; the table appears at its end.

    Raises:
        DistingoError: As `predict`, for the most part before the first image is looked at.
    """
    from distingo.prediction.bulk import BulkPrediction, BulkRequest
    from distingo.prediction.given_images import GivenImages
    from distingo.prediction.sorting import Sorting

    require_known(options, PredictOptions.__annotations__, "predict_stream")
    topk = choose_alias("topk", options.pop("topk", None), "top_k", options.pop("top_k", None))
    settings = PredictSettings(topk=topk, **{"on_error": "row", **options})  # type: ignore[arg-type]
    if (settings.sort_into is None) != (settings.sort_as is None):
        raise UsageError(
            f"{option('sort_into')} needs one of {option('sort_as', 'copy')} and {option('sort_as', 'link')}, and "
            f"they need {option('sort_into')} FOLDER",
            code="needs_other_option",
            parameter="sort_into",
        )
    if settings.dry_run and settings.sort_into is None:
        raise UsageError(
            f"{option('dry_run', value=True)} shows what {option('sort_into')} would do; add {option('sort_into')} "
            "FOLDER, or leave it out",
            code="needs_other_option",
            parameter="dry_run",
        )
    if settings.dry_run and settings.output is not None:
        raise UsageError(
            f"{option('dry_run', value=True)} shows what {option('sort_into')} would do and writes nothing; leave "
            f"{option('output')} out",
            code="options_conflict",
            parameter="dry_run",
        )
    sorting = None
    if settings.sort_into is not None and settings.sort_as is not None:
        sorting = Sorting(Path(settings.sort_into), settings.sort_as, dry_run=settings.dry_run)
    return BulkPrediction(
        BulkRequest(
            run=Path(run),
            images=GivenImages(
                as_paths(paths, "paths", instead=_IN_MEMORY), settings.image_column, settings.image_folder
            ),
            topk=settings.topk,
            abstain=settings.abstain,
            coverage=settings.coverage,
            output=None if settings.output is None else Path(settings.output),
            sorting=sorting,
            device=settings.device,
            engine=settings.engine,
            workers=settings.workers,
            max_pixels=settings.max_pixels,
            on_error=settings.on_error,
        )
    )


def undo_sorting(folder: str | Path) -> Unsorting:
    """Take out again what `predict` sorted into a folder; what was changed or added there stays.

    Args:
        folder: That the images were sorted into.

    Returns:
        What was taken out, and what stays.

    Raises:
        DataError: There is no journal of a sorting in it, or a damaged one.
    """
    from distingo.prediction.sort_journal import undo_sorting as undo

    return undo(Path(folder))


def load(
    run: str | Path, *, device: str = "auto", engine: EngineName = "auto", max_pixels: int | None = None
) -> Predictor:
    """Load a trained model; ``load(run).predict([...])`` names what images show.

    Args:
        run: A run folder.
        device: Where networks compute.
        engine: As for `predict`.
        max_pixels: Larger images are not read; None is the run's own limit, else 178,956,970 (for images in memory
            none).

    Returns:
        A predictor; its `stream` takes any number of images.

    Raises:
        RunError: The folder is missing, damaged, unfinished or from a newer version.
    """
    from distingo.prediction.predictor import load as load_predictor

    return load_predictor(run, device=device, engine=engine, max_pixels=max_pixels)


def export(
    run: str | Path,
    output: str | Path | None = None,
    *,
    format: ExportFormat = "onnx",
    half: bool = False,
    int8: bool = False,
    check_on: str | Path | None = None,
) -> Exported:
    """Write a run's model in another format, and check it on real images against the original.

    Args:
        run: A run folder.
        output: The folder to make; None makes one in the run's ``exports``.
        format: ``onnx``, ``openvino`` or ``torch-export``.
        half: Keep weights in 16 bits.
        int8: Compute in 8-bit integers, calibrated on training images.
        check_on: A folder of images to check on, instead of the run's test and validation images.

    Returns:
        Where it lies and what the check found. `distingo.runtime` predicts from ONNX and OpenVINO without torch.

    Raises:
        RunError: The run folder is missing, damaged, unfinished or newer.
        ModelError: The model is no network, or can't be written in this format.
        UsageError: The format does not have the precision, or a package is missing.
        DataError: There is no image to check or calibrate on.
        ExportError: The export does not say what the original says; nothing is left of it.
        ResourceError: The folder exists or can't be written.
    """
    from distingo.exporting.run import ExportRequest, export_run
    from distingo.machine.process import prepare_process
    from distingo.runtime.description import MODEL_FILES

    if format not in MODEL_FILES:
        raise UsageError(
            f"{option('format')} {format}: choose one of {', '.join(MODEL_FILES)}",
            code="unknown_name",
            parameter="format",
        )
    if half and int8:
        raise UsageError(
            f"{option('half', value=True)} {option('int8', value=True)}: give one of the two",
            code="options_conflict",
            parameter="half",
        )
    prepare_process()
    precision: Precision = "half" if half else "int8" if int8 else "float32"
    request = ExportRequest(
        run=Path(run),
        exported_as=format,
        precision=precision,
        output=None if output is None else Path(output),
        check_on=None if check_on is None else Path(check_on),
    )
    return export_run(request)
