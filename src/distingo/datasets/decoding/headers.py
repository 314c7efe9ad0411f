"""Read sizes, bits and profiles from the headers of image files, before they are decoded.

Pillow does not read all of these, and decoders that trust a header need its size checked first.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
JPEG_SCAN = 0xDA

_JPEG_LOSSLESS = frozenset({0xC3, 0xC7, 0xCB, 0xCF})
_JPEG_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})
"""Markers without a segment."""

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG_2000 = b"\xff\x4f\xff\x51"

_JXL_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
_JXL_WIDTHS = (9, 13, 18, 30)


@dataclass(frozen=True, slots=True)
class JpegFrame:
    """The frame header of a JPEG, with metadata.

    Attributes:
        precision: Bits per sample.
        width: In pixels, as stored.
        height: In pixels, as stored.
        components: 1 for gray, 3 for color, 4 for CMYK.
        lossless: Whether it is a lossless JPEG, which ordinary decoders can't read.
        exif: The content of the EXIF segment; empty if there is none.
        profile: The ICC profile; None if there is none.
    """

    precision: int
    width: int
    height: int
    components: int
    lossless: bool
    exif: bytes
    profile: bytes | None


def read_jpeg_frame(data: bytes) -> JpegFrame | None:
    """Read the segments up to the first scan; None if they contain no frame header."""
    exif, parts = b"", {}
    frame: tuple[int, bytes] | None = None
    for marker, at, length in jpeg_segments(data):
        content = data[at : at + length]
        if marker in JPEG_FRAMES and len(content) >= 6:
            frame = marker, content
        elif marker == 0xE1 and content.startswith(b"Exif\0\0"):
            exif = content
        elif marker == 0xE2 and content.startswith(b"ICC_PROFILE\0") and len(content) > 14:
            parts[content[12]] = content[14:]
        elif marker == JPEG_SCAN:
            break
    if frame is None:
        return None
    marker, content = frame
    height, width = int.from_bytes(content[1:3]), int.from_bytes(content[3:5])
    profile = b"".join(parts[number] for number in sorted(parts)) if parts else None
    return JpegFrame(content[0], width, height, content[5], marker in _JPEG_LOSSLESS, exif, profile)


def jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield the marker, content offset and content length of every segment, skipping encoded pixels."""
    at = 2
    while (at := data.find(b"\xff", at)) >= 0 and at + 3 < len(data):
        marker = data[at + 1]
        if marker in {0x00, 0xFF} or marker in _JPEG_ALONE:
            at += 1 if marker == 0xFF else 2
            continue
        length = int.from_bytes(data[at + 2 : at + 4])
        if marker == 0xD9 or length < 2:
            return
        yield marker, at + 4, length - 2
        at += 2 + length


@dataclass(frozen=True, slots=True)
class PngFacts:
    """Facts from the chunks before a PNG's pixels.

    Attributes:
        depth: Bits per stored sample; 0 if the file is damaged.
        bits: Significant bits of a sample, from the sBIT chunk; None if it has none.
        cicp: The four bytes of the cICP chunk (color primaries, transfer, matrix, range); None if it has none.
    """

    depth: int
    bits: int | None = None
    cicp: bytes | None = None


def read_png_facts(data: bytes) -> PngFacts:
    """Read the chunks before the pixels."""
    depth, bits, cicp = 0, None, None
    at = len(_PNG)
    while at + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        content = data[at + 8 : at + 8 + length]
        at += length + 12
        if name in {b"IDAT", b"IEND"}:
            break
        if name == b"IHDR" and len(content) >= 13:
            depth = content[8]
        elif name == b"sBIT" and content:
            bits = max(content[:3])
        elif name == b"cICP" and len(content) == 4:
            cicp = content
    return PngFacts(depth, bits if bits and 0 < bits < depth else None, cicp)


def icon_sizes(data: bytes, name: str) -> Iterator[tuple[int, int]]:
    """Yield the actual sizes of the images in an icon file (ICO, CUR or ICNS), as its directory may be wrong."""
    at = -1
    while (at := data.find(_PNG, at + 1)) >= 0 and at + 24 <= len(data):
        yield struct.unpack_from(">II", data, at + 16)
    if name == "ICNS":
        at = -1
        while (at := data.find(_JPEG_2000, at + 1)) >= 0 and at + 24 <= len(data):
            right, bottom, left, top = struct.unpack_from(">4I", data, at + 8)
            yield right - left, bottom - top
        return
    for entry in range(int.from_bytes(data[4:6], "little")):
        position = 6 + 16 * entry + 12
        (start,) = struct.unpack_from("<I", data, position) if position + 4 <= len(data) else (len(data),)
        if data[start : start + 4] == b"\x28\0\0\0" and start + 12 <= len(data):
            width, height = struct.unpack_from("<ii", data, start + 4)
            yield abs(width), abs(height) // 2


def jpeg_2000_bits(data: bytes) -> tuple[int, int, int] | None:
    """Read the SIZ marker of JPEG 2000: components, bits of the deepest, and 1 if signed; None if damaged."""
    at = data.find(_JPEG_2000)
    if at < 0 or at + 42 > len(data):
        return None
    (components,) = struct.unpack_from(">H", data, at + 40)
    depths = data[at + 42 : at + 42 + 3 * components : 3]
    if not depths:
        return None
    return components, max((depth & 127) + 1 for depth in depths), max(depth >> 7 for depth in depths)


