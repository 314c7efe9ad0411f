"""Files opened by Pillow: by what they are, within the caller's pixel limit, and in silence."""

from __future__ import annotations

import functools
import io
import struct
import threading
import warnings

from PIL import Image, UnidentifiedImageError

from distingo.datasets.decoder_noise import listen
from distingo.datasets.embedded_images import check_embedded
from distingo.datasets.formats import detect_format
from distingo.datasets.undecodable import UnsupportedError, check_size

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
        raise UnsupportedError("an SGI image of 16 bits per color; save it as PNG or TIFF", name)
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
