"""Requests that are not answered as asked: a status and a sentence, never anything of the machine's insides."""

from __future__ import annotations

import logging
from http import HTTPStatus

import orjson
from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from distingo.serving.refused import RefusedError, free_frames

_log = logging.getLogger("distingo.serving")
_REASONS = {
    404: "there is nothing at this address; GET /models lists the models, /openapi.json the addresses",
    405: "this address does not take this method; /openapi.json lists which does",
}


def as_json(status: int, reason: str, path: str = "") -> bytes:
    """An error's body, in the words of the protocol that the path belongs to."""
    if path.startswith(("/v1", "/v2")):
        return orjson.dumps({"error": reason})
    return orjson.dumps({"error": {"status": status, "reason": reason}})


def answer_refusal(path: str, refusal: RefusedError) -> Response:
    """The answer to a refused request."""
    headers: dict[str, str] = {}
    if refusal.status in {429, 503}:
        headers["Retry-After"] = str(refusal.retry)
    if refusal.status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    if refusal.closes:
        headers["Connection"] = "close"
    return Response(as_json(refusal.status, refusal.reason, path), refusal.status, headers, "application/json")


def add_refusals(app: FastAPI) -> None:
    """Answer refusals, unknown addresses and our own faults as JSON."""

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, RefusedError)
        free_frames(error)
        return answer_refusal(request.url.path, error)

    async def unknown(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        reason = _REASONS.get(error.status_code, HTTPStatus(error.status_code).phrase.lower())
        answer = answer_refusal(request.url.path, RefusedError(error.status_code, reason))
        if error.headers:
            answer.headers.update(error.headers)
        return answer

    app.add_exception_handler(RefusedError, refused)
    app.add_exception_handler(HTTPException, unknown)


def answer_fault(path: str, error: BaseException) -> Response:
    """The answer where the fault is ours: the log has the details, the client only learns that it happened."""
    _log.error("an answer failed", exc_info=error)
    free_frames(error)
    return answer_refusal(path, RefusedError(500, "the server failed at this request; its log says why", closes=True))
