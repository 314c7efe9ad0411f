"""The served models: loading, scoring, and replacement by newer versions without interrupting requests."""

from __future__ import annotations

import functools
import logging
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from PIL import Image

from distingo.datasets.decoding.rendering import shorter_side_for
from distingo.errors import RunError
from distingo.machine.process import free_this_thread, release_large_blocks, usable_cores
from distingo.prediction.naming import Certainty, Levels, certainty_thresholds, possible_levels
from distingo.prediction.predictor import Predictor, load
from distingo.serving.batching import Batcher, Later
from distingo.serving.decoding import DecodeTask, DecodingProcesses, too_many_waiting
from distingo.serving.http.access import RefusedError
from distingo.serving.images import UNKNOWN_COST, HeaderCost, RequestImage, cost_of, decode_ordinary
from distingo.serving.metrics import Metrics
from distingo.serving.settings import NamedRun, ServeSettings, read_version
from distingo.serving.turns import Share, TurnPool

_MOST_LEVELS = 64
_log = logging.getLogger("distingo.serving")


class ServedModel:
    """One version of one model.

    Attributes:
        name: The name in URLs and responses.
        run: The run folder.
        version: Twelve digits of a hash of ``model.json``, which contains the hash of the weights.
        predictor: The loaded model.
        batcher: Collects the images of concurrent requests.
        label_thresholds: If multi-label, the decision threshold of each label, in the order of the classes.
        counters: Counts and times of its requests.
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
        description, thresholds = self.predictor.model.description, self.predictor.thresholds or {}
        self.label_thresholds = tuple(thresholds.get(label, 0.0) for label in self.predictor.classes)
        spec = description.image_spec
        enough = None if spec is None else shorter_side_for(spec)
        self._task = DecodeTask("row", settings.max_pixels, enough, description.value_ranges, spec)
        self._processes = processes
        self._certainties = functools.lru_cache(_MOST_LEVELS)(self._compute_certainty)
        self.counters = metrics.inferences.of(run.name, self.version)
        self._batches = metrics.batches.labels(run.name)
        self._seconds = metrics.evaluating.labels(run.name)
        self._warm_up()
        self.batcher = Batcher(
            self.decode,
            self.predictor.predict_rows,
            decoders,
            max_wait=settings.max_wait,
            max_batch=settings.max_batch,
            watcher=self,
        )

    @functools.cached_property
    def levels(self) -> Levels:
        """The levels that a request may use; computing them can take seconds, so not on the event loop."""
        return possible_levels(self.predictor.model)

    def decode(self, image: RequestImage) -> np.ndarray | Later:
        """Decode an image to a row of the model's input; expensive files are deferred to another pool as a `Later`.

        Raises:
            RefusedError: The image can't be decoded or is too large.
        """
        began = time.perf_counter()
        if isinstance(image.content, np.ndarray):
            pixels = image.content
            return self._count(began, self.predictor.preprocess(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels))
        data = image.file
        ordinary, cost = _decode_ordinary(data, self._task)
        if ordinary is not None:
            return self._count(began, self.predictor.preprocess(ordinary))
        memory = cost.memory(self._processes.memory)

        def decode(share: Share) -> np.ndarray:
            began = time.perf_counter()
            return self._count(began, self._processes.row(self._task, data, memory, share))

        return Later(self._processes.pool, decode, too_many_waiting())

    def decode_image(self, image: RequestImage) -> Image.Image:
        """Decode an image for display; 16-bit images are scaled as in training, expensive ones to 4 million pixels.

        Raises:
            RefusedError: The image can't be decoded or is too large.
        """
        return _decode_image(self._processes, self._task, image.file, "")

    def certainty(self, abstain: float | None, coverage: float | None) -> Certainty:
        """The thresholds for the requested levels, cached; see `distingo.prediction.naming.certainty_thresholds`."""
        return self._certainties(abstain, coverage)

    def on_batch(self, images: int, seconds: float, waited: float) -> None:
        """Count a batch of `images` images, the seconds to score it, and the total seconds that they waited."""
        self.counters.count_batch(images, seconds, waited)
        self._batches.observe(images)
        self._seconds.observe(seconds)

    def _count(self, began: float, row: np.ndarray) -> np.ndarray:
        self.counters.count_decoding(time.perf_counter() - began)
        return row

    def _compute_certainty(self, abstain: float | None, coverage: float | None) -> Certainty:
        return certainty_thresholds(self.predictor.model, abstain=abstain, coverage=coverage)

    def _warm_up(self) -> None:
        """Score a gray image, so that lazy initialization happens before the first request."""
        gray = self.predictor.preprocess(np.full((64, 64, 3), 128, np.uint8))
        self.predictor.predict_rows(gray[None])


def _decode_ordinary(data: bytes, task: DecodeTask) -> tuple[Image.Image | None, HeaderCost]:
    """Decode an ordinary file; the image is None if a separate process must decode it, at the returned cost."""
    cost = cost_of(data, task.enough)
    if not cost.ordinary:
        return None, cost
    image = decode_ordinary(data, cost, max_pixels=task.max_pixels, enough=task.enough, value_ranges=task.value_ranges)
    return image, cost if image is not None else UNKNOWN_COST


def _decode_image(processes: DecodingProcesses, task: DecodeTask, data: bytes, client: str) -> Image.Image:
    image, cost = _decode_ordinary(data, task)
    if image is not None:
        return image
    memory = cost.memory(processes.memory)
    return processes.image(replace(task, result="image"), data, memory, Share(client))


class ServedModels:
    """All models of one worker.

    Args:
        runs: The runs to load.
        settings: The server's settings.
        metrics: The metrics in which every batch is counted.

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
            release_large_blocks()  # not with torch, which needs such blocks for every batch
        for model in self._models.values():
            metrics.watch_scores(model.name, model.version, model.predictor.model.calibration_set)

    def __iter__(self) -> Iterator[ServedModel]:
        return iter(list(self._models.values()))

    def get(self, name: str | None, version: str | None = None) -> ServedModel:
        """Get the current version of a model.

        Args:
            name: The model's name; None for the only one.
            version: The requested version; None accepts any.

        Raises:
            RefusedError: The model or version is not served (404), or several are served and none is named (422).
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
        """Reload a model if its run folder has changed; must not be called on the event loop.

        The old version still scores the images in its queue. It continues to be served if the new one can't be loaded.

        Returns:
            The model that is served now, and whether it has changed.

        Raises:
            RefusedError: There is no model of this name.
            RunError: The model in the run folder can't be loaded.
        """
        with self._reloading:
            old = self.get(name)
            if read_version(old.run) == old.version:
                return old, False
            new = self._load(NamedRun(name, old.run))
            self.metrics.watch_scores(name, new.version, new.predictor.model.calibration_set)
            self._models[name] = new
            old.batcher.close()
            self.metrics.forget_scores(name, old.version)
        _log.info("%s: version %s replaces %s", name, new.version, old.version)
        return new, True

    def reload_all(self) -> None:
        """Reload every model whose run folder has changed; errors are logged, and the old version is kept."""
        for model in self:
            try:
                self.reload(model.name)
            except Exception as error:
                _log.warning("%s: not reloaded, version %s stays (%s)", model.name, model.version, error)

    def check_image(self, data: bytes, *, enough: int, client: str) -> None:
        """Check that a file is an image by decoding it.

        Args:
            data: The file.
            enough: As for `distingo.datasets.decoding.decode.decode`.
            client: The client that sent it.

        Raises:
            RefusedError: The file can't be decoded or is too large.
        """
        _decode_image(self.processes, DecodeTask("image", self.settings.max_pixels, enough), data, client)

    def close(self) -> None:
        """Stop the threads after their current jobs, and the decoding processes at once."""
        for model in self:
            model.batcher.close()
        self._decoders.close()
        self.processes.close()

    def _load(self, run: NamedRun) -> ServedModel:
        return ServedModel(run, self._decoders, self.processes, self.settings, self.metrics)

    def _names(self) -> str:
        return ", ".join(list(self._models)[:20])
