"""What happens before a run trains: choices are made, images are read and split, and all of it is recorded."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from distingo.datasets.corrections import find_corrections
from distingo.datasets.decoding.value_ranges import value_ranges_from_config
from distingo.datasets.gathering import Product
from distingo.datasets.manifest import sum_up_left_out, write_manifest
from distingo.datasets.run_options import (
    max_pixels_from_config,
    require_same_split,
    settle_image_folder,
    split_from_config,
    table_from_config,
)
from distingo.datasets.splits.splitting import read_split, write_split
from distingo.errors import RunError, UsageError, option
from distingo.files import remove_half_written
from distingo.machine.compiler import without_values
from distingo.machine.device import choose_device
from distingo.messages.notes import Note, note, read_notes
from distingo.models.catalogue import find_model
from distingo.models.description import ModelDescription, require_savable
from distingo.models.saved import assemble_network
from distingo.near_duplicates.keeping import (
    are_large_enough,
    search_near_duplicates,
    settle_similarity,
)
from distingo.near_duplicates.records import write_counts
from distingo.near_duplicates.search import signature_product
from distingo.prediction.embedding import descriptors_product
from distingo.records import Dataset, Split, ValueRanges
from distingo.run_folder import RunFolder, begin_folder, end_beginning, identify_request, is_free
from distingo.training.augmentation import require_preset
from distingo.training.defaults import DataFacts, choose_recipe
from distingo.training.memory import find_batch_size, without_auto
from distingo.training.pretrained import (
    LoadedBackbone,
    choose_model,
    load_wished_backbone,
    model_products,
    rendition_of,
)
from distingo.training.recipe import Recipe, is_auto, recipe_from_dict
from distingo.training.request import PreparedRun, TrainRequest
from distingo.training.run_config import describe_provenance, describe_run, require_readable
from distingo.training.run_data import (
    describe_change,
    divide,
    keep_corrections,
    kept_corrections,
    said_in_config,
)

log = logging.getLogger("distingo")


def start(request: TrainRequest) -> tuple[PreparedRun, TrainRequest]:
    """Choose, read, split, and write down what was chosen.

    Returns:
        The prepared run, and the request with what was settled about its table.

    Raises:
        DistingoError: The specific subclass for the failure; nothing is written then.
    """
    folder, asked = RunFolder(request.output), request
    _require_free(folder)
    similarity = settle_similarity(request.near_duplicates)
    chosen, request = choose(request, divides=similarity is not None)
    recipe, dataset = chosen.recipe, chosen.dataset
    found = search_near_duplicates(
        dataset,
        similarity=similarity,
        large_enough=chosen.is_signed,
        cache=request.reading.cache,
        workers=request.reading.threads,
    )
    split, counts = divide(dataset, recipe, request.split, found)
    prepared = chosen.prepare(folder, split)
    corrections = find_corrections(dataset.root, request.reading.corrections)
    changed = describe_change(request.repeats, dataset.root, request.reading.corrections) if request.repeats else ()
    choices = (*chosen.choices, *split.notes, *changed)
    described = describe_run(request, dataset, recipe, choices, corrections)
    require_readable(described, folder.path)
    for each in (*choices, *sum_up_left_out(dataset, "manifest.csv")):
        log.info(each)
    begin_folder(folder.path, (folder.corrections.name,))
    write_manifest(dataset.manifest, folder.manifest)
    write_split(split, folder.split)
    write_counts(counts, folder.near_duplicates)
    keep_corrections(folder, corrections)
    folder.write_config({**described, "request": identify_training(asked)})
    end_beginning(folder.path)
    return prepared, request


@dataclass(frozen=True, slots=True)
class ChosenRun:
    """A run whose recipe is chosen and whose images are read, but not yet divided.

    Attributes:
        recipe: All choices.
        dataset: All images; what the recipe needs of them is in the cache.
        backbone: With its weights, where the model is a pretrained one.
        choices: A note for each choice that was made for the user.
        is_signed: Whether the cache has what near-duplicates among the images are found by.
    """

    recipe: Recipe
    dataset: Dataset
    backbone: LoadedBackbone | None
    choices: tuple[Note, ...]
    is_signed: bool = False

    def prepare(self, folder: RunFolder, split: Split) -> PreparedRun:
        """The run on these splits; nothing is written.

        Raises:
            DistingoError: The network can't take images of this size.
        """
        description = describe_model(self.dataset, split, self.recipe, self.backbone)
        require_savable(description)
        if description.kind == "network":  # found out before anything is written
            with without_values():
                assemble_network(description)
        return PreparedRun(folder, self.recipe, self.dataset, split, description, self.backbone)


def choose(
    request: TrainRequest, products: Sequence[Product] = (), *, divides: bool = False
) -> tuple[ChosenRun, TrainRequest]:
    """Choose a recipe and read the images; nothing is written but the cache.

    Args:
        request: What is requested.
        products: What to compute from every image besides what the recipe needs.
        divides: Also compute what near-duplicates are found by, if the images are large enough for that.

    Returns:
        What was chosen, and the request with what was settled about its table.

    Raises:
        DistingoError: The specific subclass for the failure.
    """
    table = settle_image_folder(request.reading.table, request.data)
    request = replace(request, reading=replace(request.reading, table=table))
    facts = request.survey()
    recipe, backbone, choices = settle_recipe(facts, request.wishes)
    is_signed = divides and are_large_enough(facts.height, facts.width)
    if is_signed:
        products = (*products, signature_product(request.reading.cache))
    dataset = _read(request, recipe, backbone, products)
    if is_auto(request.wishes):
        found = find_batch_size(recipe, dataset, backbone, given_lr="lr" in request.wishes)
        recipe, choices = found.recipe, (*choices, *found.choices)
    return ChosenRun(recipe, dataset, backbone, (*choices, *dataset.notes), is_signed), request


def settle_recipe(
    facts: DataFacts, requested: Mapping[str, Any]
) -> tuple[Recipe, LoadedBackbone | None, tuple[Note, ...]]:
    """Choose all that a user did not request of a recipe, and load the backbone where it names one.

    Args:
        facts: About the images.
        requested: Recipe fields, and ``image_size``.

    Returns:
        The recipe, the backbone, and a note for each choice that was made for the user.

    Raises:
        DistingoError: The specific subclass for the failure.
    """
    requested, chosen = _with_model(requested, facts)
    backbone = load_wished_backbone(requested)
    recipe, further = choose_recipe(facts, without_auto(requested), backbone.description if backbone else None)
    require_preset(recipe.augment)
    choose_device(recipe.device)
    return recipe, backbone, (*chosen, *further)


def _with_model(wishes: Mapping[str, Any], facts: DataFacts) -> tuple[Mapping[str, Any], tuple[Note, ...]]:
    if "model" in wishes:
        return wishes, ()
    model, reason = choose_model(facts)
    return {**wishes, "model": model}, (note("model-chosen", model=model, said=reason),)


def resume(request: TrainRequest) -> tuple[PreparedRun, TrainRequest]:
    """Read again what an interrupted run had chosen, and its images.

    Returns:
        The prepared run, and the request with the run's own data and table.

    Raises:
        DistingoError: The run can't be read, or other options are asked for than it was started with.
    """
    folder = RunFolder(request.output)
    config = folder.read_config()
    remove_half_written(folder.path)
    end_beginning(folder.path)
    chosen, request = choose_again(request, config, folder.config)
    return chosen.prepare(folder, read_split(folder.split, chosen.dataset)), request


def choose_again(
    request: TrainRequest, config: dict[str, Any], path: Path, products: Sequence[Product] = ()
) -> tuple[ChosenRun, TrainRequest]:
    """What `choose` gave when a ``config.json`` was written, with its images read again.

    Args:
        request: What is requested now; it must agree with what was requested then.
        config: The content of the file.
        path: Of the file, for errors.
        products: As for `choose`.

    Raises:
        DistingoError: The file is damaged, or other options are asked for.
    """
    recipe = recipe_from_dict(config["recipe"])
    _require_same(recipe, request, config.get("requested", {}))
    data, (table, allow_missing) = Path(config["data"]), table_from_config(config, path)
    if request.reading.table is not None and settle_image_folder(request.reading.table, data) != table:
        options = ", ".join(request.reading.table.shown)
        raise UsageError(
            f"{option('resume')}: {request.output} was started with other table options than {options}; leave them out",
            code="changed_options",
            parameter="table",
        )
    if request.near_duplicates not in {None, config.get("near_duplicates")}:
        raise UsageError(
            f"{option('resume')}: {request.output} was started with {option('near_duplicates')} "
            f"{config.get('near_duplicates', 'none')}; leave the option out",
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
        require_same_split(request.split, split_from_config(config, path), request.output)
    value_ranges = value_ranges_from_config(config, path) or ValueRanges()
    if request.reading.ranges not in (None, value_ranges):
        raise UsageError(
            f"{option('resume')}: {request.output} was started with another value range; leave "
            f"{option('value_range')} out",
            code="changed_options",
            parameter="value_range",
        )
    max_pixels = max_pixels_from_config(config, path)
    if request.reading.max_pixels not in (None, max_pixels):
        name = option("max_pixels")
        was = f"without {name}" if max_pixels is None else f"with {name} {max_pixels}"
        raise UsageError(
            f"{option('resume')}: {request.output} was started {was}; leave the option out",
            code="changed_options",
            parameter="max_pixels",
        )
    reading = replace(
        request.reading,
        table=table,
        allow_missing=allow_missing or request.reading.allow_missing,
        value_range=value_ranges,
        max_pixels=max_pixels,
        corrections=kept_corrections(RunFolder(request.output)),
    )
    request = replace(request, data=data, reading=reading)
    backbone = load_wished_backbone(recipe.as_dict())
    dataset = _read(request, recipe, backbone, products)
    for sentence in describe_change(config, dataset.root, said_in_config(config)):
        log.info("%s; this run goes on with its own", sentence)
    return ChosenRun(recipe, dataset, backbone, read_notes(config.get("choices", ()))), request


def _require_free(folder: RunFolder) -> None:
    if folder.config.is_file():
        raise RunError(
            f"{folder.path}: holds another run; choose another {option('output')}, or {option('resume', value=True)} "
            "to go on with that one",
            code="not_empty",
            parameter="output",
        )
    if not is_free(folder.path):
        raise RunError(
            f"{folder.path}: exists and is not an empty folder; choose another {option('output')}",
            code="not_empty",
            parameter="output",
        )


def settle_resuming(request: TrainRequest) -> TrainRequest:
    """Resume what the same command had begun before it was killed; begin anew where nothing is to be resumed.

    Args:
        request: What is requested.

    Returns:
        The request; it resumes where the folder holds an unfinished run of the very same request, and does not where
        a kill came before there was anything to resume.
    """
    folder = RunFolder(request.output)
    if request.resume:
        begun = not folder.config.is_file() and folder.path.is_dir() and is_free(folder.path)
        return replace(request, resume=False) if begun else request
    if not folder.config.is_file() or (folder.is_finished() and folder.report.is_file()):
        return request
    if folder.read_config().get("request") != identify_training(request):
        return request
    log.info("%s: the same command was stopped here; going on with it", folder.path)
    reading = replace(request.reading, corrections=None, value_range=None)
    return replace(request, resume=True, reading=reading, split=None, near_duplicates=None)


def identify_training(request: TrainRequest) -> str:
    """Name all that was asked for of a run, but where it is and how fast it is read."""
    reading = request.reading
    asked = {name: getattr(request, name) for name in ("wishes", "split", "near_duplicates", "repeats")}
    asked |= {name: getattr(reading, name) for name in ("max_pixels", "table", "allow_missing", "corrections")}
    ranges = None if reading.ranges is None else reading.ranges.to_json()
    recipe_file = None if request.recipe_file is None else request.recipe_file.content
    return identify_request(
        {**asked, "data": request.data.resolve(), "value_ranges": ranges, "recipe_file": recipe_file}
    )


def _require_same(recipe: Recipe, request: TrainRequest, requested: Mapping[str, Any]) -> None:
    """Refuse other options than those of a recipe, or than those that its values were found for."""
    wishes = {name: value for name, value in request.wishes.items() if name != "image_size"}
    for name, value in wishes.items():
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
    """What is known of a model before it is trained."""
    return ModelDescription(
        name=recipe.model,
        kind=find_model(recipe.model).kind,
        task=dataset.task,
        classes=dataset.classes,
        rendition=rendition_of(recipe, backbone),
        backbone=backbone.description if backbone else None,
        head=recipe.head if backbone else "",
        mode=recipe.mode,
        engine=recipe.engine,
        precision=recipe.precision,
        normalise=recipe.normalise,
        dropout=recipe.dropout,
        provenance=describe_provenance(dataset, split, recipe),
        value_ranges=dataset.value_ranges,
    )
