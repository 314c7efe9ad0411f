"""TIFF pages to images as viewers show them, whatever their samples are.

Stored samples of a TIFF to the 8 bits of their colors, by the conversions of the specification (TIFF 6.0).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from PIL import Image

from distingo.datasets.decoding.failures import UndecodableError
from distingo.datasets.decoding.shown import opaque_value
from distingo.datasets.decoding.tiff_directory import Page, open_page
from distingo.datasets.decoding.tiff_samples import check_complete, read_samples, stored_no_data
from distingo.datasets.decoding.tiff_support import (
    check_size,
    check_supported,
    describe_samples,
    is_installed,
    is_rgb_already,
    stored_dtype,
    unsupported,
)
from distingo.datasets.decoding.value_ranges import ValueRange, ValueRanges, choose_range, to_eight_bits
from distingo.datasets.decoding.value_summaries import (
    ValueSummary,
    blocks_of,
    by_block,
    require_finite,
    summarize_values,
)
from distingo.messages.notes import note


def full_scale(page: Page) -> float:
    """The largest value of a page's type, 1 for floats."""
    dtype = stored_dtype(page)
    if dtype.kind == "f":
        return 1.0
    return float(2 ** (page.bits[0] - (dtype.kind == "i")) - 1)


def by_full_range(values: np.ndarray, full: float) -> np.ndarray:
    """Scale values of 0 to their largest to 8 bits, without a copy where they are that already."""
    if values.dtype == np.uint8 and full == 255.0:
        return values
    return to_eight_bits(values, ValueRange(0.0, full))


def divide_by_alpha(colors: np.ndarray, opacity: np.ndarray, full: float) -> None:
    """Undo in place that colors are stored multiplied by their alpha; a color without any stays."""
    # The largest 64-bit integer is no float: the next one above it would wrap.
    most = full if full < 2**53 else np.nextafter(full, 0.0)
    for block in blocks_of(colors):
        share = np.clip(opacity[block].astype(np.float64) / full, 0.0, None)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            divided = np.where(share > 0, colors[block] / share, colors[block])
        colors[block] = divided if colors.dtype.kind == "f" else np.rint(np.clip(divided, 0, most))


def _plain_to_eight_bits(page: Page, colors: np.ndarray) -> np.ndarray:
    return by_full_range(colors, full_scale(page))


def _palette_to_rgb(page: Page, colors: np.ndarray) -> np.ndarray:
    """Look up a palette of 16-bit colors; one without a value above 255 holds 8-bit colors, as libtiff takes it."""
    size = 2 ** page.bits[0]
    found = page.directory.array(320, 3 * size)
    if found is None or len(found) < 3 * size:
        raise ValueError("its palette is incomplete")
    table = found if found.max() <= 255 else found >> 8
    rgb: np.ndarray = table.reshape(3, size).T.astype(np.uint8)[colors[..., 0]]
    return rgb


def _ycbcr_to_rgb(page: Page, colors: np.ndarray) -> np.ndarray:
    """TIFF 6.0, section 21: with the file's coefficients and reference values, those of CCIR 601 without any."""
    given = page.directory.array(529, 3)
    red, green, blue = (0.299, 0.587, 0.114) if given is None or len(given) < 3 else map(float, given)
    given = page.directory.array(532, 6)
    low = (0.0, 128.0, 128.0) if given is None or len(given) < 6 else given[::2].astype(float)
    high = (255.0, 255.0, 255.0) if given is None or len(given) < 6 else given[1::2].astype(float)
    spread = np.array([255.0, 127.0, 127.0]) / np.where(np.subtract(high, low) == 0, 1, np.subtract(high, low))

    def convert(block: np.ndarray) -> np.ndarray:
        scaled = block if block.dtype == np.uint8 else to_eight_bits(block, ValueRange(0.0, full_scale(page)))
        luma, cb, cr = np.moveaxis((scaled - np.asarray(low)) * spread, -1, 0)
        r, b = luma + cr * (2 - 2 * red), luma + cb * (2 - 2 * blue)
        g = (luma - red * r - blue * b) / (green or 1.0)
        rgb: np.ndarray = np.rint(np.clip(np.stack([r, g, b], -1), 0, 255)).astype(np.uint8)
        return rgb

    return by_block(convert, colors)


