"""Dynamic batching: images of concurrent requests are decoded by several threads and scored together by one."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeVar

import numpy as np

from distingo.prediction.naming import ModelOutput
from distingo.serving.http.access import RefusedError, free_frames
from distingo.serving.images import RequestImage
from distingo.serving.turns import Job, Share, TurnPool

_Result = TypeVar("_Result")


class Watcher(Protocol):
    """A listener that is notified of every batch."""

    def on_batch(self, images: int, seconds: float, waited: float) -> None:
        """Handle the end of a batch.

        Args:
            images: Number of images in the batch.
            seconds: Time to score it.
            waited: Total time that its decoded images waited for it, in seconds.
        """


@dataclass(frozen=True, slots=True)
class Later:
    """An image that another pool decodes, since it may be expensive.

    Attributes:
        pool: The pool that decodes it.
        decode: Decodes it to a row; called by a thread of the pool with the request's share.
        full: The refusal of the image if the pool's queue is full.
    """

    pool: TurnPool
    decode: Callable[[Share], np.ndarray]
    full: RefusedError


@dataclass(eq=False, slots=True)
class _Entry:
    """An image in the batcher, and the future that is resolved once it is scored or refused."""

    answer: asyncio.Future[RequestImage]
    image: RequestImage | None
    decode: Callable[[Share], np.ndarray] | None = None
    error: Exception | None = None
    since: float = 0.0
    job: Job | None = None
    pool: TurnPool | None = None
    deferred: bool = False


@dataclass(slots=True)
class _State:
    ready: deque[_Entry] = field(default_factory=deque)
    arriving: int = 0
    deferred: int = 0
    closed: bool = False

    @property
    def is_done(self) -> bool:
        """Whether the batcher is closed and no image is being decoded."""
        return self.closed and not self.arriving and not self.deferred


class Batcher:
    """Scores images in batches.

    A decoded image waits only while other images are being decoded, and at most `max_wait` seconds; otherwise it is
    scored immediately. While one batch is being scored, the next one is collected. No image waits for images that
    another pool decodes (`Later`).

    Args:
        decode: Decodes an image to a row of the model's input, or returns a `Later` if another pool is to decode it.
        evaluate: Scores rows of shape (n, *row); called by one thread only.
        decoders: The threads that decode ordinary images.
        max_wait: Longest time that a decoded image waits for others, in seconds.
        max_batch: Largest number of images in a batch.
        watcher: Notified of every batch.
    """

    def __init__(
        self,
        decode: Callable[[RequestImage], np.ndarray | Later],
        evaluate: Callable[[np.ndarray], ModelOutput],
        decoders: TurnPool,
        *,
        max_wait: float,
        max_batch: int,
        watcher: Watcher,
    ) -> None:
        self._decode = decode
        self._predict_rows = evaluate
        self._decoders = decoders
        self._max_wait = max_wait
        self._max_batch = max_batch
        self._watcher = watcher
        self._state = _State()
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="scoring", daemon=True)
        self._thread.start()

    def submit(self, image: RequestImage, share: Share) -> asyncio.Future[RequestImage]:
        """Queue an image; must be called on the event loop.

        Args:
            image: The image with its content.
            share: The request's share of the decoding.

        Returns:
            A future that resolves to the scored or refused image, or to the exception that decoding or scoring raised.
            Cancelling it removes the image from the queue, unless it is already being scored.
        """
        entry = _Entry(asyncio.get_running_loop().create_future(), image)
        entry.job, entry.pool = Job(share, lambda: self._decode_first(entry, share)), self._decoders
        with self._changed:
            self._state.arriving += 1
        self._decoders.submit(entry.job)
        entry.answer.add_done_callback(lambda answer: self._drop(entry) if answer.cancelled() else None)
        return entry.answer

    @property
    def is_alive(self) -> bool:
        """Whether the scoring thread is still running."""
        return self._thread.is_alive()

    def close(self) -> None:
        """Accept no more images; the thread ends once those already queued are scored."""
        with self._changed:
            self._state.closed = True
            self._changed.notify_all()

    def _drop(self, entry: _Entry) -> None:
        """Remove an image whose client has disconnected."""
        job, pool = entry.job, entry.pool
        entry.image = entry.decode = None
        if pool is not None and job is not None and pool.cancel(job):
            self._finish(entry, None)

    def _decode_first(self, entry: _Entry, share: Share) -> None:
        """Decode an ordinary image, or queue it in the pool that decodes expensive ones."""
        image = entry.image
        outcome = None if image is None else _outcome(lambda: self._decode(image))
        if not isinstance(outcome, Later):
            self._finish(entry, outcome)
            return
        with self._changed:
            self._state.arriving -= 1
            self._state.deferred += 1
            entry.deferred = True
            self._changed.notify_all()
        entry.decode = outcome.decode
        entry.job, entry.pool = Job(share, lambda: self._decode_later(entry, share)), outcome.pool
        if not outcome.pool.submit(entry.job):
            self._finish(entry, outcome.full)

    def _decode_later(self, entry: _Entry, share: Share) -> None:
        decode, entry.decode = entry.decode, None
        if decode is None or entry.answer.cancelled():
            self._finish(entry, None)
        else:
            self._finish(entry, _outcome(lambda: decode(share)))

    def _finish(self, entry: _Entry, outcome: np.ndarray | Exception | None) -> None:
        """Record that an image is no longer being decoded: its row is ready, or it was refused or dropped."""
        entry.job = entry.pool = entry.decode = None  # breaks the reference cycle between job and entry
        image = entry.image
        if isinstance(outcome, RefusedError):
            entry.image = None if image is None else replace(image, refusal=outcome)
        elif isinstance(outcome, Exception):
            entry.error = outcome
        with self._changed:
            if entry.deferred:
                self._state.deferred -= 1
            else:
                self._state.arriving -= 1
            if isinstance(outcome, np.ndarray) and image is not None:
                entry.image = replace(image, row=outcome)
                entry.since = time.perf_counter()
                self._state.ready.append(entry)
            self._changed.notify_all()
        if isinstance(outcome, Exception):
            _resolve([entry])

    def _run(self) -> None:
        while batch := self._take():
            self._score(batch)
            del batch  # it may hold whole uploads, and the next batch may come much later

    def _take(self) -> list[_Entry]:
        """Wait for the next batch; empty once the batcher is closed and everything is scored."""
        state = self._state
        with self._changed:
            while True:
                while not state.ready and not state.is_done:
                    self._changed.wait()
                deadline = time.monotonic() + self._max_wait
                while state.arriving and len(state.ready) < self._max_batch:
                    left = deadline - time.monotonic()
                    if left <= 0 or not self._changed.wait(left):
                        break
                entries = [state.ready.popleft() for _ in range(min(self._max_batch, len(state.ready)))]
                batch = [entry for entry in entries if not entry.answer.cancelled()]
                if batch or (state.is_done and not state.ready):
                    return batch

    def _score(self, batch: list[_Entry]) -> None:
        began = time.perf_counter()
        decoded = [(entry, image, image.row) for entry in batch if (image := entry.image) and image.row is not None]
        if not decoded:
            return  # all clients have disconnected meanwhile
        evaluated = _outcome(lambda: self._predict_rows(np.stack([row for _, _, row in decoded])))
        while decoded:  # emptied, since the traceback of an error refers to this frame
            entry, image, _ = decoded.pop()
            at = len(decoded)
            if isinstance(evaluated, Exception):
                entry.error = evaluated
            else:
                is_ood = None if evaluated.is_ood is None else bool(evaluated.is_ood[at])
                entry.image = replace(image, row=None, probabilities=evaluated.probabilities[at], is_ood=is_ood)
            del image, _
        waited = sum(began - entry.since for entry in batch)
        self._watcher.on_batch(len(batch), time.perf_counter() - began, waited)
        _resolve(batch)


def _outcome(work: Callable[[], _Result]) -> _Result | Exception:
    """Return the result of `work` or the exception it raises, without the local variables that its frames hold."""
    try:
        return work()
    except Exception as error:
        error.__traceback__ = None if error.__traceback__ is None else error.__traceback__.tb_next
        free_frames(error)
        return error


def _resolve(batch: list[_Entry]) -> None:
    """Set the results of a batch's futures, waking the event loop only once."""

    def resolve() -> None:
        for entry in batch:
            image, entry.image = entry.image, None
            if entry.answer.done():
                continue
            if entry.error is not None:
                entry.answer.set_exception(entry.error)
            elif image is not None:
                entry.answer.set_result(image)

    try:
        batch[0].answer.get_loop().call_soon_threadsafe(resolve)
    except RuntimeError:
        return  # the event loop has ended, so no client is waiting
