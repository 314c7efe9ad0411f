"""TIFF pages to images as viewers show them: whatever their samples are, in 8 bits, by the conversions of TIFF 6.0."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from distingo.datasets.decoding.shown import opaque_value
from distingo.datasets.decoding.tiff_directory import Page
from distingo.datasets.decoding.tiff_samples import check_complete, read_samples, stored_no_data
from distingo.datasets.decoding.tiff_support import (
    LOSSLESS,
    Layout,
    is_installed,
    pillow_reads_exactly,
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


def read_by_pillow(page: Page, layout: Layout) -> bool:
    """Whether a page is read by Pillow: where it is exact, and best at it or alone.

    What tifffile decompresses as well is left to it where it is installed: libtiff, which Pillow uses, prints what is
    wrong with a damaged file.

    Raises:
        EOFError: The file breaks off before its last strip or tile is complete.
    """
    if not pillow_reads_exactly(page, layout):
        return False
    if page.compression in LOSSLESS and is_installed():
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
        shares = _by_full_range(opacity, full)
        # An alpha of zero everywhere is a writer's mistake, not an image of nothing.
        if shares.any():
            visible = (opacity != 0)[..., None]
            if layout.associated:
                _divide_by_alpha(colors, opacity[..., None], full)
            alpha = Image.fromarray(np.ascontiguousarray(shares))
    values = None
    if layout.kind in {"gray", "rgb"} and samples.dtype != np.uint8:
        pixels, values = _scale(page, colors, visible, value_range, bits)
    else:
        pixels = _TO_EIGHT_BITS[layout.kind](page, colors)
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
        return _full_scale(page), bits
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


def _full_scale(page: Page) -> float:
    """The largest value of a page's type, 1 for floats."""
    dtype = stored_dtype(page)
    if dtype.kind == "f":
        return 1.0
    return float(2 ** (page.bits[0] - (dtype.kind == "i")) - 1)


def _by_full_range(values: np.ndarray, full: float) -> np.ndarray:
    """Scale values of 0 to their largest to 8 bits, without a copy where they are that already."""
    if values.dtype == np.uint8 and full == 255.0:
        return values
    return to_eight_bits(values, ValueRange(0.0, full))


def _divide_by_alpha(colors: np.ndarray, opacity: np.ndarray, full: float) -> None:
    """Undo in place that colors are stored multiplied by their alpha; a color without any stays."""
    # The largest 64-bit integer is no float: the next one above it would wrap.
    most = full if full < 2**53 else np.nextafter(full, 0.0)
    for block in blocks_of(colors):
        share = np.clip(opacity[block].astype(np.float64) / full, 0.0, None)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            divided = np.where(share > 0, colors[block] / share, colors[block])
        colors[block] = divided if colors.dtype.kind == "f" else np.rint(np.clip(divided, 0, most))


def _plain_to_eight_bits(page: Page, colors: np.ndarray) -> np.ndarray:
    return _by_full_range(colors, _full_scale(page))


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
        scaled = block if block.dtype == np.uint8 else to_eight_bits(block, ValueRange(0.0, _full_scale(page)))
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


_TO_EIGHT_BITS: dict[str, Callable[[Page, np.ndarray], np.ndarray]] = {
    "gray": _plain_to_eight_bits,
    "rgb": _plain_to_eight_bits,
    "cmyk": _plain_to_eight_bits,
    "palette": _palette_to_rgb,
    "ycbcr": _ycbcr_to_rgb,
    "lab": _lab_to_eight_bits,
}
