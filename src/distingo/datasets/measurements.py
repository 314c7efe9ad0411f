"""Measurements of an image: brightness, contrast, sharpness, color, and descriptors of 52 numbers.

Descriptors are color histograms and the gray-level co-occurrence matrix of Haralick, Shanmugam and Dinstein (Textural
Features for Image Classification, 1973) as in scikit-image. Its four properties are computed without weighting its
65,536 cells: dissimilarity and homogeneity depend only on the difference of two gray levels, correlation on five sums,
and energy on the squared counts.
"""

from __future__ import annotations

from functools import cache
from math import sqrt
from typing import Final, Literal

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


Angles = Literal["first", "all"]

Floats = npt.NDArray[np.float64]

MAX_HEIGHT, MAX_WIDTH = 135, 240
"""Maximum size that images are shrunk to: an eighth of 1080 x 1920 pixels."""

BINS = 16

DISTANCE = 5

ANGLES = (0, 45, 90, 135)

PROPERTIES = ("dissimilarity", "homogeneity", "energy", "correlation")

# The pixel pairs at distance 5: (down, right) by angle, rounded to whole pixels as in scikit-image.
_OFFSETS = {0: (0, 5), 45: (4, 4), 90: (5, 0), 135: (4, -4)}

# scikit-image's luminance (ITU-R BT.709 as rounded by Poynton), of values where white is 1.
_LUMINANCE = np.array([0.2125, 0.7154, 0.0721])

_DIFFERENCES = np.arange(256, dtype=np.float64)

_LIKENESS = 1.0 / (1.0 + _DIFFERENCES**2)


@cache
def descriptor_names(angles: Angles = "first") -> tuple[str, ...]:
    """The names of the numbers that `describe` computes.

    Args:
        angles: As for `describe`.

    Returns:
        48 names such as ``red_0_15`` (the histogram's bin of values 0 to 15), then four such as ``energy_45``
        (of the co-occurrence at 45 degrees) for each angle.
    """
    width = 256 // BINS
    colors = [
        f"{color}_{first}_{first + width - 1}" for color in ("red", "green", "blue") for first in range(0, 256, width)
    ]
    return (*colors, *(f"{name}_{angle}" for angle in _degrees(angles) for name in PROPERTIES))


def describe(image: Image.Image | npt.NDArray[np.uint8], *, angles: Angles = "first") -> npt.NDArray[np.float32]:
    """Describe an image: color histograms and co-occurrence properties after shrinking.

    An image taller than 135 or wider than 240 pixels is shrunk to that in the dimension concerned, with anti-aliasing;
    smaller ones are not enlarged.

    Args:
        image: An image of any mode, or uint8 of shape (height, width), (height, width, 1) or
            (height, width, 3).
        angles: ``first`` for co-occurrence at 0 degrees only, as published; ``all`` for 0, 45, 90 and 135.

    Returns:
        Shape (52,), or (64,) with all angles; named by `descriptor_names`.

    Raises:
        ValueError: The image has no pixel, or the array is not one of the above.
    """
    decoded = image if isinstance(image, Image.Image) else _image(image)
    size = (min(decoded.width, MAX_WIDTH), min(decoded.height, MAX_HEIGHT))
    # Shrinking a palette image would blend color indices, so it is converted first.
    decoded = decoded if decoded.mode in {"RGB", "L"} else decoded.convert("RGB")
    if decoded.size != size:
        decoded = decoded.resize(size, Image.Resampling.BILINEAR)
    return describe_pixels(np.asarray(decoded.convert("RGB")), angles=angles).astype(np.float32)


def describe_pixels(rgb: npt.NDArray[np.uint8], *, angles: Angles = "first") -> Floats:
    """Describe an image's pixels without shrinking.

    The histograms are ``numpy.histogram(channel, bins=16, range=(0, 256), density=True)``, so that a bin means the same
    in every image; gray and texture are scikit-image's ``rgb2gray``, ``graycomatrix`` and ``graycoprops``. As there, an
    image too small for a single pair of pixels has dissimilarity, homogeneity and energy 0 and correlation 1, and
    correlation is 1 if the first, or the second, pixels of all pairs have the same gray.

    Args:
        rgb: Shape (height, width, 3).
        angles: As for `describe`.

    Returns:
        Shape (52,), or (64,) with all angles.

    Raises:
        ValueError: The array is not uint8 of that shape, or has no pixel.
    """
    if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.size == 0:
        raise ValueError(f"pixels of shape {rgb.shape} and type {rgb.dtype}; give uint8 of shape (height, width, 3)")
    gray = _gray(rgb)
    textures = [texture for angle in _degrees(angles) for texture in _texture(gray, *_OFFSETS[angle])]
    return np.concatenate([_histograms(rgb), textures])


