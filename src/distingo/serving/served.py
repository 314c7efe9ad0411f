"""The models that are served: loaded, judged with, and changed for newer ones while requests go on."""

from __future__ import annotations

import functools
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
from PIL import Image

from distingo.datasets.decoding.rendering import shorter_side_for
from distingo.errors import RunError
from distingo.machine.device import give_large_blocks_back
from distingo.machine.threads import free_this_thread, usable_cores
from distingo.prediction.naming import Certainty, Judged, Levels, possible_levels, settle_certainty
from distingo.prediction.predictor import Predictor, load
from distingo.serving.batching import Batcher, Later
from distingo.serving.decoding_processes import DecodingProcesses, Question, full
from distingo.serving.metrics import Metrics
from distingo.serving.pictures import UNKNOWN_COST, HeaderCost, cost_of, decode_ordinary
from distingo.serving.refused import RefusedError
from distingo.serving.settings import NamedRun, ServeSettings, read_version
from distingo.serving.turns import Share, TurnPool

_LEVELS_KEPT = 64
_log = logging.getLogger("distingo.serving")


class ServedModel:
    """One version of one model.

    Attributes:
        name: In addresses.
        run: Its run folder.
        version: Twelve digits of a hash of its description, which names its weights by their hash.
        predictor: What judges.
        batcher: What gathers the pictures of several requests.
        label_thresholds: With several labels the probability from which on each is given, in the classes' order.
        enough: Pixels of a picture's shorter side that the model makes use of; None where it looks at all.
        counters: How often and how long it was asked.
    """

    def __init__(
        self,
        run: NamedRun,
        decoders: TurnPool,
        processes: DecodingProcesses,
        settings: ServeSettings,
        metrics: Metrics,
    ) -> None:
        self.name = run.name
        self.run = run.path
        self.version = read_version(run.path)
        self.predictor: Predictor = load(run.path, device=settings.device)
        if read_version(run.path) != self.version:
            raise RunError(
                f"{run.path}: changed while it was being read; try again when it is whole", code="changed_meanwhile"
            )
        rendition = self.predictor.model.description.rendition
        thresholds = self.predictor.thresholds or {}
        self.label_thresholds = tuple(thresholds.get(label, 0.0) for label in self.predictor.classes)
        self.enough = None if rendition is None else shorter_side_for(rendition)
        self._question = Question(
            "row", settings.max_pixels, self.enough, self.predictor.model.description.value_ranges, rendition
        )
        self._processes = processes
        self._certainties = functools.lru_cache(_LEVELS_KEPT)(self._settle)
        self.counters = metrics.inferences.of(run.name, self.version)
        self._batches = metrics.batches.labels(run.name)
        self._seconds = metrics.judging.labels(run.name)
        self._warm_up()
        self.batcher = Batcher(
            self.predictor.judge,
            decoders,
            max_wait=settings.max_wait,
            max_batch=settings.max_batch,
            watcher=self,
        )

    @functools.cached_property
    def levels(self) -> Levels:
        """Which levels it can be asked for; takes up to seconds the first time, so not on the event loop."""
        return possible_levels(self.predictor.model)

    def look_at_bytes(self, content: bytes | bytearray) -> np.ndarray | Later:
        """An uploaded file as the model looks at it: of an ordinary one at once, of others in their turn.

        Raises:
            RefusedError: It can't be decoded, or is too large.
        """
        data = bytes(content)
        cost = cost_of(data, self.enough)
        if cost.ordinary:
            began = time.perf_counter()
            if (image := self._decode(data, cost)) is not None:
                row = self.predictor.look_at(image)
                self.counters.count_decoding(time.perf_counter() - began)
                return row
            cost = UNKNOWN_COST
        memory = cost.memory(self._processes.memory)

        def look(share: Share) -> np.ndarray:
            return self._counted(lambda: self._processes.row(self._question, data, memory, share))

        return Later(self._processes.pool, memory, look, full())

    def look_at(self, pixels: np.ndarray) -> np.ndarray:
        """Pixels, uint8 (height, width, 1 or 3), as the model looks at them."""
        return self._counted(lambda: self.predictor.look_at(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels))

    def _counted(self, look: Callable[[], np.ndarray]) -> np.ndarray:
        """What was decoded, with its time counted."""
        began = time.perf_counter()
        row = look()
        self.counters.count_decoding(time.perf_counter() - began)
        return row

    def decode(self, content: bytes | bytearray, client: str = "") -> Image.Image:
        """An uploaded file's pixels, a deep image's scaled as in training, one of more than 4 million pixels smaller.

        Args:
            content: The file.
            client: Who sent it.

        Raises:
            RefusedError: It can't be decoded, or is too large.
        """
        data = bytes(content)
        cost = cost_of(data, self.enough)
        if cost.ordinary:
            if (image := self._decode(data, cost)) is not None:
                return image
            cost = UNKNOWN_COST
        memory = cost.memory(self._processes.memory)
        return self._processes.image(replace(self._question, result="image"), data, memory, Share(client))

    def _decode(self, data: bytes, cost: HeaderCost) -> Image.Image | None:
        """An ordinary file's image; None where its header lied."""
        question = self._question
        return decode_ordinary(
            data, cost, max_pixels=question.max_pixels, enough=question.enough, value_ranges=question.value_ranges
        )

    def certainty(self, abstain: float | None, coverage: float | None) -> Certainty:
        """The thresholds for wanted levels, as `distingo.prediction.naming.settle_certainty`."""
        return self._certainties(abstain, coverage)

    def judge(self, rows: np.ndarray) -> Judged:
        """What the model says of rows, at once."""
        return self.predictor.judge(rows)

    def batch_judged(self, pictures: int, seconds: float, waited: float) -> None:
        """Count a batch."""
        self.counters.count_batch(pictures, seconds, waited)
        self._batches.observe(pictures)
        self._seconds.observe(seconds)

    def _settle(self, abstain: float | None, coverage: float | None) -> Certainty:
        return settle_certainty(self.predictor.model, abstain=abstain, coverage=coverage)

    def _warm_up(self) -> None:
        """Judge a grey picture, so that what is built at first use is built before the first request."""
        grey = self.predictor.look_at(np.full((64, 64, 3), 128, np.uint8))
        self.predictor.judge(grey[None])


