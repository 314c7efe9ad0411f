"""What decoding an uploaded image may cost, from its first bytes alone: no library opens the file for this."""

from __future__ import annotations

import struct
from dataclasses import dataclass

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


def read_cost(data: bytes, name: str, *, scans: int = 1, enough: int | None = None) -> HeaderCost:
    """Estimate from a header what decoding costs.

    Args:
        data: The whole file.
        name: Its format, as `distingo.datasets.formats.detect_format` has it.
        scans: Of a JPEG, how often a scan begins.
        enough: As for `distingo.datasets.decoding.decode`.

    Returns:
        The cost. Ordinary are JPEG, PNG, WebP, GIF and uncompressed BMP of up to 4 million pixels, JPEG of up to 24
        million where it is decoded at a fraction of its size, each scan of a JPEG counting anew, in files of up to
        8 MB.
    """
    reader = _READERS.get(name)
    size = None
    if reader is not None:
        try:
            size = reader(data)
        except (IndexError, struct.error):
            size = None
    if size is None:
        return HeaderCost(None, ordinary=False)
    width, height, weight = size
    cost = width * height * weight * max(1, scans if name == "JPEG" else 1)
    most = _MOST_PIXELS
    if name == "JPEG" and enough is not None and min(width, height) > _REDUCIBLE * enough and scans <= 1:
        most = _MOST_REDUCED_PIXELS
    return HeaderCost(width * height, 0 < cost <= most and len(data) <= _MOST_BYTES)


_Size = tuple[int, int, int]
"""Width, height, and how many times as much as an ordinary pixel each one costs."""


def _png(data: bytes) -> _Size | None:
    if data[12:16] != b"IHDR":
        return None
    width, height, bits = struct.unpack_from(">IIB", data, 16)
    return width, height, 4 if bits > 8 else 1


def _gif(data: bytes) -> _Size | None:
    width, height = struct.unpack_from("<HH", data, 6)
    return width, height, 1


def _bmp(data: bytes) -> _Size | None:
    if struct.unpack_from("<I", data, 14)[0] < 40:
        return None
    width, height, _planes, _bits, compression = struct.unpack_from("<iiHHI", data, 18)
    return (width, abs(height), 1) if compression in {0, 3} and width > 0 else None


def _webp(data: bytes) -> _Size | None:
    kind = data[12:16]
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF, 1
    if kind == b"VP8L":
        (packed,) = struct.unpack_from("<I", data, 21)
        return (packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1, 1
    if kind == b"VP8X":
        width, height = (int.from_bytes(data[at : at + 3], "little") + 1 for at in (24, 27))
        return (width, height, 1) if not data[20] & 2 else None
    return None


_STANDALONE = frozenset({0x01, *range(0xD0, 0xD9)})
_FRAMES = {0xC0: 1, 0xC1: 1, 0xC2: 2}
"""Huffman-coded frames, a progressive one at twice the cost; any others are rare."""


def _jpeg(data: bytes) -> _Size | None:
    at = 2
    for _ in range(1000):
        while data[at] != 0xFF:
            at += 1
        while data[at] == 0xFF:
            at += 1
        marker = data[at]
        if marker in _STANDALONE:
            at += 1
            continue
        if marker in _FRAMES:
            bits, height, width = struct.unpack_from(">BHH", data, at + 3)
            return (width, height, 1) if bits == 8 else None
        if 0xC0 <= marker <= 0xCF and marker not in {0xC4, 0xC8, 0xCC}:
            return None
        at += 1 + int.from_bytes(data[at + 1 : at + 3], "big")
    return None


_READERS = {"PNG": _png, "GIF": _gif, "BMP": _bmp, "WebP": _webp, "JPEG": _jpeg}
