"""The REST routes of the Open Inference Protocol, version 2, with images and predictions as tensors.

The protocol is defined at github.com/kserve/open-inference-protocol, its extensions in docs/protocol of
github.com/triton-inference-server/server; `EXTENSIONS` lists the supported ones.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import orjson
from fastapi import FastAPI, Request, Response

from distingo.serving import documentation
from distingo.serving.answers import (
    BinaryTensor,
    ConfiguredTensor,
    JsonAnswer,
    OpenInferenceConfig,
    OpenInferenceModel,
    RepositoryModel,
    Tensor,
    TensorDescription,
    as_answer,
)
from distingo.serving.http.access import RefusedError
from distingo.serving.http.guard import pack_answer
from distingo.serving.images import RequestImage, check_pixels
from distingo.serving.metrics import summarize
from distingo.serving.requests import (
    IMAGES_FIELDS,
    MOST_LABELS,
    check_count,
    decode_base64,
    read_json_object,
    read_parameters,
)
from distingo.serving.served_models import ServedModel
from distingo.serving.service import Service, count_image
from distingo.serving.settings import ServeSettings
from distingo.serving.tensors import (
    NUMBERS,
    BinaryTail,
    InputTensor,
    as_pixels,
    read_elements,
    read_numbers,
    read_tensor,
    write_elements,
)
from distingo.version import __version__

EXTENSIONS = ("binary_tensor_data", "classification", "model_configuration", "model_repository", "statistics")
"""Triton's names for the supported extensions."""

INPUT = "images"
OUTPUTS = {"probabilities": "FP32", "given": "BOOL", "label": "BYTES"}
"""Names and datatypes of the outputs; all but ``label`` have one column for each class."""

LENGTH_HEADER = "Inference-Header-Content-Length"
"""Header of requests and responses with binary data: the length of the JSON before it, in bytes."""

_MODEL = "/v2/models/{name}"
_VERSION = "/v2/models/{name}/versions/{version}"


@dataclass(frozen=True, slots=True)
class RequestedOutput:
    """An output that a request asks for.

    Attributes:
        name: The output's name.
        binary: Whether it is returned as bytes after the JSON.
        classes: Number of most probable classes to return as texts ``value:index:label``; 0 returns the tensor itself.
    """

    name: str
    binary: bool = False
    classes: int = 0


@dataclass(frozen=True, slots=True)
class InferenceRequest:
    """A parsed inference request.

    Attributes:
        identifier: The client's ID of the request; None if it sent none.
        images: The images, as files or pixels.
        outputs: The outputs to return, in the request's order.
    """

    identifier: str | None
    images: tuple[RequestImage, ...]
    outputs: tuple[RequestedOutput, ...]


def add_open_inference_routes(app: FastAPI, service: Service) -> None:
    """Add the protocol's routes to an application."""
    _add_server_routes(app)
    _add_repository_routes(app, service)
    _add_model_routes(app, service)

    async def infer(request: Request) -> Response:
        length = request.headers.get(LENGTH_HEADER)
        read = partial(_read_request, length, service.settings)
        async with service.receive(request, read, lambda body: divide(body, length)[0]) as parsed:
            model = _requested_model(service, request)
            answer = answer_inference(model, await _score(service, request, model, parsed.images), parsed)
            return pack_answer(answer, request.headers.get("accept-encoding", ""))

    for path, versioned in ((_MODEL, False), (_VERSION, True)):
        app.post(f"{path}/infer", **documentation.open_inference("infer", versioned=versioned))(infer)


async def _score(
    service: Service, request: Request, model: ServedModel, images: Sequence[RequestImage]
) -> list[RequestImage]:
    scored = await service.score(request, model, images)
    refusal = next((image.refusal for image in scored if image.refusal is not None), None)
    if refusal is not None:
        raise refusal.anew()
    for image in scored:
        count_image(service.metrics, model, image)
    return scored


def _requested_model(service: Service, request: Request) -> ServedModel:
    return service.models.get(request.path_params["name"], request.path_params.get("version"))


