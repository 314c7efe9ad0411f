"""Sheets of tiny pictures: many points of a map in few embedded files."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from PIL import Image

from distingo.datasets.decoding import open_source
from distingo.errors import DistingoError
from distingo.progress import progress_bar
from distingo.records import Source

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
