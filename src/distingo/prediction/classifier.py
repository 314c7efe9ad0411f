"""The inputs of saved models, and what they compute from them.

Inputs are products of the decoding pass, cached by image content: pixels for networks, descriptors for classic models,
and features of a frozen backbone for heads. All kinds of models give logits, features and probabilities.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from threading import Lock

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from distingo.datasets.cache.products import Product, pixels_product
from distingo.datasets.cache.store import Cache
from distingo.datasets.decoding.decode import DECODING
from distingo.datasets.decoding.rendering import apply_view, render, share_of_split, shorter_side_for
from distingo.datasets.measurements import describe, descriptor_names
from distingo.machine.process import bind_this_thread
from distingo.metrics.logits import as_probabilities
from distingo.models.backbones import BackboneDescription
from distingo.models.heads import record_features
from distingo.models.saved import ClassicClassifier, SavedModel, feature_extractor
from distingo.models.weights import hash_weights
from distingo.prediction.engines import Engine, EngineName, build_engine, choose_engine
from distingo.prediction.networks import ArrayRows, Rows, head_logits, predict_logits, predict_logits_and_features
from distingo.records import Task
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
        image_spec = self._description.image_spec
        shape = (image_spec.height, image_spec.width, image_spec.channels)
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
            view: As in `distingo.datasets.decoding.rendering.apply_view`.
        """
        self._cache = cache
        image_spec = self._description.image_spec
        store = cache.store(self._kind(view), (self._description.features,), "float32")

        def compute(image: Image.Image) -> np.ndarray:
            return render(apply_view(image, view), image_spec)

        enough = math.ceil(shorter_side_for(image_spec) / share_of_split(view))
        return Product(store, compute, finish=self._run, batch_size=_BATCH, enough=enough)

    def _run(self, pixels: np.ndarray) -> np.ndarray:
        return self._engine.run(pixels)

    def _kind(self, view: str) -> str:
        description = self._description
        parts = (
            "features",
            description.weights_hash,
            repr(description.image_spec),
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
    if description.image_spec is None:
        return descriptors_product(cache)
    return pixels_product(cache, description.image_spec)


_MIN_PROBABILITY = 1e-7
"""Lower bound of a classic model's probabilities before taking logarithms."""


@dataclass(frozen=True, slots=True)
class Outputs:
    """The outputs of a model for images before its calibration.

    Attributes:
        logits: Float (n, classes). For a classic model, log probabilities (single-label) or log odds (multi-label).
        features: float32 (n, features): inputs of a network's last layer, or the descriptors of a classic model.
    """

    logits: np.ndarray
    features: np.ndarray


def predict_outputs(model: SavedModel, rows: Rows, *, device: torch.device, precision: str) -> Outputs:
    """Compute a model's logits and features in one pass.

    Args:
        model: A network or a classic model.
        rows: As for `predict_probabilities`; at least one.
        device: Device of a network.
        precision: ``float32`` or ``bfloat16``.
    """
    if model.network is None or len(rows.shape) == 2:
        features = rows.take(np.arange(len(rows)))
        return Outputs(predict_model_logits(model, rows, device=device, precision=precision), features)
    with bind_this_thread():
        logits_and_features = predict_logits_and_features(
            model.network.to(device), rows, device=device, precision=precision
        )
    return Outputs(*logits_and_features)


def predict_model_logits(model: SavedModel, rows: Rows, *, device: torch.device, precision: str) -> np.ndarray:
    """Compute uncalibrated logits, float (n, classes); same arguments as `predict_outputs`."""
    if model.network is not None:
        network = model.network.to(device)
        if len(rows.shape) == 2:
            return head_logits(network, rows)
        with bind_this_thread():
            return predict_logits(network, rows, device=device, precision=precision)
    if model.classic is None:
        raise ValueError("a saved model holds a network or a classic classifier")
    return classic_logits(model.classic, rows.take(np.arange(len(rows))), model.description.task)


def to_probabilities(model: SavedModel, logits: np.ndarray, *, calibrated: bool = True) -> np.ndarray:
    """Convert a model's logits to probabilities.

    Args:
        model: Model with the calibration to apply.
        logits: Float (n, classes), as in `Outputs`.
        calibrated: False skips the calibration.

    Returns:
        float32 (n, classes), as from `predict_probabilities`.
    """
    description = model.description
    calibration = description.calibration if calibrated else None
    scaled = logits if calibration is None else calibration.apply(logits)
    return as_probabilities(scaled, description.task)


def predict_probabilities(model: SavedModel, rows: Rows, *, device: torch.device, precision: str) -> np.ndarray:
    """Predict the calibrated probabilities of a model's classes.

    Args:
        model: A network or a classic model.
        rows: Inputs of the model (`distingo.prediction.classifier.input_product`): pixels or descriptors. For a
            pretrained model also features (n, features), to which only the head is applied.
        device: Device of a network.
        precision: ``float32`` or ``bfloat16``.

    Returns:
        float32 (n, classes), columns in the order of the model's classes. Rows of a single-label model sum to 1.
    """
    if len(rows) == 0:
        return np.zeros((0, len(model.description.classes)), np.float32)
    return to_probabilities(model, predict_model_logits(model, rows, device=device, precision=precision))


def classic_logits(classic: ClassicClassifier, features: np.ndarray, task: Task) -> np.ndarray:
    """Compute the uncalibrated logits of a classic model.

    Args:
        classic: The model.
        features: Descriptors (n, features).
        task: ``single-label`` or ``multi-label``.

    Returns:
        float64 (n, classes): log probabilities (single-label) or log odds (multi-label).
    """
    probabilities = np.asarray(classic.predict_probabilities(features), dtype=np.float64)
    clipped = np.clip(probabilities, _MIN_PROBABILITY, 1.0)
    if task == "single-label":
        log_probabilities: np.ndarray = np.log(clipped)
        return log_probabilities
    log_odds: np.ndarray = np.log(clipped) - np.log(np.clip(1 - probabilities, _MIN_PROBABILITY, 1.0))
    return log_odds


log = logging.getLogger("distingo")


class ModelEngine:
    """Thread-safe computation of a saved model's outputs; the engine is built for the first rows.

    The backbone of a pretrained model runs in the engine and its head in float32, as in training. The engine and
    precision of the training are used if the model specifies them. With ``auto``, torch runs networks that another
    engine can't.

    Args:
        model: A network or a classic model.
        device: Device of a network.
        engine: ``torch`` or ``openvino``; ``auto`` is the model's own engine.
        cache: Cache for a converted network.
    """

    def __init__(
        self, model: SavedModel, *, device: torch.device, engine: EngineName = "auto", cache: Cache | None = None
    ) -> None:
        self._model = model
        self._device = device
        self._cache = cache
        self._requested: EngineName = model.description.engine if engine == "auto" else engine
        self.name, self.precision = choose_engine(self._requested, device, model.description.precision)
        self._building = Lock()

    def outputs(self, rows: np.ndarray) -> Outputs:
        """Compute logits and features.

        Args:
            rows: At least one uint8 image (n, height, width, channels), or float32 descriptors for a classic model.
        """
        network = self._model.network
        if network is None:
            return predict_outputs(self._model, ArrayRows(rows), device=self._device, precision=self.precision)
        with self._building:
            engine = self._engine
        outputs = engine.run(rows)
        if self._model.description.backbone is not None:
            return Outputs(head_logits(network, ArrayRows(outputs)), outputs)
        classes = len(self._model.description.classes)
        return Outputs(outputs[:, :classes], outputs[:, classes:])

    @cached_property
    def _engine(self) -> Engine:
        try:
            return self._build()
        except RuntimeError as error:
            if self._requested != "auto" or self.name == "torch":
                raise
            log.info("%s: torch runs it, because %s", self._model.description.name, str(error).strip().splitlines()[0])
            self.name = "torch"
            return self._build()

    def _build(self) -> Engine:
        network, image_spec = self._model.network, self._model.description.image_spec
        if network is None or image_spec is None:
            raise ValueError("only a network has an engine")
        pretrained = self._model.description.backbone is not None
        return build_engine(
            feature_extractor(network) if pretrained else _WithFeatures(network),
            (image_spec.height, image_spec.width, image_spec.channels),
            name=self.name,
            precision=self.precision,
            device=self._device,
            cache=self._cache,
            identity=_identity(self._model, network),
            verify=self._model.description.mode != "frozen",  # features of a frozen backbone came from the same engine
        )


class _WithFeatures(nn.Module):
    """A network that returns its logits concatenated with the input features of its last layer."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        with record_features(self.network) as recorded:
            logits = self.network(images)
        return torch.cat([logits.float(), recorded.pop().flatten(1).float()], dim=1)


def _identity(model: SavedModel, network: nn.Module) -> str:
    """Cache key of a model's converted network; it does not depend on the head if the backbone is frozen."""
    description = model.description
    backbone = description.backbone
    if backbone is None:
        settings = {"normalize": description.normalize, "classes": len(description.classes)}
        return f"{__version__} {hash_weights(network, description.name, settings)}"
    frozen = backbone if description.mode == "frozen" else replace(backbone, weights_hash="")
    return identify_backbone(frozen, feature_extractor(network))
