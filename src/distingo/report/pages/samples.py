"""Sheets as PNG files: images in a grid with captions, and a network's filters and feature maps."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path, PurePath

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from distingo.explanation.records import LayerMaps, NetworkLayers
from distingo.files import write_bytes
from distingo.report.text.lettering import Lettering, fallback_font, writing_of

_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

_FONT_FILES = (
    "DejaVuSans.ttf",
    "NotoSans-Regular.ttf",
    "NotoSansCJK-Regular.ttc",
    "NotoSansArabic-Regular.ttf",
    "NotoSansHebrew-Regular.ttf",
    "NotoSansDevanagari-Regular.ttf",
    "NotoSansThai-Regular.ttf",
    "NotoSansSymbols2-Regular.ttf",
    "Arial Unicode.ttf",
    "Arial.ttf",
    "wqy-zenhei.ttc",
    "wqy-microhei.ttc",
    "DroidSansFallbackFull.ttf",
    "SourceHanSansSC-Regular.otf",
    "PingFang.ttc",
    "Hiragino Sans GB.ttc",
    "msyh.ttc",
    "simhei.ttf",
    "segoeui.ttf",
)

_FONT_SIZE = 13

_LINE = 20

_GAP = 10

_LEAST_TILE = 96

_NO_CHARACTER = "\U0010ffff"


def write_contact_sheet(
    images: Sequence[np.ndarray | Image.Image], captions: Sequence[str], path: Path, *, columns: int
) -> Path:
    """Draw images in a grid, a caption under each, and write it as PNG.

    Small images are enlarged by a whole factor without smoothing, so that every pixel can be seen.

    Args:
        images: uint8 arrays (height, width) or (height, width, channels) with 1 or 3 channels, or images.
        captions: One per image, in any script; empty for none. A long one is cut with an ellipsis.
        path: The PNG file.
        columns: Images per row.

    Returns:
        The path.

    Raises:
        ValueError: No image, not one caption per image, or fewer than one column.
        ResourceError: The file can't be written.
    """
    if not images or len(images) != len(captions) or columns < 1:
        raise ValueError(
            f"{len(images)} pictures, {len(captions)} captions, {columns} columns: "
            "give at least one picture, as many captions, and at least one column"
        )
    tiles = [_enlarge(_as_image(image)) for image in images]
    width = max(_LEAST_TILE, *(tile.width for tile in tiles))
    height = max(tile.height for tile in tiles)
    row_height = height + (_LINE if any(captions) else 0) + _GAP
    rows = math.ceil(len(tiles) / columns)
    across = min(columns, len(tiles))
    sheet = Image.new("RGB", (across * (width + _GAP) + _GAP, rows * row_height + _GAP), "white")
    draw = ImageDraw.Draw(sheet)
    for index, (tile, caption) in enumerate(zip(tiles, captions, strict=True)):
        left = _GAP + index % columns * (width + _GAP)
        top = _GAP + index // columns * row_height
        sheet.paste(tile, (left + (width - tile.width) // 2, top + (height - tile.height) // 2))
        _write_caption(draw, caption, left, top + height + 3, width)
    encoded = io.BytesIO()
    sheet.save(encoded, "PNG", optimize=True)
    write_bytes(path, encoded.getvalue())
    return path


def _as_image(image: np.ndarray | Image.Image) -> Image.Image:
    if isinstance(image, Image.Image):
        return image.convert("RGB")
    pixels = image[..., 0] if image.ndim == 3 and image.shape[2] == 1 else image
    return Image.fromarray(np.ascontiguousarray(pixels)).convert("RGB")


def _enlarge(image: Image.Image) -> Image.Image:
    factor = _LEAST_TILE // max(image.size)
    if factor < 2:
        return image
    return image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)


def _write_caption(draw: ImageDraw.ImageDraw, caption: str, left: int, top: int, width: int) -> None:
    text = " ".join(caption.split())
    if not text:
        return
    font = _font_for(text)
    if not isinstance(font, ImageFont.FreeTypeFont):
        # Pillow built without FreeType knows Latin-1 only
        text = text.encode("latin-1", "replace").decode("latin-1")
    shown = text
    while shown and draw.textlength(shown, font=font) > width:
        text = text[:-1]
        shown = f"{text.rstrip()}…" if isinstance(font, ImageFont.FreeTypeFont) else text
        if not text:
            return
    draw.text((left + (width - draw.textlength(shown, font=font)) / 2, top), shown, fill="#222222", font=font)


@lru_cache(maxsize=1024)
def _font_for(text: str) -> _Font:
    """The first font on this machine that has the most of a text's characters."""
    letters = {letter for letter in text if letter.isprintable() and not letter.isspace()}
    lacking = next((letter for letter in sorted(letters) if not any(_has(font, letter) for font in _plain_fonts())), "")
    fonts = (*_fallback_font(lacking, text), *_fonts())
    if not fonts:
        return ImageFont.load_default(_FONT_SIZE)
    return max(fonts, key=lambda font: sum(_has(font, letter) for letter in letters))


