"""One interface for all saved models: rows of images to logits and features, by the engine that runs the model."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from functools import cached_property
from threading import Lock

import numpy as np
import torch
from torch import Tensor, nn

from distingo.datasets.cache.store import Cache
from distingo.machine.process import bind_this_thread
from distingo.metrics.logits import as_probabilities
from distingo.models.heads import record_features
from distingo.models.saved import ClassicClassifier, SavedModel, feature_extractor
from distingo.models.weights import hash_weights
from distingo.prediction.embedding import identify_backbone
from distingo.prediction.engines import Engine, EngineName, build_engine, choose_engine
from distingo.prediction.networks import (
    ArrayRows,
    Rows,
    head_logits,
    predict_logits,
    predict_logits_and_features,
)
from distingo.records import Task
from distingo.version import __version__

_LEAST_PROBABILITY = 1e-7
"""Of a classic model's class before its logarithm is taken."""


@dataclass(frozen=True, slots=True)
class Outputs:
    """The outputs of a model for images before its calibration.

    Attributes:
        logits: Float (n, classes); of a classic model the logarithms of its probabilities, with several labels
            their log odds.
        features: float32 (n, features): what a network's last layer decides by, or a classic model's descriptors.
    """

    logits: np.ndarray
    features: np.ndarray


def predict_outputs(model: SavedModel, rows: Rows, *, device: torch.device, precision: str) -> Outputs:
    """A model's logits and features, in one pass.

    Args:
        model: A network or a classic model.
        rows: As for `predict_probabilities`, at least one.
        device: Where a network computes.
        precision: ``float32`` or ``bfloat16``.
    """
    if model.network is None or len(rows.shape) == 2:
        features = rows.take(np.arange(len(rows)))
        return Outputs(predict_model_logits(model, rows, device=device, precision=precision), features)
    with bind_this_thread():
        found = predict_logits_and_features(model.network.to(device), rows, device=device, precision=precision)
    return Outputs(*found)


def predict_model_logits(model: SavedModel, rows: Rows, *, device: torch.device, precision: str) -> np.ndarray:
    """A model's logits before its calibration, float (n, classes); arguments as for `predict_outputs`."""
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
    """Probabilities from a model's logits.

    Args:
        model: Whose calibration is applied.
        logits: Float (n, classes), as in `Outputs`.
        calibrated: False leaves the calibration out.

    Returns:
        float32 (n, classes), as from `predict_probabilities`.
    """
    description = model.description
    calibration = description.calibration if calibrated else None
    scaled = logits if calibration is None else calibration.apply(logits)
    return as_probabilities(scaled, description.task)


def predict_probabilities(model: SavedModel, rows: Rows, *, device: torch.device, precision: str) -> np.ndarray:
    """Calibrated probabilities of a model's classes.

    Args:
        model: A network or a classic model.
        rows: What the model looks at (`distingo.prediction.embedding.input_product`): pixels, descriptors, or for a
            pretrained model also features (n, features), which only its head then sees.
        device: Where a network computes.
        precision: ``float32`` or ``bfloat16``.

    Returns:
        float32 (n, classes), columns in the order of the model's classes; with one label per image each row sums
        to 1, with several each number is independent.
    """
    if len(rows) == 0:
        return np.zeros((0, len(model.description.classes)), np.float32)
    return to_probabilities(model, predict_model_logits(model, rows, device=device, precision=precision))


def classic_logits(classic: ClassicClassifier, features: np.ndarray, task: Task) -> np.ndarray:
    """The outputs of a classic model before its calibration, as logits.

    Args:
        classic: The model.
        features: Descriptors (n, features).
        task: One label per image, or several.

    Returns:
        float64 (n, classes): logarithms of its probabilities, with several labels their log odds.
    """
    probabilities = np.asarray(classic.predict_probabilities(features), dtype=np.float64)
    inside = np.clip(probabilities, _LEAST_PROBABILITY, 1.0)
    if task == "single-label":
        logarithms: np.ndarray = np.log(inside)
        return logarithms
    odds: np.ndarray = np.log(inside) - np.log(np.clip(1 - probabilities, _LEAST_PROBABILITY, 1.0))
    return odds


log = logging.getLogger("distingo")


class ModelEngine:
    """Runs a saved model over rows; built when the first row needs it, and safe to call from several threads.

    Of a pretrained model the backbone goes through the engine and the head is computed in float32, as when it was
    solved and evaluated. The engine and precision that the model was trained with are kept to where it names them.
    Where nobody named one, torch runs what another engine can't.

    Args:
        model: A network or a classic model.
        device: Where a network computes.
        engine: ``auto`` takes the model's own; ``torch`` or ``openvino`` in its place.
        cache: Where a converted network is kept for the next start.
    """

    def __init__(
        self, model: SavedModel, *, device: torch.device, engine: EngineName = "auto", cache: Cache | None = None
    ) -> None:
        self._model = model
        self._device = device
        self._cache = cache
        self._wanted: EngineName = model.description.engine if engine == "auto" else engine
        self.name, self.precision = choose_engine(self._wanted, device, model.description.precision)
        self._building = Lock()

    def outputs(self, rows: np.ndarray) -> Outputs:
        """Logits and features of rows.

        Args:
            rows: uint8 images (n, height, width, channels), or of a classic model float32 descriptors; at least one.
        """
        network = self._model.network
        if network is None:
            return predict_outputs(self._model, ArrayRows(rows), device=self._device, precision=self.precision)
        with self._building:
            engine = self._engine
        found = engine.run(rows)
        if self._model.description.backbone is not None:
            return Outputs(head_logits(network, ArrayRows(found)), found)
        classes = len(self._model.description.classes)
        return Outputs(found[:, :classes], found[:, classes:])

    @cached_property
    def _engine(self) -> Engine:
        try:
            return self._build()
        except RuntimeError as error:
            if self._wanted != "auto" or self.name == "torch":
                raise
            log.info("%s: torch runs it, because %s", self._model.description.name, str(error).strip().splitlines()[0])
            self.name = "torch"
            return self._build()

    def _build(self) -> Engine:
        network, rendition = self._model.network, self._model.description.rendition
        if network is None or rendition is None:
            raise ValueError("only a network has an engine")
        pretrained = self._model.description.backbone is not None
        return build_engine(
            feature_extractor(network) if pretrained else _WithFeatures(network),
            (rendition.height, rendition.width, rendition.channels),
            name=self.name,
            precision=self.precision,
            device=self._device,
            cache=self._cache,
            identity=_identity(self._model, network),
            verify=self._model.description.mode != "frozen",  # a frozen one's features came from this very engine
        )


class _WithFeatures(nn.Module):
    """A network whose outputs are its logits and, next to them, the features that its last layer decides by."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        with record_features(self.network) as seen:
            logits = self.network(images)
        return torch.cat([logits.float(), seen.pop().flatten(1).float()], dim=1)


def _identity(model: SavedModel, network: nn.Module) -> str:
    """Names what an engine computes for a model: of a backbone that stayed frozen the same for every head on it."""
    description = model.description
    backbone = description.backbone
    if backbone is None:
        settings = {"normalise": description.normalise, "classes": len(description.classes)}
        return f"{__version__} {hash_weights(network, description.name, settings)}"
    frozen = backbone if description.mode == "frozen" else replace(backbone, weights_hash="")
    return identify_backbone(frozen, feature_extractor(network))
