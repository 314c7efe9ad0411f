"""HTTP connections with limits: on the head's size and time, and on how many there are."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from distingo.serving.refusals import RETRY_SECONDS, as_json

_MOST_HEAD_BYTES = 64 * 1024
_MOST_HEADERS = 100
_MOST_CONNECTIONS = 900
"""Of one worker: below the 1,024 files that a process may commonly open."""


class LimitedProtocol(HttpToolsProtocol):
    """One connection.

    Attributes:
        header_timeout: Seconds in which a head must be complete, from the connection or its first byte on.
    """

    header_timeout = 10.0

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._head_timer: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        self._in_head = True

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection, unless there are too many."""
        super().connection_made(transport)
        if len(self.connections) > _MOST_CONNECTIONS:
            self._refuse(503, "too many connections; try again soon")
        else:
            self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._cancel_head_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on, as long as the head is no longer than it may be."""
        if self.transport.is_closing():
            return
        if self._in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head and self._head_bytes > _MOST_HEAD_BYTES and not self.transport.is_closing():
            self._refuse(431, f"a head of more than {_MOST_HEAD_BYTES:,} bytes; send shorter headers")

    def on_message_begin(self) -> None:
        """A head begins."""
        super().on_message_begin()
        self._in_head = True
        if self._head_timer is None:
            self._await_head()

    def on_headers_complete(self) -> None:
        """The head is complete."""
        self._in_head = False
        self._head_bytes = 0
        self._cancel_head_timer()
        if len(self.headers) > _MOST_HEADERS:
            self._refuse(431, f"more than {_MOST_HEADERS} headers; send fewer")
            return
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A part of the body came."""
        if not self.transport.is_closing():
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The body is complete."""
        if not self.transport.is_closing():
            super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP."""
        del msg
        self._refuse(400, "this is no valid HTTP request")

    def _await_head(self) -> None:
        self._head_timer = self.loop.call_later(self.header_timeout, self._head_is_late)

    def _head_is_late(self) -> None:
        if self._head_bytes:
            self._refuse(408, f"the head was not complete after {self.header_timeout:g} seconds; send it faster")
        else:
            self.transport.close()

    def _cancel_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _refuse(self, status: int, reason: str) -> None:
        self._cancel_head_timer()
        if self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete:
            self.transport.close()
            return
        body = as_json(status, reason)
        head = (
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\nx-content-type-options: nosniff\r\nconnection: close\r\n"
        )
        if status == HTTPStatus.SERVICE_UNAVAILABLE:
            head += f"retry-after: {RETRY_SECONDS}\r\n"
        self.transport.write(head.encode("ascii") + b"\r\n" + body)
        self.transport.close()


def limited_protocol(header_timeout: float) -> type[LimitedProtocol]:
    """A protocol for uvicorn that refuses slow, long and too many heads as JSON.

    Args:
        header_timeout: As `LimitedProtocol.header_timeout`.
    """
    return type("LimitedProtocol", (LimitedProtocol,), {"header_timeout": header_timeout})
