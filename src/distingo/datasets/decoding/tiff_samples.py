"""Decode the samples of a TIFF page as stored in the file, strip by strip or tile by tile."""

from __future__ import annotations

import dataclasses
import functools
import io
import logging
import struct
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from distingo.datasets.decoding.failures import TooManyPixelsError, UnsupportedError
from distingo.datasets.decoding.headers import claimed_size
from distingo.datasets.decoding.tiff_directory import Page
from distingo.datasets.decoding.tiff_support import (
    JPEG,
    LERC,
    RAW,
    describe_samples,
    ignores_predictor,
    is_installed,
    is_subsampled,
    stored_dtype,
)
from distingo.messages.notes import note


def read_samples(page: Page, indices: tuple[int, ...], max_pixels: int) -> np.ndarray:
    """Decode some of a page's samples.

    Args:
        page: A page checked by `check_supported` and `check_size`.
        indices: Indices of the samples to decode.
        max_pixels: Maximum size of a compressed segment according to its header.

    Returns:
        Array (height, width, indices) of `stored_dtype`, in native byte order, not rotated; missing segments are filled
        with the no-data value, or else 0.

    Raises:
        EOFError: The file is incomplete.
        UnsupportedError: The required libraries are not installed.
        Exception: Any error of a codec for malformed bytes.
    """
    decode = _decoder(page)
    fill = stored_no_data(page)
    result = np.full((page.height, page.width, len(indices)), 0 if fill is None else fill, stored_dtype(page))
    planes = [(plane, [at]) for at, plane in enumerate(indices)] if page.planar else [(0, list(range(len(indices))))]
    for plane, channels in planes:
        for index, row, column, content in _segments(page, plane):
            _check_claim(page, content, max_pixels)
            try:
                decoded = decode(content, index)[0][0]
            except Exception:
                if row + page.strip_rows <= page.height or page.tile:
                    raise
                # Some writers pad the last strip to the size of the others.
                padded_page = dataclasses.replace(page, height=page.strip_rows * page.segments_down)
                decoded = _decoder(padded_page)(content, index)[0][0]
            part = result[row : row + decoded.shape[0], column : column + decoded.shape[1]]
            selected = decoded if page.planar else decoded[:, :, list(indices)]
            part[:, :, channels] = selected[: part.shape[0], : part.shape[1]]
    return result


def _segments(page: Page, plane: int) -> Iterator[tuple[int, int, int, Any]]:
    """Yield the number, first row, first column and bytes of each stored segment of a plane."""
    across, down = page.segments_across, page.segments_down
    total = across * down * (page.samples if page.planar else 1)
    offsets, counts = _segment_locations(page, total)
    data, (wide, high) = memoryview(page.directory.data), page.segment_size
    for at in range(across * down):
        index = plane * across * down + at
        row, column = at // across * high, at % across * wide
        offset, count = int(offsets[index]), int(counts[index])
        if page.compression == RAW and offset:
            # The size of uncompressed rows is known, whatever the file contains.
            rows = high if page.tile else min(high, page.height - row)
            count = segment_bytes(page, rows)
        if not offset or not count:
            continue
        if offset >= len(data) or offset + count > len(data):
            raise EOFError
        yield index, row, column, data[offset : offset + count]


def _segment_locations(page: Page, total: int) -> tuple[np.ndarray, np.ndarray]:
    """Read the offset and size of each segment, and check that their total is plausible for the image."""
    directory = page.directory
    tags = (324, 325) if page.tile and 324 in directory.entries else (273, 279)
    offsets, counts = (directory.array(tag, total) for tag in tags)
    if offsets is None or len(offsets) < total:
        raise ValueError(f"{0 if offsets is None else len(offsets)} of {total:,} strips or tiles")
    if counts is None or len(counts) < total or (total == 1 and not counts[0]):
        if total > 1 and page.compression != RAW:
            raise ValueError("the sizes of its strips or tiles are missing")
        counts = np.maximum(len(directory.data) - offsets.astype(np.int64), 0)
    pixels = page.segment_size[0] * page.segment_size[1] * total
    plausible_bytes = 2 * pixels * (1 if page.planar else page.samples) * max(page.bits) // 8
    if (
        page.compression != RAW
        and counts.astype(np.float64).sum() > len(directory.data) + plausible_bytes + 1024 * total
    ):
        raise ValueError("its strips or tiles hold more bytes than the file")
    return offsets, counts


