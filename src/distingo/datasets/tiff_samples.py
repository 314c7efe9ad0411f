"""The samples of a TIFF's page as the file stores them: decoded strip by strip or tile by tile, within a limit."""

from __future__ import annotations

import functools
import io
import logging
import struct
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from distingo.datasets.tiff_codestreams import claimed_size
from distingo.datasets.tiff_directory import Page
from distingo.datasets.undecodable import TooManyPixelsError, UndecodableError, UnsupportedError

BYTES_PER_PIXEL = 16
"""Memory that decoding one pixel may take within the pixel limit; a page that takes more counts as more pixels."""

JPEG = frozenset({6, 7, 33007, 34892})
JPEG_2000 = frozenset({33003, 33004, 33005, 34712})
_RGB_CODECS = frozenset({34927, 50001, 50002, 52546})
_LERC = 34887
_RAW = 1
_CCITT = frozenset({2, 3, 4})
_READ = (
    JPEG
    | JPEG_2000
    | _RGB_CODECS
    | _CCITT
    | {_RAW, 5, 8, 22610, 32773, 32946, _LERC, 34925, 34926, 34933, 34934, 50000, 50013}
)
_COMPRESSION_NAMES = {
    9: "JBIG",
    10: "JBIG",
    262: "Kodak DCR",
    32766: "NeXT",
    32767: "Sony ARW",
    32769: "packed raw",
    32770: "Samsung SRW",
    32895: "TIFF/IT CT",
    32896: "TIFF/IT LW",
    32897: "TIFF/IT MP",
    32898: "TIFF/IT BL",
    32908: "Pixar film",
    32909: "Pixar log",
    32947: "Kodak DCS",
    34661: "JBIG",
    34676: "SGILOG",
    34677: "SGILOG24",
    34713: "Nikon NEF",
    34715: "JBIG2",
    48124: "Jetraw",
    65000: "EER",
    65001: "EER",
    65002: "EER",
}
_FORMAT_NAMES = {1: "unsigned integer", 2: "signed integer", 3: "float", 4: "undefined", 5: "complex", 6: "complex"}
# A segment's own size fields are checked before it is decoded; so many segments take a while without being an image.
_MOST_SEGMENTS = 1_000_000


def unsupported(what: str, help_: str = "save it as PNG") -> UnsupportedError:
    """A sound TIFF of a kind that is not read."""
    return UnsupportedError(f"a TIFF with {what}, which distingo does not read; {help_}", "TIFF")


def describe_samples(page: Page) -> str:
    """For example ``3 x 16-bit unsigned integer``."""
    kinds = sorted(set(page.bits))
    bits = f"{kinds[0]}-bit" if len(kinds) == 1 else " and ".join(map(str, kinds)) + " bits of"
    return f"{page.samples} x {bits} {_FORMAT_NAMES.get(page.sample_format, 'mixed')}"


def stored_dtype(page: Page) -> np.dtype[Any]:
    """The type that a page's samples are read into.

    Raises:
        UnsupportedError: There is none.
    """
    bits = page.bits[0]
    width = {(3, 24): 32}.get((page.sample_format, bits), bits)
    if set(page.bits) == {bits}:
        if page.sample_format in {1, 4} and (1 <= bits <= 32 or bits == 64):
            return np.dtype(f"u{next(size for size in (1, 2, 4, 8) if bits <= 8 * size)}")
        if page.sample_format == 2 and bits in {8, 16, 32, 64}:
            return np.dtype(f"i{bits // 8}")
        if page.sample_format == 3 and width in {16, 32, 64}:
            return np.dtype(f"f{width // 8}")
    raise unsupported(f"{describe_samples(page)} samples")


def check_supported(page: Page) -> None:
    """Refuse what isn't read, by its name.

    Raises:
        UnsupportedError: As said.
    """
    if page.compression not in _READ:
        name = _COMPRESSION_NAMES.get(page.compression)
        raise unsupported(f"compression {page.compression}" + (f" ({name})" if name else ""))
    dtype = stored_dtype(page)
    if page.depth > 1:
        raise unsupported(f"{page.depth:,} slices", "save the slices as images of their own")
    if page.compression in _CCITT and (page.bits[0] != 1 or page.samples != 1):
        raise UndecodableError(f"a damaged TIFF file (fax compression of {describe_samples(page)} samples)", "TIFF")
    if page.predictor != 1 and not ignores_predictor(page):
        fits = {2: page.bits[0] in {8, 16, 32, 64}, 3: dtype.kind == "f" and page.bits[0] != 24}
        if not fits.get(page.predictor, False):
            raise unsupported(f"predictor {page.predictor} on {describe_samples(page)} samples")
        if is_subsampled(page):
            raise unsupported(f"predictor {page.predictor} on subsampled color")


