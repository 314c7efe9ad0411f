"""A thread pool that schedules jobs fairly between clients and between the requests of a client.

Among the waiting clients, the one whose last turn ended longest ago is next, as in round-robin fair queueing (Nagle,
*On Packet Switches with Infinite Storage*, RFC 970, 1985). A client keeps its rank while it has no jobs, so that one
that sends images one by one does not have to wait for one that sends hundreds at once. A client that arrives later
never overtakes one that is already waiting, even if it is new.
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
_MOST_CLIENTS = 4096
"""Number of clients whose last turn is remembered; a client that was forgotten counts as new."""


@dataclass(eq=False, slots=True)
class Share:
    """One request's share of the decoding.

    Attributes:
        client: The client that sent the request.
        seconds: Seconds spent so far on decoding images that are not ordinary.
        came: When the request was accepted, by `time.monotonic`.
    """

    client: str = ""
    seconds: float = 0.0
    came: float = field(default_factory=time.monotonic)


@dataclass(eq=False, slots=True)
class Job:
    """A job for a thread of the pool.

    Attributes:
        share: The request that the job belongs to.
        work: The function to call.
    """

    share: Share
    work: Callable[[], None]


class TurnPool:
    """A thread pool that schedules jobs fairly between clients.

    Args:
        threads: Number of threads.
        name: Prefix of the threads' names.
        begin: Called by each thread when it starts.
        of_client: Largest number of jobs of one client that run at the same time; None sets no limit.
        most: Largest number of waiting jobs; None sets no limit.
        most_of_client: Largest number of waiting jobs of one client; None sets no limit.
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
        """Queue a job; returns False if too many are waiting."""
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
        """Remove a waiting job; returns False if it has already started."""
        with self._lock:
            requests = self._queues.get(job.share.client, OrderedDict())
            queue = requests.get(job.share)
            if queue is None or job not in queue:
                return False
            queue.remove(job)
            self._tidy(job.share)
        return True

    def close(self) -> None:
        """Drop all waiting jobs; each thread ends after its current job."""
        with self._lock:
            self._closed = True
            self._queues.clear()
            self._came.clear()
            self._waiting.clear()
        for _ in range(self._threads):
            self._calls.put(None)

    def _tidy(self, share: Share) -> None:
        """Count one waiting job less, and remove empty queues."""
        self._waiting[share.client] -= 1
        requests = self._queues[share.client]
        if not requests[share]:
            del requests[share]
        if not requests:
            del self._queues[share.client]
            del self._came[share.client]
            del self._waiting[share.client]

    def _next(self) -> Job | None:
        """Remove and return the job whose turn it is; the caller must hold the lock."""
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
        """Sort key, smallest first: when the client arrived or had its last turn, whichever is later; ties by turn."""
        last = self._last.get(client, -1)
        return max(self._came[client], last), last

    def _note_turn(self, client: str) -> None:
        """Record that a turn of a client began or ended."""
        self._turn += 1
        self._last[client] = self._turn
        self._last.move_to_end(client)
        if len(self._last) > _MOST_CLIENTS:
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
            del job  # it may hold a whole upload, and the next job may come much later

    def _end(self, job: Job) -> None:
        """Record the end of a job as a turn, and wake threads for the jobs that waited for it."""
        with self._lock:
            self._running[job.share.client] -= 1
            if not self._running[job.share.client]:
                del self._running[job.share.client]
            self._note_turn(job.share.client)
            waiting = min(self._threads, self._waiting.total())
        for _ in range(waiting):
            self._calls.put(None)