def jpeg_xl_size(data: Any) -> tuple[int, int]:
    """The stored width and height of a JPEG XL codestream, bare or in a container (ISO/IEC 18181-1, D.2 and 18181-2).

    Raises:
        EOFError: The header is incomplete.
        ValueError: There is no codestream.
    """
    start = 0
    if bytes(data[:2]) != b"\xff\x0a":
        start = _box(data, {b"jxlc", b"jxlp"})
        start += 4 if bytes(data[start - 4 : start]) == b"jxlp" else 0
    if bytes(data[start : start + 2]) != b"\xff\x0a":
        raise ValueError("its codestream has no signature")
    header = bytes(data[start + 2 : start + 18])
    bits, at = int.from_bytes(header, "little"), 0

    def take(count: int) -> int:
        nonlocal at
        at += count
        if at > 8 * len(header):
            raise EOFError
        return bits >> (at - count) & ((1 << count) - 1)

    small = take(1)
    height = 8 * (take(5) + 1) if small else take(_JXL_WIDTHS[take(2)]) + 1
    if ratio := take(3):
        across, down = _JXL_RATIOS[ratio - 1]
        return height * across // down, height
    return 8 * (take(5) + 1) if small else take(_JXL_WIDTHS[take(2)]) + 1, height


def _box(data: Any, kinds: set[bytes]) -> int:
    """The offset of the content of the first box of these kinds, in a container (ISO/IEC 15444-1, I.4)."""
    at = 0
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        head = 8
        if size == 1 and at + 16 <= len(data):
            size, head = struct.unpack_from(">Q", data, at + 8)[0], 16
        if kind in kinds:
            return at + head
        if size < head:
            break
        at += size
    raise EOFError("no codestream in the container")


def claimed_size(compression: int, content: Any) -> tuple[int, int] | None:
    """Read the width and height in the header of a compressed strip or tile of a TIFF.

    Args:
        compression: The TIFF's Compression tag.
        content: The segment, a bytes-like object.

    Returns:
        In pixels; None for a compression whose output is limited by the TIFF's own tags.

    Raises:
        ValueError: A segment of any other compression contains no size.
    """
    for kinds, read in (
        ({6, 7, 33007, 34892}, _jpeg_size),
        ({33003, 33004, 33005, 34712}, _jpeg_2000_size),
        ({50002, 52546}, jpeg_xl_size),
        ({22610, 34934}, _jpeg_xr_size),
        ({34927, 50001}, _webp_size),
        ({34887}, _lerc_size),
        ({34933}, _png_size),
    ):
        if compression in kinds:
            try:
                return read(content)
            except (struct.error, IndexError, ValueError, EOFError) as error:
                raise ValueError("a strip or tile without a size") from error
    return None


def _jpeg_size(data: Any) -> tuple[int, int]:
    """Read the size from the first frame header, which decoders use."""
    at = 2
    while data[at] == 0xFF or data[at + 1]:
        marker = data[at + 1]
        if data[at] != 0xFF or marker == 0xFF:
            at += 1
        elif marker in JPEG_FRAMES:
            height, width = struct.unpack_from(">HH", data, at + 5)
            return width, height
        elif marker in {0x00, 0x01} or 0xD0 <= marker <= 0xD8:
            at += 2
        else:
            at += 2 + struct.unpack_from(">H", data, at + 2)[0]
    raise ValueError


def _jpeg_2000_size(data: Any) -> tuple[int, int]:
    at = 0 if data[0] == 0xFF else _box(data, {b"jp2c"})
    if bytes(data[at : at + 4]) != _JPEG_2000:
        raise ValueError
    right, bottom, left, top = struct.unpack_from(">4I", data, at + 8)
    return max(right - left, 0), max(bottom - top, 0)


def _png_size(data: Any) -> tuple[int, int]:
    width, height = struct.unpack_from(">2I", data, 16)
    return width, height


def _lerc_size(data: Any) -> tuple[int, int]:
    at = 18  # Lerc1: "CntZImage ", version, type
    if bytes(data[:6]) == b"Lerc2 ":
        at = 14 if struct.unpack_from("<i", data, 6)[0] >= 3 else 10
    high, wide = struct.unpack_from("<2i", data, at)
    return max(wide, 0), max(high, 0)


def _webp_size(data: Any) -> tuple[int, int]:
    kind = bytes(data[12:16])
    if kind == b"VP8X":
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    if kind == b"VP8L":
        packed = struct.unpack_from("<I", data, 21)[0]
        return (packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1
    width, height = struct.unpack_from("<2H", data, 26)
    return width & 0x3FFF, height & 0x3FFF


def _jpeg_xr_size(data: Any) -> tuple[int, int]:
    start = struct.unpack_from("<I", data, 4)[0]
    sizes = {}
    for at in range(struct.unpack_from("<H", data, start)[0]):
        tag, kind, _, value = struct.unpack_from("<HHII", data, start + 2 + 12 * at)
        sizes[tag] = value & 0xFFFF if kind == 3 else value
    return sizes.get(0xBC80, 0), sizes.get(0xBC81, 0)
