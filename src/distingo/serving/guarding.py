"""Who is answered, and with which headers: around all routes, for every request.

Keys that let a client in: kept as hashes, compared in constant time.

How many requests a key or an address may send a minute.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from distingo.errors import UsageError, option
from distingo.serving.clients import client_of, host_name, is_same_origin
from distingo.serving.metrics import Metrics
from distingo.serving.predict_routes import DirectRoute
from distingo.serving.refusals import answer_fault, answer_refusal
from distingo.serving.refused import RefusedError
from distingo.serving.settings import LOOPBACK, ServeSettings

_SHORTEST = 16


def read_keys(path: Path) -> tuple[bytes, ...]:
    """Read a file with one key a line; empty lines and those that begin with ``#`` do not count.

    Returns:
        SHA-256 of each key.

    Raises:
        UsageError: The file can't be read, holds no key, or a key could be guessed.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "no UTF-8 text"
        raise UsageError(
            f"{option('api_key_file')} {path}: can't be read ({reason})", code="cannot_read", parameter="api_key_file"
        ) from error
    keys = [line.strip() for line in lines if line.strip() and not line.strip().startswith("#")]
    if not keys:
        raise UsageError(
            f"{option('api_key_file')} {path}: holds no key; write one a line, for example from `openssl rand -hex 32`",
            code="empty_file",
            parameter="api_key_file",
        )
    if any(len(key) < _SHORTEST for key in keys):
        raise UsageError(
            f"{option('api_key_file')} {path}: a key of fewer than {_SHORTEST} characters can be guessed; make it "
            "longer",
            code="weak_key",
            parameter="api_key_file",
        )
    return tuple(hash_key(key) for key in keys)