def _lab_to_eight_bits(page: Page, colors: np.ndarray) -> np.ndarray:
    """L* 0 to 255 for 0 to 100, a* and b* with 128 for 0, as Pillow's mode LAB has them.

    CIE L*a*b* (8) stores a* and b* signed, in 8 bits or in 1/256 of it; ICC L*a*b* (9) with an offset of 128 and, in
    16 bits, 100 as 65280 (TIFF 6.0, section 23; TIFF Technical Note of Photoshop). Floats are the numbers themselves.
    """
    icc, bits = page.photometric == 9, page.bits[0]
    if colors.dtype.kind != "f" and bits == 32:
        raise unsupported("L*a*b* of 32-bit integers")
    signed = np.dtype(f"i{bits // 8}")

    def convert(block: np.ndarray) -> np.ndarray:
        if block.dtype.kind == "f":
            numbers = block.astype(np.float64) * (2.55, 1.0, 1.0) + (0.0, 128.0, 128.0)
        elif icc:
            numbers = block.astype(np.float64) * ((255 / 65280, 1 / 256, 1 / 256) if bits == 16 else 1.0)
        else:
            light = block[..., :1].astype(np.float64) / (257.0 if bits == 16 else 1.0)
            color = block[..., 1:].astype(signed) / (256.0 if bits == 16 else 1.0) + 128.0
            numbers = np.concatenate([light, color], axis=-1)
        lab: np.ndarray = np.rint(np.clip(np.nan_to_num(numbers), 0, 255)).astype(np.uint8)
        return lab

    return by_block(convert, colors)


TO_EIGHT_BITS: dict[str, Callable[[Page, np.ndarray], np.ndarray]] = {
    "gray": _plain_to_eight_bits,
    "rgb": _plain_to_eight_bits,
    "cmyk": _plain_to_eight_bits,
    "palette": _palette_to_rgb,
    "ycbcr": _ycbcr_to_rgb,
    "lab": _lab_to_eight_bits,
}

Kind = Literal["gray", "rgb", "palette", "cmyk", "ycbcr", "lab"]

_COLORS: dict[Kind, int] = {"gray": 1, "rgb": 3, "palette": 1, "cmyk": 4, "ycbcr": 3, "lab": 3}

_KINDS: dict[int, Kind] = {
    0: "gray",
    1: "gray",
    2: "rgb",
    3: "palette",
    4: "gray",
    5: "cmyk",
    6: "ycbcr",
    8: "lab",
    9: "lab",
}

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

# Fax is best read by libtiff too, which knows most of its dialects.
_PILLOW_BEST = {1, 2, 3, 4}

_PILLOW_EXACT = {5, 8, 32773, 32946}


@dataclass(frozen=True, slots=True)
class Layout:
    """Which samples of a page are shown, and as what.

    Attributes:
        kind: What the colors are.
        colors: Numbers of the samples that hold them.
        alpha: Number of the sample that is the alpha, None without one.
        associated: Whether the colors are multiplied by the alpha.
    """

    kind: Kind
    colors: tuple[int, ...]
    alpha: int | None
    associated: bool


@dataclass(frozen=True, slots=True)
class Shown:
    """A page as an image, before its color profile, its alpha and its orientation are applied.

    Attributes:
        image: Mode ``L``, ``RGB``, ``CMYK`` or ``LAB``, with ``icc_profile`` among its info where the file has one.
        alpha: Mode ``L``, None for an opaque image.
        values: The stored values of deep gray or RGB.
    """

    image: Image.Image
    alpha: Image.Image | None
    values: ValueSummary | None


