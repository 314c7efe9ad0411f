"""Explanation of a run's prediction for one image: heat maps, their validation, and similar training images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from distingo.datasets.decoding.decode import open_source
from distingo.datasets.decoding.rendering import render, visible_part
from distingo.datasets.walking import source_of
from distingo.errors import DistingoError, ModelError, UsageError, option, suggest_names
from distingo.explanation.covering import ImageProbabilities, check_by_covering, map_by_covering
from distingo.explanation.records import (
    LONGEST_SIDE,
    ClassExplanation,
    Explanation,
    HeatMap,
    ImageExplanation,
    Method,
    Neighbor,
    NetworkLayers,
)
from distingo.explanation.relevance import feature_maps, find_heat, first_filters
from distingo.files import content_hash
from distingo.machine.process import bind_this_thread
from distingo.messages.notes import Note, note
from distingo.models.saved import SavedModel
from distingo.prediction.classifier import predict_outputs
from distingo.prediction.images import ImageLike, name_image, open_image
from distingo.prediction.networks import to_tensor
from distingo.prediction.predictor import Predictor, load
from distingo.runs.contents import RunRecords, read_run
from distingo.runs.folder import RunFolder
from distingo.runs.predictions import Box

THUMBNAIL = 256
"""Longer side of thumbnails in pixels."""


def find_neighbors(
    folder: RunFolder, predictor: Predictor, pixels: npt.NDArray[np.uint8], count: int
) -> tuple[tuple[Neighbor, ...], tuple[Note, ...]]:
    """Find the nearest training images in the feature bank.

    Args:
        folder: The run.
        predictor: A predictor with the run's model.
        pixels: Preprocessed image, uint8 (height, width, channels).
        count: Number of neighbors.

    Returns:
        The neighbors, the nearest first, and a note if there is no feature bank.
    """
    bank = predictor.model.bank
    if bank is None or count < 1:
        return (), (note("no-features-stored"),) if bank is None else ()
    rows = ImageProbabilities(predictor).rows(pixels[None])
    outputs = predict_outputs(predictor.model, rows, device=predictor.device, precision="float32")
    positions, distances = bank.nearest(outputs.features, count)
    records = read_run(folder.path)
    files = {row.content: row.file for row in records.manifest if row.status == "used"}
    labels = {row.file: row.labels for row in records.split}
    neighbors = []
    for position, distance in zip(positions[0].tolist(), distances[0].tolist(), strict=True):
        file = files.get(bank.contents[position], "")
        neighbors.append(Neighbor(file, labels.get(file, ()), float(distance), _open(records, file)))
    return tuple(neighbors), ()


def note_training_image(folder: RunFolder, image: Path) -> tuple[Note, ...]:
    """Return a note if a file is in the train or validation split of the run.

    Args:
        folder: The run.
        image: The file.
    """
    records = read_run(folder.path)
    content = content_hash(image.read_bytes())
    files = {row.file for row in records.manifest if row.content == content}
    split = next((row.split for row in records.split if row.file in files and row.split != "test"), None)
    return () if split is None else (note("image-on-split-of-run", split=note(split)),)


def _open(records: RunRecords, file: str) -> npt.NDArray[np.uint8] | None:
    try:
        image = open_source(source_of(records.root, file, records.value_ranges), enough=THUMBNAIL).convert("RGB")
    except (DistingoError, OSError, ValueError, IndexError):
        return None
    image.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)
    return np.array(image)


MAX_CLASSES = 4
"""Highest number of predicted labels that are explained by default."""

_DESCRIBED_SIDE = 240


@dataclass(frozen=True, slots=True)
class _Preprocessed:
    """One image, and its preprocessed pixels.

    Attributes:
        image: The upright image.
        pixels: Preprocessed pixels, uint8 (height, width, channels).
        seen: The part of the image that the pixels cover.
    """

    image: Image.Image
    pixels: np.ndarray
    seen: Box


def explain_file(
    run: Path,
    image: ImageLike,
    labels: Sequence[str] = (),
    *,
    neighbors: int = 8,
    device: str = "auto",
    max_pixels: int | None = None,
) -> Explanation:
    """Explain the prediction of a run's model for one image.

    Args:
        run: A run folder.
        image: As for `distingo.prediction.images.open_image`.
        labels: The classes to explain. By default, the predicted class, or for multi-label models up to `MAX_CLASSES`
            predicted labels (the most probable label if none is predicted).
        neighbors: Number of nearest training images.
        device: Device of the network.
        max_pixels: As for `distingo.prediction.predictor.Predictor`.

    Returns:
        The explanation, which is deterministic for a run, image and device.

    Raises:
        RunError: The run folder is missing, damaged, unfinished or newer.
        ModelError: The model ignores the image, so that there is nothing to explain.
        UsageError: The model has no such class.
        DataError: The image can't be read.
    """
    predictor = load(run, device=device, max_pixels=max_pixels)
    _require_image_model(predictor.model)
    columns = [_column(label, predictor.classes) for label in dict.fromkeys(labels)]
    preprocessed = _open_preprocessed(image, predictor)
    predict = ImageProbabilities(predictor)
    probabilities = predict(preprocessed.pixels[None])[0]
    order = np.argsort(-probabilities, kind="stable")
    predicted = predict.predicted_labels(probabilities)
    explained, notes = (columns, ()) if columns else _choose(order, predicted)
    nearest, bank_notes = find_neighbors(RunFolder(run), predictor, preprocessed.pixels, neighbors)
    split_notes = note_training_image(RunFolder(run), Path(image)) if isinstance(image, str | PathLike) else ()
    shown = preprocessed.image.convert("RGB")
    shown.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS)
    return Explanation(
        file=name_image(image, 0),
        model=_model_name(predictor.model),
        task=predictor.task,
        size=preprocessed.image.size,
        image=np.array(shown),
        seen=preprocessed.seen,
        labels=tuple(predictor.classes[at] for at in order),
        probabilities=tuple(float(probabilities[at]) for at in order),
        given=tuple(predictor.classes[at] for at in order if predicted[at]),
        classes=tuple(
            _explain_class(predictor, predict, preprocessed, at, float(probabilities[at])) for at in explained
        ),
        neighbors=nearest,
        notes=(*split_notes, *notes, *bank_notes),
    )


def explain_image(
    predictor: Predictor, image: Image.Image, label: str, *, run: Path, neighbors: int = 8
) -> ImageExplanation:
    """Explain one class for an image in memory, without validating the heat map.

    Args:
        predictor: A predictor of the run; its network must not be used by other threads meanwhile.
        image: Upright image in mode ``RGB`` or ``L``.
        label: The class to explain.
        run: The run folder, for its training images.
        neighbors: Number of nearest training images.

    Raises:
        RunError: The run's tables are missing or damaged.
        ModelError: The model ignores the image.
        UsageError: The model has no such class.
    """
    _require_image_model(predictor.model)
    preprocessed = _preprocess(image, predictor.model)
    heat = _heat_map(predictor, ImageProbabilities(predictor), preprocessed, _column(label, predictor.classes))
    nearest, _ = find_neighbors(RunFolder(run), predictor, preprocessed.pixels, neighbors)
    return ImageExplanation(heat, preprocessed.seen, nearest)


def show_layers(run: Path, image: ImageLike, *, device: str = "auto", max_pixels: int | None = None) -> NetworkLayers:
    """Compute the first filters of a run's network, and its feature maps for an image.

    Args:
        run: A run folder.
        image: As for `distingo.prediction.images.open_image`.
        device: Device of the network.
        max_pixels: As for `explain_file`.

    Raises:
        RunError: As `explain_file`.
        ModelError: The model is not a network.
        DataError: The image can't be read.
    """
    predictor = load(run, device=device, max_pixels=max_pixels)
    model = predictor.model
    if model.network is None:
        raise ModelError(
            f"{option('layers')}: {model.description.name} is no network and has no layers; leave {option('layers')} "
            "out",
            code="option_not_applicable",
            parameter="layers",
        )
    network = model.network.to(predictor.device).eval()
    preprocessed = _open_preprocessed(image, predictor)
    name, filters = first_filters(network)
    with bind_this_thread():
        layers = feature_maps(network, to_tensor(preprocessed.pixels[None], predictor.device))
    return NetworkLayers(name_image(image, 0), _model_name(model), name, filters, layers)


def _model_name(model: SavedModel) -> str:
    """The model's name, without the folder or hub repository owner."""
    return model.description.name.rstrip("/").rpartition("/")[2]


