"""TIFF: the specification's matrix against tifffile's own reading, and what is refused."""

from __future__ import annotations

import io
import itertools
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from drawing import encode
from PIL import Image
from raw_tiff import gray_tags, raw_tiff

from distingo.datasets.decoding.decode import UndecodableError, UnsupportedError, decode, read_header
from distingo.datasets.decoding.tiff import decode_page
from distingo.datasets.decoding.tiff_support import open_checked, pillow_reads_exactly
from distingo.datasets.decoding.value_ranges import ValueRange
from raising import raises

WIDTH, HEIGHT = 37, 21
DTYPES = ("u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8")
ANY_COMPRESSION = (None, "lzw", "adobe_deflate", "zstd", "packbits", "lzma")
# name: photometric, samples, planar, ExtraSamples
LAYOUTS: dict[str, tuple[str, int, bool, tuple[int, ...]]] = {
    "black is zero": ("minisblack", 1, False, ()),
    "white is zero": ("miniswhite", 1, False, ()),
    "gray and alpha": ("minisblack", 2, False, (2,)),
    "bands": ("minisblack", 5, False, (0, 0, 0, 0)),
    "bands in planes": ("minisblack", 5, True, (0, 0, 0, 0)),
    "RGB": ("rgb", 3, False, ()),
    "RGB in planes": ("rgb", 3, True, ()),
    "RGB and alpha": ("rgb", 4, False, (2,)),
    "RGB and alpha in planes": ("rgb", 4, True, (2,)),
    "RGB times alpha": ("rgb", 4, False, (1,)),
    "RGB and other bands": ("rgb", 6, False, (0, 0, 0)),
    "RGB, another band and alpha": ("rgb", 5, False, (0, 2)),
    "CMYK": ("separated", 4, False, ()),
    "CMYK in planes": ("separated", 4, True, ()),
}


def stored(dtype: str, samples: int, *, seed: int = 0) -> np.ndarray:
    """Height x width x samples, over the whole range of an integer type or 0 to 1."""
    random = np.random.default_rng([seed, samples])
    shape = (HEIGHT, WIDTH, samples)
    if dtype.startswith("f"):
        return random.random(shape).astype(dtype)
    limits = np.iinfo(dtype)
    return random.integers(limits.min, limits.max, shape, dtype, endpoint=True)


def write(values: np.ndarray, photometric: str, planar: bool, extra: tuple[int, ...], **options: Any) -> bytes:
    buffer = io.BytesIO()
    if values.shape[2] == 1:
        values = values[..., 0]
    elif planar:
        values = np.moveaxis(values, -1, 0)
    if values.ndim == 3:
        options["planarconfig"] = "separate" if planar else "contig"
    if extra:
        options["extrasamples"] = extra
    tifffile.imwrite(buffer, values, photometric=photometric, metadata=None, **options)
    return buffer.getvalue()


def read_by_tifffile(data: bytes, samples: int, planar: bool) -> np.ndarray:
    values = (
        tifffile.TiffFile(io.BytesIO(data))
        .pages[0]
        .asarray()
        .reshape((samples, HEIGHT, WIDTH) if planar else (HEIGHT, WIDTH, samples))
    )
    return np.moveaxis(values, 0, -1) if planar else values


def scaled(values: np.ndarray, low: float, high: float) -> np.ndarray:
    return np.clip((values.astype(np.float64) - low) / (high - low), 0, 1) * 255


def displayed(values: np.ndarray, layout: str, scale: ValueRange) -> np.ndarray:
    """What a viewer shows, in floats: the conversions of the specification, written for clarity alone."""
    photometric, _, _, extra = LAYOUTS[layout]
    dtype = values.dtype
    full = 1.0 if dtype.kind == "f" else float(np.iinfo(dtype).max)
    low, high = (0.0, 255.0) if dtype == np.uint8 else (scale.black, scale.white)
    if photometric == "separated":
        ink = np.rint(scaled(values, 0, full)) / 255
        return (1 - ink[..., :3]) * (1 - ink[..., 3:]) * 255
    colors = values[..., : 3 if photometric == "rgb" else 1].astype(np.float64)
    opacity = None
    if 1 in extra or 2 in extra:
        at = values.shape[2] - len(extra) + next(at for at, kind in enumerate(extra) if kind in (1, 2))
        opacity = np.clip(values[..., at : at + 1].astype(np.float64) / full, 0, 1)
        if 1 in extra:
            colors = np.where(opacity > 0, np.clip(colors / np.where(opacity > 0, opacity, 1), None, full), colors)
    shown = scaled(colors, low, high)
    if photometric == "miniswhite":
        shown = 255 - shown
    return shown if opacity is None else shown * opacity + 255 * (1 - opacity)


