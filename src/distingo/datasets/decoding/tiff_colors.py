"""Stored samples of a TIFF to the 8 bits of their colors, by the conversions of the specification (TIFF 6.0)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from distingo.datasets.decoding.tiff_directory import Page
from distingo.datasets.decoding.tiff_support import stored_dtype, unsupported
from distingo.datasets.decoding.value_ranges import ValueRange, to_eight_bits
from distingo.datasets.decoding.value_summaries import blocks_of, by_block


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
