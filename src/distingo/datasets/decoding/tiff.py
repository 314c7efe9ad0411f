"""Convert TIFF pages with any kind of samples to 8-bit images as viewers display them, following TIFF 6.0."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

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
from distingo.datasets.decoding.value_ranges import ValueRange, ValueRanges, choose_range, opaque_value, to_eight_bits
from distingo.datasets.decoding.value_summaries import (
    ValueSummary,
    blocks_of,
    by_block,
    require_finite,
    summarize_values,
)


@dataclass(frozen=True, slots=True)
class DecodedPage:
    """A page as an image, before its color profile, alpha and orientation are applied.

    Attributes:
        image: Mode ``L``, ``RGB``, ``CMYK`` or ``LAB``, with ``icc_profile`` in its info if the file has one.
        alpha: Mode ``L``; None for an opaque image.
        values: The stored values of deep gray or RGB.
    """

    image: Image.Image
    alpha: Image.Image | None
    values: ValueSummary | None


def read_by_pillow(page: Page, layout: Layout) -> bool:
    """Whether to read a page with Pillow: where it is exact, and the better or only choice.

    Pages that tifffile can also decompress are read with that if it is installed, as libtiff, which Pillow uses, prints
    errors of damaged files.

    Raises:
        EOFError: The file ends before its last strip or tile is complete.
    """
    if not pillow_reads_exactly(page, layout):
        return False
    if page.compression in LOSSLESS and is_installed():
        return False
    check_complete(page)
    return True


def decode_page(
    page: Page, layout: Layout, max_pixels: int, value_range: ValueRange | ValueRanges | None = None
) -> DecodedPage:
    """Decode a page into an image.

    Args:
        page: From `open_checked`.
        layout: From `open_checked`.
        max_pixels: As for `open_checked`.
        value_range: The range that deep gray and RGB are scaled by; None depends on the image alone. All other colors
            have a defined meaning, the full range of their type; for alpha see `opaque_value`.

    Returns:
        The image before rotation. If white is zero, gray values are inverted after scaling; no-data and non-finite
        values are black.

    Raises:
        UndecodableError: It has floats, and none of its colors is finite.
        Exception: As for `read_samples`.
    """
    channels = layout.colors if layout.alpha is None else (*layout.colors, layout.alpha)
    samples = read_samples(page, channels, max_pixels)
    colors, alpha, visible = samples[..., : len(layout.colors)], None, None
    require_finite(colors, "TIFF")
    bits = _significant_bits(page, colors)
    if layout.alpha is not None:
        opacity = samples[..., -1]
        full, bits = _opaque_value(page, opacity, colors, bits)
        shares = _by_full_range(opacity, full)
        # An alpha of zero everywhere is a writer's mistake, not an empty image.
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
            # The same values with inverted display are a different image.
            values = replace(values, digest=f"0{values.digest}"[:32])
    if values is not None and (colors.dtype.kind == "f" or stored_no_data(page) is not None):
        pixels[~_valid(page, colors)] = 0
    mode = {"cmyk": "CMYK", "lab": "LAB", "gray": "L"}.get(layout.kind, "RGB")
    image = _to_image(pixels, mode)
    if profile := page.directory.content(34675):
        image.info["icc_profile"] = profile
    return DecodedPage(image, alpha, values)


def _scale(
    page: Page,
    colors: np.ndarray,
    visible: np.ndarray | None,
    value_range: ValueRange | ValueRanges | None,
    bits: int | None,
) -> tuple[np.ndarray, ValueSummary]:
    """Scale deep gray or RGB to 8 bits, with one range for all colors, and summarize the stored values."""
    missing = stored_no_data(page)
    valid = visible
    if missing is not None:
        has_data = colors != missing
        valid = has_data if valid is None else has_data & valid
    summary = summarize_values(colors, bits=bits, valid=valid)
    scale = choose_range(value_range, summary)
    return to_eight_bits(colors, scale), summary


def _opaque_value(page: Page, opacity: np.ndarray, colors: np.ndarray, bits: int | None) -> tuple[float, int | None]:
    """Like `opaque_value`, but an alpha that needs more bits than the colors has all bits of a sample."""
    if bits is not None and bits < page.bits[0] and opacity.max() >= 2**bits:
        return _full_scale(page), bits
    return opaque_value(opacity, colors, bits)


def _valid(page: Page, colors: np.ndarray) -> np.ndarray:
    """Which samples are finite and not marked as missing."""
    valid = np.isfinite(colors) if colors.dtype.kind == "f" else np.ones(colors.shape, np.bool_)
    missing = stored_no_data(page)
    return valid if missing is None else valid & (colors != missing)


def _significant_bits(page: Page, colors: np.ndarray) -> int | None:
    """BitsPerSample, or fewer if MaxSampleValue is the largest number of fewer bits and no value exceeds it."""
    if stored_dtype(page).kind == "f":
        return None
    declared_max = page.directory.number(281, 0)
    declared_bits = declared_max.bit_length()
    if 8 <= declared_bits < page.bits[0] and declared_max == 2**declared_bits - 1 and colors.max() <= declared_max:
        return declared_bits
    return page.bits[0]


def _to_image(pixels: np.ndarray, mode: str) -> Image.Image:
    height, width = pixels.shape[:2]
    if mode == "LAB":
        # Pillow's raw form of this mode is the same as in TIFF: a* and b* are signed.
        pixels = pixels ^ np.array([0, 128, 128], np.uint8)
    return Image.frombytes(mode, (width, height), np.ascontiguousarray(pixels).reshape(-1).data)


def _full_scale(page: Page) -> float:
    """The largest value of a page's type; 1 for floats."""
    dtype = stored_dtype(page)
    if dtype.kind == "f":
        return 1.0
    return float(2 ** (page.bits[0] - (dtype.kind == "i")) - 1)


