"""A picture that a person gives to be named: what counts as one, and opening it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from distingo.datasets.decoding import open_source
from distingo.records import Source, ValueRanges

PictureLike = str | Path | Image.Image | np.ndarray
"""A file, a Pillow image, or uint8 pixels (height, width) or (height, width, 3)."""


def open_picture(
    picture: PictureLike, enough: int | None = None, value_range: ValueRanges | None = None
) -> Image.Image:
    """Open a picture, upright, in mode ``RGB`` or ``L``.

    Args:
        picture: What a person gave.
        enough: As for `distingo.datasets.decoding.decode`.
        value_range: As for `distingo.datasets.decoding.decode`.

    Raises:
        UndecodableError: It is no picture, or can't be read.
    """
    if isinstance(picture, str | Path):
        return open_source(Source(str(picture), Path(picture)), enough=enough, value_range=value_range)
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    return image if image.mode in {"RGB", "L"} else image.convert("RGB")


def name_picture(picture: PictureLike, position: int) -> str:
    """What a prediction calls a picture: its file, else its position among those that were given."""
    return str(picture) if isinstance(picture, str | Path) else f"picture {position}"
