"""What the images of each class look like on the whole: mean image, colors, brightness, saturation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from distingo.datasets.cache.products import Product, pixels_product
from distingo.datasets.cache.segments import StoredRows
from distingo.datasets.cache.store import Cache
from distingo.datasets.targets import encode_labels
from distingo.messages.notes import Note
from distingo.progress import progress_bar
from distingo.records import Dataset, ImageSpec, LabeledImage

BINS = 20
"""Of the histograms of brightness and saturation, from 0 to 1."""


@dataclass(frozen=True, slots=True, eq=False)
class Appearance:
    """What the images of one class, or all images, look like on the whole.

    Attributes:
        name: Of the class or label; empty for all images.
        number: How many images.
        mean_image: The mean of all, each stretched to the same size, uint8 (height, width, 3).
        mean_color: Red, green and blue of 0 to 255, the mean of all pixels.
        brightness: Images by their mean gray value, int64 (`BINS`,).
        saturation: Images by the mean saturation (HSV) of their pixels, int64 (`BINS`,).
        median_brightness: From 0, black, to 1, white.
        median_saturation: From 0, gray, to 1.
        median_bytes: Size of the files; None where images are no files of their own.
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
    """Who the images of one class are among, by what they are embedded by.

    Attributes:
        name: Of the class or label.
        number: How many of its images are on the map.
        own: Mean share of an image's nearest that have the class too.
        expected: What that share would be if images lay about by chance.
        other: The other class that the nearest have most often, empty where there is none.
        others: Mean share of the nearest that have that one.
    """

    name: str
    number: int
    own: float
    expected: float
    other: str
    others: float


@dataclass(frozen=True, slots=True, eq=False)
class ImageMap:
    """Images laid out in two dimensions so that alike ones lie together.

    Attributes:
        images: On the map.
        places: float64 (n, 2), right and down from 0, in the longer direction to 1.
        embedded_by: What likeness is evaluated by, in words.
        reason: Why that.
        perplexity: Of the projection.
        components: To how many principal components the embeddings were reduced before.
        seed: Of the sample and the projection.
        total: How many images the data set has; those beyond the map are on none.
        nearest: How many neighbors a neighborhood has.
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
    """What exploring a data set found out.

    Attributes:
        appearances: All images first, then one entry per class.
        sizes: Bytes of each image's file, in the data set's order; None for an entry of an IDX file, or for a file
            that is gone.
        image_map: None where there is none.
        why_no_map: In words; empty where there is one.
    """

    appearances: tuple[Appearance, ...]
    sizes: tuple[int | None, ...]
    image_map: ImageMap | None = None
    why_no_map: str = ""


SIDE = 48
"""Pixels of the small images that everything is measured on."""

_LUMINANCE = np.array([0.2126, 0.7152, 0.0722], np.float32)
"""Of ITU-R BT.709, on the stored values."""

_BLOCK = 256


def small_images(cache: Cache) -> Product:
    """Every image stretched to 48 x 48, uint8 (48, 48, 3), to be computed while it is decoded."""
    return pixels_product(cache, ImageSpec(height=SIDE, width=SIDE, channels=3))


def describe_appearance(dataset: Dataset, rows: StoredRows, sizes: Sequence[int | None]) -> tuple[Appearance, ...]:
    """Sum up what images look like, all together and by class.

    Args:
        dataset: What the rows are of.
        rows: From `small_images`, one per image in the data set's order, at least one.
        sizes: Bytes of each image's file.

    Returns:
        All images first, under an empty name, then one entry per class in the data set's order; an image with
        several labels counts for each of them.
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
    known = np.array([np.nan if size is None else size for size in sizes], np.float64)
    return tuple(
        _appearance(name, sums[column], brightness[has], saturation[has], known[has])
        for column, (name, has) in enumerate(zip(("", *dataset.classes), member.T, strict=True))
    )


def measure_light(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean brightness and mean saturation of images.

    Args:
        pixels: uint8 (n, height, width, 3).

    Returns:
        Both float32 (n,), from 0 to 1: the gray value (ITU-R BT.709 on the stored values), and saturation as in HSV,
        the distance from the largest to the smallest of the three colors over the largest.
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
    """Bytes of each image's file; None for an entry of an IDX file, or for a file that is gone."""
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
    known = sizes[~np.isnan(sizes)]
    return Appearance(
        name=name,
        number=len(brightness),
        mean_image=np.rint(mean).astype(np.uint8),
        mean_color=(red, green, blue),
        brightness=_histogram(brightness),
        saturation=_histogram(saturation),
        median_brightness=float(np.median(brightness)) if len(brightness) else 0.0,
        median_saturation=float(np.median(saturation)) if len(saturation) else 0.0,
        median_bytes=round(float(np.median(known))) if len(known) else None,
    )


def _histogram(values: np.ndarray) -> np.ndarray:
    places = np.clip((values * BINS).astype(np.int64), 0, BINS - 1)
    return np.bincount(places, minlength=BINS)
