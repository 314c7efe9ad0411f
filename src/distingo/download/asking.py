"""One address to one answer: redirects are followed within the rules, opt-outs honoured, refusals told apart.

What a server's headers say about use by machines: who opts out is left out, always.
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

from distingo.download.connections import Connections, WatchedStream, follow_redirect, origin_of, parse_address
from distingo.download.records import LastingError, Limits, PassingError

_ROBOTS = frozenset({"noai", "noimageai", "noindex", "noimageindex", "none"})

_AGENTS = frozenset({"", "*", "distingo"})

_DIRECTIVES_WITH_VALUES = frozenset({"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"})


def find_opt_out(headers: Iterable[tuple[str, str]]) -> str | None:
    """Find what forbids to gather a file for machine learning.

    Honoured are ``X-Robots-Tag`` with the directives that img2dataset honours (``noai``, ``noimageai``, ``noindex``,
    ``noimageindex``; ``none`` is short for noindex), for all or for ``distingo``, and ``tdm-reservation: 1``
    (W3C TDM Reservation Protocol).

    Args:
        headers: Names and values, in any case; a name may come several times.

    Returns:
        The header that says so, or None.
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
        if colon and name.strip() not in _DIRECTIVES_WITH_VALUES:  # an agent's name, for all that follow
            agent, directive = name.strip(), rest.strip()
        if agent in _AGENTS and directive in _ROBOTS:
            return directive
    return None


_REDIRECTS = {301, 302, 303, 307, 308}

_MOST_REDIRECTS = 10

_PASSING = {408, 425, 429}  # besides 500 and above


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answers when asked for a file.

    Attributes:
        url: The address that answered.
        status: 200, 206 or 416; everything else is an error by now.
        headers: By name in small letters; the last one where a name comes several times.
        response: With the body, which has not been read.
    """

    url: str
    status: int
    headers: dict[str, str]
    response: httpcore2.Response

    @property
    def stream(self) -> WatchedStream:
        """The connection that it comes by."""
        stream = self.response.extensions["network_stream"]
        assert isinstance(stream, WatchedStream)
        return stream

    @property
    def length(self) -> int | None:
        """How many bytes its body is announced to have, or None."""
        text = self.headers.get("content-length", "")
        plain = text.isdecimal() and len(text) < 19 and "transfer-encoding" not in self.headers
        return int(text) if plain else None


@contextmanager
def ask(connections: Connections, address: str, headers: dict[str, str], *, allow_private: bool) -> Iterator[Answer]:
    """Ask for a file.

    Args:
        connections: To ask through.
        address: Where it is.
        headers: Of the request.
        allow_private: Whether the address itself may be private; another one that a redirect leads to never may.

    Yields:
        The answer, good or partial.

    Raises:
        LastingError: The server does not give it, or it may not be taken.
        PassingError: The server is busy, or the network broken.
    """
    url = first = parse_address(address)
    private = allow_private
    with translated_errors():
        for _ in range(_MOST_REDIRECTS):
            private = private and origin_of(url) == origin_of(first)
            with ExitStack() as stack:
                answer = _get(stack, connections, url, headers, private=private)
                location = answer.headers.get("location", "")
                if not (answer.status in _REDIRECTS and location):
                    _check_status(answer)
                    yield answer
                    return
            url = follow_redirect(url, location)
    raise LastingError("refused", f"redirected more than {_MOST_REDIRECTS} times")


def _get(stack: ExitStack, connections: Connections, url: URL, headers: dict[str, str], *, private: bool) -> Answer:
    response = stack.enter_context(connections.get(url, headers, private=private))
    pairs = [(_text(name), _text(value)) for name, value in response.headers]
    if opt_out := find_opt_out(pairs):
        raise LastingError("refused", f"the server opts out ({opt_out})")
    return Answer(str(url), response.status, {name.lower(): value.strip() for name, value in pairs}, response)


def _text(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _check_status(answer: Answer) -> None:
    status = answer.status
    if status in {200, 206, 416}:
        return
    if status in _PASSING or status >= 500:
        raise PassingError(f"the server answers {status}", retry_after(answer.headers.get("retry-after", "")))
    raise LastingError("absent", f"the server answers {status}")


@contextmanager
def translated_errors() -> Iterator[None]:
    """The network's errors in a person's words.

    Raises:
        PassingError: For each of them.
    """
    try:
        yield
    except httpcore2.ConnectTimeout as error:
        raise PassingError("no connection in time") from error
    except httpcore2.TimeoutException as error:
        raise PassingError("the server sent nothing for too long") from error
    except httpcore2.ConnectError as error:
        raise PassingError(f"no connection ({_in_words(error)})") from error
    except (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.ProxyError) as error:
        raise PassingError(f"the connection broke ({_in_words(error)})") from error


def _in_words(error: Exception) -> str:
    """An error of the system without its number."""
    return re.sub(r"^\[Errno -?\d+\] ", "", str(error)) or type(error).__name__


def retry_after(text: str) -> float | None:
    """How many seconds a server asks us to wait (RFC 9110, 10.2.3: a number of seconds, or a date).

    Returns:
        0 or more; None where it says nothing that can be understood.
    """
    if text.strip().isdecimal():
        return float(text)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None


def waiting_time(attempts: int, limits: Limits, asked: float | None) -> float:
    """Seconds before the next attempt: doubling, give or take a half, and never less than the server asked for.

    Args:
        attempts: How many there have been; at least 1.
        limits: With the first waiting time.
        asked: By the server, or None.
    """
    wait = min(limits.backoff * 2.0 ** (attempts - 1), limits.longest_wait) * random.uniform(0.5, 1.5)
    return max(wait, asked or 0.0)
