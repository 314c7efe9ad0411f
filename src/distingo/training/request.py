"""The training request and the prepared run, which all steps of a training share, and recipe files.

``train --recipe`` reads a recipe from a search or a user, ``--config`` repeats an earlier run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from distingo.checksums import CHECKSUM
from distingo.datasets.cache.products import Product
from distingo.datasets.gathering import read_dataset, survey
from distingo.datasets.options import Reading
from distingo.datasets.splits.splitting import RequestedSplit
from distingo.errors import DataError, RunError, UsageError, quote, suggest_names
from distingo.files import content_hash, parse_json, require_sealed
from distingo.models.description import ModelDescription
from distingo.near_duplicates.keeping import Similarity
from distingo.options.fields import name_recipe_fields
from distingo.records import Dataset, LabeledImage, Split, ValueRanges, encode_labels
from distingo.runs.config import RecipeSection, RunConfig, read_config_file
from distingo.runs.folder import FORMAT, RunFolder
from distingo.runs.history import EpochRecord
from distingo.training.defaults import DataFacts
from distingo.training.pretrained import LoadedBackbone
from distingo.training.recipe import Recipe

_SHARES = ("validation", "test")


@dataclass(frozen=True, slots=True)
class RecipeFile:
    """A recipe file as it was read.

    Attributes:
        path: Where it is.
        content: Hash of its bytes.
        options: Recipe fields (and ``image_size``) to their values.
    """

    path: Path
    content: str
    options: dict[str, Any]

    @property
    def section(self) -> RecipeSection:
        """What ``config.json`` holds of it."""
        return RecipeSection(str(self.path.resolve()), self.content)

    def fill_up(self, options: dict[str, Any], *, divided: bool) -> dict[str, Any]:
        """Merge the requested options with those of the file.

        Args:
            options: Options besides those of the file; they take precedence.
            divided: Whether a split file defines the splits; the recipe file's fractions are then ignored.
        """
        file_options = {name: value for name, value in self.options.items() if not (divided and name in _SHARES)}
        if "image_size" in options:
            file_options = {name: value for name, value in file_options.items() if name not in {"height", "width"}}
        if "height" in options or "width" in options:
            file_options.pop("image_size", None)
        return {**file_options, **options}


def read_recipe_file(path: Path) -> RecipeFile:
    """Read recipe fields from a JSON file: an object of fields, or one that holds them under ``recipe``.

    Args:
        path: ``best-recipe.json`` of a search, ``config.json`` of a run, or a user's own.

    Raises:
        DataError: The file is missing or is no JSON object.
        UsageError: A field is unknown (the message suggests the closest ones), or the file is from a newer version.
    """
    try:
        content = path.read_bytes()
        document = parse_json(content)
        require_sealed(path, content)
    except OSError as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else f"can't be opened ({error.strerror})"
        raise DataError(
            f"{path}: {reason}; `distingo tune DATA -o FOLDER` writes a recipe file", code="cannot_read"
        ) from error
    except RunError as error:
        raise DataError(str(error), code=error.code, parameter=error.parameter) from error
    except ValueError as error:
        raise DataError(
            f"{path}: is no JSON ({error}); a recipe file holds an object of recipe fields", code="damaged_file"
        ) from error
    section = document.get("recipe", document) if isinstance(document, dict) else document
    if not isinstance(section, dict):
        raise DataError(
            f"{path}: holds a {type(section).__name__}; a recipe file holds an object of recipe fields",
            code="wrong_format",
        )
    number = document.get("format", FORMAT)
    if not isinstance(number, int) or number > FORMAT:
        raise UsageError(
            f"{path}: written by a newer distingo (format {number}); `pip install --upgrade distingo`",
            code="newer_version",
        )
    try:
        options = name_recipe_fields(
            {name: value for name, value in section.items() if name not in {"format", CHECKSUM}}
        )
    except UsageError as error:
        raise UsageError(f"{path}: {error}", code=error.code, parameter=error.parameter) from error
    field_names = [*(field.name for field in fields(Recipe)), "image_size"]
    for name in options:
        if name not in field_names:
            raise UsageError(
                f"{path}: unknown field {quote(name)}; {suggest_names(name, field_names)}", code="unknown_option"
            )
    return RecipeFile(path, content_hash(content), options)


@dataclass(frozen=True, kw_only=True, slots=True)
class RequestedOptions:
    """Options of a run that an earlier run can also provide.

    Attributes:
        data: Folder of images, or a table of labels next to them.
        options: Recipe fields (and ``image_size``).
        reading: How images and labels are found and read.
        repeats: Config of the earlier run; None if no run is repeated.
        split: The file that says which split each image is in.
        near_duplicates: As for `TrainRequest`.
    """

    data: Path | None = None
    options: dict[str, Any] = field(default_factory=dict)
    reading: Reading = field(default_factory=Reading)
    repeats: RunConfig | None = None
    split: RequestedSplit | None = None
    near_duplicates: Similarity = None


def repeat(config: Path, requested: RequestedOptions) -> RequestedOptions:
    """Complete the requested options with those of an earlier run; requested options take precedence.

    Args:
        config: ``config.json`` of the earlier run.
        requested: The requested options.

    Raises:
        RunError: The file is missing, damaged, not a distingo config or from a newer version.
    """
    older = read_config_file(config)
    recipe_fields = dict(older.recipe)
    if "image_size" in requested.options:
        recipe_fields = {name: value for name, value in recipe_fields.items() if name not in {"height", "width"}}
    reading = requested.reading
    corrections = None if older.corrections is None else older.corrections.said
    reading = replace(
        reading,
        table=reading.table or older.table_options,
        allow_missing=reading.allow_missing or older.allow_missing,
        corrections=corrections if reading.corrections is None else reading.corrections,
        value_range=older.ranges if reading.value_range is None else reading.value_range,
        max_pixels=older.max_pixels if reading.max_pixels is None else reading.max_pixels,
    )
    return RequestedOptions(
        data=requested.data or Path(older.data),
        options={**recipe_fields, **requested.options},
        reading=reading,
        repeats=older,
        split=requested.split or older.split,
        near_duplicates=(older.near_duplicates or "none")
        if requested.near_duplicates is None
        else requested.near_duplicates,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainRequest:
    """A training request.

    Attributes:
        data: Folder of images, or a table of labels next to them.
        output: The run folder to make.
        options: Recipe fields the user set (and ``image_size``); everything else is chosen.
        reading: How its images and labels are found and read.
        repeats: The config of the run that is repeated; None for a run of its own.
        split: The file that says which split each image is in; None splits by class and seed.
        near_duplicates: Similarity from which near-duplicates are kept in one split; ``none`` turns this off, None is
            the default.
        recipe_file: Recipe file that provides options which are not set.
        resume: Resume the run in `output`.
        on_epoch: Called with every finished epoch.
    """

    data: Path
    output: Path
    options: Mapping[str, Any] = field(default_factory=dict)
    reading: Reading = field(default_factory=Reading)
    repeats: RunConfig | None = None
    split: RequestedSplit | None = None
    near_duplicates: Similarity = None
    recipe_file: RecipeFile | None = None
    resume: bool = False
    on_epoch: Callable[[EpochRecord], None] | None = None

    def survey(self) -> DataFacts:
        """Decode a few images and return the facts that a recipe's defaults depend on."""
        return survey_images(self.data, self.reading)

    def read(self, products: Sequence[Product], *, value_ranges: ValueRanges | None = None) -> Dataset:
        """Read the images and fill products; images that are in the cache are not decoded again.

        Args:
            products: Products to compute from every image.
            value_ranges: Value ranges that high-bit-depth images are scaled by, instead of the request's.
        """
        reading = self.reading if value_ranges is None else replace(self.reading, value_range=value_ranges)
        return read_dataset(self.data, reading, products=products)


