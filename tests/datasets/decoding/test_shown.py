from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from distingo.datasets.decoding.decode import decode, decode_array, decode_image
from distingo.datasets.decoding.value_ranges import ValueRange, ValueRanges

_RGBA = np.random.default_rng(1).integers(0, 256, (12, 9, 4)).astype(np.uint8)
_RGBA[0, 0, 3], _RGBA[0, 1, 3], _RGBA[0, 2, 3] = 0, 128, 255


def _shown(values: np.ndarray, value_range: ValueRange | ValueRanges | None = None) -> np.ndarray:
    return np.asarray(decode_array(values, value_range=value_range).image)


@pytest.mark.parametrize(
    "dtype", ["int16", "uint16", "int32", "uint32", "int64", "uint64", "float16", "float32", "float64"]
)
def test_rgba_of_8_bits_is_the_same_in_every_type(dtype: str) -> None:
    assert np.array_equal(_shown(_RGBA.astype(dtype)), _shown(_RGBA))
    assert np.array_equal(_shown(_RGBA[..., [0, 3]].astype(dtype)), _shown(_RGBA[..., [0, 3]]))


@pytest.mark.parametrize("dtype", ["uint16", "int32", "int64"])
def test_rgba_without_an_opaque_pixel_is_the_same_in_every_type(dtype: str) -> None:
    pale = _RGBA.copy()
    pale[..., 3] //= 2
    assert pale[..., 3].max() == 127
    assert np.array_equal(_shown(pale.astype(dtype)), _shown(pale))


def test_rgba_of_floats_up_to_1_is_that_of_8_bits() -> None:
    assert np.array_equal(_shown(_RGBA / 255), _shown(_RGBA))
    mixed = _RGBA.astype(np.float32)
    mixed[..., 3] /= 255
    assert np.array_equal(_shown(mixed), _shown(_RGBA))


@pytest.mark.parametrize(("bits", "white"), [(10, 1023), (12, 4095), (14, 16383), (16, 65535)])
@pytest.mark.parametrize("dtype", ["uint16", "int32", "int64"])
def test_alpha_shows_how_many_bits_count_in_a_wider_type(bits: int, white: int, dtype: str) -> None:
    deep = np.array([[[0, white // 2, white, white], [white, 0, 0, 0]]], dtype)
    decoded = decode_array(deep)
    assert np.asarray(decoded.image).tolist() == [[[0, 127, 255], [255, 255, 255]]]
    assert decoded.values is not None and decoded.values.bits == bits


def test_a_model_s_range_scales_colors_and_leaves_alpha_alone() -> None:
    ranges = ValueRanges(unsigned=ValueRange(0.0, 2000.0))
    assert _shown(np.array([[[0, 1000, 2000, 4095]]], np.uint16), ranges).tolist() == [[[0, 128, 255]]]


def test_half_transparent_floats_of_0_to_255_are_laid_over_white() -> None:
    values = np.array([[[0.0, 100.0, 200.0, 128.0], [0.0, 0.0, 0.0, 255.0]]], np.float32)
    assert _shown(values).tolist() == [[[127, 177, 227], [0, 0, 0]]]


def _tiff(values: np.ndarray, **tags: object) -> bytes:
    tifffile = pytest.importorskip("tifffile")
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, values, photometric="rgb", extrasamples=["unassalpha"], metadata=None, **tags)
    return buffer.getvalue()


@pytest.mark.parametrize("values", [_RGBA.astype(np.float32), _RGBA / np.float32(255), _RGBA.astype(np.uint16) * 257])
def test_tiff_with_alpha_is_its_8_bit_file(values: np.ndarray) -> None:
    assert np.array_equal(np.asarray(decode(_tiff(values)).image), _shown(_RGBA))


@pytest.mark.parametrize("tags", [{}, {"extratags": [(281, "H", 4, (4095,) * 4, True)]}])
def test_tiff_of_12_bits_in_16_with_alpha(tags: dict[str, object]) -> None:
    deep = np.array([[[0, 2047, 4095, 4095], [4095, 0, 0, 0]]], np.uint16)
    decoded = decode(_tiff(deep, **tags))
    assert np.asarray(decoded.image).tolist() == [[[0, 127, 255], [255, 255, 255]]]
    assert decoded.values is not None and decoded.values.bits == 12


def test_a_faint_layer_of_16_bits_in_a_file_stays_faint() -> None:
    deep = np.array([[[60000, 0, 0, 4095], [0, 0, 0, 4000]]], np.uint16)
    assert np.asarray(decode(_tiff(deep)).image).tolist() == [[[254, 239, 239], [239, 239, 239]]]


def test_deep_images_that_differ_in_alpha_are_different_images() -> None:
    other = _RGBA.astype(np.uint16) * 257
    other[3, 3, 3] //= 2
    digests = {decode_array(each).values.digest for each in (_RGBA.astype(np.uint16) * 257, other)}  # type: ignore[union-attr]
    assert len(digests) == 2


@pytest.mark.parametrize("mode", ["La", "RGBa", "LA", "PA", "RGBA", "1", "L", "P", "CMYK", "YCbCr", "HSV", "LAB", "F"])
def test_every_mode_of_pillow_is_shown(mode: str) -> None:
    expected = "L" if mode in {"La", "LA", "1", "L", "F"} else "RGB"
    assert decode_image(Image.new(mode, (5, 4))).image.mode == expected


def test_colors_multiplied_by_alpha_are_divided_again() -> None:
    gray = Image.merge("LA", (Image.new("L", (3, 2), 60), Image.new("L", (3, 2), 128)))
    assert np.asarray(decode_image(gray.convert("La")).image).tolist() == [[157] * 3] * 2
    assert np.asarray(decode_image(gray).image).tolist() == [[157] * 3] * 2
