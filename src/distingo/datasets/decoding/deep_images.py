"""Read images that Pillow reduces to 8 bits or can't read: deep PNG, JPEG, JPEG 2000, Netpbm, and JPEG XL."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from distingo.datasets.decoding.failures import UnsupportedError, check_size
from distingo.datasets.decoding.headers import (
    JpegFrame,
    PngFacts,
    jpeg_2000_bits,
    jpeg_xl_size,
    read_jpeg_frame,
    read_png_facts,
)
from distingo.datasets.decoding.pillow_files import StoredValues, orientation_of, profile_of
from distingo.datasets.decoding.value_summaries import blocks_of, by_block
from distingo.messages.notes import note

_TOKEN = re.compile(rb"(?:\s|#[^\n\r]*[\n\r])*([^\s#]+)")

_PAM_LINE = re.compile(rb"[ \t\r\n]*(?:#[^\n]*\n[ \t\r\n]*)*([A-Z]+)[ \t]*([^\n]*)\n")

_SPACE = re.compile(rb"\s")

_STRETCH = 1 << 18

_PLAIN = {b"P2": 1, b"P3": 3}

_RAW = {b"P5": 1, b"P6": 3}

_FLOAT = {b"Pf": 1, b"PF": 3}


@dataclass(frozen=True, slots=True)
class NetpbmHeader:
    """The header of a Netpbm file.

    Attributes:
        magic: Its first two bytes.
        width: In pixels.
        height: In pixels.
        channels: Samples per pixel.
        maxval: The value of white; for PFM the scale, negative for little-endian.
        at: Offset of the pixels.
    """

    magic: bytes
    width: int
    height: int
    channels: int
    maxval: float
    at: int

    @property
    def deep(self) -> bool:
        """Whether it has more than the 256 levels that Pillow preserves."""
        return self.magic in _FLOAT or self.maxval > 255

    @property
    def dtype(self) -> np.dtype:
        """Type of a stored sample."""
        if self.magic in _FLOAT:
            return np.dtype("<f4" if self.maxval < 0 else ">f4")
        return np.dtype(np.uint8 if self.maxval < 256 else ">u2")


def read_netpbm_header(data: bytes) -> NetpbmHeader | None:
    """Read the header of a PGM, PPM, PAM or PFM file; None if it is damaged or of another kind (bitmaps)."""
    magic = data[:2]
    if magic == b"P7":
        return _read_pam_header(data)
    channels = _PLAIN.get(magic) or _RAW.get(magic) or _FLOAT.get(magic)
    if channels is None:
        return None
    numbers: list[float] = []
    at = 2
    for _ in range(3):
        match = _TOKEN.match(data, at)
        if match is None:
            return None
        try:
            numbers.append(float(match[1]))
        except ValueError:
            return None
        at = match.end()
    width, height, white = numbers
    is_valid = width == int(width) > 0 and height == int(height) > 0 and (magic in _FLOAT or 1 <= white <= 65535)
    return NetpbmHeader(magic, int(width), int(height), channels, white, at + 1) if is_valid else None


def _read_pam_header(data: bytes) -> NetpbmHeader | None:
    fields: dict[bytes, bytes] = {}
    at = 3
    while (match := _PAM_LINE.match(data, at)) is not None and len(fields) < 16:
        at = match.end()
        if match[1] == b"ENDHDR":
            break
        fields[match[1]] = match[2].strip()
    try:
        width, height, channels, white = (int(fields[name]) for name in (b"WIDTH", b"HEIGHT", b"DEPTH", b"MAXVAL"))
    except (KeyError, ValueError):
        return None
    is_valid = width > 0 and height > 0 and 1 <= channels <= 4 and 1 <= white <= 65535
    return NetpbmHeader(b"P7", width, height, channels, white, at) if is_valid else None


def read_netpbm_values(data: bytes, header: NetpbmHeader) -> np.ndarray:
    """Read the pixels of a Netpbm file.

    Args:
        data: The file's content.
        header: The header of the file.

    Returns:
        The stored values, (height, width) or (height, width, channels): uint8, uint16 or float32.

    Raises:
        EOFError: Pixels are missing.
        ValueError: A plain file contains an invalid number.
    """
    count = header.width * header.height * header.channels
    if header.magic in _PLAIN:
        flat = _read_plain(data, header, count)
    else:
        if len(data) - header.at < count * header.dtype.itemsize:
            raise EOFError("pixels are lacking")
        flat = np.frombuffer(data, header.dtype, count, header.at)
    values = flat.reshape(header.height, header.width, header.channels)
    values = values[::-1] if header.magic in _FLOAT else values
    values = np.ascontiguousarray(values, values.dtype.newbyteorder("="))
    return values[..., 0] if header.channels == 1 else values


def _read_plain(data: bytes, header: NetpbmHeader, count: int) -> np.ndarray:
    """Parse the numbers of a plain file as uint16, one part of its text at a time."""
    text, at = data, header.at - 1
    if b"#" in data:
        text, at = re.sub(rb"#[^\n]*", b"", data[at:]), 0
    numbers, count_read = np.empty(count, np.uint16), 0
    while count_read < count:
        if at >= len(text):
            raise EOFError("pixels are lacking")
        separator = _SPACE.search(text, at + _STRETCH)
        end = separator.start() if separator is not None else len(text)
        part = np.array(text[at:end].split()[: count - count_read], dtype=np.uint32)
        if part.size and part.max() > header.maxval:
            raise ValueError(f"a value above {header.maxval:.0f}")
        numbers[count_read : count_read + part.size] = part
        count_read, at = count_read + part.size, end
    return numbers


_DEEP_PNG_BYTES = 18
"""Maximum memory in bytes per pixel of a deep RGB PNG with alpha and a color profile; less without alpha."""

_JXL_BYTES = 24
"""Maximum memory in bytes per pixel of JPEG XL, as the decoder always works with floats."""

_JPEG_2000_BYTES = 6.75
"""Maximum memory in bytes per sample of JPEG 2000, as the decoder always works with 32-bit integers."""


def require_codecs(kind: str, name: str) -> Any:
    """Import the package that reads deep images.

    Args:
        kind: Kind of file, for the error message.
        name: Its format.

    Raises:
        UnsupportedError: It is not installed, which only happens in the small distribution for exported models.
    """
    try:
        import imagecodecs
    except ImportError as error:
        raise UnsupportedError(note("needs-imagecodecs", kind=kind), name, code="missing_extra") from error
    return imagecodecs


def check_cost(data: bytes, image: Image.Image, name: str, max_pixels: int) -> None:
    """Refuse a PNG or JPEG 2000 file that needs more memory than the pixel limit allows.

    Args:
        data: The file's content.
        image: The same file opened by Pillow.
        name: Its format; others are not checked.
        max_pixels: As for `check_size`.

    Raises:
        TooManyPixelsError: It needs more memory.
    """
    if name == "PNG" and (image.mode == "RGBA" or "transparency" in image.info):
        facts = read_png_facts(data)
        cost = _DEEP_PNG_BYTES if is_deep_png(image, facts) else 0.0
    elif name == "JPEG 2000":
        cost = _JPEG_2000_BYTES * (jpeg_2000_bits(data) or (len(image.getbands()), 8, 0))[0]
    else:
        return
    check_size(*image.size, name, max_pixels, bytes_per_pixel=cost)


def is_deep_png(image: Image.Image, facts: PngFacts) -> bool:
    """Whether Pillow would lose information of an opened PNG: bits of color or alpha, or the significant bits."""
    return facts.depth == 16 and (not image.mode.startswith("I") or facts.bits is not None)


def read_deep_png(data: bytes, image: Image.Image, facts: PngFacts) -> StoredValues:
    """Read a PNG of 16 bits per sample.

    If a file declares fewer significant bits (sBIT), its values are scaled up to 16 bits, as the specification
    requires; they are scaled down again to the original values.

    Args:
        data: The file's content.
        image: The same file opened by Pillow, for its profile and orientation.
        facts: The facts of the file.
    """
    values = require_codecs("a PNG of 16 bits per color", "PNG").png_decode(data)
    bits = facts.bits or 16
    if bits < 16:
        values >>= 16 - bits
    profile = profile_of(image, "PNG", facts.cicp, gray=values.ndim == 2 or values.shape[2] <= 2)
    return StoredValues(values, bits, profile, orientation_of(image))


def read_deep_jpeg2000(data: bytes, image: Image.Image, bits: int) -> StoredValues:
    """Read a JPEG 2000 file of more than 8 bits per sample; arguments as for `read_deep_png`."""
    values = require_codecs("a JPEG 2000 file of more than 8 bits", "JPEG 2000").jpeg2k_decode(data, numthreads=1)
    bits -= values.dtype.kind == "i"  # one of them is the sign
    return StoredValues(values, bits, image.info.get("icc_profile"), orientation_of(image))


def deep_frame(data: bytes) -> JpegFrame | None:
    """The frame header of a JPEG with more than 8 bits, which Pillow can't read; None for any other."""
    frame = read_jpeg_frame(data)
    return frame if frame is not None and (frame.precision > 8 or frame.lossless) else None