def open_checked(data: bytes, max_pixels: int) -> tuple[Page, Layout]:
    """Find the page of a TIFF that is the image, and refuse it where its tags show that it can't be decoded.

    Args:
        data: The whole file.
        max_pixels: As for `check_size`.

    Returns:
        The page and what of it is shown: of many bands the first three where the file calls them RGB, else the first
        one as gray; extra samples count only where the file calls them alpha.

    Raises:
        UndecodableError: As said.
        EOFError: The file breaks off before its directory is complete.
    """
    page = open_page(data)
    layout = _layout(page)
    check_size(page, len(layout.colors) + (layout.alpha is not None), max_pixels)
    bits = _PILLOW_ALONE.get(page.compression)
    if bits is not None and page.first and not page.directory.big and page.photometric in {0, 1, 2, 6}:
        if set(page.bits) != {bits}:
            raise unsupported(f"compression {page.compression} of {describe_samples(page)} samples")
        return page, layout
    check_supported(page)
    dtype = stored_dtype(page)
    if layout.kind == "palette" and (dtype.kind != "u" or page.bits[0] > 16):
        raise unsupported(f"a palette of {page.bits[0]} bits")
    if layout.kind in {"cmyk", "ycbcr"} and dtype.kind == "i":
        raise unsupported(f"signed {'inks' if layout.kind == 'cmyk' else 'YCbCr'}")
    if layout.kind == "lab" and page.bits[0] not in {8, 16, 32}:
        raise unsupported(f"L*a*b* of {page.bits[0]} bits")
    return page, layout


def is_classic(data: bytes) -> bool:
    """Whether a TIFF is one of the classic kind, not a BigTIFF."""
    return data[2:4] in {b"*\0", b"\0*"}


def pillow_reads_exactly(page: Page, layout: Layout) -> bool:
    """Whether Pillow gives the same pixels: ordinary 8-bit and bilevel pages, read without tifffile and its import.

    Gray, RGB, palette and CMYK of 8 bits without extra samples, bilevel gray, uncompressed or compressed without loss
    by the methods of TIFF 6.0, fax included; `test_tiff.py` compares them. Old-style JPEG, ThunderScan
    and word-aligned fax are left to Pillow too, as nothing else decodes them.
    """
    if not page.first or page.directory.big:
        return False
    if page.compression in _PILLOW_ALONE:
        return True
    bilevel = page.bits == (1,) and layout.kind == "gray" and page.predictor == 1
    ordinary = set(page.bits) == {8} and page.samples == _COLORS[layout.kind] and layout.kind in {"gray", "rgb", "cmyk"}
    return (
        (bilevel or (ordinary and page.compression in _PILLOW_EXACT | {1}))
        and page.photometric in {0, 1, 2, 5}
        and 262 in page.directory.entries
        and page.sample_format == 1
        and not page.extra
        and not page.reversed_bits
        and page.depth == 1
        and page.predictor in {1, 2}
        and not (page.planar and page.tile)
        and page.compression in _PILLOW_EXACT | _PILLOW_BEST
    )


def read_by_pillow(page: Page, layout: Layout) -> bool:
    """Whether a page is read by Pillow: where it is exact, and best at it or alone.

    What tifffile decompresses as well is left to it where it is installed: libtiff, which Pillow uses, prints what is
    wrong with a damaged file.

    Raises:
        EOFError: The file breaks off before its last strip or tile is complete.
    """
    if not pillow_reads_exactly(page, layout):
        return False
    if page.compression in _PILLOW_EXACT and is_installed():
        return False
    check_complete(page)
    return True


