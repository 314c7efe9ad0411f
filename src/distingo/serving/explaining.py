"""What speaks for a label in an uploaded picture, and the nearest training pictures, as ``data:`` addresses."""

from __future__ import annotations

import base64
import copy
import io
import threading
from collections import OrderedDict
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from PIL import Image

from distingo.models.descriptors import DescriptorClassifier
from distingo.prediction.predictor import Predictor

if TYPE_CHECKING:
    from distingo.explanation.records import Neighbour
    from distingo.serving.served import ServedModel

NEIGHBOURS = 6
_MODELS_KEPT = 4


def can_explain(predictor: Predictor) -> bool:
    """Whether the model looks at pictures at all."""
    model = predictor.model
    return model.network is not None or isinstance(model.classic, DescriptorClassifier)


class Explainer:
    """Explains with copies of the served networks: hooks and gradients must not meet requests in flight."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._copies: OrderedDict[tuple[str, str], Predictor] = OrderedDict()

    def explain(self, model: ServedModel, image: Image.Image, label: str) -> dict[str, Any] | None:
        """Explain why a model gives a label; takes tenths of a second, so not on the event loop.

        Args:
            model: What judged.
            image: Upright, mode ``RGB`` or ``L``.
            label: The class to explain.

        Returns:
            As ``explanation`` in the answer; None where the model looks at no picture.
        """
        from distingo.explanation.explaining import explain_image

        if not can_explain(model.predictor):
            return None
        with self._lock:
            found = explain_image(self._copy(model), image, label, run=model.run, neighbours=NEIGHBOURS)
        from distingo.report.heat import heat_address

        return {
            "class": label,
            "heat_map": None if found.heat.is_empty else heat_address(image.size, found.seen, found.heat.values),
            "neighbours": [_describe(neighbour) for neighbour in found.neighbours],
        }

    def _copy(self, model: ServedModel) -> Predictor:
        key = (model.name, model.version)
        if key not in self._copies:
            saved = model.predictor.model
            self._copies[key] = Predictor(
                replace(saved, network=copy.deepcopy(saved.network)), str(model.predictor.device), "torch"
            )
            while len(self._copies) > _MODELS_KEPT:
                self._copies.popitem(last=False)
        self._copies.move_to_end(key)
        return self._copies[key]


def _describe(neighbour: Neighbour) -> dict[str, Any]:
    picture = None
    if neighbour.picture is not None:
        encoded = io.BytesIO()
        Image.fromarray(neighbour.picture).save(encoded, "JPEG", quality=80)
        picture = f"data:image/jpeg;base64,{base64.b64encode(encoded.getvalue()).decode('ascii')}"
    return {"label": ", ".join(neighbour.labels), "distance": neighbour.distance, "picture": picture}
