"""A training run from a data set to a saved model, including its cost and a network's input normalization."""

from __future__ import annotations

import csv
import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from distingo.datasets.cache.products import pixels_product
from distingo.datasets.cache.store import Cache
from distingo.errors import RunError, UsageError, option
from distingo.files import require_intact, write_text
from distingo.machine.device import choose_device
from distingo.machine.memory import forget_peak_memory, peak_memory
from distingo.machine.process import bind_this_thread, compiler_on_demand, configure_process, prepare_process
from distingo.models.description import ModelDescription
from distingo.models.layers import ChannelNormalization, ZCAWhitening, build_normalization, summarize
from distingo.models.saved import SavedModel, assemble_network, save_model
from distingo.prediction.networks import Rows, to_tensor
from distingo.records import LabeledImage
from distingo.runs.evaluation import TrainingCost, write_cost
from distingo.runs.folder import RunFolder
from distingo.runs.history import EpochRecord
from distingo.training.baselines import calibrated, fit_classic_model, save_baselines
from distingo.training.calibration import CrossFitted, cross_fit, with_calibration_set
from distingo.training.checkpoint import Progress, load_tensors
from distingo.training.loop import LabeledRows, Session, fit
from distingo.training.memory import TrainingPlan, memory_errors_explained, require_memory
from distingo.training.preparing import detect_resuming, resume, start
from distingo.training.pretrained import feature_products, solve_head
from distingo.training.request import PreparedRun, TrainRequest
from distingo.training.step import resolve_precision

log = logging.getLogger("distingo")


class TrainingClock:
    """Measures the duration of a training, starting at construction.

    Args:
        history: ``history.csv`` of the run.
        resumed: Whether to include the epochs of an earlier process.
    """

    def __init__(self, history: Path, *, resumed: bool) -> None:
        self._resumed = resumed
        self._earlier = _seconds_of_epochs(history) if resumed else 0.0
        forget_peak_memory()
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        self._started = self._read = time.perf_counter()

    def reading_is_done(self) -> None:
        """Mark the end of reading and the start of fitting."""
        self._read = time.perf_counter()

    def cost(self, device: torch.device) -> TrainingCost:
        """Return the cost of the training so far.

        Args:
            device: Device that the model was fitted on.
        """
        return TrainingCost(
            reading_seconds=round(self._read - self._started, 3),
            fitting_seconds=round(time.perf_counter() - self._read + self._earlier, 3),
            peak_memory_bytes=peak_memory(),
            device_memory_bytes=torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None,
            resumed=self._resumed,
        )


def _seconds_of_epochs(history: Path) -> float:
    if not history.is_file():
        return 0.0
    try:
        require_intact(history)
    except RunError as error:
        log.warning("%s; what earlier epochs took is not counted", error)
        return 0.0
    with history.open(encoding="utf-8", newline="") as file:
        return sum(float(row.get("seconds") or 0) for row in csv.DictReader(file))


_SAMPLE = 10_000
"""Number of images that statistics are computed on; more images do not change the third digit."""

_LARGEST_WHITENING = 4096
"""Largest number of values per image for whitening, whose matrix has that number squared entries."""


def fit_normalization(kind: str, rows: Rows) -> nn.Module:
    """Fit an input normalization on training images.

    Args:
        kind: ``none``, ``dataset``, ``sample`` or ``zca``, as in the recipe.
        rows: uint8 training images (height, width, channels).

    Raises:
        UsageError: The images are too large to whiten.
    """
    _, height, width, channels = rows.shape
    if kind == "dataset":
        return _channel_statistics(rows)
    if kind == "zca":
        return _whitening(rows)
    return build_normalization(kind, channels=channels, pixels=channels * height * width)


def _sample(rows: Rows) -> np.ndarray:
    return np.linspace(0, len(rows) - 1, min(len(rows), _SAMPLE)).astype(np.int64)