def read_deep_jpeg(data: bytes, frame: JpegFrame, max_pixels: int) -> StoredValues:
    """Read a JPEG of 12 bits per sample.

    Raises:
        UnsupportedError: It is a lossless JPEG.
        TooManyPixelsError: It exceeds the limit.
    """
    check_size(frame.width, frame.height, "JPEG", max_pixels)
    if frame.lossless:
        raise UnsupportedError(note("unsupported-lossless-jpeg"), "JPEG")
    exif = Image.Exif()
    exif.load(frame.exif)
    orientation = exif.get(0x0112, 1)
    values = require_codecs("a JPEG of more than 8 bits", "JPEG").jpeg8_decode(data)
    return StoredValues(values, frame.precision, frame.profile, orientation)


def netpbm_header(data: bytes) -> NetpbmHeader | None:
    """The header of a Netpbm file that Pillow would reduce or can't read; None for any other."""
    header = read_netpbm_header(data)
    return header if header is not None and (header.deep or header.magic == b"P7") else None


def read_netpbm(data: bytes, header: NetpbmHeader, max_pixels: int) -> StoredValues:
    """Read a Netpbm file.

    Raises:
        TooManyPixelsError: It exceeds the limit.
        EOFError: Pixels are missing.
    """
    check_size(header.width, header.height, "PPM", max_pixels)
    values = read_netpbm_values(data, header)
    if values.dtype == np.uint8 and header.maxval < 255:
        values = by_block(lambda block: np.rint(block * (255 / header.maxval)).astype(np.uint8), values)
    bits = int(header.maxval).bit_length() if values.dtype == np.uint16 else None
    if bits is not None and header.maxval != 2**bits - 1:
        # The white value is not the largest value of any number of bits.
        for block in blocks_of(values):
            values[block] = np.rint(values[block] * (65535 / header.maxval))
        bits = 16
    return StoredValues(values, bits)


def read_jpeg_xl(data: bytes, max_pixels: int) -> StoredValues:
    """Read the first frame of a JPEG XL file; the decoder turns it upright.

    Raises:
        TooManyPixelsError: It exceeds the limit.
        UnsupportedError: The package for reading it is not installed.
    """
    codecs = require_codecs("a JPEG XL file", "JPEG XL")
    check_size(*jpeg_xl_size(data), "JPEG XL", max_pixels, bytes_per_pixel=_JXL_BYTES)
    return StoredValues(codecs.jpegxl_decode(data, index=0, numthreads=1))


def jpeg_of_jpeg_xl(data: bytes) -> bytes | None:
    """The original JPEG that a JPEG XL file was made from; None if there is none, or it can't be restored."""
    if b"jbrd" not in data[:65536]:
        return None
    try:
        return bytes(require_codecs("a JPEG XL file", "JPEG XL").jpegxl_decode_jpeg(data))
    except RuntimeError:  # the base class of imagecodecs' errors
        return None
