"""Training on images in memory (paths, Pillow images, arrays) instead of a data set on disk.

The run folder and the cache are temporary; only the model is returned.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from distingo.datasets.cache.products import Facts, Product, facts_of
from distingo.datasets.cache.store import Cache
from distingo.datasets.decoding.decode import UndecodableError
from distingo.datasets.decoding.value_ranges import choose_range, decide_ranges, describe_ranges
from distingo.datasets.examining import row_keeper
from distingo.datasets.options import Reading, count_processors
from distingo.datasets.splits.dividing import divide_groups
from distingo.datasets.splits.grouping import Links, group_images
from distingo.errors import DataError
from distingo.machine.process import prepare_process
from distingo.messages.notes import note
from distingo.models.saved import SavedModel
from distingo.near_duplicates.keeping import are_large_enough, resolve_similarity, search_near_duplicates
from distingo.near_duplicates.search import signature_product
from distingo.prediction.classifier import descriptors_product
from distingo.prediction.images import ImageLike, decode_any_image, name_image
from distingo.prediction.networks import map_in_order
from distingo.records import Dataset, LabeledImage, Source, Split, ValueRanges, row_key
from distingo.runs.data import write_counts
from distingo.runs.folder import RunFolder
from distingo.training.defaults import DataFacts
from distingo.training.preparing import ChosenRun, complete_recipe
from distingo.training.pretrained import model_products
from distingo.training.request import TrainRequest
from distingo.training.run import train_whole_model

log = logging.getLogger("distingo")

_ROOT = Path("images in memory")

_CHUNK = 8

_SAMPLED = 300
"""Number of images that are sampled to choose the recipe's defaults."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InMemoryImages:
    """Single-label images and the options of a training on them.

    Attributes:
        images: Images in any form that `distingo.prediction.images.open_image` accepts.
        labels: Class name of each image.
        classes: All class names, in the order of the model's outputs.
        requested: Recipe fields that the user set, and ``image_size``; all others are chosen automatically.
        value_ranges: Value ranges that high-bit-depth images are scaled by; None derives them from the images.
        max_pixels: As for `distingo.prediction.images.open_image`.
        workers: Number of decoding threads; None uses one per core.
    """

    images: Sequence[ImageLike]
    labels: Sequence[str]
    classes: tuple[str, ...]
    requested: Mapping[str, Any] = field(default_factory=dict)
    value_ranges: ValueRanges | None = None
    max_pixels: int | None = None
    workers: int | None = None


def train_in_memory(data: InMemoryImages) -> SavedModel:
    """Train a model, holding out a validation split; no files remain, and torch's random state is preserved.

    Near-duplicates and repeated images are put into the same split. There is no test split: the caller evaluates the
    model.

    Args:
        data: The images and options.

    Returns:
        The model as a run folder would store it: calibrated, with its calibration set and its bank of training
        features.

    Raises:
        DataError: An image can't be read, or every class has only one image.
        DistingoError: The specific subclass for the failure.
    """
    prepare_process()
    with TemporaryDirectory(prefix="distingo-") as temporary, torch.random.fork_rng(devices=[]):
        cache, folder = Cache(Path(temporary) / "cache"), RunFolder(Path(temporary) / "run")
        chosen = _choose(data, cache)
        for sentence in chosen.choices:
            log.info(sentence)
        split = _hold_out(chosen, folder, cache, data.workers)
        reading = Reading(cache=cache, workers=data.workers)
        request = TrainRequest(data=_ROOT, output=folder.path, reading=reading)
        return train_whole_model(chosen.prepare(folder, split), request)


def _choose(data: InMemoryImages, cache: Cache) -> ChosenRun:
    """Choose the recipe and compute its inputs for every image."""
    data_facts = _survey(data)
    recipe, backbone, choices = complete_recipe(data_facts, data.requested)
    is_signed = are_large_enough(data_facts.height, data_facts.width)
    products = model_products(recipe, backbone, cache) or [descriptors_product(cache)]
    if is_signed:
        products.append(signature_product(cache))
    facts = [result.facts for result in _decode(data, range(len(data.images)), products, data.value_ranges)]
    deep = [index for index, each in enumerate(facts) if each.values is not None]
    values = [each.values for each in facts if each.values is not None]
    ranges = data.value_ranges or decide_ranges(values)
    if data.value_ranges is None:  # decode images of high bit depth now that the range is derived from all of them
        _decode(data, deep, products, ranges)
    notes = describe_ranges(ranges, values, decided=data.value_ranges is None)
    dataset = Dataset(
        root=_ROOT,
        layout=note("images-in-memory"),
        task="single-label",
        classes=data.classes,
        images=tuple(
            _image(position, each, label, ranges)
            for position, (each, label) in enumerate(zip(facts, data.labels, strict=True))
        ),
        manifest=(),
        value_ranges=ranges,
    )
    return ChosenRun(recipe, dataset, backbone, (*choices, *notes), is_signed)


