"""TIFF: which page is the image, what is refused, and what a hostile file may cost."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import subprocess
import sys
import textwrap
import warnings
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from drawing import encode, noise
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from raw_tiff import gray_tags, raw_tiff
from tests.pace import at_most

from distingo.datasets.decoding.decode import (
    TooManyPixelsError,
    UndecodableError,
    UnsupportedError,
    decode,
    read_exif,
    read_header,
)
from distingo.datasets.decoding.value_ranges import ValueRange
from raising import raises

FULL, REDUCED, PAGE, MASK = 0, 1, 2, 4


def page(size: int, value: int, kind: int = FULL, **more: Any) -> tuple[dict, list[bytes]]:
    tags = gray_tags(size, size) | {254: ("I", [kind])} | {int(tag): value for tag, value in more.items()}
    return tags, [bytes([value]) * size**2]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize(
    ("kinds", "chosen"),
    [
        ((FULL,), 0),
        ((FULL, REDUCED, REDUCED), 0),
        ((REDUCED, FULL), 1),
        ((REDUCED, MASK, FULL, FULL), 2),
        ((MASK, FULL), 1),
        ((MASK | REDUCED, REDUCED, PAGE), 2),
        ((PAGE, PAGE, PAGE), 0),
        ((REDUCED, REDUCED, REDUCED), 2),
        ((MASK, REDUCED, MASK), 1),
        ((MASK,), 0),
        ((REDUCED | PAGE, PAGE), 1),
    ],
)
def test_the_page_that_is_the_image(kinds: tuple[int, ...], chosen: int, order: str, big: bool) -> None:
    data = raw_tiff(*(page(8 + at, 10 * at + 9, kind) for at, kind in enumerate(kinds)), order=order, big=big)
    decoded, header = decode(data), read_header(data)
    assert decoded.image.size == (header.width, header.height) == (8 + chosen, 8 + chosen)
    assert decoded.image.getextrema() == (10 * chosen + 9, 10 * chosen + 9)


@pytest.mark.parametrize(("kinds", "chosen"), [((1, 2), 0), ((2, 1), 1), ((3, 3), 0), ((2, 2), 1)])
def test_the_older_tag_of_reduced_pages(kinds: tuple[int, int], chosen: int) -> None:
    pages = [page(8 + at, at) for at in range(2)]
    for (tags, _), kind in zip(pages, kinds, strict=True):
        del tags[254]
        tags[255] = ("H", [kind])
    assert decode(raw_tiff(*pages)).image.size == (8 + chosen, 8 + chosen)


def test_a_mask_without_a_mark_is_known_by_its_photometry() -> None:
    mask, image = page(8, 255, **{"262": ("H", [4])}), page(9, 7)
    assert decode(raw_tiff(mask, image)).image.size == (9, 9)


def test_the_image_in_a_subdirectory_of_a_thumbnail() -> None:
    """As in DNG and TIFF/EP: the first page is a thumbnail, its subdirectories are the image and another preview."""
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        writer.write(np.full((8, 8), 1, "u1"), subfiletype=1, subifds=2, metadata=None)
        writer.write(np.full((16, 16), 2, "u1"), subfiletype=1, metadata=None)
        writer.write(np.full((32, 32, 3), 3000, "u2"), photometric="rgb", subfiletype=0, metadata=None)
    decoded = decode(buffer.getvalue(), value_range=ValueRange(0, 6000))
    assert (decoded.image.size, decoded.image.getpixel((5, 5))) == ((32, 32), (128, 128, 128))


def test_pyramids_and_stacks_give_their_first_page() -> None:
    images = [np.full((32 >> level, 32 >> level), 50 + level, "u1") for level in range(3)]
    for options in ({"ome": True}, {}, {"imagej": True}):
        buffer = io.BytesIO()
        with tifffile.TiffWriter(buffer, **options) as writer:
            if "imagej" in options:
                writer.write(np.stack([images[0], images[0] + 9]))
            else:
                writer.write(images[0], subifds=2, metadata={"axes": "YX"} if options else None)
                for image in images[1:]:
                    writer.write(image, subfiletype=1)
        image = decode(buffer.getvalue()).image
        assert (image.size, image.getextrema()) == ((32, 32), (50, 50))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("dtype", ["u1", "u2"])
def test_every_orientation(orientation: int, dtype: str) -> None:
    upright = np.arange(5 * 7).reshape(5, 7) * (6 if dtype == "u1" else 1800)
    undo = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.T,
        6: np.rot90(upright),
        7: upright[::-1, ::-1].T,
        8: np.rot90(upright, -1),
    }
    buffer = io.BytesIO()
    tags = [(274, "H", 1, orientation, True)]
    tifffile.imwrite(buffer, np.ascontiguousarray(undo[orientation], dtype), extratags=tags, metadata=None)
    decoded = decode(buffer.getvalue(), value_range=ValueRange(0, 65535))
    header = read_header(buffer.getvalue())
    assert (header.width, header.height) == decoded.image.size == (7, 5)
    expected = upright if dtype == "u1" else np.rint(upright / 257)
    assert np.array_equal(np.asarray(decoded.image), expected)
    assert read_exif(buffer.getvalue())[274] == orientation


def test_exif_of_a_page_that_pillow_does_not_read() -> None:
    tags = gray_tags(8, 8, 64) | {339: ("H", [3]), 306: ("s", b"2024:05:06 07:08:09\0"), 271: ("s", b"Maker\0")}
    for order in "<>":
        exif = read_exif(raw_tiff((tags, [bytes(512)]), order=order))
        assert (exif[306], exif[271]) == ("2024:05:06 07:08:09", "Maker")


@pytest.mark.parametrize(("bits", "photometric"), [(1, 1), (1, 0), (4, 1), (8, 1), (12, 1), (16, 1)])
def test_reversed_bits(bits: int, photometric: int) -> None:
    values = np.random.default_rng(bits).integers(0, 2**bits, (9, 16))
    text = "".join(f"{value:0{bits}b}" for value in values.ravel())
    whole = int(text, 2).to_bytes(len(text) // 8, "big")
    if bits == 16:
        whole = values.astype("<u2").tobytes()
    turned = imagecodecs.bitorder_encode(whole)
    tags = gray_tags(16, 9, bits, photometric) | {266: ("H", [2])}
    image = decode(raw_tiff((tags, [turned])), value_range=ValueRange(0, 2**bits - 1)).image
    expected = np.rint(values * 255.0 / (2**bits - 1))
    assert np.array_equal(np.asarray(image), expected if photometric else 255 - expected)


@pytest.mark.parametrize("subsampling", [(1, 1), (2, 1), (2, 2)])
@pytest.mark.parametrize("tiled", [False, True])
def test_jpeg_in_ycbcr_is_as_tifffile_has_it(subsampling: tuple[int, int], tiled: bool) -> None:
    values = np.asarray(noise(4, (64, 48)))
    buffer = io.BytesIO()
    options = {"tile": (32, 32)} if tiled else {"rowsperstrip": 16}
    tifffile.imwrite(
        buffer, values, photometric="ycbcr", compression="jpeg", subsampling=subsampling, metadata=None, **options
    )
    read = tifffile.imread(io.BytesIO(buffer.getvalue()))
    assert np.array_equal(np.asarray(decode(buffer.getvalue()).image), read)
    with Image.open(io.BytesIO(buffer.getvalue())) as image:
        assert np.abs(np.asarray(image, int) - read).max() <= 1


def test_jpeg_by_libtiff_with_tables_of_its_own() -> None:
    data = encode(noise(2, (40, 32)), "TIFF", compression="jpeg")
    found = np.asarray(decode(data).image, int)
    with Image.open(io.BytesIO(data)) as image:
        assert np.abs(found - np.asarray(image.convert("RGB"), int)).max() <= 1


@pytest.mark.parametrize(
    "tags",
    [
        {259: ("H", [34676])},
        {259: ("H", [34661])},
        {259: ("H", [34715])},
        {259: ("H", [12345])},
        {259: ("H", [32809])},
        {259: ("H", [32771]), 262: ("H", [3])},
        {259: ("H", [65000])},
        {262: ("H", [32803])},
        {262: ("H", [34892])},
        {262: ("H", [32844])},
        {262: ("H", [32845])},
        {262: ("H", [10])},
        {262: ("H", [77])},
        {258: ("H", [12]), 339: ("H", [2])},
        {258: ("H", [40])},
        {258: ("H", [32]), 339: ("H", [5])},
        {258: ("H", [128]), 339: ("H", [3])},
        {258: ("H", [5, 6, 5]), 277: ("H", [3]), 262: ("H", [2])},
        {277: ("H", [2]), 258: ("H", [8, 8]), 339: ("H", [1, 2])},
        {32997: ("I", [4])},
        {317: ("H", [9])},
        {317: ("H", [3])},
        {262: ("H", [5]), 277: ("H", [5]), 258: ("H", [8] * 5), 332: ("H", [2])},
        {262: ("H", [5]), 277: ("H", [3]), 258: ("H", [8] * 3)},
        {262: ("H", [3]), 258: ("H", [32])},
        {262: ("H", [8]), 277: ("H", [3]), 258: ("H", [12] * 3)},
    ],
)
def test_what_is_not_read_is_refused_by_its_name(tags: dict) -> None:
    data = raw_tiff((gray_tags(8, 8) | tags, [bytes(1024)]))
    for read in (decode, read_header):
        with raises(UnsupportedError, code="unsupported_image"):
            read(data)


@pytest.mark.parametrize(
    "data",
    [
        b"II*\0",
        b"II*\0\x08\0\0\0",
        b"MM\0*\0\0\0\x01\0\0",
        b"II*\0\x08\0\0\0\0\0\0\0\0\0",
        raw_tiff((gray_tags(8, 0), [b"1"])),
        raw_tiff((gray_tags(8, 8, 16), [bytes(60)]))[:60],
        raw_tiff((gray_tags(8, 8, 16) | {273: ("I", [5000])}, [bytes(128)])),
        raw_tiff((gray_tags(8, 8, 16) | {278: ("I", [4])}, [bytes(64)])),
        raw_tiff((gray_tags(8, 8) | {322: ("I", [0]), 323: ("I", [16])}, [b"1"])),
        raw_tiff((gray_tags(8, 8, photometric=2), [bytes(64)])),
        raw_tiff((gray_tags(8, 8) | {259: ("H", [7])}, [b"\xff\xd8" + bytes(64)])),
        raw_tiff((gray_tags(8, 8) | {259: ("H", [50000])}, [bytes(64)])),
    ],
)
def test_what_is_damaged_is_said_so(data: bytes) -> None:
    with raises(UndecodableError, code="damaged_image") as caught:
        decode(data)
    assert type(caught.value) is UndecodableError
    assert "\n" not in str(caught.value.reason)


def test_a_missing_size_of_the_only_strip_and_wrong_sizes_of_raw_ones() -> None:
    values = np.arange(64, dtype="<u2") * 1000
    scale = ValueRange(0, 63000)
    expected = np.rint(np.arange(64) * 255 / 63).reshape(8, 8)
    for sizes in ([0, 0], [1, 1], [9999, 9999]):
        tags = gray_tags(8, 8, 16) | {278: ("I", [4]), 279: ("I", sizes)}
        data = raw_tiff((tags, [values[:32].tobytes(), values[32:].tobytes()]))
        assert np.array_equal(np.asarray(decode(data, value_range=scale).image), expected)
    tags = gray_tags(8, 8, 16) | {259: ("H", [8]), 279: ("I", [0])}
    data = raw_tiff((tags, [imagecodecs.zlib_encode(values.tobytes())]))
    assert np.array_equal(np.asarray(decode(data, value_range=scale).image), expected)


@pytest.mark.parametrize("number", [5, 8, 50000, 32773])
def test_a_last_strip_of_full_size(number: int) -> None:
    values = np.arange(80, dtype="<u2").reshape(10, 8) * 800
    pack = {
        5: imagecodecs.lzw_encode,
        8: imagecodecs.zlib_encode,
        50000: imagecodecs.zstd_encode,
        32773: imagecodecs.packbits_encode,
    }[number]
    tags = gray_tags(8, 9, 16) | {278: ("I", [5]), 259: ("H", [number])}
    data = raw_tiff((tags, [bytes(pack(part.tobytes())) for part in (values[:5], values[5:])]))
    image = decode(data, value_range=ValueRange(0, 65535)).image
    assert np.array_equal(np.asarray(image), np.rint(values[:9] / 257))


def test_no_data_is_no_part_of_the_range_and_black() -> None:
    values = np.linspace(100, 200, 64, dtype="f4").reshape(8, 8)
    values[0, :3] = -9999
    for text, stored in ((b"-9999\0", -9999), (b"-3.4028234663852886e+38\0", np.finfo("f4").min), (b"nan\0", np.nan)):
        values[0, :3] = stored
        data = raw_tiff((gray_tags(8, 8, 32) | {339: ("H", [3]), 42113: ("s", text)}, [values.tobytes()]))
        decoded = decode(data, value_range=ValueRange(0, 255))
        assert decoded.values is not None
        assert (decoded.values.low, decoded.values.high) == (pytest.approx(values[0, 3]), 200)
        assert np.asarray(decoded.image)[0, :4].tolist() == [0, 0, 0, 105]
    integers = np.full((8, 8), 500, "<i2")
    integers[2] = 32767
    for photometric in (0, 1):
        tags = gray_tags(8, 8, 16, photometric) | {339: ("H", [2]), 42113: ("s", b"32767\0")}
        decoded = decode(raw_tiff((tags, [integers.tobytes()])), value_range=ValueRange(0, 1000))
        assert decoded.values is not None
        assert (decoded.values.low, decoded.values.high, decoded.values.dtype) == (500, 500, "int16")
        assert np.asarray(decoded.image)[1:3, 0].tolist() == [128 if photometric else 127, 0]


def test_missing_tiles_hold_no_data() -> None:
    tile = np.full((16, 16), 300, "<u2").tobytes()
    tags = gray_tags(32, 16, 16) | {322: ("I", [16]), 323: ("I", [16]), 42113: ("s", b"7\0")}
    decoded = decode(raw_tiff((tags, [tile, b""])), value_range=ValueRange(0, 600))
    assert np.asarray(decoded.image)[3, 14:18].tolist() == [128, 128, 0, 0]
    assert decoded.values is not None
    assert (decoded.values.low, decoded.values.high) == (300, 300)


@pytest.mark.parametrize(("most", "bits"), [(4095, 12), (1023, 10), (3000, 16), (255, 16), (65535, 16)])
def test_significant_bits_by_the_largest_value_that_the_file_states(most: int, bits: int) -> None:
    values = np.array([[0, 300, 1000, 1023]], "<u2")
    decoded = decode(raw_tiff((gray_tags(4, 1, 16) | {281: ("H", [most])}, [values.tobytes()])))
    assert decoded.values is not None
    assert decoded.values.bits == bits


@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
@pytest.mark.parametrize("extra", [1, 2])
def test_alpha_is_laid_over_white_unless_it_is_zero_everywhere(dtype: str, extra: int) -> None:
    full = 1.0 if dtype == "f4" else np.iinfo(dtype).max
    values = np.zeros((2, 2, 4))
    values[..., :3] = (0.8, 0.4, 0.2)
    for opacity, expected in (
        ([[1, 1], [1, 1]], [[204, 102, 51], [204, 102, 51]]),
        ([[0, 1], [1, 1]], [[255, 255, 255], [204, 102, 51]]),
        ([[0.2, 1], [1, 1]], [[245, 224, 214], [204, 102, 51]]),
        ([[0, 0], [0, 0]], [[204, 102, 51], [204, 102, 51]]),
    ):
        values[..., 3] = opacity
        stored = values.copy()
        if extra == 1 and np.any(opacity):
            stored[..., :3] *= stored[..., 3:]
        samples = (stored * full).round(0 if dtype != "f4" else 7).astype(dtype)
        tags = gray_tags(2, 2, samples.itemsize * 8, 2) | {
            258: ("H", [samples.itemsize * 8] * 4),
            277: ("H", [4]),
            338: ("H", [extra]),
            339: ("H", [3 if dtype == "f4" else 1] * 4),
        }
        image = decode(raw_tiff((tags, [samples.tobytes()])), value_range=ValueRange(0, full)).image
        found = np.asarray(image, int)
        assert np.abs(found[0] - expected).max() <= (3 if dtype == "u1" else 1)


def test_a_profile_is_handed_on() -> None:
    from distingo.datasets.decoding.tiff import decode_page
    from distingo.datasets.decoding.tiff_support import open_checked

    data = raw_tiff((gray_tags(4, 4, 16) | {34675: ("B", b"a profile")}, [bytes(32)]))
    page_, layout = open_checked(data, 100)
    assert decode_page(page_, layout, 100).image.info["icc_profile"] == b"a profile"


def tiled(width: int, height: int, tile: int, content: bytes, compression: int, **more: Any) -> bytes:
    count = -(-width // tile) * -(-height // tile)
    tags = gray_tags(width, height) | {259: ("H", [compression]), 322: ("I", [tile]), 323: ("I", [tile])}
    return raw_tiff((tags | {int(tag): value for tag, value in more.items()}, [content] * count))


HUGE = 32768
BOMB = imagecodecs.zlib_encode(bytes(1 << 26))


def hostile_jpeg(side: int) -> bytes:
    data = bytearray(imagecodecs.jpeg_encode(np.zeros((16, 16), "u1")))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = side.to_bytes(2, "big") * 2
    return bytes(data)


def hostile(name: str) -> bytes:
    """Files of a few kilobytes that ask for gigabytes."""
    rgb64 = {258: ("H", [64] * 3), 277: ("H", [3]), 262: ("H", [2])}
    return {
        "tile": lambda: tiled(1, 1, HUGE, BOMB, 8),
        "tile of floats": lambda: tiled(1, 1, 4000, BOMB, 8, **{"258": ("H", [64]), "339": ("H", [3])}),
        "strip": lambda: raw_tiff((gray_tags(30_000, 30_000) | {259: ("H", [8])}, [BOMB])),
        "samples": lambda: raw_tiff(
            (gray_tags(1000, 1000) | {259: ("H", [8]), 258: ("H", [8]), 277: ("H", [60_000])}, [BOMB])
        ),
        "planes": lambda: raw_tiff((gray_tags(3_000, 3_000) | rgb64 | {259: ("H", [8]), 284: ("H", [2])}, [BOMB] * 3)),
        "JPEG": lambda: tiled(16, 16, 16, hostile_jpeg(65_500), 7),
        "JPEG 2000": lambda: tiled(16, 16, 16, hostile_jpeg_2000(), 34712),
        "LERC": lambda: tiled(16, 16, 16, hostile_lerc(), 34887, **{"258": ("H", [32]), "339": ("H", [3])}),
        "PNG": lambda: tiled(16, 16, 16, hostile_png(), 34933),
        "JPEG XL": lambda: tiled(
            16, 16, 16, b"\xff\x0a" + bytes([0xFE, 0xFF, 0xFF, 0xFF, 0xFF, 0x1F] + [0] * 40), 50002
        ),
        "WebP": lambda: tiled(
            16, 16, 16, hostile_webp(), 50001, **{"258": ("H", [8] * 3), "277": ("H", [3]), "262": ("H", [2])}
        ),
    }[name]()


def hostile_jpeg_2000() -> bytes:
    data = bytearray(imagecodecs.jpeg2k_encode(np.zeros((16, 16), "u1"), codecformat="j2k"))
    at = data.index(b"\xff\x51")
    data[at + 6 : at + 14] = (60_000).to_bytes(4, "big") * 2
    data[at + 22 : at + 30] = (60_000).to_bytes(4, "big") * 2
    return bytes(data)


def hostile_lerc() -> bytes:
    data = bytearray(imagecodecs.lerc_encode(np.zeros((16, 16), "f4")))
    data[14:22] = (60_000).to_bytes(4, "little") * 2
    return bytes(data)


def hostile_png() -> bytes:
    data = bytearray(imagecodecs.png_encode(np.zeros((16, 16), "u1")))
    data[16:24] = (60_000).to_bytes(4, "big") * 2
    return bytes(data)


def hostile_webp() -> bytes:
    data = bytearray(imagecodecs.webp_encode(np.zeros((16, 16, 3), "u1"), lossless=True))
    data[21:25] = ((16_383) | (16_383 << 14)).to_bytes(4, "little")
    return bytes(data)


HOSTILE = (
    "tile",
    "tile of floats",
    "strip",
    "samples",
    "planes",
    "JPEG",
    "JPEG 2000",
    "LERC",
    "PNG",
    "JPEG XL",
    "WebP",
)


@pytest.mark.parametrize("name", HOSTILE)
def test_what_a_decoder_would_allocate_counts_towards_the_limit(name: str) -> None:
    data = hostile(name)
    assert len(data) < 1 << 20
    with at_most(2), raises(TooManyPixelsError, code="too_many_pixels"):
        decode(data, max_pixels=10_000_000)


def test_hostile_files_stay_within_the_memory_of_the_limit() -> None:
    """Each in one process, whose peak is measured: 2 million pixels may take 16 bytes each, and Python its own."""
    code = f"""
        import resource, sys
        sys.path[:0] = {[str(folder) for folder in Path(__file__).parents[:2]]!r}
        from test_tiff_pages import HOSTILE, hostile, encode, noise
        from distingo.datasets.decoding.decode import UndecodableError, decode
        from distingo.datasets.decoding.value_ranges import ValueRange
        import numpy as np, io, tifffile
        files = [hostile(name) for name in HOSTILE]
        buffer = io.BytesIO()
        tifffile.imwrite(buffer, np.zeros((400, 400, 3), "u2"), photometric="rgb", compression="zstd")
        decode(buffer.getvalue())
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for data in files:
            try:
                decode(data, max_pixels=2_000_000)
            except UndecodableError:
                pass
        buffer = io.BytesIO()
        tifffile.imwrite(buffer, np.zeros((1000, 1000), "u2"), compression="zstd")
        decode(buffer.getvalue(), max_pixels=2_000_000)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    """
    words = [sys.executable, "-c", textwrap.dedent(code)]
    paths = os.pathsep.join(str(folder) for folder in Path(__file__).parents[:3])  # of the helpers of tests
    done = subprocess.run(words, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": paths})
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) * 1024 < 2_000_000 * 16 + (64 << 20)


def test_what_is_within_the_limit_by_its_pixels_and_its_memory() -> None:
    for dtype, samples, factor in (("u1", 1, 1), ("u2", 1, 1), ("u2", 3, 2.125), ("f4", 1, 1.5), ("f8", 3, 7.75)):
        values = np.zeros((100, 100, samples)[: 2 if samples == 1 else 3], dtype)
        buffer = io.BytesIO()
        photometric = "rgb" if samples == 3 else "minisblack"
        tifffile.imwrite(buffer, values, photometric=photometric, metadata=None, rowsperstrip=100)
        decode(buffer.getvalue(), max_pixels=int(10_000 * factor))
        for read in (decode, read_header):
            with raises(TooManyPixelsError, code="too_many_pixels"):
                read(buffer.getvalue(), max_pixels=int(10_000 * factor) - 1)


def test_counts_and_offsets_cost_nothing() -> None:
    """Tags of billions of values, directories that are their own successors, and strips that are all the same bytes."""
    with at_most(5):
        for tag in (258, 273, 279, 320, 330, 338, 339, 347, 529, 532, 34675, 42113, 50674):
            data = bytearray(raw_tiff((gray_tags(8, 8, 16) | {tag: ("I", [1, 2, 3])}, [bytes(128)])))
            at = data.rindex(tag.to_bytes(2, "little") + b"\x04\0\x03\0\0\0")
            data[at + 4 : at + 8] = b"\xff\xff\xff\xff"
            assert decode(bytes(data)).image.size == (8, 8)
            data[at + 8 : at + 12] = b"\xf0\xff\xff\xff"
            if tag in {258, 273, 338, 339}:
                with raises(UndecodableError, code="damaged_image"):
                    decode(bytes(data))
            else:
                assert decode(bytes(data)).image.size == (8, 8)
        loop = bytearray(raw_tiff(page(8, 1, REDUCED), page(9, 2, REDUCED)))
        loop[-4:] = loop[4:8]
        assert decode(bytes(loop)).image.size == (9, 9)
        strips = gray_tags(8, 60_000, 16) | {259: ("H", [8]), 278: ("I", [1])}
        data = raw_tiff((strips | {273: ("I", [8] * 60_000), 279: ("I", [1 << 20] * 60_000)}, [bytes(1 << 20)]))
        with raises(UndecodableError, code="damaged_image"):
            decode(data)


def samples_for_fuzzing() -> list[bytes]:
    values = np.asarray(noise(1, (24, 20)))
    files = []
    for compression in (None, "lzw", "adobe_deflate", "zstd", "packbits", "jpeg", "jpeg2000", "webp", "jpegxl", "png"):
        for tile in (None, (16, 16)):
            buffer = io.BytesIO()
            tifffile.imwrite(buffer, values, photometric="rgb", compression=compression, tile=tile, metadata=None)
            files.append(buffer.getvalue())
    for dtype, options in (
        ("u2", {"compression": "lzw", "predictor": 2}),
        ("f4", {"compression": "zstd", "predictor": 3}),
        ("f4", {"compression": "lerc"}),
        ("u2", {"byteorder": ">", "bigtiff": True}),
        ("f2", {}),
    ):
        buffer = io.BytesIO()
        tifffile.imwrite(buffer, values[..., 0].astype(dtype), metadata=None, **options)
        files.append(buffer.getvalue())
    files.append(encode(Image.fromarray(values[..., 0] > 99), "TIFF", compression="group4"))
    files.append(encode(Image.fromarray(values).quantize(16), "TIFF", compression="tiff_lzw"))
    return files


FILES = samples_for_fuzzing()


@settings(max_examples=600, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(
    which=st.integers(0, len(FILES) - 1),
    flips=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=6),
    near=st.booleans(),
    cut=st.floats(0, 1) | st.none(),
)
def test_malformed_files_give_pixels_or_one_error(
    which: int, flips: list[tuple[float, int]], near: bool, cut: float | None
) -> None:
    data = bytearray(FILES[which])
    # Half of the time among the tags, which tifffile writes first.
    reach = min(256, len(data)) if near else len(data)
    for place, value in flips:
        data[min(int(8 * (not near) + place * reach), len(data) - 1)] = value
    if cut is not None:
        del data[int(cut * len(data)) :]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for read in (decode, read_header):
            try:
                read(bytes(data), max_pixels=1_000_000)
            except UndecodableError as error:
                assert str(error.reason)
                assert "\n" not in str(error.reason)


def test_nothing_is_logged_or_printed(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    for data in FILES:
        for cut in (0.3, 0.6, 0.9):
            with contextlib.suppress(UndecodableError):
                decode(data[: int(len(data) * cut)])
    broken = bytearray(FILES[2])
    broken[60:90] = bytes(30)
    with raises(UndecodableError, code="damaged_image"):
        decode(bytes(broken))
    assert capfd.readouterr() == ("", "")
    assert not caplog.records