def show(page: Page, layout: Layout, max_pixels: int, value_range: ValueRange | ValueRanges | None = None) -> Shown:
    """Decode a page into an image.

    Args:
        page: From `open_checked`.
        layout: From `open_checked`.
        max_pixels: As for `open_checked`.
        value_range: What deep gray and RGB are scaled by; None decides by the image alone. All other colors have a
            meaning of their own, the full range of their type; for alpha see `opaque_value`.

    Returns:
        The image, not turned. Where white is zero, its gray is inverted after scaling; no-data values and what is not
        finite are black.

    Raises:
        UndecodableError: It has floats, and none of its colors is a finite number.
        Exception: As `read_samples`.
    """
    kept = layout.colors if layout.alpha is None else (*layout.colors, layout.alpha)
    samples = read_samples(page, kept, max_pixels)
    colors, alpha, visible = samples[..., : len(layout.colors)], None, None
    require_finite(colors, "TIFF")
    bits = _significant_bits(page, colors)
    if layout.alpha is not None:
        opacity = samples[..., -1]
        full, bits = _opaque_value(page, opacity, colors, bits)
        shares = by_full_range(opacity, full)
        # An alpha of zero everywhere is a writer's mistake, not an image of nothing.
        if shares.any():
            visible = (opacity != 0)[..., None]
            if layout.associated:
                divide_by_alpha(colors, opacity[..., None], full)
            alpha = Image.fromarray(np.ascontiguousarray(shares))
    values = None
    if layout.kind in {"gray", "rgb"} and samples.dtype != np.uint8:
        pixels, values = _scale(page, colors, visible, value_range, bits)
    else:
        pixels = TO_EIGHT_BITS[layout.kind](page, colors)
    if page.photometric == 0 and layout.kind == "gray":
        pixels = 255 - pixels
        if values is not None:
            # The same values shown the other way round are another image.
            values = replace(values, digest=f"0{values.digest}"[:32])
    if values is not None and (colors.dtype.kind == "f" or stored_no_data(page) is not None):
        pixels[~_valid(page, colors)] = 0
    mode = {"cmyk": "CMYK", "lab": "LAB", "gray": "L"}.get(layout.kind, "RGB")
    image = _to_image(pixels, mode)
    if profile := page.directory.content(34675):
        image.info["icc_profile"] = profile
    return Shown(image, alpha, values)


def _layout(page: Page) -> Layout:
    kind = _KINDS.get(page.photometric)
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
    before = page.samples - len(page.extra)
    kinds = {before + at: kind for at, kind in enumerate(page.extra) if kind in {1, 2, 999} and before + at >= count}
    if kind == "rgb" and not page.extra and page.samples == 4:
        # Writers that leave ExtraSamples out mean an alpha, as Pillow and libtiff take it.
        kinds = {3: 2}
    alpha = min(kinds, default=None)
    return Layout(kind, tuple(range(count)), alpha, alpha is not None and kinds[alpha] == 1)


def _scale(
    page: Page,
    colors: np.ndarray,
    visible: np.ndarray | None,
    value_range: ValueRange | ValueRanges | None,
    bits: int | None,
) -> tuple[np.ndarray, ValueSummary]:
    """Deep gray or RGB in 8 bits, all colors by one range, and what is known of its stored values."""
    missing = stored_no_data(page)
    valid = visible
    if missing is not None:
        stored = colors != missing
        valid = stored if valid is None else stored & valid
    summary = summarize_values(colors, bits=bits, valid=valid)
    scale = choose_range(value_range, summary)
    return to_eight_bits(colors, scale), summary


def _opaque_value(page: Page, opacity: np.ndarray, colors: np.ndarray, bits: int | None) -> tuple[float, int | None]:
    """As `opaque_value`; an alpha that needs more bits than the colors has all bits of a sample."""
    if bits is not None and bits < page.bits[0] and opacity.max() >= 2**bits:
        return full_scale(page), bits
    return opaque_value(opacity, colors, bits)


def _valid(page: Page, colors: np.ndarray) -> np.ndarray:
    """Where samples are finite and not marked as missing."""
    valid = np.isfinite(colors) if colors.dtype.kind == "f" else np.ones(colors.shape, np.bool_)
    missing = stored_no_data(page)
    return valid if missing is None else valid & (colors != missing)


def _significant_bits(page: Page, colors: np.ndarray) -> int | None:
    """BitsPerSample, or fewer where MaxSampleValue is the largest number of fewer bits and no value is above it."""
    if stored_dtype(page).kind == "f":
        return None
    most = page.directory.number(281, 0)
    fewer = most.bit_length()
    if 8 <= fewer < page.bits[0] and most == 2**fewer - 1 and colors.max() <= most:
        return fewer
    return page.bits[0]


def _to_image(pixels: np.ndarray, mode: str) -> Image.Image:
    height, width = pixels.shape[:2]
    if mode == "LAB":
        # Pillow's raw form of it is that of TIFF: a* and b* signed.
        pixels = pixels ^ np.array([0, 128, 128], np.uint8)
    return Image.frombytes(mode, (width, height), np.ascontiguousarray(pixels).tobytes())
