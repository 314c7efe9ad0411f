"""The record of one image in a request, and the decoding of its file within limits.

The cost of decoding is estimated from the file's header before any library opens it. Ordinary images are decoded
directly, all others in a process that can be killed (`distingo.serving.decoding`).
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
from distingo.serving.http.access import RefusedError

ACCEPTED = ("JPEG", "PNG", "WebP", "GIF", "BMP", "TIFF", "HEIF", "AVIF")
"""Formats that are decoded; any other is refused after inspecting its first bytes."""

_NOT_SCORED = np.empty(0, np.float32)
_MOST_BYTES = 8 * 2**20
_MOST_PIXELS = 4_000_000
_MOST_REDUCED_PIXELS = 24_000_000
"""Limit for a JPEG that is decoded at a fraction of its size, which takes a tenth of a second."""

_BYTES_PER_PIXEL = 24
"""Upper bound; measured were 18 for a 16-bit PNG with alpha channel and color profile, and 13 for 8-bit RGBA."""

_FIXED_BYTES = 64 * 2**20
_REDUCIBLE = 4
"""A JPEG whose shorter side exceeds the required one by this factor is decoded at a fraction of its size."""

_SCAN = b"\xff\xda"
_MOST_SCANS = 20
"""Number of passes over all pixels allowed for the largest JPEG; ordinary progressive ones need about ten."""


@dataclass(frozen=True, slots=True, eq=False)
class RequestImage:
    """One image of a request, from the upload to the response; each processing step adds its results.

    Attributes:
        name: The client's name for it.
        content: The file's bytes, or pixels as uint8 (height, width, 1 or 3).
        row: The model's input after decoding; None before, and again after scoring.
        probabilities: Calibrated probabilities, float32 (classes,); empty before scoring.
        is_ood: Whether it is out of distribution; None if the model has no detector.
        refusal: Why it can't be scored; None if it can.
    """

    name: str
    content: bytes | bytearray | np.ndarray
    row: np.ndarray | None = None
    probabilities: np.ndarray = field(default_factory=lambda: _NOT_SCORED)
    is_ood: bool | None = None
    refusal: RefusedError | None = None

    @property
    def file(self) -> bytes:
        """The file's bytes; empty if the image was sent as pixels."""
        return b"" if isinstance(self.content, np.ndarray) else bytes(self.content)


@dataclass(frozen=True, slots=True)
class HeaderCost:
    """The cost of decoding a file, estimated from its header.

    Attributes:
        pixels: Width times height; None if unknown.
        ordinary: Whether decoding is guaranteed to take at most a tenth of a second and a hundred megabytes.
    """

    pixels: int | None
    ordinary: bool

    def memory(self, most: int) -> int:
        """Estimate the memory for decoding in bytes, at most `most`."""
        return most if self.pixels is None else min(most, _FIXED_BYTES + self.pixels * _BYTES_PER_PIXEL)


UNKNOWN_COST = HeaderCost(None, ordinary=False)


def read_cost(data: bytes, name: str, *, scans: int = 1, enough: int | None = None) -> HeaderCost:
    """Estimate the cost of decoding a file from its header.

    Args:
        data: The complete file.
        name: Its format, as returned by `distingo.datasets.decoding.formats.detect_format`.
        scans: Number of scans, for a JPEG.
        enough: As for `distingo.datasets.decoding.decode.decode`.

    Returns:
        The cost, which is unknown if decoders could disagree about the size. A file is ordinary if it has up to 8 MB,
        is a JPEG, PNG, WebP, GIF or uncompressed BMP, and has up to 4 million pixels, where each scan of a JPEG counts
        its pixels again; or if it is a JPEG of one scan and up to 24 million pixels that can be decoded at a fraction
        of its size.
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
        height: In pixels.
        weight: Cost of one pixel relative to an ordinary one.
        reducible: Whether the file can be decoded at a fraction of its size without having all pixels in memory.
    """

    width: int
    height: int
    weight: int = 1
    reducible: bool = False


