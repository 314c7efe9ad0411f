"""What every model that classifies images offers, be it a run's or an exported one.

`ImageModel` has `predict` and `predict_proba`; how an image becomes a row of numbers and rows become probabilities is
left to `distingo.prediction.predictor.Predictor` and `distingo.runtime.Runtime`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from typing import Any

import numpy as np
import numpy.typing as npt

from distingo.aliases import choose_alias
from distingo.errors import DistingoError, UsageError, option
from distingo.prediction.images import ImageLike, as_images, require_limit
from distingo.prediction.naming import (
    Certainty,
    Described,
    Evaluated,
    Vouched,
    name_failure,
    name_prediction,
    settle_certainty,
)
from distingo.prediction.predictions import (
    OnError,
    Predictions,
    draw_given,
    require_files,
    require_readable,
    unreadable,
)
from distingo.records import Prediction, Task


class ImageModel(ABC):
    """A model that classifies images.

    Args:
        description: Its classes, task and thresholds.
        calibrated: What has its calibration set and its feature bank.
        max_pixels: Width times height above which an image is not read; None is the default of
            `distingo.records.DEFAULT_MAX_PIXELS`, and none for images in memory.
    """

    def __init__(self, description: Described, calibrated: Vouched, max_pixels: int | None) -> None:
        require_limit(max_pixels)
        self.max_pixels = max_pixels
        self._described = description
        self._calibrated = calibrated

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, in the order of the model's outputs."""
        return self._described.classes

    @property
    def task(self) -> Task:
        """Whether an image gets exactly one label or any number."""
        return self._described.task

    @property
    def thresholds(self) -> dict[str, float] | None:
        """With several labels, the decision threshold of each; None with one."""
        if self.task == "single-label":
            return None
        return dict(zip(self.classes, self._described.require_thresholds().values, strict=True))

    @abstractmethod
    def look_at(self, image: ImageLike) -> np.ndarray:
        """Decode and preprocess an image for the model.

        Args:
            image: As for `distingo.prediction.images.open_image`.

        Returns:
            The row that `evaluate` takes: uint8 pixels (height, width, channels), of a classic model float32
            descriptors.

        Raises:
            UndecodableError: It is no image, or can't be read.
        """

    @abstractmethod
    def evaluate(self, rows: np.ndarray) -> Evaluated:
        """Compute the probabilities of images.

        Args:
            rows: (n, *row) as `look_at` gives them.
        """

    @abstractmethod
    def _judge_each(self, images: Sequence[ImageLike]) -> Generator[tuple[str, Evaluated | str, int]]:
        """Each image's name, what `evaluate` gave for its batch and its position in that; or why it can't be read."""

    def predict(
        self,
        images: Iterable[ImageLike] | ImageLike,
        *,
        topk: int | None = None,
        top_k: int | None = None,
        abstain: float | None = None,
        coverage: float | None = None,
        on_error: OnError | None = None,
    ) -> Predictions:
        """Classify images.

        Args:
            images: Files, their content, Pillow images, arrays or tensors, in any of the forms of
                `distingo.prediction.images.open_image`; one or many, also as one array of four dimensions.
            topk: Keep only the so many most probable labels per image. None keeps all of a single-label model, so
                that probabilities sum to 1, and with several labels those that reach their thresholds.
            top_k: Another name of `topk`.
            abstain: Answer only where at most this share of answers is wrong (`distingo.metrics.conformal`).
            coverage: Give each image the set of labels that contains this share of its true ones
                (`distingo.metrics.conformal`).
            on_error: ``row``: an image that is missing or can't be read gets a row with its error; ``raise``: it
                raises; None: a missing file raises before any is read, another fault gives a row.

        Returns:
            One prediction per image, in order, in a list with `to_pandas`.

        Raises:
            UsageError: `topk` is below 1, or the calibration set can't guarantee a requested level.
            DataError: As described for `on_error`.
        """
        images = as_images(images)
        topk = choose_alias("topk", topk, "top_k", top_k)
        certainty = self.require(topk=topk, abstain=abstain, coverage=coverage)
        require_files(images, on_error)
        with closing(self._judge_each(images)) as evaluated:
            named = (self._name(name, batch, at, topk, certainty) for name, batch, at in evaluated)
            predictions = [require_readable(prediction, on_error) for prediction in named]
        ranges = self._described.value_ranges
        return Predictions(predictions, draw_given(images, ranges, self.max_pixels), ranges, self.max_pixels)

    def __call__(self, images: Iterable[ImageLike] | ImageLike, **options: Any) -> Predictions:
        """As `predict`, with the same options."""
        return self.predict(images, **options)

    def predict_proba(
        self, images: Iterable[ImageLike] | ImageLike, *, on_error: OnError = "raise"
    ) -> npt.NDArray[np.float64]:
        """The probability of every class for every image.

        Args:
            images: As for `predict`.
            on_error: ``row``: an image that is missing or can't be read gets a row of NaN; ``raise``: it raises.

        Returns:
            float64 (n, classes), in the order of `classes`. With one label per image each row sums to 1, with several
            labels each probability is independent of the others.

        Raises:
            DataError: An image can't be read.
            UsageError: `on_error` is neither.
        """
        items = as_images(images)
        require_files(items, on_error)
        probabilities = np.full((len(items), len(self.classes)), np.nan, np.float64)
        with closing(self._judge_each(items)) as evaluated:
            for row, (name, batch, at) in enumerate(evaluated):
                if isinstance(batch, Evaluated):
                    probabilities[row] = batch.probabilities[at]
                elif on_error == "raise":
                    raise unreadable(name, batch)
        return probabilities

    def require(
        self,
        *,
        topk: int | None = None,
        abstain: float | None = None,
        coverage: float | None = None,
        workers: int | None = None,
    ) -> Certainty:
        """The thresholds at requested levels.

        Raises:
            UsageError: `topk` or `workers` is below 1, or the calibration set can't guarantee a requested level.
        """
        for name, number in (("top_k", topk), ("workers", workers)):
            if number is not None and number < 1:
                raise UsageError(f"{option(name)} {number}: give 1 or more", code="out_of_range", parameter=name)
        return settle_certainty(self._calibrated, abstain=abstain, coverage=coverage)

    def _look_at_or_explain(self, image: ImageLike) -> np.ndarray | str:
        """A row, or why there is none."""
        try:
            return self.look_at(image)
        except UsageError:
            raise  # the caller's mistake: no image at all
        except (DistingoError, OSError) as error:
            return str(error)

    def _name(
        self, name: str, evaluated: Evaluated | str, at: int, topk: int | None, certainty: Certainty
    ) -> Prediction:
        if isinstance(evaluated, str):
            return name_failure(self._described, name, evaluated)
        return name_prediction(self._described, name, evaluated, at, topk=topk, certainty=certainty)
