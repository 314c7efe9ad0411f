"""Uploaded bytes to what a model looks at, within limits that hold before any pixel is decoded.

What decoding an uploaded image may cost, from its first bytes alone: no library opens the file for this.
"""

from __future__ import annotations

import contextlib
import struct
from dataclasses import dataclass

from PIL import Image

from distingo.datasets.decoding.decode import TooManyPixelsError, UndecodableError, UnreadableError, decode, read_header
from distingo.datasets.decoding.formats import describe_non_picture, detect_format
from distingo.records import ValueRanges
from distingo.serving.refused import RefusedError

_MOST_BYTES = 8 * 2**20

_MOST_PIXELS = 4_000_000

_MOST_REDUCED_PIXELS = 24_000_000
"""Of a JPEG that is decoded at a fraction of its size: a tenth of a second."""

_BYTES_PER_PIXEL = 24
"""Above what decoding was measured to take: 18 for a deep PNG with alpha and a color profile, 13 for 8-bit RGBA."""

_FIXED_BYTES = 64 * 2**20

_REDUCIBLE = 4
"""From so many times the pixels that are enough on, a JPEG is decoded at a fraction of its size."""


@dataclass(frozen=True, slots=True)
class HeaderCost:
    """An image file as its header has it.

    Attributes:
        pixels: Width times height; None where the header is not understood here.
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
        The cost; that of a file in which two decoders may see different sizes is not known. Ordinary are JPEG, PNG,
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
    """What a header has.

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
"""Huffman-coded frames; any others are rare."""

_START_OF_SCAN = 0xDA

_SEGMENTS = _FRAMES | {0xC4, 0xDB, 0xDD, *range(0xE0, 0xF0), 0xFE}
"""Tables, what programs note, and comments: all that stands before an ordinary file's first scan."""


def _jpeg(data: bytes) -> _Header | None:
    """One frame, among nothing but whole segments: what else stands there, each decoder skips in its own way."""
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

ACCEPTED = ("JPEG", "PNG", "WebP", "GIF", "BMP", "TIFF", "HEIF", "AVIF")
"""Formats that are decoded; anything else is refused from its first bytes."""

_SCAN = b"\xff\xda"

_MOST_SCANS = 20
"""Passes over all pixels that a JPEG of the greatest size may take; ordinary progressive ones take about ten."""


def decode_upload(
    content: bytes | bytearray, *, max_pixels: int, enough: int | None, value_ranges: ValueRanges | None = None
) -> Image.Image:
    """Decode an uploaded picture.

    Args:
        content: The file's bytes.
        max_pixels: Width times height above which it is refused, from its header alone.
        enough: As for `distingo.datasets.decoding.decode.decode`.
        value_ranges: The model's, likewise.

    Returns:
        The picture in mode ``RGB`` or ``L``, upright.

    Raises:
        RefusedError: It is no accepted format (415), too large (413), or damaged (422).
    """
    data = bytes(content)
    try:
        return _decode(data, max_pixels, max_pixels, enough, value_ranges)
    except TooManyPixelsError as error:
        raise RefusedError(413, f"{error.reason}; send a smaller picture") from error


def decode_ordinary(
    content: bytes | bytearray,
    cost: HeaderCost,
    *,
    max_pixels: int,
    enough: int | None,
    value_ranges: ValueRanges | None = None,
) -> Image.Image | None:
    """Decode an uploaded picture that is cheap by its header, unless it turns out to have more pixels than that says.

    Args:
        content: The file's bytes.
        cost: By its header, ordinary.
        max_pixels: As for `decode_upload`.
        enough: Likewise.
        value_ranges: Likewise.

    Returns:
        The picture; None where the header lied, before any pixel is decoded.

    Raises:
        RefusedError: As `decode_upload`.
    """
    stated = cost.pixels or 0
    if stated > max_pixels:
        return decode_upload(content, max_pixels=max_pixels, enough=enough, value_ranges=value_ranges)
    try:
        return _decode(bytes(content), stated, max_pixels, enough, value_ranges)
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
        raise RefusedError(413, "decoding it takes more memory than is allowed; send a smaller picture") from error
    except UndecodableError as error:
        raise RefusedError(422, f"{error.reason}; send the picture as it was saved") from error


def cost_of(content: bytes | bytearray, enough: int | None) -> HeaderCost:
    """What decoding an uploaded picture may cost, from its header.

    Args:
        content: The file's bytes.
        enough: As for `distingo.datasets.decoding.decode.decode`.

    Raises:
        RefusedError: It is no accepted format (415).
    """
    data = bytes(content)
    name = _accepted_format(data)
    return read_cost(data, name, scans=data.count(_SCAN) if name == "JPEG" else 1, enough=enough)


def _accepted_format(data: bytes) -> str:
    name = detect_format(data)
    if name not in ACCEPTED:
        came = str(describe_non_picture(name) or "") or ("no known picture" if name == "unknown" else f"a {name} file")
        raise RefusedError(
            422 if name == "empty" else 415, f"{came}; send {', '.join(ACCEPTED[:-1])} or {ACCEPTED[-1]}"
        )
    return name


def check_tensor_size(height: int, width: int, max_pixels: int) -> None:
    """Refuse pixels that come as numbers and are too many.

    Raises:
        RefusedError: They are (413).
    """
    if height * width > max_pixels:
        raise RefusedError(413, f"a picture of more than {max_pixels:,} pixels; send a smaller one")


def _check_scans(data: bytes, max_pixels: int) -> None:
    """A small progressive JPEG can name thousands of scans, each of which passes over all pixels."""
    scans = data.count(_SCAN)
    if scans <= _MOST_SCANS:
        return
    header = read_header(data, max_pixels=max_pixels)
    if scans * header.width * header.height > _MOST_SCANS * max_pixels:
        raise RefusedError(413, f"a JPEG of {scans:,} scans is too costly to decode; save it anew")
