"""Why a file gives no image, as errors that code can distinguish."""

from __future__ import annotations

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


def check_size(width: int, height: int, name: str, max_pixels: int) -> None:
    """Refuse an image over the pixel limit, or without pixels.

    Raises:
        TooManyPixelsError: It is over the limit.
        UndecodableError: It has no pixels.
    """
    if width * height > max_pixels:
        raise TooManyPixelsError(f"{width} x {height} pixels are more than the limit of {max_pixels:,}", name)
    if width < 1 or height < 1:
        raise UndecodableError(f"a {name} file without any pixels", name)
