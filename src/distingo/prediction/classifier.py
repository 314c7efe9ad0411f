"""Any saved model behind one question: the probabilities of its classes for these rows."""

from __future__ import annotations

import numpy as np
import torch

from distingo.models.machine import bind_this_thread
from distingo.models.saved import SavedModel
from distingo.prediction.networks import predict_logits, softmax
from distingo.prediction.tensors import Rows


def predict_probabilities(model: SavedModel, rows: Rows, *, device: torch.device, precision: str) -> np.ndarray:
    """Probabilities of a model's classes.

    Args:
        model: A network or a classic model.
        rows: What the model looks at (`distingo.prediction.inputs.input_product`).
        device: Where a network computes.
        precision: ``float32`` or ``bfloat16``.

    Returns:
        float32 (n, classes), each row summing to 1, columns in the order of the model's classes.
    """
    if len(rows) == 0:
        return np.zeros((0, len(model.description.classes)), np.float32)
    if model.network is not None:
        network = model.network.to(device)
        with bind_this_thread():
            return softmax(predict_logits(network, rows, device=device, precision=precision))
    if model.classic is None:
        raise ValueError("a saved model holds a network or a classic classifier")
    features = rows.take(np.arange(len(rows)))
    return np.asarray(model.classic.predict_probabilities(features), dtype=np.float32)
