"""Bytes to images: every kind that counts, and every way to be broken."""

from __future__ import annotations

import io
import logging
import warnings
from pathlib import Path

import numpy as np
import pytest
from drawing import encode, idx_bytes, noise
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from distingo.datasets.decoding.decode import (
    TooManyPixelsError,
    UndecodableError,
    decode,
    open_source,
    read_header,
)
from distingo.records import Source
from raising import raises


@pytest.mark.parametrize(
    ("file_format", "name"),
    [("PNG", "PNG"), ("BMP", "BMP"), ("TIFF", "TIFF"), ("PPM", "PPM"), ("JPEG2000", "JPEG 2000")],
)
def test_lossless_formats_give_the_very_pixels(file_format: str, name: str) -> None:
    image = noise(1, (40, 36))
    decoded = decode(encode(image, file_format))
    assert decoded.format == name
    assert decoded.image.mode == "RGB"
    assert np.array_equal(np.asarray(decoded.image), np.asarray(image))


@pytest.mark.parametrize(
    ("file_format", "name"), [("JPEG", "JPEG"), ("WEBP", "WebP"), ("AVIF", "AVIF"), ("MPO", "JPEG")]
)
def test_lossy_formats_give_nearly_the_pixels(file_format: str, name: str) -> None:
    image = Image.linear_gradient("L").resize((40, 36)).convert("RGB")
    options = {"save_all": True, "append_images": [image]} if file_format == "MPO" else {}
    decoded = decode(encode(image, file_format, quality=95, **options))
    assert (decoded.format, decoded.image.mode, decoded.image.size) == (name, "RGB", (40, 36))
    assert np.abs(np.asarray(decoded.image, float) - np.asarray(image, float)).mean() < 3


def test_heic_is_read_and_its_rotation_applied_once() -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    image = Image.new("RGB", (64, 48), "red")
    image.paste("blue", (0, 0, 64, 24))
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    pillow_heif.from_pillow(image).save(buffer, quality=95, exif=exif.tobytes())
    decoded = decode(buffer.getvalue())
    assert (decoded.format, decoded.image.size) == ("HEIF", (48, 64))
    red, _, blue = decoded.image.getpixel((44, 32))
    assert blue > 200 > 60 > red


@pytest.mark.parametrize("file_format", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_an_animation_the_first_frame_counts(file_format: str) -> None:
    frames = [Image.new("RGB", (16, 16), color) for color in ("red", "lime", "blue")]
    options = {"lossless": True} if file_format == "WEBP" else {}
    data = encode(frames[0], file_format, save_all=True, append_images=frames[1:], **options)
    assert decode(data).image.getpixel((8, 8)) == (255, 0, 0)


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_rotation_is_applied(file_format: str, orientation: int) -> None:
    upright = Image.new("L", (32, 48), 0)
    upright.paste(255, (0, 0, 16, 16))
    undo = {
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]
    stored = upright if undo is None else upright.transpose(undo)
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(stored.convert("RGB"), file_format, exif=exif)
    decoded = decode(data)
    assert decoded.image.size == (32, 48)
    assert np.abs(np.asarray(decoded.image.convert("L"), float) - np.asarray(upright, float)).mean() < 3
    header = read_header(data)
    assert (header.width, header.height) == (32, 48)


def test_unreadable_exif_does_not_cost_the_image() -> None:
    data = encode(noise(2), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff garbage")
    assert decode(data).image.size == (12, 10)


def test_gray_stays_gray_and_two_colors_become_gray() -> None:
    assert decode(encode(noise(3, channels=1))).image.mode == "L"
    decoded = decode(encode(noise(3, channels=1).convert("1"))).image
    assert decoded.mode == "L"
    assert set(np.unique(np.asarray(decoded))) <= {0, 255}


def test_palette_becomes_its_colors() -> None:
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, 10, 200, 30])
    assert decode(encode(image)).image.getpixel((0, 0)) == (10, 200, 30)


def test_cmyk_becomes_rgb() -> None:
    decoded = decode(encode(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG", quality=95)).image
    red, green, blue = decoded.getpixel((8, 8))
    assert decoded.mode == "RGB"
    assert red > 240 and green < 15 and blue < 15


def test_lab_becomes_rgb() -> None:
    decoded = decode(encode(Image.new("LAB", (8, 8), (255, 128, 128)), "TIFF")).image
    assert decoded.mode == "RGB"
    assert min(decoded.getpixel((4, 4))) > 250


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (Image.new("RGBA", (2, 2), (255, 0, 0, 255)), (255, 0, 0)),
        (Image.new("RGBA", (2, 2), (0, 0, 0, 128)), (127, 127, 127)),
        (Image.new("LA", (2, 2), (40, 255)), 40),
        (Image.new("LA", (2, 2), (0, 51)), 204),
    ],
)
def test_transparent_pixels_are_laid_over_white(image: Image.Image, expected: object) -> None:
    assert decode(encode(image)).image.getpixel((1, 1)) == expected


