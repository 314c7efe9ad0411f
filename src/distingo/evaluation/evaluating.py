"""A finished run's model and baselines on pictures that nothing was chosen by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from distingo.datasets.decoding import DEFAULT_MAX_PIXELS
from distingo.datasets.gathering import read_dataset
from distingo.datasets.manifest import write_manifest
from distingo.datasets.splitting import read_split
from distingo.datasets.store import Cache
from distingo.errors import DataError
from distingo.evaluation.tables import write_evaluation, write_predictions
from distingo.metrics import classification_scores, confusion_matrix, per_class_scores
from distingo.models.machine import choose_precision, prepare_process
from distingo.models.saved import SavedModel, load_model
from distingo.prediction.classifier import predict_probabilities
from distingo.prediction.device import choose_device
from distingo.prediction.inputs import input_product
from distingo.records import Dataset, Evaluation, Picture
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
    config = folder.read_config()
    models = _load_models(folder)
    if request.data is None:
        dataset = _read(Path(config["data"]), models, request)
        pictures, place = read_split(folder.split, dataset).test, folder.path
        notes: tuple[str, ...] = ()
    else:
        dataset = _read(request.data, models, request)
        _require_known_classes(dataset, models["model"])
        pictures, notes = _judged(dataset)
        place = folder.path / "evaluations" / request.data.resolve().name
        write_manifest(dataset.manifest, place / "manifest.csv")
    evaluation, probabilities = _judge(models, pictures, request, notes)
    write_predictions(place / "predictions.parquet", pictures, probabilities, evaluation.classes)
    write_evaluation(place / "evaluation.json", evaluation)
    return evaluation, place


def _load_models(folder: RunFolder) -> dict[str, SavedModel]:
    """The run's own model under ``model``, and its baselines under their names."""
    models = {"model": load_model(folder.model)}
    for name in BASELINES:
        if (folder.baseline(name) / "model.json").is_file():
            models[name] = load_model(folder.baseline(name))
    return models


def _read(data: Path, models: dict[str, SavedModel], request: EvaluateRequest) -> Dataset:
    products = {
        model.description.rendition: input_product(model.description, request.cache) for model in models.values()
    }
    return read_dataset(
        data,
        cache=request.cache,
        products=list(products.values()),
        workers=request.workers,
        max_pixels=request.max_pixels,
    )


def _require_known_classes(dataset: Dataset, model: SavedModel) -> None:
    known = model.description.classes
    unknown = sorted(set(dataset.classes) - set(known))
    if unknown:
        raise DataError(
            f"{dataset.root}: has classes the model does not know ({', '.join(unknown[:5])}); "
            f"it knows {', '.join(known[:10])}"
        )


def _judged(dataset: Dataset) -> tuple[tuple[Picture, ...], tuple[str, ...]]:
    test = tuple(picture for picture in dataset.pictures if picture.given_side == "test")
    if test:
        return test, (f"judged on the test side of {dataset.root.name}",)
    return dataset.pictures, (f"judged on all pictures of {dataset.root.name}",)


def _judge(
    models: dict[str, SavedModel],
    pictures: tuple[Picture, ...],
    request: EvaluateRequest,
    notes: tuple[str, ...],
) -> tuple[Evaluation, np.ndarray]:
    classes = models["model"].description.classes
    truth = np.array([classes.index(picture.label) for picture in pictures], dtype=np.int64)
    probabilities = {name: _probabilities(model, pictures, request) for name, model in models.items()}
    scores = {name: classification_scores(truth, found, classes) for name, found in probabilities.items()}
    confusion = confusion_matrix(truth, probabilities["model"].argmax(axis=1), len(classes))
    evaluation = Evaluation(
        side="test",
        n=len(pictures),
        classes=classes,
        scores=scores.pop("model"),
        per_class=per_class_scores(confusion, classes),
        confusion=tuple(tuple(int(count) for count in row) for row in confusion),
        baselines=scores,
        notes=notes,
    )
    return evaluation, probabilities["model"]


def _probabilities(model: SavedModel, pictures: Sequence[Picture], request: EvaluateRequest) -> np.ndarray:
    product = input_product(model.description, request.cache)
    rows = product.store.rows([picture.content for picture in pictures])
    device = choose_device(request.device)
    return predict_probabilities(model, rows, device=device, precision=choose_precision(device)[0])
