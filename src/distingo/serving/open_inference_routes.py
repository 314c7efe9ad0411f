"""The Open Inference Protocol, version 2, over REST, and Triton's extensions of it that clients ask for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

from fastapi import FastAPI, Request, Response

from distingo.errors import DistingoError
from distingo.serving import documentation
from distingo.serving.answers import as_answer, count_scores
from distingo.serving.asking import read_json_object
from distingo.serving.bodies import says_json, take_apart
from distingo.serving.compression import pack_answer
from distingo.serving.judging import Judging, Verdict
from distingo.serving.open_inference import LENGTH_HEADER, InferenceRequest, divide, read_pictures, read_request
from distingo.serving.open_inference_answers import answer_inference, check_outputs
from distingo.serving.open_inference_models import EXTENSIONS, configure_model, describe_model, index_models
from distingo.serving.refusals import RefusedError
from distingo.serving.served import ServedModel
from distingo.serving.statistics import summarize
from distingo.version import __version__

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