@pytest.mark.parametrize(
    ("mode", "key", "expected"), [("P", 1, (255,) * 3), ("L", 7, 255), ("RGB", (1, 2, 3), (255,) * 3)]
)
def test_a_transparent_color_counts_as_transparent(mode: str, key: object, expected: object) -> None:
    image = Image.new(mode, (3, 3), key)
    image.putpixel((0, 0), 0 if mode != "RGB" else (0, 0, 0))
    if mode == "P":
        image.putpalette([0, 0, 0, 1, 2, 3])
    assert decode(encode(image, transparency=key)).image.getpixel((1, 1)) == expected


@pytest.mark.parametrize(
    ("image", "options", "expected"),
    [
        (Image.new("RGBA", (2, 2), (200, 30, 40, 0)), {}, (200, 30, 40)),
        (Image.new("LA", (2, 2), (90, 0)), {}, 90),
        (Image.new("L", (2, 2), 7), {"transparency": 7}, 7),
        (Image.new("RGB", (2, 2), (1, 2, 3)), {"transparency": (1, 2, 3)}, (1, 2, 3)),
    ],
)
def test_an_alpha_of_zero_everywhere_counts_as_none(image: Image.Image, options: dict, expected: object) -> None:
    assert decode(encode(image, **options)).image.getpixel((1, 1)) == expected


def test_a_palette_that_is_transparent_everywhere_keeps_its_colors() -> None:
    image = Image.new("P", (3, 3), 1)
    image.putpalette([0, 0, 0, 10, 200, 30])
    assert decode(encode(image, transparency=b"\0\0")).image.getpixel((1, 1)) == (10, 200, 30)


@pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled_by_their_whole_range(file_format: str) -> None:
    values = np.array([[0, 128, 129, 257], [32768, 65534, 65535, 4095]], np.uint16)
    decoded = decode(encode(Image.fromarray(values), file_format)).image
    assert decoded.mode == "L"
    assert np.asarray(decoded).tolist() == [[0, 0, 1, 1], [128, 255, 255, 16]]


