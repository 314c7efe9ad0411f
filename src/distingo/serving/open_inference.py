"""Inference requests of the Open Inference Protocol, version 2: bodies to pictures and requested outputs.

The protocol is github.com/kserve/open-inference-protocol; of Triton's extensions those for binary tensor data and
classification are understood (github.com/triton-inference-server/server, docs/protocol).

What the Open Inference Protocol and Triton's extensions say about a model: metadata, configuration, index.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from distingo.prediction.predictor import Predictor
from distingo.serving.asking import decode_base64, read_json_object
from distingo.serving.batching import Later
from distingo.serving.open_inference_tensors import BinaryTail, InputTensor, read_elements, read_numbers, read_tensor
from distingo.serving.pictures import check_tensor_size
from distingo.serving.refused import RefusedError
from distingo.serving.served import ServedModel

INPUT = "pictures"

LENGTH_HEADER = "Inference-Header-Content-Length"
"""Of requests and answers with binary data: the length of the JSON before it."""

_CHANNELS = (1, 3)

_MOST_CLASSES = 1_000_000


@dataclass(frozen=True, slots=True)
class RequestedOutput:
    """An output that a request asks for.

    Attributes:
        name: Of the output.
        binary: Whether it is to come as bytes after the JSON.
        classes: So many of the most probable classes as texts ``value:index:label``; 0 for the tensor itself.
    """

    name: str
    binary: bool = False
    classes: int = 0


@dataclass(frozen=True, slots=True)
class InferenceRequest:
    """A request, as far as it can be read without the model.

    Attributes:
        identifier: The client's; None where it gave none.
        tensor: The one input.
        outputs: Those asked for, in the request's order; None for all.
        binary: Whether outputs are to come as bytes where nothing is said about one.
    """

    identifier: str | None
    tensor: InputTensor
    outputs: tuple[RequestedOutput, ...] | None
    binary: bool


def read_request(body: bytes, length: str | None) -> InferenceRequest:
    """Read a body.

    Args:
        body: JSON, or JSON and binary data after it.
        length: Of the JSON, as `LENGTH_HEADER` says; None where there is no such header.

    Raises:
        RefusedError: The body is damaged (400), or not of the protocol's form (422).
    """
    head, tail = divide(body, length)
    said = read_json_object(head)
    identifier, inputs, parameters = said.get("id"), said.get("inputs"), said.get("parameters") or {}
    if identifier is not None and not isinstance(identifier, str):
        raise RefusedError(422, "'id' is no text")
    if not isinstance(parameters, dict):
        raise RefusedError(422, "'parameters' is no object")
    if not isinstance(inputs, list) or len(inputs) != 1:
        raise RefusedError(422, f"'inputs' is no list of one tensor; send the pictures as the input {INPUT!r}")
    binary = BinaryTail(tail)
    tensor = read_tensor(inputs[0], binary)
    binary.check_end()
    if tensor.name != INPUT:
        raise RefusedError(422, f"an input of another name; this model's one input is {INPUT!r}")
    is_binary = _truth(parameters, "binary_data_output", otherwise=False)
    return InferenceRequest(identifier, tensor, _read_outputs(said.get("outputs"), is_binary=is_binary), is_binary)


def read_pictures(
    tensor: InputTensor, model: ServedModel, *, max_pictures: int, max_pixels: int
) -> list[Callable[[], np.ndarray | Later]]:
    """What decodes each picture of an input.

    Pixels are [n, height, width, 1 or 3]: whole numbers of any datatype from 0 to 255, floating-point ones from 0 to 1,
    BOOL black and white; files are BYTES [n] or [n, 1], in base64 where they stand in JSON. Pictures of any size are
    resized as uploads are.

    Raises:
        RefusedError: The tensor is not of this form (422), or too large (413).
    """
    count = tensor.shape[0]
    if count < 1 or count > max_pictures:
        raise RefusedError(413 if count else 422, f"{count:,} pictures; from 1 to {max_pictures} are taken")
    if tensor.datatype == "BYTES":
        return _from_files(tensor, model)
    shape = list(tensor.shape)
    if len(shape) != len(("n", "height", "width", "channels")) or shape[3] not in _CHANNELS or 0 in shape:
        raise RefusedError(
            422, f"{tensor.datatype} of the shape {shape}; send [n, height, width, 3], or 1 for grey pictures"
        )
    check_tensor_size(shape[1], shape[2], max_pixels)
    pixels = as_pixels(read_numbers(tensor), tensor.datatype)
    return [partial(model.look_at, picture) for picture in pixels]


def as_pixels(values: np.ndarray, what: str) -> np.ndarray:
    """Numbers as pixels.

    Args:
        values: Whole numbers from 0 to 255, floating-point ones from 0 to 1, or booleans; at least one.
        what: Names them in a refusal.

    Returns:
        uint8 of the same shape.

    Raises:
        RefusedError: They are out of range (422).
    """
    if values.dtype == np.uint8:
        return values
    most = 1 if values.dtype.kind in "fb" else 255
    if not (values.min() >= 0 and values.max() <= most):
        raise RefusedError(
            422, f"{what} numbers out of range; whole numbers are pixels from 0 to 255, floating-point ones from 0 to 1"
        )
    return (values if most == 255 else np.rint(values * np.float32(255))).astype(np.uint8)


def divide(body: bytes, length: str | None) -> tuple[bytes, memoryview]:
    """A body's JSON, and the binary data after it.

    Args:
        body: Of a request.
        length: Of the JSON, as `LENGTH_HEADER` says; None where there is no such header.

    Raises:
        RefusedError: The header does not fit the body (400).
    """
    if length is None:
        return body, memoryview(b"")
    if not (length.isascii() and length.isdecimal() and len(length) <= 18 and int(length) <= len(body)):
        raise RefusedError(400, f"{LENGTH_HEADER} is not the length of the JSON in this body of {len(body):,} bytes")
    return body[: int(length)], memoryview(body)[int(length) :]


def _read_outputs(said: Any, *, is_binary: bool) -> tuple[RequestedOutput, ...] | None:
    if not said and (said is None or isinstance(said, list)):
        return None
    if not isinstance(said, list) or not all(isinstance(each, dict) for each in said):
        raise RefusedError(422, "'outputs' is no list of objects with 'name'")
    return tuple(_read_output(each, is_binary=is_binary) for each in said)


def _read_output(said: dict[str, Any], *, is_binary: bool) -> RequestedOutput:
    parameters = said.get("parameters") or {}
    if not isinstance(parameters, dict) or not isinstance(said.get("name"), str):
        raise RefusedError(422, "'outputs' is no list of objects with 'name' and perhaps 'parameters'")
    if "shared_memory_region" in parameters:
        raise RefusedError(422, "shared memory is not written; take the output in the answer")
    classes = parameters.get("classification") or 0
    if not isinstance(classes, int) or isinstance(classes, bool) or not 0 <= classes <= _MOST_CLASSES:
        raise RefusedError(422, "'classification' is no number of classes")
    return RequestedOutput(said["name"], _truth(parameters, "binary_data", otherwise=is_binary), classes)


def _truth(parameters: dict[str, Any], name: str, *, otherwise: bool) -> bool:
    said = parameters.get(name)
    if said is not None and not isinstance(said, bool):
        raise RefusedError(422, f"{name!r} is neither true nor false")
    return otherwise if said is None else said


def _from_files(tensor: InputTensor, model: ServedModel) -> list[Callable[[], np.ndarray | Later]]:
    if tensor.shape[1:] not in {(), (1,)}:
        raise RefusedError(422, f"BYTES of the shape {list(tensor.shape)}; send the shape [n] with n files")
    elements = read_elements(tensor)
    files = [
        each if isinstance(each, bytes) else decode_base64(each, f"content {number}")
        for number, each in enumerate(elements, 1)
    ]
    return [partial(model.look_at_bytes, file) for file in files]


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
