"""Classification of images with the trained model of a run."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from threading import Lock

import numpy as np
import numpy.typing as npt
from threadpoolctl import ThreadpoolController

from distingo.datasets.cache.store import Cache
from distingo.datasets.decoding.rendering import render, shorter_side_for
from distingo.datasets.measurements import describe
from distingo.datasets.options import count_processors
from distingo.machine.device import choose_device
from distingo.machine.process import prepare_process
from distingo.models.description import read_description
from distingo.models.reference_data import FeatureBank
from distingo.models.saved import SavedModel, load_model
from distingo.options.fields import choose_alias
from distingo.prediction.classifier import ModelEngine, to_probabilities
from distingo.prediction.engines import EngineName
from distingo.prediction.image_model import ImageModel
from distingo.prediction.images import (
    ImageLike,
    name_image,
    open_image,
    require_image,
)
from distingo.prediction.naming import Certainty, ModelOutput, certainty_thresholds, name_prediction
from distingo.prediction.networks import chunked, map_in_order
from distingo.progress import progress_bar
from distingo.records import Task
from distingo.runs.config import read_config
from distingo.runs.folder import RunFolder
from distingo.scores import Prediction

_BATCH = 64

_CHUNK = 8
"""Number of images that a thread decodes at a time."""


class Predictor(ImageModel):
    """A trained model that classifies images; all methods are thread-safe.

    Args:
        model: A saved model.
        device: ``auto``, ``cpu``, ``cuda`` ...
        engine: ``torch``, ``openvino``, or ``auto`` for the engine of the training, else the fastest one.
        cache: Cache for a converted network; None does not cache it.
        max_pixels: As for `distingo.prediction.image_model.ImageModel`.
    """

    def __init__(
        self,
        model: SavedModel,
        device: str = "auto",
        engine: EngineName = "auto",
        cache: Cache | None = None,
        max_pixels: int | None = None,
    ) -> None:
        super().__init__(model.description, model, max_pixels)
        prepare_process()
        self.model = model
        self.device = choose_device(device)
        self._engine = ModelEngine(model, device=self.device, engine=engine, cache=cache)
        ood_distance = certainty_thresholds(model).ood_distance
        self._detector: OutOfDistributionDetector | None = None
        if model.bank is not None and ood_distance is not None:
            self._detector = OutOfDistributionDetector(model.bank, ood_distance)
        image_spec = model.description.image_spec
        self._enough = None if image_spec is None else shorter_side_for(image_spec)

    @property
    def engine(self) -> str:
        """The engine of the network: ``torch`` or ``openvino``."""
        return self._engine.name

    @property
    def precision(self) -> str:
        """The precision of the network: ``float32`` or ``bfloat16``."""
        return self._engine.precision

    def __repr__(self) -> str:
        kind = "classes" if self.task == "single-label" else "labels"
        return f"Predictor({self.model.description.name!r}, {len(self.classes)} {kind}, {self.engine} on {self.device})"

    def stream(
        self,
        images: Iterable[ImageLike],
        *,
        topk: int | None = None,
        top_k: int | None = None,
        abstain: float | None = None,
        coverage: float | None = None,
        workers: int | None = None,
    ) -> Generator[Prediction]:
        """Classify a stream of images with constant memory use.

        Images are decoded in threads while the model processes earlier ones.

        Args:
            images: As for `predict`; may be a generator of any length, which is consumed a few batches ahead.
            topk: As for `predict`.
            top_k: As for `predict`.
            abstain: As for `predict`.
            coverage: As for `predict`.
            workers: Number of decoding threads; None is one per core.

        Returns:
            A generator of predictions, in order; the prediction of an unreadable image contains its error.

        Raises:
            UsageError: As for `predict`, before the first image is consumed.
        """
        topk = choose_alias("topk", topk, "top_k", top_k)
        certainty = self.require(topk=topk, abstain=abstain, coverage=coverage, workers=workers)
        evaluated = self._predict_all(self._decode_all(images, workers))
        return (self._name(name, batch, at, topk, certainty) for name, batch, at in evaluated)

    def preprocess(self, image: ImageLike) -> np.ndarray:
        """Decode and preprocess an image; see `ImageModel.preprocess`."""
        opened = open_image(image, self._enough, self.model.description.value_ranges, self.max_pixels)
        image_spec = self.model.description.image_spec
        return describe(opened).astype(np.float32) if image_spec is None else render(opened, image_spec)

    def predict_rows(self, rows: np.ndarray) -> ModelOutput:
        """Compute the probabilities of images; see `ImageModel.predict_rows`. `rows` may be empty."""
        if not len(rows):
            none = None if self._detector is None else np.zeros(0, np.bool_)
            return ModelOutput(np.zeros((0, len(self.classes)), np.float32), none)
        outputs = self._engine.outputs(rows)
        is_ood = None if self._detector is None else self._detector.find(outputs.features)
        return ModelOutput(to_probabilities(self.model, outputs.logits), is_ood)

    def describe(
        self, name: str, evaluated: ModelOutput, position: int, *, topk: int | None, certainty: Certainty
    ) -> Prediction:
        """Create the prediction for one image of a batch; see `distingo.prediction.naming.name_prediction`."""
        return name_prediction(self.model.description, name, evaluated, position, topk=topk, certainty=certainty)

    def _predict_each(self, images: Sequence[ImageLike]) -> Generator[tuple[str, ModelOutput | str, int]]:
        with (
            closing(self._predict_all(self._decode_all(images, None))) as evaluated,
            progress_bar("predicting", len(images)) as advance,
        ):
            for each in evaluated:
                yield each
                advance()

    def _decode_all(self, images: Iterable[ImageLike], workers: int | None) -> Iterator[tuple[str, np.ndarray | str]]:
        """Each image's name and its row or error; decoded in threads, a few batches ahead."""
        return map_in_order(
            self._decode_chunk,
            enumerate(images),
            chunk=_CHUNK,
            ahead=2 * _BATCH,
            workers=workers or count_processors(),
        )

    def _decode_chunk(self, images: Sequence[tuple[int, ImageLike]]) -> list[tuple[str, np.ndarray | str]]:
        rows = []
        for position, image in images:
            require_image(image)
            rows.append((name_image(image, position), self._preprocess_or_explain(image)))
        return rows

    def _predict_all(
        self, decoded: Iterable[tuple[str, np.ndarray | str]]
    ) -> Generator[tuple[str, ModelOutput | str, int]]:
        """Same as `_predict_each`, for decoded images."""
        for batch in chunked(decoded, _BATCH):
            rows = [row for _, row in batch if not isinstance(row, str)]
            evaluated = self.predict_rows(np.stack(rows)) if rows else self.predict_rows(np.empty(0))
            positions = iter(range(len(rows)))
            for name, row in batch:
                if isinstance(row, str):
                    yield name, row, 0
                else:
                    yield name, evaluated, next(positions)


