"""The markers of a JPEG file: how deep it is, and whether all its pixels are there though its end marker is not."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from PIL.JpegImagePlugin import JpegImageFile

_END = b"\xff\xd9"

_SCAN = 0xDA

_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}

_PROGRESSIVE = frozenset({0xC2, 0xCA})

_LOSSLESS = frozenset({0xC3, 0xC7, 0xCB, 0xCF})

_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})
"""Markers without a segment."""

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


@dataclass(frozen=True, slots=True)
class JpegFrame:
    """What a JPEG's frame header tells.

    Attributes:
        precision: Bits per sample.
        width: In pixels, as stored.
        height: In pixels, as stored.
        components: 1 for gray, 3 for color, 4 for CMYK.
        lossless: Whether it is of the lossless kind, which ordinary decoders don't read.
        exif: The content of the EXIF segment; empty where there is none.
        profile: The ICC profile; None where there is none.
    """

    precision: int
    width: int
    height: int
    components: int
    lossless: bool
    exif: bytes
    profile: bytes | None


def read_frame(data: bytes) -> JpegFrame | None:
    """Read the segments up to the first scan; None where there is no frame header among them."""
    exif, parts = b"", {}
    frame: tuple[int, bytes] | None = None
    for marker, at, length in _segments(data):
        content = data[at : at + length]
        if marker in _FRAMES and len(content) >= 6:
            frame = marker, content
        elif marker == 0xE1 and content.startswith(b"Exif\0\0"):
            exif = content
        elif marker == 0xE2 and content.startswith(b"ICC_PROFILE\0") and len(content) > 14:
            parts[content[12]] = content[14:]
        elif marker == _SCAN:
            break
    if frame is None:
        return None
    marker, content = frame
    height, width = int.from_bytes(content[1:3]), int.from_bytes(content[3:5])
    profile = b"".join(parts[number] for number in sorted(parts)) if parts else None
    return JpegFrame(content[0], width, height, content[5], marker in _LOSSLESS, exif, profile)


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


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker, and where its content begins and how long it is, of every segment; pixels' data are passed over."""
    at = 2
    while (at := data.find(b"\xff", at)) >= 0 and at + 3 < len(data):
        marker = data[at + 1]
        if marker in {0x00, 0xFF} or marker in _ALONE:
            at += 1 if marker == 0xFF else 2
            continue
        length = int.from_bytes(data[at + 2 : at + 4])
        if marker == 0xD9 or length < 2:
            return
        yield marker, at + 4, length - 2
        at += 2 + length


def _has_all_scans(data: bytes) -> bool:
    """Whether every coefficient of every component has come, down to its last bit."""
    components: list[int] = []
    progressive = False
    left: dict[int, set[int]] = {}
    last_bits: dict[tuple[int, int], int] = defaultdict(lambda: 1)
    for marker, at, length in _segments(data):
        content = data[at : at + length]
        if marker in _FRAMES:
            components = list(content[6 : 6 + 3 * content[5] : 3]) if len(content) > 5 else []
            progressive = marker in _PROGRESSIVE
            left = {component: set(range(64)) for component in components}
        elif marker == _SCAN and content:
            named = content[1 : 1 + 2 * content[0] : 2]
            first, last, bits = content[-3:] if len(content) >= 3 else (0, 63, 0)
            for component in named:
                for coefficient in range(first, last + 1) if progressive else range(64):
                    last_bits[component, coefficient] = bits & 15 if progressive else 0
                    if last_bits[component, coefficient] == 0:
                        left.get(component, set()).discard(coefficient)
    return bool(components) and not any(left.values())
