"""A training as it was requested, and as it is prepared: records that all of its steps share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from distingo.datasets.gathering import Product, read_dataset, survey
from distingo.datasets.options import Reading
from distingo.datasets.splits.files import WantedSplit
from distingo.datasets.targets import encode_labels
from distingo.models.description import ModelDescription
from distingo.near_duplicates.keeping import Similarity
from distingo.records import Dataset, LabeledImage, Split, ValueRanges
from distingo.runs.config import RunConfig
from distingo.runs.folder import RunFolder
from distingo.runs.history import EpochRecord
from distingo.training.defaults import DataFacts
from distingo.training.pretrained import LoadedBackbone
from distingo.training.recipe import Recipe
from distingo.training.recipe_file import RecipeFile


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainRequest:
    """A training as it is requested.

    Attributes:
        data: Folder of images, or a table of labels next to them.
        output: The run folder to make.
        options: Recipe fields the user set (and ``image_size``); everything else is chosen.
        reading: How its images and labels are found and read.
        repeats: The config of the run that is repeated; None for a run of its own.
        split: The file that says which split each image is in; None splits by class and seed.
        near_duplicates: From which similarity on near-duplicates are kept on one side; ``none`` for never, None for the
            default.
        recipe_file: Where options come from that are not set.
        resume: Resume the run in `output`.
        on_epoch: Called with every finished epoch.
    """

    data: Path
    output: Path
    options: Mapping[str, Any] = field(default_factory=dict)
    reading: Reading = field(default_factory=Reading)
    repeats: RunConfig | None = None
    split: WantedSplit | None = None
    near_duplicates: Similarity = None
    recipe_file: RecipeFile | None = None
    resume: bool = False
    on_epoch: Callable[[EpochRecord], None] | None = None

    def survey(self) -> DataFacts:
        """What the defaults of a recipe depend on; it decodes a few images."""
        return survey_images(self.data, self.reading)

    def read(self, products: Sequence[Product], *, value_ranges: ValueRanges | None = None) -> Dataset:
        """Read the images and fill products of them; what the cache holds already is not decoded again.

        Args:
            products: What to compute from every image.
            value_ranges: What deep images are scaled by, in place of the request's own.
        """
        reading = self.reading if value_ranges is None else replace(self.reading, value_range=value_ranges)
        return read_dataset(self.data, reading, products=products)


@dataclass(frozen=True, slots=True)
class PreparedRun:
    """A run whose images are read, split and written down.

    Attributes:
        folder: The run folder.
        recipe: All choices.
        dataset: All images.
        split: The split of each image.
        description: Of the model to be trained.
        backbone: With its weights, where the model is a pretrained one.
    """

    folder: RunFolder
    recipe: Recipe
    dataset: Dataset
    split: Split
    description: ModelDescription
    backbone: LoadedBackbone | None = None

    def encode(self, images: Sequence[LabeledImage]) -> np.ndarray:
        """The targets of images: int64 (n,), positions of classes; with several labels bool (n, classes)."""
        return encode_labels(images, self.dataset.classes, self.dataset.task)

    def fill(self, products: Sequence[Product], request: TrainRequest) -> None:
        """Compute what the cache lacks for the train and the validation split; nothing is read where it lacks nothing.

        Args:
            products: What to compute from every image.
            request: How the images are read.
        """
        keys = [image.row_key for image in (*self.split.train, *self.split.validation)]
        if missing := [product for product in products if product.store.missing(keys)]:
            request.read(missing, value_ranges=self.dataset.value_ranges)


def survey_images(data: Path, reading: Reading) -> DataFacts:
    """What the defaults of a recipe depend on.

    Args:
        data: Folder of images, or a table of labels.
        reading: How images and labels are found and read.
    """
    seen = survey(data, reading=reading)
    return DataFacts(images=seen.count, height=seen.height, width=seen.width, gray=seen.gray, task=seen.task)
