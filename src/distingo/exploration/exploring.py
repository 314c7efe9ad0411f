"""The exploration of a data set: colors, mean images and a map of its images."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from distingo.datasets.targets import encode_labels
from distingo.exploration.appearance import Exploration, PictureMap, describe_appearance, file_sizes, small_pictures
from distingo.exploration.embedding import (
    NEAREST,
    Machine,
    choose_embedding,
    choose_perplexity,
    embed,
    find_neighbourhoods,
    project,
    reduce,
)
from distingo.progress import progress_bar
from distingo.records import Dataset, Picture

log = logging.getLogger("distingo")

MOST_ON_MAP = 3000
"""More points than this show nothing more, and take minutes."""

_FEWEST_ON_MAP = 8


@dataclass(frozen=True, slots=True)
class MapWish:
    """What a person wants of the map.

    Attributes:
        model: What pictures are laid out by, as for `choose_embedding`.
        weights: As for `train`.
        seed: Of the sample and of the projection.
        most: How many pictures at most; of more, so many are drawn by chance.
    """

    model: str | None = None
    weights: str | Path | None = None
    seed: int = 0
    most: int = MOST_ON_MAP


def explore(dataset: Dataset, machine: Machine, wish: MapWish | None) -> Exploration:
    """Find out what a data set looks like.

    Args:
        dataset: Read with the product `small_pictures`.
        machine: Cache and threads.
        wish: What the map shall be; None: no map.

    Raises:
        ModelError: The requested model is not available.
        UsageError: The model is none that embeds.
    """
    contents = [picture.row_key for picture in dataset.pictures]
    rows = small_pictures(machine.cache).store.rows(contents)
    sizes = file_sizes(dataset.pictures)
    appearances = describe_appearance(dataset, rows, sizes)
    if wish is None:
        return Exploration(appearances, sizes, why_no_map="it was not asked for")
    if len(dataset.pictures) < _FEWEST_ON_MAP:
        return Exploration(appearances, sizes, why_no_map=f"a map wants {_FEWEST_ON_MAP} pictures at least")
    drawn = draw_map(dataset, machine, wish)
    return Exploration(appearances, sizes, drawn, "" if drawn else "too few pictures could be read again")


def draw_map(dataset: Dataset, machine: Machine, wish: MapWish) -> PictureMap | None:
    """Lay pictures out so that alike ones lie together.

    Returns:
        None where too few pictures could be embedded.

    Raises:
        ModelError: As `explore`.
        UsageError: As `explore`.
    """
    embedding = choose_embedding(dataset.pictures, machine.cache, model=wish.model, weights=wish.weights)
    log.info(f"map: by {embedding.words}, because {embedding.reason}")
    pictures, features = embed(embedding, _sample(dataset.pictures, wish), machine)
    if len(pictures) < _FEWEST_ON_MAP:
        return None
    with progress_bar("Drawing the map", 2) as advance:
        reduced = reduce(features, seed=wish.seed)
        advance()
        places = project(reduced, seed=wish.seed)
        advance()
    table = encode_labels(pictures, dataset.classes, "multi-label")
    return PictureMap(
        pictures=pictures,
        places=places,
        embedded_by=embedding.words,
        reason=embedding.reason,
        perplexity=choose_perplexity(len(pictures)),
        components=reduced.shape[1],
        seed=wish.seed,
        total=len(dataset.pictures),
        nearest=min(NEAREST, len(pictures) - 1),
        neighbourhoods=find_neighbourhoods(reduced, table, dataset.classes),
    )


def _sample(pictures: Sequence[Picture], wish: MapWish) -> Sequence[Picture]:
    if len(pictures) <= wish.most:
        return pictures
    chosen = np.random.default_rng(wish.seed).choice(len(pictures), wish.most, replace=False)
    return [pictures[at] for at in np.sort(chosen).tolist()]
