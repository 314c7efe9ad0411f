"""Images of more than 8 bits, and formats that Pillow doesn't read: exact values."""

from __future__ import annotations

import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from drawing import encode, noise
from PIL import Image

from distingo.datasets.decoding.decode import (
    TooManyPixelsError,
    UndecodableError,
    UnsupportedError,
    decode,
    read_header,
)
from distingo.datasets.decoding.headers import jpeg_xl_size
from distingo.datasets.decoding.value_ranges import ValueRange
from raising import raises

imagecodecs = pytest.importorskip("imagecodecs")

_DEEP = np.random.default_rng(0).integers(0, 65536, (9, 11, 3)).astype(np.uint16)


def _scaled(values: np.ndarray, white: float) -> np.ndarray:
    return np.rint(np.clip(values / white, 0, 1) * 255).astype(np.uint8)


def _with_chunk(png: bytes, name: bytes, content: bytes) -> bytes:
    chunk = struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
    return png[:33] + chunk + png[33:]


def test_deep_png_keeps_its_values() -> None:
    decoded = decode(imagecodecs.png_encode(_DEEP))
    assert (decoded.format, decoded.values.dtype, decoded.values.bits) == ("PNG", "uint16", 16)
    assert (decoded.values.low, decoded.values.high) == (_DEEP.min(), _DEEP.max())
    assert np.array_equal(np.asarray(decoded.image), _scaled(_DEEP, 65535))
    narrow = decode(imagecodecs.png_encode(_DEEP), value_range=ValueRange(0.0, 4095.0))
    assert np.array_equal(np.asarray(narrow.image), _scaled(_DEEP, 4095))


def test_deep_png_with_alpha_is_laid_over_white() -> None:
    alpha = np.full((9, 11), 65535, np.uint16)
    alpha[0, 0], alpha[0, 1] = 0, 32768
    image = np.asarray(decode(imagecodecs.png_encode(np.dstack([_DEEP, alpha]))).image)
    opaque = _scaled(_DEEP, 65535)
    assert image[0, 0].tolist() == [255, 255, 255]
    assert np.abs(image[0, 1] - (opaque[0, 1] + 255.0) / 2).max() <= 1
    assert np.array_equal(image[1:], opaque[1:])
    unused = decode(imagecodecs.png_encode(np.dstack([_DEEP, np.zeros_like(alpha)])))
    assert np.array_equal(np.asarray(unused.image), opaque)


def test_gray_deep_png_with_alpha_stays_gray() -> None:
    alpha = np.full((9, 11), 65535, np.uint16)
    image = decode(imagecodecs.png_encode(np.dstack([_DEEP[..., 0], alpha]))).image
    assert image.mode == "L" and np.array_equal(np.asarray(image), _scaled(_DEEP[..., 0], 65535))


def test_fewer_significant_bits_of_a_png_are_scaled_down_to_the_devices_values() -> None:
    device = np.arange(99, dtype=np.uint16).reshape(9, 11) * 41
    stored = device << 4 | device >> 8
    decoded = decode(_with_chunk(imagecodecs.png_encode(stored), b"sBIT", bytes([12])))
    assert (decoded.values.bits, decoded.values.low, decoded.values.high) == (12, 0.0, 98 * 41)
    assert np.array_equal(np.asarray(decoded.image), _scaled(device, 4095))


def _same_levels(chunks: dict[bytes, bytes], values: np.ndarray) -> None:
    """A deep PNG of 257 times the levels of an 8-bit one is shown as this."""
    deep, plain = imagecodecs.png_encode(values.astype(np.uint16) * 257), imagecodecs.png_encode(values)
    for name, content in chunks.items():
        deep, plain = _with_chunk(deep, name, content), _with_chunk(plain, name, content)
    shown = np.asarray(decode(deep).image)
    assert np.array_equal(shown, np.asarray(decode(plain).image))
    assert not np.array_equal(shown, np.asarray(decode(imagecodecs.png_encode(values)).image))


_WIDE = struct.pack(">8I", 31270, 32900, 70800, 29200, 17000, 79700, 13100, 4600)


@pytest.mark.parametrize(
    "chunks",
    [
        {b"gAMA": struct.pack(">I", 100000)},
        {b"gAMA": struct.pack(">I", 45455), b"cHRM": _WIDE},
        {b"cICP": bytes([9, 8, 0, 1])},
    ],
)
@pytest.mark.parametrize("channels", [3, 4])
def test_deep_png_keeps_to_its_color_chunks(chunks: dict[bytes, bytes], channels: int) -> None:
    values = np.random.default_rng(5).integers(0, 256, (9, 11, channels)).astype(np.uint8)
    _same_levels(chunks, values)