def hash_key(key: str) -> bytes:
    """What is kept of a key."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def given_key(headers: Headers) -> str | None:
    """The key that a request brings: ``Authorization: Bearer ...`` or ``X-API-Key: ...``."""
    scheme, _, key = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and key.strip():
        return key.strip()
    return headers.get("x-api-key")


def find_key(key: str, hashes: tuple[bytes, ...]) -> bytes | None:
    """The hash of a key that is let in, or None; takes equally long whichever it is."""
    came = hash_key(key)
    found = None
    for each in hashes:
        if hmac.compare_digest(came, each):
            found = each
    return found


_MOST_REMEMBERED = 10_000


class RateLimit:
    """Token buckets: a minute's requests at once at the most, then at an even pace.

    Args:
        per_minute: Requests of each.
        now: Seconds, from any clock that only goes forward.
    """

    def __init__(self, per_minute: float, now: Callable[[], float] = time.monotonic) -> None:
        self._most = max(1.0, per_minute)
        self._pace = per_minute / 60
        self._now = now
        self._left: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()

    def seconds_to_wait(self, who: Hashable) -> int:
        """Count a request; 0 where it is allowed, else whole seconds until the next one is."""
        now = self._now()
        left, since = self._left.pop(who, (self._most, now))
        left = min(self._most, left + (now - since) * self._pace)
        wait = 0 if left >= 1 else math.ceil((1 - left) / self._pace)
        self._left[who] = (left - 1 if wait == 0 else left, now)
        if len(self._left) > _MOST_REMEMBERED:
            self._left.popitem(last=False)
        return wait


SECURITY_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; img-src 'self' data: blob:; media-src 'self' blob:; style-src 'self'; script-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(self), geolocation=(), microphone=()",
    "cache-control": "no-store",
}
"""With every answer: the page may load from its own server only, and nobody may frame it or keep what it shows."""

_HEADERS = [(name.encode(), value.encode()) for name, value in SECURITY_HEADERS.items()]

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


class Guard:
    """Stands before the routes: host names, pages from elsewhere, keys, rates, counts and headers.

    Args:
        app: The routes.
        settings: Of the server.
        metrics: Told of every request.
        direct: The route that is answered before the others are looked at.
    """

    def __init__(self, app: ASGIApp, settings: ServeSettings, metrics: Metrics, direct: DirectRoute) -> None:
        self._app = app
        self._direct = direct
        self._settings = settings
        self._hosts = frozenset(host_name(name) for name in settings.allowed_hosts) - {None}
        self._metrics = metrics
        self._rates = None if settings.rate_limit is None else RateLimit(settings.rate_limit / settings.workers)
        self._wrong_keys = RateLimit(_WRONG_KEYS_A_MINUTE / settings.workers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        answer = _Answer(scope, receive, send, lambda status: self._count(scope, status, time.perf_counter() - began))
        try:
            refusal = self._refuse(scope)
            if refusal is not None:
                await answer_refusal(scope["path"], refusal)(scope, answer.receive, answer.send)
            else:
                is_direct = scope["path"] == self._direct.path and scope["method"] == self._direct.method
                await (self._direct if is_direct else self._app)(scope, answer.receive, answer.send)
        except Exception as error:
            if answer.status:
                raise
            await answer_fault(scope["path"], error)(scope, answer.receive, answer.send)
        finally:
            answer.count()

    def _count(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "none")
        method = scope["method"] if scope["method"] in {"GET", "POST", "HEAD", "OPTIONS"} else "other"
        self._metrics.count_request(route, method, status, seconds)

    def _refuse(self, scope: Scope) -> RefusedError | None:
        headers = Headers(scope=scope)
        if not self._knows(headers.get("host", "")):
            return RefusedError(400, "this host name is not served here; name it with --allow-host", closes=True)
        if scope["method"] not in _READING and _comes_from_elsewhere(headers):
            return RefusedError(403, "only this server's own page and programs may send; a page from elsewhere may not",
                           closes=True)  # fmt: skip
        who: Any = client_of((scope.get("client") or ("",))[0])
        if self._settings.key_hashes and not _is_open(scope["path"], scope["method"]):
            key = given_key(headers)
            known = None if key is None else find_key(key, self._settings.key_hashes)
            if known is None:
                return self._refuse_unknown(who)
            who = known
        if self._rates is not None and scope["path"] not in _WITHOUT_KEY and (wait := self._rates.seconds_to_wait(who)):
            return _too_many(f"more requests than are allowed; try again in {wait} seconds", wait)
        return None

    def _refuse_unknown(self, client: str) -> RefusedError:
        """Who has no key, or a wrong one, learns so only a number of times a minute; who has one is not held up."""
        if wait := self._wrong_keys.seconds_to_wait(client):
            return _too_many(f"too many requests without a key that is known; try again in {wait} seconds", wait)
        reason = "no key, or one that is not known; send 'Authorization: Bearer KEY'"
        return RefusedError(401, reason, closes=True)

    def _knows(self, host: str) -> bool:
        """A name that an attacker's server resolves to this machine (DNS rebinding) is not known here."""
        if self._settings.host not in LOOPBACK or self._settings.key_hashes:
            return True
        name = host_name(host)
        return name in LOOPBACK or name in self._hosts


def _too_many(reason: str, wait: int) -> RefusedError:
    return RefusedError(429, reason, closes=True, retry=wait)


def _is_open(path: str, method: str) -> bool:
    return path in _WITHOUT_KEY or (method in _READING and (path == "/" or path.startswith(_PAGE)))


def _comes_from_elsewhere(headers: Headers) -> bool:
    """Whether a browser says that another site's page sends this (cross-site request forgery)."""
    if headers.get("sec-fetch-site", "none") not in {"none", "same-origin"}:
        return True
    origin = headers.get("origin")
    return origin is not None and not is_same_origin(origin, headers.get("host", ""))


class _Answer:
    """Watches one answer: its status, the headers it gets, and whether the whole body was read before it.

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
        if message["type"] == "http.response.body" and not message.get("more_body", False):
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
        elif self._closes and not message.get("more_body", False):
            await self._send({**message, "more_body": True})
            await self._linger()
            message = {"type": "http.response.body", "body": b"", "more_body": False}
        await self._send(message)

    async def _linger(self) -> None:
        """Read on for a moment after an early answer: a connection closed on a sender would take the answer away.

        Where many send on, each is read slowly: to read what is thrown away must not take the time of others.
        """
        count = 0
        _Answer.lingering += 1
        try:
            async with asyncio.timeout(_LINGER_SECONDS):
                while not self._read and count < _LINGER_BYTES:
                    count += len((await self.receive()).get("body", b""))
                    if _Answer.lingering > _MANY_LINGER:
                        await asyncio.sleep(_LINGER_PAUSE)
        except TimeoutError:
            return
        finally:
            _Answer.lingering -= 1
