"""Tensors of the Open Inference Protocol, version 2, to pictures, and verdicts to tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from distingo.prediction.predictor import Predictor
from distingo.serving.asking import decode_base64
from distingo.serving.batching import Later
from distingo.serving.judging import Verdict
from distingo.serving.pictures import check_tensor_size
from distingo.serving.refusals import RefusedError
from distingo.serving.served import ServedModel

INPUT = "pictures"
_CHANNELS = (1, 3)


def describe_tensors(predictor: Predictor) -> dict[str, Any]:
    """``inputs`` and ``outputs`` of a model's metadata."""
    classes = len(predictor.classes)
    return {
        "inputs": [{"name": INPUT, "datatype": "UINT8", "shape": [-1, -1, -1, 3]}],
        "outputs": [
            {"name": "probabilities", "datatype": "FP32", "shape": [-1, classes]},
            {"name": "given", "datatype": "BOOL", "shape": [-1, classes]},
            {"name": "label", "datatype": "BYTES", "shape": [-1]},
        ],
    }


def read_pictures(
    said: dict[str, Any], model: ServedModel, *, max_pictures: int, max_pixels: int
) -> list[Callable[[], np.ndarray | Later]]:
    """What decodes each picture of an inference request.

    One input ``pictures``: UINT8 [n, height, width, 1 or 3] from 0 to 255, FP32 of the same shape from 0 to 1, or BYTES
    [n] of files in base64; contents flat or nested. Pictures of any size are resized as uploads are.

    Raises:
        RefusedError: The request is not of this form (422), or too large (413).
    """
    inputs = said.get("inputs")
    if not isinstance(inputs, list) or len(inputs) != 1 or not isinstance(inputs[0], dict):
        raise RefusedError(422, f"'inputs' is no list of one tensor; send the pictures as the input {INPUT!r}")
    tensor = inputs[0]
    if tensor.get("name") != INPUT:
        raise RefusedError(422, f"an input of another name; this model's one input is {INPUT!r}")
    shape, data = _shape(tensor.get("shape")), tensor.get("data")
    if not isinstance(data, list):
        raise RefusedError(422, "'data' is no list")
    if shape[0] < 1 or shape[0] > max_pictures:
        raise RefusedError(413 if shape[0] else 422, f"{shape[0]:,} pictures; from 1 to {max_pictures} are taken")
    if tensor.get("datatype") == "BYTES":
        return _from_files(data, shape, model)
    pixels = _from_numbers(tensor.get("datatype"), data, shape)
    check_tensor_size(pixels[0], max_pixels)
    return [partial(model.predictor.look_at, _plain(picture)) for picture in pixels]


def name_outputs(model: ServedModel, verdicts: Sequence[Verdict], wanted: Any) -> list[dict[str, Any]]:
    """``outputs`` of the answer.

    Args:
        model: What judged.
        verdicts: At least one.
        wanted: ``outputs`` of the request; None wants all.

    Raises:
        RefusedError: The request names an output that there is not.
    """
    predictor = model.predictor
    probabilities = np.stack([judged.probabilities[place] for judged, place in verdicts])
    if predictor.task == "single-label":
        given = np.arange(probabilities.shape[1]) == probabilities.argmax(axis=1)[:, None]
    else:
        given = probabilities >= np.asarray(model.label_thresholds, probabilities.dtype)
    contents = {
        "probabilities": probabilities.ravel().tolist(),
        "given": given.ravel().tolist(),
        "label": [predictor.classes[best] for best in probabilities.argmax(axis=1).tolist()],
    }
    outputs = describe_tensors(predictor)["outputs"]
    known = [output["name"] for output in outputs]
    names = known if wanted is None else _wanted(wanted, known)
    return [
        {**output, "shape": [len(verdicts), *output["shape"][1:]], "data": contents[output["name"]]}
        for output in outputs
        if output["name"] in names
    ]


def _wanted(wanted: Any, known: list[str]) -> list[str]:
    if not isinstance(wanted, list) or not all(isinstance(each, dict) for each in wanted):
        raise RefusedError(422, "'outputs' is no list of objects with 'name'")
    names = [each.get("name") for each in wanted]
    if not all(name in known for name in names):
        raise RefusedError(422, f"an output that there is not; this model's are {', '.join(known)}")
    return names or known


def _shape(said: Any) -> list[int]:
    if not isinstance(said, list) or not said or len(said) > len(("n", "height", "width", "channels")):
        raise RefusedError(422, "'shape' is no list of one to four whole numbers")
    if not all(isinstance(each, int) and not isinstance(each, bool) and 0 <= each < 2**31 for each in said):
        raise RefusedError(422, "'shape' holds something else than whole numbers from 0")
    return said


def _from_files(data: list[Any], shape: list[int], model: ServedModel) -> list[Callable[[], np.ndarray | Later]]:
    if len(data) != shape[0] or len(shape) != 1:
        raise RefusedError(
            422, f"BYTES of the shape {shape} with {len(data):,} contents; send the shape [n] with n files"
        )
    files = [decode_base64(each, f"content {number}") for number, each in enumerate(data, 1)]
    return [partial(model.look_at_bytes, file) for file in files]


def _from_numbers(datatype: Any, data: list[Any], shape: list[int]) -> np.ndarray:
    if datatype not in {"UINT8", "FP32"}:
        raise RefusedError(422, "a datatype that is not taken; send UINT8, FP32 or BYTES")
    if len(shape) != len(("n", "height", "width", "channels")) or shape[3] not in _CHANNELS or 0 in shape:
        raise RefusedError(422, f"{datatype} of the shape {shape}; send [n, height, width, 3], or 1 for grey pictures")
    try:
        values = np.asarray(data)
    except ValueError as error:
        raise RefusedError(422, "'data' is nested unevenly") from error
    if values.dtype.kind not in "iuf" or values.size != int(np.prod([float(side) for side in shape])):
        raise RefusedError(422, f"'data' does not hold the numbers of a tensor of the shape {shape}")
    most = 255 if datatype == "UINT8" else 1
    if not (values.min() >= 0 and values.max() <= most) or (datatype == "UINT8" and values.dtype.kind == "f"):
        raise RefusedError(422, f"'data' holds something else than {datatype} numbers from 0 to {most}")
    scaled = values if datatype == "UINT8" else np.rint(values * 255.0)
    return scaled.astype(np.uint8).reshape(shape)


def _plain(picture: np.ndarray) -> np.ndarray:
    return picture[:, :, 0] if picture.shape[2] == 1 else picture