def _survey(data: InMemoryImages) -> DataFacts:
    """Return facts about an evenly spaced sample of the images."""
    count = len(data.images)
    sample = _decode(data, range(0, count, -(-count // _SAMPLED)), (), data.value_ranges)
    return DataFacts(
        images=count,
        height=round(median(result.facts.height for result in sample)),
        width=round(median(result.facts.width for result in sample)),
        gray=all(result.is_gray for result in sample),
    )


def _image(position: int, facts: Facts, label: str, ranges: ValueRanges) -> LabeledImage:
    value_range = None if facts.values is None else choose_range(ranges, facts.values)
    file = f"{position:09}"
    source = Source(file, Path(file), value_range=value_range)
    return LabeledImage(source, (label,), facts.pixels, facts.pixels, facts.width, facts.height)


@dataclass(frozen=True, slots=True)
class _Decoded:
    """Result of decoding an image; its rows are dropped once they are in the cache."""

    facts: Facts
    is_gray: bool
    rows: tuple[npt.NDArray[Any], ...] = ()


def _decode(
    data: InMemoryImages, positions: Sequence[int], products: Sequence[Product], ranges: ValueRanges | None
) -> list[_Decoded]:
    """Decode images and cache the products' rows; for high-bit-depth images, only if ``ranges`` is set."""
    results: list[_Decoded] = []
    written: set[str] = set()
    stream = map_in_order(
        _decoder(data, products, ranges),
        positions,
        chunk=_CHUNK,
        ahead=16 * _CHUNK,
        workers=data.workers or count_processors(),
    )
    with ExitStack() as stack:
        writers = [stack.enter_context(row_keeper(product)) for product in products]
        for result in stream:
            results.append(replace(result, rows=()))
            values = result.facts.values
            key = row_key(result.facts.pixels, None if values is None else choose_range(ranges, values))
            if result.rows and key not in written:
                written.add(key)
                for writer, row in zip(writers, result.rows, strict=True):
                    writer.add(key, row)
    return results


def _decoder(
    data: InMemoryImages, products: Sequence[Product], ranges: ValueRanges | None
) -> Callable[[Sequence[int]], list[_Decoded]]:
    def decode(positions: Sequence[int]) -> list[_Decoded]:
        results = []
        for position in positions:
            try:
                decoded = decode_any_image(data.images[position], value_range=ranges, max_pixels=data.max_pixels)
            except UndecodableError as error:
                name = name_image(data.images[position], position)
                raise DataError(
                    f"{name}: {error.reason}; leave it out, or give it again",
                    code=error.code,
                    parameter=error.parameter,
                ) from error
            needs_range = decoded.values is not None and ranges is None
            rows = () if needs_range else tuple(product.compute(decoded.image) for product in products)
            results.append(_Decoded(facts_of(decoded), decoded.image.mode == "L", rows))
        return results

    return decode


def _hold_out(chosen: ChosenRun, folder: RunFolder, cache: Cache, workers: int | None) -> Split:
    """Hold out a stratified validation split of undivided groups; every class stays in the train split."""
    dataset, recipe = chosen.dataset, chosen.recipe
    near_duplicates = search_near_duplicates(
        dataset,
        similarity=resolve_similarity(None),
        large_enough=chosen.is_signed,
        cache=cache,
        workers=workers or count_processors(),
    )
    write_counts(near_duplicates.counts, folder.near_duplicates)  # the calibration set uses the same groups
    groups = group_images(len(dataset.images), [Links("near-duplicate", [*near_duplicates.pairs, *_repeated(dataset)])])
    labels = np.array([[name == image.label for name in dataset.classes] for image in dataset.images], np.bool_)
    shares = [1 - recipe.validation, recipe.validation]
    parts = divide_groups(labels, groups.numbers, shares, seed=recipe.seed, needed=0)
    train, validation = (
        tuple(dataset.images[position] for position in np.flatnonzero(parts == part).tolist()) for part in (0, 1)
    )
    return Split(train, validation, ())


def _repeated(dataset: Dataset) -> list[tuple[int, int]]:
    """Return pairs of positions of images with identical pixels."""
    first: dict[str, int] = {}
    first_positions = [
        (first.setdefault(image.pixels, position), position) for position, image in enumerate(dataset.images)
    ]
    return [(one, other) for one, other in first_positions if one != other]
