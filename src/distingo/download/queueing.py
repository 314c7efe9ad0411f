"""Whose turn it is: many files at once, but few from one host, and none from a host that asked for patience."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Iterable

from distingo.download.records import WantedFile


class Turn:
    """A file's turn.

    Attributes:
        wanted: The file.
        host: The host it is asked from.
        attempts: How often it has been tried, this time included.
    """

    __slots__ = ("attempts", "host", "wanted")

    def __init__(self, wanted: WantedFile, host: str) -> None:
        self.wanted = wanted
        self.host = host
        self.attempts = 0


class HostQueue:
    """Files by host, for several threads. Every turn that is taken ends in `done` or `again`."""

    def __init__(self, turns: Iterable[Turn], per_host: int) -> None:
        """Line them up.

        Args:
            turns: One per file.
            per_host: How many of one host may be under way at once.
        """
        self._per_host = per_host
        self._waiting: defaultdict[str, deque[Turn]] = defaultdict(deque)
        for turn in turns:
            self._waiting[turn.host].append(turn)
        self._left = sum(len(line) for line in self._waiting.values())
        self._under_way: Counter[str] = Counter()
        self._open_hosts = deque(self._waiting)
        self._offered = set(self._waiting)
        self._held: dict[str, float] = {}
        self._later: list[tuple[float, int, str, Turn | None]] = []
        self._numbers = itertools.count()
        self._changed = threading.Condition()
        self._stopped = False

    def take(self) -> Turn | None:
        """The next file; waits for one where all that are left must wait. None when there are no more."""
        with self._changed:
            while self._left and not self._stopped:
                self._bring_back(time.monotonic())
                while self._open_hosts:
                    host = self._open_hosts.popleft()
                    self._offered.discard(host)
                    if turn := self._take_from(host):
                        return turn
                self._changed.wait(self._later[0][0] - time.monotonic() if self._later else None)
            return None

    def _take_from(self, host: str) -> Turn | None:
        until = self._held.get(host, 0.0)
        if until > time.monotonic():
            heapq.heappush(self._later, (until, next(self._numbers), host, None))
            return None
        self._held.pop(host, None)
        turn = self._waiting[host].popleft()
        turn.attempts += 1
        self._under_way[host] += 1
        self._offer(host)
        return turn

    def _bring_back(self, now: float) -> None:
        while self._later and self._later[0][0] <= now:
            _, _, host, turn = heapq.heappop(self._later)
            if turn is not None:
                self._waiting[host].append(turn)
            self._offer(host)

    def _offer(self, host: str) -> None:
        if host not in self._offered and self._waiting[host] and self._under_way[host] < self._per_host:
            self._open_hosts.append(host)
            self._offered.add(host)

    def done(self, turn: Turn) -> None:
        """A file has its outcome."""
        with self._changed:
            self._left -= 1
            self._leave(turn)

    def again(self, turn: Turn, wait: float, *, whole_host: bool) -> None:
        """Try a file again.

        Args:
            turn: The file.
            wait: Seconds until then.
            whole_host: Whether all files of that host wait so long.
        """
        with self._changed:
            until = time.monotonic() + wait
            if whole_host:
                self._held[turn.host] = max(until, self._held.get(turn.host, 0.0))
            heapq.heappush(self._later, (until, next(self._numbers), turn.host, turn))
            self._leave(turn)

    def _leave(self, turn: Turn) -> None:
        self._under_way[turn.host] -= 1
        self._offer(turn.host)
        self._changed.notify_all()

    def stop(self) -> None:
        """No more turns: `take` gives None to everybody."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stopped
