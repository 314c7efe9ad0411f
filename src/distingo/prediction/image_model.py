"""The common interface of all models that classify images.

`ImageModel` implements `predict` and `predict_proba`. Preprocessing and the computation of probabilities are
implemented by `distingo.prediction.predictor.Predictor` for runs and by `distingo.runtime.Runtime` for exported models.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from typing import Any

import numpy as np
import numpy.typing as npt

from distingo.errors import DistingoError, UsageError, option
from distingo.options.fields import choose_alias
from distingo.prediction.images import ImageLike, as_images, require_limit
from distingo.prediction.naming import (
    Certainty,
    Described,
    ModelOutput,
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
from distingo.records import Task
from distingo.scores import Prediction


class ImageModel(ABC):
    """A model that classifies images.

    Args:
        description: The model's classes, task and thresholds.
        calibrated: The model's calibration set and feature bank.
        max_pixels: Highest width times height of an image that is read; None is `distingo.records.DEFAULT_MAX_PIXELS`
            for files, and no limit for images in memory.
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
        """``single-label`` or ``multi-label``."""
        return self._described.task

    @property
    def thresholds(self) -> dict[str, float] | None:
        """Decision thresholds by label of a multi-label model; None for a single-label model."""
        if self.task == "single-label":
            return None
        return dict(zip(self.classes, self._described.require_thresholds().values, strict=True))

    @abstractmethod
    def preprocess(self, image: ImageLike) -> np.ndarray:
        """Decode and preprocess an image for the model.

        Args:
            image: As for `distingo.prediction.images.open_image`.

        Returns:
            The input of `predict_rows`: uint8 pixels (height, width, channels), or float32 descriptors for a classic
            model.

        Raises:
            UndecodableError: The input is not an image, or can't be read.
        """

    @abstractmethod
    def predict_rows(self, rows: np.ndarray) -> ModelOutput:
        """Compute the probabilities of images.

        Args:
            rows: Stacked results of `preprocess`, (n, *row).
        """

    @abstractmethod
    def _predict_each(self, images: Sequence[ImageLike]) -> Generator[tuple[str, ModelOutput | str, int]]:
        """For each image: its name, the output of its batch or the reason of a failure, and its batch position."""

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
            topk: Number of most probable labels per image. None returns all labels of a single-label model, so that
                the probabilities sum to 1, and those that reach their thresholds of a multi-label model.
            top_k: Alias of `topk`.
            abstain: Abstain where needed to keep the share of wrong answers at or below this value
                (`distingo.metrics.conformal`).
            coverage: Add prediction sets that contain this share of the true labels (`distingo.metrics.conformal`).
            on_error: ``row`` returns a row with an error for an image that is missing or can't be read; ``raise``
                raises instead. None raises for missing files before any is read, and returns a row for other errors.

        Returns:
            A list with one prediction per image, in order, and a method `to_pandas`.

        Raises:
            UsageError: `topk` is below 1, or the calibration set can't guarantee a requested level.
            DataError: As described for `on_error`.
        """
        images = as_images(images)
        topk = choose_alias("topk", topk, "top_k", top_k)
        certainty = self.require(topk=topk, abstain=abstain, coverage=coverage)
        require_files(images, on_error)
        with closing(self._predict_each(images)) as evaluated:
            named = (self._name(name, batch, at, topk, certainty) for name, batch, at in evaluated)
            predictions = [require_readable(prediction, on_error) for prediction in named]
        ranges = self._described.value_ranges
        return Predictions(predictions, draw_given(images, ranges, self.max_pixels), ranges, self.max_pixels)

    def __call__(self, images: Iterable[ImageLike] | ImageLike, **options: Any) -> Predictions:
        """Same as `predict`."""
        return self.predict(images, **options)

    def predict_proba(
        self, images: Iterable[ImageLike] | ImageLike, *, on_error: OnError = "raise"
    ) -> npt.NDArray[np.float64]:
        """Predict the probability of every class for every image.

        Args:
            images: As for `predict`.
            on_error: ``row`` returns a row of NaN for an image that is missing or can't be read; ``raise`` raises.

        Returns:
            float64 (n, classes), in the order of `classes`. Rows of a single-label model sum to 1; the probabilities of
            a multi-label model are independent of each other.

        Raises:
            DataError: An image can't be read.
            UsageError: `on_error` is neither ``row`` nor ``raise``.
        """
        items = as_images(images)
        require_files(items, on_error)
        probabilities = np.full((len(items), len(self.classes)), np.nan, np.float64)
        with closing(self._predict_each(items)) as evaluated:
            for row, (name, batch, at) in enumerate(evaluated):
                if isinstance(batch, ModelOutput):
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
        """Validate the options of a call and derive its thresholds.

        Raises:
            UsageError: `topk` or `workers` is below 1, or the calibration set can't guarantee a requested level.
        """
        for name, number in (("top_k", topk), ("workers", workers)):
            if number is not None and number < 1:
                raise UsageError(f"{option(name)} {number}: give 1 or more", code="out_of_range", parameter=name)
        return settle_certainty(self._calibrated, abstain=abstain, coverage=coverage)

    def _look_at_or_explain(self, image: ImageLike) -> np.ndarray | str:
        """The preprocessed row, or the reason why the image can't be read."""
        try:
            return self.preprocess(image)
        except UsageError:
            raise  # a mistake of the caller: not an image
        except (DistingoError, OSError) as error:
            return str(error)

    def _name(
        self, name: str, evaluated: ModelOutput | str, at: int, topk: int | None, certainty: Certainty
    ) -> Prediction:
        if isinstance(evaluated, str):
            return name_failure(self._described, name, evaluated)
        return name_prediction(self._described, name, evaluated, at, topk=topk, certainty=certainty)
