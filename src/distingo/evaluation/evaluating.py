"""Evaluation of a finished run's model and baselines on unseen images, and measurement of prediction speed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from PIL import Image

from distingo.datasets.cache.store import Cache
from distingo.datasets.corrections import find_corrections
from distingo.datasets.decoding.decode import open_source
from distingo.datasets.gathering import read_dataset
from distingo.datasets.options import Reading
from distingo.errors import DataError, DistingoError, RunError, UsageError, name_some, option, quote
from distingo.evaluation.scores import MODEL, evaluate, evaluate_confidence
from distingo.machine.device import choose_device, choose_precision
from distingo.machine.memory import forget_peak_memory, peak_memory
from distingo.machine.process import prepare_process
from distingo.messages.notes import Note, note
from distingo.models.saved import SavedModel, load_model
from distingo.prediction.classifier import Outputs, input_product, predict_outputs, to_probabilities
from distingo.prediction.predictor import Predictor
from distingo.records import Dataset, LabeledImage, Source, Split
from distingo.runs import evaluation as run_cost
from distingo.runs.config import RunConfig, copied_corrections, read_config
from distingo.runs.contents import read_run
from distingo.runs.data import read_split, write_manifest, write_split
from distingo.runs.evaluation import (
    OtherData,
    PredictionCost,
    write_confidence,
    write_cost,
    write_evaluation,
    write_other_data,
)
from distingo.runs.folder import RunFolder
from distingo.runs.predictions import write_predictions
from distingo.safe_paths import find_link_above
from distingo.scores import Evaluation
from distingo.training.baselines import BASELINES

_LARGEST_BATCH = 64

_SECONDS_OF_BATCH = 0.0625


def measure_throughput(
    model: SavedModel, images: Sequence[LabeledImage], device: str = "auto", *, cache: Cache | None = None
) -> PredictionCost | None:
    """Measure the speed of `distingo.prediction.predictor.Predictor` from files to labels, without cached images.

    Before the measurement, one image is predicted twice, for the initialization and for choosing the batch size, and
    then one batch, because a network takes longer for the first batch of a new size.

    Args:
        model: A trained model.
        images: Images with their files. They are predicted in order, repeatedly if needed, for
            `distingo.runs.evaluation.MEASURED_SECONDS`; the record contains their number.
        device: Device of the network.
        cache: Cache for a converted network; None does not cache it.

    Returns:
        The measurement; None if there is no image, or one can no longer be read.
    """
    if not images:
        return None
    peak = peak_memory()
    predictor = Predictor(model, device, cache=cache)
    try:
        _seconds(predictor, images[:1])
        batch = max(1, min(_LARGEST_BATCH, int(_SECONDS_OF_BATCH / max(_seconds(predictor, images[:1]), 1e-6))))
        _seconds(predictor, images[:batch])
        count, seconds = 0, 0.0
        while seconds < run_cost.MEASURED_SECONDS:
            start = count % len(images)
            batch_images = images[start : start + batch]
            seconds += _seconds(predictor, batch_images)
            count += len(batch_images)
    except (DistingoError, OSError):
        return None
    return PredictionCost(
        images_per_second=round(count / seconds, 2),
        images=count,
        seconds=round(seconds, 6),
        device=predictor.device.type,
        precision=predictor.precision,
        peak_memory_bytes=peak,
    )


def _seconds(predictor: Predictor, images: Sequence[LabeledImage]) -> float:
    started = time.perf_counter()
    predictions = predictor.predict([_to_be_read(image.source) for image in images], topk=1)
    seconds = time.perf_counter() - started
    for prediction in predictions:
        if prediction.error:
            raise DataError(f"{prediction.file}: {prediction.error}", code="damaged_image")
    return seconds


def _to_be_read(source: Source) -> Path | Image.Image:
    """The path of an image, or the opened image for an entry of an IDX file."""
    return source.path if source.index is None else open_source(source)


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluateRequest:
    """Options of an evaluation.

    Attributes:
        run: A run folder with a trained model.
        data: Other images to evaluate on; None uses the run's own test split.
        reading: Options for finding and reading the images and labels of `data`. The run's own data are read and
            corrected as in training. Without a pixel limit, that of the run applies.
        device: Device of the networks.
    """

    run: Path
    data: Path | None = None
    reading: Reading = field(default_factory=Reading)
    device: str = "auto"


def evaluate_run(request: EvaluateRequest) -> tuple[Evaluation, Path]:
    """Evaluate a run's model and its baselines, and write scores and predictions.

    Args:
        request: The options.

    Returns:
        The scores, and the folder they were written to: the run folder for its own test split, or its subfolder
        ``evaluations/<name of the data>`` for other data.

    Raises:
        RunError: The run folder is damaged, unfinished or newer.
        DataError: The data has classes unknown to the model, or several labels per image for a single-label model.
        UsageError: There are options for a table, but no `data`.
    """
    prepare_process()
    forget_peak_memory()
    folder = RunFolder(request.run)
    config = read_config(folder)
    if request.reading.max_pixels is None:
        request = replace(request, reading=replace(request.reading, max_pixels=config.max_pixels))
    if request.data is not None:
        _require_no_link(folder, request.data)
    models = _load_models(folder)
    if request.data is None:
        dataset = _read(_as_for_training(request, config, folder), models)
        images, folder_of_results = read_split(folder.split, dataset).test, folder.path
        notes: tuple[Note, ...] = ()
    else:
        dataset = _read(request, models)
        _require_classes(dataset, models[MODEL])
        images, notes = _evaluated_images(dataset)
        notes += _training_overlap(folder, images) + _corrected(dataset, request) + dataset.range_warnings
        folder_of_results = folder.evaluation_of(request.data)
        write_manifest(dataset.manifest, folder_of_results / "manifest.csv")
        write_split(Split(train=(), validation=(), test=images), folder_of_results / "split.csv")
        write_other_data(folder_of_results, OtherData(str(request.data.resolve()), str(dataset.root.resolve())))
    outputs = {name: _outputs(model, images, request) for name, model in models.items()}
    probabilities = {name: to_probabilities(model, outputs[name].logits) for name, model in models.items()}
    descriptions = {name: model.description for name, model in models.items()}
    evaluation = evaluate(images, descriptions, probabilities, notes)
    predicted = probabilities[MODEL]
    write_predictions(
        folder_of_results / "predictions.parquet", images, predicted, evaluation.classes, evaluation.thresholds
    )
    write_confidence(folder_of_results, evaluate_confidence(models[MODEL], images, outputs[MODEL]))
    write_evaluation(folder_of_results / "evaluation.json", evaluation)
    if request.data is None:
        cost = measure_throughput(models[MODEL], images, request.device, cache=request.reading.cache)
        if cost is not None:
            write_cost(folder.cost, prediction=cost)
    return evaluation, folder_of_results


def _require_no_link(folder: RunFolder, data: Path) -> None:
    """Refuse a run, possibly from an untrusted archive, where results would be written through a link."""
    target = folder.evaluation_of(data)
    if link := find_link_above(folder.path, f"{target.relative_to(folder.path).as_posix()}/evaluation.json"):
        raise RunError(
            f"{folder.path}: {quote(link)} is a link, through which nothing is written; remove the link", code="is_link"
        )


def _load_models(folder: RunFolder) -> dict[str, SavedModel]:
    """The run's own model as `MODEL`, and its baselines under their names."""
    models = {MODEL: load_model(folder.model)}
    for name in BASELINES[models[MODEL].description.task]:
        if (folder.baseline(name) / "model.json").is_file():
            models[name] = load_model(folder.baseline(name))
    return models


