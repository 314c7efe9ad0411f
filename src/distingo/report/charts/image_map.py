"""The image map as geometry: points in the colors of their classes, and sheets of tiny images."""

from __future__ import annotations

import base64
import io
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from PIL import Image

from distingo.curation.appearance import ImageMap, Neighborhood
from distingo.datasets.decoding.decode import open_source
from distingo.errors import DistingoError
from distingo.progress import progress_bar
from distingo.records import LabeledImage, Source

TILE = 72
"""Size of a tile in pixels; the longer side of its image is at most this."""

ACROSS = 10

_QUALITY = 70


@dataclass(frozen=True, slots=True)
class Sheets:
    """Tiles in rows of `ACROSS`, `ACROSS` rows to a sheet, in the order of the sources.

    Attributes:
        addresses: The sheets as ``data:`` addresses.
        sizes: Width and height of each image in its tile, from its upper left corner; (0, 0) where it could not be
            opened any more.
    """

    addresses: tuple[str, ...]
    sizes: tuple[tuple[int, int], ...]


def make_sheets(sources: Sequence[Source], *, workers: int = 4) -> Sheets:
    """Make tiles of images, about 1.3 kB each.

    Args:
        sources: The images.
        workers: Number of threads.
    """
    addresses, sizes = [], []
    with ThreadPoolExecutor(workers) as pool, progress_bar("Making thumbnails", len(sources)) as advance:
        for at in range(0, len(sources), ACROSS * ACROSS):
            tiles = list(pool.map(_tile, sources[at : at + ACROSS * ACROSS]))
            addresses.append(_lay_out(tiles))
            sizes += [(0, 0) if tile is None else tile.size for tile in tiles]
            advance(len(tiles))
    return Sheets(tuple(addresses), tuple(sizes))


def _tile(source: Source) -> Image.Image | None:
    try:
        image = open_source(source, enough=TILE).convert("RGB")
    except (DistingoError, OSError, ValueError, IndexError):
        return None
    factor = TILE // max(image.size)
    if factor >= 2:  # tiny images are enlarged without smoothing
        return image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
    image.thumbnail((TILE, TILE), Image.Resampling.LANCZOS, reducing_gap=3.0)
    return image


def _lay_out(tiles: Sequence[Image.Image | None]) -> str:
    rows = -(-len(tiles) // ACROSS)
    sheet = Image.new("RGB", (ACROSS * TILE, rows * TILE), "#808080")
    for at, tile in enumerate(tiles):
        if tile is not None:
            sheet.paste(tile, (at % ACROSS * TILE, at // ACROSS * TILE))
    encoded = io.BytesIO()
    sheet.save(encoded, "WEBP", quality=_QUALITY, method=4)
    return f"data:image/webp;base64,{base64.b64encode(encoded.getvalue()).decode('ascii')}"


WIDTH = 1000
"""Width of the map in its own units, including a margin."""

COLORS = 10
"""Number of class colors; images of further classes are gray."""

MOST_KEYS = 60

MOST_NEIGHBORHOODS = 60

_MARGIN = 24


@dataclass(frozen=True, slots=True)
class Point:
    """An image on the map: its position and the CSS class of its color."""

    x: int
    y: int
    color: str


@dataclass(frozen=True, slots=True)
class Key:
    """An entry of the legend.

    Attributes:
        label: Its position among all labels of the map.
        name: The class or label.
        number: Number of images on the map with it.
        color: The CSS class of its color.
    """

    label: int
    name: str
    number: int
    color: str


@dataclass(frozen=True, slots=True)
class MapView:
    """A map as geometry.

    Attributes:
        points: One per image.
        height: Height of the map; its width is `WIDTH`.
        radius: Radius of a point.
        keys: The most frequent classes, as many as a page can hold.
        labels: Number of classes on the map.
        neighborhoods: As in `ImageMap`, as many as a page can hold.
        data: Data for the page's script.
    """

    points: tuple[Point, ...]
    height: int
    radius: float
    keys: tuple[Key, ...]
    labels: int
    neighborhoods: tuple[Neighborhood, ...]
    data: dict[str, object]


def show_map(image_map: ImageMap) -> MapView:
    """Draw a map.

    An image has the color of its rarest label on the map, as rare labels are the most informative. The most frequent of
    these labels have colors of their own.

    Args:
        image_map: The map of single-label or multi-label images.
    """
    images = image_map.images
    numbers = Counter(label for image in images for label in image.labels)
    ranked = sorted(numbers, key=lambda name: (-numbers[name], name))
    position = {name: at for at, name in enumerate(ranked)}
    colouring = [_rarest(image, position) for image in images]
    most_frequent = Counter(name for name in colouring if name is not None)
    colored = sorted(most_frequent, key=lambda name: (-most_frequent[name], position[name]))[:COLORS]
    colors = {name: f"s{at}" for at, name in enumerate(colored)}
    places, height = _scale(image_map.places)
    points = tuple(Point(x, y, colors.get(name or "", "rest")) for (x, y), name in zip(places, colouring, strict=True))
    shown = [*colored, *(name for name in ranked if name not in colors)][:MOST_KEYS]
    keys = tuple(Key(position[name], name, numbers[name], colors.get(name, "rest")) for name in shown)
    return MapView(
        points=points,
        height=height,
        radius=round(max(5.0, 11.0 - len(points) / 400), 1),
        keys=keys,
        labels=len(ranked),
        neighborhoods=image_map.neighborhoods[:MOST_NEIGHBORHOODS],
        data=_data(images, ranked, position),
    )


def _scale(places: np.ndarray) -> tuple[list[list[int]], int]:
    """Return the positions in the map's units, the longer direction across, and the map's height."""
    right, down = np.ptp(places, axis=0)
    turned = places if right >= down else places[:, ::-1]
    units = np.rint(_MARGIN + turned * (WIDTH - 2 * _MARGIN)).astype(int)
    return units.tolist(), int(max(units[:, 1].max() + _MARGIN, WIDTH // 4))


def _rarest(image: LabeledImage, position: dict[str, int]) -> str | None:
    return max(image.labels, key=lambda name: position[name], default=None)


def _data(images: tuple[LabeledImage, ...], ranked: list[str], position: dict[str, int]) -> dict[str, object]:
    sheets = make_sheets([image.source for image in images])
    entries = [
        [image.source.file, [position[name] for name in image.labels], *size]
        for image, size in zip(images, sheets.sizes, strict=True)
    ]
    return {"tile": TILE, "across": ACROSS, "sheets": list(sheets.addresses), "labels": ranked, "pictures": entries}
