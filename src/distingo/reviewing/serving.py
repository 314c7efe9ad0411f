"""The page's server: the standard library's, on this machine, for one person.

Who may speak to the page's server: this page, from where it was told, with the token of this start.
"""

from __future__ import annotations

import ipaddress
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

from distingo.curation.findings import PICTURE_KINDS, FindingKind
from distingo.datasets.corrections import Action
from distingo.errors import DistingoError, ResourceError, UsageError, option
from distingo.files import parse_json
from distingo.report.templating import house_style
from distingo.reviewing.session import Asked, ReviewSession

SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""With every answer: the page may load from its own server only, and nobody may frame it or keep what it shows."""

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Guard:
    """Decides which requests are answered.

    Attributes:
        host: The address that the server listens on.
        port: The port it listens on.
        token: What addresses begin with; new with every start.
    """

    host: str
    port: int
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24))

    @property
    def url(self) -> str:
        """The page's address, for a browser on this machine."""
        host = "127.0.0.1" if self.host in {"0.0.0.0", ""} else "::1" if self.host == "::" else self.host
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}/{self.token}/"

    def refuse(self, method: str, path: str, headers: Mapping[str, str]) -> tuple[int, str] | None:
        """Say why a request is not answered.

        A name that an attacker's server resolves to this machine (DNS rebinding) is seen in ``Host``; a page from
        elsewhere that sends a request (cross-site request forgery) is seen in ``Origin`` and ``Sec-Fetch-Site``.

        Returns:
            Status and reason, or None for a request to answer.
        """
        host = headers.get("Host", "")
        if not self._knows(host):
            return 403, "this name is not served here"
        if not secrets.compare_digest(path.partition("/")[0].encode(), self.token.encode()):
            return 404, "no such page; the address of this start is in the terminal"
        navigates = method == "GET" and headers.get("Sec-Fetch-Mode") == "navigate"
        if headers.get("Sec-Fetch-Site", "none") not in {"none", "same-origin"} and not navigates:
            return 403, "only the page itself may ask"
        if method == "POST":
            if headers.get("Origin", "") != f"http://{host}":
                return 403, "only the page itself may write"
            if headers.get("Content-Type", "").partition(";")[0].strip().lower() != "application/json":
                return 415, "only JSON is read"
        return None

    def _knows(self, host: str) -> bool:
        try:
            parts = urlsplit(f"//{host}")
            name, port = parts.hostname or "", parts.port or 80
        except ValueError:
            return False
        if port != self.port or parts.path or parts.username is not None:
            return False
        if name in _LOOPBACK:
            return True
        if self.host in _LOOPBACK:
            return False
        # told to listen elsewhere: numbers can't be rebound, and the machine's own name is its own
        return _is_address(name) or name in {self.host.lower(), socket.gethostname().lower()}


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


LOOPBACK = "127.0.0.1"

MOST_BYTES = 64 * 1024
"""Of what the page may send at once."""

_SECONDS = 30

_PAGE = Path(__file__).parent / "page"

_SCRIPTS = ("review.js", "confirming.js", "kinds.js", "names.js", "picture.js", "server.js", "words.js")

_FILES = {
    "": ("review.html", "text/html; charset=utf-8"),
    **{name: (name, "text/javascript; charset=utf-8") for name in _SCRIPTS},
    "icon.svg": ("icon.svg", "image/svg+xml"),
}

_Answer = tuple[bytes, str]


