"""Why a file gives no image, as errors that code can distinguish."""

from __future__ import annotations

import math

from distingo.errors import DataError


class UndecodableError(DataError):
    """A file that gives no picture.

    Attributes:
        reason: Why, in words for a person.
        format: What the file really is, ``unknown`` where nothing is known.
    """

    def __init__(self, reason: str, detected: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.format = detected


class UnreadableError(UndecodableError):
    """A file that can't be read now, which says nothing about its bytes."""


class TooManyPixelsError(UndecodableError):
    """A picture over the pixel limit: fine in itself, but not decoded."""


class UnsupportedError(UndecodableError):
    """A sound file of a kind that distingo doesn't read; its reason names the kind and what helps."""


BYTES_PER_PIXEL = 16
"""Memory that decoding one pixel may take within the pixel limit; a file that takes more counts as more pixels."""


def check_size(width: int, height: int, name: str, max_pixels: int, *, bytes_per_pixel: float = 0.0) -> None:
    """Refuse an image over the pixel limit, or without pixels.

    Args:
        width: In pixels.
        height: In pixels.
        name: Its format.
        max_pixels: Width times height of an ordinary image that is just decoded.
        bytes_per_pixel: What decoding takes, where it may be more than `BYTES_PER_PIXEL`.

    Raises:
        TooManyPixelsError: It is over the limit.
        UndecodableError: It has no pixels.
    """
    if width * height > max_pixels:
        raise TooManyPixelsError(f"{width} x {height} pixels are more than the limit of {max_pixels:,}", name)
    counted = math.ceil(width * height * bytes_per_pixel / BYTES_PER_PIXEL)
    if counted > max_pixels:
        raise TooManyPixelsError(
            f"{width} x {height} pixels take as much memory to decode as {counted:,} pixels of an ordinary file, more "
            f"than the limit of {max_pixels:,}",
            name,
        )
    if width < 1 or height < 1:
        raise UndecodableError(f"a {name} file without any pixels", name)
