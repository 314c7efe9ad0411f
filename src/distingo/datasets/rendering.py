"""A decoded picture to an array of a fixed size."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image

from distingo.records import Rendition

_FILTERS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
_LONGEST_ASPECT = 20


def render(image: Image.Image, rendition: Rendition) -> np.ndarray:
    """Resize a picture (with anti-aliasing) and give it the wanted channels.

    ``crop`` follows torchvision's ``Resize`` of the shorter side with ``CenterCrop``, which is how timm
    evaluates its pretrained models.

    Args:
        image: Mode ``RGB`` or ``L``.
        rendition: Size, channels and way of fitting.

    Returns:
        uint8 of shape (height, width, channels).
    """
    if rendition.channels == 1 and image.mode != "L":
        image = image.convert("L")
    image = _crop(image, rendition) if rendition.fit == "crop" else _stretch(image, rendition)
    if rendition.channels == 3 and image.mode != "RGB":
        image = image.convert("RGB")
    return np.array(image).reshape(rendition.height, rendition.width, rendition.channels)


def shorter_side_for(rendition: Rendition) -> int:
    """Pixels of a picture's shorter side, upright or not, from which rendering never enlarges."""
    return math.ceil(max(rendition.height, rendition.width) / rendition.crop_fraction)


def _stretch(image: Image.Image, rendition: Rendition) -> Image.Image:
    size = (rendition.width, rendition.height)
    return image if image.size == size else image.resize(size, _FILTERS[rendition.interpolation])


def _crop(image: Image.Image, rendition: Rendition) -> Image.Image:
    image = _shorten(image)
    width, height = image.size
    if rendition.height == rendition.width:
        shorter = math.floor(rendition.height / rendition.crop_fraction)
        longer = int(shorter * max(width, height) / min(width, height))
        size = (shorter, longer) if width <= height else (longer, shorter)
    else:
        scale = max(rendition.width / width, rendition.height / height) / rendition.crop_fraction
        size = (max(rendition.width, round(width * scale)), max(rendition.height, round(height * scale)))
    if image.size != size:
        image = image.resize(size, _FILTERS[rendition.interpolation])
    left = round((size[0] - rendition.width) / 2)
    top = round((size[1] - rendition.height) / 2)
    return image.crop((left, top, left + rendition.width, top + rendition.height))


def _shorten(image: Image.Image) -> Image.Image:
    """Cut the middle out of a very long strip, whose ends would be enlarged enormously and then dropped."""
    width, height = image.size
    limit = _LONGEST_ASPECT * min(width, height)
    if max(width, height) <= limit:
        return image
    left, top = max(0, (width - limit) // 2), max(0, (height - limit) // 2)
    return image.crop((left, top, left + min(width, limit), top + min(height, limit)))
