"""Pictures of concurrent requests judged together: decoded by several threads, judged by one."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import numpy as np

from distingo.prediction.naming import Judged
from distingo.serving.refused import RefusedError, free_frames
from distingo.serving.turns import Job, Share, TurnPool

_Found = TypeVar("_Found")


class Watcher(Protocol):
    """Learns of every batch."""

    def batch_judged(self, pictures: int, seconds: float, waited: float) -> None:
        """So many pictures were judged together in this time; all together they had waited so many seconds for it."""


@dataclass(frozen=True, slots=True)
class Later:
    """A picture that is not for the threads that decode ordinary ones.

    Attributes:
        pool: Decodes it in its turn.
        memory: Bytes that this may take.
        look: Decodes it; called by a thread of the pool with the request's share.
        full: What is raised where too many wait.
    """

    pool: TurnPool
    memory: int
    look: Callable[[Share], np.ndarray]
    full: RefusedError


@dataclass(eq=False, slots=True)
class _Item:
    """A picture on its way; `answer` is resolved on the event loop with the batch's verdict and its place in it.

    `look` holds the picture's file, and is taken out where it is called: a thread may know its last job for long.
    """

    answer: asyncio.Future[tuple[Judged, int]]
    look: Callable[[], np.ndarray | Later] | None = None
    row: np.ndarray | None = None
    error: Exception | None = None
    since: float = 0.0
    job: Job | None = None
    pool: TurnPool | None = None
    deferred: bool = False


@dataclass(slots=True)
class _State:
    ready: deque[_Item] = field(default_factory=deque)
    arriving: int = 0
    deferred: int = 0
    closed: bool = False


class Batcher:
    """Judges pictures in batches.

    A picture that is decoded while nothing else is on its way is judged at once. It waits, never longer than
    `max_wait`, only while others are being decoded; while a batch is being judged, the next one gathers. For those
    that are decoded elsewhere (`Later`) nobody waits.

    Args:
        judge: Rows (n, *row) to a verdict; called by one thread.
        decoders: Threads that decode ordinary pictures.
        max_wait: In seconds.
        max_batch: Pictures judged together at most.
        watcher: Told of every batch.
    """

    def __init__(
        self,
        judge: Callable[[np.ndarray], Judged],
        decoders: TurnPool,
        *,
        max_wait: float,
        max_batch: int,
        watcher: Watcher,
    ) -> None:
        self._judge = judge
        self._decoders = decoders
        self._max_wait = max_wait
        self._max_batch = max_batch
        self._watcher = watcher
        self._state = _State()
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="judging", daemon=True)
        self._thread.start()

    def submit(
        self, look: Callable[[], np.ndarray | Later], share: Share | None = None
    ) -> asyncio.Future[tuple[Judged, int]]:
        """Take a picture in; to be called on the event loop.

        Args:
            look: Decodes it to what the model looks at, or says who does; called by another thread.
            share: The request's part of the decoding; None counts as a request of its own.

        Returns:
            Resolves to the verdict on its batch and the picture's place in it, or to what `look` or `judge` raised.
            Cancelling it takes the picture out, unless it is being judged already.
        """
        item = _Item(asyncio.get_running_loop().create_future(), look)
        of = share or Share()
        item.job, item.pool = Job(of, lambda: self._decode(item, of)), self._decoders
        with self._changed:
            self._state.arriving += 1
        self._decoders.submit(item.job)
        item.answer.add_done_callback(lambda answer: self._forget(item) if answer.cancelled() else None)
        return item.answer

    @property
    def is_alive(self) -> bool:
        """Whether the thread that judges still runs."""
        return self._thread.is_alive()

    def close(self) -> None:
        """Take nothing more in; what is in already is still judged, then the thread ends."""
        with self._changed:
            self._state.closed = True
            self._changed.notify_all()

    def _forget(self, item: _Item) -> None:
        job, pool = item.job, item.pool
        if pool is not None and job is not None and pool.cancel(job):
            item.look = None
            self._count_out(item)

    def _count_out(self, item: _Item) -> None:
        """One picture less is on its way; it is ready where it has its row."""
        item.job = item.pool = None  # the job knows the item: nothing is to wait for the garbage collector
        with self._changed:
            if item.deferred:
                self._state.deferred -= 1
            else:
                self._state.arriving -= 1
            if item.row is not None:
                item.since = time.perf_counter()
                self._state.ready.append(item)
            self._changed.notify_all()
        if item.error is not None:
            _resolve([item], None)

    def _decode(self, item: _Item, share: Share) -> None:
        look, item.look = item.look, None
        if look is not None and not item.answer.cancelled():
            found = _outcome(look)
            if isinstance(found, Later):
                self._defer(item, found, share)
                return
            _put(item, found)
        self._count_out(item)

    def _defer(self, item: _Item, later: Later, share: Share) -> None:
        """Queue a picture where it is decoded in its turn."""

        def decode() -> None:
            look, item.look = item.look, None
            if look is not None and not item.answer.cancelled():
                _put(item, _outcome(look))
            self._count_out(item)

        with self._changed:
            self._state.arriving -= 1
            self._state.deferred += 1
            item.deferred = True
            self._changed.notify_all()
        look = later.look
        item.look = lambda: look(share)
        item.job, item.pool = Job(share, decode, later.memory), later.pool
        if not later.pool.submit(item.job):
            item.look = None
            item.error = later.full
            self._count_out(item)

    def _run(self) -> None:
        while batch := self._take():
            self._judge_batch(batch)

    def _take(self) -> list[_Item]:
        """The next batch, as soon as there is one; empty when all is done."""
        state = self._state
        with self._changed:
            while True:
                while not state.ready and not (state.closed and not state.arriving and not state.deferred):
                    self._changed.wait()
                deadline = time.monotonic() + self._max_wait
                while state.arriving and len(state.ready) < self._max_batch:
                    left = deadline - time.monotonic()
                    if left <= 0 or not self._changed.wait(left):
                        break
                taken = [state.ready.popleft() for _ in range(min(self._max_batch, len(state.ready)))]
                batch = [item for item in taken if not item.answer.cancelled()]
                if batch or (state.closed and not state.arriving and not state.deferred and not state.ready):
                    return batch

    def _judge_batch(self, batch: list[_Item]) -> None:
        began = time.perf_counter()
        rows = [item.row for item in batch if item.row is not None]
        judged = _outcome(lambda: self._judge(np.stack(rows)))
        for item in batch:
            item.row = None
            if isinstance(judged, Exception):
                item.error = judged
        waited = sum(began - item.since for item in batch)
        self._watcher.batch_judged(len(batch), time.perf_counter() - began, waited)
        _resolve(batch, None if isinstance(judged, Exception) else judged)


def _outcome(work: Callable[[], _Found]) -> _Found | Exception:
    """What work comes to; an error is returned without what its frames hold."""
    try:
        return work()
    except Exception as error:
        error.__traceback__ = None if error.__traceback__ is None else error.__traceback__.tb_next
        free_frames(error)
        return error


def _put(item: _Item, found: np.ndarray | Later | Exception) -> None:
    if isinstance(found, Exception):
        item.error = found
    elif isinstance(found, np.ndarray):
        item.row = found


def _resolve(batch: list[_Item], judged: Judged | None) -> None:
    """Wake the event loop once for the whole batch."""

    def tell() -> None:
        for place, item in enumerate(batch):
            if item.answer.done():
                continue
            if item.error is not None:
                item.answer.set_exception(item.error)
            elif judged is not None:
                item.answer.set_result((judged, place))

    try:
        batch[0].answer.get_loop().call_soon_threadsafe(tell)
    except RuntimeError:
        return  # the event loop has ended: nobody waits any more
