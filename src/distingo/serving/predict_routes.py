"""``POST /predict`` and the Hugging Face shape ``POST /models/{name}``.

The way round the framework for the one route that is asked thousands of times a second.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from fastapi import FastAPI, Request, Response
from starlette.types import Receive, Scope, Send

from distingo.errors import UsageError
from distingo.serving import documentation
from distingo.serving.answers import as_answer, name_and_count
from distingo.serving.asking import Upload, Wishes, decode_base64, read_form, read_json, read_json_object, read_wishes
from distingo.serving.bodies import media_type, take_apart
from distingo.serving.judging import MOST_EXPLAINED, Judging
from distingo.serving.refusals import answer_refusal
from distingo.serving.refused import RefusedError, free_frames
from distingo.serving.served import ServedModel

PREDICT_PATH = "/predict"

_RAW = "application/octet-stream"


def add_predict_routes(app: FastAPI, judging: Judging) -> Callable[[Request], Awaitable[Response]]:
    """Offer the routes that predict.

    Returns:
        What answers ``POST /predict``, for `distingo.serving.predict_routes`.
    """

    @app.post(PREDICT_PATH, **documentation.PREDICT)
    async def predict(request: Request) -> Response:
        judging.places.check()
        with judging.bodies.watch() as allowance:
            body = await judging.bodies.read(request, allowance)
            wishes = read_wishes(request.query_params)
            most = judging.settings.max_pictures
            uploads, wishes = await take_apart(body, partial(_read_uploads, request, body, wishes, most))
            model = judging.models.get(wishes.model)
            return as_answer(await _predict(judging, request, model, uploads, wishes))

    @app.post("/models/{name}", **documentation.CLASSIFY)
    async def classify_image(request: Request) -> Response:
        judging.places.check()
        with judging.bodies.watch() as allowance:
            body = await judging.bodies.read(request, allowance)
            upload, wishes = await take_apart(body, partial(_read_inputs, request, body))
            model = judging.models.get(request.path_params["name"])
            answer = await _predict(judging, request, model, [upload], wishes)
            scores = answer["predictions"][0]["scores"]
            return as_answer([{"label": score["label"], "score": score["probability"]} for score in scores])

    return predict


async def _predict(
    judging: Judging, request: Request, model: ServedModel, uploads: list[Upload], wishes: Wishes
) -> dict[str, Any]:
    _check_wishes(model, uploads, wishes)
    verdicts = await judging.judge_uploads(request, model, uploads)
    if len(verdicts) == 1 and isinstance(verdicts[0], RefusedError):
        judging.metrics.unread.labels(model.name, str(verdicts[0].status)).inc()
        raise verdicts[0].anew()
    entries = []
    for upload, verdict in zip(uploads, verdicts, strict=True):
        entry = name_and_count(judging.metrics, model, upload.name, verdict, wishes)
        if wishes.explain and entry["error"] is None:
            entry["explanation"] = await judging.explain(model, upload, entry["label"])
        entries.append(entry)
    identity = {"name": model.name, "version": model.version}
    return {"model": identity, "task": model.predictor.task, "predictions": entries}


def _check_wishes(model: ServedModel, uploads: list[Upload], wishes: Wishes) -> None:
    """Refuse what can't be granted before anything is decoded."""
    if not uploads:
        raise RefusedError(422, "no picture in the request; send at least one in the field 'pictures'")
    if wishes.explain and len(uploads) > MOST_EXPLAINED:
        raise RefusedError(422, f"explain with {len(uploads)} pictures; at most {MOST_EXPLAINED} are explained at once")
    try:
        model.certainty(wishes.abstain, wishes.coverage)
    except UsageError as error:
        raise RefusedError(422, str(error).removeprefix("--")) from error


def _read_uploads(request: Request, body: bytes, wishes: Wishes, max_pictures: int) -> tuple[list[Upload], Wishes]:
    content_type = request.headers.get("content-type", _RAW)
    kind = media_type(content_type)
    if kind == "multipart/form-data":
        return read_form(body, content_type, wishes, max_pictures)
    if kind == "application/json":
        return read_json(body, wishes, max_pictures)
    if kind == _RAW or kind.startswith("image/"):
        return [Upload(request.query_params.get("name", "picture")[:255], body)], wishes
    raise RefusedError(
        415, "a body of another type; send multipart/form-data, application/json, image/* or application/octet-stream"
    )


def _read_inputs(request: Request, body: bytes) -> tuple[Upload, Wishes]:
    """A body in Hugging Face's shape: the picture itself, or JSON with ``inputs`` and ``parameters``."""
    wishes = read_wishes(request.query_params)
    kind = media_type(request.headers.get("content-type", _RAW))
    if kind != "application/json":
        if kind != _RAW and not kind.startswith("image/"):
            raise RefusedError(
                415, "a body of another type; send application/json, image/* or application/octet-stream"
            )
        return Upload("picture", body), wishes
    said = read_json_object(body)
    parameters = said.get("parameters") or {}
    if not isinstance(parameters, dict):
        raise RefusedError(422, "'parameters' is no object")
    if parameters.get("function_to_apply") not in (None, "softmax", "sigmoid"):
        raise RefusedError(422, "'function_to_apply' is not known; probabilities are always calibrated ones")
    wishes = read_wishes({"top_k": parameters.get("top_k")}, wishes)
    return Upload("picture", decode_base64(said.get("inputs"), "'inputs'")), wishes


@dataclass(frozen=True, slots=True)
class DirectRoute:
    """A route that needs neither matching of patterns nor parsing of parameters: a third of the time of a request.

    Attributes:
        path: That it answers; FastAPI has a route of the same path, for the document and for other methods.
        method: That it answers.
        respond: As FastAPI's route would be answered.
    """

    path: str
    method: str
    respond: Callable[[Request], Awaitable[Response]]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        scope["route"] = self
        try:
            response = await self.respond(Request(scope, receive, send))
        except RefusedError as refusal:
            free_frames(refusal)
            response = answer_refusal(self.path, refusal)
        await response(scope, receive, send)