def _channel_statistics(rows: Rows) -> ChannelNormalization:
    indices = _sample(rows)
    channels = rows.shape[3]
    sums, squares = np.zeros(channels), np.zeros(channels)
    for part in np.array_split(indices, max(1, len(indices) // 64)):
        pixels = rows.take(part).reshape(-1, channels).astype(np.float32) / 255.0
        sums += pixels.sum(axis=0, dtype=np.float64)
        squares += (pixels * pixels).sum(axis=0, dtype=np.float64)
    n = len(indices) * rows.shape[1] * rows.shape[2]
    mean = sums / n
    std = np.sqrt(np.maximum(squares / n - mean**2, 1e-8))
    return ChannelNormalization(tuple(mean.tolist()), tuple(std.tolist()))


def _whitening(rows: Rows, epsilon: float = 1e-2) -> ZCAWhitening:
    _, height, width, channels = rows.shape
    numbers = height * width * channels
    if numbers > _LARGEST_WHITENING:
        raise UsageError(
            f"{option('normalize', 'zca')}: {height}x{width}x{channels} pictures hold {numbers} numbers, "
            f"at most {_LARGEST_WHITENING} can be whitened; take a smaller {option('image_size')}",
            code="out_of_range",
            parameter="image_size",
        )
    flat = to_tensor(rows.take(_sample(rows))).contiguous().flatten(1).double()
    mean = flat.mean(0)
    covariance = torch.cov((flat - mean).T).view(numbers, numbers)
    values, vectors = torch.linalg.eigh(covariance)
    matrix = vectors @ torch.diag((values.clamp(min=0) + epsilon).rsqrt()) @ vectors.T
    return ZCAWhitening(mean.float(), matrix.float())


def _ignore(record: EpochRecord) -> None:
    del record


def train_run(request: TrainRequest) -> RunFolder:
    """Read, split, train, save the model and its baselines; the test split is not used.

    Args:
        request: What is requested.

    Returns:
        The run folder, ready for evaluation.

    Raises:
        DistingoError: The specific subclass for the failure.
    """
    configure_process()
    prepare_process()
    request = detect_resuming(request)
    clock = TrainingClock(RunFolder(request.output).history, resumed=request.resume)
    prepared, request = resume(request) if request.resume else start(request)
    clock.reading_is_done()
    if not (prepared.folder.model / "model.json").is_file():
        model = train_whole_model(prepared, request)
        for message in model.description.thresholds.notes if model.description.thresholds else ():
            log.info(message)
        save_model(prepared.folder.model, model)
        write_cost(prepared.folder.cost, training=clock.cost(choose_device(prepared.recipe.device)))
    save_baselines(prepared, request)
    return prepared.folder


def train_model(prepared: PreparedRun, request: TrainRequest) -> SavedModel:
    """Train a prepared run's model, calibrated and with its thresholds; the test split is not used.

    Args:
        prepared: A network's checkpoints are written to its folder.
        request: Training request with the cache and the ``resume`` option.

    Raises:
        DistingoError: The specific subclass for the failure.
    """
    return _train_calibrated(prepared, request)[0]


def train_whole_model(prepared: PreparedRun, request: TrainRequest) -> SavedModel:
    """Train as `train_model` does, and add the bank and the calibration set."""
    return _with_calibration_set(*_train_calibrated(prepared, request), prepared, request)


def _train_calibrated(prepared: PreparedRun, request: TrainRequest) -> tuple[SavedModel, CrossFitted | None]:
    model = _train_any(prepared, request)
    cross_fitted = cross_fit(model, prepared, request)
    return calibrated(model, prepared, request, cross_fitted), cross_fitted


def _train_any(prepared: PreparedRun, request: TrainRequest) -> SavedModel:
    if prepared.description.kind == "classic":
        return fit_classic_model(prepared, request)
    return train_network(prepared, request, choose_device(prepared.recipe.device))


def train_network(prepared: PreparedRun, request: TrainRequest, device: torch.device) -> SavedModel:
    """Train a network by epochs, or fit a head; resume from a checkpoint if the request has ``resume`` set.

    Raises:
        ResourceError: Memory ran out or would not suffice.
    """
    with memory_errors_explained(prepared.recipe, len(prepared.split.train)):
        return _train_network(prepared, request, device)


def _train_network(prepared: PreparedRun, request: TrainRequest, device: torch.device) -> SavedModel:
    recipe = prepared.recipe
    torch.manual_seed(recipe.seed)
    initial_model = _start_weights(prepared, request, device)
    if recipe.mode == "frozen":
        return initial_model
    description, network = initial_model.description, initial_model.network
    assert network is not None
    train = labeled_rows(prepared.split.train, prepared, request.reading.cache)
    if description.backbone is None:
        network.normalisation = fit_normalization(recipe.normalize, train.rows)
    network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    summary = summarize(network, recipe.height, recipe.width, recipe.channels)
    write_text(prepared.folder.model / "summary.txt", summary + "\n", recorded=True)
    log.debug(summary)
    precision = resolve_precision(recipe, device)[0]
    used_recipe = replace(recipe, batch_size=min(recipe.batch_size, len(train.rows)))
    require_memory(network, TrainingPlan(used_recipe, len(description.classes), description.task, device, precision))
    session = Session(
        recipe=recipe,
        network=network,
        train=train,
        validation=labeled_rows(prepared.split.validation, prepared, request.reading.cache),
        folder=prepared.folder,
        device=device,
        precision=precision,
        on_epoch=request.on_epoch or _ignore,
        start_counts=recipe.mode == "finetune",
    )
    with bind_this_thread(), compiler_on_demand():
        progress = fit(session, resume=request.resume)
    return SavedModel(_trained(description, progress), network=_with_best_weights(network, prepared.folder))


def _start_weights(prepared: PreparedRun, request: TrainRequest, device: torch.device) -> SavedModel:
    """Return the initial model: fresh weights, or a pretrained backbone with a fitted head."""
    recipe, backbone = prepared.recipe, prepared.backbone
    if backbone is None or recipe.mode == "scratch":
        return SavedModel(prepared.description, network=assemble_network(prepared.description))
    products = feature_products(backbone, recipe, request.reading.cache, device)
    train, validation = prepared.split.train, prepared.split.validation
    splits = (train, prepared.encode(train)), (validation, prepared.encode(validation))
    return solve_head(prepared.description, backbone, recipe, products, splits)


def _trained(description: ModelDescription, progress: Progress) -> ModelDescription:
    provenance = {**description.provenance, "epochs": progress.epoch, "best_epoch": progress.best_epoch}
    return replace(description, provenance=provenance)


def _with_best_weights(network: nn.Module, folder: RunFolder) -> nn.Module:
    weights, _ = load_tensors(folder.best_checkpoint)
    network.load_state_dict(weights)
    return network.eval()


def labeled_rows(images: Sequence[LabeledImage], prepared: PreparedRun, cache: Cache) -> LabeledRows:
    """Return the pixels that a run's network is trained on, with their class indices."""
    image_spec = prepared.description.image_spec
    assert image_spec is not None
    product = pixels_product(cache, image_spec)
    rows = product.store.rows([image.row_key for image in images])
    return LabeledRows(rows, prepared.encode(images), len(prepared.dataset.classes))


def _with_calibration_set(
    model: SavedModel, cross_fitted: CrossFitted | None, prepared: PreparedRun, request: TrainRequest
) -> SavedModel:
    train, validation = prepared.split.train, prepared.split.validation
    cache, device = request.reading.cache, choose_device(prepared.recipe.device)
    seed = prepared.recipe.seed
    return with_calibration_set(model, train, validation, cross_fitted, seed=seed, cache=cache, device=device)