def ignores_predictor(page: Page) -> bool:
    """Whether a page's compression codes whole images, to which predictors don't apply, nor the order of bits."""
    return page.compression in JPEG | JPEG_2000 | _RGB_CODECS | {22610, 34933, 34934}


def is_subsampled(page: Page) -> bool:
    """Whether color is stored for blocks of pixels and interleaved with their luma (TIFF 6.0, section 21)."""
    return (
        page.photometric == 6
        and page.samples == 3
        and not page.planar
        and page.subsampling != (1, 1)
        and not ignores_predictor(page)
    )


def is_rgb_already(page: Page) -> bool:
    """Whether decoding turns a page's YCbCr into RGB because its compression does so."""
    return page.compression in _RGB_CODECS or (page.compression in JPEG and not page.planar and not page.extra)


def check_size(page: Page, kept: int, max_pixels: int) -> None:
    """Refuse a page that takes more memory than the pixel limit allows for.

    Counted are the pixels with the padding of tiles, a decoded segment in full and what is kept of it: the samples, a
    copy to summarize deep ones and the 8-bit image.

    Args:
        page: To decode.
        kept: Samples of each pixel that are shown, alpha included.
        max_pixels: Width times height of an 8-bit image that is just decoded.

    Raises:
        TooManyPixelsError: It takes more.
    """
    width, height = page.upright_size
    if page.width * page.height > max_pixels:
        raise TooManyPixelsError(f"{width} x {height} pixels are more than the limit of {max_pixels:,}", "TIFF")
    wide, high = page.segment_size
    padded = wide * page.segments_across * high * page.segments_down if page.tile else page.width * page.height
    itemsize = max(-(-max(page.bits) // 8), 1)
    segment = wide * high * (1 if page.planar else page.samples) * itemsize
    copies = 1 if itemsize == 1 else 3
    needed = 2 * segment + page.width * page.height * (kept * itemsize * copies + 4)
    counted = max(padded, needed // BYTES_PER_PIXEL)
    if counted > max_pixels:
        raise TooManyPixelsError(
            f"{width} x {height} pixels ({describe_samples(page)}"
            + (f", tiles of {wide} x {high}" if page.tile else "")
            + f") take as much memory to decode as {counted:,} pixels, more than the limit of {max_pixels:,}",
            "TIFF",
        )
    if page.segments_across * page.segments_down > _MOST_SEGMENTS:
        raise unsupported(f"{page.segments_across * page.segments_down:,} strips or tiles")


def read_samples(page: Page, kept: tuple[int, ...], max_pixels: int) -> np.ndarray:
    """Decode some of a page's samples.

    Args:
        page: Checked by `check_supported` and `check_size`.
        kept: Numbers of the samples to keep.
        max_pixels: What a compressed segment may claim to hold.

    Returns:
        Height x width x kept, of `stored_dtype`, in native byte order, not turned; missing segments are filled with
        the no-data value, else 0.

    Raises:
        EOFError: The file breaks off.
        UnsupportedError: The libraries that decode it aren't installed.
        Exception: Whatever a codec raises on malformed bytes.
    """
    decode = _decoder(page)
    fill = stored_no_data(page)
    result = np.full((page.height, page.width, len(kept)), 0 if fill is None else fill, stored_dtype(page))
    planes = [(plane, [at]) for at, plane in enumerate(kept)] if page.planar else [(0, list(range(len(kept))))]
    for plane, channels in planes:
        for index, row, column, content in _segments(page, plane):
            _check_claim(page, content, max_pixels)
            decoded = decode(content, index)[0][0]
            part = result[row : row + decoded.shape[0], column : column + decoded.shape[1]]
            chosen = decoded if page.planar else decoded[:, :, list(kept)]
            part[:, :, channels] = chosen[: part.shape[0], : part.shape[1]]
    return result


def _segments(page: Page, plane: int) -> Iterator[tuple[int, int, int, Any]]:
    """Yield each stored segment of a plane: its number, its first row and column, and its bytes."""
    across, down = page.segments_across, page.segments_down
    total = across * down * (page.samples if page.planar else 1)
    offsets, counts = _places(page, total)
    data, (wide, high) = memoryview(page.directory.data), page.segment_size
    for at in range(across * down):
        index = plane * across * down + at
        row, column = at // across * high, at % across * wide
        offset, count = int(offsets[index]), int(counts[index])
        if page.compression == _RAW and offset:
            # What uncompressed rows take is known, whatever the file says.
            rows = high if page.tile else min(high, page.height - row)
            count = segment_bytes(page, rows)
        if not offset or not count:
            continue
        if offset >= len(data) or offset + count > len(data):
            raise EOFError
        yield index, row, column, data[offset : offset + count]


def _places(page: Page, total: int) -> tuple[np.ndarray, np.ndarray]:
    """Offset and size of each segment, checked to cost no more reading than the image is worth."""
    directory = page.directory
    tags = (324, 325) if page.tile and 324 in directory.entries else (273, 279)
    offsets, counts = (directory.array(tag, total) for tag in tags)
    if offsets is None or len(offsets) < total:
        raise ValueError(f"{0 if offsets is None else len(offsets)} of {total:,} strips or tiles")
    if counts is None or len(counts) < total or (total == 1 and not counts[0]):
        if total > 1 and page.compression != _RAW:
            raise ValueError("the sizes of its strips or tiles are missing")
        counts = np.maximum(len(directory.data) - offsets.astype(np.int64), 0)
    pixels = page.segment_size[0] * page.segment_size[1] * total
    worth = 2 * pixels * (1 if page.planar else page.samples) * max(page.bits) // 8
    if page.compression != _RAW and counts.astype(np.float64).sum() > len(directory.data) + worth + 1024 * total:
        raise ValueError("its strips or tiles hold more bytes than the file")
    return offsets, counts


def segment_bytes(page: Page, rows: int) -> int:
    """Bytes of an uncompressed segment."""
    wide = page.segment_size[0]
    if is_subsampled(page):
        horizontal, vertical = page.subsampling
        units = -(-wide // horizontal) * -(-rows // vertical)
        return units * (horizontal * vertical + 2)
    return rows * (-(-wide * (1 if page.planar else page.samples) * page.bits[0] // 8))


def stored_no_data(page: Page) -> Any:
    """The no-data value as it is stored, None where there is none that the type can hold."""
    value, dtype = page.no_data, stored_dtype(page)
    if value is None or dtype.kind == "f":
        # Values beyond those of the type become infinite, as GDAL's texts of a float's limits may.
        with np.errstate(over="ignore"):
            return None if value is None else dtype.type(value)
    limits = np.iinfo(dtype)
    return dtype.type(value) if value == value // 1 and limits.min <= value <= limits.max else None


def _check_claim(page: Page, content: Any, max_pixels: int) -> None:
    """Refuse a compressed segment that says to hold more than the whole page may."""
    claim = claimed_size(page.compression, content)
    if claim is not None and claim[0] * claim[1] > max_pixels:
        raise TooManyPixelsError(
            f"{claim[0]} x {claim[1]} pixels in one strip or tile are more than the limit of {max_pixels:,}", "TIFF"
        )


@functools.cache
def _tifffile() -> Any:
    """Tifffile, kept off the terminal: the manifest says what is wrong with a file."""
    try:
        import imagecodecs  # noqa: F401
        import tifffile
    except ImportError as error:
        raise UnsupportedError(
            "a TIFF that Pillow can't read exactly; run pip install 'distingo-runtime[tiff]' to read it", "TIFF"
        ) from error
    logging.getLogger("tifffile").addHandler(logging.NullHandler())
    return tifffile


def _decoder(page: Page) -> Callable[[Any, int], Any]:
    """The function that decodes a segment of a page, given its bytes and its number.

    Tifffile makes it from a directory that holds nothing but what decoding takes, each value checked before.
    """
    tifffile = _tifffile()
    if is_subsampled(page):
        return functools.partial(_decode_blocks, page, _open_stand_in(tifffile, _block_tags(page), "<").decode)
    # LERC has a byte order of its own and samples of odd sizes have none; tifffile would swap them all the same.
    packed = page.sample_format != 3 and page.bits[0] not in {8, 16, 32, 64}
    order = "<" if packed or page.compression == _LERC else page.directory.order
    stand_in = _open_stand_in(tifffile, _tags(page), order)
    tables = page.directory.content(347)
    if page.compression in JPEG:
        start = next((bytes(content[6:10]) for *_, content in _segments(page, 0)), b"")
        stand_in.is_jfif = start == b"JFIF"
        return functools.partial(stand_in.decode, jpegtables=tables)
    if page.compression == _LERC:
        return functools.partial(_decode_lerc, page, stand_in.decode)
    decode: Callable[[Any, int], Any] = stand_in.decode
    return decode


def _tags(page: Page) -> dict[int, tuple[int, list[int]]]:
    """The tags that decoding takes: their number to type and values."""
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
    """Tifffile's page of a TIFF in memory that has these tags and no pixels."""
    start = 10 + 12 * len(tags) + 4
    entries, values = b"", b""
    for tag, (kind, numbers) in sorted(tags.items()):
        packed = struct.pack(f"{order}{len(numbers)}{'H' if kind == 3 else 'I'}", *numbers)
        if len(packed) <= 4:
            place = packed.ljust(4, b"\0")
        else:
            place = struct.pack(f"{order}I", start + len(values))
            values += packed
        entries += struct.pack(f"{order}HHI", tag, kind, len(numbers)) + place
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HIH", 42, 8, len(tags))
    return tifffile.TiffFile(io.BytesIO(head + entries + b"\0\0\0\0" + values)).pages[0]


def _decode_lerc(page: Page, decode: Callable[[Any, int], Any], content: Any, index: int) -> Any:
    """Undo what LERC blobs are compressed with in turn, as LercParameters (tag 50674) says."""
    import imagecodecs

    parameters = page.directory.numbers(50674, 2)
    outer = parameters[1] if len(parameters) > 1 else 0
    wide, high = page.segment_size
    most = 4096 + 2 * wide * high * page.samples * stored_dtype(page).itemsize
    if outer:
        unpack = {1: imagecodecs.zlib_decode, 2: imagecodecs.zstd_decode}[outer]
        content = unpack(content, out=most)
    return decode(content, index)


def _block_tags(page: Page) -> dict[int, tuple[int, list[int]]]:
    """Tags under which tifffile undoes the compression of subsampled color and leaves the blocks as they are."""
    across, down = page.segments_across, page.segments_down
    wide = segment_bytes(page, page.segment_size[1])
    tags = _tags(page)
    tags |= {256: (4, [wide]), 257: (4, [across * down]), 258: (3, [8]), 262: (3, [1]), 277: (3, [1]), 339: (3, [1])}
    for tag in (322, 323, 324, 325, 338, 530):
        tags.pop(tag, None)
    return tags | {278: (4, [1]), 273: (4, [0] * across * down), 279: (4, [0] * across * down)}


def _decode_blocks(page: Page, decode: Callable[[Any, int], Any], content: Any, index: int) -> Any:
    """Decode a segment of subsampled YCbCr: blocks of luma, each followed by the color that its pixels share."""
    wide, high = page.segment_size
    horizontal, vertical = page.subsampling
    row = index // page.segments_across * high
    rows = high if page.tile else min(high, page.height - row)
    across, down = -(-wide // horizontal), -(-rows // vertical)
    flat = np.resize(np.asarray(decode(_padded(page, content), index)[0]).ravel(), segment_bytes(page, rows))
    blocks = flat.reshape(down, across, horizontal * vertical + 2)
    luma = blocks[..., :-2].reshape(down, across, vertical, horizontal)
    luma = luma.transpose(0, 2, 1, 3).reshape(down * vertical, across * horizontal)
    color = blocks[..., -2:].repeat(vertical, axis=0).repeat(horizontal, axis=1)
    return np.dstack([luma, color])[None, :rows, :wide], None, None


def _padded(page: Page, content: Any) -> Any:
    """Uncompressed blocks of a shorter last strip, filled up to what a whole one takes."""
    if page.compression != _RAW:
        return content
    return bytes(content).ljust(segment_bytes(page, page.segment_size[1]), b"\0")
