"""One training run from a folder of pictures to a saved model, in steps that a killed run takes up again."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from distingo.datasets.decoding import DEFAULT_MAX_PIXELS
from distingo.datasets.gathering import Product, pixels_product, read_dataset
from distingo.datasets.manifest import write_manifest
from distingo.datasets.splitting import read_split, split_dataset, write_split
from distingo.datasets.store import Cache
from distingo.datasets.surveying import survey
from distingo.errors import ResourceError, RunError, UsageError
from distingo.files import content_hash, write_text
from distingo.models.catalogue import find_model
from distingo.models.machine import bind_this_thread, choose_precision, prepare_process
from distingo.models.saved import ModelDescription, SavedModel, assemble_network, save_model
from distingo.models.summary import summarise
from distingo.prediction.device import choose_device
from distingo.prediction.inputs import descriptors_product, input_product
from distingo.records import Dataset, Picture, Rendition, Split
from distingo.run_folder import RunFolder
from distingo.training.augmentation import require_preset
from distingo.training.checkpoint import EpochRecord, Progress, load_tensors
from distingo.training.classic import fit_classic
from distingo.training.defaults import DataFacts, choose_recipe
from distingo.training.environment import describe_environment
from distingo.training.loop import LabelledRows, Session, fit
from distingo.training.memory import is_out_of_memory, require_memory
from distingo.training.normalising import fit_normalisation
from distingo.training.recipe import Recipe, recipe_from_dict
from distingo.version import __version__

log = logging.getLogger("distingo")

BASELINES = ("majority", "descriptors")
"""Fitted beside every network, so that no score stands alone."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainRequest:
    """What a person asked for.

    Attributes:
        data: Folder of pictures.
        output: The run folder to make.
        wishes: Recipe fields the person set (and ``image_size``); everything else is chosen.
        cache: Where decoded pictures are kept.
        workers: Decoding threads; None takes one per core.
        max_pixels: Larger pictures are listed as unusable.
        resume: Go on with the run in `output`.
        on_epoch: Told every finished epoch.
    """

    data: Path
    output: Path
    wishes: dict[str, Any] = field(default_factory=dict)
    cache: Cache = field(default_factory=Cache)
    workers: int | None = None
    max_pixels: int = DEFAULT_MAX_PIXELS
    resume: bool = False
    on_epoch: Callable[[EpochRecord], None] | None = None


@dataclass(frozen=True, slots=True)
class PreparedRun:
    """A run whose pictures are read, split and written down.

    Attributes:
        folder: The run folder.
        recipe: All choices.
        dataset: All pictures.
        split: Which side each fell on.
        description: Of the model to be trained.
    """

    folder: RunFolder
    recipe: Recipe
    dataset: Dataset
    split: Split
    description: ModelDescription


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
    prepared = _resume(request) if request.resume else _start(request)
    if not (prepared.folder.model / "model.json").is_file():
        model = _train_model(prepared, request)
        save_model(prepared.folder.model, model)
    _save_baselines(prepared, request)
    return prepared.folder


def _start(request: TrainRequest) -> PreparedRun:
    folder = RunFolder(request.output)
    _require_free(folder)
    facts = _facts(request.data)
    recipe, choices = choose_recipe(facts, request.wishes)
    require_preset(recipe.augment)
    choose_device(recipe.device)
    dataset = _read(request, recipe)
    split = split_dataset(dataset, seed=recipe.seed, validation=recipe.validation, test=recipe.test)
    description = _description(dataset, split, recipe)
    _require_buildable(description)
    choices = (*choices, *split.notes)
    for choice in choices:
        log.info(choice)
    write_manifest(dataset.manifest, folder.manifest)
    write_split(split, folder.split)
    folder.write_config(_config(request.data, dataset, recipe, choices))
    return PreparedRun(folder, recipe, dataset, split, description)


def _require_buildable(description: ModelDescription) -> None:
    """Find out before anything is written whether the network can take pictures of this size."""
    if description.kind == "network":
        with torch.device("meta"):
            assemble_network(description)


