"""What a model looks at, as products of the one decoding pass: pixels for networks, descriptors for classic models."""

from __future__ import annotations

import torch

from distingo.datasets.gathering import Product, pixels_product
from distingo.datasets.store import Cache
from distingo.models.saved import SavedModel, feature_extractor
from distingo.prediction.describing import descriptors_product
from distingo.prediction.embedding import Embedder

__all__ = ["descriptors_product", "input_product"]


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
