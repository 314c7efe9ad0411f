"""Image files of many pixels whose headers name few, to who reads them in another way than the decoders do."""

from __future__ import annotations

import io
import struct
import zlib

from attacks import large_image
from PIL import Image

SMALL = 64


def jpeg(side: int) -> bytes:
    encoded = io.BytesIO()
    Image.new("RGB", (side, side), (1, 2, 3)).save(encoded, "JPEG", progressive=True)
    return encoded.getvalue()


def small_frame() -> bytes:
    return b"\xff\xc0\x00\x11\x08" + struct.pack(">HH", SMALL, SMALL) + b"\x03\x01\x11\x00\x02\x11\x00\x03\x11\x00"


def comment(content: bytes) -> bytes:
    return b"\xff\xfe" + struct.pack(">H", 2 + len(content)) + content


def stuffed_jpeg(side: int) -> bytes:
    """FF 00, which decoders skip, before segments: who takes it for one goes to a frame in a comment."""
    data = jpeg(side)
    scan = data.index(b"\xff\xda")
    length = 2 + scan - 2 + 4
    return data[:2] + b"\xff\x00" + struct.pack(">H", length) + data[2:scan] + comment(small_frame()) + data[scan:]


def jpeg_with(more: bytes, side: int) -> bytes:
    """A JPEG with these bytes behind its first segment."""
    data = jpeg(side)
    end = 4 + int.from_bytes(data[4:6], "big")
    return data[:end] + more + data[end:]


def two_frames(side: int) -> bytes:
    return jpeg_with(small_frame(), side)


def two_png_headers(side: int) -> bytes:
    data = large_image("PNG", side)
    header = b"IHDR" + struct.pack(">II", SMALL, SMALL) + data[24:29]
    return data[:8] + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header)) + data[8:]


def gif_beyond_its_screen(side: int) -> bytes:
    data = large_image("GIF", side)
    return data[:6] + struct.pack("<HH", SMALL, SMALL) + data[10:]


def bmp_upside_down(side: int) -> bytes:
    data = large_image("BMP", side)
    return data[:22] + struct.pack("<i", -side) + data[26:]