def _require_image_model(model: SavedModel) -> None:
    name = model.description.name
    if name in {"majority", "prevalence"}:
        raise ModelError(
            f"{name}: says the same of every picture, so no part of one speaks for a class", code="cannot_explain"
        )


def _column(label: str, classes: tuple[str, ...]) -> int:
    if label not in classes:
        raise UsageError(
            f"{option('classes')} {label}: the model knows no such class; {suggest_names(label, list(classes))}",
            code="unknown_name",
            parameter="classes",
        )
    return classes.index(label)


def _choose(order: np.ndarray, predicted: np.ndarray) -> tuple[list[int], tuple[Note, ...]]:
    shown = [int(at) for at in order if predicted[at]]
    if not shown:
        return [int(order[0])], (note("no-label-reaches-threshold"),)
    if len(shown) > MAX_CLASSES:
        left = len(shown) - MAX_CLASSES
        return shown[:MAX_CLASSES], (note("labels-not-explained", count=left, option=option("classes")),)
    return shown, ()


def _open_preprocessed(image: ImageLike, predictor: Predictor) -> _Preprocessed:
    ranges = predictor.model.description.value_ranges
    return _preprocess(open_image(image, value_range=ranges, max_pixels=predictor.max_pixels), predictor.model)


def _preprocess(image: Image.Image, model: SavedModel) -> _Preprocessed:
    image_spec = model.description.image_spec
    if image_spec is not None:
        return _Preprocessed(image, render(image, image_spec), visible_part(image.width, image.height, image_spec))
    small = image.convert("RGB")
    small.thumbnail((_DESCRIBED_SIDE, _DESCRIBED_SIDE), Image.Resampling.BILINEAR)
    return _Preprocessed(image, np.array(small), (0.0, 0.0, 1.0, 1.0))


