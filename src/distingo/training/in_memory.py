"""Train on images in memory (paths, Pillow images, arrays) instead of a data set on disk.

The run directory and the cache are temporary; only the model remains.
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
from distingo.near_duplicates.keeping import are_large_enough, search_near_duplicates, settle_similarity
from distingo.near_duplicates.search import signature_product
from distingo.prediction.embedding import descriptors_product
from distingo.prediction.images import ImageLike, decode_given_image, name_image
from distingo.prediction.networks import map_in_order
from distingo.records import Dataset, LabeledImage, Source, Split, ValueRanges, row_key
from distingo.runs.folder import RunFolder
from distingo.runs.near_duplicates import write_counts
from distingo.training.defaults import DataFacts
from distingo.training.preparing import ChosenRun, settle_recipe
from distingo.training.pretrained import model_products
from distingo.training.request import TrainRequest
from distingo.training.run import train_whole_model

log = logging.getLogger("distingo")

_ROOT = Path("images in memory")

_CHUNK = 8

_LOOKED_AT = 300
"""Images that the recipe's defaults are chosen by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagesToLearn:
    """Images with one label each, and how to learn from them.

    Attributes:
        images: In any form of `distingo.prediction.images.open_image`.
        labels: The name of each image's class.
        classes: All names, in the order that the model's outputs are to have.
        requested: Recipe fields the user set, and ``image_size``; everything else is chosen.
        value_ranges: What deep images are scaled by; None lets them decide.
        max_pixels: As for `distingo.prediction.images.open_image`.
        workers: Decoding threads; None takes one per core.
    """

    images: Sequence[ImageLike]
    labels: Sequence[str]
    classes: tuple[str, ...]
    requested: Mapping[str, Any] = field(default_factory=dict)
    value_ranges: ValueRanges | None = None
    max_pixels: int | None = None
    workers: int | None = None


def train_in_memory(given: ImagesToLearn) -> SavedModel:
    """Train a model on all images but a validation split; nothing is left on disk, torch's random state is kept.

    Near-duplicates, and images that are given twice, are on one split. There is no test split: what the model is worth
    is for the caller to measure.

    Args:
        given: The images.

    Returns:
        The model as a run folder would hold it: calibrated, with its calibration set and its bank of training features.

    Raises:
        DataError: An image can't be read, or every class has but one image.
        DistingoError: The specific subclass for the failure.
    """
    prepare_process()
    with TemporaryDirectory(prefix="distingo-") as place, torch.random.fork_rng(devices=[]):
        cache, folder = Cache(Path(place) / "cache"), RunFolder(Path(place) / "run")
        chosen = _choose(given, cache)
        for sentence in chosen.choices:
            log.info(sentence)
        split = _hold_out(chosen, folder, cache, given.workers)
        reading = Reading(cache=cache, workers=given.workers)
        request = TrainRequest(data=_ROOT, output=folder.path, reading=reading)
        return train_whole_model(chosen.prepare(folder, split), request)


def _choose(given: ImagesToLearn, cache: Cache) -> ChosenRun:
    """Choose the recipe and compute what it needs of every image."""
    about = _survey(given)
    recipe, backbone, choices = settle_recipe(about, given.requested)
    is_signed = are_large_enough(about.height, about.width)
    products = model_products(recipe, backbone, cache) or [descriptors_product(cache)]
    if is_signed:
        products.append(signature_product(cache))
    facts = [seen.facts for seen in _decode(given, range(len(given.images)), products, given.value_ranges)]
    deep = [at for at, each in enumerate(facts) if each.values is not None]
    values = [each.values for each in facts if each.values is not None]
    ranges = given.value_ranges or decide_ranges(values)
    if given.value_ranges is None:  # deep images waited for the range that all of them decide
        _decode(given, deep, products, ranges)
    notes = describe_ranges(ranges, values, decided=given.value_ranges is None)
    dataset = Dataset(
        root=_ROOT,
        layout=note("images-in-memory"),
        task="single-label",
        classes=given.classes,
        images=tuple(
            _image(position, each, label, ranges)
            for position, (each, label) in enumerate(zip(facts, given.labels, strict=True))
        ),
        manifest=(),
        value_ranges=ranges,
    )
    return ChosenRun(recipe, dataset, backbone, (*choices, *notes), is_signed)


