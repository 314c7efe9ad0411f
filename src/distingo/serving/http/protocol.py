"""HTTP connections with limits: on each head's, trailer's and answer's size and time, and on how many there are."""

from __future__ import annotations

import asyncio
import contextlib
import re
from http import HTTPStatus
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from distingo.serving.http.access import RETRY_SECONDS, client_of, error_body
from distingo.serving.http.connections import ConnectionLimits, ConnectionWatch, Phase, WriteMark

_MOST_HEAD_BYTES = 64 * 1024
"""Of a head, a trailer or a chunk's extensions: bytes of which no part is a body."""

_MOST_HEADERS = 100
_PIECE = 1024
_BODY_PIECE = 64 * 1024
_MOST_UNREAD = 64 * 1024
"""Bytes of further requests that are kept while one is being answered; then reading waits."""

_HOST = re.compile(rb"([\w.~!$&'()*+,;=%-]*|\[[\da-fA-F:.]+\])(:\d*)?", re.ASCII)

_ONLY_ONCE = frozenset(
    {
        b"host",
        b"content-length",
        b"content-type",
        b"content-encoding",
        b"transfer-encoding",
        b"authorization",
        b"x-api-key",
        b"origin",
        b"sec-fetch-site",
    }
)
"""Headers that decide who is answered and what is read: of two, a proxy may believe one and the server the other."""


