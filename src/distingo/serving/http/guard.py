"""Around all routes: who is answered, with which headers, and what a refused or failed request gets."""

from __future__ import annotations

import asyncio
import gzip
import logging
import time
import zlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from fastapi import FastAPI, Request, Response
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from distingo.serving.http.access import (
    RateLimit,
    RefusedError,
    client_of,
    error_body,
    find_key,
    free_frames,
    host_name,
    is_cross_site,
    is_own_host,
    security_headers,
)
from distingo.serving.http.bodies import ENCODINGS
from distingo.serving.metrics import Metrics
from distingo.serving.settings import ServeSettings

_HEADERS = [
    (name.encode(), value.encode())
    for name, value in security_headers(images="'self' data: blob:", media="'self' blob:").items()
]
_WITHOUT_KEY = ("/livez", "/readyz", "/ping", "/v2/health/live", "/v2/health/ready", "/openapi.json")
_PAGE = "/page/"
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_BODY_HEADERS = frozenset({b"content-length", b"transfer-encoding"})
_WRONG_KEYS_A_MINUTE = 30
"""Of one address: enough for a mistake, too few to guess."""

_LINGER_SECONDS = 1.0
_LINGER_BYTES = 64 * 2**20
_MANY_LINGER = 4
_LINGER_PAUSE = 0.05
_REASONS = {
    404: "there is nothing at this address; GET /models lists the models, /openapi.json the addresses",
    405: "this address does not take this method; /openapi.json lists which does",
}
_log = logging.getLogger("distingo.serving")


