"""One image of a request as a record, and the decoding of its file within limits.

What decoding may cost is estimated from the file's first bytes alone, before any library opens it: a header of an
ordinary image is decoded at once, of any other in a process that may be killed (`distingo.serving.decoding`).
"""

from __future__ import annotations

import contextlib
import struct
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from distingo.datasets.decoding.decode import TooManyPixelsError, UndecodableError, UnreadableError, decode, read_header
from distingo.datasets.decoding.formats import describe_non_image, detect_format
from distingo.records import ValueRanges
from distingo.serving.http.errors import RefusedError

ACCEPTED = ("JPEG", "PNG", "WebP", "GIF", "BMP", "TIFF", "HEIF", "AVIF")
"""Formats that are decoded; anything else is refused from its first bytes."""

_NOT_SCORED = np.empty(0, np.float32)
_MOST_BYTES = 8 * 2**20
_MOST_PIXELS = 4_000_000
_MOST_REDUCED_PIXELS = 24_000_000
"""Of a JPEG that is decoded at a fraction of its size: a tenth of a second."""

_BYTES_PER_PIXEL = 24
"""Above what decoding was measured to take: 18 for a deep PNG with alpha and a color profile, 13 for 8-bit RGBA."""

_FIXED_BYTES = 64 * 2**20
_REDUCIBLE = 4
"""From so many times the pixels that are enough on, a JPEG is decoded at a fraction of its size."""

_SCAN = b"\xff\xda"
_MOST_SCANS = 20
"""Passes over all pixels that a JPEG of the greatest size may take; ordinary progressive ones take about ten."""


@dataclass(frozen=True, slots=True, eq=False)
class RequestImage:
    """One image of a request, from the upload to the answer; each step fills in what it finds.

    Attributes:
        name: What the client calls it.
        content: Its file's bytes, or pixels as uint8 (height, width, 1 or 3).
        row: What the model takes, while it is decoded and not scored yet.
        probabilities: float32 (classes,), calibrated, once it is scored; empty before.
        is_ood: Whether it is out of distribution; None where the model can't tell.
        refusal: Why it can't be scored; None where it can.
    """

    name: str
    content: bytes | bytearray | np.ndarray
    row: np.ndarray | None = None
    probabilities: np.ndarray = field(default_factory=lambda: _NOT_SCORED)
    is_ood: bool | None = None
    refusal: RefusedError | None = None

    @property
    def file(self) -> bytes:
        """Its file's bytes; empty where it came as pixels."""
        return b"" if isinstance(self.content, np.ndarray) else bytes(self.content)


@dataclass(frozen=True, slots=True)
class HeaderCost:
    """What decoding a file may cost, by its header.

    Attributes:
        pixels: Width times height; None where they are not known.
        ordinary: Whether decoding takes a tenth of a second and a hundred megabytes at the most, whatever follows.
    """

    pixels: int | None
    ordinary: bool

    def memory(self, most: int) -> int:
        """Bytes that decoding may take, at most `most`."""
        return most if self.pixels is None else min(most, _FIXED_BYTES + self.pixels * _BYTES_PER_PIXEL)


UNKNOWN_COST = HeaderCost(None, ordinary=False)


def read_cost(data: bytes, name: str, *, scans: int = 1, enough: int | None = None) -> HeaderCost:
    """Estimate from a header what decoding costs.

    Args:
        data: The whole file.
        name: Its format, as `distingo.datasets.decoding.formats.detect_format` has it.
        scans: Of a JPEG, how often a scan begins.
        enough: As for `distingo.datasets.decoding.decode.decode`.

    Returns:
        The cost; that of a file in which two decoders may find different sizes is not known. Ordinary are JPEG, PNG,
        WebP, GIF and uncompressed BMP of up to 4 million pixels, JPEG of one scan and up to 24 million where it is
        decoded at a fraction of its size, each scan of a JPEG counting anew, in files of up to 8 MB.
    """
    reader = _READERS.get(name)
    header = None
    if reader is not None:
        with contextlib.suppress(IndexError, struct.error):
            header = reader(data)
    if header is None:
        return UNKNOWN_COST
    pixels = header.width * header.height
    cost = pixels * header.weight * max(1, scans if name == "JPEG" else 1)
    most = _MOST_PIXELS
    if header.reducible and scans <= 1 and enough is not None:
        most = _MOST_REDUCED_PIXELS if min(header.width, header.height) > _REDUCIBLE * enough else most
    return HeaderCost(pixels, 0 < cost <= most and len(data) <= _MOST_BYTES)