def _by_full_range(values: np.ndarray, full: float) -> np.ndarray:
    """Scale values from 0 to `full` to 8 bits, without a copy if they already are."""
    if values.dtype == np.uint8 and full == 255.0:
        return values
    return to_eight_bits(values, ValueRange(0.0, full))


def _divide_by_alpha(colors: np.ndarray, opacity: np.ndarray, full: float) -> None:
    """Undo in place the multiplication of colors by their alpha; colors with an alpha of zero stay."""
    # The largest 64-bit integer is not representable as float: the next larger one would overflow.
    largest = full if full < 2**53 else np.nextafter(full, 0.0)
    for block in blocks_of(colors):
        share = np.clip(opacity[block].astype(np.float64) / full, 0.0, None)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            divided = np.where(share > 0, colors[block] / share, colors[block])
        colors[block] = divided if colors.dtype.kind == "f" else np.rint(np.clip(divided, 0, largest))


def _plain_to_eight_bits(page: Page, colors: np.ndarray) -> np.ndarray:
    return _by_full_range(colors, _full_scale(page))


def _palette_to_rgb(page: Page, colors: np.ndarray) -> np.ndarray:
    """Convert palette indices to RGB; palettes have 16-bit colors, or as in libtiff 8-bit ones if none is above 255."""
    size = 2 ** page.bits[0]
    palette = page.directory.array(320, 3 * size)
    if palette is None or len(palette) < 3 * size:
        raise ValueError("its palette is incomplete")
    table = palette if palette.max() <= 255 else palette >> 8
    rgb: np.ndarray = table.reshape(3, size).T.astype(np.uint8)[colors[..., 0]]
    return rgb


def _ycbcr_to_rgb(page: Page, colors: np.ndarray) -> np.ndarray:
    """Convert by TIFF 6.0, section 21, with the file's coefficients and reference values, or else CCIR 601's."""
    file_values = page.directory.array(529, 3)
    red, green, blue = (0.299, 0.587, 0.114) if file_values is None or len(file_values) < 3 else map(float, file_values)
    file_values = page.directory.array(532, 6)
    low = (0.0, 128.0, 128.0) if file_values is None or len(file_values) < 6 else file_values[::2].astype(float)
    high = (255.0, 255.0, 255.0) if file_values is None or len(file_values) < 6 else file_values[1::2].astype(float)
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
    """Scale L* from 0..100 to 0..255, and offset a* and b* by 128, as in Pillow's mode LAB.

    CIE L*a*b* (8) stores a* and b* signed, as 8 bits or in units of 1/256; ICC L*a*b* (9) with an offset of 128 and, in
    16 bits, 100 as 65280 (TIFF 6.0, section 23; TIFF Technical Note of Photoshop). Floats are not scaled.
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
