"""Records that all steps of a training share: the training request and the prepared run."""

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
    split: WantedSplit | None = None
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