class ReviewServer(ThreadingHTTPServer):
    """Serves one review.

    Attributes:
        session: The review.
        guard: Who may ask.
    """

    daemon_threads = True

    def __init__(self, session: ReviewSession, host: str = LOOPBACK, port: int = 0) -> None:
        """Listen.

        Args:
            session: The review.
            host: The address to listen on; the default is reachable from this machine only.
            port: 0 takes one that is free.

        Raises:
            ResourceError: The port is taken, or the address is none of this machine's.
        """
        self.session = session
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            super().__init__((host, port), _Handler)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise ResourceError(
                f"{host}, port {port}: can't listen there ({reason}); choose another {option('port')}",
                code="port_unavailable",
            ) from error
        self.guard = Guard(host, self.server_address[1])

    def server_bind(self) -> None:
        """Bind without asking a name server for this machine's full name, which can take long."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that goes away in the middle of an answer is no error."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "distingo"
    sys_version = ""
    timeout = _SECONDS
    disable_nagle_algorithm = True  # headers and body go out one after the other, and nobody waits for a packet to fill

    def do_GET(self) -> None:
        self._respond({"state": self._state, "question": self._question, "picture": self._picture})

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        self._respond({"decide": self._decide, "keep-all": self._keep_all, "clear": self._clear, "undo": self._undo})

    @property
    def _session(self) -> ReviewSession:
        return cast(ReviewServer, self.server).session

    def _respond(self, routes: dict[str, Callable[[], _Answer]]) -> None:
        path = urlsplit(self.path).path.removeprefix("/")
        refused = cast(ReviewServer, self.server).guard.refuse(self.command, path, dict(self.headers.items()))
        if refused is not None:
            self.close_connection = True  # what else it sent is not read
            self._send(refused[0], *_json({"error": refused[1]}))
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

    def _state(self) -> _Answer:
        return _json(self._session.describe())

    def _question(self) -> _Answer:
        return _json(self._session.question(self._number("number")))

    def _picture(self) -> _Answer:
        encoded = self._session.picture(self._number("number"), self._number("place"))
        return encoded.content, encoded.media_type

    def _decide(self) -> _Answer:
        said = self._body()
        action = said.get("action")
        labels = said.get("labels", [])
        if action not in get_args(Action) or not isinstance(labels, list):
            raise UsageError("what was sent is no decision", code="invalid_request")
        place = _whole(said.get("picture", 0))
        asked = Asked(_whole(said.get("number")), cast(Action, action), place, tuple(map(str, labels)))
        return _json(self._session.decide(asked))

    def _keep_all(self) -> _Answer:
        said = self._body()
        if said.get("kind") not in PICTURE_KINDS:
            raise UsageError("what was sent is no decision", code="invalid_request")
        return _json(self._session.keep_all(cast(FindingKind, said["kind"]), below=said.get("below") is True))

    def _clear(self) -> _Answer:
        return _json(self._session.clear(_whole(self._body().get("number"))))

    def _undo(self) -> _Answer:
        self._body()
        return _json(self._session.undo())

    def _body(self) -> dict[str, Any]:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > MOST_BYTES:
            self.close_connection = True
            raise UsageError(
                f"at most {MOST_BYTES:,} bytes are read, and their number must be said", code="invalid_request"
            )
        try:
            said = parse_json(self.rfile.read(int(length)))
        except (ValueError, RecursionError) as error:
            raise UsageError(f"what was sent is no JSON ({error})", code="invalid_request") from error
        if not isinstance(said, dict):
            raise UsageError("what was sent is no JSON object", code="invalid_request")
        return said

    def _number(self, name: str) -> int:
        values = parse_qs(urlsplit(self.path).query).get(name, [""])
        return _whole(int(values[0]) if values[0].isdecimal() and len(values[0]) < 10 else None)

    def _send(self, status: int, content: bytes, media_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(content)))
        for name, value in SECURITY_HEADERS.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - the base class calls it so
        """The terminal is for the person, who does not read requests."""


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise UsageError("a number is missing", code="invalid_request")
    return value


def _json(content: Any) -> _Answer:
    return json.dumps(content, ensure_ascii=False).encode("utf-8", "backslashreplace"), "application/json"


def _file(name: str) -> _Answer:
    if name == "style.css":
        own = (_PAGE / "review.css").read_text(encoding="utf-8")
        return (house_style() + own).encode("utf-8"), "text/css; charset=utf-8"
    file, media_type = _FILES[name]
    return (_PAGE / file).read_bytes(), media_type
