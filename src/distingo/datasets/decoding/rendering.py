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


def render(image: Image.Image, spec: ImageSpec) -> np.ndarray:
    """Resize an image with anti-aliasing, and convert it to the requested channels.

    ``crop`` follows torchvision's ``Resize`` of the shorter side with ``CenterCrop``, which is how timm
    evaluates its pretrained models.

    Args:
        image: Mode ``RGB`` or ``L``.
        spec: Size, channels and resize mode.

    Returns:
        uint8 of shape (height, width, channels).
    """
    if spec.channels == 1 and image.mode != "L":
        image = image.convert("L")
    image = _crop(image, spec) if spec.fit == "crop" else _stretch(image, spec)
    if spec.channels == 3 and image.mode != "RGB":
        image = image.convert("RGB")
    return np.array(image).reshape(spec.height, spec.width, spec.channels)


def shorter_side_for(spec: ImageSpec) -> int:
    """The minimum shorter side of an image in pixels, upright or not, for which rendering never enlarges it."""
    return math.ceil(max(spec.height, spec.width) / spec.crop_fraction)


def visible_part(width: int, height: int, spec: ImageSpec) -> tuple[float, float, float, float]:
    """The part of an image that `render` uses.

    Args:
        width: Width of the upright image in pixels.
        height: Height of the upright image in pixels.
        spec: As for `render`.

    Returns:
        Left, top, right and bottom as shares of the image's sides; (0, 0, 1, 1) if nothing is cropped.
    """
    if spec.fit == "stretch":
        return 0.0, 0.0, 1.0, 1.0
    left, top, right, bottom = _middle_of_strip((width, height))
    (wide, high), x, y = _crop_geometry((right - left, bottom - top), spec)
    across, down = (right - left) / wide / width, (bottom - top) / high / height
    return (
        left / width + x * across,
        top / height + y * down,
        left / width + (x + spec.width) * across,
        top / height + (y + spec.height) * down,
    )


def _stretch(image: Image.Image, spec: ImageSpec) -> Image.Image:
    size = (spec.width, spec.height)
    return image if image.size == size else image.resize(size, _FILTERS[spec.interpolation])


def _crop(image: Image.Image, spec: ImageSpec) -> Image.Image:
    image = _shorten(image)
    size, left, top = _crop_geometry(image.size, spec)
    if image.size != size:
        image = image.resize(size, _FILTERS[spec.interpolation])
    return image.crop((left, top, left + spec.width, top + spec.height))


def _crop_geometry(original: tuple[int, int], spec: ImageSpec) -> tuple[tuple[int, int], int, int]:
    """The width and height that an image is resized to, and the left and top of the crop."""
    width, height = original
    if spec.height == spec.width:
        shorter = math.floor(spec.height / spec.crop_fraction)
        longer = int(shorter * max(width, height) / min(width, height))
        size = (shorter, longer) if width <= height else (longer, shorter)
    else:
        scale = max(spec.width / width, spec.height / height) / spec.crop_fraction
        size = (max(spec.width, round(width * scale)), max(spec.height, round(height * scale)))
    return size, round((size[0] - spec.width) / 2), round((size[1] - spec.height) / 2)


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


def apply_view(image: Image.Image, view: str) -> Image.Image:
    """Create a view of an image.

    Args:
        image: Mode ``RGB`` or ``L``.
        view: ``whole``, ``mirrored`` or a corner (``top-left`` ...) of 80 % of each side.

    Returns:
        An image of the same mode.
    """
    return _VIEWS[view](image)
