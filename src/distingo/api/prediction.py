"""Functions that load a trained model, predict with it, export it and serve it over HTTP."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from distingo.errors import UsageError, option
from distingo.files import as_names, as_paths
from distingo.options.commands import EngineName, PredictOptions, PredictSettings
from distingo.options.fields import choose_alias, require_keywords, warn_of_former_names
from distingo.serving.settings import ServeOptions, ServeSettings

if TYPE_CHECKING:
    from distingo.exporting.run import Exported
    from distingo.prediction.bulk import BulkPrediction
    from distingo.prediction.image_model import Predictions
    from distingo.prediction.predictor import Predictor
    from distingo.prediction.sort_journal import Unsorting
    from distingo.runtime.description import ExportFormat, Precision
    from distingo.serving.settings import NamedRun


_IN_MEMORY = "; images in memory are for distingo.load(run).predict"


def predict(
    run: str | Path,
    paths: str | Path | Sequence[str | Path],
    **options: Unpack[PredictOptions],
) -> Predictions:
    """Predict the classes of images.

    Args:
        run: A run folder.
        paths: One or several of: files; folders, which are searched; tables (``.csv``, ``.tsv``, ``.jsonl``,
            ``.parquet``) with a column of paths; patterns such as ``photos/**/*.jpg``; ``-`` for paths from standard
            input, one per line.
        **options: Decisions about labels, output files, sorting, and reading of images, as in `PredictOptions`.

    Returns:
        One prediction per image, in a list with the method `to_pandas`.

    Raises:
        RunError: The run folder is damaged, unfinished or from a newer version.
        DataError: An image can't be read, depending on `on_error`.
        UsageError: None of the paths exists, there is no file, an option is not allowed, or the calibration set can't
            guarantee a requested level.
        ResourceError: The output exists, or a file can't be written.
    """
    from distingo.prediction.image_model import Predictions
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
    """Predict the classes of images as a stream, in constant memory.

    Images are read, written to the output and sorted while the predictions are iterated over. A missing image gives a
    prediction with an error, unless `on_error` is set.

    Args:
        run: A run folder.
        paths: As for `predict`.
        **options: As for `predict`.

    Returns:
        An iterable of predictions, to be iterated over once; the output file is complete at its end.

    Raises:
        DistingoError: As for `predict`, usually before the first image is read.
    """
    from distingo.prediction.bulk import BulkPrediction, BulkRequest
    from distingo.prediction.given_images import GivenImages
    from distingo.prediction.outputs import Sorting

    require_keywords(options, PredictOptions.__annotations__, "predict_stream")
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
    """Remove the images that `predict` sorted into a folder; files that were changed or added there stay.

    Args:
        folder: The folder that the images were sorted into.

    Returns:
        The files that were removed, and those that stay.

    Raises:
        DataError: The folder has no journal of a sorting, or a damaged one.
    """
    from distingo.prediction.sort_journal import undo_sorting as undo

    return undo(Path(folder))


def load(
    run: str | Path, *, device: str = "auto", engine: EngineName = "auto", max_pixels: int | None = None
) -> Predictor:
    """Load a trained model; ``load(run).predict([...])`` predicts the classes of images.

    Args:
        run: A run folder.
        device: Where networks compute.
        engine: As for `predict`.
        max_pixels: Maximum number of pixels; larger images are not read. None takes the run's own limit, else
            178,956,970 (no limit for images in memory).

    Returns:
        A predictor; its method `stream` takes any number of images.

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
    """Export a run's model to another format, and compare its predictions with the original on real images.

    Args:
        run: A run folder.
        output: A new folder; None makes one in the run's ``exports``.
        format: ``onnx``, ``openvino`` or ``torch-export``.
        half: Whether to store weights in 16 bits.
        int8: Whether to compute in 8-bit integers, calibrated on training images.
        check_on: A folder of images for the comparison, instead of the run's test and validation images.

    Returns:
        The folder and the result of the comparison. `distingo.runtime` predicts with ONNX and OpenVINO exports without
        torch.

    Raises:
        RunError: The run folder is missing, damaged, unfinished or from a newer version.
        ModelError: The model is not a network, or can't be converted to this format.
        UsageError: The format does not support the precision, or a package is missing.
        DataError: There is no image to compare or calibrate on.
        ExportError: The export's predictions differ from the original's; the export is removed.
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


_PARTS = ("fastapi", "httptools", "orjson", "prometheus_client", "python_multipart", "uvicorn")


def serve(
    runs: str | Path | Sequence[str | Path],
    *,
    on_start: Callable[[str], None] | None = None,
    **options: Unpack[ServeOptions],
) -> None:
    """Serve trained models over HTTP until SIGTERM or Ctrl-C; requests in flight are finished before it returns.

    SIGHUP reloads the run folders that have changed, without dropping a request.

    Args:
        runs: Run folders, or ``NAME=FOLDER``.
        on_start: Called with the server's URL as soon as it accepts requests.
        **options: Address, access control and limits of the server, as in `ServeOptions`.

    Raises:
        RunError: A run folder is missing, damaged or unfinished.
        UsageError: A setting is out of range, or others could reach the server without a key.
        DataError: The file of corrections has another format.
        ResourceError: The port is in use, or the file of corrections can't be created.
    """
    _require_parts()
    from distingo.serving.corrections import CorrectionStore
    from distingo.serving.http.access import read_keys
    from distingo.serving.settings import name_runs

    require_keywords(options, ServeOptions.__annotations__, "serve")
    values: dict[str, Any] = {name: value for name, value in options.items() if name != "max_pictures"}
    warn_of_former_names(options)
    if "max_pictures" in options:
        values["max_images"] = choose_alias(
            "max_images", options.get("max_images"), "max_pictures", options["max_pictures"]
        )
    keys, corrections = values.pop("api_key_file", None), values.pop("corrections", None)
    values |= {name: as_names(values.get(name, ()), name) for name in ("allowed_hosts", "proxies")}
    settings = ServeSettings(
        key_hashes=() if keys is None else read_keys(Path(keys)),
        corrections=None if corrections is None else Path(corrections),
        **values,
    )
    settings.check()
    if settings.corrections is not None:
        CorrectionStore(settings.corrections)  # raises before any model is loaded
    _run(name_runs(as_paths(runs, "runs")), settings, on_start)


def _run(named: Sequence[NamedRun], settings: ServeSettings, on_start: Callable[[str], None] | None) -> None:
    from distingo.serving.http.access import listen, local_url
    from distingo.serving.settings import read_version

    for run in named:
        read_version(run.path)
    with listen(settings.host, settings.port) as listening:
        address = local_url(*listening.getsockname()[:2])

        def announce() -> None:
            if on_start is not None:
                on_start(address)

        if settings.workers > 1:
            from distingo.serving.supervisor import Supervisor

            Supervisor(named, settings, listening, announce).run()
        else:
            from distingo.serving.server import serve_process

            serve_process(named, settings, listening, on_ready=announce)


def _require_parts() -> None:
    from importlib.util import find_spec

    missing = [part for part in _PARTS if find_spec(part) is None]
    if missing:
        raise UsageError(
            f'serving needs {", ".join(missing)}; run: pip install "distingo[serve]"', code="missing_extra"
        )
