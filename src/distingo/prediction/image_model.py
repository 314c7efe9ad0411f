"""What models of runs and exported models have in common: `predict`, `predict_proba`, and their results.

Preprocessing and the computation of probabilities are implemented by `distingo.prediction.predictor.Predictor` for runs
and by `distingo.runtime.Runtime` for exported models. Results are displayed in notebooks and convert to pandas.
"""

from __future__ import annotations

import base64
import io
import os
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, SupportsIndex, overload

import numpy as np
import numpy.typing as npt

from distingo.errors import DataError, DistingoError, UsageError, name_some, option
from distingo.notebooks import THUMBNAIL, Tile, in_notebook, predictions_to_pandas, show_strip
from distingo.options.fields import choose_alias
from distingo.prediction.images import ImageLike, as_images, open_image, require_limit
from distingo.prediction.naming import (
    CalibratedModel,
    Certainty,
    DescribedModel,
    ModelOutput,
    certainty_thresholds,
    name_failure,
    name_prediction,
)
from distingo.records import Task, ValueRanges
from distingo.scores import Prediction

if TYPE_CHECKING:
    import pandas as pd


OnError = Literal["raise", "row"]
"""``raise`` raises `DataError` for an image that can't be read; ``row`` returns a row with the error."""

_SHOWN = 12
"""Number of images in a notebook strip."""

_LISTED = 10
"""Number of predictions in a `repr`."""

_LABELS = 2
"""Number of labels below an image."""


class Predictions(list[Prediction]):
    """A list of predictions in the order of their images; slices have the same type.

    Args:
        predictions: One per image.
        thumbnails: Thumbnails as ``data:`` URLs for images in memory (empty if there is none), and None for files; None
            instead of a list if all images are files.
        value_ranges: The model's value ranges, used to display images with more than 8 bits.
        max_pixels: Larger files are not displayed; None is the default limit.
    """

    def __init__(
        self,
        predictions: Iterable[Prediction] = (),
        thumbnails: Sequence[str | None] | None = None,
        value_ranges: ValueRanges | None = None,
        max_pixels: int | None = None,
    ) -> None:
        super().__init__(predictions)
        self._thumbnails = thumbnails
        self._value_ranges = value_ranges
        self._max_pixels = max_pixels

    @overload
    def __getitem__(self, index: SupportsIndex) -> Prediction: ...
    @overload
    def __getitem__(self, index: slice) -> Predictions: ...
    def __getitem__(self, index: SupportsIndex | slice) -> Prediction | Predictions:
        if not isinstance(index, slice):
            return super().__getitem__(index)
        thumbnails = None if self._thumbnails is None else self._thumbnails[index]
        return Predictions(super().__getitem__(index), thumbnails, self._value_ranges, self._max_pixels)

    def to_pandas(self) -> pd.DataFrame:
        """Convert to a data frame with one row per image; see `distingo.notebooks.predictions_to_pandas`.

        Raises:
            UsageError: pandas is not installed.
        """
        return predictions_to_pandas(self)

    def __repr__(self) -> str:
        shown = ", ".join(map(repr, super().__getitem__(slice(_LISTED))))
        left = len(self) - _LISTED
        return f"[{shown}, ... {left:,} more]" if left > 0 else f"[{shown}]"

    def _repr_html_(self) -> str:
        first = super().__getitem__(slice(_SHOWN))
        tiles = [Tile(each.file, self._thumbnail_at(at), _caption(each)) for at, each in enumerate(first)]
        return show_strip(tiles, len(self) - len(first))

    def _thumbnail_at(self, at: int) -> str:
        thumbnails = self._thumbnails[at] if self._thumbnails is not None and at < len(self._thumbnails) else None
        if thumbnails is not None:
            return thumbnails
        prediction = super().__getitem__(at)
        return "" if prediction.error else draw_thumbnail(prediction.file, self._value_ranges, self._max_pixels)


def _caption(prediction: Prediction) -> tuple[str, ...]:
    if prediction.error:
        return (f"error: {prediction.error}",)
    ranked = list(zip(prediction.labels, prediction.probabilities, strict=True))
    lines = [f"{label} {probability:.1%}" for label, probability in ranked[:_LABELS]] or ["no label"]
    lines += ["not sure enough"] if prediction.abstained else []
    return (*lines, *(["unlike training"] if prediction.unlike else []))


