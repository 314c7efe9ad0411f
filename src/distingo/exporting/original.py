"""What the original says, in float32: the measure of its exports."""

from __future__ import annotations

import numpy as np
import torch

from distingo.models.saved import SavedModel
from distingo.prediction.classifier import Outputs, predict_outputs, to_probabilities
from distingo.prediction.tensors import ArrayRows


def original_answers(model: SavedModel, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Calibrated probabilities float32 (n, classes), and features float32 (n, features).

    Args:
        model: With a network.
        rows: uint8 (n, height, width, channels), at least one.
    """
    cpu = torch.device("cpu")
    outputs: Outputs = predict_outputs(model, ArrayRows(rows), device=cpu, precision="float32")
    return to_probabilities(model, outputs.logits), outputs.features
