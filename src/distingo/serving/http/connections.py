"""All connections of one worker: how many there may be, of which clients, and how long each may take.

Of the requests that come on them, a few begin in each round of the event loop, the clients in turn.
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
"""Requests begun between two reads of the network: a client that floods the server holds others up no longer."""

_SECONDS_BETWEEN_CHECKS = 0.25
_LEAST_PROGRESS = 256 * 1024
"""Bytes of an answer that a client takes at least in each span of `ConnectionLimits.write_timeout` seconds."""


class Starter:
    """Begins requests, each client's in the order of coming."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, deque[Callable[[], None]]] = OrderedDict()
        self._begun = 0
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self, client: str, begin: Callable[[], None], loop: asyncio.AbstractEventLoop) -> None:
        """Begin a request, now or in one of the next rounds.

        Args:
            client: That sent it.
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
    """What a connection's client does."""

    IDLE = "idle"
    HEAD = "head"
    BODY = "body"
    WAITING = "waiting"


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Of one worker.

    Attributes:
        header_timeout: Seconds in which a head must be complete, from the connection or its first byte on.
        idle_timeout: Seconds after an answer in which the next request must begin.
        body_timeout: Seconds in which a body must have come, trailer included.
        write_timeout: Seconds in which a client must have taken its answer, or 256 KB of it.
        most: Connections at once.
        most_of_client: Connections of one address at once; None sets no limit.
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
    """What the watch needs of a connection.

    Attributes:
        transport: To its client.
        loop: The event loop.
        phase: What the client does.
        since: When that began, by the event loop's clock.
        has_responded: Whether a request was answered on it.
    """

    transport: asyncio.Transport
    loop: asyncio.AbstractEventLoop
    phase: Phase
    since: float
    has_responded: bool

    @property
    def can_be_closed(self) -> bool:
        """Whether nothing is lost if it ends for the sake of another."""

    @property
    def write_stalled_since(self) -> float:
        """Since when the client has taken too little of its answer."""

    def is_writing(self, now: float) -> bool:
        """Whether something is still to be taken by the client."""

    def refuse(self, status: int, reason: str) -> None:
        """Answer without the application, and end the connection."""


class ConnectionWatch:
    """Ends connections that take too long, and makes room for new ones.

    One check of all of them four times a second costs less than timers of each request, and holds whatever a client
    sends in between.

    Attributes:
        limits: Of all connections.
        starter: Begins the requests that come on them.
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
            connection: The new one.
            address: Of its client.

        Returns:
            Why there is no room for it; None where there is.
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
        """Remove a connection that has ended."""
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
        """End all connections at once, whatever is still to be written."""
        for connection in list(self._open):
            connection.transport.abort()

    def _make_room(self, new: Connection, client: str | None) -> bool:
        """End the connection that has been idle longest, first of the client that has the most of them."""
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
    """Since when a client has taken too little of what is written to it."""

    def __init__(self) -> None:
        self.since = 0.0
        self._unsent = 0

    def update(self, unsent: int, now: float) -> bool:
        """Note how many bytes wait to be taken; whether any do."""
        if not unsent:
            self._unsent = 0
        elif not self._unsent or self._unsent - unsent >= _LEAST_PROGRESS:
            self._unsent, self.since = unsent, now
        elif unsent > self._unsent:
            self._unsent = unsent
        return bool(unsent)
