"""Any saved model behind one question: the probabilities of its classes for these rows."""

from __future__ import annotations

import numpy as np
import torch

from distingo.models.machine import bind_this_thread
from distingo.models.saved import SavedModel
from distingo.prediction.networks import head_logits, predict_logits, sigmoid, softmax
from distingo.prediction.tensors import Rows


def predict_probabilities(model: SavedModel, rows: Rows, *, device: torch.device, precision: str) -> np.ndarray:
    """Probabilities of a model's classes.

    Args:
        model: A network or a classic model.
        rows: What the model looks at (`distingo.prediction.inputs.input_product`): pixels, descriptors, or for a
            pretrained model also features (n, features), which only its head then sees.
        device: Where a network computes.
        precision: ``float32`` or ``bfloat16``.

    Returns:
        float32 (n, classes), columns in the order of the model's classes; with one label per picture each row sums
        to 1, with several each number stands for itself.
    """
    if len(rows) == 0:
        return np.zeros((0, len(model.description.classes)), np.float32)
    if model.network is not None:
        network = model.network.to(device)
        probabilities_of = softmax if model.description.task == "single-label" else sigmoid
        if len(rows.shape) == 2:
            return probabilities_of(head_logits(network, rows))
        with bind_this_thread():
            return probabilities_of(predict_logits(network, rows, device=device, precision=precision))
    if model.classic is None:
        raise ValueError("a saved model holds a network or a classic classifier")
    features = rows.take(np.arange(len(rows)))
    return np.asarray(model.classic.predict_probabilities(features), dtype=np.float32)
