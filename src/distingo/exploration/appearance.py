"""What the pictures of each class look like on the whole: mean picture, colours, brightness, saturation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from distingo.datasets.products import Product, pixels_product
from distingo.datasets.rows import StoredRows
from distingo.datasets.store import Cache
from distingo.datasets.targets import encode_labels
from distingo.exploration.records import BINS, Appearance
from distingo.progress import progress_bar
from distingo.records import Dataset, Picture, Rendition

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
