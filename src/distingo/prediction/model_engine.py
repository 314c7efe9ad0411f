"""A saved model behind an engine: rows of pictures to logits and features in one pass."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from threading import Lock

import numpy as np
import torch
from torch import Tensor, nn

from distingo.datasets.store import Cache
from distingo.models.penultimate import record_features
from distingo.models.saved import SavedModel, feature_extractor
from distingo.models.weights import hash_weights
from distingo.prediction.classifier import Outputs, predict_outputs
from distingo.prediction.embedding import identify_backbone
from distingo.prediction.engines import Engine, EngineName, build_engine, choose_engine
from distingo.prediction.networks import head_logits
from distingo.prediction.tensors import ArrayRows
from distingo.version import __version__


class ModelEngine:
    """Runs a saved model over rows; built when the first row needs it, and safe to call from several threads.

    Of a pretrained model the backbone goes through the engine and the head is computed in float32, as when it was
    solved and judged. The engine and precision that the model was trained with are kept to where it names them.

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
        wanted = model.description.engine if engine == "auto" else engine
        self.name, self.precision = choose_engine(wanted, device, model.description.precision)
        self._building = Lock()

    def outputs(self, rows: np.ndarray) -> Outputs:
        """Logits and features of rows.

        Args:
            rows: uint8 pictures (n, height, width, channels), or of a classic model float32 descriptors; at least one.
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
        )


class _WithFeatures(nn.Module):
    """A network whose outputs are its logits and, beside them, the features that its last layer decides by."""

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
