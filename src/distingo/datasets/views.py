"""Ways of looking at a picture that a frozen backbone can be shown beside the picture itself."""

from __future__ import annotations

from collections.abc import Callable

from PIL import Image, ImageOps

from distingo.errors import UsageError, name_the_nearest

_CORNER = 0.8
"""Share of each side that a corner view keeps."""


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
"""What a person asks for by ``--views``: the views that training sees, the picture itself first."""


def require_views(name: str) -> tuple[str, ...]:
    """The views of a set.

    Raises:
        UsageError: There is no such set.
    """
    if name not in VIEW_SETS:
        raise UsageError(f"--views {name}: no such set of views; {name_the_nearest(name, list(VIEW_SETS))}")
    return VIEW_SETS[name]


def share_of_side(view: str) -> float:
    """How much of a picture's sides a view shows."""
    return _CORNER if view in _CORNERS else 1.0


def look(image: Image.Image, view: str) -> Image.Image:
    """One view of a picture.

    Args:
        image: Mode ``RGB`` or ``L``.
        view: ``whole``, ``mirrored`` or a corner (``top-left`` ...) of 80 % of each side.

    Returns:
        A picture of the same mode.
    """
    return _VIEWS[view](image)