def check_complete(page: Page) -> None:
    """Check that each compressed strip or tile is inside the file.

    Raises:
        EOFError: A segment is outside of it.
        ValueError: There are too few segments.
    """
    if page.compression in {RAW, 6}:
        return
    total = page.segments_across * page.segments_down * (page.samples if page.planar else 1)
    offsets, counts = (part[:total].astype(np.float64) for part in _segment_locations(page, total))
    if (offsets + counts).max() > len(page.directory.data):
        raise EOFError


def segment_bytes(page: Page, rows: int) -> int:
    """Number of bytes of an uncompressed segment."""
    wide = page.segment_size[0]
    if is_subsampled(page):
        horizontal, vertical = page.subsampling
        units = -(-wide // horizontal) * -(-rows // vertical)
        return units * (horizontal * vertical + 2)
    return rows * (-(-wide * (1 if page.planar else page.samples) * page.bits[0] // 8))


def stored_no_data(page: Page) -> Any:
    """The no-data value in the stored type; None if there is none, or it is out of range."""
    value, dtype = page.no_data, stored_dtype(page)
    if value is None or dtype.kind == "f":
        # Values outside the type's range become infinite, as may happen to GDAL's texts of a float's limits.
        with np.errstate(over="ignore"):
            return None if value is None else dtype.type(value)
    limits = np.iinfo(dtype)
    return dtype.type(value) if value == value // 1 and limits.min <= value <= limits.max else None


def _check_claim(page: Page, content: Any, max_pixels: int) -> None:
    """Refuse a compressed segment whose header gives more pixels than a page may have."""
    claim = claimed_size(page.compression, content)
    if claim is not None and claim[0] * claim[1] > max_pixels:
        reason = note("too-many-pixels-in-a-part", width=claim[0], height=claim[1], limit=max_pixels)
        raise TooManyPixelsError(reason, "TIFF")


def _tifffile(page: Page) -> Any:
    if not is_installed():
        raise UnsupportedError(note("needs-tifffile", samples=describe_samples(page)), "TIFF", code="missing_extra")
    return _quiet_tifffile()


@functools.cache
def _quiet_tifffile() -> Any:
    """Import tifffile and silence its logger, as the manifest contains the faults of a file."""
    import tifffile

    logging.getLogger("tifffile").addHandler(logging.NullHandler())
    return tifffile


def _decoder(page: Page) -> Callable[[Any, int], Any]:
    """The function that decodes a segment of a page from its bytes and number.

    Tifffile creates it from a directory with only the tags required for decoding, all of them checked.
    """
    tifffile = _tifffile(page)
    if is_subsampled(page):
        return functools.partial(
            _decode_blocks, page, functools.cache(lambda size: _open_stand_in(tifffile, _block_tags(page, size), "<"))
        )
    # LERC has its own byte order and samples of odd sizes have none, but tifffile would swap their bytes.
    packed = page.sample_format != 3 and page.bits[0] not in {8, 16, 32, 64}
    order = "<" if packed or page.compression == LERC else page.directory.order
    stand_in = _open_stand_in(tifffile, _tags(page), order)
    tables = page.directory.content(347)
    if page.compression in JPEG:
        start = next((bytes(content[6:10]) for *_, content in _segments(page, 0)), b"")
        stand_in.is_jfif = start == b"JFIF"
        return functools.partial(stand_in.decode, jpegtables=tables)
    if page.compression == LERC:
        return functools.partial(_decode_lerc, page, stand_in.decode)
    decode: Callable[[Any, int], Any] = stand_in.decode
    return decode


def _tags(page: Page) -> dict[int, tuple[int, list[int]]]:
    """The tags required for decoding: their number to type and values."""
    total = page.segments_across * page.segments_down * (page.samples if page.planar else 1)
    tags = {
        256: (4, [page.width]),
        257: (4, [page.height]),
        258: (3, [page.bits[0]] * page.samples),
        259: (3, [page.compression]),
        262: (3, [page.photometric if page.compression in JPEG else 1]),
        266: (3, [2 if page.reversed_bits and not ignores_predictor(page) else 1]),
        277: (3, [page.samples]),
        284: (3, [2 if page.planar else 1]),
        317: (3, [1 if ignores_predictor(page) else page.predictor]),
        339: (3, [page.sample_format] * page.samples),
    }
    if page.tile:
        tags |= {322: (4, [page.tile[0]]), 323: (4, [page.tile[1]]), 324: (4, [0] * total), 325: (4, [0] * total)}
    else:
        tags |= {278: (4, [page.strip_rows]), 273: (4, [0] * total), 279: (4, [0] * total)}
    if page.extra and page.compression in JPEG:
        tags[338] = (3, list(page.extra))
    if page.photometric == 6:
        tags[530] = (3, list(page.subsampling if page.compression in JPEG else (1, 1)))
    if page.compression == 3:
        tags[292] = (4, [page.directory.number(292, 0)])
    return tags


def _open_stand_in(tifffile: Any, tags: dict[int, tuple[int, list[int]]], order: str) -> Any:
    """Tifffile's page of a TIFF in memory with these tags and without pixels."""
    start = 10 + 12 * len(tags) + 4
    entries, values = b"", b""
    for tag, (kind, numbers) in sorted(tags.items()):
        packed = struct.pack(f"{order}{len(numbers)}{'H' if kind == 3 else 'I'}", *numbers)
        if len(packed) <= 4:
            field = packed.ljust(4, b"\0")
        else:
            field = struct.pack(f"{order}I", start + len(values))
            values += packed
        entries += struct.pack(f"{order}HHI", tag, kind, len(numbers)) + field
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HIH", 42, 8, len(tags))
    return tifffile.TiffFile(io.BytesIO(head + entries + b"\0\0\0\0" + values)).pages[0]


def _decode_lerc(page: Page, decode: Callable[[Any, int], Any], content: Any, index: int) -> Any:
    """Undo the additional compression of LERC blobs, as defined by LercParameters (tag 50674)."""
    import imagecodecs

    parameters = page.directory.numbers(50674, 2)
    outer = parameters[1] if len(parameters) > 1 else 0
    wide, high = page.segment_size
    max_bytes = 4096 + 2 * wide * high * page.samples * stored_dtype(page).itemsize
    if outer:
        unpack = {1: imagecodecs.zlib_decode, 2: imagecodecs.zstd_decode}[outer]
        content = unpack(content, out=max_bytes)
    return decode(content, index)


def _block_tags(page: Page, size: int) -> dict[int, tuple[int, list[int]]]:
    """Tags of one strip of bytes, with which tifffile only undoes the compression."""
    tags = _tags(page)
    for tag in (322, 323, 324, 325, 338, 530):
        tags.pop(tag, None)
    longs = {256: size, 257: 1, 278: 1, 273: 0, 279: 0}
    shorts = {258: 8, 262: 1, 277: 1, 339: 1}
    return tags | {tag: (4, [value]) for tag, value in longs.items()} | {tag: (3, [v]) for tag, v in shorts.items()}


def _decode_blocks(page: Page, stand_in: Callable[[int], Any], content: Any, index: int) -> Any:
    """Decode a segment of subsampled YCbCr: blocks of luma, each followed by the color shared by its pixels."""
    wide, high = page.segment_size
    horizontal, vertical = page.subsampling
    row = index // page.segments_across * high
    rows = high if page.tile else min(high, page.height - row)
    across, down = -(-wide // horizontal), -(-rows // vertical)
    flat = np.asarray(stand_in(segment_bytes(page, rows)).decode(content, 0)[0])
    blocks = flat.reshape(down, across, horizontal * vertical + 2)
    squares = blocks[..., :-2].reshape(down, across, vertical, horizontal)
    luma = squares.transpose(0, 2, 1, 3).reshape(down * vertical, across * horizontal)
    color = blocks[..., -2:].repeat(vertical, axis=0).repeat(horizontal, axis=1)
    return np.dstack([luma, color])[None, :rows, :wide], None, None
