"""From uploads to verdicts: places, batches, clients that go away.

How many pictures may be in the house at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
from fastapi import Request

from distingo.prediction.naming import Judged
from distingo.serving.answers import Explainer
from distingo.serving.asking import Upload
from distingo.serving.batching import Later
from distingo.serving.bodies import BodyReader
from distingo.serving.clients import client_of
from distingo.serving.metrics import Metrics
from distingo.serving.refused import RefusedError, free_frames
from distingo.serving.served import ServedModel, ServedModels
from distingo.serving.settings import ServeSettings
from distingo.serving.turns import Share


class Places:
    """A bounded number of places for pictures that are taken in and not answered yet.

    Args:
        most: How many there are.
        watch: Told how many are taken whenever that changes.
    """

    def __init__(self, most: int, watch: Callable[[int], object] = int) -> None:
        self._most = most
        self._watch = watch
        self.taken = 0

    def check(self) -> None:
        """Refuse a request before its body is read, where no place is left.

        Raises:
            RefusedError: All places are taken (503).
        """
        if self.taken >= self._most:
            raise RefusedError(503, "all places are taken; try again soon", closes=True)

    @contextmanager
    def hold(self, count: int) -> Iterator[Held]:
        """While the block lasts, hold places, as far as they are not given back before.

        Raises:
            RefusedError: There are not as many free (503).
        """
        if self.taken + count > self._most:
            raise RefusedError(503, "there is no place for so many pictures now; try again soon")
        held = Held(self, count)
        self.change(count)
        try:
            yield held
        finally:
            self.change(-held.count)
            held.count = 0

    def change(self, count: int) -> None:
        """Count places taken, or given back."""
        self.taken += count
        self._watch(self.taken)


class Held:
    """Places that one request holds.

    Attributes:
        count: How many.
    """

    def __init__(self, places: Places, count: int) -> None:
        self._places = places
        self.count = count

    def give_one(self, _answer: object = None) -> None:
        """Give one place back: its picture is done, whatever the request's others take."""
        if self.count:
            self.count -= 1
            self._places.change(-1)


Verdict = tuple[Judged, int]
"""What a model says about a batch, and a picture's place in it."""

MOST_EXPLAINED = 8
"""Pictures of one request that are explained, and explanations that may be waited for at once."""


class Judging:
    """What the routes share: models, limits and counts of one worker.

    Attributes:
        models: Those that are served.
        settings: Of the server.
        metrics: The counts.
        places: For pictures.
        bodies: Reads them.
    """

    def __init__(self, models: ServedModels, settings: ServeSettings) -> None:
        self.models = models
        self.settings = settings
        self.metrics: Metrics = models.metrics
        self.places = Places(settings.queue, self.metrics.waiting.set)
        self.bodies = BodyReader(settings.max_upload, settings.body_timeout)
        self._explainer = Explainer()
        self._explaining = ThreadPoolExecutor(1, "explaining")
        self._explanations = Places(MOST_EXPLAINED)

    async def judge(
        self, request: Request, model: ServedModel, looks: Sequence[Callable[[], np.ndarray | Later]]
    ) -> list[Verdict | RefusedError]:
        """Judge pictures together with those of other requests.

        Args:
            request: Whose body has been read; if its client goes away, its pictures are dropped.
            model: What judges.
            looks: One for each picture: decodes it to what the model looks at, or says who does.

        Returns:
            For each picture what the model says, or why it could not be judged.

        Raises:
            RefusedError: There is no place for so many, or the client went away.
        """
        share, began, succeeded = Share(_client_of(request)), time.perf_counter(), False
        try:
            with self.places.hold(len(looks)) as held:
                answers = [model.batcher.submit(look, share) for look in looks]
                for answer in answers:
                    answer.add_done_callback(held.give_one)
                with _cancelled_when_gone(request, answers):
                    verdicts = [await _settled(answer) for answer in answers]
            succeeded = not all(isinstance(verdict, RefusedError) for verdict in verdicts)
            return verdicts
        finally:
            model.counters.count_request(time.perf_counter() - began, succeeded=succeeded)

    async def judge_uploads(
        self, request: Request, model: ServedModel, uploads: Sequence[Upload]
    ) -> list[Verdict | RefusedError]:
        """`judge` for files as they were sent."""
        return await self.judge(request, model, [partial(model.look_at_bytes, upload.content) for upload in uploads])

    async def explain(self, model: ServedModel, upload: Upload, label: str) -> dict[str, Any] | None:
        """What speaks for a label in an upload that was judged.

        Raises:
            RefusedError: Too many explanations are being waited for (503).
        """
        with self._explanations.hold(1):
            work = partial(self._explain, model, upload, label)
            return await asyncio.get_running_loop().run_in_executor(self._explaining, work)

    def close(self) -> None:
        """End all threads."""
        self._explaining.shutdown(wait=False, cancel_futures=True)
        self.models.close()

    def _explain(self, model: ServedModel, upload: Upload, label: str) -> dict[str, Any] | None:
        image = model.decode(upload.content)
        return self._explainer.explain(model, image, label)


def _client_of(request: Request) -> str:
    return client_of(request.client.host if request.client else "")


async def _settled(answer: asyncio.Future[Verdict]) -> Verdict | RefusedError:
    try:
        return await answer
    except RefusedError as refusal:
        free_frames(refusal)
        return refusal


@contextlib.contextmanager
def _cancelled_when_gone(request: Request, answers: Sequence[asyncio.Future[Verdict]]) -> Iterator[None]:
    """While the block lasts, watch the connection: after a body that was read whole only its end can come."""

    def drop(_: object = None) -> None:
        for answer in answers:
            if not answer.cancel() and not answer.cancelled():
                answer.exception()  # else asyncio reports that nobody looked at it

    watch = asyncio.ensure_future(request.receive())
    watch.add_done_callback(drop)
    try:
        yield
    except asyncio.CancelledError:
        if not watch.done() or watch.cancelled():
            raise
        raise RefusedError(499, "the client went away") from None
    finally:
        watch.remove_done_callback(drop)
        watch.cancel()
        drop()