def _degrees(angles: Angles) -> tuple[int, ...]:
    if angles not in {"first", "all"}:
        raise ValueError(f"angles {angles!r}; give 'first' or 'all'")
    return ANGLES[:1] if angles == "first" else ANGLES


def _image(pixels: npt.NDArray[np.uint8]) -> Image.Image:
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    if pixels.dtype != np.uint8 or pixels.size == 0 or not (pixels.ndim == 2 or pixels.shape[2:] == (3,)):
        raise ValueError(
            f"pixels of shape {pixels.shape} and type {pixels.dtype}; "
            "give uint8 of shape (height, width), (height, width, 1) or (height, width, 3)"
        )
    return Image.fromarray(pixels)


def _histograms(rgb: npt.NDArray[np.uint8]) -> Floats:
    # Pillow counts all 3 x 256 values in one pass, several times faster than numpy.
    counts = np.array(Image.fromarray(rgb).histogram()).reshape(3 * BINS, -1).sum(axis=1)
    densities: Floats = counts / (rgb.shape[0] * rgb.shape[1] * (256 / BINS))
    return densities


def _gray(rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    # Step by step as in scikit-image, as values halfway between two gray levels must be rounded the same way.
    scaled = np.multiply(rgb, 1.0 / 255, dtype=np.float64)
    luminance = scaled @ _LUMINANCE
    np.multiply(luminance, 255, out=luminance)
    np.rint(luminance, out=luminance)
    gray: npt.NDArray[np.uint8] = luminance.astype(np.uint8)
    return gray


def _texture(gray: npt.NDArray[np.uint8], down: int, right: int) -> tuple[float, float, float, float]:
    """Dissimilarity, homogeneity, energy and correlation of all pixel pairs at one offset."""
    height, width = gray.shape
    if height <= down or width <= abs(right):
        return 0.0, 0.0, 0.0, 1.0
    start, stop = max(0, -right), width - max(0, right)
    first = gray[: height - down, start:stop].ravel()
    second = gray[down:, start + right : stop + right].ravel()
    pairs = first.size

    differences = np.bincount(np.maximum(first, second) - np.minimum(first, second), minlength=256)
    dissimilarity = float(differences @ _DIFFERENCES) / pairs
    homogeneity = float(differences @ _LIKENESS) / pairs

    codes = first.astype(np.uint16)
    codes <<= 8
    codes |= second
    counts = np.bincount(codes)
    energy = sqrt(int(counts @ counts)) / pairs
    squares = int(differences @ _DIFFERENCES**2)
    return dissimilarity, homogeneity, energy, _correlation(first, second, squares)


def _correlation(first: npt.NDArray[np.uint8], second: npt.NDArray[np.uint8], squares: int) -> float:
    """Pearson's correlation of the pairs, given the sum of their squared differences."""
    # Sums of squared bytes are whole numbers far below 2**53, hence exact in float64; the differences of
    # large products that follow are taken in Python's unbounded integers.
    n = first.size
    sum_x, sum_xx = _sums(first)
    sum_y, sum_yy = _sums(second)
    variance_x = n * sum_xx - sum_x * sum_x
    variance_y = n * sum_yy - sum_y * sum_y
    if variance_x == 0 or variance_y == 0:
        return 1.0
    covariance = n * ((sum_xx + sum_yy - squares) // 2) - sum_x * sum_y
    return covariance / (sqrt(variance_x) * sqrt(variance_y))


def _sums(values: npt.NDArray[np.uint8]) -> tuple[int, int]:
    """The sum of the values and the sum of their squares."""
    floats = values.astype(np.float64)
    # einsum, not a BLAS product: BLAS would start threads, which stall if several images are described at once (a tenth
    # of the speed, measured).
    return int(floats.sum()), int(np.einsum("i,i->", floats, floats))
