"""Open files with Pillow, by their actual format and within the caller's pixel limit; and complete cut-off JPEGs."""

from __future__ import annotations

import functools
import io
import struct
import threading
import warnings
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from distingo.datasets.decoding.color_profiles import profile_of_png
from distingo.datasets.decoding.failures import TooManyPixelsError, UnsupportedError, check_size, listen
from distingo.datasets.decoding.formats import ENDINGS, detect_format
from distingo.datasets.decoding.headers import JPEG_FRAMES, JPEG_SCAN, icon_sizes, jpeg_segments
from distingo.messages.notes import note

_READERS = {name: name.upper().replace(" ", "") for name in ENDINGS if name != "JPEG XL"}
"""Pillow's names of the formats that it reads for distingo."""

_UNKNOWN = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "DIB", "TIFF", "AVIF", "JPEG2000", "PPM")
"""Pillow's formats to try in turn if the first bytes are not conclusive."""

NAMES = {"MPO": "JPEG", "WEBP": "WebP", "JPEG2000": "JPEG 2000", "DIB": "BMP"}
"""distingo's names of Pillow's formats, where they differ."""

_preparing = threading.Lock()

_END = b"\xff\xd9"
_PROGRESSIVE = frozenset({0xC2, 0xCA})
_PADDING = 16
"""Number of trailing zero bytes that show that a file was not written completely."""

_FILLINGS = (
    b"\xaa" * 64,
    b"\x55" * 64,
    b"\xfe" * 64,
    *(bytes((start * step + 7 * start) % 255 for step in range(64)) for start in (3, 29, 58, 101, 140, 177, 203, 238)),
)
"""Arbitrary data beginning with different bits, from which a decoder reads any missing bits. There are many of them, as
a saturated black or white pixel may hide a difference."""


def open_by_pillow(data: bytes, max_pixels: int) -> tuple[Image.Image, str]:
    """Open a file with Pillow, under the caller's pixel limit instead of Pillow's own, which is global."""
    quiet_pillow()
    detected = detect_format(data)
    if detected == "HEIF":
        _register_heif()
    if detected in {"ICO", "CUR", "ICNS"}:
        _check_icon(data, detected, max_pixels)
    image = _open_as(data, (_READERS[detected],) if detected in _READERS else _UNKNOWN)
    name = NAMES.get(image.format or "", image.format or "unknown")
    check_size(*image.size, name, max_pixels)
    if image.format == "SGI" and data[3] != 1:
        raise UnsupportedError(note("unsupported-sgi"), name)
    return image, name


def _check_icon(data: bytes, name: str, max_pixels: int) -> None:
    for width, height in icon_sizes(data, name):
        if width * height > max_pixels:
            reason = note("too-many-pixels-inside", width=width, height=height, limit=max_pixels)
            raise TooManyPixelsError(reason, name)


def _open_as(data: bytes, formats: tuple[str, ...]) -> Image.Image:
    """Open an image like `PIL.Image.open`, but without its size check, as its limit is global."""
    for name in formats:
        factory, accept = Image.OPEN[name]
        try:
            if accept is None or accept(data[:16]) is True:
                return factory(io.BytesIO(data), "")
        except (SyntaxError, IndexError, TypeError, struct.error):
            continue
    raise UnidentifiedImageError