class ServedModels:
    """All models of one worker.

    Args:
        runs: To load.
        settings: Of the server.
        metrics: Told of every batch.

    Raises:
        RunError: A run folder is missing, damaged or unfinished.
    """

    def __init__(self, runs: Sequence[NamedRun], settings: ServeSettings, metrics: Metrics) -> None:
        self.settings = settings
        self.metrics = metrics
        self._decoders = TurnPool(len(usable_cores()), "decoding", begin=free_this_thread)
        self.processes = DecodingProcesses(settings)
        self._reloading = threading.Lock()
        try:
            self._models = {run.name: self._load(run) for run in runs}
        except BaseException:
            self.processes.close()
            raise
        if not any(model.predictor.engine == "torch" for model in self._models.values()):
            give_large_blocks_back()  # torch itself needs them for every batch
        for model in self._models.values():
            metrics.watch_scores(model.name, model.version, model.predictor.model.evidence)

    def __iter__(self) -> Iterator[ServedModel]:
        return iter(list(self._models.values()))

    def get(self, name: str | None, version: str | None = None) -> ServedModel:
        """The model of a name as it is now.

        Args:
            name: None means the only one.
            version: Refused unless it is the one that is served; None takes that one.

        Raises:
            RefusedError: There is none (404), or there are several and none is named (422).
        """
        if name is None:
            if len(self._models) > 1:
                raise RefusedError(422, f"several models are served; name one with ?model=: {self._names()}")
            return next(iter(self._models.values()))
        model = self._models.get(name)
        if model is None:
            raise RefusedError(404, f"no model of this name is served; there is {self._names()}")
        if version is not None and version != model.version:
            raise RefusedError(404, f"this version is not served; there is {model.version}")
        return model

    def reload(self, name: str) -> tuple[ServedModel, bool]:
        """Load a model's run folder anew if it has changed, and serve that from then on; not on the event loop.

        The old version still judges the pictures that it was given. Where the folder is damaged or incomplete, the old
        one goes on.

        Returns:
            The model that is served now, and whether it is another one than before.

        Raises:
            RefusedError: There is no model of this name.
            RunError: What is in the folder now can't be served.
        """
        with self._reloading:
            old = self.get(name)
            if read_version(old.run) == old.version:
                return old, False
            new = self._load(NamedRun(name, old.run))
            self.metrics.watch_scores(name, new.version, new.predictor.model.evidence)
            self._models[name] = new
            old.batcher.close()
            self.metrics.forget_scores(name, old.version)
        _log.info("%s: version %s took the place of %s", name, new.version, old.version)
        return new, True

    def reload_all(self) -> None:
        """Reload every model whose run folder has changed; a folder that can't be read is logged and left."""
        for model in self:
            try:
                self.reload(model.name)
            except Exception as error:
                _log.warning("%s: not reloaded, version %s goes on (%s)", model.name, model.version, error)

    def check_image(self, content: bytes | bytearray, *, enough: int, client: str) -> None:
        """Decode a file to see that it is an image.

        Args:
            content: The file.
            enough: As for `distingo.datasets.decoding.decode.decode`.
            client: Who sent it.

        Raises:
            RefusedError: It can't be decoded, or is too large.
        """
        data = bytes(content)
        question = Question("image", self.settings.max_pixels, enough)
        cost = cost_of(data, enough)
        if cost.ordinary:
            if decode_ordinary(data, cost, max_pixels=question.max_pixels, enough=enough) is not None:
                return
            cost = UNKNOWN_COST
        self.processes.image(question, data, cost.memory(self.processes.memory), Share(client))

    def close(self) -> None:
        """End the threads once what they were given is done."""
        for model in self:
            model.batcher.close()
        self._decoders.close()
        self.processes.close()

    def _load(self, run: NamedRun) -> ServedModel:
        return ServedModel(run, self._decoders, self.processes, self.settings, self.metrics)

    def _names(self) -> str:
        return ", ".join(list(self._models)[:20])