def differences(data: bytes, expected: np.ndarray, scale: ValueRange | None = None) -> float:
    decoded = decode(data, value_range=scale)
    found = np.asarray(decoded.image, float)
    assert decoded.format == "TIFF"
    header = read_header(data)
    assert (header.width, header.height) == decoded.image.size
    assert header.gray == (decoded.image.mode == "L")
    return float(np.abs(found.reshape(expected.shape) - expected).max())


MATRIX = [
    (layout, dtype, order, tiled, ANY_COMPRESSION[at % len(ANY_COMPRESSION)])
    for at, (layout, dtype, order, tiled) in enumerate(itertools.product(LAYOUTS, DTYPES, "<>", (False, True)))
]


@pytest.mark.parametrize(("layout", "dtype", "order", "tiled", "compression"), MATRIX)
def test_every_photometry_type_order_and_tiling(
    layout: str, dtype: str, order: str, tiled: bool, compression: str | None
) -> None:
    photometric, samples, planar, extra = LAYOUTS[layout]
    values = stored(dtype, samples)
    options: dict[str, Any] = {"tile": (16, 16)} if tiled else {"rowsperstrip": 8}
    data = write(values, photometric, planar, extra, byteorder=order, compression=compression, **options)
    if photometric == "separated" and dtype.startswith("i"):
        with raises(UnsupportedError, code="unsupported_image"):
            decode(data)
        with raises(UnsupportedError, code="unsupported_image"):
            read_header(data)
        return
    read = read_by_tifffile(data, samples, planar)
    assert np.array_equal(read, values)
    high = 1.0 if dtype.startswith("f") else float(np.iinfo(dtype).max)
    scale = ValueRange(high / 8, high * 0.75)
    # Rounding once to 8 bits; alpha rounds the color (to its own type where divided by it), itself and the sum.
    allowed = 0.5 if not extra or max(extra) == 0 else 3.0 if 1 in extra else 1.5
    assert (
        differences(data, displayed(read, layout, scale), scale)
        <= (1.5 if photometric == "separated" else allowed) + 1e-6
    )


PREDICTED = [
    (dtype, compression, predictor, order, planar)
    for dtype, predictors in {
        "u1": (2,),
        "u2": (2,),
        "u4": (2,),
        "i2": (2,),
        "f2": (3,),
        "f4": (3,),
        "f8": (3,),
    }.items()
    for compression in ("lzw", "adobe_deflate", "deflate", "zstd", "lzma")
    for predictor in predictors
    for order in "<>"
    for planar in (False, True)
]


@pytest.mark.parametrize(("dtype", "compression", "predictor", "order", "planar"), PREDICTED)
def test_every_predictor_and_compression(
    dtype: str, compression: str, predictor: int, order: str, planar: bool
) -> None:
    data = write(
        stored(dtype, 3),
        "rgb",
        planar,
        (),
        compression=compression,
        predictor=predictor,
        byteorder=order,
        rowsperstrip=5,
    )
    read = read_by_tifffile(data, 3, planar)
    assert np.array_equal(read, stored(dtype, 3))
    high = 1.0 if dtype.startswith("f") else float(np.iinfo(dtype).max)
    scale = ValueRange(0, high)
    assert differences(data, displayed(read, "RGB", scale), scale) <= 0.5 + 1e-6


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 20, 24, 31, 32])
@pytest.mark.parametrize("photometric", [0, 1, 2])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("tiled", [False, True])
def test_every_number_of_bits(bits: int, photometric: int, order: str, tiled: bool) -> None:
    samples = 3 if photometric == 2 else 1
    wide, high = (48, 32) if tiled else (WIDTH, HEIGHT)
    values = np.random.default_rng(bits).integers(0, 2**bits, (high, wide, samples), dtype=np.uint64)
    values.flat[:2] = 0, 2**bits - 1
    tags = gray_tags(wide, high, bits, photometric) | {258: ("H", [bits] * samples), 277: ("H", [samples])}
    rows = [packed_row(row, bits, order) for row in values]
    if tiled:
        tags |= {322: ("I", [16]), 323: ("I", [16])}
        rows = [
            b"".join(packed_row(row, bits, order) for row in values[top : top + 16, left : left + 16])
            for top in (0, 16)
            for left in (0, 16, 32)
        ]
    data = raw_tiff((tags, rows if tiled else [b"".join(rows)]), order=order)
    if (bits, order) != (24, ">"):  # which tifffile 2026.3.3 reads in the wrong order, unlike libtiff
        read = tifffile.TiffFile(io.BytesIO(data)).pages[0].asarray().reshape(values.shape)
        assert np.array_equal(read, values)
    expected = scaled(values, 0, 2**bits - 1)
    scale = ValueRange(0, 2**bits - 1)
    assert differences(data, 255 - expected if photometric == 0 else expected, scale) <= 0.5 + 1e-6
    summary = decode(data).values
    assert (summary is None) == (bits <= 8)
    if summary is not None:
        assert (summary.bits, summary.low, summary.high) == (bits, 0, 2**bits - 1)


