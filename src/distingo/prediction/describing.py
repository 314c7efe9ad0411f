"""Classic descriptors as a product of the one decoding pass; needs no torch."""

from __future__ import annotations

import numpy as np
from PIL import Image

from distingo.datasets.decoding import DECODING
from distingo.datasets.products import Product
from distingo.datasets.store import Cache
from distingo.features.descriptors import describe, descriptor_names

_DESCRIPTORS_KIND = f"descriptors-1-decoded-{DECODING}"
"""Raised when the descriptors' definition changes, so that old cached ones are not used."""


def descriptors_product(cache: Cache) -> Product:
    """The descriptors of every picture, float32 (52,)."""
    store = cache.store(_DESCRIPTORS_KIND, (len(descriptor_names()),), "float32")
    return Product(store, _describe)


def _describe(image: Image.Image) -> np.ndarray:
    return describe(image).astype(np.float32)