@dataclass(frozen=True, slots=True)
class _Header:
    """A header's numbers.

    Attributes:
        width: In pixels.
        height: Likewise.
        weight: How many times as much as an ordinary pixel each one costs.
        reducible: Whether the file can be decoded at a fraction of its size without all its pixels in memory.
    """

    width: int
    height: int
    weight: int = 1
    reducible: bool = False


def _png(data: bytes) -> _Header | None:
    """One header that comes first, and no other before the pixels: of several, decoders take the last."""
    if data[12:16] != b"IHDR" or data[8:12] != b"\0\0\0\r":
        return None
    at = 33
    while (kind := data[at + 4 : at + 8]) != b"IDAT":
        if kind == b"IHDR" or not kind.isalpha():
            return None
        at += 12 + int.from_bytes(data[at : at + 4], "big")
    width, height, bits = struct.unpack_from(">IIB", data, 16)
    return _Header(width, height, 4 if bits > 8 else 1)


_IMAGE, _EXTENSION = 0x2C, 0x21


def _gif(data: bytes) -> _Header | None:
    """The screen, or as much more as the first frame covers: decoders enlarge it."""
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    at = 13 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
    while data[at] == _EXTENSION:
        at += 2
        if not data[at]:
            return None
        while data[at]:
            at += 1 + data[at]
        at += 1
    if data[at] != _IMAGE:
        return None
    left, top, frame_width, frame_height = struct.unpack_from("<4H", data, at + 1)
    return _Header(max(width, left + frame_width), max(height, top + frame_height))


_BMP_HEADERS = frozenset({40, 52, 56, 64, 108, 124})

_UNCOMPRESSED = frozenset({0, 3})


def _bmp(data: bytes) -> _Header | None:
    if struct.unpack_from("<I", data, 14)[0] not in _BMP_HEADERS:
        return None
    width, height, _planes, _bits, compression = struct.unpack_from("<iiHHI", data, 18)
    return _Header(width, abs(height)) if compression in _UNCOMPRESSED and width > 0 else None