def _explain_class(
    predictor: Predictor, predict: ImageProbabilities, preprocessed: _Preprocessed, column: int, probability: float
) -> ClassExplanation:
    several = predictor.task == "multi-label"
    heat = _heat_map(predictor, predict, preprocessed, column)
    explained = ClassExplanation(heat, probability, None)
    if heat.is_empty:
        return explained
    return replace(
        explained, check=check_by_covering(predict, preprocessed.pixels, heat.values, column, several=several)
    )


def _heat_map(predictor: Predictor, predict: ImageProbabilities, preprocessed: _Preprocessed, column: int) -> HeatMap:
    several = predictor.task == "multi-label"
    values, method = _heat(predictor, predict, preprocessed.pixels, column, several=several)
    return HeatMap(predictor.classes[column], values / max(float(values.max()), 1e-30), method)


def _heat(
    predictor: Predictor, predict: ImageProbabilities, pixels: np.ndarray, column: int, *, several: bool
) -> tuple[np.ndarray, Method]:
    """A map from the network's gradients or attention; by occlusion if these are not available."""
    network = predictor.model.network
    if network is not None:
        classes = torch.tensor([column], device=predictor.device)
        with bind_this_thread():
            images = to_tensor(pixels[None], predictor.device)
            try:
                heat, method = find_heat(network.to(predictor.device).eval(), images, classes, several=several)
            except ModelError:  # a backbone whose last layer has no map
                heat, method = torch.full((1, 1, 1), torch.nan), "covering"
        if torch.isfinite(heat).all():
            return heat[0].cpu().numpy(), method
    return map_by_covering(predict, pixels, column, several=several), "covering"