class OutOfDistributionDetector:
    """Thread-safe detector of out-of-distribution images by their distance to the feature bank.

    Args:
        bank: Feature bank of training images.
        ood_distance: The distance above which an image is out of distribution.
    """

    def __init__(self, bank: FeatureBank, ood_distance: float) -> None:
        self._bank = bank.widened()
        self._ood_distance = ood_distance
        self._libraries = ThreadpoolController()
        self._lock = Lock()

    def find(self, features: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
        """Which images are out of distribution.

        Args:
            features: Float (n, features), from the model.

        Returns:
            bool (n,).
        """
        # BLAS threads keep spinning on the cores that the network needs, which costs a fifth of the prediction time
        with self._lock, self._libraries.limit(limits=1, user_api="blas"):
            distances = self._bank.distances(features)
        return np.asarray(distances > self._ood_distance, np.bool_)


def load(
    run: str | Path, *, device: str = "auto", engine: EngineName = "auto", max_pixels: int | None = None
) -> Predictor:
    """Load a run's trained model.

    Args:
        run: A run folder, or the ``model`` folder in one.
        device: ``auto``, ``cpu``, ``cuda`` ...
        engine: ``torch``, ``openvino``, or ``auto`` for the engine of the training, else the fastest one.
        max_pixels: As for `Predictor`; None uses the limit of the training, if there was one.

    Returns:
        A predictor; ``.predict([...])`` returns labels with probabilities.

    Raises:
        RunError: The folder is missing, damaged, unfinished or from a newer version.
        UsageError: The device or engine is not available.
    """
    limit = _limit_of_run(run) if max_pixels is None else max_pixels
    return Predictor(load_model(model_folder(run)), device, engine, Cache(), limit)


def _limit_of_run(run: str | Path) -> int | None:
    """The pixel limit in a run's ``config.json``; None for a model folder."""
    folder = RunFolder(Path(run))
    if model_folder(run) == folder.path or not folder.config.is_file():
        return None
    return read_config(folder).max_pixels


def read_task(run: str | Path) -> Task:
    """Read the task of a run's model, without loading its weights.

    Args:
        run: As for `load`.

    Raises:
        RunError: As `load`.
    """
    return read_description(model_folder(run)).task


def model_folder(run: str | Path) -> Path:
    """The model folder of a run; a model folder is returned unchanged.

    Raises:
        RunError: There is no such run.
    """
    folder = Path(run)
    candidate = folder if (folder / "model.json").is_file() else RunFolder(folder).model
    if candidate != folder and not (candidate / "model.json").is_file():
        read_config(RunFolder(folder))
    return candidate
