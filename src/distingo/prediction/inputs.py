"""What a model looks at, as products of the one decoding pass: pixels for networks, descriptors for classic models."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image

from distingo.datasets.gathering import Product, pixels_product
from distingo.datasets.store import Cache
from distingo.features.descriptors import describe, descriptor_names
from distingo.models.saved import SavedModel, feature_extractor
from distingo.prediction.embedding import Embedder

_DESCRIPTORS_KIND = "descriptors-1"
"""Raised when the descriptors' definition changes, so that old cached ones are not used."""


def descriptors_product(cache: Cache) -> Product:
    """The descriptors of every picture, float32 (52,)."""
    store = cache.store(_DESCRIPTORS_KIND, (len(descriptor_names()),), "float32")
    return Product(store, _describe)


def _describe(image: Image.Image) -> np.ndarray:
    return describe(image).astype(np.float32)


def input_product(model: SavedModel, cache: Cache, device: torch.device) -> Product:
    """The product that a saved model looks at: pixels, descriptors, or features of a backbone that stayed frozen."""
    description = model.description
    if description.mode == "frozen" and description.backbone is not None and model.network is not None:
        embedder = Embedder(
            description.backbone,
            feature_extractor(model.network),
            device=device,
            engine=description.engine,
            precision=description.precision,
        )
        return embedder.product(cache)
    if description.rendition is None:
        return descriptors_product(cache)
    return pixels_product(cache, description.rendition)
