"""Calls that put a trained model to work.

Calls that take a trained model elsewhere.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from distingo.aliases import choose_alias
from distingo.errors import UsageError, option
from distingo.files import as_paths

if TYPE_CHECKING:
    from distingo.exporting.run import Exported
    from distingo.prediction.bulk import BulkPrediction
    from distingo.prediction.predictions import OnError, Predictions
    from distingo.prediction.predictor import Predictor
    from distingo.prediction.sort_journal import Unsorting
    from distingo.runtime.description import ExportFormat, Precision


_IN_MEMORY = "; images in memory are for distingo.load(run).predict"

EngineName = Literal["auto", "torch", "openvino"]


def predict(
    run: str | Path,
    paths: str | Path | Sequence[str | Path],
    *,
    topk: int | None = None,
    top_k: int | None = None,
    abstain: float | None = None,
    coverage: float | None = None,
    output: str | Path | None = None,
    sort_into: str | Path | None = None,
    sort_as: Literal["copy", "link"] | None = None,
    dry_run: bool = False,
    image_column: str | None = None,
    image_folder: str | Path | None = None,
    device: str = "auto",
    engine: EngineName = "auto",
    workers: int | None = None,
    max_pixels: int | None = None,
    on_error: OnError | None = None,
) -> Predictions:
    """Name what pictures show.

    Args:
        run: A run folder.
        paths: One or several: files; folders that are searched; tables (``.csv``, ``.tsv``, ``.jsonl``,
            ``.parquet``) with a column of paths; patterns such as ``photos/**/*.jpg``; ``-`` for paths from standard
            input, one a line.
        topk: Keep the so many most probable labels per picture. None keeps all of a single-label model, and with
            several labels those that reach their thresholds.
        top_k: Another name of `topk`.
        abstain: Answer only where at most this share of answers is wrong, as the validation pictures vouch for; the
            other pictures are marked as not known.
        coverage: Give each picture the set of labels that holds this share of the true ones.
        output: A ``.csv``, ``.jsonl`` or ``.parquet`` file to write; an existing one is not overwritten. Until all is
            there, the rows are in ``OUTPUT.partial``, which the same call goes on from.
        sort_into: A folder to put the pictures into by class, outside the folders they are in; nothing in it is
            overwritten. `undo_sorting` takes them out again.
        sort_as: As what: ``copy``, or ``link`` for symbolic links.
        dry_run: Only plan the sorting.
        image_column: Of tables; None recognises it.
        image_folder: What relative paths in tables start from; None is the table's own folder, else the working one.
        device: Where networks compute.
        engine: What runs a network: ``auto`` takes the one that it was trained with, else the fastest here.
        workers: Decoding threads; None takes one per core.
        max_pixels: Of larger images no prediction is made; None is the run's own limit, else 178,956,970.
        on_error: ``row``: a picture that is missing or can't be read gets a row with its error; ``raise``: it raises;
            None: a missing file raises, another fault gives a row.

    Returns:
        One prediction per picture, in a list with `to_pandas`.

    Raises:
        RunError: The run folder is damaged, unfinished or newer.
        DataError: As `on_error` says.
        UsageError: No path exists, there is no file, an option is not allowed, or the validation pictures can't vouch
            for a wanted level.
        ResourceError: The output exists, or something can't be written.
    """
    from distingo.prediction.predictions import Predictions
    from distingo.progress import progress_bar

    stream = predict_stream(
        run,
        paths,
        topk=topk,
        top_k=top_k,
        abstain=abstain,
        coverage=coverage,
        output=output,
        sort_into=sort_into,
        sort_as=sort_as,
        dry_run=dry_run,
        image_column=image_column,
        image_folder=image_folder,
        device=device,
        engine=engine,
        workers=workers,
        max_pixels=max_pixels,
        on_error=on_error,
    )
    predictions = []
    total = stream.pictures.count() if sys.stderr.isatty() else 0
    with progress_bar("Predicting", total) as advance:
        for prediction in stream:
            predictions.append(prediction)
            advance()
    return Predictions(predictions, None, stream.value_ranges, stream.max_pixels)


def predict_stream(
    run: str | Path,
    paths: str | Path | Sequence[str | Path],
    *,
    topk: int | None = None,
    top_k: int | None = None,
    abstain: float | None = None,
    coverage: float | None = None,
    output: str | Path | None = None,
    sort_into: str | Path | None = None,
    sort_as: Literal["copy", "link"] | None = None,
    dry_run: bool = False,
    image_column: str | None = None,
    image_folder: str | Path | None = None,
    device: str = "auto",
    engine: EngineName = "auto",
    workers: int | None = None,
    max_pixels: int | None = None,
    on_error: OnError | None = "row",
) -> BulkPrediction:
    """As `predict`, but one prediction after another, in memory that does not grow with the number of pictures.

    Pictures are looked at, written down and sorted as the predictions are taken. A missing one is a row with its error
    here, if `on_error` does not say otherwise.

    Returns:
        To be iterated over once; the table appears at its end.

    Raises:
        DistingoError: As `predict`, for the most part before the first picture is looked at.
    """
    from distingo.prediction.bulk import BulkPrediction, BulkRequest
    from distingo.prediction.given_images import GivenPictures
    from distingo.prediction.sorting import Sorting

    if (sort_into is None) != (sort_as is None):
        raise UsageError(
            f"{option('sort_into')} needs one of {option('sort_as', 'copy')} and {option('sort_as', 'link')}, and "
            f"they need {option('sort_into')} FOLDER",
            code="needs_other_option",
            parameter="sort_into",
        )
    if dry_run and sort_into is None:
        raise UsageError(
            f"{option('dry_run', value=True)} shows what {option('sort_into')} would do; add {option('sort_into')} "
            "FOLDER, or leave it out",
            code="needs_other_option",
            parameter="dry_run",
        )
    if dry_run and output is not None:
        raise UsageError(
            f"{option('dry_run', value=True)} shows what {option('sort_into')} would do and writes nothing; leave "
            f"{option('output')} out",
            code="options_conflict",
            parameter="dry_run",
        )
    sorting = None
    if sort_into is not None and sort_as is not None:
        sorting = Sorting(Path(sort_into), sort_as, dry_run=dry_run)
    return BulkPrediction(
        BulkRequest(
            run=Path(run),
            pictures=GivenPictures(as_paths(paths, "paths", instead=_IN_MEMORY), image_column, image_folder),
            topk=choose_alias("topk", topk, "top_k", top_k),
            abstain=abstain,
            coverage=coverage,
            output=None if output is None else Path(output),
            sorting=sorting,
            device=device,
            engine=engine,
            workers=workers,
            max_pixels=max_pixels,
            on_error=on_error,
        )
    )


def undo_sorting(folder: str | Path) -> Unsorting:
    """Take out again what `predict` sorted into a folder; what was changed or added there stays.

    Args:
        folder: That the pictures were sorted into.

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
    """Load a trained model; ``load(run).predict([...])`` names what pictures show.

    Args:
        run: A run folder.
        device: Where networks compute.
        engine: As for `predict`.
        max_pixels: Larger images are not read; None is the run's own limit, else 178,956,970 (for images in memory
            none).

    Returns:
        A predictor; its `stream` takes any number of pictures.

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
    """Write a run's model in another format, and check it on real pictures against the original.

    Args:
        run: A run folder.
        output: The folder to make; None makes one in the run's ``exports``.
        format: ``onnx``, ``openvino`` or ``torch-export``.
        half: Keep weights in 16 bits.
        int8: Compute in 8-bit integers, calibrated on training pictures.
        check_on: A folder of pictures to check on, instead of the run's test and validation pictures.

    Returns:
        Where it lies and what the check found. `distingo.runtime` predicts from ONNX and OpenVINO without torch.

    Raises:
        RunError: The run folder is missing, damaged, unfinished or newer.
        ModelError: The model is no network, or can't be written in this format.
        UsageError: The format does not have the precision, or a package is missing.
        DataError: There is no picture to check or calibrate on.
        ExportError: The export does not say what the original says; nothing is left of it.
        ResourceError: The folder exists or can't be written.
    """
    from distingo.exporting.run import ExportRequest, export_run
    from distingo.machine.device import prepare_process
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