def _resume(request: TrainRequest) -> PreparedRun:
    folder = RunFolder(request.output)
    config = folder.read_config()
    recipe = recipe_from_dict(config["recipe"])
    _require_same(recipe, request)
    dataset = _read(replace(request, data=Path(config["data"])), recipe)
    split = read_split(folder.split, dataset)
    return PreparedRun(folder, recipe, dataset, split, _description(dataset, split, recipe))


def _require_free(folder: RunFolder) -> None:
    if folder.config.is_file():
        raise RunError(f"{folder.path}: holds another run; choose another -o, or --resume to go on with that one")
    if folder.path.exists() and (not folder.path.is_dir() or any(folder.path.iterdir())):
        raise RunError(f"{folder.path}: exists and is not an empty folder; choose another -o")


def _require_same(recipe: Recipe, request: TrainRequest) -> None:
    wishes = {name: value for name, value in request.wishes.items() if name != "image_size"}
    for name, value in wishes.items():
        if getattr(recipe, name) != value:
            raise UsageError(
                f"--resume: {name} is {value!r}, but {request.output} was started with {getattr(recipe, name)!r}; "
                "leave the option out, or start a new run with another -o"
            )


def _facts(data: Path) -> DataFacts:
    seen = survey(data)
    return DataFacts(pictures=seen.count, height=seen.height, width=seen.width, grey=seen.grey)


def _read(request: TrainRequest, recipe: Recipe) -> Dataset:
    products = [descriptors_product(request.cache)] if _decoding_is_dear(request.data) else []
    if find_model(recipe.model).kind == "network":
        products.append(_pixels(request.cache, recipe))
    return read_dataset(
        request.data,
        cache=request.cache,
        products=products,
        max_pixels=request.max_pixels,
        workers=request.workers,
    )


def _decoding_is_dear(data: Path) -> bool:
    """Descriptors are made in the decoding pass of picture files; IDX arrays give them later for nothing."""
    return not any(data.glob("*-idx3-ubyte*"))


def _pixels(cache: Cache, recipe: Recipe) -> Product:
    return pixels_product(cache, _rendition(recipe))


def _rendition(recipe: Recipe) -> Rendition:
    return Rendition(height=recipe.height, width=recipe.width, channels=recipe.channels)


