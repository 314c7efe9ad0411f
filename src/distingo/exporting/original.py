"""What the original says, in float32: the measure of its exports."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from distingo.models.saved import SavedModel
from distingo.prediction.classifier import Outputs, predict_outputs, to_probabilities


@dataclass(frozen=True, slots=True)
class _ArrayRows:
    array: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    def __len__(self) -> int:
        return len(self.array)

    def take(self, indices: np.ndarray) -> np.ndarray:
        taken: np.ndarray = self.array[indices]
        return taken


def original_answers(model: SavedModel, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Calibrated probabilities float32 (n, classes), and features float32 (n, features).

    Args:
        model: With a network.
        rows: uint8 (n, height, width, channels), at least one.
    """
    cpu = torch.device("cpu")
    outputs: Outputs = predict_outputs(model, _ArrayRows(rows), device=cpu, precision="float32")
    return to_probabilities(model, outputs.logits), outputs.features
