"""Uploaded bytes to what a model looks at, within limits that hold before any pixel is decoded."""

from __future__ import annotations

from PIL import Image

from distingo.datasets.decoding import (
    TooManyPixelsError,
    UndecodableError,
    UnreadableError,
    decode,
    read_header,
)
from distingo.datasets.formats import describe_non_picture, detect_format
from distingo.records import ValueRanges
from distingo.serving.header_costs import HeaderCost, read_cost
from distingo.serving.refused import RefusedError

ACCEPTED = ("JPEG", "PNG", "WebP", "GIF", "BMP", "TIFF", "HEIF", "AVIF")
"""Formats that are decoded; anything else is refused from its first bytes."""

_SCAN = b"\xff\xda"
_MOST_SCANS = 20
"""Passes over all pixels that a JPEG of the greatest size may take; ordinary progressive ones take about ten."""


def decode_upload(
    content: bytes | bytearray, *, max_pixels: int, enough: int | None, value_ranges: ValueRanges | None = None
) -> Image.Image:
    """Decode an uploaded picture.

    Args:
        content: The file's bytes.
        max_pixels: Width times height above which it is refused, from its header alone.
        enough: As for `distingo.datasets.decoding.decode`.
        value_ranges: The model's, likewise.

    Returns:
        The picture in mode ``RGB`` or ``L``, upright.

    Raises:
        RefusedError: It is no accepted format (415), too large (413), or damaged (422).
    """
    data = bytes(content)
    try:
        return _decode(data, max_pixels, max_pixels, enough, value_ranges)
    except TooManyPixelsError as error:
        raise RefusedError(413, f"{error.reason}; send a smaller picture") from error


def decode_ordinary(
    content: bytes | bytearray,
    cost: HeaderCost,
    *,
    max_pixels: int,
    enough: int | None,
    value_ranges: ValueRanges | None = None,
) -> Image.Image | None:
    """Decode an uploaded picture that is cheap by its header, unless it turns out to have more pixels than that says.

    Args:
        content: The file's bytes.
        cost: By its header, ordinary.
        max_pixels: As for `decode_upload`.
        enough: Likewise.
        value_ranges: Likewise.

    Returns:
        The picture; None where the header lied, before any pixel is decoded.

    Raises:
        RefusedError: As `decode_upload`.
    """
    stated = cost.pixels or 0
    if stated > max_pixels:
        return decode_upload(content, max_pixels=max_pixels, enough=enough, value_ranges=value_ranges)
    try:
        return _decode(bytes(content), stated, max_pixels, enough, value_ranges)
    except TooManyPixelsError:
        return None


def _decode(
    data: bytes, most: int, max_pixels: int, enough: int | None, value_ranges: ValueRanges | None
) -> Image.Image:
    name = _accepted_format(data)
    try:
        if name == "JPEG":
            _check_scans(data, max_pixels)
        return decode(data, max_pixels=most, enough=enough, value_range=value_ranges).image
    except TooManyPixelsError:
        raise
    except UnreadableError as error:
        raise RefusedError(413, "decoding it takes more memory than is allowed; send a smaller picture") from error
    except UndecodableError as error:
        raise RefusedError(422, f"{error.reason}; send the picture as it was saved") from error


def cost_of(content: bytes | bytearray, enough: int | None) -> HeaderCost:
    """What decoding an uploaded picture may cost, from its header.

    Args:
        content: The file's bytes.
        enough: As for `distingo.datasets.decoding.decode`.

    Raises:
        RefusedError: It is no accepted format (415).
    """
    data = bytes(content)
    name = _accepted_format(data)
    return read_cost(data, name, scans=data.count(_SCAN) if name == "JPEG" else 1, enough=enough)


def _accepted_format(data: bytes) -> str:
    name = detect_format(data)
    if name not in ACCEPTED:
        came = describe_non_picture(name) or ("no known picture" if name == "unknown" else f"a {name} file")
        raise RefusedError(
            422 if name == "empty" else 415, f"{came}; send {', '.join(ACCEPTED[:-1])} or {ACCEPTED[-1]}"
        )
    return name


def check_tensor_size(height: int, width: int, max_pixels: int) -> None:
    """Refuse pixels that come as numbers and are too many.

    Raises:
        RefusedError: They are (413).
    """
    if height * width > max_pixels:
        raise RefusedError(413, f"a picture of more than {max_pixels:,} pixels; send a smaller one")


def _check_scans(data: bytes, max_pixels: int) -> None:
    """A small progressive JPEG can name thousands of scans, each of which passes over all pixels."""
    scans = data.count(_SCAN)
    if scans <= _MOST_SCANS:
        return
    header = read_header(data, max_pixels=max_pixels)
    if scans * header.width * header.height > _MOST_SCANS * max_pixels:
        raise RefusedError(413, f"a JPEG of {scans:,} scans is too costly to decode; save it anew")
