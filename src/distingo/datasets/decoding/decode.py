"""Decode bytes to an image (RGB or gray, upright, 8 bits), or raise an error with the reason."""

from __future__ import annotations

import contextlib
import functools
import io
import math
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from distingo.datasets.decoding import deep_images, idx, tiff
from distingo.datasets.decoding.failures import (
    TooManyPixelsError,
    UndecodableError,
    UnreadableError,
    UnsupportedError,
    check_size,
    complaints_of_decoding,
)
from distingo.datasets.decoding.formats import describe_non_image, detect_format, is_unsupported
from distingo.datasets.decoding.headers import jpeg_2000_bits, read_png_facts
from distingo.datasets.decoding.pillow_files import (
    NAMES,
    StoredValues,
    completed,
    is_padded,
    open_by_pillow,
    orientation_of,
    quiet_pillow,
)
from distingo.datasets.decoding.shown import Decoded, show_image, show_parts, show_values
from distingo.datasets.decoding.tiff_support import is_classic, open_checked
from distingo.datasets.decoding.value_ranges import ValueRange, ValueRanges
from distingo.messages.notes import Note, note
from distingo.records import DEFAULT_MAX_PIXELS, ImageNote, Source

__all__ = [
    "DECODING",
    "DEFAULT_MAX_PIXELS",
    "NO_LIMIT",
    "Decoded",
    "Header",
    "TooManyPixelsError",
    "UndecodableError",
    "UnreadableError",
    "UnsupportedError",
    "decode",
    "decode_array",
    "decode_image",
    "open_source",
    "read_bytes",
    "read_exif",
    "read_header",
]

NO_LIMIT = 2**62
"""Pixel limit for images that were checked when their data set was read, and for reading headers only."""

DECODING = 5
"""Version of decoding, incremented whenever a file may yield different pixels; part of cache keys."""

_MAX_COMPONENTS = 4

_MAX_REMARKS = 3

_reading = threading.Lock()
"""Guards reading, as callers may pass the same image to two threads."""


@dataclass(frozen=True, slots=True)
class Header:
    """The header of an image file, read without decoding its pixels.

    Attributes:
        width: In pixels, after EXIF rotation.
        height: In pixels, after EXIF rotation.
        gray: Whether it is stored without color.
        format: As in `Decoded.format`.
    """

    width: int
    height: int
    gray: bool
    format: str


def decode(
    data: bytes,
    *,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    enough: int | None = None,
    value_range: ValueRange | ValueRanges | None = None,
) -> Decoded:
    """Decode an image file, independently of its file extension.

    Of an animation, the first frame is decoded. Transparent pixels are composited over white, EXIF rotation is applied,
    and deep images are scaled to 8 bits.

    Args:
        data: The file's content.
        max_pixels: Maximum width times height; larger images are refused by their header alone.
        enough: Pixels of the shorter side that the caller will resize to. A JPEG with a shorter side of more than four
            times that is decoded at a half, a quarter or an eighth of its size, but with at least ``2 * enough``
            pixels, which affects a resized image no more than the choice of the filter. None decodes all pixels.
        value_range: The range that a deep image's values are scaled by: its own, or those of its data set or model.
            With None, or ranges without its kind, the range depends on the image alone
            (`distingo.datasets.decoding.value_ranges.range_of_one`). 8-bit images are not scaled.

    Returns:
        The image in mode ``RGB`` or ``L`` and the format it was stored in.

    Raises:
        UndecodableError: The image can't be decoded; no other error is raised.
    """
    with complaints_of_decoding() as complaints:
        error: UndecodableError | None = None
        try:
            decoded = _decode(data, max_pixels, enough, value_range)
        except UndecodableError as raised:
            error = raised
    if error is None:
        notes: tuple[ImageNote, ...] = ("decoder-warning",) if complaints else ()
        return replace(decoded, notes=decoded.notes + notes, remarks=tuple(complaints[:_MAX_REMARKS]))
    if isinstance(error, TooManyPixelsError):
        raise error
    known_error = str(error.reason.values.get("error", ""))
    if new_complaints := tuple(line for line in complaints[:_MAX_REMARKS] if line not in known_error):
        reason = note("with-complaints", reason=error.reason, complaints=new_complaints)
        raise type(error)(reason, error.format, code=error.code) from error
    raise error


