"""Pictures in a grid with captions, as one PNG file."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from distingo.files import write_bytes
from distingo.report.fonts import fallback_font, writing_of

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
    """Draw pictures in a grid, a caption under each, and write it as PNG.

    Small pictures are enlarged by a whole factor without smoothing, so that every pixel can be seen.

    Args:
        images: uint8 arrays (height, width) or (height, width, channels) with 1 or 3 channels, or pictures.
        captions: One per picture, in any script; empty for none. A long one is cut with an ellipsis.
        path: The PNG file.
        columns: Pictures per row.

    Returns:
        The path.

    Raises:
        ValueError: No picture, not one caption per picture, or fewer than one column.
        ResourceError: The file can't be written.
    """
    if not images or len(images) != len(captions) or columns < 1:
        raise ValueError(
            f"{len(images)} pictures, {len(captions)} captions, {columns} columns: "
            "give at least one picture, as many captions, and at least one column"
        )
    tiles = [_enlarge(_as_picture(image)) for image in images]
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


def _as_picture(image: np.ndarray | Image.Image) -> Image.Image:
    if isinstance(image, Image.Image):
        return image.convert("RGB")
    pixels = image[..., 0] if image.ndim == 3 and image.shape[2] == 1 else image
    return Image.fromarray(np.ascontiguousarray(pixels)).convert("RGB")


def _enlarge(picture: Image.Image) -> Image.Image:
    factor = _LEAST_TILE // max(picture.size)
    if factor < 2:
        return picture
    return picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)


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
    fonts = (*_asked_for(lacking, text), *_fonts())
    if not fonts:
        return ImageFont.load_default(_FONT_SIZE)
    return max(fonts, key=lambda font: sum(_has(font, letter) for letter in letters))


def _asked_for(letter: str, text: str) -> tuple[ImageFont.FreeTypeFont, ...]:
    """The font that fontconfig names for a character that the plain fonts lack, in the form its language writes."""
    found = fallback_font(letter, writing_of(text)) if letter else None
    if found is None:
        return ()
    try:
        return (ImageFont.truetype(found[0], _FONT_SIZE, index=found[1]),)
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
