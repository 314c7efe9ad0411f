"""What a model looks at, as products of the one decoding pass: pixels for networks, descriptors for classic models."""

from __future__ import annotations

import numpy as np
from PIL import Image

from distingo.datasets.gathering import Product, pixels_product
from distingo.datasets.store import Cache
from distingo.features.descriptors import describe, descriptor_names
from distingo.models.saved import ModelDescription

_DESCRIPTORS_KIND = "descriptors-1"
"""Raised when the descriptors' definition changes, so that old cached ones are not used."""


def descriptors_product(cache: Cache) -> Product:
    """The descriptors of every picture, float32 (52,)."""
    store = cache.store(_DESCRIPTORS_KIND, (len(descriptor_names()),), "float32")
    return Product(store, _describe)


def _describe(image: Image.Image) -> np.ndarray:
    return describe(image).astype(np.float32)


def input_product(description: ModelDescription, cache: Cache) -> Product:
    """The product that a model of this description looks at."""
    if description.rendition is None:
        return descriptors_product(cache)
    return pixels_product(cache, description.rendition)