def quiet_pillow() -> None:
    """Suppress Pillow's warnings about malformed files, as the manifest contains the reasons.

    Done on every call because test runners and `warnings.catch_warnings` restore the filters.
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


def completed(data: bytes) -> bytes | None:
    """Complete a JPEG that lacks nothing but its end marker.

    To check that all pixels are present, the file is decoded with different arbitrary data before the end marker: the
    data is skipped if no pixel is missing, and changes pixels if even a bit is missing. A progressive file must also
    contain all its scans.

    Args:
        data: A file that a decoder reports as truncated.

    Returns:
        The file to decode; None if more is missing, or it is damaged in another way.
    """
    body = _without_padding(data)
    if not _has_all_scans(body):
        return None
    completed_data = body + _END
    try:
        expected = _pixels(completed_data)
        is_complete = all(_pixels(body + filling + _END) == expected for filling in _fillings(body))
    except (OSError, SyntaxError, ValueError, MemoryError):
        return None
    return completed_data if is_complete else None


def _without_padding(data: bytes) -> bytes:
    if not data.endswith(bytes(_PADDING)):
        return data.removesuffix(b"\xff")
    body = data.rstrip(b"\0")
    # In encoded pixels, a byte of ones is followed by a byte of zeros.
    return body + b"\0" if body.endswith(b"\xff") else body


def _fillings(body: bytes) -> Iterator[bytes]:
    """Yield arbitrary data; if the file has restart intervals, also data after the next restart marker."""
    yield from _FILLINGS
    if b"\xff\xdd" not in body:
        return
    last = max((body.rfind(bytes((0xFF, 0xD0 + number))), number) for number in range(8))
    following = bytes((0xFF, 0xD0 + (last[1] + 1) % 8 if last[0] >= 0 else 0xD0))
    yield from (following + filling for filling in _FILLINGS)


def _pixels(data: bytes) -> bytes:
    """The decoded samples before their conversion to RGB, which would hide differences by clipping."""
    image = JpegImageFile(io.BytesIO(data))
    image.draft("YCbCr", image.size)
    return image.tobytes()


def is_padded(data: bytes) -> bool:
    """Whether a file ends in zero bytes instead of pixels or the end marker, for example after a power failure."""
    return data.endswith(bytes(_PADDING)) and data.rfind(_END) < data.rfind(b"\xff\xda")


def _has_all_scans(data: bytes) -> bool:
    """Whether every coefficient of every component is complete, down to its last bit."""
    components: list[int] = []
    progressive = False
    incomplete: dict[int, set[int]] = {}
    last_bits: dict[tuple[int, int], int] = defaultdict(lambda: 1)
    for marker, at, length in jpeg_segments(data):
        content = data[at : at + length]
        if marker in JPEG_FRAMES:
            components = list(content[6 : 6 + 3 * content[5] : 3]) if len(content) > 5 else []
            progressive = marker in _PROGRESSIVE
            incomplete = {component: set(range(64)) for component in components}
        elif marker == JPEG_SCAN and content:
            scan_components = content[1 : 1 + 2 * content[0] : 2]
            first, last, bits = content[-3:] if len(content) >= 3 else (0, 63, 0)
            for component in scan_components:
                for coefficient in range(first, last + 1) if progressive else range(64):
                    last_bits[component, coefficient] = bits & 15 if progressive else 0
                    if last_bits[component, coefficient] == 0:
                        incomplete.get(component, set()).discard(coefficient)
    return bool(components) and not any(incomplete.values())


@dataclass(frozen=True, slots=True)
class StoredValues:
    """The values of a deep image as stored in its file, before they are scaled to 8 bits.

    Attributes:
        values: (height, width) gray, (height, width, 2) gray with alpha, or (height, width, 3 or 4) RGB without or
            with alpha; integer or float.
        bits: As for `ValueSummary.bits`; None uses those of the type.
        profile: An ICC profile; None for sRGB.
        orientation: As in EXIF, 1 to 8.
    """

    values: np.ndarray
    bits: int | None = None
    profile: bytes | None = None
    orientation: int = 1


def profile_of(image: Image.Image, name: str, cicp: bytes | None, *, gray: bool) -> bytes | None:
    """The color profile of an image opened by Pillow.

    Args:
        image: The image, loaded or not.
        name: Its format; a PNG may define its colors in its own chunks.
        cicp: As for `show_image`.
        gray: Whether its pixels are gray.

    Returns:
        An ICC profile, empty if there is an unusable one; None for sRGB.
    """
    profile: bytes | None = image.info.get("icc_profile")
    if profile is None and "icc_profile" in image.info:
        return b""  # Pillow found one that it can't unpack
    if profile is None and name == "PNG":
        return profile_of_png(image.info, cicp, gray=gray)
    return profile


def orientation_of(image: Image.Image) -> int:
    """The orientation of an image, as in EXIF; 1 if it has none or it can't be read."""
    try:
        return int(image.getexif().get(_ORIENTATION_TAG, 1))
    except Exception:
        # An image with unreadable EXIF data is still an image.
        return 1


_ORIENTATION_TAG = 0x0112
