"""Pictures in a grid with captions, as one PNG file."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from distingo.files import write_bytes
from distingo.report.lettering import Lettering

_CAPTION = Lettering(13)
_LINE = 20
_GAP = 10
_LEAST_TILE = 96


def write_contact_sheet(
    images: Sequence[np.ndarray | Image.Image], captions: Sequence[str], path: Path, *, columns: int
) -> Path:
    """Draw pictures in a grid, a caption under each, and write it as PNG.

    Small pictures are enlarged by a whole factor without smoothing, so that every pixel can be seen.

    Args:
        images: uint8 arrays (height, width) or (height, width, channels) with 1 or 3 channels, or pictures.
        captions: One per picture, in any script; empty for none. A long one is cut with an ellipsis.
        path: The PNG file.
        columns: Pictures per row.

    Returns:
        The path.

    Raises:
        ValueError: No picture, not one caption per picture, or fewer than one column.
        ResourceError: The file can't be written.
    """
    if not images or len(images) != len(captions) or columns < 1:
        raise ValueError(
            f"{len(images)} pictures, {len(captions)} captions, {columns} columns: "
            "give at least one picture, as many captions, and at least one column"
        )
    tiles = [_enlarge(_as_picture(image)) for image in images]
    width = max(_LEAST_TILE, *(tile.width for tile in tiles))
    height = max(tile.height for tile in tiles)
    row_height = height + (_LINE if any(captions) else 0) + _GAP
    rows = math.ceil(len(tiles) / columns)
    across = min(columns, len(tiles))
    sheet = Image.new("RGB", (across * (width + _GAP) + _GAP, rows * row_height + _GAP), "white")
    for index, (tile, caption) in enumerate(zip(tiles, captions, strict=True)):
        left = _GAP + index % columns * (width + _GAP)
        top = _GAP + index // columns * row_height
        sheet.paste(tile, (left + (width - tile.width) // 2, top + (height - tile.height) // 2))
        _write_caption(sheet, caption, left, top + height + 3, width)
    encoded = io.BytesIO()
    sheet.save(encoded, "PNG", optimize=True)
    write_bytes(path, encoded.getvalue())
    return path


def _as_picture(image: np.ndarray | Image.Image) -> Image.Image:
    if isinstance(image, Image.Image):
        return image.convert("RGB")
    pixels = image[..., 0] if image.ndim == 3 and image.shape[2] == 1 else image
    return Image.fromarray(np.ascontiguousarray(pixels)).convert("RGB")


def _enlarge(picture: Image.Image) -> Image.Image:
    factor = _LEAST_TILE // max(picture.size)
    if factor < 2:
        return picture
    return picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)


def _write_caption(sheet: Image.Image, caption: str, left: int, top: int, width: int) -> None:
    shown = _CAPTION.fit(caption, width)
    _CAPTION.draw(sheet, (left + (width - _CAPTION.width(shown)) / 2, top), shown)
