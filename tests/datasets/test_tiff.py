"""TIFF: the specification's matrix against tifffile's own reading, and what is refused."""

from __future__ import annotations

import io
import itertools
from typing import Any

import numpy as np
import pytest
import tifffile
from raw_tiff import gray_tags, raw_tiff

from distingo.datasets.decoding import UnsupportedError, decode, read_header
from distingo.datasets.value_ranges import ValueRange

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
    values = random.random((HEIGHT, WIDTH, samples))
    if dtype.startswith("f"):
        return values.astype(dtype)
    limits = np.iinfo(dtype)
    spread = min(limits.max - limits.min, 2**53)
    return (np.floor(values * spread).astype(np.int64) + (0 if dtype[0] == "u" else limits.min // 2)).astype(dtype)


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
    assert header.grey == (decoded.image.mode == "L")
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
        with pytest.raises(UnsupportedError, match="a TIFF with signed inks, which distingo does not read; save it as"):
            decode(data)
        with pytest.raises(UnsupportedError):
            read_header(data)
        return
    read = read_by_tifffile(data, samples, planar)
    assert np.array_equal(read, values)
    high = 1.0 if dtype.startswith("f") else float(np.iinfo(dtype).max)
    scale = ValueRange(high / 8, high * 0.75)
    # Rounding once to 8 bits; alpha rounds the color, itself and the sum.
    allowed = 0.5 if not extra or max(extra) == 0 else 2.0 if 1 in extra else 1.5
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