def test_big_endian_sixteen_bits() -> None:
    data = encode(Image.fromarray(np.array([[0, 65535], [257, 514]], ">u2")), "TIFF")
    assert np.asarray(decode(data).image).tolist() == [[0, 255], [1, 2]]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[0, 128, 255]], np.int32), [[0, 128, 255]]),
        (np.array([[0, 257, 65535]], np.int32), [[0, 1, 255]]),
        (np.array([[-10, 0, 10]], np.int32), [[0, 128, 255]]),
        (np.array([[0.0, 0.5, 1.0]], np.float32), [[0, 128, 255]]),
        (np.array([[0.0, 100.0, 255.0]], np.float32), [[0, 100, 255]]),
        (np.array([[-1.0, 0.0, 1000.0]], np.float32), [[0, 0, 255]]),
        (np.array([[np.nan, np.inf, 1.0]], np.float32), [[0, 0, 255]]),
    ],
)
def test_wide_numbers_are_scaled_by_the_smallest_customary_range(values: np.ndarray, expected: list[list[int]]) -> None:
    decoded = decode(encode(Image.fromarray(values), "TIFF")).image
    assert np.asarray(decoded).tolist() == expected


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "AVIF"])
def test_a_truncated_file_is_refused_with_its_format(file_format: str) -> None:
    data = encode(noise(4, (64, 64)), file_format)
    with raises(UndecodableError, code="damaged_image") as caught:
        decode(data[: len(data) // 2])
    assert caught.value.format == {"WEBP": "WebP"}.get(file_format, file_format)
    assert "truncated" in str(caught.value.reason) or "damaged" in str(caught.value.reason)


def test_a_truncated_jpeg_says_so() -> None:
    data = encode(noise(4, (64, 64)), "JPEG")
    with raises(UndecodableError, code="damaged_image"):
        decode(data[:-200])


@pytest.mark.parametrize(
    ("data", "reason", "detected"),
    [
        (b"", "an empty file", "empty"),
        (b"<html><body>404</body></html>", "an HTML page, not a picture", "HTML"),
        (b"just words", "a text file, not a picture", "text"),
        (b"\x00\x01\x02\x03" * 10, "not a picture in a known format", "unknown"),
        (b"\xff\xd8\xff", "JPEG", "JPEG"),
    ],
)
def test_what_is_no_image_is_named(data: bytes, reason: str, detected: str) -> None:
    with raises(UndecodableError, code="damaged_image") as caught:
        decode(data)
    assert reason in str(caught.value.reason)
    assert caught.value.format == detected


def test_the_pixel_limit_is_checked_before_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode(Image.new("1", (2000, 1000)))

    def explode(self: Image.Image) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", explode)
    with raises(TooManyPixelsError, code="too_many_pixels"):
        decode(data, max_pixels=1_999_999)


def test_a_decompression_bomb_is_refused_without_a_warning() -> None:
    for side in (10_000, 20_000):
        data = encode(Image.new("1", (side, side)))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with raises(TooManyPixelsError, code="too_many_pixels"):
                decode(data, max_pixels=90_000_000)


def test_malformed_files_print_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    good = encode(noise(5, (32, 32)), "TIFF", compression="tiff_lzw")
    logging.getLogger("PIL").setLevel(logging.NOTSET)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for cut in range(0, len(good), 37):
            with raises(UndecodableError, code="damaged_image"):
                decode(good[: cut // 2] + b"\xff" * 40)
    captured = capfd.readouterr()
    assert captured.out == captured.err == ""


def test_open_source_reads_a_file_and_an_idx_entry(tmp_path: Path) -> None:
    image = tmp_path / "ÿ 図.txt"
    image.write_bytes(encode(noise(6)))
    assert open_source(Source("ÿ 図.txt", image)).size == (12, 10)
    values = np.arange(2 * 3 * 4).reshape(2, 3, 4)
    container = tmp_path / "train-images-idx3-ubyte"
    container.write_bytes(idx_bytes(values))
    entry = open_source(Source("train-images-idx3-ubyte#1", container, 1))
    assert entry.mode == "L"
    assert np.array_equal(np.asarray(entry), values[1])
    with raises(UndecodableError, code="damaged_image"):
        open_source(Source("train-images-idx3-ubyte#2", container, 2))


def test_open_source_says_why_a_file_cannot_be_opened(tmp_path: Path) -> None:
    with raises(UndecodableError, code="unreadable_image"):
        open_source(Source("gone.png", tmp_path / "gone.png"))


_SAMPLES = [
    encode(noise(7, (24, 20)), name, **options)
    for name, options in [
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("PNG", {}),
        ("GIF", {}),
        ("WEBP", {}),
        ("BMP", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("AVIF", {}),
        ("JPEG2000", {}),
        ("PPM", {}),
    ]
]


def _decodes_or_is_refused(data: bytes) -> None:
    for read in (decode, read_header):
        try:
            result = read(data, max_pixels=10**6)
        except UndecodableError as error:
            assert str(error.reason) and "\n" not in str(error.reason)
        else:
            assert result.format


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.binary(max_size=300), st.sampled_from([b"", *(sample[:24] for sample in _SAMPLES)]))
def test_random_bytes_never_raise_anything_else(data: bytes, head: bytes) -> None:
    _decodes_or_is_refused(head + data)


@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(_SAMPLES), st.data())
def test_damaged_images_never_raise_anything_else(sample: bytes, data: st.DataObject) -> None:
    content = bytearray(sample[: data.draw(st.integers(0, len(sample)))])
    for place in data.draw(st.lists(st.integers(0, max(0, len(content) - 1)), max_size=8)):
        if content:
            content[place] ^= 1 << data.draw(st.integers(0, 7))
    _decodes_or_is_refused(bytes(content))


def _photo(width: int, height: int) -> Image.Image:
    """Smooth shapes and edges, as in a photo."""
    y, x = np.mgrid[0:height, 0:width] / min(width, height)
    waves = np.stack([np.sin(9 * x + 4 * y), np.cos(7 * y), np.sign(np.sin(5 * x * y))], axis=-1)
    return Image.fromarray((127.5 + 100 * waves).astype(np.uint8))


@pytest.mark.parametrize(("size", "decoded"), [((1600, 1200), (800, 600)), ((880, 890), (880, 890))])
def test_a_large_jpeg_is_decoded_smaller_where_that_is_enough(size: tuple[int, int], decoded: tuple[int, int]) -> None:
    buffer = io.BytesIO()
    _photo(*size).save(buffer, "JPEG", quality=90)
    assert decode(buffer.getvalue(), enough=224).image.size == decoded
    assert decode(buffer.getvalue()).image.size == size


def test_decoding_smaller_changes_a_resized_photo_by_less_than_another_filter_would() -> None:
    buffer = io.BytesIO()
    _photo(2000, 1500).save(buffer, "JPEG", quality=90)
    whole, reduced = decode(buffer.getvalue()).image, decode(buffer.getvalue(), enough=224).image

    def shrunk(image: Image.Image, how: Image.Resampling) -> np.ndarray:
        return np.asarray(image.resize((298, 224), how), dtype=float)

    noise = np.abs(shrunk(whole, Image.Resampling.BICUBIC) - shrunk(whole, Image.Resampling.BILINEAR)).mean()
    change = np.abs(shrunk(reduced, Image.Resampling.BICUBIC) - shrunk(whole, Image.Resampling.BICUBIC)).mean()
    assert change < noise


def test_a_truncated_jpeg_is_found_out_also_when_decoded_smaller() -> None:
    buffer = io.BytesIO()
    _photo(1600, 1200).save(buffer, "JPEG", quality=90)
    with raises(UndecodableError, code="damaged_image"):
        decode(buffer.getvalue()[:-2000], enough=224)
