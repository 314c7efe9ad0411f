"""The exploration of a data set: colors, mean images and a map of its images."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from distingo.datasets.options import Reading
from distingo.datasets.targets import encode_labels
from distingo.exploration.appearance import Exploration, ImageMap, describe_appearance, file_sizes, small_images
from distingo.exploration.embedding import (
    NEAREST,
    choose_embedding,
    choose_perplexity,
    embed,
    find_neighborhoods,
    project,
    reduce,
)
from distingo.progress import progress_bar
from distingo.records import Dataset, LabeledImage

log = logging.getLogger("distingo")

MOST_ON_MAP = 3000
"""Default limit of the images on a map; more images take minutes without showing more."""

_FEWEST_ON_MAP = 8


@dataclass(frozen=True, slots=True)
class MapWish:
    """Options of the image map.

    Attributes:
        model: Features that images are compared by, as for `choose_embedding`.
        weights: As for `train`.
        seed: Seed of the sample and of the projection.
        most: Highest number of images; larger data sets are sampled at random.
    """

    model: str | None = None
    weights: str | Path | None = None
    seed: int = 0
    most: int = MOST_ON_MAP


def explore(dataset: Dataset, reading: Reading, option: MapWish | None) -> Exploration:
    """Explore a data set.

    Args:
        dataset: A data set that was read with the product `small_images`.
        reading: Options with the cache and threads.
        option: Options of the map; None makes no map.

    Raises:
        ModelError: The requested model is not available.
        UsageError: The model has no features.
    """
    contents = [image.row_key for image in dataset.images]
    rows = small_images(reading.cache).store.rows(contents)
    sizes = file_sizes(dataset.images)
    appearances = describe_appearance(dataset, rows, sizes)
    if option is None:
        return Exploration(appearances, sizes, why_no_map="it was not requested")
    if len(dataset.images) < _FEWEST_ON_MAP:
        return Exploration(appearances, sizes, why_no_map=f"a map wants {_FEWEST_ON_MAP} pictures at least")
    drawn = draw_map(dataset, reading, option)
    return Exploration(appearances, sizes, drawn, "" if drawn else "too few pictures could be read again")


def draw_map(dataset: Dataset, reading: Reading, option: MapWish) -> ImageMap | None:
    """Draw a map with similar images close together.

    Returns:
        The map; None if there are features of too few images.

    Raises:
        ModelError: As for `explore`.
        UsageError: As for `explore`.
    """
    embedding = choose_embedding(dataset.images, reading.cache, model=option.model, weights=option.weights)
    log.info(f"map: by {embedding.words}, because {embedding.reason}")
    images, features = embed(embedding, _sample(dataset.images, option), reading)
    if len(images) < _FEWEST_ON_MAP:
        return None
    with progress_bar("Drawing the map", 2) as advance:
        reduced = reduce(features, seed=option.seed)
        advance()
        positions = project(reduced, seed=option.seed)
        advance()
    table = encode_labels(images, dataset.classes, "multi-label")
    return ImageMap(
        images=images,
        places=positions,
        embedded_by=embedding.words,
        reason=embedding.reason,
        perplexity=choose_perplexity(len(images)),
        components=reduced.shape[1],
        seed=option.seed,
        total=len(dataset.images),
        nearest=min(NEAREST, len(images) - 1),
        neighborhoods=find_neighborhoods(reduced, table, dataset.classes),
    )


def _sample(images: Sequence[LabeledImage], option: MapWish) -> Sequence[LabeledImage]:
    if len(images) <= option.most:
        return images
    chosen = np.random.default_rng(option.seed).choice(len(images), option.most, replace=False)
    return [images[at] for at in np.sort(chosen).tolist()]
