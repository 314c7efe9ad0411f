"""The map of images, ready to draw: points in the colors of their classes, and sheets of tiny images."""

from __future__ import annotations

import base64
import io
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from PIL import Image

from distingo.datasets.decoding.decode import open_source
from distingo.errors import DistingoError
from distingo.exploration.appearance import Neighbourhood, PictureMap
from distingo.progress import progress_bar
from distingo.records import Picture, Source

TILE = 72
"""Pixels of a tile's side: a picture's longer side at most."""

ACROSS = 10

_QUALITY = 70


@dataclass(frozen=True, slots=True)
class Sheets:
    """Tiles in rows of `ACROSS`, `ACROSS` rows to a sheet, in the order of the sources.

    Attributes:
        addresses: The sheets as ``data:`` addresses.
        sizes: Width and height of each picture in its tile, from its upper left corner; (0, 0) where it could not be
            opened any more.
    """

    addresses: tuple[str, ...]
    sizes: tuple[tuple[int, int], ...]


def make_sheets(sources: Sequence[Source], *, workers: int = 4) -> Sheets:
    """Make tiles of pictures, about 1.3 kB each.

    Args:
        sources: Of the pictures.
        workers: Threads.
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
    if factor >= 2:  # so tiny that every pixel should be seen
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
"""The map's width in its own units, with a margin around the points."""

COLOURS = 10
"""How many the page has for classes; pictures of further ones are grey."""

MOST_KEYS = 60

MOST_NEIGHBOURHOODS = 60

_MARGIN = 24


@dataclass(frozen=True, slots=True)
class Point:
    """A picture on the map: where it lies, and the class of CSS that colours it."""

    x: int
    y: int
    colour: str


@dataclass(frozen=True, slots=True)
class Key:
    """An entry of the legend.

    Attributes:
        label: Its position among all labels of the map.
        name: The class or label.
        number: Pictures on the map that have it.
        colour: The class of CSS that colours its pictures.
    """

    label: int
    name: str
    number: int
    colour: str


@dataclass(frozen=True, slots=True)
class MapView:
    """A map, ready to draw.

    Attributes:
        points: One per picture.
        height: Of the map; its width is `WIDTH`.
        radius: Of a point.
        keys: The commonest classes, as many as a page can hold.
        labels: How many classes are on the map.
        neighbourhoods: As in `PictureMap`, as many as a page can hold.
        data: What the page's script reads.
    """

    points: tuple[Point, ...]
    height: int
    radius: float
    keys: tuple[Key, ...]
    labels: int
    neighbourhoods: tuple[Neighbourhood, ...]
    data: dict[str, object]


def show_map(picture_map: PictureMap) -> MapView:
    """Draw a map.

    A picture has the colour of its label that the fewest pictures on the map have: with several labels the rare ones
    say most about it. The commonest of these colour-giving labels get colours of their own.

    Args:
        picture_map: With pictures of one label or several each.
    """
    pictures = picture_map.pictures
    numbers = Counter(label for picture in pictures for label in picture.labels)
    ranked = sorted(numbers, key=lambda name: (-numbers[name], name))
    position = {name: at for at, name in enumerate(ranked)}
    colouring = [_rarest(picture, position) for picture in pictures]
    commonest = Counter(name for name in colouring if name is not None)
    coloured = sorted(commonest, key=lambda name: (-commonest[name], position[name]))[:COLOURS]
    colours = {name: f"s{at}" for at, name in enumerate(coloured)}
    places, height = _scale(picture_map.places)
    points = tuple(Point(x, y, colours.get(name or "", "rest")) for (x, y), name in zip(places, colouring, strict=True))
    shown = [*coloured, *(name for name in ranked if name not in colours)][:MOST_KEYS]
    keys = tuple(Key(position[name], name, numbers[name], colours.get(name, "rest")) for name in shown)
    return MapView(
        points=points,
        height=height,
        radius=round(max(5.0, 11.0 - len(points) / 400), 1),
        keys=keys,
        labels=len(ranked),
        neighbourhoods=picture_map.neighbourhoods[:MOST_NEIGHBOURHOODS],
        data=_data(pictures, ranked, position),
    )


def _scale(places: np.ndarray) -> tuple[list[list[int]], int]:
    """The places in the map's units, the longer direction across, and the map's height."""
    right, down = np.ptp(places, axis=0)
    turned = places if right >= down else places[:, ::-1]
    units = np.rint(_MARGIN + turned * (WIDTH - 2 * _MARGIN)).astype(int)
    return units.tolist(), int(max(units[:, 1].max() + _MARGIN, WIDTH // 4))


def _rarest(picture: Picture, position: dict[str, int]) -> str | None:
    return max(picture.labels, key=lambda name: position[name], default=None)


def _data(pictures: tuple[Picture, ...], ranked: list[str], position: dict[str, int]) -> dict[str, object]:
    sheets = make_sheets([picture.source for picture in pictures])
    entries = [
        [picture.source.file, [position[name] for name in picture.labels], *size]
        for picture, size in zip(pictures, sheets.sizes, strict=True)
    ]
    return {"tile": TILE, "across": ACROSS, "sheets": list(sheets.addresses), "labels": ranked, "pictures": entries}
