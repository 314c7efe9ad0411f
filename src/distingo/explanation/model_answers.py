"""A model as a plain question: pixels in, probabilities out."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from distingo.features.descriptors import describe
from distingo.metrics.thresholds import apply_thresholds
from distingo.prediction.classifier import predict_probabilities
from distingo.prediction.predictor import Predictor
from distingo.prediction.tensors import ArrayRows


class ModelAnswers:
    """What a model says of pictures that are already as large as it wants them.

    Computed in float32 also where `predict` takes 16 bits: of falls that a cover makes, rounding would be noise.

    Args:
        predictor: With the model.
    """

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor

    def __call__(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Probabilities float32 (n, classes) of uint8 pictures (n, height, width, channels)."""
        predictor = self._predictor
        return predict_probabilities(predictor.model, self.rows(pixels), device=predictor.device, precision="float32")

    def rows(self, pixels: npt.NDArray[np.uint8]) -> ArrayRows:
        """What the model takes: pixels, or their descriptors."""
        if self._predictor.model.network is not None:
            return ArrayRows(pixels)
        return ArrayRows(np.stack([describe(each) for each in pixels]).astype(np.float32))

    def given(self, probabilities: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
        """Which labels the model gives, bool (classes,), for one picture's probabilities."""
        if self._predictor.task == "multi-label":
            reached = apply_thresholds(probabilities, self._predictor.model.description.require_thresholds())
            return np.asarray(reached, np.bool_)
        return np.asarray(np.arange(len(probabilities)) == int(probabilities.argmax()), np.bool_)
