"""The size that a compressed image inside a TIFF claims to have, read from its first bytes before it is decoded."""

from __future__ import annotations

import struct
from typing import Any

_JPEG = {6, 7, 33007, 34892}
_JPEG_2000 = {33003, 33004, 33005, 34712}
_JPEG_XL = {50002, 52546}
_JPEG_XR = {22610, 34934}
_WEBP = {34927, 50001}
_LERC, _PNG = 34887, 34933


def claimed_size(compression: int, content: Any) -> tuple[int, int] | None:
    """Read the width and height that a segment claims.

    Args:
        compression: The TIFF's Compression tag.
        content: The segment, a bytes-like object.

    Returns:
        In pixels; None for a compression whose output the TIFF's own tags limit.

    Raises:
        ValueError: A segment of any other compression claims none.
    """
    for kinds, read in (
        (_JPEG, _jpeg),
        (_JPEG_2000, _jpeg_2000),
        (_JPEG_XL, _jpeg_xl),
        (_JPEG_XR, _jpeg_xr),
        (_WEBP, _webp),
        ({_LERC}, _lerc),
        ({_PNG}, _png),
    ):
        if compression in kinds:
            try:
                return read(content)
            except (struct.error, IndexError, ValueError) as error:
                raise ValueError("a strip or tile without a size") from error
    return None


def _jpeg(data: Any) -> tuple[int, int]:
    """That of the first frame header, which is the one that a decoder takes."""
    at = 2
    while data[at] == 0xFF or data[at + 1]:
        marker = data[at + 1]
        if data[at] != 0xFF or marker == 0xFF:
            at += 1
        elif 0xC0 <= marker <= 0xCF and marker not in {0xC4, 0xC8, 0xCC}:
            height, width = struct.unpack_from(">HH", data, at + 5)
            return width, height
        elif marker in {0x00, 0x01} or 0xD0 <= marker <= 0xD8:
            at += 2
        else:
            at += 2 + struct.unpack_from(">H", data, at + 2)[0]
    raise ValueError


def _jpeg_2000(data: Any) -> tuple[int, int]:
    at = 0 if data[0] == 0xFF else _box(data, {b"jp2c"})
    if bytes(data[at : at + 4]) != b"\xff\x4f\xff\x51":
        raise ValueError
    right, bottom, left, top = struct.unpack_from(">4I", data, at + 8)
    return max(right - left, 0), max(bottom - top, 0)


def _box(data: Any, kinds: set[bytes]) -> int:
    """Where the content of the first box of these kinds starts, in a container of boxes (ISO/IEC 15444-1, I.4)."""
    at = 0
    while True:
        size, kind = struct.unpack_from(">I4s", data, at)
        head = 8
        if size == 1:
            size, head = struct.unpack_from(">Q", data, at + 8)[0], 16
        if kind in kinds:
            return at + head
        if size < head:
            raise ValueError
        at += size


def _png(data: Any) -> tuple[int, int]:
    width, height = struct.unpack_from(">2I", data, 16)
    return width, height


def _lerc(data: Any) -> tuple[int, int]:
    if bytes(data[:6]) == b"Lerc2 ":
        version = struct.unpack_from("<i", data, 6)[0]
        high, wide = struct.unpack_from("<2i", data, 14 if version >= 3 else 10)
        return max(wide, 0), max(high, 0)
    high, wide = struct.unpack_from("<2i", data, 18)  # Lerc1: "CntZImage ", version, type
    return max(wide, 0), max(high, 0)


def _webp(data: Any) -> tuple[int, int]:
    kind = bytes(data[12:16])
    if kind == b"VP8X":
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    if kind == b"VP8L":
        packed = struct.unpack_from("<I", data, 21)[0]
        return (packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1
    width, height = struct.unpack_from("<2H", data, 26)
    return width & 0x3FFF, height & 0x3FFF


def _jpeg_xr(data: Any) -> tuple[int, int]:
    start = struct.unpack_from("<I", data, 4)[0]
    sizes = {}
    for at in range(struct.unpack_from("<H", data, start)[0]):
        tag, kind, _, value = struct.unpack_from("<HHII", data, start + 2 + 12 * at)
        sizes[tag] = value & 0xFFFF if kind == 3 else value
    return sizes.get(0xBC80, 0), sizes.get(0xBC81, 0)


def _jpeg_xl(data: Any) -> tuple[int, int]:
    """The SizeHeader of a codestream, alone or in a container (ISO/IEC 18181-1, D.2 and 18181-2)."""
    start = 0
    if data[0] != 0xFF:
        start = _box(data, {b"jxlc", b"jxlp"})
        start += 4 if bytes(data[start - 4 : start]) == b"jxlp" else 0
    if bytes(data[start : start + 2]) != b"\xff\x0a":
        raise ValueError
    bits = _Bits(bytes(data[start + 2 : start + 18]))
    small = bits.take(1)
    height = 8 * (bits.take(5) + 1) if small else bits.number()
    ratio = bits.take(3)
    if ratio:
        up, down = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))[ratio - 1]
        return height * up // down, height
    return (8 * (bits.take(5) + 1) if small else bits.number()), height


class _Bits:
    """Numbers from a string of bits, the lowest bit of each byte first."""

    def __init__(self, data: bytes) -> None:
        self._left, self._bits = int.from_bytes(data, "little"), 8 * len(data)

    def take(self, count: int) -> int:
        if count > self._bits:
            raise IndexError
        value = self._left & ((1 << count) - 1)
        self._left >>= count
        self._bits -= count
        return value

    def number(self) -> int:
        return self.take((9, 13, 18, 30)[self.take(2)]) + 1
