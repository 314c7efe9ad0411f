"""One training run from a folder of pictures to a saved model, in steps that a killed run takes up again."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import nn

from distingo.datasets.gathering import pixels_product
from distingo.datasets.store import Cache
from distingo.datasets.targets import encode_labels
from distingo.errors import ResourceError
from distingo.files import write_text
from distingo.models.compiler_on_demand import compiler_on_demand
from distingo.models.machine import bind_this_thread, prepare_process
from distingo.models.saved import ModelDescription, SavedModel, assemble_network, save_model
from distingo.models.summary import summarise
from distingo.prediction.device import choose_device
from distingo.records import Picture
from distingo.run_cost import write_cost
from distingo.run_folder import RunFolder
from distingo.training.baselines import calibrated, fit_classic_model, save_baselines
from distingo.training.checkpoint import EpochRecord, Progress, load_tensors
from distingo.training.costing import TrainingClock
from distingo.training.cross_fitting import CrossFitted, cross_fit
from distingo.training.evidence import with_evidence
from distingo.training.loop import LabelledRows, Session, fit
from distingo.training.memory import is_out_of_memory, require_memory
from distingo.training.normalising import fit_normalisation
from distingo.training.preparing import PreparedRun, TrainRequest, resume, settle_resuming, start
from distingo.training.pretrained import feature_products, solve_head
from distingo.training.run_config import resolve_precision

log = logging.getLogger("distingo")


def _ignore(record: EpochRecord) -> None:
    del record


def train_run(request: TrainRequest) -> RunFolder:
    """Read, split, train, save the model and its baselines; the test side is not looked at.

    Args:
        request: What a person asked for.

    Returns:
        The run folder, ready for evaluation.

    Raises:
        DistingoError: Of the kind that fits the mistake or hindrance.
    """
    prepare_process()
    request = settle_resuming(request)
    clock = TrainingClock(RunFolder(request.output).history, resumed=request.resume)
    prepared, request = resume(request) if request.resume else start(request)
    clock.reading_is_done()
    if not (prepared.folder.model / "model.json").is_file():
        model = _with_evidence(*_train_calibrated(prepared, request), prepared, request)
        for note in model.description.thresholds.notes if model.description.thresholds else ():
            log.info(note)
        save_model(prepared.folder.model, model)
        write_cost(prepared.folder.cost, training=clock.cost(choose_device(prepared.recipe.device)))
    save_baselines(prepared, request)
    return prepared.folder


def train_model(prepared: PreparedRun, request: TrainRequest) -> SavedModel:
    """Train a prepared run's model, calibrated and with its thresholds; the test side is not looked at.

    Args:
        prepared: A network's checkpoints are written to its folder.
        request: Says where the cache is, and whether to go on from a checkpoint.

    Raises:
        DistingoError: Of the kind that fits the hindrance.
    """
    return _train_calibrated(prepared, request)[0]


def _train_calibrated(prepared: PreparedRun, request: TrainRequest) -> tuple[SavedModel, CrossFitted | None]:
    model = _train_any(prepared, request)
    cross_fitted = cross_fit(model, prepared, request)
    return calibrated(model, prepared, request, cross_fitted), cross_fitted


def _train_any(prepared: PreparedRun, request: TrainRequest) -> SavedModel:
    if prepared.description.kind == "classic":
        return fit_classic_model(prepared, request)
    device = choose_device(prepared.recipe.device)
    try:
        return train_network(prepared, request, device)
    except Exception as error:
        if is_out_of_memory(error):
            smaller = max(1, prepared.recipe.batch_size // 2)
            raise ResourceError(
                f"memory ran out with --batch-size {prepared.recipe.batch_size}; try --batch-size {smaller}"
            ) from error
        raise


def train_network(prepared: PreparedRun, request: TrainRequest, device: torch.device) -> SavedModel:
    """Train a network by epochs, or solve a head; a folder with a checkpoint is gone on with if the request says so."""
    recipe = prepared.recipe
    torch.manual_seed(recipe.seed)
    beginning = _start_weights(prepared, request, device)
    if recipe.mode == "frozen":
        return beginning
    description, network = beginning.description, beginning.network
    assert network is not None
    train = labelled_rows(prepared.split.train, prepared, request.cache)
    if description.backbone is None:
        network.normalisation = fit_normalisation(recipe.normalise, train.rows)
    network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    summary = summarise(network, recipe.height, recipe.width, recipe.channels)
    write_text(prepared.folder.model / "summary.txt", summary + "\n", recorded=True)
    log.debug(summary)
    require_memory(network, (recipe.channels, recipe.height, recipe.width), recipe.batch_size, device)
    session = Session(
        recipe=recipe,
        network=network,
        train=train,
        validation=labelled_rows(prepared.split.validation, prepared, request.cache),
        folder=prepared.folder,
        device=device,
        precision=resolve_precision(recipe, device)[0],
        on_epoch=request.on_epoch or _ignore,
        start_counts=recipe.mode == "finetune",
    )
    with bind_this_thread(), compiler_on_demand():
        progress = fit(session, resume=request.resume)
    return SavedModel(_trained(description, progress), network=_with_best_weights(network, prepared.folder))


def _start_weights(prepared: PreparedRun, request: TrainRequest, device: torch.device) -> SavedModel:
    """What training begins with: fresh weights, or a pretrained backbone with a solved head."""
    recipe, backbone = prepared.recipe, prepared.backbone
    if backbone is None or recipe.mode == "scratch":
        return SavedModel(prepared.description, network=assemble_network(prepared.description))
    products = feature_products(backbone, recipe, request.cache, device)
    classes = prepared.dataset.classes
    train, validation = prepared.split.train, prepared.split.validation
    task = prepared.dataset.task
    sides = (train, encode_labels(train, classes, task)), (validation, encode_labels(validation, classes, task))
    return solve_head(prepared.description, backbone, recipe, products, sides)[0]


def _trained(description: ModelDescription, progress: Progress) -> ModelDescription:
    provenance = {**description.provenance, "epochs": progress.epoch, "best_epoch": progress.best_epoch}
    return replace(description, provenance=provenance)


def _with_best_weights(network: nn.Module, folder: RunFolder) -> nn.Module:
    weights, _ = load_tensors(folder.best_checkpoint)
    network.load_state_dict(weights)
    return network.eval()


def labelled_rows(pictures: Sequence[Picture], prepared: PreparedRun, cache: Cache) -> LabelledRows:
    """The pixels that a run's network is trained on, with the positions of their classes."""
    rendition = prepared.description.rendition
    assert rendition is not None
    product = pixels_product(cache, rendition)
    rows = product.store.rows([picture.row_key for picture in pictures])
    dataset = prepared.dataset
    return LabelledRows(rows, encode_labels(pictures, dataset.classes, dataset.task), len(dataset.classes))


def _with_evidence(
    model: SavedModel, cross_fitted: CrossFitted | None, prepared: PreparedRun, request: TrainRequest
) -> SavedModel:
    train, validation = prepared.split.train, prepared.split.validation
    cache, device = request.cache, choose_device(prepared.recipe.device)
    seed = prepared.recipe.seed
    return with_evidence(model, train, validation, cross_fitted, seed=seed, cache=cache, device=device)
