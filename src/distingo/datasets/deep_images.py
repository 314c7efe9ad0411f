"""Images whose values Pillow cuts down to 8 bits or doesn't read: deep PNG, JPEG, JPEG 2000, Netpbm, and JPEG XL."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from PIL import Image

from distingo.datasets.blocks import blocks_of, by_block
from distingo.datasets.jpeg_markers import JpegFrame, read_frame
from distingo.datasets.netpbm import NetpbmHeader, read_netpbm_header, read_netpbm_values
from distingo.datasets.png_chunks import PngFacts, read_png_facts
from distingo.datasets.shown import StoredValues, orientation_of, profile_of
from distingo.datasets.undecodable import UnsupportedError, check_size

_JXL_RATIOS = (None, (1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
_JXL_WIDTHS = (9, 13, 18, 30)
_DEEP_PNG_BYTES = 18
"""Memory that a pixel of a deep RGB PNG with alpha takes at most, with a color profile; without alpha it takes less."""

_JXL_BYTES = 24
"""Memory that a pixel of JPEG XL takes at most: the decoder works with floats, whatever it gives."""

_JPEG_2000_BYTES = 6.75
"""Memory that a sample of JPEG 2000 takes at most, deep or not: the decoder works with 32-bit integers."""


def require_codecs(what: str, name: str) -> Any:
    """The package that reads deep images.

    Args:
        what: Kind of file, in words.
        name: Its format.

    Raises:
        UnsupportedError: It is not installed, which only happens with the small distribution of exported models.
    """
    try:
        import imagecodecs
    except ImportError as error:
        raise UnsupportedError(
            f"{what} needs imagecodecs, which is not installed; pip install 'distingo-runtime[tiff]'", name
        ) from error
    return imagecodecs


def check_cost(data: bytes, image: Image.Image, name: str, max_pixels: int) -> None:
    """Refuse a PNG or JPEG 2000 file that takes more memory than the pixel limit allows for.

    Args:
        data: The file's content.
        image: The same file opened by Pillow.
        name: Its format; others are left alone.
        max_pixels: As for `check_size`.

    Raises:
        TooManyPixelsError: It does.
    """
    if name == "PNG" and (image.mode == "RGBA" or "transparency" in image.info):
        facts = read_png_facts(data)
        cost = _DEEP_PNG_BYTES if is_deep_png(image, facts) else 0.0
    elif name == "JPEG 2000":
        cost = _JPEG_2000_BYTES * (jpeg2000_bits(data) or (len(image.getbands()), 8, 0))[0]
    else:
        return
    check_size(*image.size, name, max_pixels, bytes_per_pixel=cost)


def is_deep_png(image: Image.Image, facts: PngFacts) -> bool:
    """Whether Pillow would lose something of an opened PNG: bits of color or alpha, or how many of them count."""
    return facts.depth == 16 and (not image.mode.startswith("I") or facts.bits is not None)


def read_deep_png(data: bytes, image: Image.Image, facts: PngFacts) -> StoredValues:
    """Read a PNG of 16 bits per sample.

    A file that states fewer significant bits (sBIT) holds them scaled up to 16, as the specification demands; they
    are scaled down again to the values of the device.

    Args:
        data: The file's content.
        image: The same file opened by Pillow, for its profile and orientation.
        facts: Of this file.
    """
    values = require_codecs("a PNG of 16 bits per color", "PNG").png_decode(data)
    bits = facts.bits or 16
    if bits < 16:
        values >>= 16 - bits
    profile = profile_of(image, "PNG", facts.cicp, gray=values.ndim == 2 or values.shape[2] <= 2)
    return StoredValues(values, bits, profile, orientation_of(image))


def jpeg2000_bits(data: bytes) -> tuple[int, int, int] | None:
    """Read a JPEG 2000 header (the SIZ marker): components, bits of the deepest, and 1 if signed; None if damaged."""
    at = data.find(b"\xff\x4f\xff\x51")
    if at < 0 or at + 42 > len(data):
        return None
    (components,) = struct.unpack_from(">H", data, at + 40)
    depths = data[at + 42 : at + 42 + 3 * components : 3]
    if not depths:
        return None
    return components, max((depth & 127) + 1 for depth in depths), max(depth >> 7 for depth in depths)


def read_deep_jpeg2000(data: bytes, image: Image.Image, bits: int) -> StoredValues:
    """Read a JPEG 2000 file of more than 8 bits per sample; arguments as for `read_deep_png`."""
    values = require_codecs("a JPEG 2000 file of more than 8 bits", "JPEG 2000").jpeg2k_decode(data, numthreads=1)
    bits -= values.dtype.kind == "i"  # one of them is the sign
    return StoredValues(values, bits, image.info.get("icc_profile"), orientation_of(image))


def deep_frame(data: bytes) -> JpegFrame | None:
    """The frame header of a JPEG that Pillow doesn't read because it has more than 8 bits; None for any other."""
    frame = read_frame(data)
    return frame if frame is not None and (frame.precision > 8 or frame.lossless) else None


