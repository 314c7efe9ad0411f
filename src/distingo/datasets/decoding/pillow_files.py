"""Files opened by Pillow: by what they are, within the caller's pixel limit, and in silence.

Images inside icon files: their sizes, which may be others than the icon's directory has.

The chunks of a PNG file that Pillow doesn't hand on.
"""

from __future__ import annotations

import functools
import io
import struct
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

from PIL import Image, UnidentifiedImageError

from distingo.datasets.decoding.failures import TooManyPixelsError, UnsupportedError, check_size, listen
from distingo.datasets.decoding.formats import detect_format
from distingo.messages.notes import note

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
            reason = note("too-many-pixels-inside", width=width, height=height, limit=max_pixels)
            raise TooManyPixelsError(reason, name)


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


_PILLOW_FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "DIB", "TIFF", "AVIF", "JPEG2000", "PPM")
"""Tried in turn where the first bytes don't tell."""

_READERS = {
    "JPEG": "JPEG",
    "PNG": "PNG",
    "GIF": "GIF",
    "WebP": "WEBP",
    "BMP": "BMP",
    "TIFF": "TIFF",
    "AVIF": "AVIF",
    "JPEG 2000": "JPEG2000",
    "PPM": "PPM",
    "HEIF": "HEIF",
    "ICO": "ICO",
    "CUR": "CUR",
    "ICNS": "ICNS",
    "TGA": "TGA",
    "QOI": "QOI",
    "DDS": "DDS",
    "PCX": "PCX",
    "SGI": "SGI",
}
"""Pillow's name of each format that it reads for us."""

NAMES = {"MPO": "JPEG", "WEBP": "WebP", "JPEG2000": "JPEG 2000", "DIB": "BMP"}

_preparing = threading.Lock()


def open_by_pillow(data: bytes, max_pixels: int) -> tuple[Image.Image, str]:
    """Open a file by Pillow, with the caller's pixel limit in place of Pillow's own, which is one for the process."""
    quiet_pillow()
    detected = detect_format(data)
    if detected == "HEIF":
        _register_heif()
    check_embedded(data, detected, max_pixels)
    formats = (_READERS[detected],) if detected in _READERS else _PILLOW_FORMATS
    image = _open_as(data, formats)
    name = NAMES.get(image.format or "", image.format or "unknown")
    check_size(*image.size, name, max_pixels)
    if image.format == "SGI" and data[3] != 1:
        raise UnsupportedError(note("unsupported-sgi"), name)
    return image, name


def _open_as(data: bytes, formats: tuple[str, ...]) -> Image.Image:
    """`PIL.Image.open` without its check of the size, which knows of one limit only."""
    for name in formats:
        factory, accept = Image.OPEN[name]
        try:
            if accept is None or accept(data[:16]) is True:
                return factory(io.BytesIO(data), "")
        except (SyntaxError, IndexError, TypeError, struct.error):
            continue
    raise UnidentifiedImageError


def quiet_pillow() -> None:
    """Keep Pillow's warnings about malformed files off the terminal: the manifest says it better.

    Looked at on every call because test runners and `warnings.catch_warnings` put the filters back.
    """
    _load_plugins()
    for category in (Image.DecompressionBombWarning, UserWarning):
        if not any(
            action == "ignore" and kind is category and getattr(module, "pattern", None) == r"PIL\."
            for action, _, kind, module, _ in warnings.filters
        ):
            warnings.filterwarnings("ignore", category=category, module=r"PIL\.")


@functools.cache
def _load_plugins() -> None:
    with _preparing:
        Image.init()
    listen()


@functools.cache
def _register_heif() -> None:
    with _preparing:
        import pillow_heif

        pillow_heif.register_heif_opener(thumbnails=False)


_SIGNATURE = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True, slots=True)
class PngFacts:
    """What a PNG's chunks before its pixels tell.

    Attributes:
        depth: Bits per stored sample.
        bits: Significant bits of a sample, from the sBIT chunk; None where there is none.
        cicp: The four bytes of the cICP chunk (color primaries, transfer, matrix, range); None where there is none.
    """

    depth: int
    bits: int | None = None
    cicp: bytes | None = None


def read_png_facts(data: bytes) -> PngFacts:
    """Read the chunks before the pixels.

    Args:
        data: The file's content.

    Returns:
        What they tell; a depth of 0 where the file is damaged.
    """
    depth, bits, cicp = 0, None, None
    for name, content in _chunks(data):
        if name == b"IHDR" and len(content) >= 13:
            depth = content[8]
        elif name == b"sBIT" and content:
            bits = max(content[:3])
        elif name == b"cICP" and len(content) == 4:
            cicp = content
    return PngFacts(depth, bits if bits and 0 < bits < depth else None, cicp)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Name and content of every chunk up to the pixels."""
    at = len(_SIGNATURE)
    while at + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        if name in {b"IDAT", b"IEND"}:
            return
        yield name, data[at + 8 : at + 8 + length]
        at += length + 12
