"""A Hugging Face hub on this machine: the layout of its addresses, its headers, and the ways it can go wrong."""

from __future__ import annotations

import contextlib
import hashlib
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class LoopbackHub:
    """What is served, what shall go wrong, and what was requested.

    Attributes:
        files: By repository and name.
        wrong: Bytes that are sent instead of a file's, by name; one entry a time.
        break_after: Close the connection after so many bytes; one entry per answer.
        failures: Status codes to answer with before anything works.
        gated: Repositories whose terms must be accepted first.
        asked: Every request: method, path and Range.
    """

    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    wrong: dict[str, list[bytes]] = field(default_factory=dict)
    break_after: list[int] = field(default_factory=list)
    failures: list[int] = field(default_factory=list)
    gated: set[str] = field(default_factory=set)
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    url: str = ""

    def ranges(self) -> list[str]:
        """The Range header of every GET."""
        return [wanted for method, _, wanted in self.asked if method == "GET"]


def etag_of(filename: str, content: bytes) -> str:
    if filename.endswith(".safetensors"):
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _handler(hub: LoopbackHub) -> type[BaseHTTPRequestHandler]:  # noqa: C901 one class, bound to one hub
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def do_GET(self) -> None:
            self._answer(with_body=True)

        def _answer(self, with_body: bool) -> None:
            hub.asked.append((self.command, self.path, self.headers.get("Range", "")))
            if hub.failures:
                return self._refuse(hub.failures.pop(0))
            found = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", self.path)
            if not found or found[1] not in hub.files:
                return self._refuse(404, "RepoNotFound")
            repository, _, name = found.groups()
            if repository in hub.gated:
                return self._refuse(403, "GatedRepo")
            if name not in hub.files[repository]:
                return self._refuse(404, "EntryNotFound")
            return self._send(name, hub.files[repository][name], with_body)

        def _refuse(self, status: int, code: str = "") -> None:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.send_header("X-Repo-Commit", COMMIT)
            if code:
                self.send_header("X-Error-Code", code)
            self.end_headers()

        def _send(self, name: str, content: bytes, with_body: bool) -> None:
            start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")[0])
            self.send_response(206 if start else 200)
            self.send_header("ETag", f'"{etag_of(name, content)}"')
            self.send_header("X-Repo-Commit", COMMIT)
            if name.endswith(".safetensors"):
                self.send_header("X-Linked-Etag", f'"{etag_of(name, content)}"')
                self.send_header("X-Linked-Size", str(len(content)))
            self.send_header("Accept-Ranges", "bytes")
            body = content
            if with_body and hub.wrong.get(name):
                body = hub.wrong[name].pop(0)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            self.send_header("Content-Length", str(len(body) - start))
            self.end_headers()
            if with_body:
                cut = hub.break_after.pop(0) if hub.break_after else len(body)
                self.wfile.write(body[start : start + cut])
                self.close_connection = start + cut < len(body)

    return Handler


@contextlib.contextmanager
def serve_hub() -> Iterator[LoopbackHub]:
    hub = LoopbackHub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub))
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
