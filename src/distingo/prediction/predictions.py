"""The result of `predict`, with a notebook display and conversion to pandas, and checks for unreadable images."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, SupportsIndex, overload

from distingo.errors import DataError, DistingoError, UsageError, name_some
from distingo.notebooks import THUMBNAIL, Tile, in_notebook, predictions_to_pandas, show_strip
from distingo.prediction.images import ImageLike, open_image
from distingo.records import ValueRanges
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
        drawn: Thumbnails as ``data:`` URLs for images in memory (empty if there is none), and None for files; None
            instead of a list if all images are files.
        value_ranges: The model's value ranges, used to display images with more than 8 bits.
        max_pixels: Larger files are not displayed; None is the default limit.
    """

    def __init__(
        self,
        predictions: Iterable[Prediction] = (),
        drawn: Sequence[str | None] | None = None,
        value_ranges: ValueRanges | None = None,
        max_pixels: int | None = None,
    ) -> None:
        super().__init__(predictions)
        self._drawn = drawn
        self._value_ranges = value_ranges
        self._max_pixels = max_pixels

    @overload
    def __getitem__(self, index: SupportsIndex) -> Prediction: ...
    @overload
    def __getitem__(self, index: slice) -> Predictions: ...
    def __getitem__(self, index: SupportsIndex | slice) -> Prediction | Predictions:
        if not isinstance(index, slice):
            return super().__getitem__(index)
        drawn = None if self._drawn is None else self._drawn[index]
        return Predictions(super().__getitem__(index), drawn, self._value_ranges, self._max_pixels)

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
        tiles = [Tile(each.file, self._draw(at), _caption(each)) for at, each in enumerate(first)]
        return show_strip(tiles, len(self) - len(first))

    def _draw(self, at: int) -> str:
        drawn = self._drawn[at] if self._drawn is not None and at < len(self._drawn) else None
        if drawn is not None:
            return drawn
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
        drawn = open_image(image, 2 * THUMBNAIL, value_ranges, max_pixels)
    except (DistingoError, OSError, ValueError):
        return ""
    drawn = drawn.copy()  # do not modify the caller's image
    drawn.thumbnail((2 * THUMBNAIL, 2 * THUMBNAIL))  # sharp on high-density screens
    content = io.BytesIO()
    drawn.save(content, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(content.getvalue()).decode('ascii')}"


def draw_given(
    images: Sequence[ImageLike], value_ranges: ValueRanges | None, max_pixels: int | None
) -> list[str | None] | None:
    """Create the thumbnails of images in memory for `Predictions`: of the first images, in notebooks only.

    Thumbnails of files are created when they are displayed. Open file objects are not read again.
    """
    if all(map(_is_path, images)):
        return None
    drawing = in_notebook()
    drawn: list[str | None] = []
    for at, image in enumerate(images):
        if _is_path(image):
            drawn.append(None)
        elif drawing and at < _SHOWN and not hasattr(image, "read"):
            drawn.append(draw_thumbnail(image, value_ranges, max_pixels))
        else:
            drawn.append("")
    return drawn


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
