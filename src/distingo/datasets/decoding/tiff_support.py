"""Determine which TIFF pages are supported, which samples are read by which library, and the cost of decoding."""

from __future__ import annotations

import functools
import importlib.util
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from distingo.datasets.decoding.failures import (
    BYTES_PER_PIXEL,
    TooManyPixelsError,
    UndecodableError,
    UnsupportedError,
    check_size,
)
from distingo.datasets.decoding.tiff_directory import Page, open_page
from distingo.messages.notes import note

JPEG = frozenset({6, 7, 33007, 34892})

JPEG_2000 = frozenset({33003, 33004, 33005, 34712})

_RGB_CODECS = frozenset({34927, 50001, 50002, 52546})

LERC = 34887

RAW = 1

CCITT = frozenset({2, 3, 4})

_READ = (
    JPEG
    | JPEG_2000
    | _RGB_CODECS
    | CCITT
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

# The sizes in segments' headers are checked before decoding; this many segments would still take too long.
_MAX_SEGMENTS = 1_000_000

Kind = Literal["gray", "rgb", "palette", "cmyk", "ycbcr", "lab"]

_COLORS: dict[Kind, int] = {"gray": 1, "rgb": 3, "palette": 1, "cmyk": 4, "ycbcr": 3, "lab": 3}

_KINDS: tuple[Kind | None, ...] = ("gray", "gray", "rgb", "palette", "gray", "cmyk", "ycbcr", None, "lab", "lab")
"""Kinds by PhotometricInterpretation."""

_UNSUPPORTED_KINDS = {
    10: "ITU L*a*b* color",
    32803: "the raw data of a camera's sensor",
    32844: "LogL luminance",
    32845: "LogLuv color",
    34892: "the linear raw data of a camera",
    51177: "a depth map",
    52527: "a semantic mask",
}

_RAW_KINDS = frozenset({32803, 34892})

_APERIO_YCBCR = 33003

# Old-style JPEG, word-aligned fax and ThunderScan, with their bits: only libtiff, which Pillow uses, decodes them.
_PILLOW_ALONE = {6: 8, 32771: 1, 32809: 4}

LOSSLESS = {5, 8, 32773, 32946}
"""Compressions that Pillow and tifffile decode identically."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Which samples of a page are used, and how.

    Attributes:
        kind: The kind of color.
        colors: Indices of the color samples.
        alpha: Index of the alpha sample; None if there is none.
        associated: Whether the colors are premultiplied by the alpha.
    """

    kind: Kind
    colors: tuple[int, ...]
    alpha: int | None
    associated: bool


def open_checked(data: bytes, max_pixels: int) -> tuple[Page, Layout]:
    """Find the page of a TIFF that contains the image, and refuse it if its tags show that it can't be decoded.

    Args:
        data: The complete file.
        max_pixels: As for `decoding.decode`.

    Returns:
        The page and the samples to use: of many bands the first three if the file declares them as RGB, else the first
        one as gray; extra samples are used only if the file declares them as alpha.

    Raises:
        UndecodableError: It can't be decoded.
        EOFError: The file ends before its directory is complete.
    """
    page = open_page(data)
    layout = _layout(page)
    _check_cost(page, len(layout.colors) + (layout.alpha is not None), max_pixels)
    bits = _PILLOW_ALONE.get(page.compression)
    if bits is not None and page.first and not page.directory.big and page.photometric in {0, 1, 2, 6}:
        if set(page.bits) != {bits}:
            raise unsupported(f"compression {page.compression} of {describe_samples(page)} samples")
        return page, layout
    _check_supported(page)
    dtype = stored_dtype(page)
    if layout.kind == "palette" and (dtype.kind != "u" or page.bits[0] > 16):
        raise unsupported(f"a palette of {page.bits[0]} bits")
    if layout.kind in {"cmyk", "ycbcr"} and dtype.kind == "i":
        raise unsupported(f"signed {'inks' if layout.kind == 'cmyk' else 'YCbCr'}")
    if layout.kind == "lab" and page.bits[0] not in {8, 16, 32}:
        raise unsupported(f"L*a*b* of {page.bits[0]} bits")
    return page, layout


def is_classic(data: bytes) -> bool:
    """Whether a TIFF is a classic one and not a BigTIFF."""
    return data[2:4] in {b"*\0", b"\0*"}


def pillow_reads_exactly(page: Page, layout: Layout) -> bool:
    """Whether Pillow yields exact pixels, as for ordinary 8-bit and bilevel pages, without importing tifffile.

    These are gray, RGB and CMYK of 8 bits without extra samples, and bilevel gray, uncompressed or losslessly
    compressed by the methods of TIFF 6.0 including fax; `test_tiff.py` compares them. Old-style JPEG, ThunderScan and
    word-aligned fax also count, as nothing else decodes them.
    """
    if not page.first or page.directory.big:
        return False
    if page.compression in _PILLOW_ALONE:
        return True
    bilevel = page.bits == (1,) and layout.kind == "gray" and page.predictor == 1
    ordinary = set(page.bits) == {8} and page.samples == _COLORS[layout.kind] and layout.kind in {"gray", "rgb", "cmyk"}
    return (
        (bilevel or (ordinary and page.compression in LOSSLESS | {RAW}))
        and page.photometric in {0, 1, 2, 5}
        and 262 in page.directory.entries
        and page.sample_format == 1
        and not page.extra
        and not page.reversed_bits
        and page.depth == 1
        and page.predictor in {1, 2}
        and not (page.planar and page.tile)
        and page.compression in LOSSLESS | CCITT | {RAW}
    )


def _layout(page: Page) -> Layout:
    kind = _KINDS[page.photometric] if 0 <= page.photometric < len(_KINDS) else None
    if kind is None:
        name = _UNSUPPORTED_KINDS.get(page.photometric, f"photometric interpretation {page.photometric}")
        raise unsupported(name, "unsupported-tiff-raw" if page.photometric in _RAW_KINDS else "unsupported-tiff")
    if kind == "ycbcr" and page.samples == 1:
        kind = "gray"
    elif kind == "ycbcr" and is_rgb_already(page):
        kind = "rgb"
    elif kind == "rgb" and page.compression == _APERIO_YCBCR:
        kind = "ycbcr"
    count = _COLORS[kind]
    if kind == "cmyk" and (page.directory.number(332, 1) != 1 or page.samples < count):
        raise unsupported(f"{page.samples - len(page.extra)} inks that are not cyan, magenta, yellow and black")
    if page.samples < count:
        error = f"{page.samples} samples per pixel for {kind} color"
        raise UndecodableError(note("damaged-because", format="TIFF", error=error), "TIFF")
    color_samples = page.samples - len(page.extra)
    kinds = {
        color_samples + at: kind
        for at, kind in enumerate(page.extra)
        if kind in {1, 2, 999} and color_samples + at >= count
    }
    if kind == "rgb" and not page.extra and page.samples == 4:
        # Writers that omit ExtraSamples mean an alpha, as Pillow and libtiff assume.
        kinds = {3: 2}
    alpha = min(kinds, default=None)
    return Layout(kind, tuple(range(count)), alpha, alpha is not None and kinds[alpha] == 1)


def unsupported(feature: str, code: str = "unsupported-tiff") -> UnsupportedError:
    """Create the error for a valid TIFF of an unsupported kind."""
    return UnsupportedError(note(code, feature=feature), "TIFF")


def describe_samples(page: Page) -> str:
    """Describe a page's samples, for example ``3 x 16-bit unsigned integer``."""
    kinds = sorted(set(page.bits))
    bits = f"{kinds[0]}-bit" if len(kinds) == 1 else " and ".join(map(str, kinds)) + " bits of"
    return f"{page.samples} x {bits} {_FORMAT_NAMES.get(page.sample_format, 'mixed')}"


def stored_dtype(page: Page) -> np.dtype[Any]:
    """The NumPy type for a page's samples.

    Raises:
        UnsupportedError: There is no such type.
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


def _check_supported(page: Page) -> None:
    """Refuse an unsupported page, naming the feature.

    Raises:
        UnsupportedError: It is not supported.
    """
    if page.compression not in _READ:
        name = _COMPRESSION_NAMES.get(page.compression)
        raise unsupported(f"compression {page.compression}" + (f" ({name})" if name else ""))
    dtype = stored_dtype(page)
    if page.depth > 1:
        raise UnsupportedError(note("unsupported-tiff-slices", count=page.depth), "TIFF")
    if page.compression in CCITT and (page.bits[0] != 1 or page.samples != 1):
        error = f"fax compression of {describe_samples(page)} samples"
        raise UndecodableError(note("damaged-because", format="TIFF", error=error), "TIFF")
    if page.predictor != 1 and not ignores_predictor(page):
        fits = {2: page.bits[0] in {8, 16, 32, 64}, 3: dtype.kind == "f" and page.bits[0] != 24}
        if not fits.get(page.predictor, False):
            raise unsupported(f"predictor {page.predictor} on {describe_samples(page)} samples")
        if is_subsampled(page):
            raise unsupported(f"predictor {page.predictor} on subsampled color")


def ignores_predictor(page: Page) -> bool:
    """Whether a page's compression encodes entire images, so that predictors and bit order do not apply."""
    return page.compression in JPEG | JPEG_2000 | _RGB_CODECS | {22610, 34933, 34934}


def is_subsampled(page: Page) -> bool:
    """Whether color is stored per block of pixels, interleaved with their luma (TIFF 6.0, section 21)."""
    return (
        page.photometric == 6
        and page.samples == 3
        and not page.planar
        and page.subsampling != (1, 1)
        and not ignores_predictor(page)
    )


def is_rgb_already(page: Page) -> bool:
    """Whether decoding converts a page's YCbCr to RGB as part of its compression."""
    return page.compression in _RGB_CODECS or (page.compression in JPEG and not page.planar and not page.extra)


def _check_cost(page: Page, kept: int, max_pixels: int) -> None:
    """Refuse a page that needs more memory than the pixel limit allows.

    The memory includes the pixels with the padding of tiles, a complete decoded segment, and what is kept of it: the
    samples, a copy for summarizing deep ones, and the 8-bit image.

    Args:
        page: The page to decode.
        kept: Number of samples per pixel that are used, including alpha.
        max_pixels: Maximum width times height of an ordinary 8-bit image.

    Raises:
        TooManyPixelsError: It needs more memory.
    """
    width, height = page.upright_size
    check_size(width, height, "TIFF", max_pixels)
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
    if page.segments_across * page.segments_down > _MAX_SEGMENTS:
        raise unsupported(f"{page.segments_across * page.segments_down:,} strips or tiles")


@functools.cache
def is_installed() -> bool:
    """Whether the libraries for all kinds of TIFF are installed."""
    return all(importlib.util.find_spec(name) for name in ("imagecodecs", "tifffile"))