def _add_server_routes(app: FastAPI) -> None:
    @app.get("/v2", **documentation.V2_SERVER)
    @app.get("/v2/", include_in_schema=False)
    async def server() -> Response:
        return as_answer({"name": "distingo", "version": __version__, "extensions": list(EXTENSIONS)})

    @app.get("/v2/health/live", **documentation.V2_LIVE)
    async def live() -> Response:
        return as_answer({"live": True})

    @app.get("/v2/health/ready", **documentation.V2_READY)
    async def ready() -> Response:
        return as_answer({"ready": True})


def _add_model_routes(app: FastAPI, service: Service) -> None:
    async def report(models: list[ServedModel]) -> Response:
        families = await asyncio.to_thread(service.metrics.collect)
        return as_answer({"model_stats": summarize(families, [(model.name, model.version) for model in models])})

    @app.get("/v2/models/stats", **documentation.V2_STATISTICS)
    async def all_statistics() -> Response:
        return await report(list(service.models))

    async def statistics(request: Request) -> Response:
        return await report([_requested_model(service, request)])

    async def metadata(request: Request) -> Response:
        return as_answer(describe_model(_requested_model(service, request)))

    async def ready(request: Request) -> Response:
        return as_answer({"name": _requested_model(service, request).name, "ready": True})

    async def config(request: Request) -> Response:
        return as_answer(configure_model(_requested_model(service, request), service.settings))

    for path, versioned in ((_MODEL, False), (_VERSION, True)):
        for kind, route in (("metadata", metadata), ("ready", ready), ("config", config), ("stats", statistics)):
            end = "" if kind == "metadata" else f"/{kind}"
            app.get(path + end, **documentation.open_inference(kind, versioned=versioned))(route)


def _add_repository_routes(app: FastAPI, service: Service) -> None:
    @app.post("/v2/repository/index", **documentation.V2_INDEX)
    async def index() -> Response:
        models: list[RepositoryModel] = [
            {"name": model.name, "version": model.version, "state": "READY", "reason": ""} for model in service.models
        ]
        return as_answer(models)

    @app.post("/v2/repository/models/{name}/load", **documentation.V2_LOAD)
    async def load(request: Request) -> Response:
        async with service.bodies.receive(request, lambda body: read_json_object(body or b"{}"), bytes) as content:
            if content.get("parameters"):
                raise RefusedError(422, "'parameters': a model is loaded as its run folder has it; leave them out")
        await service.reload(request.path_params["name"])
        return as_answer({})

    @app.post("/v2/repository/models/{name}/unload", **documentation.V2_UNLOAD)
    async def unload(request: Request) -> Response:
        service.models.get(request.path_params["name"])
        raise RefusedError(409, "models are served until the server ends; start it without this one")


def divide(body: bytes, length: str | None) -> tuple[bytes, memoryview]:
    """Divide a body into its JSON and the binary data after it.

    Args:
        body: The request's body.
        length: The value of `LENGTH_HEADER`; None if the request has no such header.

    Raises:
        RefusedError: The header does not fit the body (400).
    """
    if length is None:
        return body, memoryview(b"")
    if not (length.isascii() and length.isdecimal() and len(length) <= 18 and int(length) <= len(body)):
        raise RefusedError(400, f"{LENGTH_HEADER} is not the length of the JSON in this body of {len(body):,} bytes")
    return body[: int(length)], memoryview(body)[int(length) :]


def _read_request(length: str | None, settings: ServeSettings, body: bytes) -> InferenceRequest:
    head, tail = divide(body, length)
    content = read_json_object(head)
    identifier, inputs, parameters = content.get("id"), content.get("inputs"), read_parameters(content)
    if identifier is not None and not isinstance(identifier, str):
        raise RefusedError(422, "'id' is no text")
    if not isinstance(inputs, list) or len(inputs) != 1:
        raise RefusedError(422, f"'inputs' is no list of one tensor; send the images as the input {INPUT!r}")
    binary = BinaryTail(tail)
    tensor = read_tensor(inputs[0], binary)
    binary.check_end()
    if tensor.name not in IMAGES_FIELDS:
        raise RefusedError(422, f"an input of another name; this model's one input is {INPUT!r}")
    outputs = _read_outputs(content.get("outputs"), is_binary=_truth(parameters, "binary_data_output", default=False))
    return InferenceRequest(identifier, read_images(tensor, settings), outputs)


