"""Limits on the connections of a worker: their number, in total and by client, and their timeouts.

In each round of the event loop a few of their requests begin, with the clients taking turns.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from distingo.serving.http.access import Proxies, client_of

_A_ROUND = 4
"""Number of requests begun per round of the event loop, so that a client with many requests does not block others."""

_SECONDS_BETWEEN_CHECKS = 0.25
_LEAST_PROGRESS = 256 * 1024
"""Bytes of a response that a client must receive within `ConnectionLimits.write_timeout` seconds."""


class Starter:
    """Begins requests, those of a client in their order."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, deque[Callable[[], None]]] = OrderedDict()
        self._begun = 0
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self, client: str, begin: Callable[[], None], loop: asyncio.AbstractEventLoop) -> None:
        """Begin a request, now or in one of the next rounds.

        Args:
            client: The client that sent it.
            begin: Begins it.
            loop: The running event loop.
        """
        if self._begun == 0:
            self._loop = loop
            loop.call_soon(self._next_round)
        if self._begun < _A_ROUND and not self._waiting:
            self._begun += 1
            begin()
            return
        self._begun = max(1, self._begun)
        self._waiting.setdefault(client, deque()).append(begin)

    def _next_round(self) -> None:
        self._begun = 0
        while self._waiting and self._begun < _A_ROUND:
            client, queue = self._waiting.popitem(last=False)
            self._begun += 1
            begin = queue.popleft()
            if queue:
                self._waiting[client] = queue
            begin()
        if self._begun and self._loop is not None:
            self._loop.call_soon(self._next_round)


class Phase(Enum):
    """The state of a connection: what its client is doing."""

    IDLE = "idle"
    HEAD = "head"
    BODY = "body"
    WAITING = "waiting"


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """The limits of one worker.

    Attributes:
        header_timeout: Seconds in which a header must be complete, from the connection or its first byte.
        idle_timeout: Seconds after a response in which the next request must begin.
        body_timeout: Seconds in which a body must arrive, including its trailer.
        write_timeout: Seconds in which a client must receive a response, or 256 KB of it.
        most: Maximum number of connections.
        most_of_client: Maximum number of connections of one address; None for no limit.
        proxies: Addresses to which `most_of_client` does not apply.
    """

    header_timeout: float = 10.0
    idle_timeout: float = 20.0
    body_timeout: float = 30.0
    write_timeout: float = 30.0
    most: int = 900
    most_of_client: int | None = 100
    proxies: Proxies = Proxies(())  # noqa: RUF009 - holds nothing that changes


class Connection(Protocol):
    """The part of a connection that the watch uses.

    Attributes:
        transport: The transport to the client.
        loop: The event loop.
        phase: What the client is doing.
        since: When that began, by the event loop's clock.
        has_responded: Whether it has had a response.
    """

    transport: asyncio.Transport
    loop: asyncio.AbstractEventLoop
    phase: Phase
    since: float
    has_responded: bool

    @property
    def can_be_closed(self) -> bool:
        """Whether it can be closed for another connection without losing a request."""

    @property
    def write_stalled_since(self) -> float:
        """Time since which the client has received too little of its response."""

    def is_writing(self, now: float) -> bool:
        """Whether the client has not yet received all of its response."""

    def refuse(self, status: int, reason: str) -> None:
        """Respond without the application, and close the connection."""


class ConnectionWatch:
    """Closes connections that exceed their timeouts, or that make room for new ones.

    One check of all connections four times a second costs less than timers for each request.

    Attributes:
        limits: The limits.
        starter: Begins the requests.
    """

    def __init__(self, limits: ConnectionLimits) -> None:
        self.limits = limits
        self.starter = Starter()
        self._open: dict[Connection, str] = {}
        self._counts: Counter[str] = Counter()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, connection: Connection, address: str) -> str | None:
        """Add a new connection.

        Args:
            connection: The new connection.
            address: The client's address.

        Returns:
            The reason if it is refused, otherwise None.
        """
        client = client_of(address)
        self._open[connection] = client
        self._counts[client] += 1
        if self._timer is None:
            self._schedule(connection.loop)
        limits = self.limits
        few = limits.most_of_client
        if few is not None and self._counts[client] > few and not limits.proxies.contains(address):
            if not self._make_room(connection, client):
                return f"more than {few} connections of one address; close some"
        elif len(self._open) > limits.most and not self._make_room(connection, None):
            return "too many connections; try again soon"
        return None

    def remove(self, connection: Connection) -> None:
        """Remove a closed connection."""
        client = self._open.pop(connection, None)
        if client is None:
            return
        self._counts[client] -= 1
        if not self._counts[client]:
            del self._counts[client]
        if not self._open and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def abort_all(self) -> None:
        """Abort all connections, without writing the remaining data."""
        for connection in list(self._open):
            connection.transport.abort()

    def _make_room(self, new: Connection, client: str | None) -> bool:
        """Close the connection that has been idle longest, preferring the client with the most connections."""
        idle = [
            (self._counts[owner], -connection.since, connection)
            for connection, owner in self._open.items()
            if connection is not new and (client is None or owner == client) and connection.can_be_closed
        ]
        if idle:
            max(idle, key=lambda each: each[:2])[2].transport.abort()
        return bool(idle)

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = loop.call_later(_SECONDS_BETWEEN_CHECKS, self._check_all, loop)

    def _check_all(self, loop: asyncio.AbstractEventLoop) -> None:
        self._schedule(loop)
        now = loop.time()
        for connection in list(self._open):
            self._check(connection, now)

    def _check(self, connection: Connection, now: float) -> None:
        limits = self.limits
        if connection.is_writing(now):
            if now - connection.write_stalled_since > limits.write_timeout:
                connection.transport.abort()
            return
        if connection.transport.is_closing():
            return
        waited = now - connection.since
        if connection.phase is Phase.IDLE and waited > (
            limits.idle_timeout if connection.has_responded else limits.header_timeout
        ):
            connection.transport.close()
        elif connection.phase is Phase.HEAD and waited > limits.header_timeout:
            connection.refuse(408, f"the head was not complete after {limits.header_timeout:g} seconds; send it faster")
        elif connection.phase is Phase.BODY and waited > limits.body_timeout + 2:  # the route's own limit comes first
            connection.transport.abort()


class WriteMark:
    """The time since which a client has received too little of the written data."""

    def __init__(self) -> None:
        self.since = 0.0
        self._unsent = 0

    def update(self, unsent: int, now: float) -> bool:
        """Record the number of unsent bytes; returns whether there are any."""
        if not unsent:
            self._unsent = 0
        elif not self._unsent or self._unsent - unsent >= _LEAST_PROGRESS:
            self._unsent, self.since = unsent, now
        elif unsent > self._unsent:
            self._unsent = unsent
        return bool(unsent)