def _fallback_font(letter: str, text: str) -> tuple[ImageFont.FreeTypeFont, ...]:
    """The font that fontconfig names for a character that the plain fonts lack, in the form its language writes."""
    fallback = fallback_font(letter, writing_of(text)) if letter else None
    if fallback is None:
        return ()
    try:
        return (ImageFont.truetype(fallback[0], _FONT_SIZE, index=fallback[1]),)
    except (OSError, ImportError):
        return ()


def _plain_fonts() -> tuple[ImageFont.FreeTypeFont, ...]:
    return _fonts()[:1]


@lru_cache(maxsize=1)
def _fonts() -> tuple[ImageFont.FreeTypeFont, ...]:
    fonts = []
    for name in _FONT_FILES:
        try:
            fonts.append(ImageFont.truetype(name, _FONT_SIZE))
        except (OSError, ImportError):
            continue
    return tuple(fonts)


def _has(font: ImageFont.FreeTypeFont, letter: str) -> bool:
    # a font draws every character it lacks as the same box
    return bytes(font.getmask(letter)) != bytes(font.getmask(_NO_CHARACTER))


_MARGIN = 40

_ACROSS = 16

_TILE = 72

_LAYER_GAP = 4

_WIDTH = 2 * _MARGIN + _ACROSS * (_TILE + _LAYER_GAP) - _LAYER_GAP

_SMALL_TILE = 34

_TITLE, _HEADING, _SMALL = Lettering(24, bold=True), Lettering(15, bold=True), Lettering(12)

_INK, _QUIET = "#1d2329", "#66707a"


def write_layers(layers: NetworkLayers, path: Path) -> Path:
    """Draw first filters and feature maps, layer by layer, and write them as PNG.

    Each filter and each map is scaled to its own range: black is its least, white its greatest number. Filters over
    three channels are shown as colors.

    Args:
        layers: Of a network and an image.
        path: The PNG file.

    Returns:
        The path.

    Raises:
        ResourceError: The file can't be written.
    """
    rows = [_tiles([_tile_as_image(each) for each in layers.filters], _SMALL_TILE)] if len(layers.filters) else []
    rows += [_tiles([_tile_as_image(each) for each in layer.maps], _TILE) for layer in layers.layers]
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


def _tile_as_image(numbers: np.ndarray) -> Image.Image:
    least, greatest = float(numbers.min()), float(numbers.max())
    shares = (numbers - least) / (greatest - least) if greatest > least else np.zeros_like(numbers)
    pixels = (shares * 255).round().astype(np.uint8)
    return Image.fromarray(pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels).convert("RGB")


def _tiles(images: list[Image.Image], split: int) -> Image.Image:
    across = (_WIDTH - 2 * _MARGIN + _LAYER_GAP) // (split + _LAYER_GAP)
    tiles = [_enlarge_tile(image, split) for image in images]
    height = max(tile.height for tile in tiles)
    rows = -(-len(tiles) // across)
    drawn = Image.new("RGB", (_WIDTH - 2 * _MARGIN, rows * (height + _LAYER_GAP) - _LAYER_GAP), "white")
    for at, tile in enumerate(tiles):
        drawn.paste(tile, (at % across * (split + _LAYER_GAP), at // across * (height + _LAYER_GAP)))
    return drawn


def _enlarge_tile(image: Image.Image, split: int) -> Image.Image:
    scale = split / max(image.size)
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    return image.resize(size, Image.Resampling.NEAREST if scale > 1 else Image.Resampling.LANCZOS)
