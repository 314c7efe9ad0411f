"""Answers of the Open Inference Protocol: verdicts as tensors, in JSON or as bytes after it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson
from fastapi import Response

from distingo.serving.answers import JsonAnswer
from distingo.serving.judging import Verdict
from distingo.serving.open_inference import LENGTH_HEADER, InferenceRequest, RequestedOutput
from distingo.serving.open_inference_models import describe_outputs
from distingo.serving.open_inference_tensors import NUMBERS, write_elements
from distingo.serving.refusals import RefusedError
from distingo.serving.served import ServedModel


class BinaryAnswer(Response):
    """JSON with bytes after it."""

    media_type = "application/octet-stream"


def check_outputs(model: ServedModel, asked: InferenceRequest) -> tuple[RequestedOutput, ...]:
    """The outputs that are to be given.

    Raises:
        RefusedError: The request names one that there is not, or asks for the classes of one that has none (422).
    """
    known = {output["name"]: output["datatype"] for output in describe_outputs(model.predictor)}
    if asked.outputs is None:
        return tuple(RequestedOutput(name, asked.binary) for name in known)
    for output in asked.outputs:
        if output.name not in known:
            raise RefusedError(422, f"an output that there is not; this model's are {', '.join(known)}")
        if output.classes and known[output.name] != "FP32":
            raise RefusedError(422, f"'classification' of {output.name!r}; only 'probabilities' has classes")
    return tuple({output.name: output for output in asked.outputs}.values())


def answer_inference(
    model: ServedModel, verdicts: Sequence[Verdict], asked: InferenceRequest, outputs: Sequence[RequestedOutput]
) -> Response:
    """The answer to a request.

    Args:
        model: What judged.
        verdicts: At least one.
        asked: The request.
        outputs: As `check_outputs` gave them.
    """
    contents = _contents(model, verdicts)
    named = {} if asked.identifier is None else {"id": asked.identifier}
    described, tail = [], []
    for output in outputs:
        tensor, content = _write(model, output, contents[output.name])
        described.append(tensor)
        tail.append(content)
    head = orjson.dumps({"model_name": model.name, "model_version": model.version, **named, "outputs": described})
    if not any(output.binary for output in outputs):
        return JsonAnswer(head)
    return BinaryAnswer(b"".join((head, *tail)), headers={LENGTH_HEADER: str(len(head))})


def _contents(model: ServedModel, verdicts: Sequence[Verdict]) -> dict[str, np.ndarray | list[str]]:
    """Every output's values: float32 and bool (n, classes), and n labels."""
    probabilities = np.stack([judged.probabilities[place] for judged, place in verdicts])
    if model.predictor.task == "single-label":
        given = np.arange(probabilities.shape[1]) == probabilities.argmax(axis=1)[:, None]
    else:
        given = probabilities >= np.asarray(model.label_thresholds, probabilities.dtype)
    labels = [model.predictor.classes[best] for best in probabilities.argmax(axis=1).tolist()]
    return {"probabilities": probabilities, "given": given, "label": labels}


def _write(model: ServedModel, output: RequestedOutput, values: np.ndarray | list[str]) -> tuple[dict[str, Any], bytes]:
    """A tensor's description, with its contents or with the length of its bytes; and these bytes."""
    if output.classes and isinstance(values, np.ndarray):
        texts, shape = _classify(values, output.classes, model.predictor.classes)
        datatype, flat = "BYTES", texts
    elif isinstance(values, np.ndarray):
        datatype, shape = ("BOOL" if values.dtype == bool else "FP32"), list(values.shape)
        number = NUMBERS[datatype]
        if output.binary:
            return _as_bytes(output.name, datatype, shape, np.ascontiguousarray(values, number).tobytes())
        flat = values.ravel().tolist()
    else:
        datatype, shape, flat = "BYTES", [len(values)], values
    if output.binary:
        return _as_bytes(output.name, datatype, shape, write_elements(flat))
    return {"name": output.name, "datatype": datatype, "shape": shape, "data": flat}, b""


def _as_bytes(name: str, datatype: str, shape: list[int], content: bytes) -> tuple[dict[str, Any], bytes]:
    size = {"binary_data_size": len(content)}
    return {"name": name, "datatype": datatype, "shape": shape, "parameters": size}, content


def _classify(probabilities: np.ndarray, count: int, classes: Sequence[str]) -> tuple[list[str], list[int]]:
    """Triton's classification extension: the most probable first, each as ``value:index:label`` with six decimals."""
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :count]
    texts = [
        f"{float(row[index]):.6f}:{index}:{classes[index]}"
        for row, indices in zip(probabilities, order.tolist(), strict=True)
        for index in indices
    ]
    return texts, list(order.shape)
