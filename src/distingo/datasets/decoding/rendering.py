"""Render a decoded image to an array of a fixed size, and create its views for training with a frozen backbone."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageOps

from distingo.errors import UsageError, option, suggest_names
from distingo.records import ImageSpec

_FILTERS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}

_LONGEST_ASPECT = 20


def render(image: Image.Image, rendition: ImageSpec) -> np.ndarray:
    """Resize an image with anti-aliasing, and convert it to the requested channels.

    ``crop`` follows torchvision's ``Resize`` of the shorter side with ``CenterCrop``, which is how timm
    evaluates its pretrained models.

    Args:
        image: Mode ``RGB`` or ``L``.
        rendition: Size, channels and resize mode.

    Returns:
        uint8 of shape (height, width, channels).
    """
    if rendition.channels == 1 and image.mode != "L":
        image = image.convert("L")
    image = _crop(image, rendition) if rendition.fit == "crop" else _stretch(image, rendition)
    if rendition.channels == 3 and image.mode != "RGB":
        image = image.convert("RGB")
    return np.array(image).reshape(rendition.height, rendition.width, rendition.channels)


def shorter_side_for(rendition: ImageSpec) -> int:
    """The minimum shorter side of an image in pixels, upright or not, for which rendering never enlarges it."""
    return math.ceil(max(rendition.height, rendition.width) / rendition.crop_fraction)


def seen_part(width: int, height: int, rendition: ImageSpec) -> tuple[float, float, float, float]:
    """The part of an image that `render` uses.

    Args:
        width: Width of the upright image in pixels.
        height: Height of the upright image in pixels.
        rendition: As for `render`.

    Returns:
        Left, top, right and bottom as shares of the image's sides; (0, 0, 1, 1) if nothing is cropped.
    """
    if rendition.fit == "stretch":
        return 0.0, 0.0, 1.0, 1.0
    left, top, right, bottom = _middle_of_strip((width, height))
    (wide, high), x, y = _resized_and_cut((right - left, bottom - top), rendition)
    across, down = (right - left) / wide / width, (bottom - top) / high / height
    return (
        left / width + x * across,
        top / height + y * down,
        left / width + (x + rendition.width) * across,
        top / height + (y + rendition.height) * down,
    )


def _stretch(image: Image.Image, rendition: ImageSpec) -> Image.Image:
    size = (rendition.width, rendition.height)
    return image if image.size == size else image.resize(size, _FILTERS[rendition.interpolation])


def _crop(image: Image.Image, rendition: ImageSpec) -> Image.Image:
    image = _shorten(image)
    size, left, top = _resized_and_cut(image.size, rendition)
    if image.size != size:
        image = image.resize(size, _FILTERS[rendition.interpolation])
    return image.crop((left, top, left + rendition.width, top + rendition.height))


def _resized_and_cut(original: tuple[int, int], rendition: ImageSpec) -> tuple[tuple[int, int], int, int]:
    """The width and height that an image is resized to, and the left and top of the crop."""
    width, height = original
    if rendition.height == rendition.width:
        shorter = math.floor(rendition.height / rendition.crop_fraction)
        longer = int(shorter * max(width, height) / min(width, height))
        size = (shorter, longer) if width <= height else (longer, shorter)
    else:
        scale = max(rendition.width / width, rendition.height / height) / rendition.crop_fraction
        size = (max(rendition.width, round(width * scale)), max(rendition.height, round(height * scale)))
    return size, round((size[0] - rendition.width) / 2), round((size[1] - rendition.height) / 2)


def _shorten(image: Image.Image) -> Image.Image:
    """Crop a very long strip to its middle, as its ends would be enlarged and then dropped."""
    box = _middle_of_strip(image.size)
    return image if box == (0, 0, *image.size) else image.crop(box)


def _middle_of_strip(size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The box of the part that is used, in pixels: the entire image unless it is a very long strip."""
    width, height = size
    limit = _LONGEST_ASPECT * min(width, height)
    left, top = max(0, (width - limit) // 2), max(0, (height - limit) // 2)
    return left, top, left + min(width, limit), top + min(height, limit)


_CORNER = 0.8
"""Share of each side in a corner view."""


def _corner(image: Image.Image, across: float, down: float) -> Image.Image:
    width, height = max(1, round(image.width * _CORNER)), max(1, round(image.height * _CORNER))
    left, top = round(across * (image.width - width)), round(down * (image.height - height))
    return image.crop((left, top, left + width, top + height))


_VIEWS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "whole": lambda image: image,
    "mirrored": ImageOps.mirror,
    "top-left": lambda image: _corner(image, 0, 0),
    "top-right": lambda image: _corner(image, 1, 0),
    "bottom-left": lambda image: _corner(image, 0, 1),
    "bottom-right": lambda image: _corner(image, 1, 1),
}

_CORNERS = ("top-left", "top-right", "bottom-left", "bottom-right")

VIEW_SETS: dict[str, tuple[str, ...]] = {
    "none": ("whole",),
    "flip": ("whole", "mirrored"),
    "crops": ("whole", "mirrored", *_CORNERS),
}
"""Views used in training, by the value of ``--views``; the image itself comes first."""


def require_views(name: str) -> tuple[str, ...]:
    """Look up the views of a set.

    Raises:
        UsageError: There is no such set.
    """
    if name not in VIEW_SETS:
        raise UsageError(
            f"{option('views')} {name}: no such set of views; {suggest_names(name, list(VIEW_SETS))}",
            code="unknown_name",
            parameter="views",
        )
    return VIEW_SETS[name]


def share_of_split(view: str) -> float:
    """The share of an image's sides that a view contains."""
    return _CORNER if view in _CORNERS else 1.0


def look(image: Image.Image, view: str) -> Image.Image:
    """Create a view of an image.

    Args:
        image: Mode ``RGB`` or ``L``.
        view: ``whole``, ``mirrored`` or a corner (``top-left`` ...) of 80 % of each side.

    Returns:
        An image of the same mode.
    """
    return _VIEWS[view](image)
