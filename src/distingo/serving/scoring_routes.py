"""Scoring protocols over one model: KServe v1 ``:predict``, MLflow's ``/invocations``, and SageMaker's of that name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from fastapi import FastAPI, Request, Response

from distingo.errors import UsageError
from distingo.serving import documentation
from distingo.serving.answers import as_answer, name_and_count
from distingo.serving.bodies import says_json, take_apart
from distingo.serving.judging import Judging
from distingo.serving.refusals import RefusedError
from distingo.serving.scoring import RowLimits, Rows, read_instances, read_invocation
from distingo.serving.served import ServedModel

_RAW = "application/octet-stream"


def add_scoring_routes(app: FastAPI, judging: Judging) -> None:
    """Offer the routes."""
    limits = RowLimits(judging.settings.max_pictures, judging.settings.max_pixels)

    @app.get("/v1/models", **documentation.V1_MODELS)
    async def list_v1_models() -> Response:
        return as_answer({"models": [model.name for model in judging.models]})

    @app.get("/v1/models/{name}", **documentation.V1_READY)
    async def v1_ready(request: Request) -> Response:
        return as_answer({"name": judging.models.get(request.path_params["name"]).name, "ready": True})

    @app.post("/v1/models/{name}:predict", **documentation.V1_PREDICT)
    async def v1_predict(request: Request) -> Response:
        def read(body: bytes) -> Rows:
            rows = read_instances(body, request.query_params, limits)
            return replace(rows, wishes=replace(rows.wishes, model=request.path_params["name"]))

        return await _score(judging, request, read, is_json=True)

    @app.post("/invocations", **documentation.INVOCATIONS)
    async def invocations(request: Request) -> Response:
        kind = request.headers.get("content-type", _RAW)
        return await _score(judging, request, lambda body: read_invocation(body, kind, request.query_params, limits))

    @app.get("/ping", **documentation.PING)
    async def ping() -> Response:
        return Response("\n", media_type="application/json")


async def _score(
    judging: Judging, request: Request, read: Callable[[bytes], Rows], *, is_json: bool = False
) -> Response:
    judging.places.check()
    with judging.bodies.watch() as allowance:
        body = await judging.bodies.read(request, allowance)
        if is_json and not says_json(request):
            judging.bodies.charge_values(allowance, body)
        rows = await take_apart(body, partial(read, body))
        model = judging.models.get(rows.wishes.model)
        _check(model, rows)
        verdicts = await judging.judge(request, model, rows.looks(model))
        if len(verdicts) == 1 and isinstance(verdicts[0], RefusedError):
            judging.metrics.unread.labels(model.name, str(verdicts[0].status)).inc()
            raise verdicts[0].anew()
        entries = [
            name_and_count(judging.metrics, model, name, verdict, rows.wishes)
            for name, verdict in zip(rows.names(), verdicts, strict=True)
        ]
        return as_answer({"predictions": [_as_row(entry) for entry in entries]})


def _check(model: ServedModel, rows: Rows) -> None:
    """Refuse what can't be granted before anything is decoded."""
    if rows.wishes.explain:
        raise RefusedError(422, "'explain' is answered by POST /predict alone")
    try:
        model.certainty(rows.wishes.abstain, rows.wishes.coverage)
    except UsageError as error:
        raise RefusedError(422, str(error).removeprefix("--")) from error


def _as_row(entry: dict[str, Any]) -> dict[str, Any]:
    """An entry of ``POST /predict`` as the row that the model which MLflow keeps gives for the same image."""
    scores = entry["scores"]
    return {
        "label": entry["label"],
        "probability": scores[0]["probability"] if scores else None,
        "labels": entry["labels"],
        "known": entry["known"],
        "probabilities": {score["label"]: score["probability"] for score in scores},
        "error": None if entry["error"] is None else entry["error"]["reason"],
    }