@dataclass(frozen=True, slots=True)
class DirectRoute:
    """The route called thousands of times a second: without patterns and parameters, which take a third of its time.

    Attributes:
        path: FastAPI has a route of the same path, for the document and for other methods.
        method: The method that it answers.
        respond: What FastAPI's route calls too.
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
            response = refuse(self.path, refusal)
        await response(scope, receive, send)


class Guard:
    """Middleware: host names, pages from elsewhere, keys, rates, counts and headers.

    Args:
        app: The routes.
        settings: Of the server.
        metrics: Count every request.
        direct: The route that is tried before the others.
    """

    def __init__(self, app: ASGIApp, settings: ServeSettings, metrics: Metrics, direct: DirectRoute) -> None:
        self._app = app
        self._direct = direct
        self._settings = settings
        self._hosts = frozenset(host_name(name) for name in settings.allowed_hosts)
        self._metrics = metrics
        self._rates = None if settings.rate_limit is None else RateLimit(settings.rate_limit / settings.workers)
        self._wrong_keys = RateLimit(_WRONG_KEYS_A_MINUTE / settings.workers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        answer = _ResponseTracker(
            scope, receive, send, lambda status: self._count(scope, status, time.perf_counter() - began)
        )
        path, method = scope["path"], scope["method"]
        try:
            refusal = self._find_refusal(path, method, scope)
            if refusal is not None:
                await refuse(path, refusal)(scope, answer.receive, answer.send)
            else:
                is_direct = path == self._direct.path and method == self._direct.method
                await (self._direct if is_direct else self._app)(scope, answer.receive, answer.send)
        except Exception as error:
            if answer.status:
                raise
            await _error_response(path, error)(scope, answer.receive, answer.send)
        finally:
            answer.count()

    def _count(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "none")
        method = scope["method"] if scope["method"] in {"GET", "POST", "HEAD", "OPTIONS"} else "other"
        self._metrics.count_request(route, method, status, seconds)

    def _find_refusal(self, path: str, method: str, scope: Scope) -> RefusedError | None:
        headers, settings = Headers(scope=scope), self._settings
        if not settings.key_hashes and not is_own_host(headers.get("host", ""), settings.host, self._hosts):
            return RefusedError(400, "this host name is not served here; name it with --allow-host", closes=True)
        if method not in _READING and is_cross_site(headers):
            reason = "only this server's own page and programs may send; a page from elsewhere may not"
            return RefusedError(403, reason, closes=True)
        client: str | bytes = client_of((scope.get("client") or ("",))[0])
        is_open = path in _WITHOUT_KEY or (method in _READING and (path == "/" or path.startswith(_PAGE)))
        if settings.key_hashes and not is_open:
            key = find_key(headers, settings.key_hashes)
            if key is None:
                return self._refuse_unknown(client)
            client = key
        if self._rates is not None and path not in _WITHOUT_KEY and (wait := self._rates.seconds_to_wait(client)):
            return _too_many(f"more requests than are allowed; try again in {wait} seconds", wait)
        return None

    def _refuse_unknown(self, client: str | bytes) -> RefusedError:
        """Tell a client without an accepted key so only some times a minute; one that has a key is not held up."""
        if wait := self._wrong_keys.seconds_to_wait(client):
            return _too_many(f"too many requests without a key that is known; try again in {wait} seconds", wait)
        reason = "no key, or one that is not known; send 'Authorization: Bearer KEY'"
        return RefusedError(401, reason, closes=True)


def _too_many(reason: str, wait: int) -> RefusedError:
    return RefusedError(429, reason, closes=True, retry=wait)


class _ResponseTracker:
    """Follows one answer: its status, the headers it gets, and whether the whole body was read before it.

    Attributes:
        lingering: Answers whose senders are still being read.
    """

    lingering = 0

    def __init__(self, scope: Scope, receive: Receive, send: Send, count: Callable[[int], None]) -> None:
        self.status = 0
        self._count: Callable[[int], None] | None = count
        self._receive = receive
        self._send = send
        self._read = not any(name in _BODY_HEADERS and value != b"0" for name, value in scope["headers"])
        self._closes = False

    def count(self) -> None:
        """Count the request, once: before its answer ends, so that a worker killed then leaves none uncounted."""
        if self._count is not None:
            self._count(self.status)
            self._count = None

    async def receive(self) -> Message:
        message = await self._receive()
        self._read = self._read or not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        is_last = message["type"] == "http.response.body" and not message.get("more_body", False)
        if is_last:
            self.count()
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = list(message["headers"])
            own = {name for name, _ in headers}
            headers += [pair for pair in _HEADERS if pair[0] not in own]
            self._closes = not self._read
            if self._closes and b"connection" not in own:
                headers.append((b"connection", b"close"))
            message["headers"] = headers
        elif self._closes and is_last:
            await self._send({**message, "more_body": True})
            await self._linger()
            message = {"type": "http.response.body", "body": b"", "more_body": False}
        await self._send(message)

    async def _linger(self) -> None:
        """Read on for a moment after an early answer: a connection closed on a sender would take the answer away.

        Where many send on, each is read slowly: to read what is thrown away must not take the time of others.
        """
        count = 0
        _ResponseTracker.lingering += 1
        try:
            async with asyncio.timeout(_LINGER_SECONDS):
                while not self._read and count < _LINGER_BYTES:
                    count += len((await self.receive()).get("body", b""))
                    if _ResponseTracker.lingering > _MANY_LINGER:
                        await asyncio.sleep(_LINGER_PAUSE)
        except TimeoutError:
            return
        finally:
            _ResponseTracker.lingering -= 1


def refuse(path: str, refusal: RefusedError) -> Response:
    """The answer to a refused request."""
    free_frames(refusal)
    headers: dict[str, str] = {}
    if refusal.status in {429, 503}:
        headers["Retry-After"] = str(refusal.retry)
    if refusal.status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    if refusal.closes:
        headers["Connection"] = "close"
    return Response(error_body(refusal.status, refusal.reason, path), refusal.status, headers, "application/json")


def _error_response(path: str, error: BaseException) -> Response:
    """The answer to a request that the server failed at: the log has the details, the client none."""
    _log.error("an answer failed", exc_info=error)
    free_frames(error)
    return refuse(path, RefusedError(500, "the server failed at this request; its log says why", closes=True))


def answer_errors(app: FastAPI) -> None:
    """Answer refusals and unknown addresses as JSON."""

    async def respond(request: Request, error: Exception) -> Response:
        assert isinstance(error, RefusedError)
        return refuse(request.url.path, error)

    async def unknown(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        reason = _REASONS.get(error.status_code, HTTPStatus(error.status_code).phrase.lower())
        answer = refuse(request.url.path, RefusedError(error.status_code, reason))
        answer.headers.update(error.headers or {})
        return answer

    app.add_exception_handler(RefusedError, respond)
    app.add_exception_handler(HTTPException, unknown)


def pack_answer(answer: Response, accepted: str) -> Response:
    """Pack an answer in the encoding that the client likes best, where that makes it smaller.

    Args:
        answer: With its whole body.
        accepted: The request's ``Accept-Encoding``.
    """
    answer.headers["Vary"] = "Accept-Encoding"
    weights = {name.removeprefix("x-"): weight for name, weight in read_weights(accepted)}
    accepted_weights = {name: weights.get(name, weights.get("*", 0.0)) for name in ENCODINGS}
    encoding = max(ENCODINGS, key=accepted_weights.__getitem__)
    if accepted_weights[encoding] <= 0:
        return answer
    content = bytes(answer.body)
    packed = gzip.compress(content, 1, mtime=0) if encoding == "gzip" else zlib.compress(content, 1)
    if len(packed) < len(content):
        answer.body = packed
        answer.headers["Content-Encoding"] = encoding
        answer.headers["Content-Length"] = str(len(packed))
    return answer


def read_weights(accepted: str) -> Sequence[tuple[str, float]]:
    """Names in lower case and their weights, of a header such as ``gzip, br;q=0.5`` (RFC 9110, 12.4.2)."""
    entries = [entry.partition(";") for entry in accepted[:2048].lower().split(",")[:50]]
    return [(name.strip(), _read_weight(weight)) for name, _, weight in entries]


def _read_weight(text: str) -> float:
    name, _, value = text.partition("=")
    if name.strip() != "q":
        return 0.0 if name.strip() else 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0
