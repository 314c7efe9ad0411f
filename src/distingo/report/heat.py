"""Heat maps as colours over pictures."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

from distingo.explanation.records import Box

_COLOURS = np.array(
    [(20, 11, 52), (89, 16, 108), (160, 42, 98), (219, 81, 59), (251, 144, 9), (252, 240, 110)], np.float64
)
"""From cold to hot; brightness rises all the way, so that it reads without colour vision and in print."""

_STRONGEST = 0.82
"""Opacity of the hottest part."""

_SMALL_SIDE = 96


def draw_heat(picture: np.ndarray, seen: Box, values: np.ndarray) -> Image.Image:
    """Lay a heat map over a picture, in grey; what the model does not see is pale.

    Args:
        picture: uint8 (height, width, 3).
        seen: The part that the map lies over.
        values: float (rows, columns) from 0 to 1.
    """
    grey = Image.fromarray(picture).convert("L").convert("RGB")
    box = _pixels(seen, grey.width, grey.height)
    drawn = Image.blend(grey, Image.new("RGB", grey.size, "white"), 0.72)
    drawn.paste(grey.crop(box), box[:2])
    layer = _colour(_enlarge(values, box[2] - box[0], box[3] - box[1]))
    drawn.paste(layer, box[:2], layer)
    return drawn


def heat_address(size: tuple[int, int], seen: Box, values: np.ndarray) -> str:
    """A heat map as a small see-through picture to lie over another, as a ``data:`` address.

    Args:
        size: Width and height of the picture below; the result has its shape.
        seen: As for `draw_heat`.
        values: As for `draw_heat`.
    """
    scale = _SMALL_SIDE / max(size)
    width, height = (max(1, round(side * scale)) for side in size)
    layer = Image.new("RGBA", (width, height))
    box = _pixels(seen, width, height)
    layer.paste(_colour(_enlarge(values, box[2] - box[0], box[3] - box[1])), box[:2])
    encoded = io.BytesIO()
    layer.save(encoded, "WEBP", quality=60, alpha_quality=60, method=4)
    return f"data:image/webp;base64,{base64.b64encode(encoded.getvalue()).decode('ascii')}"


def _pixels(seen: Box, width: int, height: int) -> tuple[int, int, int, int]:
    left, top = round(seen[0] * width), round(seen[1] * height)
    return left, top, max(left + 1, round(seen[2] * width)), max(top + 1, round(seen[3] * height))


def _enlarge(values: np.ndarray, width: int, height: int) -> np.ndarray:
    large = Image.fromarray(values.astype(np.float32)).resize((width, height), Image.Resampling.BICUBIC)
    return np.clip(np.asarray(large, np.float64), 0, 1)


def _colour(values: np.ndarray) -> Image.Image:
    """RGBA (height, width): the colder, the more it lets through."""
    steps = np.linspace(0, 1, len(_COLOURS))
    channels = [np.interp(values, steps, _COLOURS[:, channel]) for channel in range(3)]
    opacity = 255 * _STRONGEST * np.minimum(1, values * 1.6)
    return Image.fromarray(np.stack([*channels, opacity], axis=-1).round().astype(np.uint8), "RGBA")
