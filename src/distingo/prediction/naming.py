"""What calibrated probabilities say about a picture, in words; needs no torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from distingo.datasets.decoding import open_source
from distingo.metrics.conformal import prediction_sets
from distingo.metrics.thresholds import apply_thresholds
from distingo.prediction.certainty import Certainty
from distingo.records import Prediction, Source, Thresholds

PictureLike = str | Path | Image.Image | np.ndarray
"""A file, a Pillow image, or uint8 pixels (height, width) or (height, width, 3)."""


def open_picture(picture: PictureLike, enough: int | None = None) -> Image.Image:
    """A picture in mode ``RGB`` or ``L``.

    Args:
        picture: A file, an image or pixels.
        enough: As for `distingo.datasets.decoding.decode`.

    Raises:
        UndecodableError: The file can't be opened or gives no picture.
    """
    if isinstance(picture, str | Path):
        return open_source(Source(str(picture), Path(picture)), enough=enough)
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    return image if image.mode in {"RGB", "L"} else image.convert("RGB")


def describe_picture(
    name: str,
    probabilities: np.ndarray,
    classes: Sequence[str],
    *,
    thresholds: Thresholds | None,
    certainty: Certainty,
    topk: int | None = None,
    unlike: bool | None = None,
) -> Prediction:
    """Name what a picture shows.

    Args:
        name: The picture, as the caller named it.
        probabilities: Calibrated, float (classes,).
        classes: Their names.
        thresholds: Of a model for several labels; None with one label per picture.
        certainty: What the model may claim.
        topk: Keep only the so many most probable labels; None keeps all, with several labels those that reach their
            thresholds.
        unlike: Whether the picture is unlike training; None where that can't be told.
    """
    order = np.argsort(-probabilities, kind="stable")
    shown = order[: topk or len(order)]
    sure = probabilities.astype(np.float64) >= (certainty.answer_from or 0.0)
    given = None
    if thresholds is None:
        abstained = not sure[order[0]]
    else:
        reached = apply_thresholds(probabilities, thresholds)
        above = order[(reached & sure)[order]]
        given = tuple(classes[index] for index in above)
        shown = above if topk is None else shown
        abstained = bool(reached.any() and not len(above))
    return Prediction(
        name,
        tuple(classes[index] for index in shown),
        tuple(float(probabilities[index]) for index in shown),
        given=given,
        abstained=None if certainty.answer_from is None else bool(abstained),
        prediction_set=_set_of(probabilities, order, classes, certainty),
        unlike=unlike,
    )


def _set_of(
    probabilities: np.ndarray, order: np.ndarray, classes: Sequence[str], certainty: Certainty
) -> tuple[str, ...] | None:
    if certainty.set_from is None:
        return None
    inside = prediction_sets(probabilities, certainty.set_from)
    return tuple(classes[index] for index in order[inside[order]])
