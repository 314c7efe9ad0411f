"""Which request is begun next: a few in each round of the event loop, the clients in turn."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable

_A_ROUND = 4
"""Requests begun between two looks at the network: what one client floods us with holds others up no longer."""


class Starter:
    """Begins requests, each client's in the order of coming."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, deque[Callable[[], None]]] = OrderedDict()
        self._begun = 0
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self, client: str, begin: Callable[[], None], loop: asyncio.AbstractEventLoop) -> None:
        """Begin a request, now or in one of the next rounds.

        Args:
            client: Whose it is.
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