def _png(data: bytes) -> _Header | None:
    """Read the header; None if there is more than one before the pixels, since decoders use the last one."""
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
    """Read the size of the screen, extended to contain the first frame as decoders do."""
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
    if kind == b"VP8X" and not data[20] & 2:  # the frames of an animation have their own sizes
        width, height = (int.from_bytes(data[at : at + 3], "little") + 1 for at in (24, 27))
        return _Header(width, height)
    return None


_SEQUENTIAL = frozenset({0xC0, 0xC1})

_FRAMES = frozenset({0xC0, 0xC1, 0xC2})
"""Markers of Huffman-coded frames; all others are rare."""

_START_OF_SCAN = 0xDA

_SEGMENTS = _FRAMES | {0xC4, 0xDB, 0xDD, *range(0xE0, 0xF0), 0xFE}
"""Markers that precede the first scan of an ordinary file: frames, tables, application data and comments."""


def _jpeg(data: bytes) -> _Header | None:
    """Read the header; None unless it has one frame and intact segments, since decoders skip the rest differently."""
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
        max_pixels: Largest width times height; larger images are refused after reading the header.
        enough: As for `distingo.datasets.decoding.decode.decode`.
        value_ranges: The model's value ranges, as for `distingo.datasets.decoding.decode.decode`.

    Returns:
        The image in mode ``RGB`` or ``L``, upright.

    Raises:
        RefusedError: The format is not accepted (415), or the image is too large (413) or damaged (422).
    """
    try:
        return _decode(data, max_pixels, max_pixels, enough, value_ranges)
    except TooManyPixelsError as error:
        raise RefusedError(413, f"{error.reason}; send a smaller image") from error


def decode_ordinary(
    data: bytes, cost: HeaderCost, *, max_pixels: int, enough: int | None, value_ranges: ValueRanges | None = None
) -> Image.Image | None:
    """Decode an uploaded image that is ordinary according to its header.

    Args:
        data: The file.
        cost: The cost estimated from its header; must be ordinary.
        max_pixels: As for `decode_upload`.
        enough: As for `decode_upload`.
        value_ranges: As for `decode_upload`.

    Returns:
        The image; None if it has more pixels than estimated, in which case none of them is decoded.

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
    """The refusal of an image whose decoding exceeds the memory limit (413)."""
    return RefusedError(413, "decoding it takes more memory than is allowed; send a smaller image")


def cost_of(data: bytes, enough: int | None) -> HeaderCost:
    """Estimate the cost of decoding an uploaded image from its header.

    Args:
        data: The file.
        enough: As for `distingo.datasets.decoding.decode.decode`.

    Raises:
        RefusedError: The file is empty (422) or its format is not accepted (415).
    """
    name = _accepted_format(data)
    return read_cost(data, name, scans=data.count(_SCAN) if name == "JPEG" else 1, enough=enough)


def _accepted_format(data: bytes) -> str:
    name = detect_format(data)
    if name not in ACCEPTED:
        description = str(describe_non_image(name) or "") or (
            "no known image" if name == "unknown" else f"a {name} file"
        )
        raise RefusedError(
            422 if name == "empty" else 415, f"{description}; send {', '.join(ACCEPTED[:-1])} or {ACCEPTED[-1]}"
        )
    return name


def _check_scans(data: bytes, max_pixels: int) -> None:
    """Refuse a JPEG with too many scans: a small file can contain thousands, and each one passes over all pixels."""
    scans = data.count(_SCAN)
    if scans <= _MOST_SCANS:
        return
    header = read_header(data, max_pixels=max_pixels)
    if scans * header.width * header.height > _MOST_SCANS * max_pixels:
        raise RefusedError(413, f"a JPEG of {scans:,} scans is too costly to decode; save it again")


def check_pixels(height: int, width: int, max_pixels: int) -> None:
    """Check the size of an image that is sent as an array.

    Raises:
        RefusedError: It has more than `max_pixels` pixels (413).
    """
    if height * width > max_pixels:
        raise RefusedError(413, f"an image of more than {max_pixels:,} pixels; send a smaller one")
