"""Image files that are expensive to decode, some with misleading headers."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from PIL import Image


def image_bytes(form: str, size: tuple[int, int] = (160, 120)) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), np.uint8)
    encoded = io.BytesIO()
    Image.fromarray(pixels).save(encoded, form)
    return encoded.getvalue()


def large_image(form: str, split: int) -> bytes:
    encoded = io.BytesIO()
    mode = "L" if form == "GIF" else "RGB"
    options = {"lossless": True, "method": 0} if form == "WEBP" else {}
    Image.new(mode, (split, split), 100 if mode == "L" else (1, 2, 3)).save(encoded, form, **options)
    return encoded.getvalue()


def tile_bomb(split: int = 6400) -> bytes:
    """All tiles are the same compressed one: a small file, and 160,000 tiles to decode."""
    tile = zlib.compress(bytes(16 * 16 * 3))
    count = (-(-split // 16)) ** 2
    entries = [
        (256, 4, 1, split),
        (257, 4, 1, split),
        (258, 3, 3, 8),
        (259, 3, 1, 8),
        (262, 3, 1, 2),
        (277, 3, 1, 3),
        (322, 4, 1, 16),
        (323, 4, 1, 16),
    ]
    at = 8 + len(tile)
    bits, offsets = at, at + 6
    counts = offsets + 4 * count
    entries[2] = (258, 3, 3, bits)
    entries += [(324, 4, count, offsets), (325, 3, count, counts)]
    directory = counts + 2 * count
    listed = b"".join(struct.pack("<HHII", *entry) for entry in sorted(entries))
    return (
        struct.pack("<2sHI", b"II", 42, directory)
        + tile
        + struct.pack("<3H", 8, 8, 8)
        + struct.pack("<I", 8) * count
        + struct.pack("<H", len(tile)) * count
        + struct.pack("<H", len(entries))
        + listed
        + bytes(4)
    )


def float_tiff(split: int) -> bytes:
    """One strip of zeros."""
    strip = zlib.compress(bytes(split * split * 4))
    entries = [
        (256, 4, 1, split),
        (257, 4, 1, split),
        (258, 3, 1, 32),
        (259, 3, 1, 8),
        (262, 3, 1, 1),
        (273, 4, 1, 8),
        (277, 3, 1, 1),
        (278, 4, 1, split),
        (279, 4, 1, len(strip)),
        (339, 3, 1, 3),
    ]
    listed = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    head = struct.pack("<2sHI", b"II", 42, 8 + len(strip))
    return head + strip + struct.pack("<H", len(entries)) + listed + bytes(4)


def scan_bomb(split: int, scans: int) -> bytes:
    """A progressive JPEG whose last scan is there again and again."""
    encoded = io.BytesIO()
    Image.new("L", (split, split)).save(encoded, "JPEG", progressive=True, quality=50)
    data = encoded.getvalue()
    last = data.rindex(b"\xff\xda")
    return data[:-2] + data[last:-2] * (scans - data.count(b"\xff\xda")) + data[-2:]


def bmp_of_runs(split: int) -> bytes:
    """Run-length coded rows, each of runs of 250."""
    full, rest = divmod(split, 250)
    row = b"\xfa\x01" * full + (bytes([rest, 1]) if rest else b"") + b"\0\0"
    pixels = row * split + b"\0\1"
    palette = bytes(1024)
    head = struct.pack("<IiiHHIIiiII", 40, split, split, 1, 8, 1, len(pixels), 0, 0, 256, 0)
    start = 14 + len(head) + len(palette)
    return struct.pack("<2sIHHI", b"BM", start + len(pixels), 0, 0, start) + head + palette + pixels


SMALL = 64
"""Pixels of each side that a header names to who reads it in another way than the decoders do."""


def progressive_jpeg(split: int) -> bytes:
    encoded = io.BytesIO()
    Image.new("RGB", (split, split), (1, 2, 3)).save(encoded, "JPEG", progressive=True)
    return encoded.getvalue()


def small_frame() -> bytes:
    return b"\xff\xc0\x00\x11\x08" + struct.pack(">HH", SMALL, SMALL) + b"\x03\x01\x11\x00\x02\x11\x00\x03\x11\x00"


def comment(content: bytes) -> bytes:
    return b"\xff\xfe" + struct.pack(">H", 2 + len(content)) + content


def stuffed_jpeg(split: int) -> bytes:
    """FF 00, which decoders skip, before segments: who takes it for one goes to a frame in a comment."""
    data = progressive_jpeg(split)
    scan = data.index(b"\xff\xda")
    length = 2 + scan - 2 + 4
    return data[:2] + b"\xff\x00" + struct.pack(">H", length) + data[2:scan] + comment(small_frame()) + data[scan:]


def jpeg_with(more: bytes, split: int) -> bytes:
    """A JPEG with these bytes behind its first segment."""
    data = progressive_jpeg(split)
    end = 4 + int.from_bytes(data[4:6], "big")
    return data[:end] + more + data[end:]


def two_frames(split: int) -> bytes:
    return jpeg_with(small_frame(), split)


def two_png_headers(split: int) -> bytes:
    data = large_image("PNG", split)
    header = b"IHDR" + struct.pack(">II", SMALL, SMALL) + data[24:29]
    return data[:8] + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header)) + data[8:]


def gif_beyond_its_screen(split: int) -> bytes:
    data = large_image("GIF", split)
    return data[:6] + struct.pack("<HH", SMALL, SMALL) + data[10:]


def bmp_upside_down(split: int) -> bytes:
    data = large_image("BMP", split)
    return data[:22] + struct.pack("<i", -split) + data[26:]