def read_images(tensor: InputTensor, settings: ServeSettings) -> tuple[RequestImage, ...]:
    """Read the images of an input tensor.

    Pixels have the shape [n, height, width, 1 or 3]: integers from 0 to 255, floating-point numbers from 0 to 1, or
    BOOL for black and white. Files are BYTES of the shape [n] or [n, 1], in base64 if they are in the JSON. Images can
    have any size and are resized like uploaded files.

    Raises:
        RefusedError: The tensor does not have this form (422) or is too large (413).
    """
    check_count(tensor.shape[0], settings.max_images)
    shape = list(tensor.shape)
    if tensor.datatype == "BYTES":
        if tensor.shape[1:] not in {(), (1,)}:
            raise RefusedError(422, f"BYTES of the shape {shape}; send the shape [n] with n files")
        files = read_elements(tensor)
        return tuple(
            RequestImage("", file if isinstance(file, bytes) else decode_base64(file, f"content {number}"))
            for number, file in enumerate(files, 1)
        )
    if len(shape) != len(("n", "height", "width", "channels")) or shape[3] not in {1, 3} or 0 in shape:
        raise RefusedError(
            422, f"{tensor.datatype} of the shape {shape}; send [n, height, width, 3], or 1 for gray images"
        )
    check_pixels(shape[1], shape[2], settings.max_pixels)
    return tuple(RequestImage("", pixels) for pixels in as_pixels(read_numbers(tensor), tensor.datatype))


def _read_outputs(entries: object, *, is_binary: bool) -> tuple[RequestedOutput, ...]:
    """Read the requested outputs; all outputs if the request names none."""
    if entries is None or entries == []:
        return tuple(RequestedOutput(name, is_binary) for name in OUTPUTS)
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise RefusedError(422, "'outputs' is no list of objects with 'name'")
    outputs = [_read_output(entry, is_binary=is_binary) for entry in entries]
    return tuple({output.name: output for output in outputs}.values())


def _read_output(entry: dict[str, object], *, is_binary: bool) -> RequestedOutput:
    name, parameters = entry.get("name"), read_parameters(entry)
    if not isinstance(name, str):
        raise RefusedError(422, "'outputs' is no list of objects with 'name' and perhaps 'parameters'")
    if name not in OUTPUTS:
        raise RefusedError(422, f"an unknown output; this model's are {', '.join(OUTPUTS)}")
    if "shared_memory_region" in parameters:
        raise RefusedError(422, "shared memory is not written; take the output in the answer")
    classes = parameters.get("classification") or 0
    if not isinstance(classes, int) or isinstance(classes, bool) or not 0 <= classes <= MOST_LABELS:
        raise RefusedError(422, "'classification' is no number of classes")
    if classes and OUTPUTS[name] != "FP32":
        raise RefusedError(422, f"'classification' of {name!r}; only 'probabilities' has classes")
    return RequestedOutput(name, _truth(parameters, "binary_data", default=is_binary), classes)


def _truth(parameters: dict[str, object], name: str, *, default: bool) -> bool:
    value = parameters.get(name)
    if value is not None and not isinstance(value, bool):
        raise RefusedError(422, f"{name!r} is neither true nor false")
    return default if value is None else value


def answer_inference(model: ServedModel, images: Sequence[RequestImage], parsed: InferenceRequest) -> Response:
    """Build the response to an inference request.

    Args:
        model: The model that scored the images.
        images: At least one image, all of them scored.
        parsed: The request.
    """
    contents = _contents(model, images)
    identity = {} if parsed.identifier is None else {"id": parsed.identifier}
    described, tail = [], []
    for output in parsed.outputs:
        tensor, content = _write(model, output, contents[output.name])
        described.append(tensor)
        tail.append(content)
    head = orjson.dumps({"model_name": model.name, "model_version": model.version, **identity, "outputs": described})
    if not any(output.binary for output in parsed.outputs):
        return JsonAnswer(head)
    headers = {LENGTH_HEADER: str(len(head))}
    return Response(b"".join((head, *tail)), headers=headers, media_type="application/octet-stream")