def read_deep_jpeg(data: bytes, frame: JpegFrame, max_pixels: int) -> StoredValues:
    """Read a JPEG of 12 bits per sample.

    Raises:
        UnsupportedError: It is a lossless JPEG.
        TooManyPixelsError: It is over the limit.
    """
    check_size(frame.width, frame.height, "JPEG", max_pixels)
    if frame.lossless:
        raise UnsupportedError("a lossless JPEG, as medical and raw files hold; save it as PNG or TIFF", "JPEG")
    exif = Image.Exif()
    exif.load(frame.exif)
    orientation = exif.get(0x0112, 1)
    values = require_codecs("a JPEG of more than 8 bits", "JPEG").jpeg8_decode(data)
    return StoredValues(values, frame.precision, frame.profile, orientation)


def netpbm_header(data: bytes) -> NetpbmHeader | None:
    """The header of a Netpbm file that Pillow would cut down or not read; None for any other."""
    header = read_netpbm_header(data)
    return header if header is not None and (header.deep or header.magic == b"P7") else None


def read_netpbm(data: bytes, header: NetpbmHeader, max_pixels: int) -> StoredValues:
    """Read a Netpbm file.

    Raises:
        TooManyPixelsError: It is over the limit.
        EOFError: Pixels are lacking.
    """
    check_size(header.width, header.height, "PPM", max_pixels)
    values = read_netpbm_values(data, header)
    if values.dtype == np.uint8 and header.most < 255:
        values = by_block(lambda block: np.rint(block * (255 / header.most)).astype(np.uint8), values)
    bits = int(header.most).bit_length() if values.dtype == np.uint16 else None
    if bits is not None and header.most != 2**bits - 1:
        # A white that no number of bits has as its largest value.
        for block in blocks_of(values):
            values[block] = np.rint(values[block] * (65535 / header.most))
        bits = 16
    return StoredValues(values, bits)


def read_jpeg_xl(data: bytes, max_pixels: int) -> StoredValues:
    """Read the first frame of a JPEG XL file; the decoder turns it upright.

    Raises:
        TooManyPixelsError: It is over the limit.
        UnsupportedError: What reads it is not installed.
    """
    codecs = require_codecs("a JPEG XL file", "JPEG XL")
    check_size(*jpeg_xl_size(data), "JPEG XL", max_pixels, bytes_per_pixel=_JXL_BYTES)
    return StoredValues(codecs.jpegxl_decode(data, index=0, numthreads=1))


def jpeg_of_jpeg_xl(data: bytes) -> bytes | None:
    """The very JPEG that was packed into a JPEG XL file; None where there is none, or it can't be had."""
    if b"jbrd" not in data[:65536]:
        return None
    try:
        return bytes(require_codecs("a JPEG XL file", "JPEG XL").jpegxl_decode_jpeg(data))
    except RuntimeError:  # the base of imagecodecs' errors
        return None


def jpeg_xl_size(data: bytes) -> tuple[int, int]:
    """Width and height from a JPEG XL header (ISO/IEC 18181-1, SizeHeader), as stored.

    Raises:
        EOFError: The header is cut off.
    """
    code = data if data.startswith(b"\xff\x0a") else _codestream(data)
    bits, at = int.from_bytes(code[2:16], "little"), 0

    def take(count: int) -> int:
        nonlocal at
        at += count
        return bits >> (at - count) & ((1 << count) - 1)

    def side(*, small: bool) -> int:
        return (take(5) + 1) * 8 if small else take(_JXL_WIDTHS[take(2)]) + 1

    small = bool(take(1))
    height = side(small=small)
    ratio = _JXL_RATIOS[take(3)]
    width = side(small=small) if ratio is None else height * ratio[0] // ratio[1]
    return width, height


def _codestream(data: bytes) -> bytes:
    """The beginning of the codestream in the container's boxes."""
    at = 0
    while at + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        head = 8
        if length == 1 and at + 16 <= len(data):
            (length,) = struct.unpack_from(">Q", data, at + 8)
            head = 16
        if name in {b"jxlc", b"jxlp"}:
            head += 4 if name == b"jxlp" else 0
            return data[at + head : at + head + 32]
        if length < head:
            break
        at += length
    raise EOFError("no codestream in the container")