@dataclass(frozen=True, slots=True)
class PreparedRun:
    """A run whose images are read and split.

    Attributes:
        folder: The run folder.
        recipe: All choices.
        dataset: All images.
        split: The split of each image.
        description: Description of the model to train.
        backbone: With its weights, where the model is a pretrained one.
    """

    folder: RunFolder
    recipe: Recipe
    dataset: Dataset
    split: Split
    description: ModelDescription
    backbone: LoadedBackbone | None = None

    def encode(self, images: Sequence[LabeledImage]) -> np.ndarray:
        """Return the targets of images: int64 (n,), class indices, or bool (n, classes) for multi-label."""
        return encode_labels(images, self.dataset.classes, self.dataset.task)

    def fill(self, products: Sequence[Product], request: TrainRequest) -> None:
        """Compute the rows of the train and validation splits that are missing from the cache.

        Args:
            products: Products to compute from every image.
            request: How the images are read.
        """
        keys = [image.row_key for image in (*self.split.train, *self.split.validation)]
        if missing := [product for product in products if product.store.missing(keys)]:
            request.read(missing, value_ranges=self.dataset.value_ranges)


def survey_images(data: Path, reading: Reading) -> DataFacts:
    """Return the facts about a data set that a recipe's defaults depend on.

    Args:
        data: Folder of images, or a table of labels.
        reading: How images and labels are found and read.
    """
    sample = survey(data, reading=reading)
    return DataFacts(
        images=sample.count,
        height=sample.height,
        width=sample.width,
        gray=sample.gray,
        task=sample.task,
    )
