"""HTTP requests for files, with checked redirects, opt-out headers, and errors classified as temporary or permanent.

A file whose headers opt out of machine learning is never downloaded.
"""

from __future__ import annotations

import email.utils
import random
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import httpcore2
from httpx2 import URL

from distingo.download.connections import Connections, WatchedStream, follow_redirect, parse_address
from distingo.download.records import Limits, PermanentError, TemporaryError

_ROBOTS = frozenset({"noai", "noimageai", "noindex", "noimageindex", "none"})
_AGENTS = frozenset({"", "*", "distingo"})
_DIRECTIVES_WITH_VALUES = frozenset({"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"})

_REDIRECTS = {301, 302, 303, 307, 308}
_MAX_REDIRECTS = 10
_TEMPORARY = {408, 425, 429}  # in addition to 500 and above


def find_opt_out(headers: Iterable[tuple[str, str]]) -> str | None:
    """Find a header that forbids using a file for machine learning.

    These are ``X-Robots-Tag`` with the directives that img2dataset honors (``noai``, ``noimageai``, ``noindex``,
    ``noimageindex``, and ``none``, which includes ``noindex``), for all agents or for ``distingo``, and
    ``tdm-reservation: 1`` (W3C TDM Reservation Protocol).

    Args:
        headers: Pairs of name and value, in any case; names may be repeated.

    Returns:
        The header and its value, or None.
    """
    for name, value in headers:
        if name.lower() == "tdm-reservation" and value.strip() == "1":
            return "tdm-reservation: 1"
        if name.lower() == "x-robots-tag" and (directive := _forbidding(value)):
            return f"X-Robots-Tag: {directive}"
    return None


def _forbidding(value: str) -> str | None:
    agent = ""
    for part in value.lower().split(","):
        name, colon, rest = part.partition(":")
        directive = part.strip()
        if (
            colon and name.strip() not in _DIRECTIVES_WITH_VALUES
        ):  # an agent's name, which applies to all following directives
            agent, directive = name.strip(), rest.strip()
        if agent in _AGENTS and directive in _ROBOTS:
            return directive
    return None


@dataclass(frozen=True, slots=True)
class Response:
    """A server's response to the request for a file.

    Attributes:
        url: The URL of the response.
        status: 200, 206 or 416; other statuses raise an error.
        headers: Values by lowercase name; of repeated headers, the last one.
        body: The response, whose body has not been read.
    """

    url: str
    status: int
    headers: dict[str, str]
    body: httpcore2.Response

    @property
    def _stream(self) -> WatchedStream:
        stream = self.body.extensions["network_stream"]
        assert isinstance(stream, WatchedStream)
        return stream

    @property
    def length(self) -> int | None:
        """Announced length of the body in bytes, or None."""
        text = self.headers.get("content-length", "")
        plain = text.isdecimal() and len(text) < 19 and "transfer-encoding" not in self.headers
        return int(text) if plain else None

    @property
    def etag(self) -> str:
        """Strong validator of the complete file, or empty."""
        etag = self.headers.get("etag", "")
        return "" if etag.startswith("W/") else etag

    def chunks(self, limits: Limits) -> Iterator[bytes]:
        """Iterate over the chunks of the body.

        Raises:
            TemporaryError: The transfer is too slow.
        """
        since, count = time.monotonic(), 0
        for data in self.body.iter_stream():
            self._stream.satisfy()
            yield data
            count += len(data)
            seconds = time.monotonic() - since
            if seconds >= limits.stall_timeout:
                if count < limits.minimum_rate * seconds:
                    raise TemporaryError(f"the server sends {count / seconds:,.0f} bytes a second, which is too slow")
                since, count = time.monotonic(), 0

    def surplus(self) -> int:
        """Count the bytes beyond the announced length, which reveal a truncated file; if any, close the connection."""
        if self.length is None or not (more := self._stream.surplus(self.length)):
            return 0
        self._stream.close()  # the remaining bytes would be taken for the next response
        return more


@contextmanager
def request(
    connections: Connections, address: str, headers: dict[str, str], *, allow_private: bool
) -> Iterator[Response]:
    """Request a file, following redirects.

    Args:
        connections: The connections to use.
        address: The URL.
        headers: Headers of the request.
        allow_private: Whether the host of the URL may be private; other hosts that it redirects to may not.

    Yields:
        The complete or partial response. Network errors while its body is read are translated too.

    Raises:
        PermanentError: The file is not available, or must not be downloaded.
        TemporaryError: The server is busy, or the network failed.
    """
    url = first = parse_address(address)
    private = allow_private
    with _translated_errors():
        for _ in range(_MAX_REDIRECTS):
            private = private and _origin(url) == _origin(first)
            with ExitStack() as stack:
                response = _get(stack, connections, url, headers, private=private)
                location = response.headers.get("location", "")
                if not (response.status in _REDIRECTS and location):
                    _check_status(response)
                    yield response
                    return
            url = follow_redirect(url, location)
    raise PermanentError("refused", f"redirected more than {_MAX_REDIRECTS} times")


def _origin(url: URL) -> tuple[str, str, int]:
    return url.scheme, url.host, url.port or (443 if url.scheme == "https" else 80)


def _get(stack: ExitStack, connections: Connections, url: URL, headers: dict[str, str], *, private: bool) -> Response:
    response = stack.enter_context(connections.get(url, headers, private=private))
    pairs = [(_text(name), _text(value)) for name, value in response.headers]
    if opt_out := find_opt_out(pairs):
        raise PermanentError("refused", f"the server opts out ({opt_out})")
    return Response(str(url), response.status, {name.lower(): value.strip() for name, value in pairs}, response)


def _text(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _check_status(response: Response) -> None:
    status = response.status
    if status in {200, 206, 416}:
        return
    if status in _TEMPORARY or status >= 500:
        raise TemporaryError(f"the server answers {status}", retry_after(response.headers.get("retry-after", "")))
    raise PermanentError("absent", f"the server answers {status}")


@contextmanager
def _translated_errors() -> Iterator[None]:
    try:
        yield
    except httpcore2.ConnectTimeout as error:
        raise TemporaryError("no connection in time") from error
    except httpcore2.TimeoutException as error:
        raise TemporaryError("the server sent nothing for too long") from error
    except httpcore2.ConnectError as error:
        raise TemporaryError(f"no connection ({_without_number(error)})") from error
    except (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.ProxyError) as error:
        raise TemporaryError(f"the connection broke ({_without_number(error)})") from error


def _without_number(error: Exception) -> str:
    return re.sub(r"^\[Errno -?\d+\] ", "", str(error)) or type(error).__name__


def retry_after(text: str) -> float | None:
    """Parse the header ``Retry-After`` (RFC 9110, 10.2.3), a number of seconds or a date.

    Returns:
        The wait in seconds, 0 or more; None if the text is not valid.
    """
    if text.strip().isdecimal():
        return float(text)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None


def waiting_time(attempts: int, limits: Limits, requested_wait: float | None) -> float:
    """Compute the wait before the next attempt in seconds: exponential backoff with 50 % jitter.

    Args:
        attempts: Number of attempts so far, at least 1.
        limits: Limits with the initial wait and its maximum.
        requested_wait: Minimum wait that the server requested, or None.
    """
    wait = min(limits.backoff * 2.0 ** (attempts - 1), limits.longest_wait) * random.uniform(0.5, 1.5)
    return max(wait, requested_wait or 0.0)
