"""Resizing, checked against Pillow and torchvision."""

from __future__ import annotations

import numpy as np
import pytest
from drawing import noise
from PIL import Image

from distingo.datasets.decoding.rendering import VIEW_SETS, apply_view, render, require_views, visible_part
from distingo.errors import UsageError
from distingo.records import ImageSpec
from raising import raises


def test_stretch_is_pillows_resize() -> None:
    image = noise(1, (50, 30))
    expected = np.asarray(image.resize((16, 20), Image.Resampling.BICUBIC))
    assert np.array_equal(render(image, ImageSpec(20, 16, 3, interpolation="bicubic")), expected)


def test_the_same_size_keeps_the_very_pixels_and_the_array_is_its_own() -> None:
    image = noise(2, (16, 20))
    array = render(image, ImageSpec(20, 16, 3))
    assert np.array_equal(array, np.asarray(image))
    array[0, 0, 0] ^= 1
    assert not np.array_equal(array, np.asarray(image))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("source_channels", [1, 3])
def test_channels_are_converted(channels: int, source_channels: int) -> None:
    array = render(noise(3, channels=source_channels), ImageSpec(7, 9, channels))
    assert (array.shape, array.dtype) == ((7, 9, channels), np.uint8)


def test_gray_as_rgb_has_three_equal_channels() -> None:
    array = render(noise(4, channels=1), ImageSpec(8, 8, 3))
    assert np.array_equal(array[..., 0], array[..., 1])
    assert np.array_equal(array[..., 0], array[..., 2])


@pytest.mark.parametrize("size", [(50, 30), (30, 50), (33, 33), (17, 91), (256, 257)])
@pytest.mark.parametrize(("crop_fraction", "interpolation"), [(0.875, "bicubic"), (1.0, "bilinear"), (0.95, "lanczos")])
def test_crop_is_torchvisions_evaluation(size: tuple[int, int], crop_fraction: float, interpolation: str) -> None:
    transforms = pytest.importorskip("torchvision.transforms")
    image = noise(5, size)
    mode = transforms.InterpolationMode(interpolation)
    reference = transforms.Compose(
        [transforms.Resize(int(32 / crop_fraction), interpolation=mode), transforms.CenterCrop(32)]
    )
    image_spec = ImageSpec(32, 32, 3, fit="crop", crop_fraction=crop_fraction, interpolation=interpolation)
    assert np.array_equal(render(image, image_spec), np.asarray(reference(image)))


@pytest.mark.parametrize("size", [(1, 5000), (5000, 1), (3, 2)])
def test_strips_and_specks_are_rendered_without_an_enormous_image(size: tuple[int, int]) -> None:
    for image_spec in (ImageSpec(64, 64, 3, fit="crop", crop_fraction=0.9), ImageSpec(48, 64, 3, fit="crop")):
        array = render(noise(6, size), image_spec)
        assert array.shape == (image_spec.height, image_spec.width, 3)


def test_an_oblong_crop_keeps_the_middle() -> None:
    image = Image.new("L", (100, 100), 0)
    image.paste(255, (0, 25, 100, 75))
    assert (render(image, ImageSpec(20, 40, 1, fit="crop"))[1:-1] == 255).all()


@pytest.mark.parametrize("size", [(320, 200), (200, 320), (97, 64), (1000, 20), (20, 1000), (50, 50)])
@pytest.mark.parametrize(
    "image_spec",
    [
        ImageSpec(64, 64, 3),
        ImageSpec(64, 64, 3, fit="crop", crop_fraction=0.875),
        ImageSpec(48, 80, 3, fit="crop", crop_fraction=0.9),
    ],
)
def test_the_seen_part_is_where_the_pixels_come_from(size: tuple[int, int], image_spec: ImageSpec) -> None:
    width, height = size
    across = np.broadcast_to(np.linspace(0, 255, width), (height, width))
    down = np.broadcast_to(np.linspace(0, 255, height)[:, None], (height, width))
    image = Image.fromarray(np.stack([across, down, down], axis=-1).round().astype(np.uint8))
    pixels = render(image, image_spec).astype(float) / 255
    left, top, right, bottom = visible_part(width, height, image_spec)
    middle_x = left + (np.arange(image_spec.width) + 0.5) / image_spec.width * (right - left)
    middle_y = top + (np.arange(image_spec.height) + 0.5) / image_spec.height * (bottom - top)
    # a pixel's middle lies half a pixel in from its edge, where the gradient begins
    expected_x = (middle_x * width - 0.5) / (width - 1)
    expected_y = (middle_y * height - 0.5) / (height - 1)
    inner = slice(6, -6)
    assert np.abs(pixels[:, inner, 0].mean(axis=0) - expected_x[inner]).max() < 0.015
    assert np.abs(pixels[inner, :, 1].mean(axis=1) - expected_y[inner]).max() < 0.015


@pytest.fixture
def image() -> Image.Image:
    return Image.fromarray(np.arange(100, dtype=np.uint8).reshape(10, 10))


def test_the_image_itself_comes_first_in_every_set(image: Image.Image) -> None:
    assert all(views[0] == "whole" for views in VIEW_SETS.values())
    assert apply_view(image, "whole") is image


def test_mirrored_is_left_to_right(image: Image.Image) -> None:
    assert np.array_equal(np.array(apply_view(image, "mirrored")), np.array(image)[:, ::-1])


@pytest.mark.parametrize(
    ("view", "first"), [("top-left", 0), ("top-right", 2), ("bottom-left", 20), ("bottom-right", 22)]
)
def test_corners_keep_eighty_percent_of_each_side(image: Image.Image, view: str, first: int) -> None:
    seen = np.array(apply_view(image, view))
    assert seen.shape == (8, 8)
    assert seen[0, 0] == first


def test_a_image_of_one_pixel_has_all_views() -> None:
    dot = Image.new("RGB", (1, 1))
    assert all(apply_view(dot, view).size == (1, 1) for view in VIEW_SETS["crops"])


def test_an_unknown_set_is_refused_with_the_nearest() -> None:
    with raises(UsageError, code="unknown_name", parameter="views"):
        require_views("flips")