def _config(data: Path, dataset: Dataset, recipe: Recipe, choices: Sequence[str]) -> dict[str, Any]:
    device = choose_device(recipe.device)
    precision, reason = _precision(recipe, device)
    return {
        "distingo": __version__,
        "data": str(data.resolve()),
        "layout": dataset.layout,
        "task": dataset.task,
        "classes": list(dataset.classes),
        "recipe": recipe.as_dict(),
        "choices": [*choices, f"precision: {precision} on {device.type}, because {reason}"],
        "environment": describe_environment(device),
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def _precision(recipe: Recipe, device: torch.device) -> tuple[str, str]:
    if recipe.precision != "auto":
        return recipe.precision, "it was asked for"
    precision, reason = choose_precision(device)
    return precision, reason


def _description(dataset: Dataset, split: Split, recipe: Recipe) -> ModelDescription:
    kind = find_model(recipe.model).kind
    return ModelDescription(
        name=recipe.model,
        kind=kind,
        task=dataset.task,
        classes=dataset.classes,
        rendition=_rendition(recipe) if kind == "network" else None,
        normalise=recipe.normalise,
        dropout=recipe.dropout,
        provenance=_provenance(dataset, split, recipe),
    )


def _provenance(dataset: Dataset, split: Split, recipe: Recipe) -> dict[str, Any]:
    contents = "".join(sorted(picture.content for picture in split.train))
    return {
        "distingo": __version__,
        "torch": torch.__version__,
        "data": dataset.root.name,
        "layout": dataset.layout,
        "seed": recipe.seed,
        "train_pictures": len(split.train),
        "validation_pictures": len(split.validation),
        "test_pictures": len(split.test),
        "train_content_hash": content_hash(contents.encode()),
        "trained": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def _train_model(prepared: PreparedRun, request: TrainRequest) -> SavedModel:
    if prepared.description.kind == "classic":
        return _fit_classic(prepared, request, prepared.description)
    device = choose_device(prepared.recipe.device)
    try:
        return _train_network(prepared, request, device)
    except Exception as error:
        if is_out_of_memory(error):
            smaller = max(1, prepared.recipe.batch_size // 2)
            raise ResourceError(
                f"memory ran out with --batch-size {prepared.recipe.batch_size}; try --batch-size {smaller}"
            ) from error
        raise


def _train_network(prepared: PreparedRun, request: TrainRequest, device: torch.device) -> SavedModel:
    recipe, description = prepared.recipe, prepared.description
    torch.manual_seed(recipe.seed)
    network = assemble_network(description)
    train = labelled_rows(prepared.split.train, prepared, request.cache)
    network.normalisation = fit_normalisation(recipe.normalise, train.rows)
    network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    summary = summarise(network, recipe.height, recipe.width, recipe.channels)
    write_text(prepared.folder.model / "summary.txt", summary + "\n")
    log.debug(summary)
    require_memory(network, (recipe.channels, recipe.height, recipe.width), recipe.batch_size, device)
    session = Session(
        recipe=recipe,
        network=network,
        train=train,
        validation=labelled_rows(prepared.split.validation, prepared, request.cache),
        folder=prepared.folder,
        device=device,
        precision=_precision(recipe, device)[0],
        on_epoch=request.on_epoch or _ignore,
    )
    with bind_this_thread():
        progress = fit(session, resume=request.resume)
    return SavedModel(_trained(description, progress), network=_with_best_weights(network, prepared.folder))


def _trained(description: ModelDescription, progress: Progress) -> ModelDescription:
    provenance = {**description.provenance, "epochs": progress.epoch, "best_epoch": progress.best_epoch}
    return replace(description, provenance=provenance)


def _with_best_weights(network: nn.Module, folder: RunFolder) -> nn.Module:
    weights, _ = load_tensors(folder.best_checkpoint)
    network.load_state_dict(weights)
    return network.eval()


def labelled_rows(pictures: Sequence[Picture], prepared: PreparedRun, cache: Cache) -> LabelledRows:
    """The rows a run's model looks at, with the positions of their classes."""
    product = input_product(prepared.description, cache)
    rows = product.store.rows([picture.content for picture in pictures])
    return LabelledRows(rows, _targets(pictures, prepared.dataset.classes), len(prepared.dataset.classes))


def _targets(pictures: Sequence[Picture], classes: tuple[str, ...]) -> np.ndarray:
    position = {name: index for index, name in enumerate(classes)}
    return np.array([position[picture.label] for picture in pictures], dtype=np.int64)


def _fit_classic(prepared: PreparedRun, request: TrainRequest, description: ModelDescription) -> SavedModel:
    product = descriptors_product(request.cache)
    if not _decoding_is_dear(prepared.dataset.root):
        _read_again(prepared, request, product)
    sides = []
    for pictures in (prepared.split.train, prepared.split.validation):
        features = product.store.rows([picture.content for picture in pictures])
        targets = _targets(pictures, prepared.dataset.classes)
        sides.append((features.take(np.arange(len(pictures))), targets))
    return fit_classic(description, sides[0], sides[1], seed=prepared.recipe.seed)


def _read_again(prepared: PreparedRun, request: TrainRequest, product: Product) -> None:
    """Fill a product that the first reading left out; what is filled already costs a hash per picture."""
    read_dataset(
        prepared.dataset.root,
        cache=request.cache,
        products=[product],
        max_pixels=request.max_pixels,
        workers=request.workers,
    )


def _save_baselines(prepared: PreparedRun, request: TrainRequest) -> None:
    for name in BASELINES:
        place = prepared.folder.baseline(name)
        if name == prepared.description.name or (place / "model.json").is_file():
            continue
        description = replace(prepared.description, name=name, kind="classic", rendition=None, normalise="none")
        save_model(place, _fit_classic(prepared, request, replace(description, dropout=None)))
