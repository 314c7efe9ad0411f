"""The exploration of a data set: colors, mean images and a map of its images, projected from features by t-SNE."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np

from distingo.curation.appearance import (
    Exploration,
    ImageMap,
    Neighborhood,
    describe_appearance,
    file_sizes,
    small_images,
)
from distingo.datasets.cache.products import Product
from distingo.datasets.cache.store import Cache
from distingo.datasets.examining import Examiner
from distingo.datasets.options import Reading
from distingo.datasets.walking import Candidate
from distingo.errors import UsageError, option
from distingo.messages.notes import Note, note
from distingo.progress import progress_bar
from distingo.records import Dataset, LabeledImage, encode_labels

DESCRIPTORS = "descriptors"

PIXELS = "pixels"

_SMALLEST_PHOTO = 64
"""Minimum median of the shorter side, in pixels, for a backbone that was trained on photos."""


@dataclass(frozen=True, slots=True)
class Embedding:
    """The features that images are compared by.

    Attributes:
        product: One feature vector per image.
        name: ``pixels``, ``descriptors`` or the backbone's name.
        description: Description of the features, as part of a sentence.
        reason: Why they were chosen.
    """

    product: Product
    name: str
    description: str
    reason: Note


def choose_embedding(
    images: Sequence[LabeledImage], cache: Cache, *, model: str | None = None, weights: str | Path | None = None
) -> Embedding:
    """Choose the features that images are compared by; nothing is downloaded unless a model is requested.

    Args:
        images: At least one image.
        cache: Cache for the features.
        model: A backbone as for `train`, ``descriptors`` or ``pixels``. None chooses pixels for tiny images, otherwise
            the preset ``fast`` if its weights are in the hub's cache, otherwise descriptors.
        weights: As for `train`.

    Raises:
        ModelError: There is no such backbone, or its weights are not available.
        UsageError: The model has no features.
    """
    reason = note("requested")
    if model is None and weights is None:
        model, reason = _choose_model(images)
    if model == PIXELS:
        description = "their pixels, each picture stretched to 48 × 48"
        return Embedding(small_images(cache), PIXELS, description, reason)
    if model == DESCRIPTORS:
        from distingo.prediction.classifier import descriptors_product

        description = "histograms of their colors and the texture of their gray values (52 numbers)"
        return Embedding(descriptors_product(cache), DESCRIPTORS, description, reason)
    if model is None and weights is not None and (Path(weights) / "config.json").is_file():
        model, weights = str(weights), None  # a hub folder names its backbone
    return _embed_by_backbone(model or "fast", weights, cache, reason)


def embed(
    embedding: Embedding, images: Sequence[LabeledImage], reading: Reading
) -> tuple[tuple[LabeledImage, ...], np.ndarray]:
    """Compute the scaled features of images; cached features are reused.

    Returns:
        The images with features (all, unless a file was changed or deleted meanwhile), and their features, float32
        (n, d): backbone features of unit length, standardized descriptors, or pixels from 0 to 1.
    """
    store = embedding.product.store
    if store.missing([image.row_key for image in images]):
        candidates = [Candidate(image.source, image.labels, image.predefined_split) for image in images]
        examiner = Examiner(reading.cache, [embedding.product], max_pixels=reading.pixel_limit, workers=reading.threads)
        examiner.examine(candidates)
    missing = set(store.missing([image.row_key for image in images]))
    embedded = tuple(image for image in images if image.row_key not in missing)
    rows = store.rows([image.row_key for image in embedded]).take(slice(None))
    return embedded, _scale(rows.reshape(len(rows), -1), embedding.name)


def _scale(rows: np.ndarray, name: str) -> np.ndarray:
    if name == PIXELS:
        scaled = rows.astype(np.float32) / 255
    elif name == DESCRIPTORS:
        rows = rows.astype(np.float64)
        deviations = rows.std(axis=0)
        scaled = (rows - rows.mean(axis=0)) / np.where(deviations > 1e-12, deviations, 1.0)
    else:
        scaled = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return np.nan_to_num(scaled.astype(np.float32))


def _choose_model(images: Sequence[LabeledImage]) -> tuple[str, Note]:
    median_side = median(min(image.width, image.height) for image in images)
    if median_side < _SMALLEST_PHOTO:
        return PIXELS, note("pixels-compared", split=f"{median_side:g}")
    from distingo.models.hub import find_cached
    from distingo.models.presets import PRESETS

    if find_cached(f"timm/{PRESETS['fast'].backbone}", "model.safetensors"):
        return "fast", note("weights-here")
    return DESCRIPTORS, note("weights-not-here")


def _embed_by_backbone(model: str, weights: str | Path | None, cache: Cache, reason: Note) -> Embedding:
    from distingo.curation.embedding import embed_by_backbone
    from distingo.models.catalog import find_model
    from distingo.models.presets import PRESETS

    if find_model(model).kind != "pretrained":
        raise UsageError(
            f"{option('model')} {model}: is no pretrained backbone; choose one, {DESCRIPTORS} or {PIXELS}",
            code="option_not_applicable",
            parameter="model",
        )
    product = embed_by_backbone(model, weights, reason, cache).product
    assert product is not None
    features = product.store.shape[0]
    name = PRESETS[model].backbone if model in PRESETS else Path(model.removeprefix("local-dir:")).name
    return Embedding(
        product, model, f"the {features:,} features of {name}, a network trained on other pictures", reason
    )


COMPONENTS = 50

NEAREST = 10

_PERPLEXITY = 30.0


def reduce(features: np.ndarray, *, seed: int) -> np.ndarray:
    """Compute the first principal components, at most 50.

    Args:
        features: float (n, d), n and d at least 2, finite.
        seed: Seed of the randomized solver.

    Returns:
        float64 (n, components).
    """
    from sklearn.decomposition import PCA

    components = min(COMPONENTS, *features.shape)
    if not np.ptp(features, axis=0).any():
        return np.zeros((len(features), components))
    reduced: np.ndarray = PCA(components, random_state=seed).fit_transform(features.astype(np.float64))
    return reduced


def choose_perplexity(n: int) -> float:
    """Perplexity of t-SNE, the approximate number of neighbors: 30, or a third of the images if there are few."""
    return min(_PERPLEXITY, (n - 1) / 3)


def project(reduced: np.ndarray, *, seed: int) -> np.ndarray:
    """Project points to two dimensions by t-SNE (van der Maaten and Hinton, 2008).

    Only one thread is used: the sums of several threads vary between calls, and t-SNE amplifies tiny differences.

    Args:
        reduced: float (n, components), n at least 4.
        seed: Seed of the optimization.

    Returns:
        float64 (n, 2): x to the right and y downwards, from 0 to 1 along the longer axis, with the same scale on both.
    """
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    if not np.ptp(reduced, axis=0).any():
        return np.zeros((len(reduced), 2))
    with threadpool_limits(limits=1):
        layout = TSNE(2, perplexity=choose_perplexity(len(reduced)), init="pca", random_state=seed)
        positions: np.ndarray = layout.fit_transform(reduced).astype(np.float64)
    low, high = positions.min(axis=0), positions.max(axis=0)
    scaled: np.ndarray = (positions - low) / max(float((high - low).max()), 1e-12)
    return scaled


def find_neighborhoods(
    reduced: np.ndarray, labels: np.ndarray, classes: Sequence[str], *, nearest: int = NEAREST
) -> tuple[Neighborhood, ...]:
    """Count the classes of the nearest neighbors of each class's images, in the space before the projection.

    Args:
        reduced: float (n, components), n at least 2.
        labels: bool (n, classes).
        classes: Class names.
        nearest: Highest number of neighbors per image.

    Returns:
        One entry per class with images, in ascending order of `own` minus `expected`.
    """
    from sklearn.neighbors import NearestNeighbors

    count = min(nearest, len(reduced) - 1)
    neighbors = NearestNeighbors(n_neighbors=count).fit(reduced).kneighbors(return_distance=False)
    shares = labels[neighbors].mean(axis=1)  # (n, classes): over each image's neighbors
    neighborhoods = []
    for column in np.flatnonzero(labels.any(axis=0)).tolist():
        members = labels[:, column]
        mean = shares[members].mean(axis=0)
        expected = (int(members.sum()) - 1) / (len(labels) - 1)
        others = np.where(np.arange(len(classes)) == column, -1.0, mean)
        other = int(others.argmax())
        has_other = others[other] > 0
        neighborhoods.append(
            Neighborhood(
                classes[column],
                int(members.sum()),
                float(mean[column]),
                expected,
                classes[other] if has_other else "",
                float(others[other]) if has_other else 0.0,
            )
        )
    return tuple(sorted(neighborhoods, key=lambda each: (each.own - each.expected, each.name)))


log = logging.getLogger("distingo")

MOST_ON_MAP = 3000
"""Default limit of the images on a map; more images take minutes without showing more."""

_FEWEST_ON_MAP = 8


@dataclass(frozen=True, slots=True)
class MapOptions:
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


def explore(dataset: Dataset, reading: Reading, options: MapOptions | None) -> Exploration:
    """Explore a data set.

    Args:
        dataset: A data set that was read with the product `small_images`.
        reading: Options with the cache and threads.
        options: Options of the map; None makes no map.

    Raises:
        ModelError: The requested model is not available.
        UsageError: The model has no features.
    """
    contents = [image.row_key for image in dataset.images]
    rows = small_images(reading.cache).store.rows(contents)
    sizes = file_sizes(dataset.images)
    appearances = describe_appearance(dataset, rows, sizes)
    if options is None:
        return Exploration(appearances, sizes, why_no_map="it was not requested")
    if len(dataset.images) < _FEWEST_ON_MAP:
        return Exploration(appearances, sizes, why_no_map=f"a map wants {_FEWEST_ON_MAP} pictures at least")
    drawn = draw_map(dataset, reading, options)
    return Exploration(appearances, sizes, drawn, "" if drawn else "too few pictures could be read again")


def draw_map(dataset: Dataset, reading: Reading, options: MapOptions) -> ImageMap | None:
    """Draw a map with similar images close together.

    Returns:
        The map; None if there are features of too few images.

    Raises:
        ModelError: As for `explore`.
        UsageError: As for `explore`.
    """
    embedding = choose_embedding(dataset.images, reading.cache, model=options.model, weights=options.weights)
    log.info(f"map: by {embedding.description}, because {embedding.reason}")
    images, features = embed(embedding, _sample(dataset.images, options), reading)
    if len(images) < _FEWEST_ON_MAP:
        return None
    with progress_bar("Drawing the map", 2) as advance:
        reduced = reduce(features, seed=options.seed)
        advance()
        positions = project(reduced, seed=options.seed)
        advance()
    table = encode_labels(images, dataset.classes, "multi-label")
    return ImageMap(
        images=images,
        places=positions,
        embedded_by=embedding.description,
        reason=embedding.reason,
        perplexity=choose_perplexity(len(images)),
        components=reduced.shape[1],
        seed=options.seed,
        total=len(dataset.images),
        nearest=min(NEAREST, len(images) - 1),
        neighborhoods=find_neighborhoods(reduced, table, dataset.classes),
    )


def _sample(images: Sequence[LabeledImage], options: MapOptions) -> Sequence[LabeledImage]:
    if len(images) <= options.most:
        return images
    chosen = np.random.default_rng(options.seed).choice(len(images), options.most, replace=False)
    return [images[at] for at in np.sort(chosen).tolist()]
