"""What the routes of one worker share: models, limits, slots for images, scoring, explanations."""

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
from distingo.models.descriptors import DescriptorClassifier
from distingo.prediction.predictor import Predictor
from distingo.serving.answers import Explanation, NeighborAnswer
from distingo.serving.http.bodies import BodyReader, client_of_request
from distingo.serving.http.errors import RefusedError
from distingo.serving.images import RequestImage
from distingo.serving.metrics import Metrics
from distingo.serving.requests import RequestOptions
from distingo.serving.served_models import ServedModel, ServedModels
from distingo.serving.settings import ServeSettings
from distingo.serving.turns import Share

if TYPE_CHECKING:
    from distingo.explanation.records import Neighbor

MOST_EXPLAINED = 8
"""Images of one request that are explained, and explanations that may be waited for at once."""

_NEIGHBORS = 6
_COPIES_KEPT = 4
_Parsed = TypeVar("_Parsed")


class Slots:
    """A bounded number of slots for images that are taken in and not answered yet.

    Args:
        most: How many there are.
        watch: Called with how many are taken whenever that changes.
    """

    def __init__(self, most: int, watch: Callable[[int], object] = int) -> None:
        self._most = most
        self._watch = watch
        self.taken = 0

    def check(self) -> None:
        """Refuse a request before its body is read, where no slot is free.

        Raises:
            RefusedError: All slots are taken (503).
        """
        if self.taken >= self._most:
            raise RefusedError(503, "the queue is full; try again soon", closes=True)

    @contextmanager
    def hold(self, count: int) -> Iterator[Callable[[object], None]]:
        """While the block lasts, hold slots, as far as they are not given back before.

        Yields:
            Gives one slot back: its image is done, whatever the request's others take.

        Raises:
            RefusedError: There are not as many free (503).
        """
        if self.taken + count > self._most:
            raise RefusedError(503, "the queue has no room for so many images now; try again soon")
        left = count
        self._change(count)

        def give_one(_answer: object) -> None:
            nonlocal left
            if left:
                left -= 1
                self._change(-1)

        try:
            yield give_one
        finally:
            self._change(-left)
            left = 0

    def _change(self, count: int) -> None:
        self.taken += count
        self._watch(self.taken)


class Service:
    """Models, limits and counts of one worker.

    Attributes:
        models: Those that are served.
        settings: Of the server.
        metrics: The counts.
        slots: For images.
        bodies: Reads them.
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
        """Read and parse the body of a request that needs slots; as `BodyReader.receive`.

        Raises:
            RefusedError: All slots are taken (503).
        """
        self.slots.check()
        return self.bodies.receive(request, parse, json_part)

    async def score(self, request: Request, model: ServedModel, images: Sequence[RequestImage]) -> list[RequestImage]:
        """Score images together with those of other requests.

        Args:
            request: Whose body has been read; if its client goes away, its images are dropped.
            model: What scores them.
            images: With their contents.

        Returns:
            The same images, each scored or refused.

        Raises:
            RefusedError: There are no slots for so many, or the client went away.
        """
        share, began, succeeded = Share(client_of_request(request)), time.perf_counter(), False
        try:
            with self.slots.hold(len(images)) as give_one:
                answers = [model.batcher.submit(image, share) for image in images]
                for answer in answers:
                    answer.add_done_callback(give_one)
                with _cancelled_when_gone(request, answers):
                    scored = [await answer for answer in answers]
            succeeded = not all(image.refusal for image in scored)
            return scored
        finally:
            model.counters.count_request(time.perf_counter() - began, succeeded=succeeded)

    async def predict(
        self, request: Request, model: ServedModel, images: Sequence[RequestImage], options: RequestOptions
    ) -> list[RequestImage]:
        """`score`, where a request is answered image by image: a single one that is refused refuses the request.

        Raises:
            RefusedError: Also where the model can't do what the options ask (422), before anything is decoded.
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
        """Explain why an image was given a label.

        Returns:
            None where the model looks at no image.

        Raises:
            RefusedError: Too many explanations are being waited for (503).
        """
        with self._explanations.hold(1):
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(
                self._explaining, lambda: self._explainer.explain(model, model.decode_image(image), label)
            )

    async def reload(self, name: str) -> tuple[ServedModel, bool]:
        """Serve what is in a model's run folder now, in all workers; as `ServedModels.reload`.

        Raises:
            RefusedError: There is no model of this name (404), or no whole one in its folder (409).
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
        """End all threads."""
        self._explaining.shutdown(wait=False, cancel_futures=True)
        self.models.close()


def count_image(metrics: Metrics, model: ServedModel, image: RequestImage) -> None:
    """Count a refused image, or the probabilities of the labels of a scored one, for their drift."""
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
def _cancelled_when_gone(request: Request, answers: Sequence[asyncio.Future[RequestImage]]) -> Iterator[None]:
    """While the block lasts, watch the connection: after a body that was read whole only its end can come."""

    def drop(_: object = None) -> None:
        for answer in answers:
            if not answer.cancel() and not answer.cancelled():
                answer.exception()  # else asyncio reports that its error was never retrieved

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
    """Whether the model looks at images at all."""
    model = predictor.model
    return model.network is not None or isinstance(model.classic, DescriptorClassifier)


class _Explainer:
    """Explains with copies of the served networks: hooks and gradients must not meet requests in flight.

    It is called by one thread; an explanation takes tenths of a second.
    """

    def __init__(self) -> None:
        self._copies: OrderedDict[tuple[str, str], Predictor] = OrderedDict()

    def explain(self, model: ServedModel, image: Image.Image, label: str) -> Explanation | None:
        from distingo.explanation.explaining import explain_image
        from distingo.report.thumbnails import heat_address

        if not can_explain(model.predictor):
            return None
        found = explain_image(self._copy(model), image, label, run=model.run, neighbours=_NEIGHBORS)
        heat_map = None if found.heat.is_empty else heat_address(image.size, found.seen, found.heat.values)
        return {"class": label, "heat_map": heat_map, "neighbours": [_describe(each) for each in found.neighbours]}

    def _copy(self, model: ServedModel) -> Predictor:
        key = (model.name, model.version)
        if key not in self._copies:
            saved = model.predictor.model
            own = replace(saved, network=copy.deepcopy(saved.network))
            self._copies[key] = Predictor(own, str(model.predictor.device), "torch")
            while len(self._copies) > _COPIES_KEPT:
                self._copies.popitem(last=False)
        self._copies.move_to_end(key)
        return self._copies[key]


def _describe(neighbor: Neighbor) -> NeighborAnswer:
    address = None
    if neighbor.image is not None:
        encoded = io.BytesIO()
        Image.fromarray(neighbor.image).save(encoded, "JPEG", quality=80)
        address = f"data:image/jpeg;base64,{base64.b64encode(encoded.getvalue()).decode('ascii')}"
    return {"label": ", ".join(neighbor.labels), "distance": neighbor.distance, "picture": address}
