"""Any saved model behind one question: what it says about these rows, and by which features."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from distingo.models.machine import bind_this_thread
from distingo.models.saved import ClassicClassifier, SavedModel
from distingo.prediction.networks import (
    head_logits,
    predict_logits,
    predict_logits_and_features,
    sigmoid,
    softmax,
)
from distingo.prediction.tensors import Rows
from distingo.records import Task

_LEAST_PROBABILITY = 1e-7
"""Of a classic model's class before its logarithm is taken."""


@dataclass(frozen=True, slots=True)
class Outputs:
    """What a model says about pictures before its calibration.

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
    return softmax(scaled) if description.task == "single-label" else sigmoid(scaled)


def predict_probabilities(model: SavedModel, rows: Rows, *, device: torch.device, precision: str) -> np.ndarray:
    """Calibrated probabilities of a model's classes.

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
    return to_probabilities(model, predict_model_logits(model, rows, device=device, precision=precision))


def classic_logits(classic: ClassicClassifier, features: np.ndarray, task: Task) -> np.ndarray:
    """What a classic model says before its calibration, as logits.

    Args:
        classic: The model.
        features: Descriptors (n, features).
        task: One label per picture, or several.

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
