"""The HTTP server of the review page, for one person on this machine.

It answers requests of its own page only, at its own address and with a token that is new with every start.
"""

from __future__ import annotations

import json
import secrets
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from typing import Any, cast, get_args
from urllib.parse import parse_qs, urlsplit

from distingo.curation.findings import IMAGE_KINDS, FindingKind
from distingo.datasets.corrections import Action
from distingo.errors import DistingoError, UsageError
from distingo.files import parse_json
from distingo.report.templating import house_style
from distingo.reviewing.session import Choice, ReviewSession
from distingo.serving.http.access import (
    RefusedError,
    cannot_listen,
    host_port,
    is_cross_site,
    is_own_host,
    is_same_origin,
    local_url,
    security_headers,
)

MOST_BYTES = 64 * 1024
"""Largest size of a request's body."""

_SECONDS = 30

_PAGE = Path(__file__).parent / "page"

_SCRIPTS = ("review.js", "confirming.js", "kinds.js", "names.js", "picture.js", "server.js", "words.js")

_FILES = {
    "": ("review.html", "text/html; charset=utf-8"),
    **{name: (name, "text/javascript; charset=utf-8") for name in _SCRIPTS},
    "icon.svg": ("icon.svg", "image/svg+xml"),
}

_HEADERS = security_headers()

_Response = tuple[bytes, str]


@dataclass(frozen=True, slots=True)
class Guard:
    """Decides which requests are answered.

    Attributes:
        host: The address that the server listens on.
        port: The port it listens on.
        token: The first part of all paths; new with every start.
    """

    host: str
    port: int
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24))

    @property
    def url(self) -> str:
        """The page's URL, for a browser on this machine."""
        return f"{local_url(self.host, self.port)}/{self.token}/"

    def refuse(self, method: str, path: str, headers: Mapping[str, str]) -> RefusedError | None:
        """The refusal of a request that must not be answered; None if it may be."""
        headers = {name.lower(): value for name, value in headers.items()}
        host = headers.get("host", "")
        if host_port(host, 80) != self.port or not is_own_host(host, self.host):
            return RefusedError(403, "this name is not served here")
        if not secrets.compare_digest(path.partition("/")[0].encode(), self.token.encode()):
            return RefusedError(404, "no such page; the address of this start is in the terminal")
        navigates = method == "GET" and headers.get("sec-fetch-mode") == "navigate"
        if not navigates and is_cross_site(headers, writes=method == "POST"):
            return RefusedError(403, "only the page itself may ask")
        if method == "POST":
            if headers.get("origin", "").startswith("https:") or not is_same_origin(headers.get("origin", ""), host):
                return RefusedError(403, "only the page itself may write")
            if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
                return RefusedError(415, "only JSON is read")
        return None


class ReviewServer(ThreadingHTTPServer):
    """Serves one review.

    Attributes:
        session: The review.
        guard: Decides which requests are answered.
    """

    daemon_threads = True

    def __init__(self, session: ReviewSession, host: str = "127.0.0.1", port: int = 0) -> None:
        """Bind the port and listen.

        Args:
            session: The review.
            host: The address to listen on; the default is reachable from this machine only.
            port: The port to listen on; 0 chooses a free one.

        Raises:
            ResourceError: The port is in use, or the address does not belong to this machine.
        """
        self.session = session
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            super().__init__((host, port), _Handler)
        except (OSError, OverflowError) as error:
            raise cannot_listen(host, port, error) from error
        self.guard = Guard(host, self.server_address[1])

    def server_bind(self) -> None:
        """Bind without querying a name server for this machine's full name, which can take long."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore the error, since browsers may close a connection in the middle of a response."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "distingo"
    sys_version = ""
    timeout = _SECONDS
    disable_nagle_algorithm = True  # the body is sent right after the header, without waiting for a full packet

    def do_GET(self) -> None:
        self._respond({"state": self._state, "question": self._question, "picture": self._image})

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        self._respond({"decide": self._decide, "keep-all": self._keep_all, "clear": self._clear, "undo": self._undo})

    @property
    def _session(self) -> ReviewSession:
        return cast(ReviewServer, self.server).session

    def _respond(self, routes: dict[str, Callable[[], _Response]]) -> None:
        path = urlsplit(self.path).path.removeprefix("/")
        refusal = cast(ReviewServer, self.server).guard.refuse(self.command, path, dict(self.headers.items()))
        if refusal is not None:
            self.close_connection = True  # the rest of the request is not read
            self._send(refusal.status, *_json({"error": refusal.reason}))
            return
        _, slash, name = path.partition("/")
        try:
            if name in routes:
                self._send(200, *routes[name]())
            elif self.command != "POST" and slash and (name in _FILES or name == "style.css"):
                self._send(200, *_file(name))
            else:
                self._send(404, *_json({"error": "no such page"}))
        except DistingoError as error:
            self._send(409, *_json({"error": str(error)}))

    def _state(self) -> _Response:
        return _json(self._session.describe())

    def _question(self) -> _Response:
        return _json(self._session.question(self._number("number")))

    def _image(self) -> _Response:
        encoded = self._session.image(self._number("number"), self._number("place"))
        return encoded.content, encoded.media_type

    def _decide(self) -> _Response:
        body = self._body()
        action, labels = body.get("action"), body.get("labels", [])
        if action not in get_args(Action) or not isinstance(labels, list):
            raise UsageError("what was sent is no decision", code="invalid_request")
        number, image = _whole_number(body.get("number")), _whole_number(body.get("picture", 0))
        return _json(self._session.decide(Choice(number, cast(Action, action), image, tuple(map(str, labels)))))

    def _keep_all(self) -> _Response:
        body = self._body()
        if body.get("kind") not in IMAGE_KINDS:
            raise UsageError("what was sent is no decision", code="invalid_request")
        return _json(self._session.keep_all(cast(FindingKind, body["kind"]), below=body.get("below") is True))

    def _clear(self) -> _Response:
        return _json(self._session.clear(_whole_number(self._body().get("number"))))

    def _undo(self) -> _Response:
        self._body()
        return _json(self._session.undo())

    def _body(self) -> dict[str, object]:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > MOST_BYTES:
            self.close_connection = True
            raise UsageError(
                f"at most {MOST_BYTES:,} bytes are read, and Content-Length must give their number",
                code="invalid_request",
            )
        try:
            body = parse_json(self.rfile.read(int(length)))
        except (ValueError, RecursionError) as error:
            raise UsageError(f"what was sent is no JSON ({error})", code="invalid_request") from error
        if not isinstance(body, dict):
            raise UsageError("what was sent is no JSON object", code="invalid_request")
        return body

    def _number(self, name: str) -> int:
        values = parse_qs(urlsplit(self.path).query).get(name, [""])
        return _whole_number(int(values[0]) if values[0].isdecimal() and len(values[0]) < 10 else None)

    def _send(self, status: int, content: bytes, media_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(content)))
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - the base class calls it so
        """Log no requests, so that the terminal stays readable."""


def _whole_number(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise UsageError("a number is missing", code="invalid_request")
    return value


def _json(content: object) -> _Response:
    return json.dumps(content, ensure_ascii=False).encode("utf-8", "backslashreplace"), "application/json"


def _file(name: str) -> _Response:
    if name == "style.css":
        own = (_PAGE / "review.css").read_text(encoding="utf-8")
        return (house_style() + own).encode("utf-8"), "text/css; charset=utf-8"
    file, media_type = _FILES[name]
    return (_PAGE / file).read_bytes(), media_type