def _decode(data: bytes, max_pixels: int, enough: int | None, value_range: ValueRange | ValueRanges | None) -> Decoded:
    with _translated(data) as name:
        if (read := _reader_of_values(data, name, max_pixels)) is not None:
            return show_values(read(), name, value_range)
        if name == "JPEG XL" and (jpeg := deep_images.jpeg_of_jpeg_xl(data)) is not None:
            return replace(
                decode(jpeg, max_pixels=max_pixels, enough=enough, value_range=value_range), format="JPEG XL"
            )
        if name == "TIFF":
            page, layout = open_checked(data, max_pixels)
            width, height = page.upright_size
            pillow_limit = Image.MAX_IMAGE_PIXELS or NO_LIMIT
            if width * height > pillow_limit or not tiff.read_by_pillow(page, layout):
                decoded_page = tiff.decode_page(page, layout, max_pixels, value_range)
                return show_parts(decoded_page.image, decoded_page.alpha, name, page.orientation, decoded_page.values)
        try:
            if name == "JPEG" and is_padded(data):
                raise EOFError("zero bytes instead of its end")
            return _decode_by_pillow(data, max_pixels, enough, value_range)
        except (OSError, EOFError):
            completed_data = completed(data) if name == "JPEG" else None
            if completed_data is None:
                raise
        decoded = _decode_by_pillow(completed_data, max_pixels, enough, value_range)
        return replace(decoded, notes=("missing-end-marker", *decoded.notes))


def decode_image(
    image: Image.Image,
    *,
    max_pixels: int | None = None,
    enough: int | None = None,
    value_range: ValueRange | ValueRanges | None = None,
) -> Decoded:
    """Convert a Pillow image like `decode` converts a file.

    An opened file that was not read yet is decoded from its beginning with all its bits; for other images, Pillow's
    pixels are used.

    Args:
        image: Image of any mode. It may be loaded, but is not changed.
        max_pixels: As for `decode`; None sets no limit.
        enough: As for `decode`, for files that were not read yet.
        value_range: As for `decode`.

    Returns:
        As `decode`.

    Raises:
        UndecodableError: Its file is damaged.
    """
    name = NAMES.get(image.format or "", image.format or "image")
    limit = max_pixels or max(DEFAULT_MAX_PIXELS, image.width * image.height)
    with _explained(name):
        quiet_pillow()
        with _reading:
            data = _unread_bytes(image)
            if data is None:
                check_size(*image.size, name, limit)
                image.load()
        if data is not None:
            return decode(data, max_pixels=limit, enough=enough, value_range=value_range)
        return show_image(image, name, value_range)


def decode_array(values: np.ndarray, *, value_range: ValueRange | ValueRanges | None = None) -> Decoded:
    """Convert an array of pixels like `decode` converts a file.

    Args:
        values: (height, width) or (height, width, 1, 2, 3 or 4), where the last of 2 or 4 channels is alpha: uint8,
            wider integers, floats, or bool.
        value_range: As for `decode`; uint8 and bool are not scaled.

    Returns:
        As `decode`, with format ``array``.
    """
    if values.dtype == np.bool_:
        values = values.astype(np.uint8) * np.uint8(255)
    return show_values(StoredValues(values), "array", value_range)


def _unread_bytes(image: Image.Image) -> bytes | None:
    """The content of the file that an unread image was opened from; None for any other image."""
    stream = getattr(image, "fp", None)
    if stream is None or not getattr(image, "tile", None) or image.format is None:
        return None
    try:
        if image.tell() != 0:
            return None
        position = stream.tell()
        stream.seek(0)
        data: bytes = stream.read()
        stream.seek(position)
        as_opened = open_by_pillow(data, image.width * image.height)[0]
    except (OSError, ValueError, AttributeError, UndecodableError):
        return None
    # Another size: the caller requested a smaller image from the decoder.
    return data if as_opened.size == image.size and as_opened.mode == image.mode else None


def _decode_by_pillow(
    data: bytes, max_pixels: int, enough: int | None, value_range: ValueRange | ValueRanges | None
) -> Decoded:
    image, name = open_by_pillow(data, max_pixels)
    deep_images.check_cost(data, image, name, max_pixels)
    if name == "PNG":
        facts = read_png_facts(data)
        if deep_images.is_deep_png(image, facts):
            return show_values(deep_images.read_deep_png(data, image, facts), name, value_range)
        image.load()
        return show_image(image, name, value_range, cicp=facts.cicp)
    if name == "JPEG 2000":
        components, bits, signed = jpeg_2000_bits(data) or (1, 8, 0)
        if components > _MAX_COMPONENTS:
            raise UnsupportedError(note("unsupported-jpeg-2000", count=components), name)
        if bits > 8 or signed:
            return show_values(deep_images.read_deep_jpeg2000(data, image, bits), name, value_range)
    if enough is not None and image.format == "JPEG":
        scale = 2 * enough / min(image.size)
        image.draft(None, (math.ceil(image.width * scale), math.ceil(image.height * scale)))
    image.load()
    return show_image(image, name, value_range)


def _reader_of_values(data: bytes, name: str, max_pixels: int) -> Callable[[], StoredValues] | None:
    """The reader for a file that Pillow can't read; None for other files."""
    if name == "JPEG XL":
        if deep_images.jpeg_of_jpeg_xl(data) is not None:
            return None
        return functools.partial(deep_images.read_jpeg_xl, data, max_pixels)
    if name == "PPM" and (header := deep_images.netpbm_header(data)) is not None:
        return functools.partial(deep_images.read_netpbm, data, header, max_pixels)
    if name == "JPEG" and (frame := deep_images.deep_frame(data)) is not None:
        return functools.partial(deep_images.read_deep_jpeg, data, frame, max_pixels)
    return None


