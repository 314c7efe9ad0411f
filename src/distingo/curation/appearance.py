"""Appearance of the images of each class (mean image, colors, brightness, saturation), and exploration records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from distingo.datasets.cache.products import Product, pixels_product
from distingo.datasets.cache.segments import StoredRows
from distingo.datasets.cache.store import Cache
from distingo.messages.notes import Note
from distingo.progress import progress_bar
from distingo.records import Dataset, ImageSpec, LabeledImage, encode_labels

BINS = 20
"""Number of bins of the histograms of brightness and saturation, which range from 0 to 1."""


@dataclass(frozen=True, slots=True, eq=False)
class Appearance:
    """Appearance of the images of one class, or of all images.

    Attributes:
        name: Name of the class or label; empty for all images.
        number: Number of images.
        mean_image: Mean of all images, each stretched to the same size, uint8 (height, width, 3).
        mean_color: Mean red, green and blue of all pixels, from 0 to 255.
        brightness: Histogram of the mean gray values of images, int64 (`BINS`,).
        saturation: Histogram of the mean saturations (HSV) of images, int64 (`BINS`,).
        median_brightness: Median of the mean gray values, from 0 (black) to 1 (white).
        median_saturation: Median of the mean saturations, from 0 (gray) to 1.
        median_bytes: Median file size; None if images are not stored in separate files.
    """

    name: str
    number: int
    mean_image: np.ndarray
    mean_color: tuple[int, int, int]
    brightness: np.ndarray
    saturation: np.ndarray
    median_brightness: float
    median_saturation: float
    median_bytes: int | None


@dataclass(frozen=True, slots=True)
class Neighborhood:
    """Classes of the nearest neighbors of one class's images.

    Attributes:
        name: Name of the class or label.
        number: Number of its images on the map.
        own: Mean share of an image's neighbors with the same class.
        expected: Expected share if images were placed at random.
        other: The most frequent other class among the neighbors; empty if there is none.
        others: Mean share of the neighbors with that other class.
    """

    name: str
    number: int
    own: float
    expected: float
    other: str
    others: float


@dataclass(frozen=True, slots=True, eq=False)
class ImageMap:
    """Two-dimensional map of images, on which similar images are close together.

    Attributes:
        images: The images on the map.
        places: float64 (n, 2), x to the right and y downwards, from 0 to 1 along the longer axis.
        embedded_by: Description of the features that define similarity.
        reason: Why these features were chosen.
        perplexity: Perplexity of the projection.
        components: Number of principal components before the projection.
        seed: Seed of the sample and the projection.
        total: Number of images of the data set, including those not on the map.
        nearest: Number of neighbors per image in `neighborhoods`.
        neighborhoods: One per class with images on the map.
    """

    images: tuple[LabeledImage, ...]
    places: np.ndarray
    embedded_by: str
    reason: Note
    perplexity: float
    components: int
    seed: int
    total: int
    nearest: int
    neighborhoods: tuple[Neighborhood, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Exploration:
    """Result of the exploration of a data set.

    Attributes:
        appearances: All images first, then one entry per class.
        sizes: File size of each image in bytes; None for an entry of an IDX file or a missing file.
        image_map: The map; None if there is none.
        why_no_map: The reason if there is no map, otherwise empty.
    """

    appearances: tuple[Appearance, ...]
    sizes: tuple[int | None, ...]
    image_map: ImageMap | None = None
    why_no_map: str = ""


SIDE = 48
"""Width and height in pixels of the small images on which appearance is measured."""

_LUMINANCE = np.array([0.2126, 0.7152, 0.0722], np.float32)
"""Luminance weights of ITU-R BT.709, applied to the stored values."""

_BLOCK = 256


def small_images(cache: Cache) -> Product:
    """Product with each image stretched to 48 x 48 pixels, uint8 (48, 48, 3), computed while it is decoded."""
    return pixels_product(cache, ImageSpec(height=SIDE, width=SIDE, channels=3))


def describe_appearance(dataset: Dataset, rows: StoredRows, sizes: Sequence[int | None]) -> tuple[Appearance, ...]:
    """Summarize the appearance of all images and of each class.

    Args:
        dataset: The data set.
        rows: At least one row of `small_images`, in the order of the data set's images.
        sizes: File size of each image in bytes.

    Returns:
        All images first, under an empty name, then one entry per class in the data set's order. An image with several
        labels counts for each of them.
    """
    table = encode_labels(dataset.images, dataset.classes, "multi-label")
    member = np.concatenate([np.ones((len(table), 1), bool), table], axis=1)
    sums = np.zeros((member.shape[1], SIDE * SIDE * 3))
    brightness, saturation = np.empty(len(member), np.float32), np.empty(len(member), np.float32)
    with progress_bar("Measuring colors", len(member)) as advance:
        for at in range(0, len(member), _BLOCK):
            pixels = rows.take(slice(at, at + _BLOCK))
            block = slice(at, at + len(pixels))
            brightness[block], saturation[block] = measure_light(pixels)
            sums += member[block].T.astype(np.float32) @ pixels.reshape(len(pixels), -1).astype(np.float32)
            advance(len(pixels))
    byte_counts = np.array([np.nan if size is None else size for size in sizes], np.float64)
    return tuple(
        _appearance(name, sums[column], brightness[members], saturation[members], byte_counts[members])
        for column, (name, members) in enumerate(zip(("", *dataset.classes), member.T, strict=True))
    )


def measure_light(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean brightness and mean saturation of images.

    Args:
        pixels: uint8 (n, height, width, 3).

    Returns:
        Both float32 (n,), from 0 to 1: the gray value (ITU-R BT.709 on the stored values), and the HSV saturation, the
        difference between the largest and the smallest color value divided by the largest.
    """
    n, area = len(pixels), pixels.shape[1] * pixels.shape[2]
    flat = pixels.reshape(n, -1).astype(np.float32)
    brightness = flat @ np.tile(_LUMINANCE / (255 * area), area)
    red, green, blue = (np.ascontiguousarray(pixels[..., channel]).reshape(n, -1) for channel in range(3))
    most = np.maximum(np.maximum(red, green), blue)
    least = np.minimum(np.minimum(red, green), blue)
    saturation = np.divide(most - least, np.maximum(most, 1), dtype=np.float32).mean(axis=1)
    return brightness, saturation


