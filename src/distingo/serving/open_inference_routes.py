"""The Open Inference Protocol, version 2, over REST, and Triton's extensions of it that clients ask for.

Answers of the Open Inference Protocol: verdicts as tensors, in JSON or as bytes after it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import orjson
from fastapi import FastAPI, Request, Response

from distingo.errors import DistingoError
from distingo.serving import documentation
from distingo.serving.answers import JsonAnswer, as_answer, count_scores
from distingo.serving.asking import read_json_object
from distingo.serving.bodies import says_json, take_apart
from distingo.serving.compression import pack_answer
from distingo.serving.judging import Judging, Verdict
from distingo.serving.open_inference import (
    EXTENSIONS,
    LENGTH_HEADER,
    InferenceRequest,
    RequestedOutput,
    configure_model,
    describe_model,
    describe_outputs,
    divide,
    index_models,
    read_pictures,
    read_request,
)
from distingo.serving.open_inference_tensors import NUMBERS, write_elements
from distingo.serving.refused import RefusedError
from distingo.serving.served import ServedModel
from distingo.serving.statistics import summarize
from distingo.version import __version__


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


_MODEL = "/v2/models/{name}"

_VERSION = "/v2/models/{name}/versions/{version}"


def add_open_inference_routes(app: FastAPI, judging: Judging, on_reload: Callable[[], None] | None = None) -> None:
    """Offer the protocol's routes.

    Args:
        app: To add them to.
        judging: With the models.
        on_reload: Called after a model was changed, to tell the other workers.
    """
    _add_server_routes(app)
    _add_repository_routes(app, judging, on_reload)
    _add_model_routes(app, judging)

    async def infer(request: Request) -> Response:
        judging.places.check()
        with judging.bodies.watch() as allowance:
            body = await judging.bodies.read(request, allowance)
            length = request.headers.get(LENGTH_HEADER)
            if not says_json(request):
                judging.bodies.charge_values(allowance, divide(body, length)[0])
            asked = await take_apart(body, partial(read_request, body, length))
            answer = await _infer(judging, request, asked)
            return pack_answer(answer, request.headers.get("accept-encoding", ""))

    for path, versioned in ((_MODEL, False), (_VERSION, True)):
        app.post(f"{path}/infer", **documentation.open_inference("infer", versioned=versioned))(infer)


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


def _add_model_routes(app: FastAPI, judging: Judging) -> None:
    @app.get("/v2/models/stats", **documentation.V2_STATISTICS)
    async def all_statistics() -> Response:
        return await _statistics(judging, list(judging.models))

    async def model(request: Request) -> Response:
        return as_answer(describe_model(_find(judging, request)))

    async def ready(request: Request) -> Response:
        return as_answer({"name": _find(judging, request).name, "ready": True})

    async def config(request: Request) -> Response:
        settings = judging.settings
        found = _find(judging, request)
        return as_answer(configure_model(found, max_pictures=settings.max_pictures, max_batch=settings.max_batch))

    async def statistics(request: Request) -> Response:
        return await _statistics(judging, [_find(judging, request)])

    for path, versioned in ((_MODEL, False), (_VERSION, True)):
        for kind, route in (("metadata", model), ("ready", ready), ("config", config), ("stats", statistics)):
            end = "" if kind == "metadata" else f"/{kind}"
            app.get(path + end, **documentation.open_inference(kind, versioned=versioned))(route)


def _add_repository_routes(app: FastAPI, judging: Judging, on_reload: Callable[[], None] | None) -> None:
    @app.post("/v2/repository/index", **documentation.V2_INDEX)
    async def index() -> Response:
        return as_answer(index_models(judging.models))

    @app.post("/v2/repository/models/{name}/load", **documentation.V2_LOAD)
    async def load(request: Request) -> Response:
        with judging.bodies.watch() as allowance:
            body = await judging.bodies.read(request, allowance)
            if not says_json(request):
                judging.bodies.charge_values(allowance, body)
            said = await take_apart(body, partial(read_json_object, body)) if body else {}
        if said.get("parameters"):
            raise RefusedError(422, "'parameters': a model is loaded as its run folder has it; leave them out")
        name = request.path_params["name"]
        judging.models.get(name)
        try:
            await asyncio.to_thread(judging.models.reload, name)
        except DistingoError as error:
            raise RefusedError(409, "the run folder holds no whole model now; the old version goes on") from error
        if on_reload is not None:
            on_reload()
        return as_answer({})

    @app.post("/v2/repository/models/{name}/unload", **documentation.V2_UNLOAD)
    async def unload(request: Request) -> Response:
        judging.models.get(request.path_params["name"])
        raise RefusedError(409, "models are served until the server ends; start it without this one")


async def _statistics(judging: Judging, models: list[ServedModel]) -> Response:
    families: list[Any] = await asyncio.to_thread(judging.metrics.collect)
    return as_answer({"model_stats": summarize(families, [(model.name, model.version) for model in models])})


async def _infer(judging: Judging, request: Request, asked: InferenceRequest) -> Response:
    limits = {"max_pictures": judging.settings.max_pictures, "max_pixels": judging.settings.max_pixels}
    while True:
        model = _find(judging, request)
        outputs = check_outputs(model, asked)
        looks = await asyncio.to_thread(read_pictures, asked.tensor, model, **limits)
        if _find(judging, request) is model:
            break  # else it was reloaded meanwhile, and takes nothing more in
    verdicts: list[Verdict] = []
    for verdict in await judging.judge(request, model, looks):
        if isinstance(verdict, RefusedError):
            raise verdict.anew()
        count_scores(judging.metrics, model, verdict)
        verdicts.append(verdict)
    return answer_inference(model, verdicts, asked, outputs)


def _find(judging: Judging, request: Request) -> ServedModel:
    return judging.models.get(request.path_params["name"], request.path_params.get("version"))
