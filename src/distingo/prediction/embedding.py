"""Products of the decoding pass that serve as model inputs, cached by image content.

They are pixels for networks, descriptors for classic models, and features of a frozen backbone for heads.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch
from PIL import Image
from torch import nn

from distingo.datasets.cache.store import Cache
from distingo.datasets.decoding.decode import DECODING
from distingo.datasets.decoding.rendering import look, render, share_of_split, shorter_side_for
from distingo.datasets.gathering import Product, pixels_product
from distingo.features.descriptors import describe, descriptor_names
from distingo.models.backbones import BackboneDescription
from distingo.models.saved import SavedModel, feature_extractor
from distingo.models.weights import hash_weights
from distingo.prediction.engines import Engine, EngineName, build_engine, choose_engine
from distingo.version import __version__

_BATCH = 64
"""Batch size of the backbone; the next images are decoded meanwhile."""


class Embedder:
    """Creates products that compute a backbone's features; the engine is built for the first image.

    Args:
        description: Description of the backbone, with its `weights_hash`.
        network: The backbone behind its normalization: float (n, 3, height, width) in [0, 1] to (n, features).
        device: Device of the backbone.
        engine: ``auto``, ``torch`` or ``openvino``.
        precision: ``auto``, ``float32`` or ``bfloat16``.
    """

    def __init__(
        self,
        description: BackboneDescription,
        network: nn.Module,
        *,
        device: torch.device,
        engine: EngineName = "auto",
        precision: str = "auto",
    ) -> None:
        self._description = description
        self._network = network
        self._device = device
        self._cache: Cache | None = None
        self.engine_name, self.precision = choose_engine(engine, device, precision)

    @cached_property
    def _engine(self) -> Engine:
        rendition = self._description.rendition
        shape = (rendition.height, rendition.width, rendition.channels)
        return build_engine(
            self._network,
            shape,
            name=self.engine_name,
            precision=self.precision,
            device=self._device,
            cache=self._cache,
            identity=identify_backbone(self._description, self._network),
        )

    def product(self, cache: Cache, view: str = "whole") -> Product:
        """The features of one view of every image, float32 (features,).

        Args:
            cache: Cache for the features; the keys are image content, weights, preprocessing and engine.
            view: As in `distingo.datasets.decoding.rendering.look`.
        """
        self._cache = cache
        rendition = self._description.rendition
        store = cache.store(self._kind(view), (self._description.features,), "float32")

        def compute(image: Image.Image) -> np.ndarray:
            return render(look(image, view), rendition)

        enough = math.ceil(shorter_side_for(rendition) / share_of_split(view))
        return Product(store, compute, finish=self._run, batch_size=_BATCH, enough=enough)

    def _run(self, pixels: np.ndarray) -> np.ndarray:
        return self._engine.run(pixels)

    def _kind(self, view: str) -> str:
        description = self._description
        parts = (
            "features",
            description.weights_hash,
            repr(description.rendition),
            repr((description.mean, description.std)),
            self.engine_name,
            self.precision,
            view,
            f"decoded-{DECODING}",
        )
        return "-".join(parts)


def identify_backbone(description: BackboneDescription, network: nn.Module) -> str:
    """Cache key of a converted backbone with its normalization."""
    hashed = description.weights_hash or hash_weights(network, description.architecture, description.arguments)
    return repr((__version__, hashed, description.arguments, description.mean, description.std))


def gather(product: Product, contents: Sequence[str]) -> np.ndarray:
    """Load the rows of images from a product's store as one array (n, features)."""
    rows = product.store.rows(contents)
    return rows.take(np.arange(len(rows)))


_DESCRIPTORS_KIND = f"descriptors-1-decoded-{DECODING}"
"""Contains a version, which is increased when the definition changes, to invalidate cached descriptors."""


def descriptors_product(cache: Cache) -> Product:
    """The descriptors of every image, float32 (52,)."""
    store = cache.store(_DESCRIPTORS_KIND, (len(descriptor_names()),), "float32")
    return Product(store, _describe)


def _describe(image: Image.Image) -> np.ndarray:
    return describe(image).astype(np.float32)


__all__ = ["descriptors_product", "input_product"]


def input_product(model: SavedModel, cache: Cache, device: torch.device) -> Product:
    """The product that a saved model takes as input: pixels, descriptors, or features of a frozen backbone."""
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
