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
from distingo.records import Dataset, Picture, Rendition

BINS = 20
"""Of the histograms of brightness and saturation, from 0 to 1."""


@dataclass(frozen=True, slots=True, eq=False)
class Appearance:
    """What the pictures of one class, or all pictures, look like on the whole.

    Attributes:
        name: Of the class or label; empty for all pictures.
        number: How many pictures.
        mean_picture: The mean of all, each stretched to the same size, uint8 (height, width, 3).
        mean_colour: Red, green and blue of 0 to 255, the mean of all pixels.
        brightness: Pictures by their mean grey value, int64 (`BINS`,).
        saturation: Pictures by the mean saturation (HSV) of their pixels, int64 (`BINS`,).
        median_brightness: From 0, black, to 1, white.
        median_saturation: From 0, grey, to 1.
        median_bytes: Size of the files; None where pictures are no files of their own.
    """

    name: str
    number: int
    mean_picture: np.ndarray
    mean_colour: tuple[int, int, int]
    brightness: np.ndarray
    saturation: np.ndarray
    median_brightness: float
    median_saturation: float
    median_bytes: int | None


@dataclass(frozen=True, slots=True)
class Neighbourhood:
    """Who the pictures of one class are among, by what they are embedded by.

    Attributes:
        name: Of the class or label.
        number: How many of its pictures are on the map.
        own: Mean share of a picture's nearest that have the class too.
        expected: What that share would be if pictures lay about by chance.
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
class PictureMap:
    """Pictures laid out in two dimensions so that alike ones lie together.

    Attributes:
        pictures: On the map.
        places: float64 (n, 2), right and down from 0, in the longer direction to 1.
        embedded_by: What likeness is judged by, in words.
        reason: Why that.
        perplexity: Of the projection.
        components: To how many principal components the embeddings were reduced before.
        seed: Of the sample and the projection.
        total: How many pictures the data set has; those beyond the map are on none.
        nearest: How many neighbours a neighbourhood has.
        neighbourhoods: One per class with pictures on the map.
    """

    pictures: tuple[Picture, ...]
    places: np.ndarray
    embedded_by: str
    reason: Note
    perplexity: float
    components: int
    seed: int
    total: int
    nearest: int
    neighbourhoods: tuple[Neighbourhood, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Exploration:
    """What exploring a data set found out.

    Attributes:
        appearances: All pictures first, then one entry per class.
        sizes: Bytes of each picture's file, in the data set's order; None for an entry of an IDX file, or for a file
            that is gone.
        picture_map: None where there is none.
        why_no_map: In words; empty where there is one.
    """

    appearances: tuple[Appearance, ...]
    sizes: tuple[int | None, ...]
    picture_map: PictureMap | None = None
    why_no_map: str = ""


SIDE = 48
"""Pixels of the small pictures that everything is measured on."""

_LUMINANCE = np.array([0.2126, 0.7152, 0.0722], np.float32)
"""Of ITU-R BT.709, on the stored values."""

_BLOCK = 256


def small_pictures(cache: Cache) -> Product:
    """Every picture stretched to 48 x 48, uint8 (48, 48, 3), to be computed while it is decoded."""
    return pixels_product(cache, Rendition(height=SIDE, width=SIDE, channels=3))


def describe_appearance(dataset: Dataset, rows: StoredRows, sizes: Sequence[int | None]) -> tuple[Appearance, ...]:
    """Sum up what pictures look like, all together and by class.

    Args:
        dataset: What the rows are of.
        rows: From `small_pictures`, one per picture in the data set's order, at least one.
        sizes: Bytes of each picture's file.

    Returns:
        All pictures first, under an empty name, then one entry per class in the data set's order; a picture with
        several labels counts for each of them.
    """
    table = encode_labels(dataset.pictures, dataset.classes, "multi-label")
    member = np.concatenate([np.ones((len(table), 1), bool), table], axis=1)
    sums = np.zeros((member.shape[1], SIDE * SIDE * 3))
    brightness, saturation = np.empty(len(member), np.float32), np.empty(len(member), np.float32)
    with progress_bar("Measuring colours", len(member)) as advance:
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
    """Mean brightness and mean saturation of pictures.

    Args:
        pixels: uint8 (n, height, width, 3).

    Returns:
        Both float32 (n,), from 0 to 1: the grey value (ITU-R BT.709 on the stored values), and saturation as in HSV,
        the distance from the largest to the smallest of the three colours over the largest.
    """
    n, area = len(pixels), pixels.shape[1] * pixels.shape[2]
    flat = pixels.reshape(n, -1).astype(np.float32)
    brightness = flat @ np.tile(_LUMINANCE / (255 * area), area)
    red, green, blue = (np.ascontiguousarray(pixels[..., channel]).reshape(n, -1) for channel in range(3))
    most = np.maximum(np.maximum(red, green), blue)
    least = np.minimum(np.minimum(red, green), blue)
    saturation = np.divide(most - least, np.maximum(most, 1), dtype=np.float32).mean(axis=1)
    return brightness, saturation


def file_sizes(pictures: Sequence[Picture]) -> tuple[int | None, ...]:
    """Bytes of each picture's file; None for an entry of an IDX file, or for a file that is gone."""
    return tuple(_file_size(picture) for picture in pictures)


def _file_size(picture: Picture) -> int | None:
    if picture.source.index is not None:
        return None
    try:
        return picture.source.path.stat().st_size
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
        mean_picture=np.rint(mean).astype(np.uint8),
        mean_colour=(red, green, blue),
        brightness=_histogram(brightness),
        saturation=_histogram(saturation),
        median_brightness=float(np.median(brightness)) if len(brightness) else 0.0,
        median_saturation=float(np.median(saturation)) if len(saturation) else 0.0,
        median_bytes=round(float(np.median(known))) if len(known) else None,
    )


def _histogram(values: np.ndarray) -> np.ndarray:
    places = np.clip((values * BINS).astype(np.int64), 0, BINS - 1)
    return np.bincount(places, minlength=BINS)
