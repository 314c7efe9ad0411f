"""The service shared by all routes of a worker: models, limits, slots for images, scoring and explanations."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import copy
import io
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from fastapi import Request
from PIL import Image

from distingo.errors import DistingoError, UsageError
from distingo.models.baselines import DescriptorClassifier
from distingo.prediction.predictor import Predictor
from distingo.serving.answers import Explanation, NeighborAnswer
from distingo.serving.http.access import RefusedError
from distingo.serving.http.bodies import BodyReader, client_of_request
from distingo.serving.images import RequestImage
from distingo.serving.metrics import Metrics
from distingo.serving.requests import RequestOptions
from distingo.serving.served_models import ServedModel, ServedModels
from distingo.serving.settings import ServeSettings
from distingo.serving.turns import Share

if TYPE_CHECKING:
    from distingo.explanation.records import Neighbor

MOST_EXPLAINED = 8
"""Largest number of explained images in a request, and of explanations in the queue."""

_NEIGHBORS = 6
_MOST_COPIES = 4
_Parsed = TypeVar("_Parsed")


class Slots:
    """A bounded number of slots for images that are accepted but not answered yet.

    Args:
        most: Number of slots.
        watch: Called with the number of slots in use whenever it changes.
    """

    def __init__(self, most: int, watch: Callable[[int], object] = int) -> None:
        self._most = most
        self._watch = watch
        self.used = 0

    def check(self) -> None:
        """Check that a slot is free, before the body of a request is read.

        Raises:
            RefusedError: All slots are in use (503).
        """
        if self.used >= self._most:
            raise RefusedError(503, "the queue is full; try again soon", closes=True)

    @contextmanager
    def hold(self, count: int) -> Iterator[Callable[[object], None]]:
        """Hold slots until the end of the block or until they are given back.

        Yields:
            A function that gives one slot back, to be called when an image is finished before the others.

        Raises:
            RefusedError: Fewer than `count` slots are free (503).
        """
        if self.used + count > self._most:
            raise RefusedError(503, "the queue has no room for so many images now; try again soon")
        remaining = count
        self._change(count)

        def release_one(_answer: object) -> None:
            nonlocal remaining
            if remaining:
                remaining -= 1
                self._change(-1)

        try:
            yield release_one
        finally:
            self._change(-remaining)
            remaining = 0

    def _change(self, count: int) -> None:
        self.used += count
        self._watch(self.used)


class Service:
    """Models, limits and counts of one worker.

    Attributes:
        models: The served models.
        settings: The server's settings.
        metrics: The worker's metrics.
        slots: Slots for images.
        bodies: Reads the bodies of requests.
    """

    def __init__(
        self, models: ServedModels, settings: ServeSettings, on_reload: Callable[[], None] | None = None
    ) -> None:
        self.models = models
        self.settings = settings
        self.metrics = models.metrics
        self.slots = Slots(settings.queue, self.metrics.waiting.set)
        self.bodies = BodyReader(settings.max_upload, settings.body_timeout)
        self._on_reload = on_reload
        self._explainer = _Explainer()
        self._explaining = ThreadPoolExecutor(1, "explaining")
        self._explanations = Slots(MOST_EXPLAINED)

    def receive(
        self,
        request: Request,
        parse: Callable[[bytes], _Parsed],
        json_part: Callable[[bytes], bytes] | None = None,
    ) -> AbstractAsyncContextManager[_Parsed]:
        """Read and parse the body of a request that needs slots; otherwise like `BodyReader.receive`.

        Raises:
            RefusedError: All slots are in use (503).
        """
        self.slots.check()
        return self.bodies.receive(request, parse, json_part)

    async def score(self, request: Request, model: ServedModel, images: Sequence[RequestImage]) -> list[RequestImage]:
        """Score images in batches with those of other requests.

        Args:
            request: A request whose body has been read; if its client disconnects, its images are dropped.
            model: The model that scores the images.
            images: The images with their contents.

        Returns:
            The same images, each scored or refused.

        Raises:
            RefusedError: There are not enough free slots (503), or the client has disconnected (499).
        """
        share, began, succeeded = Share(client_of_request(request)), time.perf_counter(), False
        try:
            with self.slots.hold(len(images)) as release_one:
                answers = [model.batcher.submit(image, share) for image in images]
                for answer in answers:
                    answer.add_done_callback(release_one)
                with _cancelled_on_disconnect(request, answers):
                    scored = [await answer for answer in answers]
            succeeded = not all(image.refusal for image in scored)
            return scored
        finally:
            model.counters.count_request(time.perf_counter() - began, succeeded=succeeded)

    async def predict(
        self, request: Request, model: ServedModel, images: Sequence[RequestImage], options: RequestOptions
    ) -> list[RequestImage]:
        """Score images like `score`, but check the options first, and refuse the request if its only image is refused.

        Raises:
            RefusedError: As `score`; also if the model does not support the options (422), or for a single refused
                image.
        """
        try:
            model.certainty(options.abstain, options.coverage)
        except UsageError as error:
            raise RefusedError(422, str(error).removeprefix("--")) from error
        scored = await self.score(request, model, images)
        for image in scored:
            count_image(self.metrics, model, image)
        if len(scored) == 1 and scored[0].refusal is not None:
            raise scored[0].refusal.anew()
        return scored

    async def explain(self, model: ServedModel, image: RequestImage, label: str) -> Explanation | None:
        """Explain the probability of a label for an image.

        Returns:
            The explanation; None if the model can't be explained.

        Raises:
            RefusedError: Too many explanations are waiting (503).
        """
        with self._explanations.hold(1):
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(
                self._explaining, lambda: self._explainer.explain(model, model.decode_image(image), label)
            )

    async def reload(self, name: str) -> tuple[ServedModel, bool]:
        """Reload a model in all workers; otherwise like `ServedModels.reload`.

        Raises:
            RefusedError: There is no model of this name (404), or its run folder contains no complete model (409).
        """
        self.models.get(name)
        try:
            reloaded = await asyncio.to_thread(self.models.reload, name)
        except DistingoError as error:
            raise RefusedError(409, "the run folder holds no whole model now; the old version stays") from error
        if self._on_reload is not None:
            self._on_reload()
        return reloaded

    def close(self) -> None:
        """Stop all threads and decoding processes."""
        self._explaining.shutdown(wait=False, cancel_futures=True)
        self.models.close()


def count_image(metrics: Metrics, model: ServedModel, image: RequestImage) -> None:
    """Count an image: a refused one by its status, a scored one by the probabilities of its labels, for the drift."""
    if image.refusal is not None:
        metrics.unread.labels(model.name, str(image.refusal.status)).inc()
        return
    probabilities = image.probabilities
    if model.predictor.task == "single-label":
        metrics.count_score(model.name, model.version, float(probabilities.max()))
        return
    for probability, threshold in zip(probabilities.tolist(), model.label_thresholds, strict=True):
        if probability >= threshold:
            metrics.count_score(model.name, model.version, probability)


@contextlib.contextmanager
def _cancelled_on_disconnect(request: Request, answers: Sequence[asyncio.Future[RequestImage]]) -> Iterator[None]:
    """Cancel the images if the client disconnects, the only event that can follow a complete body."""

    def drop(_: object = None) -> None:
        for answer in answers:
            if not answer.cancel() and not answer.cancelled():
                answer.exception()  # otherwise asyncio reports that the exception was never retrieved

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


def can_explain(predictor: Predictor) -> bool:
    """Whether the model is a network or a classifier on descriptors, and so can be explained."""
    model = predictor.model
    return model.network is not None or isinstance(model.classic, DescriptorClassifier)


class _Explainer:
    """Explains with copies of the served networks, so that hooks and gradients don't affect requests in flight.

    Only one thread may call it; an explanation takes some tenths of a second.
    """

    def __init__(self) -> None:
        self._copies: OrderedDict[tuple[str, str], Predictor] = OrderedDict()

    def explain(self, model: ServedModel, image: Image.Image, label: str) -> Explanation | None:
        from distingo.explanation.explaining import explain_image
        from distingo.report.thumbnails import heat_address

        if not can_explain(model.predictor):
            return None
        explanation = explain_image(self._copy(model), image, label, run=model.run, neighbors=_NEIGHBORS)
        heat_map = (
            None if explanation.heat.is_empty else heat_address(image.size, explanation.seen, explanation.heat.values)
        )
        return {
            "class": label,
            "heat_map": heat_map,
            "neighbors": [_describe(each) for each in explanation.neighbors],
        }

    def _copy(self, model: ServedModel) -> Predictor:
        key = (model.name, model.version)
        if key not in self._copies:
            saved = model.predictor.model
            own = replace(saved, network=copy.deepcopy(saved.network))
            self._copies[key] = Predictor(own, str(model.predictor.device), "torch")
            while len(self._copies) > _MOST_COPIES:
                self._copies.popitem(last=False)
        self._copies.move_to_end(key)
        return self._copies[key]


def _describe(neighbor: Neighbor) -> NeighborAnswer:
    address = None
    if neighbor.image is not None:
        encoded = io.BytesIO()
        Image.fromarray(neighbor.image).save(encoded, "JPEG", quality=80)
        address = f"data:image/jpeg;base64,{base64.b64encode(encoded.getvalue()).decode('ascii')}"
    return {"label": ", ".join(neighbor.labels), "distance": neighbor.distance, "image": address}
