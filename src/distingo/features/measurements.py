"""Measure properties of an image that do not depend on its content: brightness, contrast, sharpness, color."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

MEASUREMENTS: Final = (
    "brightness_1",
    "brightness_5",
    "brightness_95",
    "brightness_99",
    "brightness",
    "contrast",
    "uniformity",
    "sharpness",
    "red",
    "green",
    "blue",
    "saturation",
)
"""Percentiles of brightness, its mean and standard deviation, all from 0 to 1 (white); the largest share of pixels
within 16 neighboring levels of brightness; see `_sharpness`; mean color and mean saturation from 0 to 1."""

SHARPNESS_SIDE = 128
_TILES = 4
_LEVELS_ALIKE = 16
_NOISE = 25.0
"""Assumed variance, in squared levels, of a tile without structure, to avoid a division by zero."""


def measure(image: Image.Image) -> npt.NDArray[np.float32]:
    """Measure an image.

    Args:
        image: Mode ``RGB`` or ``L``.

    Returns:
        Shape (12,), named by `MEASUREMENTS`.
    """
    gray = image if image.mode == "L" else image.convert("L")
    histogram = np.array(gray.histogram(), np.float64)
    share = histogram / histogram.sum()
    levels = np.arange(256) / 255
    mean = float(share @ levels)
    cumulative = np.cumsum(share)
    percentiles = [float(levels[np.searchsorted(cumulative, q - 1e-9)]) for q in (0.01, 0.05, 0.95, 0.99)]
    contrast = float(np.sqrt(share @ (levels - mean) ** 2))
    uniformity = float(np.convolve(share, np.ones(_LEVELS_ALIKE), "valid").max())
    row = (*percentiles, mean, contrast, min(uniformity, 1.0), _sharpness(gray), *_color(image))
    return np.array(row, np.float32)


def _sharpness(gray: Image.Image) -> float:
    """The sharpness of the sharpest structures, wherever they are in the image.

    The variance of the Laplacian (Pech-Pacheco et al., Diatom autofocusing in brightfield microscopy, 2000), divided by
    the variance of brightness so that contrast does not count, in each of 16 tiles. The result is the second largest
    value, so that a sharp subject in front of a soft background counts as sharp and a watermark does not. The image is
    shrunk to 128 pixels first, so that photos of all sizes are comparable; those in focus have 0.8 and more, those
    blurred by a hundredth of their side 0.3 and less.
    """
    scale = SHARPNESS_SIDE / min(gray.size)
    if scale < 1:
        size = (max(1, round(gray.width * scale)), max(1, round(gray.height * scale)))
        gray = gray.resize(size, Image.Resampling.BOX, reducing_gap=2.0)
    levels = np.asarray(gray, np.float32)
    if min(levels.shape) < 2 + _TILES:
        return 0.0
    middle = levels[1:-1, 1:-1]
    laplacian = 4 * middle - levels[:-2, 1:-1] - levels[2:, 1:-1] - levels[1:-1, :-2] - levels[1:-1, 2:]
    ratios = _tiles(laplacian).var(axis=1) / (_tiles(middle).var(axis=1) + _NOISE)
    return float(np.partition(ratios, -2)[-2])


def _tiles(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Cut (height, width) into 16 tiles (16, pixels), dropping the rest at the edges."""
    height, width = (side // _TILES for side in values.shape)
    grid = values[: height * _TILES, : width * _TILES].reshape(_TILES, height, _TILES, width)
    tiles: npt.NDArray[np.float32] = grid.transpose(0, 2, 1, 3).reshape(_TILES**2, height * width)
    return tiles


def _color(image: Image.Image) -> tuple[float, float, float, float]:
    small = image.resize((32, 32), Image.Resampling.BOX, reducing_gap=2.0)
    if small.mode == "L":
        gray = float(np.asarray(small).mean()) / 255
        return gray, gray, gray, 0.0
    pixels = np.asarray(small, np.float32).reshape(-1, 3) / 255
    red, green, blue = pixels.mean(axis=0)
    highest, lowest = pixels.max(axis=1), pixels.min(axis=1)
    saturation = (highest - lowest) / np.maximum(highest, 1 / 255)
    return float(red), float(green), float(blue), float(saturation.mean())