def file_sizes(images: Sequence[LabeledImage]) -> tuple[int | None, ...]:
    """File size of each image in bytes; None for an entry of an IDX file or a missing file."""
    return tuple(_file_size(image) for image in images)


def _file_size(image: LabeledImage) -> int | None:
    if image.source.index is not None:
        return None
    try:
        return image.source.path.stat().st_size
    except OSError:
        return None


def _appearance(
    name: str, total: np.ndarray, brightness: np.ndarray, saturation: np.ndarray, sizes: np.ndarray
) -> Appearance:
    number = max(1, len(brightness))
    mean = (total / number).reshape(SIDE, SIDE, 3)
    red, green, blue = np.rint(mean.mean(axis=(0, 1))).astype(int).tolist()
    known_sizes = sizes[~np.isnan(sizes)]
    return Appearance(
        name=name,
        number=len(brightness),
        mean_image=np.rint(mean).astype(np.uint8),
        mean_color=(red, green, blue),
        brightness=_histogram(brightness),
        saturation=_histogram(saturation),
        median_brightness=float(np.median(brightness)) if len(brightness) else 0.0,
        median_saturation=float(np.median(saturation)) if len(saturation) else 0.0,
        median_bytes=round(float(np.median(known_sizes))) if len(known_sizes) else None,
    )


def _histogram(values: np.ndarray) -> np.ndarray:
    bins = np.clip((values * BINS).astype(np.int64), 0, BINS - 1)
    return np.bincount(bins, minlength=BINS)
