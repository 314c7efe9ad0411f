"""Images in memory: read as their files are, or refused in one line."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from distingo.datasets.decoding.decode import UndecodableError
from distingo.errors import ErrorCode, UsageError
from distingo.prediction.images import as_images, name_image, open_image
from distingo.records import ValueRange, ValueRanges
from raising import raises

_RGB = np.random.default_rng(3).integers(0, 256, (12, 20, 3), np.uint8)
_RAMP = np.repeat(np.linspace(0, 1, 20)[None], 12, 0)


def _pixels(image: object, **options: object) -> np.ndarray:
    return np.asarray(open_image(image, **options))


def _png(image: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "wrap",
    [bytes, bytearray, memoryview, io.BytesIO, lambda data: Image.open(io.BytesIO(data))],
    ids=["bytes", "bytearray", "memoryview", "BytesIO", "Pillow"],
)
def test_content_is_read_as_its_file(wrap: Callable[[bytes], object], tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = _png(Image.fromarray(_RGB), exif=exif.tobytes())
    (tmp_path / "a.png").write_bytes(data)
    expected = _pixels(tmp_path / "a.png")
    assert expected.shape == (20, 12, 3)
    assert np.array_equal(_pixels(wrap(data)), expected)
    assert np.array_equal(_pixels(tmp_path / "a.png"), np.rot90(_RGB, -1))


def test_an_open_file_counts_from_its_beginning(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.fromarray(_RGB).save(buffer, "PNG")
    assert np.array_equal(_pixels(buffer), _RGB)
    assert np.array_equal(_pixels(buffer), _RGB)
    (tmp_path / "a.png").write_bytes(buffer.getvalue())
    with (tmp_path / "a.png").open("rb") as file:
        assert np.array_equal(_pixels(file), _RGB)
    with raises(UsageError, code="invalid_type", naming="'rb'"):
        open_image(io.StringIO("x"))


def _exif() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 8
    return exif.tobytes()


_IMAGE = Image.fromarray(_RGB)
_ALPHA = Image.fromarray((_RAMP * 255).astype(np.uint8))
_KINDS: dict[str, tuple[Image.Image, str, dict[str, object]]] = {
    "exif": (_IMAGE, "a.png", {"exif": _exif()}),
    "16 bits": (Image.fromarray((_RAMP * 65535).astype(np.uint16)), "a.png", {}),
    "alpha": (Image.merge("RGBA", [*_IMAGE.split(), _ALPHA]), "a.png", {}),
    "gray with alpha": (Image.merge("LA", [_IMAGE.getchannel(0), _ALPHA]), "a.png", {}),
    "palette": (_IMAGE.quantize(8), "a.png", {"transparency": bytes([0, 128])}),
    "1 bit": (_IMAGE.convert("1"), "a.png", {}),
    "CMYK": (_IMAGE.convert("CMYK"), "a.jpg", {}),
    "float": (Image.fromarray(_RAMP.astype(np.float32)), "a.tif", {}),
    "broken profile": (_IMAGE.getchannel(0), "a.png", {"icc_profile": b"broken"}),
}


@pytest.mark.parametrize("loaded", [False, True])
@pytest.mark.parametrize("kind", _KINDS)
def test_an_opened_image_is_read_as_its_file(kind: str, loaded: bool, tmp_path: Path) -> None:
    image, name, options = _KINDS[kind]
    path = tmp_path / name
    image.save(path, **options)
    opened = Image.open(path)
    size = opened.size
    if loaded:
        opened.load()
    assert np.array_equal(_pixels(opened), _pixels(path))
    assert opened.size == size
    assert np.array_equal(_pixels(opened), _pixels(path))


def test_a_profile_is_applied_to_an_image_in_memory() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image = Image.fromarray(_RGB)
    image.info["icc_profile"] = profile
    assert np.array_equal(_pixels(image), _RGB)
    image.info["gamma"], image.info["icc_profile"] = 1.0, b""
    assert np.array_equal(_pixels(image), _RGB)


def test_a_truncated_file_that_pillow_opened_carries_the_error_of_its_file() -> None:
    data = _png(Image.fromarray(np.random.default_rng(0).integers(0, 256, (99, 99, 3), np.uint8)))
    opened = Image.open(io.BytesIO(data[: len(data) // 2]))
    with raises(UndecodableError, code="damaged_image"):
        open_image(opened)


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (_RGB, _RGB),
        (_RGB[..., 0], _RGB[..., 0]),
        (_RGB[..., :1], _RGB[..., 0]),
        (_RGB.transpose(2, 0, 1), _RGB),
        (_RGB[None, ..., 0], _RGB[..., 0]),
        (_RGB / 255.0, _RGB),
        ((_RGB / 255.0).astype(np.float32), _RGB),
        (_RGB.astype(np.float64), _RGB),
        (_RGB.astype(np.int64), _RGB),
        (_RGB.astype(np.uint16) * 257, _RGB),
        (_RGB[..., 0] > 99, np.where(_RGB[..., 0] > 99, 255, 0)),
        (np.dstack([_RGB, np.full((12, 20), 255, np.uint8)]), _RGB),
        (np.dstack([_RGB, np.zeros((12, 20), np.uint8)]), _RGB),
        (torch.from_numpy(_RGB.copy()), _RGB),
        (torch.from_numpy(_RGB.transpose(2, 0, 1) / 255.0), _RGB),
        (torch.from_numpy(_RGB.transpose(2, 0, 1) / 255.0).requires_grad_(), _RGB),
    ],
)
def test_arrays_and_tensors_give_their_pixels(array: object, expected: np.ndarray) -> None:
    assert np.array_equal(_pixels(array), expected)


def test_half_floats_give_their_pixels_to_one_level() -> None:
    half = torch.from_numpy(_RGB.transpose(2, 0, 1) / 255.0)
    assert np.abs(_pixels(half.to(torch.float16)).astype(int) - _RGB).max() <= 1
    assert np.abs(_pixels(half.to(torch.bfloat16)).astype(int) - _RGB).max() <= 1


def test_an_array_that_fits_both_ways_has_channels_last_and_a_tensor_first() -> None:
    values = np.arange(3 * 5 * 3, dtype=np.uint8).reshape(3, 5, 3)
    assert np.array_equal(_pixels(values), values)
    assert np.array_equal(_pixels(torch.from_numpy(values)), values.transpose(1, 2, 0))


def test_deep_arrays_are_scaled_by_the_models_range() -> None:
    ranges = ValueRanges(unsigned=ValueRange(0.0, 4095.0))
    values = np.array([[0, 4095], [2048, 1000]], np.uint16)
    assert _pixels(values, value_range=ranges).tolist() == [[0, 255], [128, 62]]
    assert _pixels(_RGB, value_range=ranges).tolist() == _RGB.tolist()


def test_one_or_many_become_a_list() -> None:
    image = Image.fromarray(_RGB)
    assert as_images(image) == [image]
    assert as_images("a.png") == ["a.png"]
    assert as_images([b"x", "a.png"]) == [b"x", "a.png"]
    assert as_images(part for part in ("a.png", "b.png")) == ["a.png", "b.png"]
    assert as_images([]) == []
    assert len(as_images(_RGB)) == 1
    assert [each.shape for each in as_images(np.stack([_RGB, _RGB]))] == [(12, 20, 3)] * 2
    batch = torch.zeros(4, 3, 8, 9)
    assert [tuple(each.shape) for each in as_images(batch)] == [(3, 8, 9)] * 4
    assert [name_image(each, at) for at, each in enumerate([Path("x/a.png"), b"x"])] == ["x/a.png", "picture 1"]


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (None, "invalid_type"),
        (7, "invalid_type"),
        ({"a": 1}, "invalid_type"),
        ([b"x", 3.5], "invalid_type"),
        (np.zeros((5, 6, 7)), "invalid_image_array"),
        (np.zeros(9), "invalid_image_array"),
        (np.zeros((0, 4, 3)), "invalid_image_array"),
        (torch.zeros(2, 8, 9), "invalid_image_array"),
    ],
)
def test_what_is_no_image_is_refused_in_one_line(given: object, code: ErrorCode) -> None:
    with raises(UsageError, code=code) as caught:
        as_images(given)
    assert "\n" not in str(caught.value)
    assert "(H, W), (H, W, C) or (C, H, W) with 1, 3 or 4 channels" in str(caught.value)


def test_an_array_of_several_images_in_a_list_is_distinguished() -> None:
    with raises(UsageError, code="invalid_image_array"):
        as_images([np.zeros((2, 8, 9, 3))])


def test_an_array_without_a_finite_value_is_no_image() -> None:
    with raises(UndecodableError, code="damaged_image"):
        open_image(np.full((4, 4), np.nan))


def test_integers_that_became_floats_keep_their_range() -> None:
    ranges = ValueRanges(unsigned=ValueRange(0.0, 4095.0))
    values = np.array([[0, 4095], [2048, 1000]], np.uint16)
    for dtype in (np.float32, np.float64):
        assert _pixels(values.astype(dtype), value_range=ranges).tolist() == [[0, 255], [128, 62]]
    assert _pixels((values / 4095).astype(np.float32), value_range=ranges).tolist() == [[0, 255], [128, 62]]


def test_numbers_that_are_not_real_are_refused() -> None:
    with raises(UsageError, code="invalid_image_array"):
        open_image(np.zeros((4, 4), complex))
