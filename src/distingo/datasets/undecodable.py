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
