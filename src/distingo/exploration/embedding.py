"""What pictures are laid out by: a frozen backbone's features, else descriptors, else the pixels themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import numpy as np

from distingo.datasets.candidates import Candidate
from distingo.datasets.decoding import DEFAULT_MAX_PIXELS
from distingo.datasets.examining import Examiner
from distingo.datasets.products import Product
from distingo.datasets.store import Cache
from distingo.errors import UsageError
from distingo.exploration.appearance import small_pictures
from distingo.records import Picture

DESCRIPTORS = "descriptors"
PIXELS = "pixels"
_SMALLEST_PHOTO = 64
"""Median shorter side, in pixels, from which a backbone that was trained on photos is worth a try."""


@dataclass(frozen=True, slots=True)
class Machine:
    """How pictures are read again.

    Attributes:
        cache: Where products are kept.
        workers: Threads.
        max_pixels: Larger pictures are left aside.
    """

    cache: Cache = field(default_factory=Cache)
    workers: int = 1
    max_pixels: int = DEFAULT_MAX_PIXELS


@dataclass(frozen=True, slots=True)
class Embedding:
    """What embeds pictures.

    Attributes:
        product: One row of numbers per picture.
        name: ``pixels``, ``descriptors`` or the backbone's name.
        words: What likeness means then, as part of a sentence.
        reason: Why this one.
    """

    product: Product
    name: str
    words: str
    reason: str


def choose_embedding(
    pictures: Sequence[Picture], cache: Cache, *, model: str | None = None, weights: str | Path | None = None
) -> Embedding:
    """Settle what pictures are embedded by; without a wish nothing is fetched from the network.

    Args:
        pictures: At least one.
        cache: Where embeddings are kept.
        model: A backbone as `train` takes it, ``descriptors`` or ``pixels``; None takes pixels for tiny pictures, else
            the preset ``fast`` where its weights lie in the hub's cache, else descriptors.
        weights: As for `train`.

    Raises:
        ModelError: There is no such backbone, or its weights can't be had.
        UsageError: The model is none that embeds.
    """
    reason = "it was asked for"
    if model is None and weights is None:
        model, reason = _choose_model(pictures)
    if model == PIXELS:
        words = "their pixels, each picture stretched to 48 × 48"
        return Embedding(small_pictures(cache), PIXELS, words, reason)
    if model == DESCRIPTORS:
        from distingo.prediction.describing import descriptors_product

        words = "histograms of their colours and the texture of their grey values (52 numbers)"
        return Embedding(descriptors_product(cache), DESCRIPTORS, words, reason)
    if model is None and weights is not None and (Path(weights) / "config.json").is_file():
        model, weights = str(weights), None  # a hub folder says itself which backbone it is
    return _embed_by_backbone(model or "fast", weights, cache, reason)


def embed(
    embedding: Embedding, pictures: Sequence[Picture], machine: Machine
) -> tuple[tuple[Picture, ...], np.ndarray]:
    """The features of pictures, of comparable scales; those that are not in the cache are computed.

    Returns:
        The pictures that could be embedded (all, unless a file was changed or lost meanwhile), and float32 (n, d):
        backbone features of unit length, descriptors standardised, pixels from 0 to 1.
    """
    store = embedding.product.store
    if store.missing([picture.row_key for picture in pictures]):
        candidates = [Candidate(picture.source, picture.labels, picture.given_side) for picture in pictures]
        examiner = Examiner(machine.cache, [embedding.product], max_pixels=machine.max_pixels, workers=machine.workers)
        examiner.examine(candidates)
    lost = set(store.missing([picture.row_key for picture in pictures]))
    kept = tuple(picture for picture in pictures if picture.row_key not in lost)
    rows = store.rows([picture.row_key for picture in kept]).take(slice(None))
    return kept, _scale(rows.reshape(len(rows), -1), embedding.name)


def _scale(rows: np.ndarray, name: str) -> np.ndarray:
    if name == PIXELS:
        scaled = rows.astype(np.float32) / 255
    elif name == DESCRIPTORS:
        rows = rows.astype(np.float64)
        spread = rows.std(axis=0)
        scaled = (rows - rows.mean(axis=0)) / np.where(spread > 1e-12, spread, 1.0)
    else:
        scaled = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return np.nan_to_num(scaled.astype(np.float32))


def _choose_model(pictures: Sequence[Picture]) -> tuple[str, str]:
    side = median(min(picture.width, picture.height) for picture in pictures)
    if side < _SMALLEST_PHOTO:
        return PIXELS, f"the pictures are small: the median of their shorter sides is {side:g} pixels"
    from distingo.models.hub import find_cached
    from distingo.models.presets import PRESETS

    if find_cached(f"timm/{PRESETS['fast'].backbone}", "model.safetensors"):
        return "fast", "its weights are on this machine"
    return DESCRIPTORS, (
        "the weights of the preset ‘fast’ are not on this machine; `distingo fetch-weights fast` gets them, and "
        "--model or --weights names others"
    )


def _embed_by_backbone(model: str, weights: str | Path | None, cache: Cache, reason: str) -> Embedding:
    from distingo.checking.embedding import embed_by_backbone
    from distingo.models.catalogue import find_model
    from distingo.models.presets import PRESETS

    if find_model(model).kind != "pretrained":
        raise UsageError(f"--model {model}: is no pretrained backbone; choose one, {DESCRIPTORS} or {PIXELS}")
    product = embed_by_backbone(model, weights, reason, cache).product
    assert product is not None
    features = product.store.shape[0]
    name = PRESETS[model].backbone if model in PRESETS else Path(model.removeprefix("local-dir:")).name
    return Embedding(
        product, model, f"the {features:,} features of {name}, a network trained on other pictures", reason
    )
