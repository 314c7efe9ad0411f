"""A connection that notices servers that stall, or that send more than they say."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import time
from typing import Any

from httpcore2 import NetworkStream, ReadTimeout

_LONGEST_HEAD = 1 << 17
_BLANK_LINE = re.compile(rb"\r?\n\r?\n")


class WatchedStream(NetworkStream):
    """A connection that must deliver in time, and that counts what it delivers.

    A timeout per read would let a server send one byte a minute for ever: the time runs on until `satisfy`.
    """

    def __init__(self, stream: NetworkStream) -> None:
        """Watch a stream."""
        self._stream = stream
        self._until: float | None = None
        self._received = 0
        self._head = b""

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Wait for bytes, but no longer than `timeout` seconds since the request or `satisfy`."""
        if timeout is not None:
            now = time.monotonic()
            self._until = self._until or now + timeout
            timeout = self._until - now
            if timeout <= 0:
                raise ReadTimeout("timed out")
        data = self._stream.read(max_bytes, timeout)
        self._received += len(data)
        if len(self._head) < _LONGEST_HEAD:
            self._head += data
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send a request, and begin to count its answer."""
        self._received, self._head, self._until = 0, b"", None
        self._stream.write(buffer, timeout)

    def satisfy(self) -> None:
        """Start the time anew: something of what was asked for has come."""
        self._until = None

    def surplus(self, length: int) -> int:
        """How many bytes came after an answer whose body has `length` bytes (and is not in chunks)."""
        start = 0
        while blank := _BLANK_LINE.search(self._head, start):
            informational = re.match(rb"HTTP/1\.\d 1\d\d", self._head[start:])
            start = blank.end()
            if not informational:
                break
        waiting = bool(self._stream.get_extra_info("is_readable")) and bool(self._peek())
        return max(0, self._received - start - length) + waiting

    def _peek(self) -> bytes:
        try:
            return self._stream.read(1, 0.01)
        except Exception:
            return b""  # a connection that is gone has no more to say

    def close(self) -> None:
        """Close the connection; a thread that waits for bytes from it wakes up."""
        with contextlib.suppress(OSError):
            self._stream.get_extra_info("socket").shutdown(socket.SHUT_RDWR)
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> NetworkStream:
        """Encrypt the connection; the encrypted one is watched alike."""
        return WatchedStream(self._stream.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        """As of the stream below."""
        return self._stream.get_extra_info(info)
