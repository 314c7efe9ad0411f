"""Threads that take turns: between clients, between a client's requests, and then in the order of coming.

Of the clients that wait, the one comes next whose last turn ended longest ago, as in round-robin fair queueing (Nagle,
*On Packet Switches with Infinite Storage*, RFC 970, 1985). One that had nothing waiting keeps its rank in that order,
so that a client which sends one image after another is not behind one that sends hundreds at once; and no client that
comes later overtakes one that waits already, however new it is.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from queue import SimpleQueue

_log = logging.getLogger("distingo.serving")
_CLIENTS_KNOWN = 4096
"""Clients whose last turn is remembered; one that had its turn before all of these counts as new."""


@dataclass(eq=False, slots=True)
class Share:
    """One request's part of the decoding.

    Attributes:
        client: That its time is counted for.
        seconds: Spent so far on what is no ordinary image.
        came: When the request was taken in, by `time.monotonic`.
    """

    client: str = ""
    seconds: float = 0.0
    came: float = field(default_factory=time.monotonic)


@dataclass(eq=False, slots=True)
class Job:
    """Something to be done.

    Attributes:
        share: Whose turn it takes.
        work: Done by a thread of the pool.
    """

    share: Share
    work: Callable[[], None]


class TurnPool:
    """Threads that do jobs, fairly.

    Args:
        threads: How many.
        name: Of the threads.
        begin: Called by each thread first.
        of_client: Jobs of one client at once; None sets no limit.
        most: Jobs that wait, at most.
        most_of_client: Jobs of one client that wait, at most.
    """

    def __init__(
        self,
        threads: int,
        name: str,
        *,
        begin: Callable[[], None] | None = None,
        of_client: int | None = None,
        most: int | None = None,
        most_of_client: int | None = None,
    ) -> None:
        self._begin = begin
        self._of_client = of_client
        self._most = most
        self._most_of_client = most_of_client
        self._threads = threads
        self._lock = threading.Lock()
        self._calls: SimpleQueue[None] = SimpleQueue()
        self._queues: dict[str, OrderedDict[Share, deque[Job]]] = {}
        self._turn = 0
        self._came: dict[str, int] = {}
        self._last: OrderedDict[str, int] = OrderedDict()
        self._waiting: Counter[str] = Counter()
        self._running: Counter[str] = Counter()
        self._closed = False
        for number in range(threads):
            threading.Thread(target=self._run, name=f"{name}-{number}", daemon=True).start()

    def submit(self, job: Job) -> bool:
        """Queue a job; False where too many wait."""
        client = job.share.client
        with self._lock:
            if self._most is not None and self._waiting.total() >= self._most:
                return False
            if self._most_of_client is not None and self._waiting[client] >= self._most_of_client:
                return False
            if client not in self._queues:
                self._queues[client] = OrderedDict()
                self._came[client] = self._turn
            self._queues[client].setdefault(job.share, deque()).append(job)
            self._waiting[client] += 1
        self._calls.put(None)
        return True

    def cancel(self, job: Job) -> bool:
        """Take a job back; False where it was begun."""
        with self._lock:
            requests = self._queues.get(job.share.client, OrderedDict())
            queue = requests.get(job.share)
            if queue is None or job not in queue:
                return False
            queue.remove(job)
            self._tidy(job.share)
        return True

    def close(self) -> None:
        """Begin nothing more; the threads end by themselves."""
        with self._lock:
            self._closed = True
            self._queues.clear()
            self._came.clear()
            self._waiting.clear()
        for _ in range(self._threads):
            self._calls.put(None)

    def _tidy(self, share: Share) -> None:
        """Count one job less, and forget what is empty."""
        self._waiting[share.client] -= 1
        requests = self._queues[share.client]
        if not requests[share]:
            del requests[share]
        if not requests:
            del self._queues[share.client]
            del self._came[share.client]
            del self._waiting[share.client]

    def _next(self) -> Job | None:
        """The job whose turn it is, taken out; the lock is held."""
        for client in sorted(self._queues, key=self._rank):
            requests = self._queues[client]
            if self._of_client is not None and self._running[client] >= self._of_client:
                continue
            share, queue = next(iter(requests.items()))
            job = queue.popleft()
            requests.move_to_end(share)
            self._note_turn(client)
            self._tidy(share)
            return job
        return None

    def _rank(self, client: str) -> tuple[int, int]:
        """The least comes first: when a client came or had its last turn, whichever is later, then the last turn."""
        last = self._last.get(client, -1)
        return max(self._came[client], last), last

    def _note_turn(self, client: str) -> None:
        """A turn of a client began or ended."""
        self._turn += 1
        self._last[client] = self._turn
        self._last.move_to_end(client)
        if len(self._last) > _CLIENTS_KNOWN:
            self._last.popitem(last=False)

    def _run(self) -> None:
        if self._begin is not None:
            self._begin()
        while True:
            self._calls.get()
            with self._lock:
                if self._closed:
                    return
                job = self._next()
                if job is None:
                    continue
                if self._of_client is not None:
                    self._running[job.share.client] += 1
            try:
                job.work()
            except Exception as error:
                _log.error("a job failed", exc_info=error)
            if self._of_client is not None:
                self._end(job)
            del job  # it may hold a whole upload, and the next one may not come for long

    def _end(self, job: Job) -> None:
        """Count a job's end as a turn, and call for those that waited for it."""
        with self._lock:
            self._running[job.share.client] -= 1
            if not self._running[job.share.client]:
                del self._running[job.share.client]
            self._note_turn(job.share.client)
            waiting = min(self._threads, self._waiting.total())
        for _ in range(waiting):
            self._calls.put(None)
