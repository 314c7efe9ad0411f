"""Files that Pillow opens: by their real format, within the caller's pixel limit, and silently.

A JPEG whose end marker is missing is completed, if all its pixels are there.
"""

from __future__ import annotations

import functools
import io
import struct
import threading
import warnings
from collections import defaultdict
from collections.abc import Iterator

from PIL import Image, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from distingo.datasets.decoding.failures import TooManyPixelsError, UnsupportedError, check_size, listen
from distingo.datasets.decoding.formats import ENDINGS, detect_format
from distingo.datasets.decoding.headers import JPEG_FRAMES, JPEG_SCAN, icon_sizes, jpeg_segments
from distingo.messages.notes import note

_READERS = {name: name.upper().replace(" ", "") for name in ENDINGS if name != "JPEG XL"}
"""Pillow's name of each format that it reads for us."""

_UNKNOWN = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "DIB", "TIFF", "AVIF", "JPEG2000", "PPM")
"""Pillow's formats that are tried in turn where the first bytes do not tell."""

NAMES = {"MPO": "JPEG", "WEBP": "WebP", "JPEG2000": "JPEG 2000", "DIB": "BMP"}
"""Our names of Pillow's formats, where they differ."""

_preparing = threading.Lock()

_END = b"\xff\xd9"
_PROGRESSIVE = frozenset({0xC2, 0xCA})
_PADDING = 16
"""A file that ends in so many zero bytes was not written to its end."""

_FILLINGS = (
    b"\xaa" * 64,
    b"\x55" * 64,
    b"\xfe" * 64,
    *(bytes((start * step + 7 * start) % 255 for step in range(64)) for start in (3, 29, 58, 101, 140, 177, 203, 238)),
)
"""Made-up data that begin with different bits: a decoder that lacks even one bit takes it from them. Many, as a pixel
beyond black or white looks the same whatever it lacks."""


def open_by_pillow(data: bytes, max_pixels: int) -> tuple[Image.Image, str]:
    """Open a file by Pillow, with the caller's pixel limit in place of Pillow's own, which is one for the process."""
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
    """`PIL.Image.open` without its check of the size, which has one limit for the process."""
    for name in formats:
        factory, accept = Image.OPEN[name]
        try:
            if accept is None or accept(data[:16]) is True:
                return factory(io.BytesIO(data), "")
        except (SyntaxError, IndexError, TypeError, struct.error):
            continue
    raise UnidentifiedImageError


def quiet_pillow() -> None:
    """Keep Pillow's warnings about malformed files off the terminal: the manifest gives the reasons.

    Checked on every call because test runners and `warnings.catch_warnings` restore the filters.
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
    """A JPEG that lacks nothing but its end marker, with the marker.

    Whether all pixels are there shows by decoding the file with different made-up data before the end marker: they
    are passed over where no pixel lacks, and change pixels where even a bit is lacking. A progressive file must also
    have all its scans.

    Args:
        data: A file that a decoder calls truncated.

    Returns:
        The file to decode; None where more is lacking, or it is damaged in another way.
    """
    body = _without_padding(data)
    if not _has_all_scans(body):
        return None
    whole = body + _END
    try:
        expected = _pixels(whole)
        alike = all(_pixels(body + filling + _END) == expected for filling in _fillings(body))
    except (OSError, SyntaxError, ValueError, MemoryError):
        return None
    return whole if alike else None


def _without_padding(data: bytes) -> bytes:
    if not data.endswith(bytes(_PADDING)):
        return data.removesuffix(b"\xff")
    body = data.rstrip(b"\0")
    # In the pixels' data a byte of ones is followed by one of zeros.
    return body + b"\0" if body.endswith(b"\xff") else body


def _fillings(body: bytes) -> Iterator[bytes]:
    """Made-up data; where intervals are marked, also data that the next mark introduces."""
    yield from _FILLINGS
    if b"\xff\xdd" not in body:
        return
    last = max((body.rfind(bytes((0xFF, 0xD0 + number))), number) for number in range(8))
    following = bytes((0xFF, 0xD0 + (last[1] + 1) % 8 if last[0] >= 0 else 0xD0))
    yield from (following + filling for filling in _FILLINGS)


def _pixels(data: bytes) -> bytes:
    """The decoded samples, before they become RGB, which is cut off at black and white and so hides differences."""
    image = JpegImageFile(io.BytesIO(data))
    image.draft("YCbCr", image.size)
    return image.tobytes()


def is_padded(data: bytes) -> bool:
    """Whether a file ends in zero bytes where pixels or the end marker should be, as after a power cut."""
    return data.endswith(bytes(_PADDING)) and data.rfind(_END) < data.rfind(b"\xff\xda")


def _has_all_scans(data: bytes) -> bool:
    """Whether every coefficient of every component has come, down to its last bit."""
    components: list[int] = []
    progressive = False
    left: dict[int, set[int]] = {}
    last_bits: dict[tuple[int, int], int] = defaultdict(lambda: 1)
    for marker, at, length in jpeg_segments(data):
        content = data[at : at + length]
        if marker in JPEG_FRAMES:
            components = list(content[6 : 6 + 3 * content[5] : 3]) if len(content) > 5 else []
            progressive = marker in _PROGRESSIVE
            left = {component: set(range(64)) for component in components}
        elif marker == JPEG_SCAN and content:
            named = content[1 : 1 + 2 * content[0] : 2]
            first, last, bits = content[-3:] if len(content) >= 3 else (0, 63, 0)
            for component in named:
                for coefficient in range(first, last + 1) if progressive else range(64):
                    last_bits[component, coefficient] = bits & 15 if progressive else 0
                    if last_bits[component, coefficient] == 0:
                        left.get(component, set()).discard(coefficient)
    return bool(components) and not any(left.values())
