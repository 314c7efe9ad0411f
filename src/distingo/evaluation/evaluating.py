"""A finished run's model and baselines on pictures that nothing was chosen by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from distingo.datasets.gathering import DEFAULT_MAX_PIXELS, fill_products, read_dataset
from distingo.datasets.manifest import write_manifest
from distingo.datasets.splitting import read_split
from distingo.datasets.store import Cache
from distingo.errors import DataError
from distingo.evaluation.tables import write_evaluation, write_predictions
from distingo.metrics import classification_scores, confusion_matrix, per_class_scores
from distingo.models.machine import choose_precision, prepare_process
from distingo.models.saved import SavedModel, load_model, read_description
from distingo.prediction.classifier import predict_probabilities
from distingo.prediction.device import choose_device
from distingo.prediction.inputs import input_product
from distingo.records import Dataset, Evaluation, Picture, Score
from distingo.run_folder import RunFolder
from distingo.training.run import BASELINES


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluateRequest:
    """What a person asked for.

    Attributes:
        run: A run folder with a trained model.
        data: Other pictures to judge on; None takes the run's own test side.
        cache: Where decoded pictures are kept.
        workers: Decoding threads; None takes one per core.
        max_pixels: Larger pictures are listed as unusable.
        device: Where networks compute.
    """

    run: Path
    data: Path | None = None
    cache: Cache
    workers: int | None = None
    max_pixels: int = DEFAULT_MAX_PIXELS
    device: str = "auto"


def evaluate_run(request: EvaluateRequest) -> tuple[Evaluation, Path]:
    """Judge a run's model and its baselines, and write scores and predictions down.

    Args:
        request: What a person asked for.

    Returns:
        The scores, and the folder they were written to: the run folder for its own test side,
        ``evaluations/<name of the data>`` in it for other data.

    Raises:
        RunError: The run folder is damaged, unfinished or newer.
        DataError: The data has classes that the model does not know.
    """
    prepare_process()
    folder = RunFolder(request.run)
    folder.read_config()
    classes = read_description(folder.model).classes
    place = folder.path
    if request.data is None:
        pictures, notes = _test_side(folder, request), ()
    else:
        dataset = _other_data(request.data, classes, request)
        pictures, notes = _judged(dataset)
        place = folder.path / "evaluations" / request.data.resolve().name
        write_manifest(dataset.manifest, place / "manifest.csv")
    evaluation, probabilities = _judge(folder, pictures, request, notes)
    write_predictions(place / "predictions.parquet", pictures, probabilities, classes)
    write_evaluation(place / "evaluation.json", evaluation)
    return evaluation, place


def _test_side(folder: RunFolder, request: EvaluateRequest) -> tuple[Picture, ...]:
    dataset = read_dataset(
        Path(folder.read_config()["data"]),
        cache=request.cache,
        workers=request.workers,
        max_pixels=request.max_pixels,
    )
    return read_split(folder.split, dataset).test


def _other_data(data: Path, classes: tuple[str, ...], request: EvaluateRequest) -> Dataset:
    dataset = read_dataset(
        data, cache=request.cache, workers=request.workers, max_pixels=request.max_pixels, fewest_classes=1
    )
    unknown = sorted(set(dataset.classes) - set(classes))
    if unknown:
        raise DataError(
            f"{data}: has classes the model does not know ({', '.join(unknown[:5])}); it knows {', '.join(classes[:10])}"
        )
    return dataset


def _judged(dataset: Dataset) -> tuple[tuple[Picture, ...], tuple[str, ...]]:
    test = tuple(picture for picture in dataset.pictures if picture.given_side == "test")
    if test:
        return test, (f"judged on the test side of {dataset.root.name}",)
    return dataset.pictures, (f"judged on all pictures of {dataset.root.name}",)


def _judge(
    folder: RunFolder, pictures: tuple[Picture, ...], request: EvaluateRequest, notes: tuple[str, ...]
) -> tuple[Evaluation, np.ndarray]:
    model = load_model(folder.model)
    classes = model.description.classes
    truth = np.array([classes.index(picture.label) for picture in pictures], dtype=np.int64)
    probabilities = _probabilities(model, pictures, request)
    baselines: dict[str, dict[str, Score]] = {}
    for name in BASELINES:
        if (folder.baseline(name) / "model.json").is_file():
            baseline = load_model(folder.baseline(name))
            baselines[name] = classification_scores(truth, _probabilities(baseline, pictures, request), classes)
    confusion = confusion_matrix(truth, probabilities.argmax(axis=1), len(classes))
    evaluation = Evaluation(
        side="test",
        n=len(pictures),
        classes=classes,
        scores=classification_scores(truth, probabilities, classes),
        per_class=per_class_scores(confusion, classes),
        confusion=tuple(tuple(int(count) for count in row) for row in confusion),
        baselines=baselines,
        notes=notes,
    )
    return evaluation, probabilities


def _probabilities(model: SavedModel, pictures: Sequence[Picture], request: EvaluateRequest) -> np.ndarray:
    product = input_product(model.description, request.cache)
    fill_products(pictures, [product], workers=request.workers)
    rows = product.store.rows([picture.content for picture in pictures])
    device = choose_device(request.device)
    return predict_probabilities(model, rows, device=device, precision=choose_precision(device)[0])