class LimitedProtocol(HttpToolsProtocol):
    """One connection: requests are parsed one after another, each once the one before it is answered.

    Attributes:
        watch: Over all connections of this worker.
        phase: What the client does.
        since: When that began, by the event loop's clock.
        has_responded: Whether a request was answered on it.
    """

    watch = ConnectionWatch(ConnectionLimits())

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.phase = Phase.IDLE
        self.since = self.loop.time()
        self.has_responded = False
        self._mark = WriteMark()
        self._unread = bytearray()
        self._feeding = False
        self._without_body = 0
        self._responding: RequestResponseCycle | None = None
        self._read_again: bytes | None = None

    @property
    def can_be_closed(self) -> bool:
        """Whether no request on it is complete, so that nothing is lost if it ends for the sake of another."""
        return self.phase in {Phase.IDLE, Phase.HEAD} and not self._is_answering

    @property
    def write_stalled_since(self) -> float:
        """Since when the client has taken too little of its answer."""
        return self._mark.since

    @property
    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def is_writing(self, now: float) -> bool:
        """Whether something is still to be taken by the client."""
        return self._mark.update(self.transport.get_write_buffer_size(), now)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection, unless there are too many."""
        super().connection_made(transport)
        reason = self.watch.add(self, self.client[0] if self.client else "")
        if reason is not None:
            self.refuse(503, reason)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self.watch.remove(self)
        self._unread.clear()
        self._drop_cycles()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """End the connection, at once where no request on it is complete or being sent."""
        if self.can_be_closed:
            self.transport.close()
        else:
            self.cycle.keep_alive = False

    def data_received(self, data: bytes) -> None:
        """Read on, as far as the earlier requests are answered."""
        if self.transport.is_closing():
            return
        if self._unread or self._feeding:
            self._unread += data
            self._feed_unread()
        elif (read := self._feed(data)) < len(data):
            self._set_aside(data[read:])

    def _feed_unread(self) -> None:
        """Parse what came too early."""
        if self._unread and not self._feeding:
            data = bytes(self._unread)
            self._unread.clear()
            if (read := self._feed(data)) < len(data):
                self._set_aside(data[read:])

    def _set_aside(self, data: bytes) -> None:
        self._unread[:0] = data
        if len(self._unread) > _MOST_UNREAD and not self.transport.is_closing():
            self.flow.pause_reading()

    def _feed(self, data: bytes) -> int:
        """Parse what has come, piece by piece, so that no more than a few answers are ever owed.

        Returns:
            How many bytes were parsed: all, unless requests are to be answered first or the connection has ended.
        """
        self._feeding = True
        at = 0
        try:
            while at < len(data) and self.phase is not Phase.WAITING and not self.transport.is_closing():
                piece = data[at : at + (_BODY_PIECE if self.phase is Phase.BODY else _PIECE)]
                self._without_body += len(piece)
                at += self._parse(piece)
                if self._without_body > _MOST_HEAD_BYTES:
                    self._refuse_length()
        finally:
            self._feeding = False
        return at

    def _parse(self, piece: bytes) -> int:
        """Parse some bytes.

        Returns:
            How many: all, or those up to the end of a head that asks for another protocol. That is ignored (RFC 9110,
            section 7.8): the parser takes what follows for that protocol and drops the body, so that a new one is given
            the same head without it.
        """
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(piece)
        except httptools.HttpParserUpgrade as upgrade:
            head, self._read_again = self._read_again, None
            if head is not None and not self.transport.is_closing():
                self.parser = _new_parser(self)
                self.parser.feed_data(head)
            return int(upgrade.args[0])
        except httptools.HttpParserError:
            self._read_again = None
            self.send_400_response("")
        return len(piece)

    def _refuse_length(self) -> None:
        if not self.transport.is_closing():
            self.refuse(431, f"a head or trailer of more than {_MOST_HEAD_BYTES:,} bytes; send shorter headers")

    def on_message_begin(self) -> None:
        """A head begins."""
        super().on_message_begin()
        self._enter(Phase.HEAD)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header came; a trailer is dropped, since nothing reads it and a proxy has not checked it."""
        if self.phase is Phase.HEAD:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is complete."""
        self._without_body = 0
        if self.transport.is_closing():
            return
        if len(self.headers) > _MOST_HEADERS:
            self.refuse(431, f"more than {_MOST_HEADERS} headers; send fewer")
        elif (fault := self._fault()) is not None:
            self.refuse(400, fault)
        elif self.parser.get_method() == b"CONNECT":
            self.refuse(501, "CONNECT asks for a proxy, which this server is not; send the request itself")
        elif self.parser.should_upgrade():
            self._read_again = self._head_without_upgrade()
        else:
            super().on_headers_complete()
            self._enter(Phase.BODY)

    def _head_without_upgrade(self) -> bytes:
        version = self.parser.get_http_version().encode("ascii")
        lines = [self.parser.get_method() + b" " + self.url + b" HTTP/" + version]
        lines += [name + b": " + value for name, value in self.headers if name != b"upgrade"]
        return b"\r\n".join([*lines, b"", b""])

    def _fault(self) -> str | None:
        """What makes a head ambiguous."""
        host, names = None, set()
        for name, value in self.headers:
            if name in _ONLY_ONCE:
                if name in names:
                    return f"the header {name.decode('ascii')} came more than once; send it once"
                names.add(name)
                host = value if name == b"host" else host
        if host is None:
            return None if self.parser.get_http_version() == "1.0" else "no Host header; send one"
        return None if _HOST.fullmatch(host) else "a Host header that is no name or address"

    def on_body(self, body: bytes) -> None:
        """A part of the body came."""
        self._without_body = 0
        if not self.transport.is_closing():
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The body is complete."""
        if self._read_again is not None:
            return
        self._without_body = 0
        self._enter(Phase.WAITING if self._is_answering else Phase.IDLE)
        if not self.transport.is_closing():
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """The answer is written: the next request begins."""
        self.has_responded = True
        super().on_response_complete()
        self._unset_keepalive_if_required()
        if self.transport.is_closing():
            return
        if not self._is_answering and self.phase is Phase.WAITING:
            self._enter(Phase.IDLE)
        self._feed_unread()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP."""
        del msg
        self.refuse(400, "this is no valid HTTP request")

    def refuse(self, status: int, reason: str) -> None:
        """Answer without the application, and end the connection; after an answer that has begun only end it."""
        if self.transport.is_closing():
            return
        owes_another = self.phase is not Phase.BODY or self.pipeline or (self.cycle and self.cycle.response_started)
        if self._is_answering and owes_another:
            self._drop_cycles()
            self.transport.close()
            return
        body = error_body(status, reason)
        head = (
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\nx-content-type-options: nosniff\r\nconnection: close\r\n"
        )
        if status == HTTPStatus.SERVICE_UNAVAILABLE:
            head += f"retry-after: {RETRY_SECONDS}\r\n"
        self._drop_cycles()
        self.transport.write(head.encode("ascii") + b"\r\n" + body)
        self.transport.close()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._responding = cycle

        def begin() -> None:
            if not cycle.disconnected:
                super(LimitedProtocol, self)._start_asgi_task(cycle, app)

        self.watch.starter.start(client_of(self.client[0] if self.client else ""), begin, self.loop)

    def _drop_cycles(self) -> None:
        """Mark answers whose client is gone: what is written to them goes nowhere, and is no fault to log."""
        self.pipeline.clear()
        for cycle in (self._responding, self.cycle):
            if cycle is not None and not cycle.response_complete:
                cycle.disconnected = True
                cycle.message_event.set()
        self.flow.resume_writing()

    def _enter(self, phase: Phase) -> None:
        self.phase = phase
        self.since = self.loop.time()


def _new_parser(protocol: LimitedProtocol) -> httptools.HttpRequestParser:
    """As uvicorn makes it: what follows a request that ends the connection is no fault."""
    parser = httptools.HttpRequestParser(protocol)
    with contextlib.suppress(AttributeError):  # httptools before 0.6.3
        parser.set_dangerous_leniencies(lenient_data_after_close=True)
    return parser


def limited_protocol(watch: ConnectionWatch) -> type[LimitedProtocol]:
    """A protocol for uvicorn that has limits, and refuses as JSON what exceeds them.

    Args:
        watch: Over the connections of this worker.
    """
    return type("LimitedProtocol", (LimitedProtocol,), {"watch": watch})
