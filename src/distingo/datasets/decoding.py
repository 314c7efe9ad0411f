"""Bytes to a picture: RGB or grey, upright, 8 bits; or the reason why not."""

from __future__ import annotations

import contextlib
import functools
import io
import logging
import math
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from distingo.datasets import idx, tiff
from distingo.datasets.formats import describe_non_picture, detect_format
from distingo.datasets.undecodable import (
    TooManyPixelsError,
    UndecodableError,
    UnreadableError,
    UnsupportedError,
)
from distingo.datasets.value_ranges import ValueRange, ValueSummary, range_of_one, summarize_values, to_eight_bits
from distingo.records import Source

__all__ = [
    "DEFAULT_MAX_PIXELS",
    "Decoded",
    "Header",
    "TooManyPixelsError",
    "UndecodableError",
    "UnreadableError",
    "UnsupportedError",
    "decode",
    "open_source",
    "read_bytes",
    "read_exif",
    "read_header",
]

DEFAULT_MAX_PIXELS = 178_956_970
"""More pixels than this are not decoded: 512 MiB of RGB, Pillow's own limit against decompression bombs."""

_PILLOW_FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "DIB", "TIFF", "AVIF", "JPEG2000", "PPM")
_NAMES = {"MPO": "JPEG", "WEBP": "WebP", "JPEG2000": "JPEG 2000", "DIB": "BMP"}
_ORIENTATION_TAG = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_preparing = threading.Lock()


@dataclass(frozen=True, slots=True)
class Decoded:
    """A decoded picture.

    Attributes:
        image: Mode ``RGB`` or ``L``, upright.
        format: What the file really was, for example ``JPEG``.
        values: The stored values of a deep image (more than 8 bits, signed or float); None for an 8-bit one.
    """

    image: Image.Image
    format: str
    values: ValueSummary | None = None


@dataclass(frozen=True, slots=True)
class Header:
    """What a picture's header says without decoding its pixels.

    Attributes:
        width: In pixels, after EXIF rotation.
        height: In pixels, after EXIF rotation.
        grey: Whether it is stored without colour.
        format: As in `Decoded.format`.
    """

    width: int
    height: int
    grey: bool
    format: str


def decode(
    data: bytes,
    *,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    enough: int | None = None,
    value_range: ValueRange | None = None,
) -> Decoded:
    """Decode a picture file, whatever its name ends in.

    The first frame of an animation counts. Transparent pixels are laid over white, EXIF rotation is applied,
    deep images are scaled to 8 bits.

    Args:
        data: The file's content.
        max_pixels: Width times height above which a picture is refused, from its header alone.
        enough: Pixels of the shorter side that the caller will resize to. A JPEG of more than four times that is
            decoded at a half, a quarter or an eighth of its size, never at less than twice what is enough, which
            changes a resized picture by no more than another filter would. None decodes all pixels.
        value_range: What a deep image's values are scaled by: that of its data set or model. None decides by the
            image alone (`distingo.datasets.value_ranges.range_of_one`). 8-bit images are not scaled.

    Returns:
        The picture in mode ``RGB`` or ``L`` and the format it was stored in.

    Raises:
        UndecodableError: Whatever is wrong with the bytes; no other error leaves this function.
    """
    with _translated(data):
        if detect_format(data) == "TIFF":
            page, layout = tiff.open_checked(data, max_pixels)
            if not tiff.read_by_pillow(page, layout):
                shown = tiff.show(page, layout, max_pixels, value_range)
                plain = tiff.over_white(_to_rgb_or_grey(shown.image, None)[0], shown.alpha)
                return Decoded(_turn_upright(plain, page.orientation), "TIFF", shown.values)
        image, name = _open(data, max_pixels)
        if enough is not None and image.format == "JPEG":
            scale = 2 * enough / min(image.size)
            image.draft(None, (math.ceil(image.width * scale), math.ceil(image.height * scale)))
        image.load()
        orientation = _orientation(image)
        plain, values = _to_rgb_or_grey(image, value_range)
        return Decoded(_turn_upright(plain, orientation), name, values)


def read_header(data: bytes, *, max_pixels: int = DEFAULT_MAX_PIXELS) -> Header:
    """Read a picture's size and kind without decoding its pixels.

    Args:
        data: The file's content.
        max_pixels: As for `decode`.

    Returns:
        Its header, with the size it will have once upright.

    Raises:
        UndecodableError: As `decode`, where the header already shows it.
    """
    with _translated(data):
        if detect_format(data) == "TIFF":
            page, layout = tiff.open_checked(data, max_pixels)
            return Header(*page.upright_size, layout.kind == "gray", "TIFF")
        image, name = _open(data, max_pixels)
        width, height = image.size
        if _orientation(image) in {5, 6, 7, 8}:
            width, height = height, width
        return Header(width, height, image.mode in {"1", "L", "LA", "I", "F"} or image.mode.startswith("I;"), name)


def read_exif(data: bytes) -> dict[int, Any]:
    """Read a picture's EXIF tags, those of the whole file and of the exposure, without decoding its pixels.

    Raises:
        UndecodableError: As `read_header`.
    """
    with _translated(data):
        exif = _open(data, DEFAULT_MAX_PIXELS)[0].getexif()
        return {**exif, **exif.get_ifd(ExifTags.IFD.Exif)}


