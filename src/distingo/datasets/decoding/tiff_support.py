"""Which TIFF pages are read at all: what is refused by its name, and what decoding may cost.

The size that a compressed image inside a TIFF claims to have, read from its first bytes before it is decoded.
"""

from __future__ import annotations

import functools
import importlib.util
import struct
from typing import Any

import numpy as np

from distingo.datasets.decoding.failures import BYTES_PER_PIXEL, TooManyPixelsError, UndecodableError, UnsupportedError
from distingo.datasets.decoding.tiff_directory import Page
from distingo.messages.notes import note

JPEG = frozenset({6, 7, 33007, 34892})

JPEG_2000 = frozenset({33003, 33004, 33005, 34712})

_RGB_CODECS = frozenset({34927, 50001, 50002, 52546})

LERC = 34887

RAW = 1

_CCITT = frozenset({2, 3, 4})

_READ = (
    JPEG
    | JPEG_2000
    | _RGB_CODECS
    | _CCITT
    | {RAW, 5, 8, 22610, 32773, 32946, LERC, 34925, 34926, 34933, 34934, 50000, 50013}
)

_COMPRESSION_NAMES = {
    9: "JBIG",
    10: "JBIG",
    262: "Kodak DCR",
    32766: "NeXT",
    32767: "Sony ARW",
    32769: "packed raw",
    32770: "Samsung SRW",
    32771: "word-aligned CCITT RLE",
    32809: "ThunderScan",
    32895: "TIFF/IT CT",
    32896: "TIFF/IT LW",
    32897: "TIFF/IT MP",
    32898: "TIFF/IT BL",
    32908: "Pixar film",
    32909: "Pixar log",
    32947: "Kodak DCS",
    34661: "JBIG",
    34676: "SGILOG",
    34677: "SGILOG24",
    34713: "Nikon NEF",
    34715: "JBIG2",
    48124: "Jetraw",
    65000: "EER",
    65001: "EER",
    65002: "EER",
}

_FORMAT_NAMES = {1: "unsigned integer", 2: "signed integer", 3: "float", 4: "undefined", 5: "complex", 6: "complex"}

# A segment's own size fields are checked before it is decoded; so many segments take a while without being an image.
_MOST_SEGMENTS = 1_000_000


def unsupported(feature: str, code: str = "unsupported-tiff") -> UnsupportedError:
    """A sound TIFF of a kind that is not read."""
    return UnsupportedError(note(code, feature=feature), "TIFF")


def describe_samples(page: Page) -> str:
    """For example ``3 x 16-bit unsigned integer``."""
    kinds = sorted(set(page.bits))
    bits = f"{kinds[0]}-bit" if len(kinds) == 1 else " and ".join(map(str, kinds)) + " bits of"
    return f"{page.samples} x {bits} {_FORMAT_NAMES.get(page.sample_format, 'mixed')}"


def stored_dtype(page: Page) -> np.dtype[Any]:
    """The type that a page's samples are read into.

    Raises:
        UnsupportedError: There is none.
    """
    bits = page.bits[0]
    width = {(3, 24): 32}.get((page.sample_format, bits), bits)
    if set(page.bits) == {bits}:
        if page.sample_format in {1, 4} and (1 <= bits <= 32 or bits == 64):
            return np.dtype(f"u{next(size for size in (1, 2, 4, 8) if bits <= 8 * size)}")
        if page.sample_format == 2 and bits in {8, 16, 32, 64}:
            return np.dtype(f"i{bits // 8}")
        if page.sample_format == 3 and width in {16, 32, 64}:
            return np.dtype(f"f{width // 8}")
    raise unsupported(f"{describe_samples(page)} samples")


def check_supported(page: Page) -> None:
    """Refuse what isn't read, by its name.

    Raises:
        UnsupportedError: As said.
    """
    if page.compression not in _READ:
        name = _COMPRESSION_NAMES.get(page.compression)
        raise unsupported(f"compression {page.compression}" + (f" ({name})" if name else ""))
    dtype = stored_dtype(page)
    if page.depth > 1:
        raise UnsupportedError(note("unsupported-tiff-slices", count=page.depth), "TIFF")
    if page.compression in _CCITT and (page.bits[0] != 1 or page.samples != 1):
        error = f"fax compression of {describe_samples(page)} samples"
        raise UndecodableError(note("damaged-because", format="TIFF", error=error), "TIFF")
    if page.predictor != 1 and not ignores_predictor(page):
        fits = {2: page.bits[0] in {8, 16, 32, 64}, 3: dtype.kind == "f" and page.bits[0] != 24}
        if not fits.get(page.predictor, False):
            raise unsupported(f"predictor {page.predictor} on {describe_samples(page)} samples")
        if is_subsampled(page):
            raise unsupported(f"predictor {page.predictor} on subsampled color")


def ignores_predictor(page: Page) -> bool:
    """Whether a page's compression codes whole images, to which predictors don't apply, nor the order of bits."""
    return page.compression in JPEG | JPEG_2000 | _RGB_CODECS | {22610, 34933, 34934}


def is_subsampled(page: Page) -> bool:
    """Whether color is stored for blocks of pixels and interleaved with their luma (TIFF 6.0, section 21)."""
    return (
        page.photometric == 6
        and page.samples == 3
        and not page.planar
        and page.subsampling != (1, 1)
        and not ignores_predictor(page)
    )


def is_rgb_already(page: Page) -> bool:
    """Whether decoding turns a page's YCbCr into RGB because its compression does so."""
    return page.compression in _RGB_CODECS or (page.compression in JPEG and not page.planar and not page.extra)


def check_size(page: Page, kept: int, max_pixels: int) -> None:
    """Refuse a page that takes more memory than the pixel limit allows for.

    Counted are the pixels with the padding of tiles, a decoded segment in full and what is kept of it: the samples, a
    copy to summarize deep ones and the 8-bit image.

    Args:
        page: To decode.
        kept: Samples of each pixel that are shown, alpha included.
        max_pixels: Width times height of an 8-bit image that is just decoded.

    Raises:
        TooManyPixelsError: It takes more.
    """
    width, height = page.upright_size
    if page.width * page.height > max_pixels:
        raise TooManyPixelsError(note("too-many-pixels", width=width, height=height, limit=max_pixels), "TIFF")
    wide, high = page.segment_size
    padded = wide * page.segments_across * high * page.segments_down if page.tile else page.width * page.height
    itemsize = max(-(-max(page.bits) // 8), 1)
    segment = wide * high * (1 if page.planar else page.samples) * itemsize
    copies = 1 if itemsize == 1 else 3
    needed = 2 * segment + page.width * page.height * (kept * itemsize * copies + 4)
    counted = max(padded, needed // BYTES_PER_PIXEL)
    if counted > max_pixels:
        samples = describe_samples(page) + (f", tiles of {wide} x {high}" if page.tile else "")
        size = {"width": width, "height": height, "samples": samples}
        raise TooManyPixelsError(
            note("too-much-memory-of-tiff", **size, counted=counted, limit=max_pixels),  # type: ignore[arg-type]
            "TIFF",
        )
    if page.segments_across * page.segments_down > _MOST_SEGMENTS:
        raise unsupported(f"{page.segments_across * page.segments_down:,} strips or tiles")


@functools.cache
def is_installed() -> bool:
    """Whether the libraries are there that read all kinds of TIFF."""
    return all(importlib.util.find_spec(name) for name in ("imagecodecs", "tifffile"))


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
