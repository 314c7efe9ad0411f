"""From uploads to verdicts: places, batches, clients that go away."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
from fastapi import Request

from distingo.prediction.naming import Judged
from distingo.serving.asking import Upload
from distingo.serving.batching import Later
from distingo.serving.bodies import BodyReader
from distingo.serving.clients import client_of
from distingo.serving.explaining import Explainer
from distingo.serving.metrics import Metrics
from distingo.serving.places import Places
from distingo.serving.refusals import RefusedError
from distingo.serving.refused import free_frames
from distingo.serving.served import ServedModel, ServedModels
from distingo.serving.settings import ServeSettings
from distingo.serving.turns import Share

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
