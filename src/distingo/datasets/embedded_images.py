"""Images inside icon files: their sizes, which may be others than the icon's directory has."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from distingo.datasets.undecodable import TooManyPixelsError

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG_2000 = b"\xff\x4f\xff\x51"


def check_embedded(data: bytes, name: str, max_pixels: int) -> None:
    """Refuse an icon file that holds an image over the pixel limit.

    Args:
        data: The file's content.
        name: Its format; other formats than icons are left alone.
        max_pixels: As for `decoding.decode`.

    Raises:
        TooManyPixelsError: It does.
    """
    if name not in {"ICO", "CUR", "ICNS"}:
        return
    for width, height in _sizes(data, name):
        if width * height > max_pixels:
            raise TooManyPixelsError(
                f"holds an image of {width} x {height} pixels, more than the limit of {max_pixels:,}", name
            )


def _sizes(data: bytes, name: str) -> Iterator[tuple[int, int]]:
    at = -1
    while (at := data.find(_PNG, at + 1)) >= 0 and at + 24 <= len(data):
        yield struct.unpack_from(">II", data, at + 16)
    at = -1
    while name == "ICNS" and (at := data.find(_JPEG_2000, at + 1)) >= 0 and at + 24 <= len(data):
        right, bottom, left, top = struct.unpack_from(">4I", data, at + 8)
        yield right - left, bottom - top
    if name == "ICNS":
        return
    for entry in range(int.from_bytes(data[4:6], "little")):
        place = 6 + 16 * entry + 12
        (start,) = struct.unpack_from("<I", data, place) if place + 4 <= len(data) else (len(data),)
        if data[start : start + 4] == b"\x28\0\0\0" and start + 12 <= len(data):
            width, height = struct.unpack_from("<ii", data, start + 4)
            yield abs(width), abs(height) // 2