def _contents(model: ServedModel, images: Sequence[RequestImage]) -> dict[str, np.ndarray | list[str]]:
    """The values of all outputs: float32 (n, classes), bool (n, classes) and n labels."""
    probabilities = np.stack([image.probabilities for image in images])
    best = probabilities.argmax(axis=1)
    if model.predictor.task == "single-label":
        predicted = np.arange(probabilities.shape[1]) == best[:, None]
    else:
        predicted = probabilities >= np.asarray(model.label_thresholds, probabilities.dtype)
    labels = [model.predictor.classes[index] for index in best.tolist()]
    return {"probabilities": probabilities, "given": predicted, "label": labels}


def _write(
    model: ServedModel, output: RequestedOutput, values: np.ndarray | list[str]
) -> tuple[Tensor | BinaryTensor, bytes]:
    """Encode an output: its description with the contents, or with their length and the contents as bytes."""
    shape, datatype = list(np.shape(values)), OUTPUTS[output.name]
    if output.classes and isinstance(values, np.ndarray):
        datatype = "BYTES"
        values, shape = _classify(values, output.classes, model.predictor.classes)
    described: TensorDescription = {"name": output.name, "datatype": datatype, "shape": shape}
    if not output.binary:
        data = values.ravel().tolist() if isinstance(values, np.ndarray) else values
        return {**described, "data": data}, b""
    is_numbers = isinstance(values, np.ndarray)
    content = np.ascontiguousarray(values, NUMBERS[datatype]).tobytes() if is_numbers else write_elements(values)
    return {**described, "parameters": {"binary_data_size": len(content)}}, content


def _classify(probabilities: np.ndarray, count: int, classes: Sequence[str]) -> tuple[list[str], list[int]]:
    """Texts of Triton's classification extension: ``value:index:label`` with six decimals, most probable first."""
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :count]
    texts = [
        f"{float(row[index]):.6f}:{index}:{classes[index]}"
        for row, indices in zip(probabilities, order.tolist(), strict=True)
        for index in indices
    ]
    return texts, list(order.shape)


def describe_model(model: ServedModel) -> OpenInferenceModel:
    """A model's metadata: its inputs, outputs, version and classes."""
    return {
        "name": model.name,
        "versions": [model.version],
        "platform": _platform(model),
        "inputs": _describe_inputs(),
        "outputs": _describe_outputs(model),
        "parameters": {"classes": list(model.predictor.classes)},
    }


def configure_model(model: ServedModel, settings: ServeSettings) -> OpenInferenceConfig:
    """A model's configuration in the shape of Triton's ``ModelConfig``."""
    parameters = {"classes": "\n".join(model.predictor.classes), "task": model.predictor.task}
    return {
        "name": model.name,
        "platform": _platform(model),
        "backend": "distingo",
        "version_policy": {"latest": {"num_versions": 1}},
        "max_batch_size": settings.max_images,
        "input": list(map(_configure_tensor, _describe_inputs())),
        "output": list(map(_configure_tensor, _describe_outputs(model))),
        "dynamic_batching": {"preferred_batch_size": [settings.max_batch]},
        "parameters": {name: {"string_value": text} for name, text in parameters.items()},
    }


def _describe_inputs() -> list[TensorDescription]:
    return [{"name": INPUT, "datatype": "UINT8", "shape": [-1, -1, -1, 3]}]


def _describe_outputs(model: ServedModel) -> list[TensorDescription]:
    classes = len(model.predictor.classes)
    return [
        {"name": name, "datatype": datatype, "shape": [-1] if datatype == "BYTES" else [-1, classes]}
        for name, datatype in OUTPUTS.items()
    ]


def _configure_tensor(tensor: TensorDescription) -> ConfiguredTensor:
    kind = "STRING" if tensor["datatype"] == "BYTES" else tensor["datatype"]
    return {"name": tensor["name"], "data_type": f"TYPE_{kind}", "dims": tensor["shape"][1:]}


def _platform(model: ServedModel) -> str:
    return f"distingo_{model.predictor.model.description.kind}"
