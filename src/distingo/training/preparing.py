"""Preparation of a run: choosing the recipe, reading and splitting the images, and recording all of it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from distingo.datasets.cache.products import Product
from distingo.datasets.corrections import find_corrections
from distingo.datasets.splits.files import require_same_split
from distingo.datasets.tables.table import resolve_paths
from distingo.errors import UsageError, option
from distingo.files import remove_half_written
from distingo.machine.device import choose_device
from distingo.machine.process import without_values
from distingo.messages.notes import Note, note
from distingo.models.catalog import find_model
from distingo.models.description import ModelDescription, require_savable
from distingo.models.saved import assemble_network
from distingo.near_duplicates.keeping import (
    are_large_enough,
    resolve_similarity,
    search_near_duplicates,
)
from distingo.near_duplicates.search import signature_product
from distingo.prediction.classifier import descriptors_product
from distingo.records import Dataset, Split, ValueRanges
from distingo.runs.config import (
    RunConfig,
    config_to_json,
    copied_corrections,
    copy_corrections,
    describe_change,
    read_config,
    write_config,
)
from distingo.runs.data import read_split, summarize_unused_files, write_counts, write_manifest, write_split
from distingo.runs.fields import Plain
from distingo.runs.folder import RunFolder, begin_folder, end_beginning, identify_request, is_free, require_free
from distingo.training.augmentation import require_preset
from distingo.training.defaults import DataFacts, choose_recipe
from distingo.training.memory import find_batch_size, without_auto
from distingo.training.pretrained import (
    LoadedBackbone,
    choose_model,
    image_spec_of,
    load_requested_backbone,
    model_products,
)
from distingo.training.recipe import Recipe, is_auto, recipe_from_dict
from distingo.training.request import PreparedRun, TrainRequest
from distingo.training.run_config import describe_provenance, describe_run, divide, require_readable

log = logging.getLogger("distingo")


def start(request: TrainRequest) -> tuple[PreparedRun, TrainRequest]:
    """Choose the recipe, read and split the images, and write the run folder.

    Returns:
        The prepared run, and the request with the resolved table options.

    Raises:
        DistingoError: The specific subclass for the failure; nothing is written then.
    """
    folder, original_request = RunFolder(request.output), request
    require_free(folder.path, holds="run" if folder.config.is_file() else "")
    similarity = resolve_similarity(request.near_duplicates)
    chosen, request = choose(request, divides=similarity is not None)
    recipe, dataset = chosen.recipe, chosen.dataset
    near_duplicates = search_near_duplicates(
        dataset,
        similarity=similarity,
        large_enough=chosen.is_signed,
        cache=request.reading.cache,
        workers=request.reading.threads,
    )
    split, counts = divide(dataset, recipe, request.split, near_duplicates)
    prepared = chosen.prepare(folder, split)
    corrections = find_corrections(dataset.root, request.reading.corrections)
    earlier = request.repeats
    changed = () if earlier is None else describe_change(earlier.corrections, dataset.root, request.reading.corrections)
    choices = (*chosen.choices, *split.notes, *changed)
    run_config = describe_run(request, dataset, recipe, choices, corrections)
    require_readable(run_config, folder.path)
    for message in (*choices, *summarize_unused_files(dataset, "manifest.csv")):
        log.info(message)
    begin_folder(folder.path, (folder.corrections.name,))
    write_manifest(dataset.manifest, folder.manifest)
    write_split(split, folder.split)
    write_counts(counts, folder.near_duplicates)
    copy_corrections(folder, corrections)
    write_config(folder.config, replace(run_config, request=identify_training(original_request)))
    end_beginning(folder.path)
    return prepared, request


@dataclass(frozen=True, slots=True)
class ChosenRun:
    """A run whose recipe is chosen and whose images are read, but not yet split.

    Attributes:
        recipe: All choices.
        dataset: All images; the recipe's inputs are in the cache.
        backbone: With its weights, where the model is a pretrained one.
        choices: A note for each choice that was made for the user.
        is_signed: Whether the cache has the signatures for finding near-duplicates.
    """

    recipe: Recipe
    dataset: Dataset
    backbone: LoadedBackbone | None
    choices: tuple[Note, ...]
    is_signed: bool = False

    def prepare(self, folder: RunFolder, split: Split) -> PreparedRun:
        """Return the prepared run with these splits; nothing is written.

        Raises:
            DistingoError: The network can't take images of this size.
        """
        description = describe_model(self.dataset, split, self.recipe, self.backbone)
        require_savable(description)
        if description.kind == "network":  # raises before anything is written
            with without_values():
                assemble_network(description)
        return PreparedRun(folder, self.recipe, self.dataset, split, description, self.backbone)


def choose(
    request: TrainRequest, products: Sequence[Product] = (), *, divides: bool = False
) -> tuple[ChosenRun, TrainRequest]:
    """Choose a recipe and read the images; nothing is written but the cache.

    Args:
        request: Training request.
        products: Products to compute from every image in addition to those that the recipe needs.
        divides: Whether to compute signatures for finding near-duplicates, if the images are large enough.

    Returns:
        The chosen run, and the request with the resolved table options.

    Raises:
        DistingoError: The specific subclass for the failure.
    """
    table = resolve_paths(request.reading.table, request.data)
    request = replace(request, reading=replace(request.reading, table=table))
    facts = request.survey()
    recipe, backbone, choices = complete_recipe(facts, request.options)
    is_signed = divides and are_large_enough(facts.height, facts.width)
    if is_signed:
        products = (*products, signature_product(request.reading.cache))
    dataset = _read(request, recipe, backbone, products)
    if is_auto(request.options):
        batch_size_choice = find_batch_size(recipe, dataset, backbone, keep_lr="lr" in request.options)
        recipe, choices = batch_size_choice.recipe, (*choices, *batch_size_choice.choices)
    return ChosenRun(recipe, dataset, backbone, (*choices, *dataset.notes), is_signed), request


def complete_recipe(
    facts: DataFacts, requested: Mapping[str, Any]
) -> tuple[Recipe, LoadedBackbone | None, tuple[Note, ...]]:
    """Complete a recipe, and load the backbone of a pretrained model.

    Args:
        facts: About the images.
        requested: Recipe fields, and ``image_size``.

    Returns:
        The recipe, the backbone, and a note for each choice that was made for the user.

    Raises:
        DistingoError: The specific subclass for the failure.
    """
    requested, chosen = _with_model(requested, facts)
    backbone = load_requested_backbone(requested)
    recipe, further = choose_recipe(facts, without_auto(requested), backbone.description if backbone else None)
    require_preset(recipe.augment)
    choose_device(recipe.device)
    return recipe, backbone, (*chosen, *further)


def _with_model(options: Mapping[str, Any], facts: DataFacts) -> tuple[Mapping[str, Any], tuple[Note, ...]]:
    if "model" in options:
        return options, ()
    model, reason = choose_model(facts)
    return {**options, "model": model}, (note("model-chosen", model=model, said=reason),)


def resume(request: TrainRequest) -> tuple[PreparedRun, TrainRequest]:
    """Read the recipe and images of an interrupted run.

    Returns:
        The prepared run, and the request with the run's own data and table.

    Raises:
        DistingoError: The run can't be read, or the options differ from those that it was started with.
    """
    folder = RunFolder(request.output)
    config = read_config(folder)
    remove_half_written(folder.path)
    end_beginning(folder.path)
    chosen, request = restore_choices(request, config)
    return chosen.prepare(folder, read_split(folder.split, chosen.dataset)), request


def restore_choices(
    request: TrainRequest, config: RunConfig, products: Sequence[Product] = ()
) -> tuple[ChosenRun, TrainRequest]:
    """Restore the result of `choose` from a ``config.json``, and read the images again.

    Args:
        request: Training request; it must agree with the original one.
        config: The content of the file.
        products: As for `choose`.

    Raises:
        DistingoError: The recipe is damaged, or other options are requested.
    """
    recipe = recipe_from_dict(config.recipe)
    _require_same(recipe, request, config.requested or {})
    data, table = Path(config.data), config.table_options
    if request.reading.table is not None and resolve_paths(request.reading.table, data) != table:
        options = ", ".join(request.reading.table.specified)
        raise UsageError(
            f"{option('resume')}: {request.output} was started with other table options than {options}; leave them out",
            code="changed_options",
            parameter="table",
        )
    similarity = config.near_duplicates or "none"
    if request.near_duplicates not in {None, similarity}:
        raise UsageError(
            f"{option('resume')}: {request.output} was started with {option('near_duplicates')} {similarity}; "
            "leave the option out",
            code="changed_options",
            parameter="near_duplicates",
        )
    if request.reading.corrections is not None:
        raise UsageError(
            f"{option('resume')}: {request.output} keeps its own corrections; leave {option('corrections')} out",
            code="changed_options",
            parameter="corrections",
        )
    if request.split is not None:
        require_same_split(request.split, config.split, request.output)
    value_ranges = config.ranges or ValueRanges()
    if request.reading.ranges not in (None, value_ranges):
        raise UsageError(
            f"{option('resume')}: {request.output} was started with another value range; leave "
            f"{option('value_range')} out",
            code="changed_options",
            parameter="value_range",
        )
    if request.reading.max_pixels not in (None, config.max_pixels):
        name = option("max_pixels")
        previous_setting = f"without {name}" if config.max_pixels is None else f"with {name} {config.max_pixels}"
        raise UsageError(
            f"{option('resume')}: {request.output} was started {previous_setting}; leave the option out",
            code="changed_options",
            parameter="max_pixels",
        )
    reading = replace(
        request.reading,
        table=table,
        allow_missing=config.allow_missing or request.reading.allow_missing,
        value_range=value_ranges,
        max_pixels=config.max_pixels,
        corrections=copied_corrections(RunFolder(request.output)),
    )
    request = replace(request, data=data, reading=reading)
    backbone = load_requested_backbone(recipe.as_dict())
    dataset = _read(request, recipe, backbone, products)
    requested_corrections = None if config.corrections is None else config.corrections.said
    for sentence in describe_change(config.corrections, dataset.root, requested_corrections):
        log.info("%s; this run continues with its own", sentence)
    return ChosenRun(recipe, dataset, backbone, config.choices), request


def detect_resuming(request: TrainRequest) -> TrainRequest:
    """Decide whether a request resumes a run that the same command had begun before it was killed.

    Args:
        request: Training request.

    Returns:
        The request, with ``resume`` set if the folder holds an unfinished run of the same request, and cleared if the
        run was killed before there was anything to resume.
    """
    folder = RunFolder(request.output)
    if request.resume:
        is_fresh = not folder.config.is_file() and folder.path.is_dir() and is_free(folder.path)
        return replace(request, resume=False) if is_fresh else request
    if not folder.config.is_file() or (folder.is_finished() and folder.report.is_file()):
        return request
    if read_config(folder).request != identify_training(request):
        return request
    log.info("%s: the same command was stopped here; going on with it", folder.path)
    reading = replace(request.reading, corrections=None, value_range=None)
    return replace(request, resume=True, reading=reading, split=None, near_duplicates=None)


def identify_training(request: TrainRequest) -> str:
    """Return an identifier of everything requested of a run except its folder and reading speed."""
    reading = request.reading
    requested = {name: getattr(request, name) for name in ("options", "split", "near_duplicates")}
    requested |= {name: getattr(reading, name) for name in ("max_pixels", "table", "allow_missing", "corrections")}
    ranges = None if reading.ranges is None else reading.ranges.to_json()
    recipe_file = None if request.recipe_file is None else request.recipe_file.content
    repeats = {} if request.repeats is None else config_to_json(request.repeats)
    return identify_request(
        {
            **requested,
            "data": request.data.resolve(),
            "value_ranges": ranges,
            "recipe_file": recipe_file,
            "repeats": repeats,
        }
    )


def _require_same(recipe: Recipe, request: TrainRequest, requested: Mapping[str, Plain]) -> None:
    """Raise an error if options differ from the recipe and from the originally requested options."""
    options = {name: value for name, value in request.options.items() if name != "image_size"}
    for name, value in options.items():
        if getattr(recipe, name) != value and requested.get(name) != value:
            raise UsageError(
                f"{option('resume')}: {name} is {value!r}, but {request.output} was started with "
                f"{getattr(recipe, name)!r}; leave the option out, or start a new run with another {option('output')}",
                code="changed_options",
                parameter=name,
            )


def _read(
    request: TrainRequest, recipe: Recipe, backbone: LoadedBackbone | None, further: Sequence[Product] = ()
) -> Dataset:
    # decoding files computes the descriptors as well; from IDX arrays they are cheap to compute later
    descriptors = [] if any(request.data.glob("*-idx3-ubyte*")) else [descriptors_product(request.reading.cache)]
    return request.read([*further, *descriptors, *model_products(recipe, backbone, request.reading.cache)])


def describe_model(dataset: Dataset, split: Split, recipe: Recipe, backbone: LoadedBackbone | None) -> ModelDescription:
    """Describe a model before it is trained."""
    return ModelDescription(
        name=recipe.model,
        kind=find_model(recipe.model).kind,
        task=dataset.task,
        classes=dataset.classes,
        image_spec=image_spec_of(recipe, backbone),
        backbone=backbone.description if backbone else None,
        head=recipe.head if backbone else "",
        mode=recipe.mode,
        engine=recipe.engine,
        precision=recipe.precision,
        normalize=recipe.normalize,
        dropout=recipe.dropout,
        provenance=describe_provenance(dataset, split, recipe),
        value_ranges=dataset.value_ranges,
    )