def _survey(given: ImagesToLearn) -> DataFacts:
    """What a sample of the images, evenly spread, has in common."""
    count = len(given.images)
    sample = _decode(given, range(0, count, -(-count // _LOOKED_AT)), (), given.value_ranges)
    return DataFacts(
        images=count,
        height=round(median(seen.facts.height for seen in sample)),
        width=round(median(seen.facts.width for seen in sample)),
        gray=all(seen.is_gray for seen in sample),
    )


def _image(position: int, facts: Facts, label: str, ranges: ValueRanges) -> LabeledImage:
    value_range = None if facts.values is None else choose_range(ranges, facts.values)
    file = f"{position:09}"
    source = Source(file, Path(file), value_range=value_range)
    return LabeledImage(source, (label,), facts.pixels, facts.pixels, facts.width, facts.height)


@dataclass(frozen=True, slots=True)
class _Seen:
    """What decoding an image showed; its rows are let go once they are kept."""

    facts: Facts
    is_gray: bool
    rows: tuple[npt.NDArray[Any], ...] = ()


def _decode(
    given: ImagesToLearn, positions: Sequence[int], products: Sequence[Product], ranges: ValueRanges | None
) -> list[_Seen]:
    """Decode images, and keep the products' rows; of deep images only where a range is known."""
    found: list[_Seen] = []
    written: set[str] = set()
    stream = map_in_order(
        _decoder(given, products, ranges),
        positions,
        chunk=_CHUNK,
        ahead=16 * _CHUNK,
        workers=given.workers or count_processors(),
    )
    with ExitStack() as stack:
        keepers = [stack.enter_context(row_keeper(product)) for product in products]
        for seen in stream:
            found.append(replace(seen, rows=()))
            values = seen.facts.values
            key = row_key(seen.facts.pixels, None if values is None else choose_range(ranges, values))
            if seen.rows and key not in written:
                written.add(key)
                for keeper, row in zip(keepers, seen.rows, strict=True):
                    keeper.add(key, row)
    return found


def _decoder(
    given: ImagesToLearn, products: Sequence[Product], ranges: ValueRanges | None
) -> Callable[[Sequence[int]], list[_Seen]]:
    def decode(positions: Sequence[int]) -> list[_Seen]:
        seen = []
        for at in positions:
            try:
                decoded = decode_given_image(given.images[at], value_range=ranges, max_pixels=given.max_pixels)
            except UndecodableError as error:
                name = name_image(given.images[at], at)
                raise DataError(
                    f"{name}: {error.reason}; leave it out, or give it again",
                    code=error.code,
                    parameter=error.parameter,
                ) from error
            waits = decoded.values is not None and ranges is None
            rows = () if waits else tuple(product.compute(decoded.image) for product in products)
            seen.append(_Seen(facts_of(decoded), decoded.image.mode == "L", rows))
        return seen

    return decode


def _hold_out(chosen: ChosenRun, folder: RunFolder, cache: Cache, workers: int | None) -> Split:
    """Cut the validation split by whole groups, every class alike; no class is missing on the training split."""
    dataset, recipe = chosen.dataset, chosen.recipe
    found = search_near_duplicates(
        dataset,
        similarity=settle_similarity(None),
        large_enough=chosen.is_signed,
        cache=cache,
        workers=workers or count_processors(),
    )
    write_counts(found.counts, folder.near_duplicates)  # the calibration set keeps to the same groups
    groups = group_images(len(dataset.images), [Links("near-duplicate", [*found.pairs, *_repeated(dataset)])])
    labels = np.array([[name == image.label for name in dataset.classes] for image in dataset.images], np.bool_)
    shares = [1 - recipe.validation, recipe.validation]
    parts = divide_groups(labels, groups.numbers, shares, seed=recipe.seed, needed=0)
    train, validation = (tuple(dataset.images[at] for at in np.flatnonzero(parts == part).tolist()) for part in (0, 1))
    return Split(train, validation, ())


def _repeated(dataset: Dataset) -> list[tuple[int, int]]:
    """Pairs of images with the very same pixels."""
    first: dict[str, int] = {}
    places = [(first.setdefault(image.pixels, at), at) for at, image in enumerate(dataset.images)]
    return [(one, other) for one, other in places if one != other]
