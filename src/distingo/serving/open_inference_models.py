"""What the Open Inference Protocol and Triton's extensions say about a model: metadata, configuration, index."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from distingo.prediction.predictor import Predictor
from distingo.serving.open_inference import INPUT
from distingo.serving.served import ServedModel

EXTENSIONS = ("binary_tensor_data", "classification", "model_configuration", "model_repository", "statistics")
"""Triton's names for the extensions that are understood."""


def describe_model(model: ServedModel) -> dict[str, Any]:
    """A model's metadata."""
    return {
        "name": model.name,
        "versions": [model.version],
        "platform": _platform(model),
        "inputs": _describe_inputs(),
        "outputs": describe_outputs(model.predictor),
        "parameters": {"classes": list(model.predictor.classes)},
    }


def describe_outputs(predictor: Predictor) -> list[dict[str, Any]]:
    """``outputs`` of a model's metadata."""
    classes = len(predictor.classes)
    return [
        {"name": "probabilities", "datatype": "FP32", "shape": [-1, classes]},
        {"name": "given", "datatype": "BOOL", "shape": [-1, classes]},
        {"name": "label", "datatype": "BYTES", "shape": [-1]},
    ]


def configure_model(model: ServedModel, *, max_pictures: int, max_batch: int) -> dict[str, Any]:
    """A model's configuration in the shape of Triton's ``ModelConfig``; ``dims`` leave the pictures' number out.

    Args:
        model: One that is served.
        max_pictures: In one request.
        max_batch: Judged together.
    """
    parameters = {"classes": "\n".join(model.predictor.classes), "task": model.predictor.task}
    return {
        "name": model.name,
        "platform": _platform(model),
        "backend": "distingo",
        "version_policy": {"latest": {"num_versions": 1}},
        "max_batch_size": max_pictures,
        "input": [_dimension(tensor) for tensor in _describe_inputs()],
        "output": [_dimension(tensor) for tensor in describe_outputs(model.predictor)],
        "dynamic_batching": {"preferred_batch_size": [max_batch]},
        "parameters": {name: {"string_value": text} for name, text in parameters.items()},
    }


def index_models(models: Iterable[ServedModel]) -> list[dict[str, str]]:
    """The repository's index; a model that is served is ready."""
    return [{"name": model.name, "version": model.version, "state": "READY", "reason": ""} for model in models]


def _describe_inputs() -> list[dict[str, Any]]:
    return [{"name": INPUT, "datatype": "UINT8", "shape": [-1, -1, -1, 3]}]


def _dimension(tensor: dict[str, Any]) -> dict[str, Any]:
    kind = {"BYTES": "TYPE_STRING"}.get(tensor["datatype"], f"TYPE_{tensor['datatype']}")
    return {"name": tensor["name"], "data_type": kind, "dims": tensor["shape"][1:]}


def _platform(model: ServedModel) -> str:
    return f"distingo_{model.predictor.model.description.kind}"
