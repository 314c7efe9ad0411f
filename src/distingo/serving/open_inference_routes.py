"""The Open Inference Protocol, version 2, over REST (github.com/kserve/open-inference-protocol)."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from fastapi import FastAPI, Request, Response

from distingo.serving import documentation
from distingo.serving.answers import as_answer, count_scores
from distingo.serving.asking import read_json_object
from distingo.serving.bodies import take_apart
from distingo.serving.judging import Judging, Verdict
from distingo.serving.open_inference import describe_tensors, name_outputs, read_pictures
from distingo.serving.refusals import RefusedError
from distingo.serving.served import ServedModel
from distingo.version import __version__

_MODEL = "/v2/models/{name}"
_VERSION = "/v2/models/{name}/versions/{version}"


def add_open_inference_routes(app: FastAPI, judging: Judging) -> None:
    """Offer the protocol's routes."""
    _add_server_routes(app)

    async def model(request: Request) -> Response:
        return as_answer(_describe(_find(judging, request)))

    async def ready(request: Request) -> Response:
        return as_answer({"name": _find(judging, request).name, "ready": True})

    async def infer(request: Request) -> Response:
        judging.places.check()
        with judging.bodies.watch() as allowance:
            body = await judging.bodies.read(request, allowance)
            said = await take_apart(body, partial(read_json_object, body))
            return as_answer(await _infer(judging, request, said))

    for path, versioned in ((_MODEL, False), (_VERSION, True)):
        app.get(path, **documentation.open_inference("metadata", versioned=versioned))(model)
        app.get(f"{path}/ready", **documentation.open_inference("ready", versioned=versioned))(ready)
        app.post(f"{path}/infer", **documentation.open_inference("infer", versioned=versioned))(infer)


def _add_server_routes(app: FastAPI) -> None:
    @app.get("/v2", **documentation.V2_SERVER)
    @app.get("/v2/", include_in_schema=False)
    async def server() -> Response:
        return as_answer({"name": "distingo", "version": __version__, "extensions": []})

    @app.get("/v2/health/live", **documentation.V2_LIVE)
    async def live() -> Response:
        return as_answer({"live": True})

    @app.get("/v2/health/ready", **documentation.V2_READY)
    async def ready() -> Response:
        return as_answer({"ready": True})


async def _infer(judging: Judging, request: Request, said: dict[str, Any]) -> dict[str, Any]:
    identifier = said.get("id")
    if identifier is not None and not isinstance(identifier, str):
        raise RefusedError(422, "'id' is no text")
    settings = judging.settings
    model = _find(judging, request)
    looks = await asyncio.to_thread(
        read_pictures, said, model, max_pictures=settings.max_pictures, max_pixels=settings.max_pixels
    )
    model = _find(judging, request)
    verdicts: list[Verdict] = []
    for verdict in await judging.judge(request, model, looks):
        if isinstance(verdict, RefusedError):
            raise verdict
        count_scores(judging.metrics, model, verdict)
        verdicts.append(verdict)
    outputs = name_outputs(model, verdicts, said.get("outputs"))
    named = {} if identifier is None else {"id": identifier}
    return {"model_name": model.name, "model_version": model.version, **named, "outputs": outputs}


def _find(judging: Judging, request: Request) -> ServedModel:
    return judging.models.get(request.path_params["name"], request.path_params.get("version"))


def _describe(model: ServedModel) -> dict[str, Any]:
    return {
        "name": model.name,
        "versions": [model.version],
        "platform": f"distingo_{model.predictor.model.description.kind}",
        **describe_tensors(model.predictor),
        "parameters": {"classes": list(model.predictor.classes)},
    }