def packed_row(row: np.ndarray, bits: int, order: str) -> bytes:
    """A row of samples as bits, the highest first, filled up to whole bytes; whole numbers in the file's order."""
    if bits in {8, 16, 32}:
        return row.astype(f"{order}u{bits // 8}").tobytes()
    text = "".join(f"{value:0{bits}b}" for value in row.ravel().tolist())
    text = text.ljust(-(-len(text) // 8) * 8, "0")
    return int(text, 2).to_bytes(len(text) // 8, "big")


CODECS = {
    "jpeg": ("u1",),
    "jpeg2000": ("u1", "u2"),
    "webp": ("u1",),
    "jpegxl": ("u1", "u2", "f4"),
    "png": ("u1", "u2"),
    "jpegxr": ("u1", "u2"),
    "lerc": ("u1", "u2", "i2", "u4", "i4", "f4", "f8"),
}


@pytest.mark.parametrize(("codec", "dtype"), [(codec, dtype) for codec in CODECS for dtype in CODECS[codec]])
@pytest.mark.parametrize("layout", ["black is zero", "white is zero", "RGB", "RGB in planes", "RGB and alpha"])
@pytest.mark.parametrize("tiled", [False, True])
def test_every_codec_of_images(codec: str, dtype: str, layout: str, tiled: bool) -> None:
    photometric, samples, planar, extra = LAYOUTS[layout]
    if codec == "webp" and (samples < 3 or planar):
        pytest.skip("WebP has three or four samples")
    if codec == "jpeg" and extra:
        pytest.skip("tifffile writes no alpha in JPEG")
    options: dict[str, Any] = {"tile": (16, 16)} if tiled else {"rowsperstrip": 16}
    data = write(stored(dtype, samples), photometric, planar, extra, compression=codec, **options)
    read = read_by_tifffile(data, samples, planar)
    high = 1.0 if dtype.startswith("f") else float(np.iinfo(dtype).max)
    scale = ValueRange(0, high)
    assert differences(data, displayed(read, layout, scale), scale) <= (1.5 if extra else 0.5) + 1e-6


@pytest.mark.parametrize(
    ("codec", "number", "dtype"),
    [
        ("png", 34933, "u2"),
        ("jpegxl", 50002, "u2"),
        ("jpegxl", 50002, "f4"),
        ("lerc", 34887, "f4"),
        ("jpeg2k", 34712, "u2"),
    ],
)
def test_codecs_have_a_byte_order_of_their_own(codec: str, number: int, dtype: str) -> None:
    """Tifffile writes these in little-endian files alone."""
    values = stored(dtype, 1)[..., 0]
    kind = 3 if dtype == "f4" else 1
    tags = gray_tags(WIDTH, HEIGHT, values.itemsize * 8) | {259: ("H", [number]), 339: ("H", [kind])}
    options = {"lossless": True} if codec == "jpegxl" else {"level": 0} if codec == "jpeg2k" else {}
    segment = bytes(getattr(imagecodecs, f"{codec}_encode")(values, **options))
    scale = ValueRange(0, 1.0 if kind == 3 else 65535.0)
    for order in "<>":
        data = raw_tiff((tags, [segment]), order=order)
        assert differences(data, scaled(values, 0, scale.white), scale) <= 0.5 + 1e-6


@pytest.mark.parametrize("outer", [1, 2])
def test_lerc_compressed_in_turn(outer: int) -> None:
    values = stored("f4", 1)[..., 0]
    pack = {1: imagecodecs.zlib_encode, 2: imagecodecs.zstd_encode}[outer]
    segment = bytes(pack(imagecodecs.lerc_encode(values)))
    tags = gray_tags(WIDTH, HEIGHT, 32) | {259: ("H", [34887]), 339: ("H", [3]), 50674: ("I", [4, outer])}
    assert differences(raw_tiff((tags, [segment])), scaled(values, 0, 1), ValueRange(0, 1)) <= 0.5 + 1e-6


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compression", [None, "adobe_deflate", "zstd"])
@pytest.mark.parametrize(("bits", "dtype"), [(16, "f2"), (24, "f4"), (32, "f4"), (64, "f8")])
@pytest.mark.parametrize("photometric", [0, 1])
def test_every_float(order: str, compression: str | None, bits: int, dtype: str, photometric: int) -> None:
    values = np.float32(np.random.default_rng(bits).integers(-(2**7), 2**7, (HEIGHT, WIDTH)) / 64).astype(dtype)
    values[3, 4:7] = np.nan, np.inf, -np.inf
    encoded = values.astype(order + dtype).tobytes()
    if bits == 24:
        encoded = imagecodecs.float24_encode(values, byteorder=order)
    numbers = {None: 1, "adobe_deflate": 8, "zstd": 50000}
    pack = {None: bytes, "adobe_deflate": imagecodecs.zlib_encode, "zstd": imagecodecs.zstd_encode}[compression]
    tags = gray_tags(WIDTH, HEIGHT, bits, photometric) | {339: ("H", [3]), 259: ("H", [numbers[compression]])}
    data = raw_tiff((tags, [pack(encoded)]), order=order)
    expected = scaled(np.nan_to_num(values, nan=0, posinf=0, neginf=0), -1.25, 1.5)
    expected = 255 - expected if photometric == 0 else expected
    expected[3, 4:7] = 0
    assert differences(data, expected, ValueRange(-1.25, 1.5)) <= 0.5 + 1e-6
    summary = decode(data).values
    assert summary is not None
    finite = values[np.isfinite(values)]
    assert (summary.dtype, summary.low, summary.high) == (values.dtype.name, finite.min(), finite.max())


@pytest.mark.parametrize("photometric", ["minisblack", "rgb"])
def test_a_tiff_without_a_finite_number_is_refused_as_an_array_is(photometric: str) -> None:
    values = np.full((4, 5, 3 if photometric == "rgb" else 1), np.nan, np.float32)
    values.flat[3] = np.inf
    with raises(UndecodableError, code="damaged_image"):
        decode(write(values, photometric, False, ()))


@pytest.mark.parametrize(("divisor", "added"), [(6, 0), (10, 100), (1, 0)])
def test_a_tiff_of_floats_or_16_bits_is_its_8_bit_file_however_dark_or_pale(divisor: int, added: int) -> None:
    plain = (np.arange(48 * 16 * 3).reshape(48, 16, 3) % 256 // divisor + added).clip(0, 255).astype(np.uint8)
    deep = (plain / 255, (plain / 255).astype("f4"), plain.astype("f4"), plain.astype("u2") * np.uint16(257))
    for values in deep:
        assert np.array_equal(np.asarray(decode(write(values, "rgb", False, ())).image), plain)


@pytest.mark.parametrize(("bits", "dtype"), [(64, "c8"), (128, "c16")])
def test_complex_samples_are_refused_by_name(bits: int, dtype: str) -> None:
    data = write(np.ones((HEIGHT, WIDTH, 1), dtype), "minisblack", False, ())
    with raises(UnsupportedError, code="unsupported_image"):
        decode(data)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_palettes_of_16_bit_colors(bits: int, order: str) -> None:
    random = np.random.default_rng(bits)
    indices = random.integers(0, 2**bits, (HEIGHT, WIDTH, 1))
    colors = random.integers(0, 65536, (3, 2**bits))
    rows = b"".join(packed_row(row, bits, order) for row in indices)
    tags = gray_tags(WIDTH, HEIGHT, bits, 3) | {320: ("H", colors.ravel().tolist())}
    assert differences(raw_tiff((tags, [rows]), order=order), (colors >> 8).T[indices[..., 0]]) == 0
    # Some writers store 8-bit colors, which would all be black.
    tags[320] = ("H", (colors >> 8).ravel().tolist())
    assert differences(raw_tiff((tags, [rows]), order=order), (colors >> 8).T[indices[..., 0]]) == 0
    tags[320] = ("H", colors.ravel()[:-1].tolist())
    with raises(UndecodableError, code="damaged_image"):
        decode(raw_tiff((tags, [rows]), order=order))


def ycbcr(rgb: np.ndarray) -> np.ndarray:
    r, g, b = np.moveaxis(rgb.astype(float), -1, 0)
    luma = 0.299 * r + 0.587 * g + 0.114 * b
    return np.rint(np.stack([luma, (b - luma) / 1.772 + 128, (r - luma) / 1.402 + 128], -1)).clip(0, 255).astype("u1")


@pytest.mark.parametrize("compression", [1, 5, 8])
@pytest.mark.parametrize("tiled", [False, True])
@pytest.mark.parametrize("subsampling", [(1, 1), (2, 1), (2, 2), (4, 1), (4, 4), (1, 2)])
def test_ycbcr_of_every_subsampling(subsampling: tuple[int, int], tiled: bool, compression: int) -> None:
    across, down = subsampling
    wide, high = (44, 28)
    coarse = np.random.default_rng(1).integers(30, 220, (-(-high // down), -(-wide // across), 3), dtype="u1")
    values = ycbcr(coarse.repeat(down, 0).repeat(across, 1)[:high, :wide])
    pack = {1: bytes, 5: imagecodecs.lzw_encode, 8: imagecodecs.zlib_encode}[compression]
    tags = gray_tags(wide, high, 8, 6) | {
        258: ("H", [8] * 3),
        259: ("H", [compression]),
        277: ("H", [3]),
        278: ("I", [12]),
        530: ("H", [across, down]),
    }
    size, parts = (wide, 12), [values[top : top + 12] for top in range(0, high, 12)]
    if tiled:
        tags |= {322: ("I", [16]), 323: ("I", [16])}
        whole = np.pad(values, ((0, 4), (0, 4), (0, 0)))
        parts = [whole[top : top + 16, left : left + 16] for top in (0, 16) for left in (0, 16, 32)]
        size = (16, 16)
    segments = [bytes(pack(blocks(part, across, down, size[0]))) for part in parts]
    expected = coarse.repeat(down, 0).repeat(across, 1)[:high, :wide]
    assert differences(raw_tiff((tags, segments)), expected) <= 2


def blocks(part: np.ndarray, across: int, down: int, wide: int) -> bytes:
    """Luma of each block, then its Cb and Cr, as TIFF 6.0 has it on page 93."""
    out = bytearray()
    for top in range(0, len(part), down):
        for left in range(0, wide, across):
            for row in range(top, top + down):
                for column in range(left, left + across):
                    out.append(part[min(row, len(part) - 1), min(column, wide - 1), 0])
            out += part[top, left, 1:].tobytes()
    return bytes(out)


def test_ycbcr_with_coefficients_and_reference_values() -> None:
    """Rec. 709 in video range: luma 16 to 235, color 16 to 240 around 128."""
    tags = gray_tags(4, 1, 8, 6) | {
        258: ("H", [8] * 3),
        277: ("H", [3]),
        529: ("R", [0.2126, 0.7152, 0.0722]),
        530: ("H", [1, 1]),
        532: ("R", [16, 235, 128, 240, 128, 240]),
    }
    pixels = bytes([16, 128, 128, 235, 128, 128, 63, 102, 240, 173, 42, 26])
    expected = [[[0, 0, 0], [255, 255, 255], [255, 1, 0], [0, 255, 1]]]
    assert differences(raw_tiff((tags, [pixels])), np.array(expected)) <= 1


@pytest.mark.parametrize(
    ("photometric", "bits", "gray", "red"),
    [
        (8, 8, (127, 0, 0), (138, 81, 70)),
        (9, 8, (127, 128, 128), (138, 209, 198)),
        (8, 16, (32768, 0, 0), (35579, 20685, 17892)),
        (9, 16, (32640, 32768, 32768), (35440, 53453, 50660)),
    ],
)
@pytest.mark.parametrize("planar", [False, True])
def test_lab_of_both_encodings(
    photometric: int, bits: int, gray: tuple[int, ...], red: tuple[int, ...], planar: bool
) -> None:
    """L* 50 is sRGB 119 (118.9); L* 54.29, a* 80.80, b* 69.89 is pure red."""
    values = np.array([[gray, red]], f"<u{bits // 8}")
    tags = gray_tags(2, 1, bits, photometric) | {
        258: ("H", [bits] * 3),
        277: ("H", [3]),
        284: ("H", [2 if planar else 1]),
    }
    segments = [values[..., at].tobytes() for at in range(3)] if planar else [values.tobytes()]
    assert differences(raw_tiff((tags, segments)), np.array([[[119, 119, 119], [255, 0, 0]]])) <= 6


@pytest.mark.parametrize("compression", ["group3", "group4", "tiff_ccitt"])
@pytest.mark.parametrize("photometric", [0, 1])
def test_fax(compression: str, photometric: int) -> None:
    bits = np.zeros((40, 70), bool)
    bits[5:20, 10:50] = True
    bits[::3, ::5] ^= True
    data = encode(Image.fromarray(bits), "TIFF", compression=compression, tiffinfo={262: photometric})
    read = tifffile.TiffFile(io.BytesIO(data)).pages[0].asarray()
    assert differences(data, 255.0 * (read if photometric else ~read)) == 0
    page, layout = open_checked(data, 10**6)
    shown = decode_page(page, layout, 10**6)
    assert np.array_equal(np.asarray(shown.image), np.asarray(decode(data).image))


PLAIN = [
    (layout, compression, predictor, tiled, order)
    for layout in ("black is zero", "white is zero", "RGB", "RGB in planes", "CMYK", "CMYK in planes")
    for compression in (None, "lzw", "adobe_deflate", "deflate", "packbits")
    for predictor in (None, 2)
    if predictor is None or compression not in (None, "packbits")
    for tiled in (False, True)
    for order in "<>"
]


@pytest.mark.parametrize(("layout", "compression", "predictor", "tiled", "order"), PLAIN)
def test_pillow_and_tifffile_give_the_same_pixels_where_pillow_is_used(
    layout: str, compression: str | None, predictor: int | None, tiled: bool, order: str
) -> None:
    photometric, samples, planar, extra = LAYOUTS[layout]
    options: dict[str, Any] = {"tile": (16, 16)} if tiled else {"rowsperstrip": 5}
    data = write(
        stored("u1", samples),
        photometric,
        planar,
        extra,
        compression=compression,
        predictor=predictor,
        byteorder=order,
        **options,
    )
    page, layout_ = open_checked(data, 10**6)
    assert pillow_reads_exactly(page, layout_) == (not (tiled and planar))
    shown = decode_page(page, layout_, 10**6).image
    with Image.open(io.BytesIO(data)) as image:
        if not (tiled and planar):
            assert np.array_equal(np.asarray(image), np.asarray(shown))
    assert np.array_equal(np.asarray(decode(data).image), np.asarray(shown.convert("L" if samples == 1 else "RGB")))


@pytest.mark.parametrize("photometric", [0, 1])
@pytest.mark.parametrize("compression", [1, 5, 8, 32773])
@pytest.mark.parametrize("tiled", [False, True])
def test_bilevel_pages_are_the_same_by_pillow(photometric: int, compression: int, tiled: bool) -> None:
    wide, high = (48, 32) if tiled else (WIDTH, HEIGHT)
    values = np.random.default_rng(3).integers(0, 2, (high, wide, 1))
    pack = {1: bytes, 5: imagecodecs.lzw_encode, 8: imagecodecs.zlib_encode, 32773: imagecodecs.packbits_encode}
    rows = [packed_row(row, 1, "<") for row in values]
    tags = gray_tags(wide, high, 1, photometric) | {259: ("H", [compression])}
    if tiled:
        tags |= {322: ("I", [16]), 323: ("I", [32])}
        rows = [
            b"".join(packed_row(row, 1, "<") for row in values[:32, left : left + 16]) for left in range(0, wide, 16)
        ]
    data = raw_tiff((tags, [bytes(pack[compression](part)) for part in (rows if tiled else [b"".join(rows)])]))
    page, layout = open_checked(data, 10**6)
    assert pillow_reads_exactly(page, layout)
    expected = 255 * (values[..., 0] if photometric else 1 - values[..., 0])
    assert np.array_equal(np.asarray(decode_page(page, layout, 10**6).image), expected)
    assert differences(data, expected) == 0