def draw_thumbnail(image: ImageLike, value_ranges: ValueRanges | None, max_pixels: int | None) -> str:
    """Create a thumbnail of an image as a ``data:`` URL; empty if the image can't be read.

    Args:
        image: As for `distingo.prediction.images.open_image`.
        value_ranges: Value ranges of the model.
        max_pixels: As for `distingo.prediction.images.open_image`.
    """
    try:
        opened = open_image(image, 2 * THUMBNAIL, value_ranges, max_pixels)
    except (DistingoError, OSError, ValueError):
        return ""
    opened = opened.copy()  # do not modify the caller's image
    opened.thumbnail((2 * THUMBNAIL, 2 * THUMBNAIL))  # sharp on high-density screens
    content = io.BytesIO()
    opened.save(content, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(content.getvalue()).decode('ascii')}"


def draw_thumbnails(
    images: Sequence[ImageLike], value_ranges: ValueRanges | None, max_pixels: int | None
) -> list[str | None] | None:
    """Create the thumbnails of images in memory for `Predictions`: of the first images, in notebooks only.

    Thumbnails of files are created when they are displayed. Open file objects are not read again.
    """
    if all(map(_is_path, images)):
        return None
    drawing = in_notebook()
    thumbnails: list[str | None] = []
    for at, image in enumerate(images):
        if _is_path(image):
            thumbnails.append(None)
        elif drawing and at < _SHOWN and not hasattr(image, "read"):
            thumbnails.append(draw_thumbnail(image, value_ranges, max_pixels))
        else:
            thumbnails.append("")
    return thumbnails


def require_files(images: Iterable[ImageLike], on_error: OnError | None) -> None:
    """Check that image files exist before any is read.

    Args:
        images: Images; only paths are checked.
        on_error: ``row`` skips the check.

    Raises:
        DataError: Some are missing.
        UsageError: `on_error` has another value.
    """
    if on_error not in (None, "raise", "row"):
        raise UsageError(f"on_error={on_error!r}: choose 'raise' or 'row'", code="invalid_value", parameter="on_error")
    if on_error == "row":
        return
    missing = [os.fspath(image) for image in images if _is_path(image) and is_missing(image)]
    if missing:
        raise DataError(
            f"{name_some(missing, 3)}: no such file; on_error='row' gives a row with the error instead",
            code="not_found",
        )


def require_readable(prediction: Prediction, on_error: OnError | None) -> Prediction:
    """Return a prediction unchanged, or raise its error.

    Args:
        prediction: With or without an error.
        on_error: The error is raised only for ``raise``.

    Raises:
        DataError: The image could not be read.
    """
    if on_error == "raise" and prediction.error:
        raise unreadable(prediction.file, prediction.error)
    return prediction


def unreadable(name: str, reason: str) -> DataError:
    """Create the error for an image that can't be read."""
    return DataError(f"{name}: {reason}; on_error='row' gives a row for it instead", code="damaged_image")


def is_missing(path: str | os.PathLike[str]) -> bool:
    """Whether a file does not exist or has an invalid path; an existing file without access is not missing."""
    try:
        Path(path).stat()
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return True
    except OSError:
        return False
    return False


def _is_path(image: object) -> bool:
    return isinstance(image, str | os.PathLike)


class ImageModel(ABC):
    """A model that classifies images.

    Args:
        description: The model's classes, task and thresholds.
        calibrated: The model's calibration set and feature bank.
        max_pixels: Highest width times height of an image that is read; None is `distingo.records.DEFAULT_MAX_PIXELS`
            for files, and no limit for images in memory.
    """

    def __init__(self, description: DescribedModel, calibrated: CalibratedModel, max_pixels: int | None) -> None:
        require_limit(max_pixels)
        self.max_pixels = max_pixels
        self._description = description
        self._calibrated = calibrated

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, in the order of the model's outputs."""
        return self._description.classes

    @property
    def task(self) -> Task:
        """``single-label`` or ``multi-label``."""
        return self._description.task

    @property
    def thresholds(self) -> dict[str, float] | None:
        """Decision thresholds by label of a multi-label model; None for a single-label model."""
        if self.task == "single-label":
            return None
        return dict(zip(self.classes, self._description.require_thresholds().values, strict=True))

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
        ranges = self._description.value_ranges
        return Predictions(predictions, draw_thumbnails(images, ranges, self.max_pixels), ranges, self.max_pixels)

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
        return certainty_thresholds(self._calibrated, abstain=abstain, coverage=coverage)

    def _preprocess_or_explain(self, image: ImageLike) -> np.ndarray | str:
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
            return name_failure(self._description, name, evaluated)
        return name_prediction(self._description, name, evaluated, at, topk=topk, certainty=certainty)