def open_source(
    source: Source,
    *,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    enough: int | None = None,
    value_range: ValueRange | None = None,
) -> Image.Image:
    """Decode the picture a source names: a file of its own or an entry of an IDX file.

    Args:
        source: Where the pixels are.
        max_pixels: As for `decode`.
        enough: As for `decode`.
        value_range: As for `decode`.

    Returns:
        The picture in mode ``RGB`` or ``L``.

    Raises:
        UndecodableError: The file can't be opened or gives no picture.
    """
    if source.index is not None:
        images = idx.load_images(source.path)
        if not 0 <= source.index < len(images):
            raise UndecodableError(f"{source.file}: the file holds {len(images)} pictures only", "IDX")
        return Image.fromarray(images[source.index])
    return decode(read_bytes(source), max_pixels=max_pixels, enough=enough, value_range=value_range).image


def read_bytes(source: Source) -> bytes:
    """Read a source's file.

    Raises:
        UndecodableError: It can't be opened, with the system's reason.
    """
    try:
        return source.path.read_bytes()
    except OSError as error:
        raise UnreadableError(f"can't be opened ({error.strerror or type(error).__name__})", "unknown") from error


@contextlib.contextmanager
def _translated(data: bytes) -> Iterator[None]:
    """Turn whatever Pillow raises on malformed bytes into one sentence."""
    name = detect_format(data)
    try:
        if (words := describe_non_picture(name)) is not None:
            raise UndecodableError(words, name)
        yield
    except UndecodableError:
        raise
    except MemoryError as error:
        raise UnreadableError("needs more memory than there is", name) from error
    except Image.DecompressionBombError as error:
        raise TooManyPixelsError(f"more than the {DEFAULT_MAX_PIXELS:,} pixels that can be decoded", name) from error
    except Exception as error:
        # Pillow's plugins raise almost anything on malformed input: struct.error, SyntaxError, IndexError.
        raise UndecodableError(_explain(error, name), name) from error


def _explain(error: Exception, name: str) -> str:
    if name == "unknown":
        return "not a picture in a known format"
    text = " ".join(str(error).split())
    if "truncated" in text.lower() or isinstance(error, EOFError) or "end of file" in text.lower():
        return f"a truncated {name} file: it breaks off before the picture is complete"
    if isinstance(error, UnidentifiedImageError) or not text:
        return f"a damaged {name} file"
    return f"a damaged {name} file ({text[:120]})"


def _open(data: bytes, max_pixels: int) -> tuple[Image.Image, str]:
    _quiet_pillow()
    if detect_format(data) == "HEIF":
        _register_heif()
        image: Image.Image = Image.open(io.BytesIO(data), formats=["HEIF"])
    else:
        image = Image.open(io.BytesIO(data), formats=_PILLOW_FORMATS)
    name = _NAMES.get(image.format or "", image.format or "unknown")
    width, height = image.size
    if width * height > max_pixels:
        raise TooManyPixelsError(f"{width} x {height} pixels are more than the limit of {max_pixels:,}", name)
    if width < 1 or height < 1:
        raise UndecodableError(f"a {name} file without any pixels", name)
    return image, name


def _quiet_pillow() -> None:
    """Keep Pillow's warnings about malformed files off the terminal: the manifest says it better.

    Looked at on every call because test runners and `warnings.catch_warnings` put the filters back.
    """
    _load_plugins()
    for category in (Image.DecompressionBombWarning, UserWarning):
        if not any(
            action == "ignore" and kind is category and getattr(module, "pattern", None) == r"PIL\."
            for action, _, kind, module, _ in warnings.filters
        ):
            warnings.filterwarnings("ignore", category=category, module=r"PIL\.")


@functools.cache
def _load_plugins() -> None:
    with _preparing:
        Image.init()
        logging.getLogger("PIL").addHandler(logging.NullHandler())


@functools.cache
def _register_heif() -> None:
    with _preparing:
        import pillow_heif

        pillow_heif.register_heif_opener(thumbnails=False)


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION_TAG, 1))
    except Exception:
        # A picture with unreadable EXIF data is still a picture.
        return 1


def _turn_upright(image: Image.Image, orientation: int) -> Image.Image:
    return image.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else image


def _to_rgb_or_grey(image: Image.Image, value_range: ValueRange | None) -> tuple[Image.Image, ValueSummary | None]:
    """The image in mode ``RGB`` or ``L``, and its stored values where it is a deep one."""
    if image.mode in {"RGB", "L"} and "transparency" not in image.info:
        return image, None
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image)
        summary = summarize_values(values)
        return Image.fromarray(to_eight_bits(values, value_range or range_of_one(summary))), summary
    if image.has_transparency_data:
        return _over_white(image), None
    if image.mode == "1":
        return image.convert("L"), None
    if image.mode == "LAB":
        return _lab_to_rgb(image), None
    return image.convert("RGB"), None


def _over_white(image: Image.Image) -> Image.Image:
    grey = image.mode in {"1", "L", "LA", "La"}
    layer = image.convert("RGBA")
    white = Image.new("RGBA", layer.size, "white")
    return Image.alpha_composite(white, layer).convert("L" if grey else "RGB")


def _lab_to_rgb(image: Image.Image) -> Image.Image:
    from PIL import ImageCms

    converted = ImageCms.profileToProfile(
        image, ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), outputMode="RGB"
    )
    assert converted is not None
    return converted
