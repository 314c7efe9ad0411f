"""A network's first filters and feature maps as one PNG file."""

from __future__ import annotations

import io
from pathlib import Path, PurePath

import numpy as np
from PIL import Image

from distingo.explanation.records import LayerMaps, NetworkLayers
from distingo.files import write_bytes
from distingo.report.lettering import Lettering

_MARGIN = 40
_ACROSS = 16
_TILE = 72
_GAP = 4
_WIDTH = 2 * _MARGIN + _ACROSS * (_TILE + _GAP) - _GAP
_SMALL_TILE = 34
_TITLE, _HEADING, _SMALL = Lettering(24, bold=True), Lettering(15, bold=True), Lettering(12)
_INK, _QUIET = "#1d2329", "#66707a"


def write_layers(layers: NetworkLayers, path: Path) -> Path:
    """Draw first filters and feature maps, layer by layer, and write them as PNG.

    Each filter and each map is scaled to its own range: black is its least, white its greatest number. Filters over
    three channels are shown as colours.

    Args:
        layers: Of a network and a picture.
        path: The PNG file.

    Returns:
        The path.

    Raises:
        ResourceError: The file can't be written.
    """
    rows = [_tiles([_as_picture(each) for each in layers.filters], _SMALL_TILE)] if len(layers.filters) else []
    rows += [_tiles([_as_picture(each) for each in layer.maps], _TILE) for layer in layers.layers]
    headings = [_filters_heading(layers)] if len(layers.filters) else []
    headings += [_maps_heading(layer) for layer in layers.layers]
    sheet = Image.new("RGB", (_WIDTH, 120 + sum(row.height + 64 for row in rows)), "white")
    title = f"What {layers.model} finds in {PurePath(layers.file).name}, layer by layer"
    _TITLE.draw(sheet, (_MARGIN, 30), _TITLE.fit(title, _WIDTH - 2 * _MARGIN), _INK)
    explained = "Each tile is scaled to its own range: black is its least number, white its greatest."
    _SMALL.draw(sheet, (_MARGIN, 66), explained, _QUIET)
    top = 104
    for (heading, note), row in zip(headings, rows, strict=True):
        _HEADING.draw(sheet, (_MARGIN, top), heading, _INK)
        _SMALL.draw(sheet, (_MARGIN + _HEADING.width(heading) + 12, top + 3), note, _QUIET)
        sheet.paste(row, (_MARGIN, top + 28))
        top += row.height + 64
    encoded = io.BytesIO()
    sheet.save(encoded, "PNG", optimize=True)
    write_bytes(path, encoded.getvalue())
    return path


def _filters_heading(layers: NetworkLayers) -> tuple[str, str]:
    number, height, width, _ = layers.filters.shape
    return "First filters", f"{number} of {height} × {width} pixels, in {layers.filters_name}; the strongest first"


def _maps_heading(layer: LayerMaps) -> tuple[str, str]:
    shown, height, width = layer.maps.shape
    part = f"the {shown} of {layer.channels} maps that vary most" if shown < layer.channels else f"{shown} maps"
    return layer.name, f"{part}, {height} × {width}"


def _as_picture(numbers: np.ndarray) -> Image.Image:
    least, greatest = float(numbers.min()), float(numbers.max())
    shares = (numbers - least) / (greatest - least) if greatest > least else np.zeros_like(numbers)
    pixels = (shares * 255).round().astype(np.uint8)
    return Image.fromarray(pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels).convert("RGB")


def _tiles(pictures: list[Image.Image], side: int) -> Image.Image:
    across = (_WIDTH - 2 * _MARGIN + _GAP) // (side + _GAP)
    tiles = [_enlarge(picture, side) for picture in pictures]
    height = max(tile.height for tile in tiles)
    rows = -(-len(tiles) // across)
    drawn = Image.new("RGB", (_WIDTH - 2 * _MARGIN, rows * (height + _GAP) - _GAP), "white")
    for at, tile in enumerate(tiles):
        drawn.paste(tile, (at % across * (side + _GAP), at // across * (height + _GAP)))
    return drawn


def _enlarge(picture: Image.Image, side: int) -> Image.Image:
    scale = side / max(picture.size)
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    return picture.resize(size, Image.Resampling.NEAREST if scale > 1 else Image.Resampling.LANCZOS)