def _webp(data: bytes) -> _Header | None:
    kind = data[12:16]
    if kind == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", data, 26)
        return _Header(width & 0x3FFF, height & 0x3FFF)
    if kind == b"VP8L" and data[20] == 0x2F:
        (packed,) = struct.unpack_from("<I", data, 21)
        return _Header((packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1)
    if kind == b"VP8X" and not data[20] & 2:  # one that moves has frames of their own sizes
        width, height = (int.from_bytes(data[at : at + 3], "little") + 1 for at in (24, 27))
        return _Header(width, height)
    return None


_SEQUENTIAL = frozenset({0xC0, 0xC1})

_FRAMES = frozenset({0xC0, 0xC1, 0xC2})
"""Huffman-coded frames; all others are rare."""

_START_OF_SCAN = 0xDA

_SEGMENTS = _FRAMES | {0xC4, 0xDB, 0xDD, *range(0xE0, 0xF0), 0xFE}
"""Tables, programs' notes, and comments: all that comes before an ordinary file's first scan."""


def _jpeg(data: bytes) -> _Header | None:
    """One frame, among nothing but whole segments: anything else each decoder skips in its own way."""
    at, frame = 2, None
    while True:
        if data[at] != 0xFF:
            return None
        while data[at] == 0xFF:
            at += 1
        marker, length = data[at], int.from_bytes(data[at + 1 : at + 3], "big")
        if length < 2:
            return None
        if marker == _START_OF_SCAN:
            break
        if marker not in _SEGMENTS or (marker in _FRAMES and frame is not None):
            return None
        if marker in _FRAMES:
            frame = (marker, *struct.unpack_from(">BHHB", data, at + 3))
        at += 1 + length
    if frame is None:
        return None
    kind, bits, height, width, components = frame
    if bits != 8:
        return None
    return _Header(width, height, reducible=kind in _SEQUENTIAL and data[at + 3] == components)


_READERS = {"PNG": _png, "GIF": _gif, "BMP": _bmp, "WebP": _webp, "JPEG": _jpeg}


def decode_upload(
    data: bytes, *, max_pixels: int, enough: int | None, value_ranges: ValueRanges | None = None
) -> Image.Image:
    """Decode an uploaded image.

    Args:
        data: The file.
        max_pixels: Width times height above which it is refused, from its header alone.
        enough: As for `distingo.datasets.decoding.decode.decode`.
        value_ranges: The model's, likewise.

    Returns:
        The image in mode ``RGB`` or ``L``, upright.

    Raises:
        RefusedError: It is no accepted format (415), too large (413), or damaged (422).
    """
    try:
        return _decode(data, max_pixels, max_pixels, enough, value_ranges)
    except TooManyPixelsError as error:
        raise RefusedError(413, f"{error.reason}; send a smaller image") from error


def decode_ordinary(
    data: bytes, cost: HeaderCost, *, max_pixels: int, enough: int | None, value_ranges: ValueRanges | None = None
) -> Image.Image | None:
    """Decode an uploaded image that is cheap by its header, unless it turns out to have more pixels than that states.

    Args:
        data: The file.
        cost: By its header, ordinary.
        max_pixels: As for `decode_upload`.
        enough: Likewise.
        value_ranges: Likewise.

    Returns:
        The image; None where the header is wrong, before any pixel is decoded.

    Raises:
        RefusedError: As `decode_upload`.
    """
    stated = cost.pixels or 0
    if stated > max_pixels:
        return decode_upload(data, max_pixels=max_pixels, enough=enough, value_ranges=value_ranges)
    try:
        return _decode(data, stated, max_pixels, enough, value_ranges)
    except TooManyPixelsError:
        return None


def _decode(
    data: bytes, most: int, max_pixels: int, enough: int | None, value_ranges: ValueRanges | None
) -> Image.Image:
    name = _accepted_format(data)
    try:
        if name == "JPEG":
            _check_scans(data, max_pixels)
        return decode(data, max_pixels=most, enough=enough, value_range=value_ranges).image
    except TooManyPixelsError:
        raise
    except UnreadableError as error:
        raise too_much_memory() from error
    except UndecodableError as error:
        raise RefusedError(422, f"{error.reason}; send the image as it was saved") from error


def too_much_memory() -> RefusedError:
    """The refusal of an image whose decoding needs more memory than it may take."""
    return RefusedError(413, "decoding it takes more memory than is allowed; send a smaller image")


def cost_of(data: bytes, enough: int | None) -> HeaderCost:
    """What decoding an uploaded image may cost, from its header.

    Args:
        data: The file.
        enough: As for `distingo.datasets.decoding.decode.decode`.

    Raises:
        RefusedError: It is no accepted format (415).
    """
    name = _accepted_format(data)
    return read_cost(data, name, scans=data.count(_SCAN) if name == "JPEG" else 1, enough=enough)


def _accepted_format(data: bytes) -> str:
    name = detect_format(data)
    if name not in ACCEPTED:
        came = str(describe_non_image(name) or "") or ("no known image" if name == "unknown" else f"a {name} file")
        raise RefusedError(
            422 if name == "empty" else 415, f"{came}; send {', '.join(ACCEPTED[:-1])} or {ACCEPTED[-1]}"
        )
    return name


def _check_scans(data: bytes, max_pixels: int) -> None:
    """A small progressive JPEG can name thousands of scans, each of which passes over all pixels."""
    scans = data.count(_SCAN)
    if scans <= _MOST_SCANS:
        return
    header = read_header(data, max_pixels=max_pixels)
    if scans * header.width * header.height > _MOST_SCANS * max_pixels:
        raise RefusedError(413, f"a JPEG of {scans:,} scans is too costly to decode; save it anew")


def check_pixels(height: int, width: int, max_pixels: int) -> None:
    """Refuse pixels that come as numbers and are too many.

    Raises:
        RefusedError: They are (413).
    """
    if height * width > max_pixels:
        raise RefusedError(413, f"an image of more than {max_pixels:,} pixels; send a smaller one")
