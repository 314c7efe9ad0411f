"""A trained model as a person uses it: pictures in, class names with probabilities out.

Which pictures are unlike anything in training, asked again and again.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import ThreadpoolController

from distingo.aliases import choose_alias
from distingo.datasets.cache.store import Cache
from distingo.datasets.decoding.rendering import render, shorter_side_for
from distingo.datasets.gathering import count_processors
from distingo.datasets.run_options import max_pixels_from_config
from distingo.errors import DistingoError, UsageError, option
from distingo.features.descriptors import describe
from distingo.machine.device import choose_device, prepare_process
from distingo.models.feature_bank import FeatureBank
from distingo.models.saved import SavedModel, load_model, read_description
from distingo.prediction.classifier import ModelEngine, to_probabilities
from distingo.prediction.engines import EngineName
from distingo.prediction.naming import Certainty, Judged, name_failure, name_prediction, settle_certainty
from distingo.prediction.networks import chunked, map_in_order
from distingo.prediction.pictures import (
    PictureLike,
    as_pictures,
    name_picture,
    open_picture,
    require_limit,
    require_picture,
)
from distingo.prediction.predictions import (
    OnError,
    Predictions,
    draw_given,
    require_files,
    require_readable,
    unreadable,
)
from distingo.progress import progress_bar
from distingo.records import Prediction, Task
from distingo.run_folder import RunFolder


class StrangerFinder:
    """Tells pictures that lie farther from a bank than pictures like those of training do; safe in several threads.

    Args:
        bank: Of training pictures.
        unlike_from: The distance above which a picture is unlike them.
    """

    def __init__(self, bank: FeatureBank, unlike_from: float) -> None:
        self._bank = bank.widened()
        self._unlike_from = unlike_from
        self._libraries = ThreadpoolController()
        self._lock = Lock()

    def find(self, features: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
        """Which of some pictures are unlike training.

        Args:
            features: Float (n, features), as the model gives them.

        Returns:
            bool (n,).
        """
        # BLAS in several threads leaves them waiting at full speed, on the cores that the network needs: a fifth of all
        # the time that predicting takes
        with self._lock, self._libraries.limit(limits=1, user_api="blas"):
            distances = self._bank.distances(features)
        return np.asarray(distances > self._unlike_from, np.bool_)


_BATCH = 64

_CHUNK = 8
"""Pictures that a thread decodes before it hands them over."""


class Predictor:
    """A trained model that names what pictures show; all of it may be called from several threads.

    Args:
        model: A saved model.
        device: ``auto``, ``cpu``, ``cuda`` ...
        engine: ``auto`` takes the one that the model was trained with, else the fastest here; ``torch``, ``openvino``.
        cache: Where a converted network is kept for the next start; None keeps none.
        max_pixels: Width times height above which an image is not read; None is the default of
            `distingo.records.DEFAULT_MAX_PIXELS`, and none for images in memory.
    """

    def __init__(
        self,
        model: SavedModel,
        device: str = "auto",
        engine: EngineName = "auto",
        cache: Cache | None = None,
        max_pixels: int | None = None,
    ) -> None:
        require_limit(max_pixels)
        self.max_pixels = max_pixels
        prepare_process()
        self.model = model
        self.device = choose_device(device)
        self._engine = ModelEngine(model, device=self.device, engine=engine, cache=cache)
        unlike_from = settle_certainty(model).unlike_from
        self._strangers: StrangerFinder | None = None
        if model.bank is not None and unlike_from is not None:
            self._strangers = StrangerFinder(model.bank, unlike_from)
        rendition = model.description.rendition
        self._enough = None if rendition is None else shorter_side_for(rendition)

    @property
    def engine(self) -> str:
        """What runs a network: ``torch`` or ``openvino``."""
        return self._engine.name

    @property
    def precision(self) -> str:
        """What a network is computed in: ``float32`` or ``bfloat16``."""
        return self._engine.precision

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, in the order of the model's outputs."""
        return self.model.description.classes

    @property
    def task(self) -> Task:
        """Whether a picture gets exactly one label or any number."""
        return self.model.description.task

    @property
    def thresholds(self) -> dict[str, float] | None:
        """With several labels, from which probability on each is given; None with one."""
        if self.task == "single-label":
            return None
        return dict(zip(self.classes, self.model.description.require_thresholds().values, strict=True))

    def predict(
        self,
        pictures: Iterable[PictureLike] | PictureLike,
        *,
        topk: int | None = None,
        top_k: int | None = None,
        abstain: float | None = None,
        coverage: float | None = None,
        on_error: OnError | None = None,
    ) -> Predictions:
        """Name what pictures show.

        Args:
            pictures: Files, their content, Pillow images, arrays or tensors, in any of the forms of
                `distingo.prediction.pictures.open_picture`; one or many, also as one array of four dimensions.
            topk: Keep only the so many most probable labels per picture. None keeps all of a single-label model, so
                that probabilities sum to 1, and with several labels those that reach their thresholds.
            top_k: Another name of `topk`.
            abstain: Answer only where at most this share of answers is wrong (`distingo.metrics.rejection`).
            coverage: Give each picture the set of labels that holds this share of its true ones
                (`distingo.metrics.conformal`).
            on_error: ``row``: a picture that is missing or can't be read gets a row with its error; ``raise``: it
                raises; None: a missing file raises before any is read, another fault gives a row.

        Returns:
            One prediction per picture, in order, in a list with `to_pandas`.

        Raises:
            UsageError: `topk` is below 1, or the validation pictures can't vouch for a wanted level.
            DataError: As `on_error` says.
        """
        pictures = as_pictures(pictures)
        stream = self.stream(pictures, topk=topk, top_k=top_k, abstain=abstain, coverage=coverage)
        require_files(pictures, on_error)
        predictions: list[Prediction] = []
        with closing(stream), progress_bar("predicting", len(pictures)) as advance:
            for prediction in stream:
                predictions.append(require_readable(prediction, on_error))
                advance()
        ranges = self.model.description.value_ranges
        return Predictions(predictions, draw_given(pictures, ranges, self.max_pixels), ranges, self.max_pixels)

    def __call__(self, images: Iterable[PictureLike] | PictureLike, **options: Any) -> Predictions:
        """As `predict`, with the same options."""
        return self.predict(images, **options)

    def predict_proba(
        self, images: Iterable[PictureLike] | PictureLike, *, on_error: OnError = "raise"
    ) -> npt.NDArray[np.float64]:
        """The probability of every class for every image.

        Args:
            images: As for `predict`.
            on_error: ``row``: an image that is missing or can't be read gets a row of NaN; ``raise``: it raises.

        Returns:
            float64 (n, classes), in the order of `classes`. With one label per image each row sums to 1, with several
            each probability stands by itself.

        Raises:
            DataError: An image can't be read.
            UsageError: `on_error` is neither.
        """
        pictures = as_pictures(images)
        require_files(pictures, on_error)
        probabilities = np.full((len(pictures), len(self.classes)), np.nan, np.float64)
        with (
            closing(self._judge_all(self._see(pictures, None))) as found,
            progress_bar("predicting", len(pictures)) as advance,
        ):
            for at, (name, judged, place) in enumerate(found):
                if isinstance(judged, Judged):
                    probabilities[at] = judged.probabilities[place]
                elif on_error == "raise":
                    raise unreadable(name, judged)
                advance()
        return probabilities

    def __repr__(self) -> str:
        kind = "classes" if self.task == "single-label" else "labels"
        return f"Predictor({self.model.description.name!r}, {len(self.classes)} {kind}, {self.engine} on {self.device})"

    def stream(
        self,
        pictures: Iterable[PictureLike],
        *,
        topk: int | None = None,
        top_k: int | None = None,
        abstain: float | None = None,
        coverage: float | None = None,
        workers: int | None = None,
    ) -> Generator[Prediction]:
        """Name what pictures show, one after another, in memory that does not grow with their number.

        Pictures are decoded in threads while the model looks at those before them.

        Args:
            pictures: As for `predict`, but any number, from a generator too, which is taken from a few batches ahead.
            topk: As for `predict`.
            top_k: As for `predict`.
            abstain: As for `predict`.
            coverage: As for `predict`.
            workers: Decoding threads; None takes one per core.

        Returns:
            One prediction after another, in order; a picture that is missing or can't be read carries its error
            instead.

        Raises:
            UsageError: As `predict`, before the first picture is taken.
        """
        topk = choose_alias("topk", topk, "top_k", top_k)
        certainty = self.require(topk=topk, abstain=abstain, coverage=coverage, workers=workers)
        return self._name_all(self._see(pictures, workers), topk, certainty)

    def require(
        self,
        *,
        topk: int | None = None,
        abstain: float | None = None,
        coverage: float | None = None,
        workers: int | None = None,
    ) -> Certainty:
        """What the model may claim at the wanted levels.

        Raises:
            UsageError: `topk` or `workers` is below 1, or the validation pictures can't vouch for a wanted level.
        """
        for name, number in (("top_k", topk), ("workers", workers)):
            if number is not None and number < 1:
                raise UsageError(f"{option(name)} {number}: give 1 or more", code="out_of_range", parameter=name)
        return settle_certainty(self.model, abstain=abstain, coverage=coverage)

    def look_at(self, picture: PictureLike) -> np.ndarray:
        """A picture as the model looks at it.

        Args:
            picture: As for `distingo.prediction.pictures.open_picture`.

        Returns:
            uint8 pixels (height, width, channels), of a classic model float32 descriptors.

        Raises:
            UndecodableError: It is no picture, or can't be read.
        """
        image = open_picture(picture, self._enough, self.model.description.value_ranges, self.max_pixels)
        rendition = self.model.description.rendition
        return describe(image).astype(np.float32) if rendition is None else render(image, rendition)

    def judge(self, rows: np.ndarray) -> Judged:
        """What the model says about pictures.

        Args:
            rows: (n, *row) as `look_at` gives them, n may be 0.
        """
        if not len(rows):
            none = None if self._strangers is None else np.zeros(0, np.bool_)
            return Judged(np.zeros((0, len(self.classes)), np.float32), none)
        outputs = self._engine.outputs(rows)
        unlike = None if self._strangers is None else self._strangers.find(outputs.features)
        return Judged(to_probabilities(self.model, outputs.logits), unlike)

    def describe(
        self, name: str, judged: Judged, position: int, *, topk: int | None, certainty: Certainty
    ) -> Prediction:
        """Put what the model says about one picture in words; see `distingo.prediction.naming.name_prediction`."""
        return name_prediction(self.model.description, name, judged, position, topk=topk, certainty=certainty)

    def _see(self, pictures: Iterable[PictureLike], workers: int | None) -> Iterator[tuple[str, np.ndarray | str]]:
        """As `_see_all`, in threads, a few batches ahead of what is taken."""
        return map_in_order(
            self._see_all,
            enumerate(pictures),
            chunk=_CHUNK,
            ahead=2 * _BATCH,
            workers=workers or count_processors(),
        )

    def _see_all(self, pictures: Sequence[tuple[int, PictureLike]]) -> list[tuple[str, np.ndarray | str]]:
        """Each picture's name, and its row or why there is none."""
        seen: list[tuple[str, np.ndarray | str]] = []
        for position, picture in pictures:
            require_picture(picture)
            name = name_picture(picture, position)
            try:
                seen.append((name, self.look_at(picture)))
            except UsageError:
                raise  # the caller's mistake: no image at all
            except (DistingoError, OSError) as error:
                seen.append((name, str(error)))
        return seen

    def _name_all(
        self, seen: Iterable[tuple[str, np.ndarray | str]], topk: int | None, certainty: Certainty
    ) -> Generator[Prediction]:
        for name, judged, position in self._judge_all(seen):
            if isinstance(judged, str):
                yield name_failure(self.model.description, name, judged)
            else:
                yield self.describe(name, judged, position, topk=topk, certainty=certainty)

    def _judge_all(self, seen: Iterable[tuple[str, np.ndarray | str]]) -> Generator[tuple[str, Judged | str, int]]:
        """Each picture's name, what was said about its batch and where in that it is; or why there is nothing."""
        for batch in chunked(seen, _BATCH):
            rows = [row for _, row in batch if not isinstance(row, str)]
            judged = self.judge(np.stack(rows)) if rows else self.judge(np.empty(0))
            positions = iter(range(len(rows)))
            for name, row in batch:
                if isinstance(row, str):
                    yield name, row, 0
                else:
                    yield name, judged, next(positions)


