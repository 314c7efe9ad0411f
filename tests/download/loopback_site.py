"""A web server on this machine: what it serves, what it does wrong, and the requests it received."""

from __future__ import annotations

import contextlib
import hashlib
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from distingo.download.records import Limits

QUICK = Limits(backoff=0.01, connect_timeout=5.0, stall_timeout=5.0, attempts=3)
"""Impatient: no test waits for long."""


@dataclass(frozen=True)
class Trouble:
    """What one answer does wrong.

    Attributes:
        status: Answer with this status and no body.
        headers: Besides the usual ones, or instead of them.
        break_after: Close the connection after so many bytes.
        stall_after: Send nothing more after so many bytes.
        drip: Send one byte at a time, so many seconds apart.
        announce: Say that the body has so many bytes more (less, if negative) than it has.
        unannounced: Say no length; the end of the connection is the end of the body.
        head_drip: Send the head one byte at a time, so many seconds apart.
    """

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    break_after: int | None = None
    stall_after: int | None = None
    drip: float = 0.0
    announce: int = 0
    unannounced: bool = False
    head_drip: float = 0.0


GOOD = Trouble()


@dataclass
class LoopbackSite:
    """Pages by path, and an account of every request.

    Attributes:
        pages: What is served.
        headers: Besides the usual ones, by path.
        redirects: By path: where to.
        troubles: By path: what the next answers do wrong, one after another.
        always: By path: what every answer does wrong.
        ranges: Whether parts of a page can be requested.
        validators: Whether pages have an ETag.
        requests: Every request: path and Range.
        sent: Bytes of bodies sent, by path.
        most_at_once: How many requests were answered at the same time at most.
        slowness: Seconds that every answer takes.
        callers: The ports that connections came from.
        on_sent: Called with a path and its bytes sent so far, before they are.
        server: Behind all this.
    """

    pages: dict[str, bytes] = field(default_factory=dict)
    headers: dict[str, dict[str, str]] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    troubles: dict[str, list[Trouble]] = field(default_factory=dict)
    always: dict[str, Trouble] = field(default_factory=dict)
    ranges: bool = True
    validators: bool = True
    requests: list[tuple[str, str]] = field(default_factory=list)
    agents: set[str] = field(default_factory=set)
    sent: dict[str, int] = field(default_factory=dict)
    times: list[float] = field(default_factory=list)
    most_at_once: int = 0
    slowness: float = 0.0
    callers: set[int] = field(default_factory=set)
    on_sent: Callable[[str, int], None] | None = None
    server: ThreadingHTTPServer | None = None
    url: str = ""
    under_way: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, path: str) -> int:
        return sum(requested == path for requested, _ in self.requests)

    def encrypt(self, context: ssl.SSLContext) -> None:
        """Speak TLS from now on, as ``localhost``."""
        assert self.server is not None
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = self.url.replace("http://127.0.0.1", "https://localhost")


def etag_of(content: bytes) -> str:
    return f'"{hashlib.sha256(content).hexdigest()[:16]}"'


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    site: LoopbackSite

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        site = self.site
        with site.lock:
            site.requests.append((self.path, self.headers.get("Range", "")))
            site.agents.add(self.headers.get("User-Agent", ""))
            site.times.append(time.monotonic())
            site.callers.add(self.client_address[1])
            site.under_way += 1
            site.most_at_once = max(site.most_at_once, site.under_way)
            line = site.troubles.get(self.path)
            trouble = line.pop(0) if line else site.always.get(self.path, GOOD)
        try:
            time.sleep(site.slowness)
            self._answer(trouble)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        finally:
            with site.lock:
                site.under_way -= 1

    def _answer(self, trouble: Trouble) -> None:
        site = self.site
        path = self.path.partition("?")[0]
        headers = {**site.headers.get(path, {}), **trouble.headers}
        if trouble.status:
            return self._head(trouble, trouble.status, {"Content-Length": "0", **headers})
        if path in site.redirects:
            return self._head(trouble, 302, {"Content-Length": "0", "Location": site.redirects[path], **headers})
        if path not in site.pages:
            return self._head(trouble, 404, {"Content-Length": "0", **headers})
        content = site.pages[path]
        start, status = self._start(content), 200
        if start:
            status = 206
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        if site.validators:
            headers.setdefault("ETag", etag_of(content))
        body = content[start:]
        if trouble.unannounced:
            self.close_connection = True
        else:
            headers = {"Content-Length": str(len(body) + trouble.announce), **headers}
        self._head(trouble, status, headers)
        return self._send(body, trouble)

    def _start(self, content: bytes) -> int:
        wanted = self.headers.get("Range", "")
        if not wanted or not self.site.ranges:
            return 0
        if self.headers.get("If-Range", etag_of(content)) != etag_of(content):
            return 0
        return int(wanted.removeprefix("bytes=").partition("-")[0])

    def _head(self, trouble: Trouble, status: int, headers: dict[str, str]) -> None:
        if trouble.head_drip:
            for byte in f"HTTP/1.1 {status} OK\r\nX-Slow: yes".encode():
                self.wfile.write(bytes([byte]))
                time.sleep(trouble.head_drip)
            self.wfile.write(b"\r\n")
        else:
            self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _send(self, body: bytes, trouble: Trouble) -> None:
        if trouble.drip:
            for byte in body:
                self._count(1)
                self.wfile.write(bytes([byte]))
                time.sleep(trouble.drip)
            return
        cut = trouble.break_after if trouble.break_after is not None else trouble.stall_after
        self._count(len(body[:cut]))
        self.wfile.write(body[:cut])
        if trouble.stall_after is not None:
            time.sleep(5.0)
        if cut is not None or trouble.announce:
            self.close_connection = True

    def _count(self, number: int) -> None:
        with self.site.lock:
            self.site.sent[self.path] = self.site.sent.get(self.path, 0) + number
        if self.site.on_sent is not None:
            self.site.on_sent(self.path, self.site.sent[self.path])


@contextlib.contextmanager
def serve_site() -> Iterator[LoopbackSite]:
    site = LoopbackSite()
    handler = type("Handler", (_Handler,), {"site": site})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    server.block_on_close = False
    server.handle_error = lambda *_: None  # a client that breaks off is what many tests are about
    site.server = server
    site.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
