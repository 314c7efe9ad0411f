"""Pictures for the page: upright, of bounded size, encoded anew."""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from distingo.datasets.decoding import NO_LIMIT, open_source, read_bytes, read_header
from distingo.errors import DataError
from distingo.records import DEFAULT_MAX_PIXELS, Source
from distingo.report.wording import file_size

LONGEST_SIDE = 1600
"""Pixels of the longer side of what is sent."""

TINY = 256
"""Pictures up to this many pixels are sent without loss and enlarged pixel by pixel."""

_KEPT = 48
_AT_ONCE = 2


@dataclass(frozen=True, slots=True)
class EncodedPicture:
    """A picture as the browser gets it."""

    content: bytes
    media_type: str


class PictureServer:
    """Encodes pictures, a few at a time, and remembers the last ones."""

    def __init__(self, max_pixels: int = DEFAULT_MAX_PIXELS) -> None:
        self._max_pixels = max_pixels
        self._kept: OrderedDict[tuple[Path, int | None, str], EncodedPicture] = OrderedDict()
        self._lock = threading.Lock()
        self._gate = threading.Semaphore(_AT_ONCE)

    def get(self, source: Source, version: str) -> EncodedPicture:
        """Encode a picture, unless it was asked for shortly before.

        Args:
            source: Where it is.
            version: Changes whenever its bytes do.

        Raises:
            DataError: It can't be opened or decoded.
        """
        key = (source.path, source.index, version)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        with self._gate:
            encoded = encode_picture(open_source(source, enough=LONGEST_SIDE, max_pixels=self._max_pixels))
        with self._lock:
            self._kept[key] = encoded
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return encoded


def describe_picture(source: Source) -> tuple[str, str]:
    """A picture's size and format in words, and why it can't be shown; one of the two is empty."""
    if source.index is not None:
        return "IDX", ""
    try:
        data = read_bytes(source)
        header = read_header(data, max_pixels=NO_LIMIT)
    except DataError as error:
        return "", str(error)
    return f"{header.width} × {header.height} · {header.format} · {file_size(len(data))}", ""


def encode_picture(image: Image.Image) -> EncodedPicture:
    """Shrink a picture to what the page can show; nothing but its pixels is sent.

    Args:
        image: Mode ``RGB`` or ``L``, upright.
    """
    encoded = io.BytesIO()
    if max(image.size) <= TINY:
        Image.fromarray(np.asarray(image)).save(encoded, "PNG")
        return EncodedPicture(encoded.getvalue(), "image/png")
    small = image.copy()
    small.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS, reducing_gap=3.0)
    Image.fromarray(np.asarray(small)).save(encoded, "JPEG", quality=90)
    return EncodedPicture(encoded.getvalue(), "image/jpeg")