def load(
    run: str | Path, *, device: str = "auto", engine: EngineName = "auto", max_pixels: int | None = None
) -> Predictor:
    """Load a run's trained model.

    Args:
        run: A run folder, or the ``model`` folder in one.
        device: ``auto``, ``cpu``, ``cuda`` ...
        engine: ``auto`` takes the one that the model was trained with, else the fastest here; ``torch``, ``openvino``.
        max_pixels: As for `Predictor`; None takes the limit that the run was trained with, if it was given one.

    Returns:
        A predictor; ``.predict([...])`` gives labels with probabilities.

    Raises:
        RunError: The folder is missing, damaged, unfinished or from a newer version.
        UsageError: There is no such device or engine here.
    """
    limit = _limit_of_run(run) if max_pixels is None else max_pixels
    return Predictor(load_model(model_folder(run)), device, engine, Cache(), limit)


def _limit_of_run(run: str | Path) -> int | None:
    """The pixel limit in a run's ``config.json``; a model folder by itself has none."""
    folder = RunFolder(Path(run))
    if model_folder(run) == folder.path or not folder.config.is_file():
        return None
    return max_pixels_from_config(folder.read_config(), folder.config)


def read_task(run: str | Path) -> Task:
    """Whether a run's model gives a picture exactly one label or any number; no weights are loaded.

    Args:
        run: As for `load`.

    Raises:
        RunError: As `load`.
    """
    return read_description(model_folder(run)).task


def model_folder(run: str | Path) -> Path:
    """The folder of a run's model, or the one that was named itself.

    Raises:
        RunError: There is no such run.
    """
    folder = Path(run)
    place = folder if (folder / "model.json").is_file() else RunFolder(folder).model
    if place != folder and not (place / "model.json").is_file():
        RunFolder(folder).read_config()
    return place