@pytest.mark.parametrize("channels", [1, 2])
def test_deep_gray_png_keeps_to_its_gamma(channels: int) -> None:
    values = np.random.default_rng(6).integers(0, 256, (9, 11, channels)).astype(np.uint8)
    values[..., 1:] = 255
    _same_levels({b"gAMA": struct.pack(">I", 100000)}, values.squeeze())
    linear = _with_chunk(imagecodecs.png_encode(np.full((2, 2), 30000, np.uint16)), b"gAMA", struct.pack(">I", 100000))
    assert np.asarray(decode(linear).image).tolist() == [[180, 180], [180, 180]]


_COSTS = r"""
import imagecodecs, numpy as np
from distingo.datasets.decoding.decode import decode
side = 1500
rgba = np.tile((np.arange(side) * 7 % 4096).astype(np.uint16)[None, :, None] * 16, (side, 1, 4))
files = [
    imagecodecs.png_encode(rgba),
    imagecodecs.png_encode(np.ascontiguousarray(rgba[..., :3])),
    b"P6 %d %d 1000\n" % (side, side) + (rgba[..., :3] % 1000).astype(">u2").tobytes(),
    b"P3 %d %d 9\n" % (side, side) + b"1 2 3 " * side * side,
    imagecodecs.jpegxl_encode(rgba, lossless=True, effort=1),
    imagecodecs.jpeg2k_encode(np.ascontiguousarray(rgba[..., :3]), level=0),
]
small = np.ascontiguousarray(rgba[:9, :9])
for data in (imagecodecs.png_encode(small), imagecodecs.jpegxl_encode(small), imagecodecs.jpeg2k_encode(small)):
    decode(data)
for data in files:
    open("/proc/self/clear_refs", "w").write("5")
    before = int(open("/proc/self/status").read().split("VmRSS:")[1].split()[0])
    decode(data)
    peak = int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0])
    print((peak - before) * 1024 / side**2)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc")
def test_decoding_deep_files_takes_no_more_memory_than_is_counted() -> None:
    done = subprocess.run([sys.executable, "-c", _COSTS], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    measured = [float(line) for line in done.stdout.split()]
    assert len(measured) == 6
    # A block and what the allocator keeps are a few bytes per pixel of so small an image.
    for cost, counted in zip(measured, (18, 16, 16, 16, 24, 20.25), strict=True):
        assert cost < counted + 4


def test_deep_and_jpeg_2000_files_count_by_the_memory_they_take() -> None:
    rgba = np.full((10, 10, 4), 9, np.uint16)
    png, j2k = imagecodecs.png_encode(rgba), imagecodecs.jpeg2k_encode(rgba[..., :3].astype(np.uint8), level=0)
    jxl = imagecodecs.jpegxl_encode(rgba[..., :3].astype(np.uint8))
    for data, counted in ((png, 113), (j2k, 127), (jxl, 150)):
        assert decode(data, max_pixels=counted).image.size == (10, 10)
        for read in (decode, read_header):
            with raises(TooManyPixelsError, code="too_many_pixels"):
                read(data, max_pixels=counted - 1)
    assert decode(imagecodecs.png_encode(np.ascontiguousarray(rgba[..., :3])), max_pixels=100).image.size == (10, 10)


@pytest.mark.parametrize("bits", [10, 12, 16])
@pytest.mark.parametrize("gray", [False, True])
def test_deep_jpeg_2000_keeps_its_values(bits: int, gray: bool) -> None:
    values = _DEEP >> (16 - bits)
    values = np.ascontiguousarray(values[..., 0]) if gray else values
    decoded = decode(imagecodecs.jpeg2k_encode(values, bitspersample=bits, level=0))
    assert (decoded.format, decoded.values.bits) == ("JPEG 2000", bits)
    assert np.array_equal(np.asarray(decoded.image), _scaled(values, 2**bits - 1))


@pytest.mark.parametrize(
    ("head", "most", "dtype"),
    [(b"P6\n# a comment\n11 9\n65535\n", 65535, ">u2"), (b"P6 11 9 4095\n", 4095, ">u2")],
)
def test_deep_ppm_keeps_its_values(head: bytes, most: int, dtype: str) -> None:
    values = (_DEEP.astype(np.uint32) * most // 65535).astype(np.uint16)
    decoded = decode(head + values.astype(dtype).tobytes())
    assert (decoded.format, decoded.values.high) == ("PPM", values.max())
    assert np.array_equal(np.asarray(decoded.image), _scaled(values, most))
    assert read_header(head + values.astype(dtype).tobytes()).gray is False
    with raises(UndecodableError, code="damaged_image"):
        decode(head + values.astype(dtype).tobytes()[:-1])


def test_other_netpbm_kinds() -> None:
    assert np.asarray(decode(b"P2\n2 1\n1000\n0 # nought\n1000\n").image).tolist() == [[0, 255]]
    assert np.asarray(decode(b"P7\nWIDTH 2\nHEIGHT 1\nDEPTH 1\nMAXVAL 255\nENDHDR\n\x05\xff").image).tolist() == [
        [5, 255]
    ]
    long = b"P2\n# a comment\n900 700\n65535\n" + b" ".join(b"%d" % (at % 65536) for at in range(630_000)) + b"\n"
    values = (np.arange(630_000) % 65536).reshape(700, 900)
    assert np.array_equal(np.asarray(decode(long).image), _scaled(values, 65535))
    with raises(UndecodableError, code="damaged_image"):
        decode(long[:-20])
    floats = np.array([[0.0, 0.5], [0.25, 1.0]], "<f4")
    assert np.asarray(decode(b"Pf\n2 2\n-1.0\n" + floats.tobytes()).image).tolist() == [[64, 255], [0, 128]]


@pytest.mark.parametrize("shape", [(9, 11), (9, 11, 2), (9, 11, 3), (9, 11, 4), (64, 64, 3), (300, 200, 3)])
def test_jpeg_xl_is_read_exactly(shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(2).integers(0, 256, shape).astype(np.uint8)
    if shape[-1] in {2, 4}:
        pixels[..., -1] = 255
    data = imagecodecs.jpegxl_encode(pixels, lossless=True)
    assert jpeg_xl_size(data) == (shape[1], shape[0])
    decoded = decode(data)
    colors = pixels if len(shape) == 2 else pixels[..., : {2: 1, 4: 3}.get(shape[2], 3)].squeeze()
    assert decoded.format == "JPEG XL" and decoded.image.mode == ("L" if colors.ndim == 2 else "RGB")
    assert np.array_equal(np.asarray(decoded.image), colors)
    header = read_header(data)
    assert (header.width, header.height, header.gray) == (shape[1], shape[0], colors.ndim == 2)
    with raises(TooManyPixelsError, code="too_many_pixels"):
        decode(data, max_pixels=98)


def test_deep_and_packed_jpeg_xl() -> None:
    decoded = decode(imagecodecs.jpegxl_encode(_DEEP, lossless=True))
    assert decoded.values.dtype == "uint16" and np.array_equal(np.asarray(decoded.image), _scaled(_DEEP, 65535))
    jpeg = encode(noise(4, (32, 24)), "JPEG")
    packed = decode(imagecodecs.jpegxl_encode_jpeg(jpeg, usecontainer=True))
    assert packed.format == "JPEG XL"
    assert np.array_equal(np.asarray(packed.image), np.asarray(decode(jpeg).image))


def test_a_jpeg_of_12_bits_is_read() -> None:
    values = np.repeat(np.arange(64, dtype=np.uint16)[None] * 64, 64, 0)
    decoded = decode(imagecodecs.jpeg8_encode(values, level=100, bitspersample=12))
    assert (decoded.format, decoded.values.dtype, decoded.values.bits) == ("JPEG", "uint16", 12)
    assert np.abs(np.asarray(decoded.image).astype(int) - _scaled(values, 4095)).max() <= 1


def test_a_lossless_jpeg_is_refused_by_its_name() -> None:
    with raises(UnsupportedError, code="unsupported_image"):
        decode(
            b"\xff\xd8\xff\xc3\x00\x0b\x08\x00\x08\x00\x08\x01\x01\x11\x00\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00"
            + bytes(9)
        )


@pytest.mark.parametrize(
    ("file_format", "name"),
    [("ICO", "ICO"), ("TGA", "TGA"), ("DDS", "DDS"), ("PCX", "PCX"), ("QOI", "QOI"), ("SGI", "SGI"), ("ICNS", "ICNS")],
)
def test_formats_of_icons_and_textures_are_read_exactly(file_format: str, name: str) -> None:
    image = noise(8, (32, 32))
    decoded = decode(encode(image, file_format))
    assert decoded.format == name
    assert np.array_equal(np.asarray(decoded.image)[-32:, -32:].shape, (32, 32, 3))
    if file_format not in {"ICO", "ICNS"}:
        assert np.array_equal(np.asarray(decoded.image), np.asarray(image))


def test_the_limit_counts_images_inside_icons() -> None:
    data = bytearray(encode(Image.new("RGB", (64, 64), "red"), "ICO", sizes=[(64, 64)]))
    data[6:8] = bytes([16, 16])  # the directory names a smaller image
    with raises(TooManyPixelsError, code="too_many_pixels"):
        decode(bytes(data), max_pixels=1000)


def test_a_limit_above_pillows_own_is_honored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    for file_format in ("JPEG", "PNG", "GIF", "BMP", "TIFF", "PPM", "AVIF"):
        data = encode(noise(1, (40, 30)), file_format)
        assert decode(data, max_pixels=1200).image.size == (40, 30)
        with raises(TooManyPixelsError, code="too_many_pixels"):
            decode(data, max_pixels=1199)
    assert Image.MAX_IMAGE_PIXELS == 100