def _as_for_training(request: EvaluateRequest, config: RunConfig, folder: RunFolder) -> EvaluateRequest:
    if request.reading.table is not None:
        options = ", ".join(request.reading.table.specified)
        raise UsageError(
            f"{options}: the run's own table is read as for training; name {option('data')}, or leave the options out",
            code="option_not_applicable",
        )
    if request.reading.corrections is not None:
        raise UsageError(
            f"{option('corrections')}: the run's own data are corrected as for training; name {option('data')}, or "
            "leave it out",
            code="option_not_applicable",
            parameter="corrections",
        )
    reading = replace(
        request.reading,
        table=config.table_options,
        allow_missing=config.allow_missing or request.reading.allow_missing,
        corrections=copied_corrections(folder),
    )
    return replace(request, data=Path(config.data), reading=reading)


def _read(request: EvaluateRequest, models: dict[str, SavedModel]) -> Dataset:
    assert request.data is not None
    device = choose_device(request.device)
    evaluated, cache = models[MODEL].description, request.reading.cache
    products = {model.description.image_spec: input_product(model, cache, device) for model in models.values()}
    return read_dataset(
        request.data,
        replace(request.reading, value_range=evaluated.value_ranges),
        products=list(products.values()),
        known_classes=evaluated.classes,
    )


def _require_classes(dataset: Dataset, model: SavedModel) -> None:
    if dataset.task == "multi-label" and model.description.task == "single-label":
        image = next(image for image in dataset.images if len(image.labels) != 1)
        raise DataError(
            f"{dataset.root}: {image.source.file} has {len(image.labels)} labels, and the model gives exactly one "
            "to each picture; evaluate it on pictures with one label each",
            code="task_differs",
            parameter="data",
        )
    model_classes = model.description.classes
    unknown = sorted(set(dataset.classes) - set(model_classes))
    if unknown:
        kind = "labels" if model.description.task == "multi-label" else "classes"
        raise DataError(
            f"{dataset.root}: has {kind} the model does not know ({name_some(unknown, 5)}); "
            f"it knows {name_some(model_classes, 10)}",
            code="classes_differ",
            parameter="data",
        )


def _evaluated_images(dataset: Dataset) -> tuple[tuple[LabeledImage, ...], tuple[Note, ...]]:
    test = tuple(image for image in dataset.images if image.predefined_split == "test")
    if test:
        return test, (note("evaluated-on-test", data=dataset.root.name),)
    return dataset.images, (note("evaluated-on-all", data=dataset.root.name),)


def _training_overlap(folder: RunFolder, images: Sequence[LabeledImage]) -> tuple[Note, ...]:
    """A note on images that were used in training or validation; empty if there are none."""
    run = read_run(folder.path)
    contents = {row.file: row.content for row in run.manifest}
    training_contents = {contents.get(row.file) for row in run.split if row.split != "test"}
    count = sum(image.content in training_contents for image in images)
    if not count:
        return ()
    return (note("seen-in-training", count=count, total=len(images)),)


def _corrected(dataset: Dataset, request: EvaluateRequest) -> tuple[Note, ...]:
    """A note on applied corrections of other data; empty if there are none."""
    corrections = find_corrections(dataset.root, request.reading.corrections)
    if corrections is None or not corrections.effective:
        return ()
    return (note("corrections-honored", file=corrections.path.name, count=len(corrections.effective)),)


def _outputs(model: SavedModel, images: Sequence[LabeledImage], request: EvaluateRequest) -> Outputs:
    device = choose_device(request.device)
    product = input_product(model, request.reading.cache, device)
    rows = product.store.rows([image.row_key for image in images])
    return predict_outputs(model, rows, device=device, precision=choose_precision(device)[0])