def read_header(data: bytes, *, max_pixels: int = DEFAULT_MAX_PIXELS) -> Header:
    """Read an image's size and kind without decoding its pixels (JPEG XL and deep JPEG have to be decoded).

    Args:
        data: The file's content.
        max_pixels: As for `decode`.

    Returns:
        The header, with the size of the upright image.

    Raises:
        UndecodableError: As for `decode`, if the header is sufficient to detect it.
    """
    with _translated(data) as detected:
        if detected == "JPEG XL" or _reader_of_values(data, detected, max_pixels) is not None:
            image = decode(data, max_pixels=min(max_pixels, DEFAULT_MAX_PIXELS)).image
            return Header(*image.size, image.mode == "L", detected)
        if detected == "TIFF":
            page, layout = open_checked(data, max_pixels)
            return Header(*page.upright_size, layout.kind == "gray", "TIFF")
        image, name = open_by_pillow(data, max_pixels)
        deep_images.check_cost(data, image, name, max_pixels)
        width, height = image.size
        if orientation_of(image) in {5, 6, 7, 8}:
            width, height = height, width
        return Header(width, height, image.mode in {"1", "L", "LA", "I", "F"} or image.mode.startswith("I;"), name)


def read_exif(data: bytes) -> dict[int, Any]:
    """Read an image's EXIF tags, those of the main and of the exposure directory, without decoding its pixels.

    Raises:
        UndecodableError: As for `read_header`.
    """
    with _translated(data) as name:
        if name == "JPEG XL" or _reader_of_values(data, name, NO_LIMIT) is not None:
            return {}
        if name == "TIFF" and is_classic(data):
            # Pillow reads tags even if it can't read the pixels of a TIFF.
            quiet_pillow()
            exif = Image.Exif()
            exif.load_from_fp(io.BytesIO(data))
            return {**exif, **exif.get_ifd(ExifTags.IFD.Exif)}
        exif = open_by_pillow(data, NO_LIMIT)[0].getexif()
        return {**exif, **exif.get_ifd(ExifTags.IFD.Exif)}


def open_source(
    source: Source,
    *,
    max_pixels: int = NO_LIMIT,
    enough: int | None = None,
    value_range: ValueRange | ValueRanges | None = None,
) -> Image.Image:
    """Decode the image a source names: a file of its own or an entry of an IDX file.

    Args:
        source: The location of the pixels.
        max_pixels: As for `decode`; the default is for images that were checked when their data set was read.
        enough: As for `decode`.
        value_range: As for `decode`; None uses the source's own.

    Returns:
        The image in mode ``RGB`` or ``L``.

    Raises:
        UndecodableError: The file can't be opened or decoded.
    """
    if source.index is not None:
        images = idx.load_images(source.path)
        if not 0 <= source.index < len(images):
            raise UndecodableError(note("no-such-entry", file=source.file, count=len(images)), "IDX")
        return Image.fromarray(images[source.index])
    value_range = value_range or source.value_range
    return decode(read_bytes(source), max_pixels=max_pixels, enough=enough, value_range=value_range).image


def read_bytes(source: Source) -> bytes:
    """Read a source's file.

    Raises:
        UndecodableError: It can't be opened; the message has the system's reason.
    """
    try:
        return source.path.read_bytes()
    except OSError as error:
        raise UnreadableError(note("unopened-file", error=error.strerror or type(error).__name__), "unknown") from error


@contextlib.contextmanager
def _translated(data: bytes) -> Iterator[str]:
    """Yield the name of the format, and translate the errors of decoders for malformed bytes."""
    name = detect_format(data)
    if (reason := describe_non_image(name)) is not None:
        raise (UnsupportedError if is_unsupported(name) else UndecodableError)(reason, name)
    with _explained(name):
        yield name


@contextlib.contextmanager
def _explained(name: str) -> Iterator[None]:
    try:
        yield
    except UndecodableError:
        raise
    except MemoryError as error:
        raise UnreadableError(note("out-of-memory"), name, code="out_of_memory") from error
    except Image.DecompressionBombError as error:
        raise TooManyPixelsError(note("too-many-pixels-to-decode", limit=DEFAULT_MAX_PIXELS), name) from error
    except Exception as error:
        # Pillow's plugins raise almost anything on malformed input: struct.error, SyntaxError, IndexError.
        raise UndecodableError(_explain(error, name), name) from error


def _explain(error: Exception, name: str) -> Note:
    if name == "unknown":
        return note("unknown-format")
    text = " ".join(str(error).split())
    if "truncated" in text.lower() or isinstance(error, EOFError) or "end of file" in text.lower():
        return note("truncated", format=name)
    if isinstance(error, UnidentifiedImageError) or not text:
        return note("damaged", format=name)
    return note("damaged-because", format=name, error=text[:120])
